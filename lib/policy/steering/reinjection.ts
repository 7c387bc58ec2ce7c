/**
 * What a lost subflow carried is sent again over another one: at once, or when the peer has said what of it has arrived.
 *
 * As soon as the lost subflow is destroyed, the kernel gives all that is not acknowledged to the other one, from the oldest
 * byte on, and takes nothing of it back. Part of it has arrived: the acknowledgements were lost with the access, half a round
 * trip's worth of them; all of what was on its way, where only the address has gone. A standby begins with a congestion window
 * of ten segments (RFC 6928) that doubles with each round trip: what has arrived already may keep it busy for several, while
 * the peer waits for the first byte that it lacks. To ask the peer first costs one.
 *
 * The kernel may send a first piece again by itself meanwhile, the oldest, over the standby: it has left, and the probe is not
 * sent then; but the acknowledgement of that piece is as good an answer, and is waited for just the same.
 */
import type { SubflowState } from './snapshot.js'

/** What is not acknowledged has yet to arrive, or its acknowledgement has. */
const HALF = 0.5
/** With a window that doubles, so many windows leave within the round trip that asking takes. */
const WINDOWS_PER_ROUND_TRIP = 3
/** In milliseconds: Linux asks over a subflow only when nothing has come in on it for a second (TCP_KEEPIDLE). */
const QUIET_MS = 1_050
/** How long an answer is waited for: so many round trips, and so many milliseconds. */
const PATIENCE_ROUND_TRIPS = 1.5
const PATIENCE_MS = 20
/** For so long, in milliseconds, the peer is not asked again. */
const ASKED_MS = 1_000

/**
 * @param lost on one access, and to be destroyed
 * @param others on the other access, that will send again
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
  return others.some(({ heardAt }) => now - heardAt >= QUIET_MS) ? 'ask' : 'at once'
}

/** Whether so much is on its way that the peer may be asked, whatever the windows of the others. */
export function mayBeAsked({ unacked }: SubflowState): boolean {
  return unacked > WINDOWS_PER_ROUND_TRIP
}

/** Whether the peer has been asked over it, and may yet answer. */
export function awaitsAnswer({ askedAt, heardAt, rttMs }: SubflowState, now: number): boolean {
  return heardAt <= askedAt && now < askedAt + rttMs * PATIENCE_ROUND_TRIPS + PATIENCE_MS
}
