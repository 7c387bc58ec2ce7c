/**
 * Smallest Delay: all traffic over the access with the smaller round-trip time; the other one stands by.
 *
 * An access that stands by carries nothing, so its round-trip time grows old. It is measured now and then by the handshake
 * of a new subflow: that harms no traffic, works without any, and costs four packets of one connection.
 */

import type { AccessType } from '../rules/rule.js'
import { BOTH, isFresh, onlyOneLeft, otherAccess, usesOf, type Wanted } from './accesses.js'
import type { Accesses } from './snapshot.js'

export interface DelayMemory {
  current: AccessType
  /** When `current` was chosen. */
  chosenAt: number
  /** For how long it stays at least, in milliseconds. */
  holdMs: number
  /** Since when the other one has been clearly faster, if it is. */
  fasterSince: number | undefined
  /** When a measurement was last asked for. */
  askedAt: number
}

/** The other one has to be faster by this share of the current one's time, and by as many milliseconds. */
const CLEARLY = { share: 0.2, ms: 3 }
/** …for as long as this, so that one queue's moment moves nothing. */
const PERSISTENTLY_MS = 500
/** After a change, none for so long; doubled by each one that follows soon: what saturates one access saturates the other. */
const HOLD_MS = 3_000
const HOLD_MOST_MS = 60_000
/** "Soon": within so many hold-downs. */
const SOON = 3
/** A round-trip time older than this is measured anew, and not more often. */
const MEASURE_MS = 10_000

export function smallestDelay(
  accesses: Accesses,
  before: DelayMemory | undefined,
  now: number,
): Wanted & { delay: DelayMemory; measure?: AccessType } {
  const known = before ?? beginning(accesses, now)
  const left = onlyOneLeft(accesses)
  if (left) return { ...left, delay: forced(known, accesses, now) }
  const delay = choose(known, accesses, now)
  const standby = otherAccess(delay.current)
  const wanted = {
    uses: usesOf(delay.current, 'active', 'backup'),
    why: `${shown(accesses, delay.current, now)}, ${shown(accesses, standby, now)}`,
  }
  const due = now - accesses[standby].rttAt >= MEASURE_MS && now - delay.askedAt >= MEASURE_MS
  return due ? { ...wanted, delay: { ...delay, askedAt: now }, measure: standby } : { ...wanted, delay }
}

/** Before both have been measured, non-3GPP access: it costs less to be wrong about. The first choice may be mended at once. */
function beginning(accesses: Accesses, now: number): DelayMemory {
  const measured = BOTH.every(access => isFresh(accesses[access], now))
  const current = measured && accesses['3gpp'].rttMs! < accesses['non-3gpp'].rttMs! ? '3gpp' : 'non-3gpp'
  return { current, chosenAt: Number.NEGATIVE_INFINITY, holdMs: HOLD_MS, fasterSince: undefined, askedAt: now }
}

/** Whatever is left carries everything, hold-down or not. */
function forced(memory: DelayMemory, accesses: Accesses, now: number): DelayMemory {
  const other = otherAccess(memory.current)
  if (accesses[memory.current].available || !accesses[other].available) return { ...memory, fasterSince: undefined }
  return { ...memory, current: other, chosenAt: now, fasterSince: undefined }
}

function choose(memory: DelayMemory, accesses: Accesses, now: number): DelayMemory {
  const other = otherAccess(memory.current)
  if (!clearlyFaster(accesses, other, now)) return { ...memory, fasterSince: undefined }
  const fasterSince = memory.fasterSince ?? now
  const stayed = now - memory.chosenAt
  if (now - fasterSince < PERSISTENTLY_MS || stayed < memory.holdMs) return { ...memory, fasterSince }
  const holdMs = stayed < SOON * memory.holdMs ? Math.min(2 * memory.holdMs, HOLD_MOST_MS) : HOLD_MS
  return { ...memory, current: other, chosenAt: now, holdMs, fasterSince: undefined }
}

function clearlyFaster(accesses: Accesses, access: AccessType, now: number): boolean {
  const [one, other] = [accesses[access], accesses[otherAccess(access)]]
  if (!isFresh(one, now) || !isFresh(other, now)) return false
  return one.rttMs! < other.rttMs! * (1 - CLEARLY.share) && one.rttMs! < other.rttMs! - CLEARLY.ms
}

function shown(accesses: Accesses, access: AccessType, now: number): string {
  return `${access} ${isFresh(accesses[access], now) ? `${accesses[access].rttMs!.toFixed(1)} ms` : 'not measured'}`
}
