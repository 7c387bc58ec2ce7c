/**
 * Whether an access can be relied upon: what its link says, what its silence says, and how often it has come and gone.
 */
import { otherAccess } from './accesses.js'
import type { AccessType } from './rules.js'
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
  /** When it was lost, in the last minute. */
  losses: readonly number[]
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
/** What came in so shortly after is part of the silence: times are known to a few milliseconds. */
const SLACK_MS = 20
/** Losses further back than this are forgotten. */
const MEMORY_MS = 60_000
/** An access that keeps going waits so long when it is back, doubling with each loss, before it is relied upon. */
const SETTLE_MS = 250
const SETTLE_MOST_MS = 16_000

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
  return now - subflow.progressAt > Math.max(SILENT_ROUND_TRIPS * subflow.rttMs, SILENT_MS)
}

/** Its access has been lost since it was made and nothing has been heard on it since, or it is silent itself. */
export function isLost(subflow: SubflowState, access: Pick<AccessState, 'lostAt'>, now: number): boolean {
  const survived = subflow.madeAt > access.lostAt || subflow.heardAt > access.lostAt
  return !survived || isSilent(subflow, now)
}

/**
 * One server's silence is not the access's, where another one's answer has come in since.
 *
 * @param before when anything had come in on others
 */
export function hear(subflows: readonly SubflowState[], now: number, before = Number.NEGATIVE_INFINITY): Heard {
  let at = before
  let silentSince = Number.NEGATIVE_INFINITY
  for (const subflow of subflows) {
    at = Math.max(at, subflow.heardAt)
    if (isSilent(subflow, now)) silentSince = Math.max(silentSince, subflow.progressAt)
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
    if (!available || before[access].available || !carried || now - backAt >= settleMs(losses.length)) return mine
    return { ...mine, available: false, why: `it was lost ${losses.length} times within a minute` }
  }
  return { '3gpp': settled('3gpp'), 'non-3gpp': settled('non-3gpp') }
}

function present(before: Health, link: LinkFacts, heard: Heard, now: number): Health {
  const losses = before.losses.filter(at => now - at < MEMORY_MS)
  const away = { ...before, available: false, linkUsable: link.usable, losses }
  const newlyAway = { ...away, lostAt: now, losses: [...losses, now] }
  if (!link.usable) return { ...(before.linkUsable ? newlyAway : away), suspected: false, why: link.why }
  const silent = before.suspected ? heard.at <= before.lostAt : heard.silent
  const backAt = before.linkUsable && !before.suspected ? before.backAt : now
  if (!silent) return { ...before, available: true, suspected: false, why: link.why, linkUsable: true, backAt, losses }
  const why = 'what is sent over it is not acknowledged'
  return { ...(before.suspected ? away : newlyAway), suspected: true, why }
}

function settleMs(losses: number): number {
  return losses > 1 ? Math.min(SETTLE_MS * 2 ** (losses - 1), SETTLE_MOST_MS) : 0
}
