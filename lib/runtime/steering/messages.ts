/** What a session and its steering loop send to each other; between threads by structured clone. */
import type { AccessType, Steering } from '../../policy/rules/rule.js'
import type { Assistance } from '../../policy/steering/modes.js'
import type { AccessConfig } from '../network/access-links.js'
import type { Steered } from './connection.js'
import type { ControllerEvent } from './effects.js'
import type { OwnEndpoints } from './endpoints.js'

/** What can be done about subflows here. */
export interface SteeringLevel {
  /**
   * `userspace`: the subflows of each connection are steered separately. `kernel`: the kernel's path manager makes the subflows,
   * with the same flags for all connections of the network namespace. `shared`: the kernel makes them too, from endpoints that others
   * have set up (NetworkManager, an administrator), and shares out the data; no rule moves a live connection. `none`: only the access
   * of a connection's first subflow can be chosen.
   */
  level: 'userspace' | 'kernel' | 'shared' | 'none'
  /** Why it is not `userspace`, and what to do about it. */
  why: string | undefined
  /** The socket of the steering helper that does it, where this program has no CAP_NET_ADMIN itself. */
  helper?: string | undefined
}

export type Command =
  /** Rules and connections in one command, so that the loop never applies rules to connections that are not theirs. */
  | { command: 'rules'; rules: [number, Steering][]; assigned: [token: number, rule: number][] }
  | { command: 'add'; steered: Steered }
  | { command: 'assist'; wish: Assistance | undefined }
  | { command: 'remove'; token: number }
  | { command: 'close' }

export type Report =
  | ControllerEvent
  | { event: 'ready'; level: SteeringLevel }
  /** The loop cannot run, and is not started again. */
  | { event: 'failed'; error: Error }
  /** The loop has ended unexpectedly. It is started again, and takes over its connections. */
  | { event: 'ended'; why: string }
  /** Messages of the kernel about links or subflows cannot be received or read: what the loop does may come late. */
  | { event: 'no-messages'; why: string }
  /** Until `helper-back`, subflows stay as they are. */
  | { event: 'helper-away'; why: string }
  | { event: 'helper-back' }
  /** The helper does not do for this program what the rules want. */
  | { event: 'helper-refuses'; why: string }

export interface HostConfig {
  accesses: Record<AccessType, AccessConfig>
  /** Where the steering helper listens, for programs without CAP_NET_ADMIN; `false`: it is not used. */
  helper: string | false
  /** An access that carries connections is probed when nothing was received over it for so long, in milliseconds; `Infinity`: never. */
  idleProbeMs: number
  /** What a loop before this one has made, and has not taken away. */
  own?: OwnEndpoints | undefined
}
