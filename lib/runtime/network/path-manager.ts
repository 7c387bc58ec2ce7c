/**
 * The kernel's path managers, over the generic netlink family `mptcp_pm`: subflows of one connection (the userspace
 * path manager, net.mptcp.path_manager=userspace), endpoints of a whole namespace (the kernel's own), and events.
 */
import { EventEmitter } from 'eventemitter3'
import { decodeFamily, decodeGeneric, encodeGetFamily, type Family, GENL_ID_CTRL } from '../../wire/netlink/generic.js'
import { decodeMessages, type NetlinkMessage } from '../../wire/netlink/message.js'
import {
  decodeEndpoint,
  decodeEvent,
  decodeLimits,
  encodeCommand,
  MPTCP_PM_EVENTS,
  MPTCP_PM_FAMILY,
  type MptcpEndpoint,
  type MptcpEvent,
  type MptcpLimits,
  type PmArguments,
  type PmCommand,
} from '../../wire/netlink/mptcp-pm.js'
import { sysctl } from '../kernel/sysctl.js'
import {
  NETLINK_GENERIC,
  NetlinkClient,
  type NetlinkClientOptions,
  type NetlinkConnection,
  openNetlink,
} from './netlink.js'

export type { MptcpEndpoint, MptcpEndpointFlag, MptcpEvent, MptcpLimits } from '../../wire/netlink/mptcp-pm.js'

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

/** Rejects with a system error where the kernel has no `mptcp_pm`: ENOENT. Works without privilege: see `mayAdminister`. */
export async function openPathManager(options: NetlinkClientOptions = {}): Promise<PathManager> {
  const client = new NetlinkClient(NETLINK_GENERIC, options)
  try {
    const [answer] = await client.request(GENL_ID_CTRL, encodeGetFamily(MPTCP_PM_FAMILY), 'mptcp_pm getfamily')
    const commands = new Commands(client, decodeFamily(answer!.payload))
    return new PathManager(commands, await commands.areAllowed(), options)
  } catch (error) {
    client.close()
    throw error
  }
}

/** What net.mptcp.path_manager (or the older pm_type) says; `undefined` without MPTCP. Sockets keep what it was when they were opened. */
export function pathManagerType(): PathManagerType | undefined {
  const type = sysctl('net.mptcp.path_manager') ?? { 0: 'kernel', 1: 'userspace' }[sysctl('net.mptcp.pm_type') ?? '']
  return type === 'kernel' || type === 'userspace' ? type : undefined
}

/** Every call settles when the kernel has answered; it rejects with a system error, `syscall` such as `mptcp_pm subflow_create`. */
export class PathManager extends EventEmitter<PathManagerEvents> {
  /** Whether this process may change anything here (CAP_NET_ADMIN in the namespace): tried, when opened. */
  readonly mayAdminister: boolean
  /** Endpoints of the namespace, for all connections under the kernel's path manager. */
  readonly kernel: KernelPathManager
  readonly #commands: Commands
  readonly #events: NetlinkConnection | undefined

  /** @internal `openPathManager` makes it */
  constructor(commands: Commands, mayAdminister: boolean, { open = openNetlink }: NetlinkClientOptions) {
    super()
    this.#commands = commands
    this.mayAdminister = mayAdminister
    this.kernel = new KernelPathManager(commands)
    const group = commands.family.groups.get(MPTCP_PM_EVENTS)
    if (group === undefined) return
    try {
      const receiver = {
        message: (bytes: Uint8Array) => this.#hear(bytes),
        overrun: () => this.emit('overrun'),
        failed: (error: Error) => this.emit('error', error),
      }
      this.#events = open(NETLINK_GENERIC, receiver, { number: group })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error
    }
  }

  /**
   * Whether `event` will come: the kernel lets only those listen who may administer. While nobody in the namespace
   * listens, the userspace path manager refuses subflows that peers begin.
   */
  get hearsEvents(): boolean {
    return this.#events !== undefined
  }

  /**
   * Resolves when the SYN has left. Then the event `subflow-established`, one RTT later, or `subflow-closed` with an error;
   * data flows, and the backup flag can be changed, another RTT later: so say here what it shall be.
   *
   * EINVAL: no such connection, or not under the userspace path manager, or id and address do not match earlier ones.
   * EADDRNOTAVAIL, ENODEV, ENETUNREACH: not from here. ENOTCONN: not before the event `established`.
   */
  async createSubflow({ token, localId, local, remote, backup = false }: NewSubflow): Promise<void> {
    const flags = backup ? (['subflow', 'backup'] as const) : (['subflow'] as const)
    await this.#commands.request('subflow-create', { token, local: { ...local, id: localId, flags }, remote })
  }

  /** Unacknowledged data goes to the other subflows at once. ESRCH: no such subflow. */
  async destroySubflow({ token, local, remote }: SubflowName): Promise<void> {
    await this.#commands.request('subflow-destroy', { token, local, remote })
  }

  /** Tells the peer too (MP_PRIO, RFC 8684 §3.3.8). EINVAL: no such subflow, or its handshake is not done yet. */
  async setBackup({ token, local, remote, backup }: SubflowName & { backup: boolean }): Promise<void> {
    const flags = backup ? (['backup'] as const) : []
    await this.#commands.request('set-flags', { token, local: { ...local, flags }, remote })
  }

  /** ADD_ADDR: the peer may join this address. RFC 8684 §3.4.1. EINVAL: as `createSubflow`. */
  async announce({ token, localId, ...local }: Announcement): Promise<void> {
    await this.#commands.request('announce', { token, local: { ...local, id: localId, flags: ['signal'] } })
  }

  /** REMOVE_ADDR, which ends the subflows of that id too. RFC 8684 §3.4.2. */
  async removeAnnounced({ token, localId }: { token: number; localId: number }): Promise<void> {
    await this.#commands.request('remove', { token, localId })
  }

  close(): void {
    this.#events?.close()
    this.#commands.client.close()
  }

  #hear(bytes: Uint8Array): void {
    let events: MptcpEvent[]
    try {
      const messages = decodeMessages(bytes).filter(({ type }) => type === this.#commands.family.id)
      events = messages.map(({ payload }) => decodeEvent(decodeGeneric(payload)))
    } catch {
      // An event that cannot be read is one that was lost.
      this.emit('overrun')
      return
    }
    for (const event of events) this.emit('event', event)
  }
}

export class KernelPathManager {
  readonly #commands: Commands

  /** @internal */
  constructor(commands: Commands) {
    this.#commands = commands
  }

  async endpoints(): Promise<MptcpEndpoint[]> {
    const answers = await this.#commands.dump('get-addr')
    return answers.map(({ payload }) => decodeEndpoint(decodeGeneric(payload)))
  }

  /** Without `id` the kernel chooses one. */
  async addEndpoint(endpoint: Omit<MptcpEndpoint, 'id'> & { id?: number }): Promise<void> {
    await this.#commands.request('add-addr', { local: endpoint })
  }

  /** Ends the subflows from it. */
  async deleteEndpoint(id: number): Promise<void> {
    await this.#commands.request('del-addr', { local: { id } })
  }

  /** Flags of an endpoint, for all connections; the kernel can change `backup` and `fullmesh`. */
  async setEndpointFlags({ id, flags }: Pick<MptcpEndpoint, 'id' | 'flags'>): Promise<void> {
    await this.#commands.request('set-flags', { local: { id, flags } })
  }

  async limits(): Promise<MptcpLimits> {
    const [answer] = await this.#commands.request('get-limits')
    return decodeLimits(decodeGeneric(answer!.payload))
  }

  async setLimits(limits: MptcpLimits): Promise<void> {
    await this.#commands.request('set-limits', { limits })
  }
}

/** The family's commands. */
class Commands {
  readonly client: NetlinkClient
  readonly family: Family

  constructor(client: NetlinkClient, family: Family) {
    this.client = client
    this.family = family
  }

  request(command: PmCommand, given?: PmArguments): Promise<NetlinkMessage[]> {
    return this.client.request(this.family.id, encodeCommand(command, given), nameOf(command))
  }

  dump(command: PmCommand): Promise<NetlinkMessage[]> {
    return this.client.dump(this.family.id, encodeCommand(command), nameOf(command))
  }

  /** The kernel looks at the privilege before it finds that the request says nothing (EINVAL). */
  async areAllowed(): Promise<boolean> {
    try {
      await this.request('del-addr')
      return true
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'EPERM') return false
      if (code === 'EINVAL') return true
      throw error
    }
  }
}

/** `mptcp_pm subflow_create`. */
function nameOf(command: PmCommand): string {
  return `${MPTCP_PM_FAMILY} ${command.replace('-', '_')}`
}
