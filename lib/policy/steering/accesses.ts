/** What all steering modes share: which accesses are available, what follows when one is not, and what is measured of them. */
import type { AccessType } from '../rules/rule.js'
import type { Accesses, AccessState, Use, Uses } from './snapshot.js'

export const BOTH: readonly AccessType[] = ['3gpp', 'non-3gpp']

/** How a steering mode wants a rule's connections to use the accesses. */
export interface Wanted {
  uses: Uses
  /** For people to read, and for the log. */
  why: string
}

export function otherAccess(access: AccessType): AccessType {
  return access === '3gpp' ? 'non-3gpp' : '3gpp'
}

/** The use of one access, and of the other. */
export function usesOf(access: AccessType, use: Use, otherUse: Use): Uses {
  return access === '3gpp' ? { '3gpp': use, 'non-3gpp': otherUse } : { '3gpp': otherUse, 'non-3gpp': use }
}

/** All traffic on the access that is left, if one is lost; undefined while both are available. */
export function onlyOneLeft(accesses: Accesses): Wanted | undefined {
  const [left, ...others] = BOTH.filter(access => accesses[access].available)
  if (others.length > 0) return undefined
  if (left === undefined)
    return {
      uses: { '3gpp': 'none', 'non-3gpp': 'none' },
      why: `${whyUnavailable(accesses, '3gpp')}; ${whyUnavailable(accesses, 'non-3gpp')}`,
    }
  return { uses: usesOf(left, 'active', 'none'), why: whyUnavailable(accesses, otherAccess(left)) }
}

export function whyUnavailable(accesses: Accesses, access: AccessType): string {
  return `${access} is not available: ${accesses[access].why}`
}

/** Whether its round-trip time is recent enough to decide by. */
export function isFresh(access: Pick<AccessState, 'rttMs' | 'rttAt'>, now: number): boolean {
  return access.rttMs !== undefined && now - access.rttAt < FRESH_MS
}

/**
 * The round-trip time to decide by, with the queues of the direction that has the longer ones; undefined: it was not measured
 * lately. What is sent and what is received have a queue each, and show only their own.
 */
export function currentRtt(
  access: Pick<AccessState, 'rttMs' | 'rttAt' | 'receiveRttMs' | 'receiveRttAt'>,
  now: number,
): number | undefined {
  const sent = isFresh(access, now) ? access.rttMs : undefined
  const received = now - access.receiveRttAt < RECEIVE_FRESH_MS ? access.receiveRttMs : undefined
  return sent === undefined || received === undefined ? (sent ?? received) : Math.max(sent, received)
}

/** A measurement older than this, in milliseconds, may not be true any more: an access without traffic is not measured. */
const FRESH_MS = 15_000
/** The same for what is received, in milliseconds: its queue is gone once nothing more is received. */
const RECEIVE_FRESH_MS = 1_000

/** What one subflow has transferred since the last scan. */
export interface Transfer {
  /** 0: not measured yet. */
  rttMs: number
  /** Bytes acknowledged since then; 1 for an answered handshake. 0: its round-trip time was measured earlier. */
  acked: number
  /** Bytes sent since then, including retransmissions. */
  sent: number
  retransmitted: number
  /** Bytes received since then. */
  received: number
  /** The round-trip time of what is received; undefined: not measured since then. */
  receiveRttMs: number | undefined
  /** Segments with data received since then, and how many of them came after a gap. Undefined: the kernel does not report it. */
  segments: number | undefined
  outOfOrder: number | undefined
}

/** What is remembered of an access from scan to scan. */
export interface Measured extends Measurements {
  /** Bytes sent, retransmitted, and received; older ones weigh less. */
  sent: number
  retransmitted: number
  received: number
  /** Segments with data received, and those lost before; older ones weigh less. */
  segments: number
  lost: number
  at: number
}

/** What is measured of an access. */
export type Measurements = Omit<AccessState, 'available' | 'suspected' | 'why' | 'lostAt'>

/** Of an access that nothing has used. */
export const NOT_MEASURED: Measurements = {
  rttMs: undefined,
  rttAt: Number.NEGATIVE_INFINITY,
  receiveRttMs: undefined,
  receiveRttAt: Number.NEGATIVE_INFINITY,
  lossPermille: undefined,
  receiveLossPermille: undefined,
  bytesPerSecond: 0,
}

export const UNMEASURED: Measured = {
  ...NOT_MEASURED,
  sent: 0,
  retransmitted: 0,
  received: 0,
  segments: 0,
  lost: 0,
  at: 0,
}

/** The weight of bytes halves in this time. */
const HALF_LIFE_MS = 2_000
/** At a constant rate, the weighted bytes are those of this many seconds. */
const SECONDS = HALF_LIFE_MS / 1000 / Math.LN2
/** Fewer bytes are too few to measure a loss in tenths of a percent. */
const LOSS_LEAST_BYTES = 50_000
const LOSS_LEAST_SEGMENTS = 40
/** The weight of a new round-trip time, which the kernel has smoothed already, in the smoothed one. */
const RTT_GAIN = 0.5

/**
 * Measures an access: the mean round-trip time of its subflows, weighted by the bytes acknowledged; the loss, as the share of
 * bytes that were retransmitted; and the load.
 */
export function measure(before: Measured, transfers: readonly Transfer[], now: number): Measured {
  const faded = 0.5 ** (Math.max(0, now - before.at) / HALF_LIFE_MS)
  const sum = (of: (one: Transfer) => number) => transfers.reduce((total, one) => total + of(one), 0)
  const sent = before.sent * faded + sum(one => one.sent)
  const retransmitted = before.retransmitted * faded + sum(one => one.retransmitted)
  const received = before.received * faded + sum(one => one.received)
  const lossPermille = sent < LOSS_LEAST_BYTES ? undefined : (1000 * retransmitted) / sent
  const segments = before.segments * faded + sum(one => one.segments ?? 0)
  const lost = before.lost * faded + sum(lostBefore)
  const receiveLossPermille = segments < LOSS_LEAST_SEGMENTS ? undefined : (1000 * lost) / segments
  // A subflow whose handshake was sent again may have no measurement yet, though data was acknowledged.
  const acked = sum(one => (one.rttMs > 0 ? one.acked : 0))
  const rest = {
    ...receiveRtt(before, transfers, now),
    lossPermille,
    receiveLossPermille,
    bytesPerSecond: (sent + received) / SECONDS,
    sent,
    retransmitted,
    received,
    segments,
    lost,
    at: now,
  }
  if (acked === 0) return { rttMs: before.rttMs, rttAt: before.rttAt, ...rest }
  const rtt = sum(one => one.rttMs * one.acked) / acked
  const known = isFresh(before, now)
  return { rttMs: known ? before.rttMs! + (rtt - before.rttMs!) * RTT_GAIN : rtt, rttAt: now, ...rest }
}

function receiveRtt(
  before: Measured,
  transfers: readonly Transfer[],
  now: number,
): Pick<Measured, 'receiveRttMs' | 'receiveRttAt'> {
  let weight = 0
  let total = 0
  for (const { receiveRttMs, received } of transfers) {
    if (receiveRttMs === undefined) continue
    weight += received
    total += receiveRttMs * received
  }
  if (weight === 0) return { receiveRttMs: before.receiveRttMs, receiveRttAt: before.receiveRttAt }
  const rtt = total / weight
  const isKnown = before.receiveRttMs !== undefined && now - before.receiveRttAt < RECEIVE_FRESH_MS
  const receiveRttMs = isKnown ? before.receiveRttMs! + (rtt - before.receiveRttMs!) * RTT_GAIN : rtt
  return { receiveRttMs, receiveRttAt: now }
}

/**
 * How many segments were lost before what was received: at least this many. Everything behind a lost segment comes out of order
 * until it is sent again, a round trip later.
 */
function lostBefore({ segments = 0, outOfOrder = 0 }: Transfer): number {
  return outOfOrder === 0 ? 0 : Math.max(1, Math.min(outOfOrder, segments) * LOST_PER_OUT_OF_ORDER)
}

/** A lost segment has some tens of segments behind it, at the usual rates and round trips. */
const LOST_PER_OUT_OF_ORDER = 0.02
