/**
 * Priority-based: all traffic over the access of high priority until it is congested; then over the other one as well.
 * "How the UE detects congestion is implementation specific": by the rule's thresholds if it has any, otherwise by a round-trip
 * time far above that of the path itself.
 *
 * The path's own round-trip time is the smallest one measured. But paths change, and one that has become longer for good is not
 * congested. While next to nothing is carried there is no queue, and a long round trip means a longer path: only such
 * measurements replace the smallest one. While much is carried, a queue that never empties stays a queue, however long it lasts.
 */

import type { AccessType, Steering, Thresholds } from '../rules/rule.js'
import { BOTH, currentRtt, isFresh, onlyOneLeft, otherAccess, usesOf, type Wanted } from './accesses.js'
import type { Accesses, AccessState } from './snapshot.js'

/** By access. */
export type CongestionMemory = Partial<Record<AccessType, Congestion>>

export interface Congestion {
  /** Whether it is over its limits, after hysteresis. */
  over: boolean
  /** Since when the measurements contradict `over`; undefined while they agree. */
  otherwiseSince: number | undefined
  /** The path's own round-trip time, in milliseconds: the smallest one measured, or that of the last window with little traffic. */
  minRttMs: number
  /** The smallest longer one measured since then with little traffic; undefined: none. */
  longer: { rttMs: number; since: number } | undefined
}

/** How long it must be over the limits to count as congested, and under them to count no longer. */
const RISE_MS = 200
const FALL_MS = 2_000
/** Under means below this share of the limit. */
const UNDER = 0.8
/** Without thresholds: a queue longer than the path's own delay, and longer than this, is congestion. */
const QUEUE_MS = 25
/** Such a queue has gone when it is below this share of that. */
const QUEUE_GONE = 0.5
/** How long the path must be longer to count as such: as long as BBR keeps its minimum (RTpropFilterLen). */
const LONGER_MS = 10_000
/** So many bytes in a round trip make no queue: four segments, which any new connection may send at once (RFC 3390). */
const LITTLE_BYTES = 4 * 1_460

export function priorityBased(
  { high, thresholds }: Extract<Steering, { mode: 'priority-based' }>,
  accesses: Accesses,
  before: CongestionMemory | undefined,
  now: number,
): Wanted & { congestion: CongestionMemory } {
  const state = observe(accesses[high], before?.[high], now, minRttMs => limitsOf(thresholds, minRttMs))
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
    '3gpp': observe(accesses['3gpp'], before?.['3gpp'], now, () => limitsOf(thresholds, 0)),
    'non-3gpp': observe(accesses['non-3gpp'], before?.['non-3gpp'], now, () => limitsOf(thresholds, 0)),
  }
  return { over: BOTH.filter(access => congestion[access].over), congestion }
}

/** What counts as congestion, and what counts as congestion still. */
interface Limits {
  over: Thresholds
  still: Thresholds
}

/** @param thresholds undefined: a rule without any */
function limitsOf(thresholds: Thresholds | undefined, minRttMs: number): Limits {
  if (!thresholds) {
    const queueMs = Math.max(minRttMs, QUEUE_MS)
    return { over: { rttMs: minRttMs + queueMs }, still: { rttMs: minRttMs + QUEUE_GONE * queueMs } }
  }
  const { rttMs, lossPermille } = thresholds
  const below = (limit: number | undefined) => limit && limit * UNDER
  const still = { rttMs: below(rttMs), lossPermille: below(lossPermille) } as Thresholds
  return { over: thresholds, still }
}

/** The path's own round-trip time. */
type PathRtt = Pick<Congestion, 'minRttMs' | 'longer'>

const UNMEASURED: PathRtt = { minRttMs: Number.POSITIVE_INFINITY, longer: undefined }

function pathRtt(access: AccessState, { minRttMs, longer }: PathRtt, now: number): PathRtt {
  const { rttMs, rttAt, bytesPerSecond } = access
  if (rttMs === undefined || !isFresh(access, now)) return { minRttMs, longer }
  if (rttMs <= minRttMs) return { minRttMs: rttMs, longer: undefined }
  // Measured while more was carried, or counted already.
  if (rttAt < now || (bytesPerSecond * rttMs) / 1000 > LITTLE_BYTES) return { minRttMs, longer }
  const seen = { rttMs: Math.min(rttMs, longer?.rttMs ?? rttMs), since: longer?.since ?? now }
  return now - seen.since < LONGER_MS ? { minRttMs, longer: seen } : { minRttMs: seen.rttMs, longer: undefined }
}

/** An access that was lost is a new path. One that has not been measured lately is not over its limits. */
function observe(
  access: AccessState,
  before: Congestion | undefined,
  now: number,
  limits: (minRttMs: number) => Limits,
): Congestion {
  if (!access.available) return { over: false, otherwiseSince: undefined, ...UNMEASURED }
  const rttMs = currentRtt(access, now)
  const path = pathRtt(access, before ?? UNMEASURED, now)
  const was = before?.over ?? false
  const limit = limits(path.minRttMs)[was ? 'still' : 'over']
  const over =
    isOver(rttMs, limit.rttMs) || isOver(greater(access.lossPermille, access.receiveLossPermille), limit.lossPermille)
  if (over === was) return { over, otherwiseSince: undefined, ...path }
  const otherwiseSince = before?.otherwiseSince ?? now
  const long = now - otherwiseSince >= (over ? RISE_MS : FALL_MS)
  return long ? { over, otherwiseSince: undefined, ...path } : { over: was, otherwiseSince, ...path }
}

function greater(one: number | undefined, other: number | undefined): number | undefined {
  return one === undefined || other === undefined ? (one ?? other) : Math.max(one, other)
}

function isOver(value: number | undefined, limit: number | undefined): boolean {
  return value !== undefined && limit !== undefined && value > limit
}
