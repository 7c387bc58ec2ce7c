/** Whether an idle connection in a pool may be used again. Values in, a reason out. */
import type { AccessType, Steering } from '../rules/rule.js'
import { whyUnavailable } from './accesses.js'
import { allowedAccesses, decide } from './modes.js'
import type { Accesses } from './snapshot.js'

export interface PooledConnection {
  /** The access of its first subflow; undefined: the routing table chose it. */
  access: AccessType | undefined
  /** Whether the steering can move it to another access. */
  movable: boolean
}

/**
 * Why the connection must not be reused; undefined if it may. A connection that cannot be moved is of no use if its access is
 * lost, or is not the one that its rule wants now. One that can be moved has been moved already.
 */
export function reuseBlockedBy(
  { access, movable }: PooledConnection,
  steering: Steering | undefined,
  accesses: Accesses,
  now: number,
): string | undefined {
  if (movable || access === undefined) return undefined
  if (!accesses[access].available) return whyUnavailable(accesses, access)
  if (steering === undefined) return undefined
  if (!allowedAccesses(steering).includes(access)) return `its rule does not allow ${access}`
  const { uses, why } = decide(steering, accesses, {}, now)
  return uses[access] === 'active' ? undefined : why
}
