/** Whether a connection at rest, in a pool, is to be used again. Values in, a reason out. */
import type { AccessType, Steering } from '../rules/rule.js'
import { allowedAccesses, decide } from './modes.js'
import type { Accesses } from './snapshot.js'

export interface AtRest {
  /** The access of its first subflow; undefined: the routing table chose it. */
  access: AccessType | undefined
  /** Whether its subflows can be moved to another access, as the steering does by itself. */
  movable: boolean
}

/**
 * Why it had better be replaced, if it had: a connection that cannot be moved is of no use where its access is lost, or is
 * not the one that its rule wants now. One that can be moved has been.
 */
export function reuseBlockedBy(
  { access, movable }: AtRest,
  steering: Steering | undefined,
  accesses: Accesses,
  now: number,
): string | undefined {
  if (movable || access === undefined) return undefined
  if (!accesses[access].available) return `${access} is not available: ${accesses[access].why}`
  if (steering === undefined) return undefined
  if (!allowedAccesses(steering).includes(access)) return `its rule does not allow ${access}`
  const { uses, why } = decide(steering, accesses, {}, now)
  return uses[access] === 'active' ? undefined : why
}
