/** Turns a snapshot into words and numbers for the tables of the page. Pure. */
import { hostAndPort } from '../../input/addresses.js'
import { BOTH } from '../../policy/steering/accesses.js'
import type { Traffic } from '../../runtime/steering/rates.js'
import type { Snapshot } from '../../runtime/watch/messages.js'
import { handlingInWords, trafficInWords } from '../rules/words.js'
import { type EachWay, rttNow } from './history.js'
import {
  bytesInWords,
  lossInWords,
  millisecondsInWords,
  openOnes,
  percentInWords,
  rateInWords,
  together,
} from './words.js'

interface PageData {
  level: string
  counts: string
  /** `cells`: rate, share, round-trip time, loss, bytes. */
  accesses: {
    name: string
    interface: string
    state: 'available' | 'silent' | 'lost'
    why: string
    cells: EachWay<string[]>
  }[]
  /** `cells`: rate, share of 3GPP access, bytes. */
  rules: {
    precedence: string
    name: string
    traffic: string
    steering: string
    open: string
    handovers: string
    cells: EachWay<string[]>
  }[]
  /** `cells`: rate, share, round-trip time, bytes. */
  connections: {
    id: number
    title: string
    rule: string
    way: string
    handovers: string
    isTcp: boolean
    /** Why the connection uses TCP. */
    fallback: string | undefined
    cells: EachWay<string[]>
    subflows: { access: string; kind: 'in use' | 'backup' | 'joining'; ends: string; cells: EachWay<string[]> }[]
  }[]
}

export function describeSnapshot(snapshot: Snapshot): PageData {
  return {
    level: snapshot.level ?? 'not known yet',
    counts: `${snapshot.connectionsOpen} open, ${snapshot.handovers} handovers, ${snapshot.fallbacks} became TCP`,
    accesses: BOTH.map(name => {
      const access = snapshot.accesses[name]
      const { interface: device, available, suspected, why, lossPermille, receiveLossPermille } = access
      const { up, down } = rttNow(access)
      return {
        name,
        interface: device,
        state: available ? 'available' : suspected ? 'silent' : 'lost',
        why,
        cells: cellsOf(access, {
          up: [millisecondsInWords(up), lossInWords(lossPermille)],
          down: [millisecondsInWords(down), lossInWords(receiveLossPermille)],
        }),
      }
    }),
    rules: snapshot.rules.map(rule => {
      const { precedence, name, traffic, steering, connections: open, handovers, carried } = rule
      return {
        precedence: precedence === undefined ? '–' : String(precedence),
        name: name ?? '',
        traffic: steering ? trafficInWords({ traffic }) : 'what no rule matches',
        steering: handlingInWords(rule),
        open: String(open),
        handovers: String(handovers),
        cells: cellsOf(together(carried)),
      }
    }),
    connections: snapshot.connections.map(connection => {
      const { id, host, port, rule, protocol, converter, convert, handovers, fallback, carried } = connection
      return {
        id,
        title: hostAndPort(host, port),
        rule: String(rule ?? '–'),
        way: converter ? `${converter}${convert === '0rtt' ? ', 0-RTT' : ''}` : 'direct',
        handovers: String(handovers),
        isTcp: protocol === 'tcp',
        fallback,
        cells: cellsOf(
          { ...together(carried), sendShare: undefined, receiveShare: undefined },
          { up: [''], down: [''] },
        ),
        subflows: openOnes(connection).map(subflow => {
          const { access, state, backup, local, remote } = subflow
          const { up, down } = rttNow({ ...subflow, available: true })
          return {
            access: access ?? '?',
            kind: state === 'joining' ? state : backup ? 'backup' : 'in use',
            ends: `${local} → ${remote}`,
            cells: cellsOf(subflow, { up: [millisecondsInWords(up)], down: [millisecondsInWords(down)] }),
          } as const
        }),
      }
    }),
  }
}

/** @param more of each direction, between the share and the bytes */
function cellsOf(
  { sendRate, sendShare, bytesSent, receiveRate, receiveShare, bytesReceived }: Traffic,
  more: EachWay<string[]> = { up: [], down: [] },
): EachWay<string[]> {
  return {
    up: [rateInWords(sendRate), percentInWords(sendShare), ...more.up, bytesInWords(bytesSent)],
    down: [rateInWords(receiveRate), percentInWords(receiveShare), ...more.down, bytesInWords(bytesReceived)],
  }
}
