/** Turns successive snapshots into rates over time. Pure. */
import type { AccessType } from '../../policy/rules/rule.js'
import type { Snapshot, WatchedAccess } from '../../runtime/watch/messages.js'

/** One value for what is sent, and one for what is received. */
export interface EachWay<T> {
  up: T
  down: T
}

/** The state at one moment. */
export interface Moment {
  /** Milliseconds since 1970. */
  at: number
  /** Bits per second, since the moment before. */
  rates: Record<AccessType, EachWay<number>>
  /** The round-trip time that steering sees: of the direction with the longer queue. Undefined: nothing measures it now. */
  rttMs: Record<AccessType, number | undefined>
}

export interface History {
  /** At most `MOMENTS`, the oldest first. */
  moments: readonly Moment[]
  last: Snapshot | undefined
  /** When the round-trip time of each access was last seen to be measured; milliseconds since 1970. */
  measuredAt: Readonly<Record<AccessType, number>>
}

/** The most moments that are kept: two minutes at the default interval. */
export const MOMENTS = 480
/** A round-trip time is shown for this long, in milliseconds, after something last measured it. */
const FRESH_MS = 1500

const NEVER = Number.NEGATIVE_INFINITY

export const NO_HISTORY: History = { moments: [], last: undefined, measuredAt: { '3gpp': NEVER, 'non-3gpp': NEVER } }

/** No rate if a counter went back: it is another session's. */
export function next({ moments, last, measuredAt }: History, snapshot: Snapshot): History {
  const seconds = last ? (snapshot.at - last.at) / 1000 : 0
  if (!last || seconds <= 0) return { moments, last: snapshot, measuredAt }
  const { accesses, at } = snapshot
  const rate = (type: AccessType) => rates(last.accesses[type], accesses[type], seconds)
  const measured = (type: AccessType) =>
    isMeasured(last.accesses[type], accesses[type]) ? at : Math.min(measuredAt[type], at)
  const when = { '3gpp': measured('3gpp'), 'non-3gpp': measured('non-3gpp') }
  const rtt = (type: AccessType) => (at - when[type] < FRESH_MS ? longestRtt(accesses[type]) : undefined)
  const moment: Moment = {
    at,
    rates: { '3gpp': rate('3gpp'), 'non-3gpp': rate('non-3gpp') },
    rttMs: { '3gpp': rtt('3gpp'), 'non-3gpp': rtt('non-3gpp') },
  }
  return { moments: [...moments.slice(1 - MOMENTS), moment], last: snapshot, measuredAt: when }
}

/** Whether something was measured between two snapshots: what was measured before stays in them. */
function isMeasured(before: WatchedAccess, after: WatchedAccess): boolean {
  const { bytesSent, bytesReceived, rttMs } = before
  return after.rttMs !== rttMs || after.bytesSent > bytesSent || after.bytesReceived > bytesReceived
}

function longestRtt(access: WatchedAccess): number | undefined {
  const { up, down } = rttNow(access)
  return up === undefined || down === undefined ? (up ?? down) : Math.max(up, down)
}

/**
 * A lost access has no present measurements. That of what is received counts from a rate on at which data follow each other closely:
 * else it measures the pauses of the sender.
 */
export function rttNow({
  available,
  rttMs,
  receiveRttMs,
  receiveRate = 0,
}: Pick<WatchedAccess, 'available' | 'rttMs' | 'receiveRttMs' | 'receiveRate'>): EachWay<number | undefined> {
  if (!available) return { up: undefined, down: undefined }
  return { up: rttMs, down: receiveRate >= CLOSE_RATE ? receiveRttMs : undefined }
}

/** Bits per second: a full packet every 12 ms. */
const CLOSE_RATE = 1e6

interface Counters {
  bytesSent: number
  bytesReceived: number
}

function rates(before: Counters, after: Counters, seconds: number): EachWay<number> {
  const bits = (name: keyof Counters) => Math.max(0, ((after[name] - before[name]) * 8) / seconds)
  return { up: bits('bytesSent'), down: bits('bytesReceived') }
}
