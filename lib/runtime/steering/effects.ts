/** What the steering loop is given, and what it tells. */

import type { AccessType } from '../../policy/rules/rule.js'
import type { Action } from '../../policy/steering/plan.js'
import type { Accesses } from '../../policy/steering/snapshot.js'
import type { SocketSample, SubflowAddresses } from '../kernel/sampler.js'
import type { LinkMonitor } from '../network/link-monitor.js'
import type { PathManager } from '../network/path-manager.js'
import type { KernelSteering } from './endpoints.js'
import type { SubflowsTold } from './subflow-report.js'

/** What the userspace path manager does for single connections. */
export type SubflowManager = Pick<
  PathManager,
  'createSubflow' | 'destroySubflow' | 'setBackup' | 'announce' | 'removeAnnounced'
>

/** What the loop does to the world; functions in tests. */
export interface Effects {
  links: Pick<LinkMonitor, 'state' | 'on' | 'watch'>
  /** Undefined: nothing can be changed here, only seen. */
  pathManager: (SubflowManager & Pick<PathManager, 'on'>) | undefined
  /** Where the kernel's path manager makes the subflows: by endpoints, for all connections together. */
  kernel?: Pick<KernelSteering, 'apply'> | undefined
  sample(fds: Int32Array): SocketSample[]
  /** Records of `SOCKET`, without the subflows: costs less. */
  sampleConnections(fds: Int32Array): Float64Array
  subflowAddresses(fd: number): SubflowAddresses[]
  /** Bytes as the kernel counts. May throw: the socket has gone, or is another connection's by now. */
  setSendBuffer(fd: number, token: number, bytes: number): void
  /** The peer, over each quiet subflow, what of the whole stream has arrived. May throw: this kernel cannot, or as above. */
  askForAcknowledgement(fd: number, token: number): void
  /** Milliseconds on a clock that never goes back. */
  now(): number
  random(): number
}

export type ControllerEvent =
  | SubflowsTold
  /** The measurements; and by rule with a load balance, the percentage of new connections that shall begin over 3GPP access. */
  | { event: 'accesses'; accesses: Accesses; newOver3gpp: Record<number, number> }
  | { event: 'access'; access: AccessType; available: boolean; why: string }
  /** What was done to a connection. */
  | { event: 'action'; token: number; action: Action; error?: string }
  /** Two rules want different things of the kernel's path manager, or it refuses: `why` says which. */
  | { event: 'endpoints'; why: string }
  /** The kernel knows the connection no more. */
  | { event: 'gone'; token: number; why: string }
  /** It has become TCP: nothing can be done about it any more. */
  | { event: 'fallback'; token: number }
