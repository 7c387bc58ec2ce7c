/**
 * Smallest Delay: all traffic over the access with the smaller round-trip time; the other one is the standby.
 *
 * The standby carries nothing, so its round-trip time must be measured: now and then, by the handshake of a new subflow. That
 * does not disturb traffic, works without any, and costs four packets of one connection.
 */

import type { AccessType } from '../rules/rule.js'
import { BOTH, currentRtt, isFresh, onlyOneLeft, otherAccess, usesOf, type Wanted } from './accesses.js'
import type { Accesses } from './snapshot.js'

export interface DelayMemory {
  current: AccessType
  /** When `current` was chosen. */
  chosenAt: number
  /** How long it stays at least, in milliseconds. */
  holdMs: number
  /** Since when the other one has been clearly faster; undefined: it is not. */
  fasterSince: number | undefined
  /** When a measurement was last requested. */
  askedAt: number
}

/** "Clearly faster": by this share of the current round-trip time, and by this many milliseconds. */
const CLEARLY = { share: 0.2, ms: 3 }
/** It must be clearly faster for this long, so that a short queue moves nothing. */
const PERSISTENTLY_MS = 500
/** How long to stay after a change. Doubled by each change that follows soon: what saturates one access saturates the other. */
const HOLD_MS = 3_000
const HOLD_MOST_MS = 60_000
/** "Soon": within this many of these times. */
const SOON = 3
/** A round-trip time is measured again when it is older than this. */
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

/** Non-3GPP access until both have been measured, since a wrong choice costs less there. The first choice may be corrected at once. */
function beginning(accesses: Accesses, now: number): DelayMemory {
  const measured = BOTH.every(access => isFresh(accesses[access], now))
  const current = measured && accesses['3gpp'].rttMs! < accesses['non-3gpp'].rttMs! ? '3gpp' : 'non-3gpp'
  return { current, chosenAt: Number.NEGATIVE_INFINITY, holdMs: HOLD_MS, fasterSince: undefined, askedAt: now }
}

/** The access that is left carries everything, however short the time since the last change. */
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
  const [one, other] = [access, otherAccess(access)].map(name => currentRtt(accesses[name as AccessType], now))
  if (one === undefined || other === undefined) return false
  return one < other * (1 - CLEARLY.share) && one < other - CLEARLY.ms
}

function shown(accesses: Accesses, access: AccessType, now: number): string {
  const rttMs = currentRtt(accesses[access], now)
  return `${access} ${rttMs === undefined ? 'not measured' : `${rttMs.toFixed(1)} ms`}`
}
