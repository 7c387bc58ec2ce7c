/**
 * Priority-based: all traffic over the access of high priority until it is congested; then over the other one as well.
 * "How the UE detects congestion is implementation specific": thresholds tell it where the rule has them, otherwise a
 * round-trip time far above the path's own.
 *
 * The path's own is the smallest one seen; but paths change, and one that has become longer for good is not congested. A long
 * round trip is a longer path where next to nothing is carried, which makes no queue: so only what is measured then lets the
 * smallest one grow old. While much is carried, a queue that never empties stays a queue, however long it lasts.
 */

import type { AccessType, Steering, Thresholds } from '../rules/rule.js'
import { BOTH, isFresh, onlyOneLeft, otherAccess, usesOf, type Wanted } from './accesses.js'
import type { Accesses, AccessState } from './snapshot.js'

/** By access. */
export type CongestionMemory = Partial<Record<AccessType, Congestion>>

export interface Congestion {
  /** Over its limits, after hysteresis. */
  over: boolean
  /** Since when the measurement has said otherwise than `over`; undefined while it agrees. */
  otherwiseSince: number | undefined
  /** The path's own round-trip time, in milliseconds: the smallest one seen, or of the last window while little was carried. */
  leastRttMs: number
  /** The smallest one seen since then while little was carried, that was longer; undefined: none. */
  longer: { rttMs: number; since: number } | undefined
}

/** So long over before it counts, so long under before it no longer does. */
const RISE_MS = 200
const FALL_MS = 2_000
/** Under means under this share of the limit. */
const UNDER = 0.8
/** Without thresholds: a queue of more than the path's own delay, and of more than this, is congestion. */
const QUEUE_MS = 50
/** So long it has to be longer. BBR's minimum lasts as long (RTpropFilterLen). */
const LONGER_MS = 10_000
/** So many bytes in a round trip make no queue: four segments, of which any new connection may send as many at once (RFC 3390). */
const LITTLE_BYTES = 4 * 1_460

export function priorityBased(
  { high, thresholds }: Extract<Steering, { mode: 'priority-based' }>,
  accesses: Accesses,
  before: CongestionMemory | undefined,
  now: number,
): Wanted & { congestion: CongestionMemory } {
  const state = observe(accesses[high], before?.[high], now, thresholds ?? ownLimits)
  const congestion = { [high]: state }
  const left = onlyOneLeft(accesses)
  if (left) return { ...left, congestion }
  return state.over
    ? { uses: usesOf(high, 'active', 'active'), why: `${high} is congested: ${otherAccess(high)} too`, congestion }
    : { uses: usesOf(high, 'active', 'backup'), why: `${high} has priority`, congestion }
}

/** Which accesses are over the thresholds, after hysteresis. */
export function overThresholds(
  thresholds: Thresholds | undefined,
  accesses: Accesses,
  before: CongestionMemory | undefined,
  now: number,
): { over: AccessType[]; congestion: CongestionMemory } {
  if (!thresholds) return { over: [], congestion: {} }
  const congestion = {
    '3gpp': observe(accesses['3gpp'], before?.['3gpp'], now, thresholds),
    'non-3gpp': observe(accesses['non-3gpp'], before?.['non-3gpp'], now, thresholds),
  }
  return { over: BOTH.filter(access => congestion[access].over), congestion }
}

function ownLimits(leastRttMs: number): Thresholds {
  return { rttMs: leastRttMs + Math.max(leastRttMs, QUEUE_MS) }
}

/** The path's own round-trip time. */
type Least = Pick<Congestion, 'leastRttMs' | 'longer'>

const UNSEEN: Least = { leastRttMs: Number.POSITIVE_INFINITY, longer: undefined }

function least(access: AccessState, { leastRttMs, longer }: Least, now: number): Least {
  const { rttMs, rttAt, bytesPerSecond } = access
  if (rttMs === undefined || !isFresh(access, now)) return { leastRttMs, longer }
  if (rttMs <= leastRttMs) return { leastRttMs: rttMs, longer: undefined }
  // Of a time when more was carried, or counted already.
  if (rttAt < now || (bytesPerSecond * rttMs) / 1000 > LITTLE_BYTES) return { leastRttMs, longer }
  const seen = { rttMs: Math.min(rttMs, longer?.rttMs ?? rttMs), since: longer?.since ?? now }
  return now - seen.since < LONGER_MS ? { leastRttMs, longer: seen } : { leastRttMs: seen.rttMs, longer: undefined }
}

/** An access that went and came is another one; one that has not been measured lately is over nothing. */
function observe(
  access: AccessState,
  before: Congestion | undefined,
  now: number,
  limits: Thresholds | ((leastRttMs: number) => Thresholds),
): Congestion {
  if (!access.available) return { over: false, otherwiseSince: undefined, ...UNSEEN }
  const rttMs = isFresh(access, now) ? access.rttMs : undefined
  const path = least(access, before ?? UNSEEN, now)
  const was = before?.over ?? false
  const limit = typeof limits === 'function' ? limits(path.leastRttMs) : limits
  const over = isOver(rttMs, limit.rttMs, was) || isOver(access.lossPermille, limit.lossPermille, was)
  if (over === was) return { over, otherwiseSince: undefined, ...path }
  const otherwiseSince = before?.otherwiseSince ?? now
  const long = now - otherwiseSince >= (over ? RISE_MS : FALL_MS)
  return long ? { over, otherwiseSince: undefined, ...path } : { over: was, otherwiseSince, ...path }
}

function isOver(value: number | undefined, limit: number | undefined, was: boolean): boolean {
  return value !== undefined && limit !== undefined && value > limit * (was ? UNDER : 1)
}
