/** What the steering loop acts through, and what it reports. */

import type { Nat64Prefix } from '../../policy/connect/nat64.js'
import type { AccessType } from '../../policy/rules/rule.js'
import type { Action } from '../../policy/steering/plan.js'
import type { Accesses } from '../../policy/steering/snapshot.js'
import type { SocketSample, SubflowAddresses } from '../kernel/sampler.js'
import type { Tunnel } from '../network/access-links.js'
import type { LinkMonitor } from '../network/link-monitor.js'
import type { SubflowCommands } from '../network/subflow-commands.js'
import type { Endpoints, OwnEndpoints } from './endpoints.js'
import type { Handover } from './handover-gap.js'
import type { SubflowsReport } from './subflow-report.js'
import type { TranslatorReport } from './translators.js'

/** What the userspace path manager does for single connections. */
export type SubflowManager = Pick<
  SubflowCommands,
  | 'createSubflow'
  | 'keepsInterface'
  | 'destroySubflow'
  | 'setBackup'
  | 'announce'
  | 'removeAnnounced'
  | 'watch'
  | 'forget'
  | 'isReachable'
>

/** Everything that the loop reads and changes; functions in tests. */
export interface Effects {
  links: Pick<LinkMonitor, 'state' | 'on' | 'watch'>
  /** Undefined: nothing can be changed here, only observed. */
  pathManager: (SubflowManager & Pick<SubflowCommands, 'on'>) | undefined
  /** Where the kernel's path manager makes the subflows: endpoints, for all connections together. */
  endpoints?: Pick<Endpoints, 'apply'> | undefined
  sample(fds: Int32Array): SocketSample[]
  /** Records of `SOCKET`, without the subflows: costs less. */
  sampleConnections(fds: Int32Array): Float64Array
  /** Throws if the socket is closed, or the descriptor is another connection's by now. */
  subflowAddresses(fd: number, token: number): SubflowAddresses[]
  /** The index of the interface that the socket is bound to; 0: none. Throws as `subflowAddresses`. */
  boundTo(fd: number, token: number): number
  /** The index of the interface by which packets from `local` leave for `remote` when no socket is bound. May reject. */
  interfaceFor(local: string, remote: string): Promise<number | undefined>
  /** The translator (NAT64) that an access with this IPv6 address has, if it has one. Never rejects. */
  findTranslator(local: string): Promise<Nat64Prefix | undefined>
  /** @param bytes as the kernel counts. May throw: the socket is closed. */
  setSendBuffer(fd: number, token: number, bytes: number): void
  /** Asks the peer, over each quiet subflow, what of the whole stream has arrived. May throw: this kernel cannot. */
  askForAcknowledgement(fd: number, token: number): void
  /** As in `HostConfig`. */
  idleProbeMs: number
  /** Milliseconds on a monotonic clock. */
  now(): number
  /** How many milliseconds the machine has been suspended, in which that clock stood still: only differences mean anything. */
  suspendedMs(): number
  random(): number
}

export type ControllerEvent =
  | SubflowsReport
  | TranslatorReport
  /**
   * An access uses this interface from now on; undefined: it has none. `isMissing`: none of its interfaces is there, unlike one that
   * is the other access's under another name.
   */
  | {
      event: 'interface'
      access: AccessType
      interface: { name: string; why: string } | undefined
      isMissing: boolean
    }
  /** The tunnels that are up and are no access. */
  | { event: 'tunnels'; tunnels: Tunnel[] }
  /** A connection has no subflow on an access that its rule wants, since the peer has no address for it. */
  | { event: 'unjoined'; token: number; access: AccessType; why: string }
  /** The measurements; and for each rule with a load balance, the percentage of new connections that begin over 3GPP access. */
  | { event: 'accesses'; accesses: Accesses; newOver3gpp: Record<number, number> }
  | { event: 'access'; access: AccessType; available: boolean; why: string }
  /** What was done to a connection. `error`: the kernel refused. */
  | { event: 'action'; token: number; action: Action; error?: string }
  /** All new data of a connection goes over another access. Reported when the stream has gone on there. */
  | ({ event: 'handover'; token: number; why: string } & Handover)
  /** New subflows of an access leave by another interface than its own, and the loop cannot change this. */
  | { event: 'unbound'; access: AccessType; why: string }
  /** A subflow may belong to either access: `why` says which, and what to do. */
  | { event: 'ambiguous'; why: string }
  /** The machine was suspended for so long, and NATs may have forgotten every connection: new subflows are made. */
  | { event: 'resumed'; suspendedMs: number }
  /** Two rules want different endpoints, or the kernel refuses one: `why` says which. */
  | { event: 'endpoints'; why: string }
  /** The endpoints that the loop has made so far; undefined: none are left. */
  | { event: 'own-endpoints'; own: OwnEndpoints | undefined }
  /** The connection has ended. */
  | { event: 'gone'; token: number; why: string }
  /** The connection has become TCP: it cannot be steered any more. */
  | { event: 'fallback'; token: number }
