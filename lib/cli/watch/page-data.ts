/** Turns a snapshot into words and numbers for the tables of the page. Pure. */
import { hostAndPort } from '../../input/addresses.js'
import { BOTH } from '../../policy/steering/accesses.js'
import type { Snapshot } from '../../runtime/watch/messages.js'
import { handlingInWords, trafficInWords } from '../rules/words.js'
import { type History, rttNow } from './history.js'
import { bytesInWords, openOnes, rateInWords, speedInWords, totalOf } from './words.js'

interface PageData {
  level: string
  counts: string
  accesses: { name: string; interface: string; state: 'available' | 'silent' | 'lost'; why: string; cells: string[] }[]
  rules: { precedence: string; name: string; traffic: string; steering: string; cells: string[] }[]
  connections: {
    id: number
    title: string
    cells: string[]
    isTcp: boolean
    /** Why the connection uses TCP. */
    fallback: string | undefined
    subflows: { access: string; kind: 'in use' | 'backup' | 'joining'; cells: string[] }[]
  }[]
}

export function describeSnapshot(snapshot: Snapshot, { moments, connections }: History): PageData {
  const moment = moments.at(-1)
  return {
    level: snapshot.level ?? 'not known yet',
    counts: `${snapshot.connectionsOpen} open, ${snapshot.handovers} handovers, ${snapshot.fallbacks} became TCP`,
    accesses: BOTH.map(name => {
      const { interface: device, available, suspected, why, lossPermille, ...carried } = snapshot.accesses[name]
      const rttMs = rttNow(snapshot.accesses[name])
      const rates = moment?.rates[name]
      return {
        name,
        interface: device,
        state: available ? 'available' : suspected ? 'silent' : 'lost',
        why,
        cells: [
          rttMs === undefined ? '–' : `${rttMs.toFixed(1)} ms`,
          lossPermille === undefined ? '–' : `${(lossPermille / 10).toFixed(1)} %`,
          rates ? rateInWords(rates.up) : '–',
          rates ? rateInWords(rates.down) : '–',
          bytesInWords(carried.bytesSent),
          bytesInWords(carried.bytesReceived),
        ],
      }
    }),
    rules: snapshot.rules.map(rule => {
      const { precedence, name, traffic, steering, connections: open, handovers, carried } = rule
      const sent = BOTH.reduce((sum, access) => sum + carried[access].bytesSent, 0)
      const share = sent === 0 ? '–' : `${((100 * carried['3gpp'].bytesSent) / sent).toFixed(1)} %`
      return {
        precedence: precedence === undefined ? '–' : String(precedence),
        name: name ?? '',
        traffic: steering ? trafficInWords({ traffic }) : 'what no rule matches',
        steering: handlingInWords(rule),
        cells: [String(open), String(handovers), bytesInWords(sent), share],
      }
    }),
    connections: snapshot.connections.map(connection => {
      const { id, host, port, rule, protocol, converter, convert, handovers, fallback } = connection
      const { sent, received } = totalOf(connection)
      const way = converter ? `${converter}${convert === '0rtt' ? ', 0-RTT' : ''}` : 'direct'
      const rates = connections.get(id)
      return {
        id,
        title: hostAndPort(host, port),
        isTcp: protocol === 'tcp',
        fallback,
        cells: [String(rule ?? '–'), way, bytesInWords(sent), bytesInWords(received), String(handovers)],
        subflows: openOnes(connection).map(({ access, state, backup, rttMs, local, remote }) => {
          const now = access && rates?.[access]
          const speed = now ? speedInWords(now) : ''
          const kind = state === 'joining' ? state : backup ? 'backup' : 'in use'
          return {
            access: access ?? '?',
            kind,
            cells: [`${rttMs.toFixed(1)} ms`, speed, `${local} → ${remote}`],
          } as const
        }),
      }
    }),
  }
}
