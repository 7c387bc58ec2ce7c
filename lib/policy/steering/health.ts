/**
 * Whether an access can be relied upon: what its link says, what its silence says, and how often it has come and gone.
 */

import type { AccessType } from '../rules/rule.js'
import { otherAccess } from './accesses.js'
import { awaitsAnswer, mayBeAsked } from './reinjection.js'
import type { AccessState, SubflowState } from './snapshot.js'

type ByAccess<T> = Readonly<Record<AccessType, T>>

/** What the interface shows. */
export interface LinkFacts {
  usable: boolean
  /** For people: "wlan0 has no carrier". */
  why: string
}

/** What is remembered of an access between two passes. */
export interface Health extends Pick<AccessState, 'available' | 'suspected' | 'why' | 'lostAt'> {
  linkUsable: boolean
  /** When it was last back. */
  backAt: number
  /** In the last minute. */
  losses: readonly Loss[]
}

export interface Loss {
  at: number
  /** Nobody said so: it was found by silence, which took its time. */
  silent: boolean
}

/** What all subflows of an access, of all connections, say of it. */
export interface Heard {
  /** Something that was sent is not acknowledged, and nothing else has come in since. */
  silent: boolean
  /** When anything last came in; `-Infinity`: never. */
  at: number
}

/** Silence counts from so many round trips on, and from so many milliseconds on. */
const SILENT_ROUND_TRIPS = 3
const SILENT_MS = 100
/** After so much of that time there is doubt: cause for a question, not yet for anything else. */
const DOUBT = 0.5
/** What came in so shortly after is part of the silence: times are known to a few milliseconds. */
const SLACK_MS = 20
/** Losses further back than this are forgotten. */
const MEMORY_MS = 60_000
/** An access that keeps going waits so long when it is back, doubling with each loss, before it is relied upon. */
const SETTLE_MS = 250
/** At most so long after its link was lost: to move costs a round trip. And after silence: each costs some hundred milliseconds. */
const SETTLE_MOST_MS = { link: 2_000, silence: 16_000 }
/** While an answer is awaited, its subflow is looked at so often, in milliseconds. */
const ANSWER_PERIOD_MS = 2
/** So many round trips a slow answer takes. */
const SLOW_ANSWER = 1.5

export const UNKNOWN_HEALTH: Health = {
  available: false,
  suspected: false,
  why: 'nothing is known of it yet',
  lostAt: Number.NEGATIVE_INFINITY,
  linkUsable: false,
  backAt: Number.NEGATIVE_INFINITY,
  losses: [],
}

/** What was sent on it is not acknowledged for too long. */
export function isSilent(subflow: SubflowState, now: number): boolean {
  if (subflow.state !== 'established' || !subflow.outstanding) return false
  return now - subflow.progressAt > patienceMs(subflow)
}

/** Half-way to that. */
export function isDoubtful(subflow: SubflowState, now: number): boolean {
  if (subflow.state !== 'established' || !subflow.outstanding) return false
  return now - subflow.progressAt > patienceMs(subflow) * DOUBT
}

/**
 * In how many milliseconds to look again, at the latest: when the next of them would be silent, or doubtful where that is
 * cause for a question, or may have an answer. `Infinity`: nothing is awaited.
 */
export function lookAgainIn(subflows: readonly SubflowState[], now: number): number {
  let soonest = Number.POSITIVE_INFINITY
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

/** Whether its SYN+ACK has come in, and the answer to the third ACK may come any moment. */
function awaitsAcceptance({ state, heardAt, rttMs }: SubflowState, now: number): boolean {
  return state === 'joining' && now < heardAt + SLOW_ANSWER * rttMs + SLACK_MS
}

function patienceMs({ rttMs }: SubflowState): number {
  return Math.max(SILENT_ROUND_TRIPS * rttMs, SILENT_MS)
}

/** Its access has been lost since it was made and nothing has been heard on it since, or it is silent itself. */
export function isLost(subflow: SubflowState, access: Pick<AccessState, 'lostAt'>, now: number): boolean {
  return isBehind(subflow, access) || isSilent(subflow, now)
}

/** What it was made for has gone, and nothing says that it has survived. */
function isBehind({ madeAt, heardAt, addressGone }: SubflowState, { lostAt }: Pick<AccessState, 'lostAt'>): boolean {
  return addressGone || (madeAt <= lostAt && heardAt <= lostAt + SLACK_MS)
}

/**
 * One server's silence is not the access's, where another one's answer has come in since; nor is that of a subflow which the
 * access has left behind, when it went, the silence of the one that has come back.
 *
 * @param access as it was before
 * @param before when anything had come in on others
 */
export function hear(
  subflows: readonly SubflowState[],
  access: Pick<AccessState, 'lostAt'>,
  now: number,
  before = Number.NEGATIVE_INFINITY,
): Heard {
  let at = before
  let silentSince = Number.NEGATIVE_INFINITY
  for (const subflow of subflows) {
    at = Math.max(at, subflow.heardAt)
    if (isSilent(subflow, now) && !isBehind(subflow, access)) silentSince = Math.max(silentSince, subflow.progressAt)
  }
  return { silent: silentSince > Number.NEGATIVE_INFINITY && at <= silentSince + SLACK_MS, at }
}

/** Both accesses at once: one that keeps going is only kept waiting while the other one carries the traffic. */
export function health(
  before: ByAccess<Health>,
  links: ByAccess<LinkFacts>,
  heard: ByAccess<Heard>,
  now: number,
): Record<AccessType, Health> {
  const here = (access: AccessType) => present(before[access], links[access], heard[access], now)
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

function present(before: Health, link: LinkFacts, heard: Heard, now: number): Health {
  const losses = before.losses.filter(({ at }) => now - at < MEMORY_MS)
  const away = { ...before, available: false, linkUsable: link.usable, losses }
  const newlyAway = (silent: boolean) => ({ ...away, lostAt: now, losses: [...losses, { at: now, silent }] })
  if (!link.usable) return { ...(before.linkUsable ? newlyAway(false) : away), suspected: false, why: link.why }
  const silent = before.suspected ? heard.at <= before.lostAt : heard.silent
  const backAt = before.linkUsable && !before.suspected ? before.backAt : now
  if (!silent) return { ...before, available: true, suspected: false, why: link.why, linkUsable: true, backAt, losses }
  const why = 'what is sent over it is not acknowledged'
  return { ...(before.suspected ? away : newlyAway(true)), suspected: true, why }
}

function settleMs(losses: readonly Loss[]): number {
  const doubled = (times: number, most: number) => (times > 1 ? Math.min(SETTLE_MS * 2 ** (times - 1), most) : 0)
  const silences = losses.filter(({ silent }) => silent).length
  return Math.max(doubled(losses.length, SETTLE_MOST_MS.link), doubled(silences, SETTLE_MOST_MS.silence))
}
