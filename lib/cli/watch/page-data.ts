/** Turns a snapshot into words and numbers for the page. Pure. */
import { hostAndPort } from '../../input/addresses.js'
import type { AccessType } from '../../policy/rules/rule.js'
import type { Traffic } from '../../runtime/steering/rates.js'
import type { Snapshot, WatchedConnection } from '../../runtime/watch/messages.js'
import { handlingInWords, trafficInWords } from '../rules/words.js'
import { type EachWay, rttNow } from './history.js'
import {
  bytesInWords,
  counted,
  durationInWords,
  levelInWords,
  lossInWords,
  millisecondsInWords,
  openOnes,
  percentInWords,
  percentOfAll,
  rateInWords,
  rulesInWords,
  SHOWN,
  type Titles,
  titlesOf,
  together,
} from './words.js'

/** What is not known is absent. */
export interface PageData {
  level: { text: string; why: string; isFull: boolean }
  counts: string
  accesses: PageAccess[]
  rules: PageRule[]
  /** What the form for rules shows. */
  present: PresentRules
  connections: PageConnection[]
  lastHandover: PageHandover | undefined
}

export interface PageHandover {
  /** Milliseconds since 1970. */
  at: number
  from: string
  to: string
  /** Undefined: nothing was interrupted. */
  gap: string | undefined
}

interface PageAccess {
  access: AccessType
  title: string
  interface: string
  state: 'available' | 'silent' | 'lost'
  why: string
  /** Whether its rates are known: they are after the first moments of a session. */
  isMeasured: boolean
  rates: EachWay<string>
  shares: EachWay<string>
  bytes: EachWay<string>
  rtt: string
  /** Where the round-trip time comes from. */
  rttFrom: string
  /** Undefined: not known. */
  loss: string | undefined
}

interface PageRule {
  title: string
  isReplaced: boolean
  traffic: string
  steering: string
  open: string
  handovers: string
  rates: EachWay<string>
  bytes: EachWay<string>
  /** The share of each direction that is carried over 3GPP access. */
  overCellular: EachWay<string>
}

interface PresentRules {
  /** The rules in a few words. */
  text: string
  /** Which choice of the form they are. */
  choice: string
  /** Of the choice `share`. */
  percent: number | undefined
}

interface PageConnection extends PageFlow {
  title: string
  /** Undefined: MPTCP. Otherwise why not. */
  tcp: string | undefined
  details: string
  subflows: (PageFlow & { access: AccessType | undefined; title: string; kind: string; details: string })[]
}

interface PageFlow {
  rates: EachWay<string>
  bytes: EachWay<string>
  rtt: string
}

export function describeSnapshot(snapshot: Snapshot): PageData {
  const titles = titlesOf(snapshot.accesses)
  const percent = percentOfAll(snapshot)
  return {
    level: levelInWords(snapshot.level),
    counts: [
      `${snapshot.connectionsOpen} open`,
      counted(snapshot.handovers, 'handover'),
      ...(snapshot.fallbacks > 0 ? [`${snapshot.fallbacks} became TCP`] : []),
    ].join(', '),
    accesses: SHOWN.map(access => accessOf(snapshot, access, titles)),
    rules: snapshot.rules.map(rule => ruleOf(rule, titles)).sort((a, b) => Number(a.isReplaced) - Number(b.isReplaced)),
    present: {
      text: rulesInWords(snapshot),
      choice: snapshot.preset ?? (percent === undefined ? 'json' : 'share'),
      percent,
    },
    connections: snapshot.connections.map(connection => connectionOf(snapshot, connection, titles)),
    lastHandover: snapshot.lastHandover && handoverOf(snapshot.lastHandover, titles),
  }
}

export function handoverOf(
  { at, from, to, gapMs }: { at: number; from: AccessType; to: AccessType; gapMs?: number | undefined },
  titles: Titles,
): PageHandover {
  return { at, from: titles[from], to: titles[to], gap: gapMs === undefined ? undefined : durationInWords(gapMs) }
}

function accessOf({ accesses, connections }: Snapshot, access: AccessType, titles: Titles): PageAccess {
  const now = accesses[access]
  const { available, suspected, why, lossPermille, receiveLossPermille } = now
  const { rtt, rttFrom } = rttOf(access, now, connections)
  const losses = [
    ...(receiveLossPermille === undefined ? [] : [`↓ ${lossInWords(receiveLossPermille)}`]),
    ...(lossPermille === undefined ? [] : [`↑ ${lossInWords(lossPermille)}`]),
  ]
  return {
    access,
    title: titles[access],
    interface: now.interface,
    state: available ? 'available' : suspected ? 'silent' : 'lost',
    why,
    isMeasured: now.sendRate !== undefined || now.receiveRate !== undefined,
    ...carriedOf(now),
    shares: { up: percentInWords(now.sendShare), down: percentInWords(now.receiveShare) },
    rtt,
    rttFrom,
    loss: losses.length === 0 ? undefined : losses.join(' '),
  }
}

/** An access that carries nothing has been measured by its subflows' handshakes at least. */
function rttOf(
  access: AccessType,
  now: Snapshot['accesses'][AccessType],
  connections: readonly WatchedConnection[],
): { rtt: string; rttFrom: string } {
  const { up, down } = rttNow(now)
  if (up !== undefined && down !== undefined && Math.round(up) !== Math.round(down))
    return { rtt: `↓ ${shortly(down)} ↑ ${shortly(up)}`, rttFrom: 'what waits in a queue on the way is part of it' }
  const known = up ?? down
  if (known !== undefined) return { rtt: shortly(known), rttFrom: 'what waits in a queue on the way is part of it' }
  const idle = connections.flatMap(one =>
    openOnes(one).flatMap(subflow =>
      subflow.access === access && subflow.rttMs !== undefined && now.available ? [subflow.rttMs] : [],
    ),
  )
  if (idle.length === 0) return { rtt: '–', rttFrom: 'not measured' }
  return { rtt: shortly(Math.min(...idle)), rttFrom: 'when its subflow was made: it carries nothing now' }
}

function ruleOf(rule: Snapshot['rules'][number], titles: Titles): PageRule {
  const { name, replaced = false, traffic, steering, connections, handovers, carried } = rule
  const all = together(carried)
  return {
    title: name ?? 'no rule',
    isReplaced: replaced,
    traffic: steering ? trafficInWords({ traffic }) : 'what no rule matches',
    steering: handlingInWords(rule, titles),
    open: String(connections),
    handovers: String(handovers),
    ...carriedOf(all),
    overCellular: { up: percentInWords(all.sendShare), down: percentInWords(all.receiveShare) },
  }
}

function connectionOf({ rules }: Snapshot, connection: WatchedConnection, titles: Titles): PageConnection {
  const { id, host, port, rule, protocol, converter, convert, handovers, fallback, carried } = connection
  const name = rules.find(({ precedence }) => precedence === rule)?.name
  return {
    title: `#${id} ${hostAndPort(host, port)}`,
    tcp: protocol === 'tcp' ? (fallback ?? 'it is plain TCP, and stays on its access') : undefined,
    details: [
      converter ? `through ${converter}${convert === '0rtt' ? ', 0-RTT' : ''}` : 'direct',
      name === undefined ? 'no rule' : `rule ${name}`,
      ...(handovers > 0 ? [counted(handovers, 'handover')] : []),
    ].join(' · '),
    ...carriedOf(together(carried)),
    rtt: '',
    subflows: openOnes(connection)
      .sort((a, b) => orderOf(a.access) - orderOf(b.access))
      .map(subflow => {
        const { access, state, backup, local, remote } = subflow
        const { up, down } = rttNow({ ...subflow, available: true })
        return {
          access,
          title: access ? titles[access] : '?',
          kind: state === 'joining' ? 'joining' : backup ? 'backup' : 'in use',
          details: local === '' ? '' : `${local} → ${remote}`,
          ...carriedOf(subflow),
          rtt: millisecondsInWords(down === undefined ? up : Math.max(up ?? 0, down)),
        }
      }),
  }
}

function orderOf(access: AccessType | undefined): number {
  return access === undefined ? SHOWN.length : SHOWN.indexOf(access)
}

function carriedOf({ sendRate, receiveRate, bytesSent, bytesReceived }: Traffic): Pick<PageFlow, 'rates' | 'bytes'> {
  return {
    rates: { up: rateInWords(sendRate), down: rateInWords(receiveRate) },
    bytes: { up: bytesInWords(bytesSent), down: bytesInWords(bytesReceived) },
  }
}

function shortly(ms: number): string {
  return ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`
}
