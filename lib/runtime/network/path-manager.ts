/**
 * The kernel's MPTCP path managers, over the generic netlink family `mptcp_pm`: the subflows of single connections (the
 * userspace path manager, net.mptcp.path_manager=userspace), the endpoints of a namespace (the in-kernel one), and events.
 */
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
  openNetlink,
} from './netlink.js'

import { pmName, SubflowCommands } from './subflow-commands.js'

export type { MptcpEndpoint, MptcpEndpointFlag, MptcpEvent, MptcpLimits } from '../../wire/netlink/mptcp-pm.js'
export type {
  AddressPort,
  Announcement,
  NewSubflow,
  PathManagerEvents,
  SubflowName,
} from './subflow-commands.js'

/** The path manager of the sockets that are opened in this namespace from now on. */
export type PathManagerType = 'kernel' | 'userspace'

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
export class PathManager extends SubflowCommands {
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

  protected request(command: PmCommand, given: PmArguments): Promise<unknown> {
    return this.#commands.request(command, given)
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
    return this.client.request(this.family.id, encodeCommand(command, given), pmName(command))
  }

  dump(command: PmCommand): Promise<NetlinkMessage[]> {
    return this.client.dump(this.family.id, encodeCommand(command), pmName(command))
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
