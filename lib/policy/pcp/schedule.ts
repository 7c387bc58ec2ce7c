/** When to send requests for a PCP mapping: the first, retransmissions, renewals, and after a refusal. RFC 6887 §8.1.1, §11.2.1, §15. */
import { type PcpResult, resultName } from '../../wire/pcp/index.js'

/** The schedule of one mapping at one server. Times are milliseconds on a monotonic clock. */
export interface Schedule {
  /**
   * `ask`: requests are sent until an answer comes. `renew`: the mapping exists, and is extended before it expires. `wait`: the server
   * would refuse the same request again.
   */
  pace: 'ask' | 'renew' | 'wait'
  /** When to send the next request. */
  dueAt: number
  /** RT: how long the last request of `ask` waits for its answer; 0 before the first. */
  timeout: number
  /** When the last request was sent. */
  sentAt: number
  grantedAt: number
  /** When the mapping expires; in the past if there is none. */
  expiresAt: number
  /** How many renewal requests have been sent. */
  renewals: number
}

/** IRT, milliseconds. RFC 6887 §8.1.1: "Initial retransmission time, SHOULD be 3 seconds". */
export const INITIAL_RETRANSMISSION = 3_000
/** MRT, milliseconds. §8.1.1: "Maximum retransmission time, SHOULD be 1024 seconds". */
export const MAXIMUM_RETRANSMISSION = 1_024_000
/** Milliseconds. §11.2.1: "renewal requests MUST NOT be sent less than four seconds apart". */
export const LEAST_PAUSE = 4_000
/** Seconds. §15: "Upon receipt of a PCP response with an absurdly long assigned lifetime […] a more sane value (e.g., 24 hours)". */
export const LONGEST_LIFETIME = 86_400

/** Seconds that a refusal lasts if the server gives no time. §7.4: "short lifetime errors use a 30-second lifetime and long […] 30-minute". */
const SHORT = 30
const LONG = 1_800

/** The results that are temporary, and do not affect an existing mapping. §7.4: "This is a short lifetime error." */
const PASSING: ReadonlySet<PcpResult | undefined> = new Set<PcpResult | undefined>([
  'network-failure',
  'no-resources',
  'user-ex-quota',
])

/** @param delay milliseconds until the first request */
export function begin(now: number, delay = 0): Schedule {
  const never = Number.NEGATIVE_INFINITY
  return { pace: 'ask', dueAt: now + delay, timeout: 0, sentAt: never, grantedAt: never, expiresAt: never, renewals: 0 }
}

/** @param random uniform, 0…1 */
export function sent(schedule: Schedule, now: number, random: number): Schedule {
  if (schedule.pace === 'renew') {
    const renewals = schedule.renewals + 1
    return { ...schedule, sentAt: now, renewals, ...nextRenewal(schedule, renewals, now, random) }
  }
  const { timeout } = schedule
  // §8.1.1: "RT = (1 + RAND) * MIN (2 * RTprev, MRT)", RAND "with a uniform distribution between -0.1 and +0.1".
  const base = timeout === 0 ? INITIAL_RETRANSMISSION : Math.min(2 * timeout, MAXIMUM_RETRANSMISSION)
  const next = (0.9 + 0.2 * random) * base
  return { ...schedule, pace: 'ask', timeout: next, sentAt: now, dueAt: now + next }
}

/** @param lifetime seconds, as the server says */
export function granted({ sentAt }: Schedule, lifetime: number, now: number, random: number): Schedule {
  const expiresAt = now + Math.min(lifetime, LONGEST_LIFETIME) * 1000
  const held: Schedule = { pace: 'renew', dueAt: 0, timeout: 0, sentAt, grantedAt: now, expiresAt, renewals: 0 }
  return { ...held, ...nextRenewal(held, 0, now, random) }
}

/** @param lifetime seconds, as the server says */
export function refused(schedule: Schedule, result: number, lifetime: number, now: number): Schedule {
  const name = resultName(result)
  const isPassing = PASSING.has(name)
  // §9: "the client SHOULD set a timer to retry its request in 30 minutes or the returned Lifetime value, whichever is
  // smaller."
  const most = name === 'unsupp-version' ? LONG : LONGEST_LIFETIME
  const seconds = Math.min(lifetime === 0 ? (isPassing ? SHORT : LONG) : lifetime, most)
  return {
    ...schedule,
    pace: 'wait',
    timeout: 0,
    // §8.3: "the PCP client SHOULD NOT resend the same request for the indicated lifetime of the error".
    dueAt: now + Math.max(seconds * 1000, LEAST_PAUSE),
    expiresAt: isPassing ? schedule.expiresAt : Math.min(schedule.expiresAt, now),
  }
}

/** The mapping is lost, and a different one is requested instead, which the server has not refused yet. */
export function reconsidered(schedule: Schedule, now: number): Schedule {
  return { ...schedule, pace: 'ask', timeout: 0, dueAt: now, expiresAt: Math.min(schedule.expiresAt, now) }
}

/**
 * The server may have lost the mapping: it is requested again in `delay` milliseconds, at least `LEAST_PAUSE` after the last request. §8.5,
 * §14.1.3. A request that is due earlier is not postponed: otherwise a flood of forged announcements would postpone it for ever.
 */
export function disturbed(schedule: Schedule, now: number, delay: number): Schedule {
  const dueAt = Math.max(now + delay, schedule.sentAt + LEAST_PAUSE)
  return {
    ...schedule,
    pace: 'ask',
    timeout: 0,
    dueAt: schedule.pace === 'ask' ? Math.min(schedule.dueAt, dueAt) : dueAt,
  }
}

/** The server announces that it is available: a retransmission need not wait any longer. */
export function hastened(schedule: Schedule, now: number, delay: number): Schedule {
  const asked = disturbed(schedule, now, delay)
  return schedule.pace === 'ask' && asked.dueAt < schedule.dueAt ? asked : schedule
}

/**
 * Requests the mapping again, as soon as allowed. §8.3: not if it would be refused again. §11.2.1: "renewal requests MUST NOT be sent
 * less than four seconds apart".
 */
export function refreshed(schedule: Schedule, now: number): Schedule {
  if (schedule.pace === 'wait') return schedule
  const dueAt = Math.min(schedule.dueAt, Math.max(now, schedule.sentAt + LEAST_PAUSE))
  return { ...schedule, pace: 'ask', dueAt }
}

export function isHeld(schedule: Schedule, now: number): boolean {
  return now < schedule.expiresAt
}

/** When to wake up: to send a request, or to report that the mapping has expired. */
export function wakeAt(schedule: Schedule, now: number): number {
  return isHeld(schedule, now) ? Math.min(schedule.dueAt, schedule.expiresAt) : schedule.dueAt
}

/**
 * §11.2.1: "in the range 1/2 to 5/8 of expiration time. If no SUCCESS response is received, then the next renewal request
 * should be sent 3/4 to 3/4 + 1/16 to expiration, and then another 7/8 to 7/8 + 1/32 to expiration, and so on".
 */
function nextRenewal(
  { grantedAt, expiresAt }: Schedule,
  renewals: number,
  now: number,
  random: number,
): Pick<Schedule, 'pace' | 'dueAt'> {
  const fraction = 1 - 2 ** -(renewals + 1) + random * 2 ** -(renewals + 3)
  const dueAt = Math.max(grantedAt + fraction * (expiresAt - grantedAt), now + LEAST_PAUSE)
  // An expired mapping is requested like a new one.
  return dueAt < expiresAt ? { pace: 'renew', dueAt } : { pace: 'ask', dueAt: Math.max(expiresAt, now + LEAST_PAUSE) }
}
