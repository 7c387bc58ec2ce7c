/**
 * Fixed-percentage load balancing by feedback: the access that is ahead of its share stands by until the other has caught
 * up. What counts is bytes acknowledged, over all connections of the rule (the percentages are the rule's).
 *
 * Both accesses stand ready all the time: the one that is held back gets the backup flag, and the scheduler sends nothing
 * new on it. What is queued there already goes on; the error is kept in bytes, so that it is made up for afterwards.
 */
import { otherAccess } from './accesses.js'
import type { AccessType } from './rules.js'

export interface Balance {
  /** By how many bytes 3GPP access is ahead of its share; older bytes weigh less. */
  ahead: number
  /** The bytes that this is of, weighted in the same way. */
  volume: number
  /** Which access is held back. */
  hold: AccessType | undefined
  /** When this was reckoned. */
  at: number
}

/** Bytes acknowledged since the last pass. */
export type Carried = Readonly<Record<AccessType, number>>

/** Bytes weigh half as much after this time. It is about the window in which the share has to be right. */
const HALF_LIFE_MS = 3_000
/** An access is held back from this share of the volume on, and let go when it is behind by as much. */
const DEAD_BAND = 0.004
/** Fewer bytes than one burst say nothing. */
const BURST_BYTES = 16_384

/** @param percent3gpp 0…100 */
export function balance(before: Balance | undefined, carried: Carried, percent3gpp: number, now: number): Balance {
  const faded = before ? 0.5 ** ((now - before.at) / HALF_LIFE_MS) : 0
  const total = carried['3gpp'] + carried['non-3gpp']
  const ahead = (before?.ahead ?? 0) * faded + carried['3gpp'] - (total * percent3gpp) / 100
  const volume = (before?.volume ?? 0) * faded + total
  return { ahead, volume, hold: held(before?.hold, ahead, volume, percent3gpp), at: now }
}

/** Where the next connection's first subflow makes up most. */
export function placement({ ahead }: Balance, percent3gpp: number): AccessType {
  if (ahead === 0) return percent3gpp >= 50 ? '3gpp' : 'non-3gpp'
  return ahead > 0 ? 'non-3gpp' : '3gpp'
}

function held(
  before: AccessType | undefined,
  ahead: number,
  volume: number,
  percent3gpp: number,
): AccessType | undefined {
  if (percent3gpp === 100) return 'non-3gpp'
  if (percent3gpp === 0) return '3gpp'
  const band = Math.max(volume * DEAD_BAND, BURST_BYTES)
  if (ahead > band) return '3gpp'
  if (ahead < -band) return 'non-3gpp'
  // Within the band the one that was held back catches up, until it is on its share.
  if (before === '3gpp' && ahead > 0) return before
  if (before === 'non-3gpp' && ahead < 0) return before
  return undefined
}

/** How an access that is not held back is used beside one that is. */
export function usesWhenHolding(hold: AccessType | undefined): Record<AccessType, 'active' | 'backup'> {
  if (!hold) return { '3gpp': 'active', 'non-3gpp': 'active' }
  return { [hold]: 'backup', [otherAccess(hold)]: 'active' } as Record<AccessType, 'active' | 'backup'>
}
