/**
 * The commands of `mptcp_pm` for the subflows of single connections (the userspace path manager), whichever way they reach the
 * kernel: `PathManager` has the privilege itself, `SteeringHelper` asks a process that has it.
 */
import { EventEmitter } from 'eventemitter3'
import { MPTCP_PM_FAMILY, type MptcpEvent, type PmArguments, type PmCommand } from '../../wire/netlink/mptcp-pm.js'
import type { NetlinkError } from './netlink.js'

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
  /** Events were lost: read the state of all connections again. */
  overrun: []
  /** Until `back`, nothing can be changed: `isReachable` is false. */
  away: [why: string]
  back: []
  /** Some of the connections, or some commands, are refused for good; once for each reason. */
  refused: [why: string]
  /** No more events will come. */
  error: [error: Error]
}

export abstract class SubflowCommands extends EventEmitter<PathManagerEvents> {
  /** Whether changes are possible at this moment. */
  get isReachable(): boolean {
    return true
  }

  /** Carries out a command. Rejects with an error whose `syscall` is `pmName(command)`. */
  protected abstract request(command: PmCommand, given: PmArguments): Promise<unknown>

  /** From now on this connection is changed, and its events matter. @param fd its socket; may be closed at any time */
  watch(..._: [token: number, fd: number]): void {}

  forget(_token: number): void {}

  /**
   * Resolves when the SYN has left. One RTT later comes the event `subflow-established`, or `subflow-closed` with an error.
   * Another RTT later data flows and the backup flag can be changed, so set it here.
   *
   * EINVAL: no such connection, not under the userspace path manager, or id and address do not match earlier ones.
   * EADDRNOTAVAIL, ENODEV, ENETUNREACH: not possible from this address. ENOTCONN: not before the event `established`.
   */
  async createSubflow({ token, localId, local, remote, backup = false }: NewSubflow): Promise<void> {
    const flags = backup ? (['subflow', 'backup'] as const) : (['subflow'] as const)
    await this.request('subflow-create', { token, local: { ...local, id: localId, flags }, remote })
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
      await this.request('subflow-create', {
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
    await this.request('subflow-destroy', { token, local, remote })
  }

  /** Also notifies the peer (MP_PRIO, RFC 8684 §3.3.8). EINVAL: no such subflow, or its handshake is not complete. */
  async setBackup({ token, local, remote, backup }: SubflowName & { backup: boolean }): Promise<void> {
    const flags = backup ? (['backup'] as const) : []
    await this.request('set-flags', { token, local: { ...local, flags }, remote })
  }

  /** Sends ADD_ADDR (RFC 8684 §3.4.1): the peer may join this address. EINVAL: as for `createSubflow`. */
  async announce({ token, localId, backup = false, ...local }: Announcement): Promise<void> {
    const flags = backup ? (['signal', 'backup'] as const) : (['signal'] as const)
    await this.request('announce', { token, local: { ...local, id: localId, flags } })
  }

  /** Sends REMOVE_ADDR (RFC 8684 §3.4.2), and ends the subflows of that id. */
  async removeAnnounced({ token, localId }: { token: number; localId: number }): Promise<void> {
    await this.request('remove', { token, localId })
  }

  abstract close(): void
}

/** Whether the kernel has no connection with the token: it has ended, or its peer has reset it. Other EINVAL have other words. */
export function isOfNoConnection(error: unknown): boolean {
  const { code, kernelMessage } = error as Partial<NetlinkError>
  return code === 'EINVAL' && kernelMessage === 'invalid token'
}

/** `mptcp_pm subflow_create`. */
export function pmName(command: string): string {
  return `${MPTCP_PM_FAMILY} ${command.replace('-', '_')}`
}
