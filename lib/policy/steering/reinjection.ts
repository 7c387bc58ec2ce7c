/**
 * When to send again, over another subflow, what a lost subflow carried: at once, or after asking the peer what of it has
 * arrived.
 *
 * As soon as the lost subflow is destroyed, the kernel assigns all that is not acknowledged to the other one, from the oldest
 * byte on, and takes nothing of it back. Part of it has arrived: acknowledgements of half a round trip were lost with the access;
 * if only the address is gone, everything on its way has arrived. A standby begins with a congestion window of ten segments
 * (RFC 6928), which doubles with each round trip: data that has arrived already may keep it busy for several of them, while the
 * peer waits for the first byte that it lacks. Asking the peer first costs one round trip.
 *
 * Meanwhile the kernel may send the oldest piece again by itself, over the standby. Then it does not send the probe; but the
 * acknowledgement of that piece is as good an answer, and is awaited in the same way.
 */
import type { SubflowState } from './snapshot.js'

/** The share of unacknowledged data that has arrived: the rest is on its way, not its acknowledgement. */
const HALF = 0.5
/** With a window that doubles, this many windows are sent in the round trip that asking takes. */
const WINDOWS_PER_ROUND_TRIP = 3
/** Linux asks over a subflow only if nothing was received on it for a second (TCP_KEEPIDLE); in milliseconds. */
const QUIET_MS = 1_050
/** How long to wait for an answer: this many round trips plus this many milliseconds. */
const PATIENCE_ROUND_TRIPS = 1.5
const PATIENCE_MS = 20
/** When the peer may be asked again, in milliseconds. */
const ASKED_MS = 1_000

/**
 * @param lost the subflows on one access that are to be destroyed
 * @param others those on the other access, which will send again
 */
export function reinjection(
  lost: readonly SubflowState[],
  others: readonly SubflowState[],
  now: number,
): 'at once' | 'ask' | 'wait' {
  const arrived = lost.reduce((sum, { unacked, addressGone }) => sum + unacked * (addressGone ? 1 : HALF), 0)
  const window = Math.max(0, ...others.map(other => other.window))
  if (arrived <= window * WINDOWS_PER_ROUND_TRIP) return 'at once'
  const asked = others.filter(({ askedAt }) => now - askedAt < ASKED_MS)
  if (asked.length > 0) return asked.some(other => awaitsAnswer(other, now)) ? 'wait' : 'at once'
  return others.some(({ receivedAt }) => now - receivedAt >= QUIET_MS) ? 'ask' : 'at once'
}

/** Whether the peer may be asked, judging by how much is on its way, whatever the windows of the others. */
export function mayBeAsked({ unacked }: SubflowState): boolean {
  return unacked > WINDOWS_PER_ROUND_TRIP
}

/** Whether the peer was asked over it, and may still answer. */
export function awaitsAnswer({ askedAt, receivedAt, rttMs }: SubflowState, now: number): boolean {
  return receivedAt <= askedAt && now < askedAt + rttMs * PATIENCE_ROUND_TRIPS + PATIENCE_MS
}
