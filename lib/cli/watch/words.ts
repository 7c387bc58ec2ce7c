/** Quantities, accesses and events in words. */
import type { AccessType } from '../../policy/rules/rule.js'
import type { Traffic, TrafficByAccess } from '../../runtime/steering/rates.js'
import { sumOf } from '../../runtime/steering/subflow-report.js'
import type { Snapshot, WatchEvent, WatchedConnection } from '../../runtime/watch/messages.js'

/** `12.3 Mbit/s`. */
export function rateInWords(bits: number | undefined): string {
  if (bits === undefined) return UNKNOWN
  if (bits < 1e3) return `${bits.toFixed(0)} bit/s`
  if (bits < 1e6) return `${(bits / 1e3).toFixed(1)} kbit/s`
  return bits < 1e9 ? `${(bits / 1e6).toFixed(1)} Mbit/s` : `${(bits / 1e9).toFixed(2)} Gbit/s`
}

/** `20.4 ms`. */
export function millisecondsInWords(ms: number | undefined): string {
  return ms === undefined ? UNKNOWN : `${ms.toFixed(1)} ms`
}

/** `45 ms`, `1.2 s`, `2 min 5 s`. */
export function durationInWords(ms: number): string {
  if (ms < 999.5) return `${Math.round(ms)} ms`
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`
  const seconds = Math.round(ms / 1000)
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`
}

/** `1.5 %`. */
export function lossInWords(permille: number | undefined): string {
  return percentInWords(permille === undefined ? undefined : permille / 10, 1)
}

/** `20 %`. */
export function percentInWords(percent: number | undefined, digits = 0): string {
  return percent === undefined ? UNKNOWN : `${percent.toFixed(digits)} %`
}

/** A figure that is not known. */
export const UNKNOWN = '–'

/** `1.2 MB`. */
export function bytesInWords(bytes: number): string {
  if (bytes < 1e3) return `${bytes} B`
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(1)} kB`
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`
}

/** `1 handover`, `2 handovers`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}

/** `14:03:05.2`, local time. */
export function timeInWords(at: number): string {
  const date = new Date(at)
  const two = (part: number) => String(part).padStart(2, '0')
  const tenth = Math.floor(date.getMilliseconds() / 100)
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${tenth}`
}

/** The order in which both accesses are shown. */
export const SHOWN: readonly AccessType[] = ['non-3gpp', '3gpp']

export type Titles = Readonly<Record<AccessType, string>>

/**
 * The everyday names of both accesses, such as Wi-Fi. They follow from the names that Linux and systemd give to interfaces: the
 * interface itself may be in another network namespace.
 */
export function titlesOf(accesses: Readonly<Record<AccessType, { interface: string }>>): Titles {
  return { '3gpp': 'Cellular', 'non-3gpp': titleOf(accesses['non-3gpp'].interface) }
}

function titleOf(interfaceName: string): string {
  if (/^(wl|wifi|ath|ra\d)/.test(interfaceName)) return 'Wi-Fi'
  return /^(en|eth)/.test(interfaceName) ? 'Ethernet' : 'Non-3GPP'
}

export function happeningInWords(happening: WatchEvent, titles: Titles): string {
  switch (happening.event) {
    case 'access':
      return `${titles[happening.access]} is ${happening.available ? 'available' : 'lost'}: ${happening.why}`
    case 'action': {
      const { connection, action, error } = happening
      const whose = connection === undefined ? '' : `#${connection} `
      return `${whose}${actionInWords(action, titles)}: ${action.why}${error === undefined ? '' : `; the kernel refused: ${error}`}`
    }
    case 'handover':
      return handoversInWords([happening], titles)
    case 'rules':
      return `rules: ${rulesNamed(happening)}`
    case 'degraded':
    case 'problem':
      return happening.message
  }
}

/** The same in as few words as fit beside a line in a chart. */
export function labelOf(happening: WatchEvent, titles: Titles): string {
  switch (happening.event) {
    case 'access':
      return `${titles[happening.access]} ${happening.available ? 'back' : 'lost'}`
    case 'degraded':
    case 'problem':
      return 'degraded'
    default:
      return happeningInWords(happening, titles).split(': ').slice(0, 2).join(': ')
  }
}

/** Of connections that have moved the same way at the same time: how many, and the longest gap. */
export function handoversInWords(
  handovers: readonly Pick<WatchEvent & { event: 'handover' }, 'connection' | 'from' | 'to' | 'gapMs'>[],
  titles: Titles,
): string {
  const [{ connection, from, to }] = handovers as [(typeof handovers)[number]]
  const longest = longestGap(handovers)
  const of =
    handovers.length > 1 ? ` of ${handovers.length} connections` : connection === undefined ? '' : ` of #${connection}`
  const which = handovers.length > 1 ? 'longest gap' : 'gap'
  const gap = longest === undefined ? 'nothing was interrupted' : `${which} ${durationInWords(longest)}`
  return `handover${of} from ${titles[from]} to ${titles[to]}: ${gap}`
}

/**
 * Events as a person counts them, the oldest first: all connections of an access move at the same time, and the same is done to the
 * subflows of all of them, so that is one event, at the time of the first.
 */
export function eventsInWords(
  happenings: readonly WatchEvent[],
  titles: Titles,
): { first: WatchEvent; text: string }[] {
  const groups: WatchEvent[][] = []
  const open = new Map<string, WatchEvent[]>()
  for (const happening of happenings) {
    const key = groupOf(happening, titles)
    const group = key === undefined ? undefined : open.get(key)
    if (group && happening.at - group.at(-1)!.at < TOGETHER_MS) {
      group.push(happening)
      continue
    }
    const begun = [happening]
    groups.push(begun)
    if (key !== undefined) open.set(key, begun)
  }
  return groups.map(group => ({ first: group[0]!, text: groupInWords(group, titles) }))
}

/** Milliseconds. A slider that moves, or connections that follow each other, are one event for people. */
export const TOGETHER_MS = 2_000

/** Undefined: it stands alone. */
function groupOf(happening: WatchEvent, titles: Titles): string | undefined {
  if (happening.event === 'handover') return `handover ${happening.from} ${happening.to}`
  return happening.event === 'action' ? ofAny(happening, titles) : undefined
}

/** Of whichever connection and subflow. */
function ofAny(happening: WatchEvent & { event: 'action' }, titles: Titles): string {
  return happeningInWords({ ...happening, connection: undefined }, titles).replace(/\bsubflow \d+/, 'subflow')
}

function groupInWords(group: readonly WatchEvent[], titles: Titles): string {
  const [first] = group as [WatchEvent]
  const handovers = group.filter(happening => happening.event === 'handover')
  if (handovers.length > 0) return handoversInWords(handovers, titles)
  const connections = new Set(
    group.flatMap(happening => ('connection' in happening ? (happening.connection ?? []) : [])),
  )
  if (first.event !== 'action' || connections.size < 2) return happeningInWords(first, titles)
  return `${connections.size} connections: ${ofAny(first, titles)}`
}

/** Undefined: no connection was interrupted. */
export function longestGap(handovers: readonly { gapMs?: number | undefined }[]): number | undefined {
  const known = handovers.flatMap(({ gapMs }) => (gapMs === undefined ? [] : [gapMs]))
  return known.length === 0 ? undefined : Math.max(...known)
}

function rulesNamed({ names, preset }: { names: readonly string[]; preset?: string | undefined }): string {
  return preset ?? (names.join(', ') || 'none')
}

/** The rules of a session in a few words: a preset's name, the share of a single rule for everything, or the names of all. */
export function rulesInWords(snapshot: Pick<Snapshot, 'preset' | 'rules'>): string {
  const { preset } = snapshot
  const percent = percentOfAll(snapshot)
  if (percent !== undefined) return `${percent} % over cellular`
  return rulesNamed({ preset, names: inForce(snapshot).map(({ name = '' }) => name) })
}

/** The percentage over 3GPP access, if that is all that the rules say. */
export function percentOfAll(snapshot: Pick<Snapshot, 'preset' | 'rules'>): number | undefined {
  const [only, ...more] = inForce(snapshot)
  if (!only || more.length > 0 || !only.traffic.some(({ type }) => type === 'match-all')) return undefined
  const { steering } = only
  return steering?.mode === 'load-balancing' && steering.indicator === undefined && steering.thresholds === undefined
    ? steering.percent3gpp
    : undefined
}

function inForce({ rules }: Pick<Snapshot, 'rules'>): Snapshot['rules'] {
  return rules.filter(({ steering, replaced }) => steering && !replaced)
}

/** What a session can do about its connections. */
export function levelInWords(level: Snapshot['level']): { text: string; why: string; isFull: boolean } {
  switch (level) {
    case 'userspace':
      return { text: 'full steering', why: 'each connection is steered separately', isFull: true }
    case 'kernel':
      return {
        text: 'limited steering',
        why: "the kernel's path manager makes the subflows, by the same flags for all",
        isFull: false,
      }
    case 'shared':
      return { text: 'limited steering', why: 'endpoints of other programs make the subflows', isFull: false }
    case 'none':
      return { text: 'no steering', why: 'only new connections follow the rules; atsss doctor says why', isFull: false }
    case undefined:
      return { text: 'starting', why: 'what can be steered is not known yet', isFull: false }
  }
}

/** The subflows, without a destroyed first one, which the kernel keeps. */
export function openOnes({ subflows }: WatchedConnection): WatchedConnection['subflows'] {
  return subflows.filter(({ state }) => state !== 'closed')
}

/** What both accesses carry together. The shares are those of 3GPP access. */
export function together({ '3gpp': one, 'non-3gpp': other }: TrafficByAccess): Traffic {
  const sum = (a: number | undefined, b: number | undefined) => (a === undefined || b === undefined ? undefined : a + b)
  return {
    ...sumOf(one, other),
    sendRate: sum(one.sendRate, other.sendRate),
    receiveRate: sum(one.receiveRate, other.receiveRate),
    sendShare: one.sendShare,
    receiveShare: one.receiveShare,
  }
}

function actionInWords(action: (WatchEvent & { event: 'action' })['action'], titles: Titles): string {
  if (action.do === 'create') return `new subflow over ${titles[action.access]}${action.backup ? ', as backup' : ''}`
  if (action.do === 'destroy') return `subflow ${action.subflow} closed`
  if (action.do === 'ask') return `asking the peer over subflow ${action.subflow} what has arrived`
  return `subflow ${action.subflow} ${action.backup ? 'is a backup now' : 'is in use now'}`
}
