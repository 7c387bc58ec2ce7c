/** What all steering modes have in common: which accesses are there, what follows when one is not, what is measured of them. */
import type { AccessType } from '../rules/rule.js'
import type { Accesses, AccessState, Use, Uses } from './snapshot.js'

export const BOTH: readonly AccessType[] = ['3gpp', 'non-3gpp']

/** What a steering mode wants of a rule's connections. */
export interface Wanted {
  uses: Uses
  /** For people to read, and for the log of changes. */
  why: string
}

export function otherAccess(access: AccessType): AccessType {
  return access === '3gpp' ? 'non-3gpp' : '3gpp'
}

/** What one access is for, and the other. */
export function usesOf(access: AccessType, use: Use, otherUse: Use): Uses {
  return access === '3gpp' ? { '3gpp': use, 'non-3gpp': otherUse } : { '3gpp': otherUse, 'non-3gpp': use }
}

/** All on the one that is left, when there is only one; undefined while both are there. */
export function onlyOneLeft(accesses: Accesses): Wanted | undefined {
  const [left, ...others] = BOTH.filter(access => accesses[access].available)
  if (others.length > 0) return undefined
  if (left === undefined)
    return {
      uses: { '3gpp': 'none', 'non-3gpp': 'none' },
      why: `${lost(accesses, '3gpp')}; ${lost(accesses, 'non-3gpp')}`,
    }
  return { uses: usesOf(left, 'active', 'none'), why: lost(accesses, otherAccess(left)) }
}

export function lost(accesses: Accesses, access: AccessType): string {
  return `${access} is not available: ${accesses[access].why}`
}

/** Whether its round-trip time is recent enough to decide by. */
export function isFresh(access: Pick<AccessState, 'rttMs' | 'rttAt'>, now: number): boolean {
  return access.rttMs !== undefined && now - access.rttAt < FRESH_MS
}

/** An access that carries nothing is not measured: what was true of it so long ago, in milliseconds, may not be now. */
const FRESH_MS = 15_000

/** What the subflows of one access have told since the last pass. */
export interface Told {
  rttMs: number
  /** Bytes acknowledged since the last pass; 1 for a handshake that has been answered. 0: its round-trip time is old. */
  acked: number
  /** Bytes sent since then, the ones sent again included. */
  sent: number
  sentAgain: number
  /** Bytes received since then. */
  received: number
}

/** What is remembered of it, by access. */
export interface Measured extends Pick<AccessState, 'rttMs' | 'rttAt' | 'lossPermille' | 'bytesPerSecond'> {
  /** Bytes sent, sent again, and received; older ones weigh less. */
  sent: number
  sentAgain: number
  received: number
  at: number
}

export const UNMEASURED: Measured = {
  rttMs: undefined,
  rttAt: Number.NEGATIVE_INFINITY,
  lossPermille: undefined,
  bytesPerSecond: 0,
  sent: 0,
  sentAgain: 0,
  received: 0,
  at: 0,
}

/** Bytes weigh half as much after this time. */
const HALF_LIFE_MS = 2_000
/** How many of them there are, if there have always been as many per second: what comes is as much as what fades. */
const SECONDS = HALF_LIFE_MS / 1000 / Math.LN2
/** Fewer of them say nothing about a share of tenths of a percent. */
const LOSS_LEAST_BYTES = 50_000
/** How much of a new round-trip time enters the smoothed one; the kernel has smoothed it already. */
const RTT_GAIN = 0.5

/** Round-trip time by how much each subflow has carried; loss as the share of bytes that were sent again; and the load. */
export function measure(before: Measured, told: readonly Told[], now: number): Measured {
  const faded = 0.5 ** (Math.max(0, now - before.at) / HALF_LIFE_MS)
  const sum = (of: (told: Told) => number) => told.reduce((total, one) => total + of(one), 0)
  const sent = before.sent * faded + sum(one => one.sent)
  const sentAgain = before.sentAgain * faded + sum(one => one.sentAgain)
  const received = before.received * faded + sum(one => one.received)
  const lossPermille = sent < LOSS_LEAST_BYTES ? undefined : (1000 * sentAgain) / sent
  const acked = sum(one => one.acked)
  const rest = { lossPermille, bytesPerSecond: (sent + received) / SECONDS, sent, sentAgain, received, at: now }
  if (acked === 0) return { rttMs: before.rttMs, rttAt: before.rttAt, ...rest }
  const rtt = sum(one => one.rttMs * one.acked) / acked
  const known = isFresh(before, now)
  return { rttMs: known ? before.rttMs! + (rtt - before.rttMs!) * RTT_GAIN : rtt, rttAt: now, ...rest }
}
