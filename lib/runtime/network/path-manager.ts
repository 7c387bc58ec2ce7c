/**
 * The kernel's MPTCP path managers, over the generic netlink family `mptcp_pm`: the subflows of single connections (the
 * userspace path manager, net.mptcp.path_manager=userspace), the endpoints of a namespace (the in-kernel one), and events.
 */
import { EventEmitter } from 'eventemitter3'
import { emitToApplication } from '../../input/application.js'
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
  type NetlinkError,
  openNetlink,
} from './netlink.js'

export type { MptcpEndpoint, MptcpEndpointFlag, MptcpEvent, MptcpLimits } from '../../wire/netlink/mptcp-pm.js'

/** The path manager of the sockets that are opened in this namespace from now on. */
export type PathManagerType = 'kernel' | 'userspace'

export interface AddressPort {
  /** IPv4 or IPv6 literal. */
  address: string
  port: number
}

/** How the kernel identifies a subflow: by the token of its connection, and its addresses. */
export interface SubflowName {
  token: number
  local: AddressPort
  remote: AddressPort
}

export interface NewSubflow {
  token: number
  /** 1…255, one for each local address of the connection. EINVAL if the address has another id already. */
  localId: number
  /** The subflow is bound to the interface, and uses it whatever the routes prefer; see `keepsInterface`. */
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
  /** @defaultValue the port of the connection */
  port?: number
  /** For our own subflows from this address: ADD_ADDR has no such flag. @defaultValue false */
  backup?: boolean
}

export interface PathManagerEvents {
  event: [event: MptcpEvent]
  /** Events were lost (ENOBUFS): read the state of all connections again. */
  overrun: []
  /** No more events will come. */
  error: [error: Error]
}

/** Rejects with ENOENT if the kernel has no `mptcp_pm`. Works without privilege: see `mayAdminister`. */
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

/**
 * The value of net.mptcp.path_manager (or of pm_type, before Linux 6.15); undefined without MPTCP. Before 5.19 there is neither,
 * and only the kernel's path manager. A socket keeps the value at its opening.
 */
export function pathManagerType(): PathManagerType | undefined {
  const type = sysctl('net.mptcp.path_manager') ?? { 0: 'kernel', 1: 'userspace' }[sysctl('net.mptcp.pm_type') ?? '']
  if (type === undefined && sysctl('net.mptcp.enabled') !== undefined) return 'kernel'
  return type === 'kernel' || type === 'userspace' ? type : undefined
}

/** Each call settles with the kernel's answer. It rejects with a system error, whose `syscall` is such as `mptcp_pm subflow_create`. */
export class PathManager extends EventEmitter<PathManagerEvents> {
  /** Whether this process may change anything (CAP_NET_ADMIN in the namespace), as tried at the opening. */
  readonly mayAdminister: boolean
  /** The endpoints of the namespace, for all connections under the in-kernel path manager. */
  readonly kernel: KernelPathManager
  readonly #commands: Commands
  readonly #events: NetlinkConnection | undefined

  /** @internal use `openPathManager` */
  constructor(commands: Commands, mayAdminister: boolean, { open = openNetlink }: NetlinkClientOptions) {
    super()
    this.#commands = commands
    this.mayAdminister = mayAdminister
    this.kernel = new KernelPathManager(commands)
    const group = commands.family.groups.get(MPTCP_PM_EVENTS)
    if (group === undefined) return
    try {
      const receiver = {
        message: (bytes: Uint8Array) => this.#receive(bytes),
        overrun: () => emitToApplication(this, 'overrun'),
        failed: (error: Error) => emitToApplication(this, 'error', error),
      }
      this.#events = open(NETLINK_GENERIC, receiver, { number: group })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error
    }
  }

  /**
   * Whether events will come: the kernel lets only processes with CAP_NET_ADMIN listen. While no process of the namespace
   * listens, the userspace path manager refuses subflows that peers begin.
   */
  get receivesEvents(): boolean {
    return this.#events !== undefined
  }

  /**
   * Resolves when the SYN has left. One RTT later comes the event `subflow-established`, or `subflow-closed` with an error.
   * Another RTT later data flows and the backup flag can be changed, so set it here.
   *
   * EINVAL: no such connection, not under the userspace path manager, or id and address do not match earlier ones.
   * EADDRNOTAVAIL, ENODEV, ENETUNREACH: not possible from this address. ENOTCONN: not before the event `established`.
   */
  async createSubflow({ token, localId, local, remote, backup = false }: NewSubflow): Promise<void> {
    const flags = backup ? (['subflow', 'backup'] as const) : (['subflow'] as const)
    await this.#commands.request('subflow-create', { token, local: { ...local, id: localId, flags }, remote })
  }

  /**
   * Whether `createSubflow` obeys `interfaceIndex` and `backup`. Linux 5.19 to 6.8 drops both, unless the address was announced
   * with them before (mptcp_net-next issue 533). Asks for a subflow that no kernel makes: to a remote address of another family,
   * and with the flag `signal`, to which only a kernel that reads the flags objects.
   *
   * @returns undefined: this cannot be learned from this connection, which may have ended
   */
  async keepsInterface({ token, localId, local }: Omit<NewSubflow, 'remote'>): Promise<boolean | undefined> {
    const remote = { address: local.address.includes(':') ? '127.0.0.1' : '::1', port: 1 }
    try {
      await this.#commands.request('subflow-create', {
        token,
        local: { ...local, id: localId, flags: ['signal'] },
        remote,
      })
      return undefined
    } catch (error) {
      const { code, kernelMessage = '' } = error as NetlinkError
      if (code === 'EAFNOSUPPORT' || kernelMessage === 'families mismatch') return false
      return kernelMessage.includes('flags') ? true : undefined
    }
  }

  /** Data that is not acknowledged is sent again over the other subflows at once. ESRCH: no such subflow. */
  async destroySubflow({ token, local, remote }: SubflowName): Promise<void> {
    await this.#commands.request('subflow-destroy', { token, local, remote })
  }

  /** Also notifies the peer (MP_PRIO, RFC 8684 §3.3.8). EINVAL: no such subflow, or its handshake is not complete. */
  async setBackup({ token, local, remote, backup }: SubflowName & { backup: boolean }): Promise<void> {
    const flags = backup ? (['backup'] as const) : []
    await this.#commands.request('set-flags', { token, local: { ...local, flags }, remote })
  }

  /** Sends ADD_ADDR (RFC 8684 §3.4.1): the peer may join this address. EINVAL: as for `createSubflow`. */
  async announce({ token, localId, backup = false, ...local }: Announcement): Promise<void> {
    const flags = backup ? (['signal', 'backup'] as const) : (['signal'] as const)
    await this.#commands.request('announce', { token, local: { ...local, id: localId, flags } })
  }

  /** Sends REMOVE_ADDR (RFC 8684 §3.4.2), and ends the subflows of that id. */
  async removeAnnounced({ token, localId }: { token: number; localId: number }): Promise<void> {
    await this.#commands.request('remove', { token, localId })
  }

  close(): void {
    this.#events?.close()
    this.#commands.client.close()
  }

  #receive(bytes: Uint8Array): void {
    let events: MptcpEvent[]
    try {
      const messages = decodeMessages(bytes).filter(({ type }) => type === this.#commands.family.id)
      events = messages.map(({ payload }) => decodeEvent(decodeGeneric(payload)))
    } catch {
      // An event that cannot be read counts as lost.
      emitToApplication(this, 'overrun')
      return
    }
    for (const event of events) emitToApplication(this, 'event', event)
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

  /** The kernel chooses the id if none is given. */
  async addEndpoint(endpoint: Omit<MptcpEndpoint, 'id'> & { id?: number }): Promise<void> {
    await this.#commands.request('add-addr', { local: endpoint })
  }

  /** Also ends the subflows from this endpoint. */
  async deleteEndpoint(id: number): Promise<void> {
    await this.#commands.request('del-addr', { local: { id } })
  }

  /** Sets the flags of an endpoint, for all connections. The kernel can change `backup` and `fullmesh`. */
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

/** The commands of the family. */
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

  /** Sends an empty request: the kernel checks the privilege (EPERM) before it finds that something is missing (EINVAL). */
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
