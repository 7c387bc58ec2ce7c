/**
 * Whether an access can be relied upon: by the state of its link, by what is acknowledged, and by how often it was lost.
 */

import type { AccessType } from '../rules/rule.js'
import { currentRtt, otherAccess } from './accesses.js'
import { quietIn } from './reception.js'
import { awaitsAnswer, mayBeAsked } from './reinjection.js'
import type { AccessState, SubflowState } from './snapshot.js'

type RoundTrips = Parameters<typeof currentRtt>[0]
type ByAccess<T> = Readonly<Record<AccessType, T>>

/** The state of the interface. */
export interface LinkFacts {
  usable: boolean
  /** For people: "wlan0 has no carrier". */
  why: string
}

/** What is remembered of an access from scan to scan. */
export interface Health extends Pick<AccessState, 'available' | 'suspected' | 'why' | 'lostAt'> {
  linkUsable: boolean
  /** When it last came back. */
  backAt: number
  /** In the last minute. */
  losses: readonly Loss[]
}

export interface Loss {
  at: number
  /** It was found by silence, which takes longer than a report of the link. */
  silent: boolean
}

/** What the subflows of an access, of all connections, show of it. */
export interface Evidence {
  /** Something that was sent is not acknowledged, or probes are not answered, and nothing else was received since. */
  silent: boolean
  /** It is probes that show it. */
  isProbed?: boolean
  /** When anything was last received; `-Infinity`: never. */
  receivedAt: number
}

/** A subflow is silent if nothing is acknowledged for this many round trips, and at least for this many milliseconds. */
const SILENT_ROUND_TRIPS = 3
const SILENT_MS = 100
/** The same before a round-trip time is measured, in milliseconds. RFC 6298 §2.1: until then "the sender SHOULD set RTO <- 1 second". */
const UNMEASURED_MS = 1_000
/** After this share of that time the subflow is doubtful: the peer may be asked, and nothing else is done. */
const DOUBT = 0.5
/** What is received this many milliseconds later is part of the silence: times are exact to a few milliseconds. */
const SLACK_MS = 20
/** Older losses are forgotten. */
const MEMORY_MS = 60_000
/** A flapping access is used again only after this hold-down, which doubles with each loss. */
const SETTLE_MS = 250
/** The longest hold-down: moving after the loss of a link costs one round trip; each silence costs some hundred milliseconds. */
const SETTLE_MOST_MS = { link: 2_000, silence: 16_000 }
/** How often to scan while an answer is expected, in milliseconds. */
const ANSWER_PERIOD_MS = 2
/** A slow answer takes this many round trips. */
const SLOW_ANSWER = 1.5

export const UNKNOWN_HEALTH: Health = {
  available: false,
  suspected: false,
  why: 'its state is not known yet',
  lostAt: Number.NEGATIVE_INFINITY,
  linkUsable: false,
  backAt: Number.NEGATIVE_INFINITY,
  losses: [],
}

/** Whether what was sent on it has not been acknowledged for too long. */
export function isSilent(subflow: SubflowState, now: number): boolean {
  if (subflow.state !== 'established' || !subflow.outstanding) return false
  return now - subflow.progressAt > patienceMs(subflow)
}

/** Whether it is half-way to being silent. */
export function isDoubtful(subflow: SubflowState, now: number): boolean {
  if (subflow.state !== 'established' || !subflow.outstanding) return false
  return now - subflow.progressAt > patienceMs(subflow) * DOUBT
}

/**
 * In how many milliseconds to scan again, at the latest: when the next subflow would be silent, would be doubtful and the peer
 * would be asked, may have received an answer, or would be quiet. `Infinity`: none of these is due.
 */
export function scanAgainIn(subflows: readonly SubflowState[], now: number): number {
  let soonest = quietIn(subflows, now)
  for (const subflow of subflows) {
    if (awaitsAnswer(subflow, now) || awaitsAcceptance(subflow, now)) soonest = Math.min(soonest, ANSWER_PERIOD_MS)
    if (subflow.state !== 'established' || !subflow.outstanding) continue
    const patience = patienceMs(subflow)
    for (const after of mayBeAsked(subflow) ? [patience * DOUBT, patience] : [patience]) {
      const left = subflow.progressAt + after - now
      if (left >= 0) soonest = Math.min(soonest, left + 1)
    }
  }
  return soonest
}

/** Whether its SYN+ACK was received, and the answer to the third ACK may come at any moment. */
function awaitsAcceptance({ state, receivedAt, rttMs }: SubflowState, now: number): boolean {
  return state === 'joining' && now < receivedAt + SLOW_ANSWER * rttMs + SLACK_MS
}

function patienceMs({ rttMs }: SubflowState): number {
  return rttMs === 0 ? UNMEASURED_MS : Math.max(SILENT_ROUND_TRIPS * rttMs, SILENT_MS)
}

/** Whether its access was lost since it was created and nothing was received on it since, or it is silent itself. */
export function isLost(subflow: SubflowState, access: Pick<AccessState, 'lostAt'> & RoundTrips, now: number): boolean {
  return isLeftBehind(subflow, access) || (isSilent(subflow, now) && !mayBeQueued(subflow, access, now))
}

/**
 * Whether what was sent may only wait in a queue that other connections have filled: a connection that was at rest has measured its
 * round trip before that.
 */
function mayBeQueued({ progressAt }: SubflowState, access: RoundTrips, now: number): boolean {
  return now - progressAt <= SILENT_ROUND_TRIPS * (currentRtt(access, now) ?? 0)
}

/** Whether its access or address was lost, and nothing shows that it has survived. */
function isLeftBehind(
  { createdAt, receivedAt, addressGone }: SubflowState,
  { lostAt }: Pick<AccessState, 'lostAt'>,
): boolean {
  return addressGone || (createdAt <= lostAt && receivedAt <= lostAt + SLACK_MS)
}

/**
 * The silence of one server is not that of the access if another server's answer was received since. Neither is the silence of a
 * subflow from before the access was lost, once the access is back.
 *
 * @param access as it was before
 * @param before when anything was last received on other subflows
 */
export function evidenceOf(
  subflows: readonly SubflowState[],
  access: Pick<AccessState, 'lostAt'>,
  now: number,
  before = Number.NEGATIVE_INFINITY,
): Evidence {
  let receivedAt = before
  let silentSince = Number.NEGATIVE_INFINITY
  for (const subflow of subflows) {
    receivedAt = Math.max(receivedAt, subflow.receivedAt)
    if (isSilent(subflow, now) && !isLeftBehind(subflow, access))
      silentSince = Math.max(silentSince, subflow.progressAt)
  }
  return { silent: silentSince > Number.NEGATIVE_INFINITY && receivedAt <= silentSince + SLACK_MS, receivedAt }
}

/** Judges both accesses at once: a flapping access is held down only while the other one carries the traffic. */
export function health(
  before: ByAccess<Health>,
  links: ByAccess<LinkFacts>,
  evidence: ByAccess<Evidence>,
  now: number,
): Record<AccessType, Health> {
  const here = (access: AccessType) => present(before[access], links[access], evidence[access], now)
  const after = { '3gpp': here('3gpp'), 'non-3gpp': here('non-3gpp') }
  const settled = (access: AccessType) => {
    const [mine, other] = [after[access], otherAccess(access)]
    const carried = before[other].available && after[other].available
    const { available, losses, backAt } = mine
    if (!available || before[access].available || !carried || now - backAt >= settleMs(losses)) return mine
    return { ...mine, available: false, why: `it was lost ${losses.length} times within a minute` }
  }
  return { '3gpp': settled('3gpp'), 'non-3gpp': settled('non-3gpp') }
}

function present(before: Health, link: LinkFacts, evidence: Evidence, now: number): Health {
  const losses = before.losses.filter(({ at }) => now - at < MEMORY_MS)
  const away = { ...before, available: false, linkUsable: link.usable, losses }
  const newlyAway = (silent: boolean) => ({ ...away, lostAt: now, losses: [...losses, { at: now, silent }] })
  if (!link.usable) return { ...(before.linkUsable ? newlyAway(false) : away), suspected: false, why: link.why }
  const silent = before.suspected ? evidence.receivedAt <= before.lostAt : evidence.silent
  const backAt = before.linkUsable && !before.suspected ? before.backAt : now
  if (!silent) return { ...before, available: true, suspected: false, why: link.why, linkUsable: true, backAt, losses }
  const seen = evidence.isProbed ? 'no answer to new subflows' : 'no acknowledgements'
  const why = before.suspected ? before.why : seen
  return { ...(before.suspected ? away : newlyAway(true)), suspected: true, why }
}

function settleMs(losses: readonly Loss[]): number {
  const doubled = (times: number, most: number) => (times > 1 ? Math.min(SETTLE_MS * 2 ** (times - 1), most) : 0)
  const silences = losses.filter(({ silent }) => silent).length
  return Math.max(doubled(losses.length, SETTLE_MOST_MS.link), doubled(silences, SETTLE_MOST_MS.silence))
}
