/** What a session and its steering loop send each other; between threads, by structured clone. */
import type { AccessType, Steering } from '../../policy/rules/rule.js'
import type { Assistance } from '../../policy/steering/modes.js'
import type { AccessConfig } from '../network/access-links.js'
import type { Steered } from './connection.js'
import type { ControllerEvent } from './effects.js'

/** What can be done about subflows here. */
export interface SteeringLevel {
  /**
   * `userspace`: each connection by itself. `kernel`: the kernel's path manager has them, for the whole namespace. `none`:
   * only the access of a connection's first subflow can be chosen.
   */
  level: 'userspace' | 'kernel' | 'none'
  /** Why it is not `userspace`, and what to do about it. */
  why: string | undefined
}

export type Command =
  /** All at once: the loop never looks at connections under rules that are not theirs. */
  | { command: 'rules'; rules: [number, Steering][]; assigned: [token: number, rule: number][] }
  | { command: 'add'; steered: Steered }
  | { command: 'assist'; wish: Assistance | undefined }
  | { command: 'remove'; token: number }
  | { command: 'close' }

export type Report =
  | ControllerEvent
  | { event: 'ready'; level: SteeringLevel }
  | { event: 'failed'; error: Error }
  /** What the kernel tells of links or subflows cannot be heard, or read: what is done may come late. */
  | { event: 'deaf'; why: string }

export interface HostConfig {
  accesses: Record<AccessType, AccessConfig>
}
