/**
 * The kernel's path managers, over the generic netlink family `mptcp_pm`: subflows of one connection (the userspace
 * path manager, net.mptcp.path_manager=userspace), endpoints of a whole namespace (the kernel's own), and events.
 */
import { EventEmitter } from 'eventemitter3'
import type { MptcpEndpoint, MptcpEvent, MptcpLimits } from '../wire/mptcp-pm.js'

export type { MptcpEndpoint, MptcpEndpointFlag, MptcpEvent, MptcpLimits } from '../wire/mptcp-pm.js'

/** Which of the two serves the sockets opened in this namespace from now on. */
export type PathManagerType = 'kernel' | 'userspace'

export interface AddressPort {
  /** A literal, IPv4 or IPv6. */
  address: string
  port: number
}

/** A subflow as the kernel finds it: its connection's token, and its addresses. */
export interface SubflowName {
  token: number
  local: AddressPort
  remote: AddressPort
}

export interface NewSubflow {
  token: number
  /** 1…255, one for each local address of the connection: the same address under another id is EINVAL. */
  localId: number
  /** The subflow is bound to the interface, and leaves by it whatever the routes prefer. */
  local: { address: string; interfaceIndex: number }
  remote: AddressPort
  /** @defaultValue false */
  backup?: boolean
}

export interface Announcement {
  token: number
  /** 1…255. */
  localId: number
  address: string
  interfaceIndex: number
  /** Left out: the port of the connection. */
  port?: number
}

export interface PathManagerEvents {
  event: [event: MptcpEvent]
  /** Events were lost (ENOBUFS): what is known of the connections must be read again. */
  overrun: []
  /** Events come no more. */
  error: [error: Error]
}

/** Every call settles when the kernel has answered; it rejects with a system error, `syscall` such as `mptcp_pm subflow_create`. */
export abstract class PathManager extends EventEmitter<PathManagerEvents> {
  /** Whether this process may change anything here (CAP_NET_ADMIN in the namespace): tried, when opened. */
  abstract readonly mayAdminister: boolean
  /** Whether `event` will come: the kernel lets only those listen who may administer. */
  abstract readonly hearsEvents: boolean
  /** Endpoints of the namespace, for all connections under the kernel's path manager. */
  abstract readonly kernel: KernelPathManager

  /** ENOENT: no such connection, or it has ended. EINVAL: not under the userspace path manager, or the id is taken. */
  abstract createSubflow(subflow: NewSubflow): Promise<void>
  /** Unacknowledged data goes to the other subflows at once. ESRCH: no such subflow. */
  abstract destroySubflow(subflow: SubflowName): Promise<void>
  /** Tells the peer too (MP_PRIO, RFC 8684 §3.3.8). */
  abstract setBackup(subflow: SubflowName & { backup: boolean }): Promise<void>
  /** ADD_ADDR: the peer may join this address. RFC 8684 §3.4.1. */
  abstract announce(announcement: Announcement): Promise<void>
  /** REMOVE_ADDR, which ends the subflows of that id too. RFC 8684 §3.4.2. */
  abstract removeAnnounced(announced: { token: number; localId: number }): Promise<void>
  abstract close(): void
}

export interface KernelPathManager {
  endpoints(): Promise<MptcpEndpoint[]>
  /** Without `id` the kernel chooses one. */
  addEndpoint(endpoint: Omit<MptcpEndpoint, 'id'> & { id?: number }): Promise<void>
  deleteEndpoint(id: number): Promise<void>
  /** Flags of an endpoint, for all connections; the kernel can change `backup` and `fullmesh`. */
  setEndpointFlags(endpoint: Pick<MptcpEndpoint, 'id' | 'flags'>): Promise<void>
  limits(): Promise<MptcpLimits>
  setLimits(limits: MptcpLimits): Promise<void>
}

/** Rejects with a system error where the kernel has no `mptcp_pm`: ENOENT. Works without privilege: see `mayAdminister`. */
export async function openPathManager(): Promise<PathManager> {
  throw new Error('not written yet')
}

/** What net.mptcp.path_manager (or the older pm_type) says; `undefined` without MPTCP. Sockets keep what it was when they were opened. */
export function pathManagerType(): PathManagerType | undefined {
  throw new Error('not written yet')
}
