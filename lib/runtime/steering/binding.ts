/**
 * Makes new subflows so that they are bound to their interface and have their backup flag on every kernel. Linux 5.19 to 6.8
 * drops both (docs/linux.md, "Path managers"); it takes them from an earlier announcement of the address (ADD_ADDR, RFC 8684
 * §3.4.1), so there the address is announced first. Other kernels announce nothing.
 */
import type { NewSubflow, SubflowName } from '../network/path-manager.js'
import { isOfNoConnection } from '../network/subflow-commands.js'
import type { SubflowManager } from './effects.js'
import type { OwnAnnouncements } from './own-announcements.js'

/** What of a connection matters here. */
interface Connection {
  readonly announcements: OwnAnnouncements
  /** Whether a subflow from this address is open. */
  hasSubflowFrom(address: string): boolean
  /** What the kernel will make of the flag that was asked for. */
  expectBackup(address: string, backup: boolean): void
}

/** Connections from which the kernel's way can be learned, at most: then it counts as a newer one until an event disproves it. */
const ATTEMPTS = 3

export class Binding {
  readonly #manager: SubflowManager
  /** Whether the kernel obeys a new subflow's interface and flag; undefined: not known yet. */
  #obeys: boolean | undefined
  #attempts = 0
  /** Why an announcement was refused, the last time; '' when none was. */
  refusal = ''

  constructor(manager: SubflowManager) {
    this.#manager = manager
  }

  /** Whether addresses are announced before their subflows. */
  get announces(): boolean {
    return this.#obeys === false
  }

  /** An event has shown a subflow without its interface. */
  disprove(): void {
    this.#obeys = false
  }

  /** As `PathManager.createSubflow`. */
  create(connection: Connection, subflow: NewSubflow): Promise<void> {
    if (this.#obeys === undefined) return this.#learn(connection, subflow)
    return this.#obeys ? this.#manager.createSubflow(subflow) : this.#announceAndCreate(connection, subflow)
  }

  async #learn(connection: Connection, subflow: NewSubflow): Promise<void> {
    const learned = await this.#manager.keepsInterface(subflow).catch(() => undefined)
    // A later answer may have come in between: the first one stands.
    this.#obeys ??= learned ?? (++this.#attempts >= ATTEMPTS ? true : undefined)
    if (this.#obeys === false) await this.#announceAndCreate(connection, subflow)
    else await this.#manager.createSubflow(subflow)
  }

  /** The requests leave at once, one behind the other: nothing can come between them. */
  async #announceAndCreate(connection: Connection, subflow: NewSubflow): Promise<void> {
    const { token, localId, local, remote: _, backup = false } = subflow
    const { announcements } = connection
    const before = announcements.of(local.address)
    const isSame = before?.interfaceIndex === local.interfaceIndex && before.backup === backup
    // The kernel keeps what it was given first. Taking the address back would end the subflows that are there.
    if (before && !isSame && !connection.hasSubflowFrom(local.address)) {
      void withdrawAddress(this.#manager, token, before.localId)
      announcements.forget(local.address)
    }
    if (announcements.of(local.address) === undefined) announcements.note(subflow)
    connection.expectBackup(local.address, announcements.of(local.address)!.backup)
    const announced = this.#manager.announce({ token, localId, ...local, backup })
    const created = this.#manager.createSubflow(subflow)
    created.catch(() => {}) // handled below, once the announcement is settled
    try {
      await announced
      this.refusal = ''
    } catch (error) {
      if (!isOfNoConnection(error)) this.refusal = (error as Error).message
      announcements.forget(local.address)
      connection.expectBackup(local.address, false)
    }
    try {
      await created
    } catch (error) {
      // The kernel has forgotten the address, the peer has not.
      announcements.forget(local.address)
      const isKept = isOfNoConnection(error) || KEPT.has((error as NodeJS.ErrnoException).code ?? '')
      if (this.refusal === '' && !isKept) await announceAndWithdraw(this.#manager, token, localId, local.address)
      throw error
    }
  }
}

/** ENOTCONN: too early, the same subflow is asked for again. The others: the answer was lost, and the subflow may be there. */
const KEPT: ReadonlySet<string> = new Set(['ENOTCONN', 'ENOBUFS', 'ETIMEDOUT'])

/** Sends REMOVE_ADDR. It only hastens what happens anyway, and may fail: on the last subflow, for example, it cannot be sent. */
export async function withdrawAddress(manager: SubflowManager, token: number, localId: number): Promise<void> {
  await manager.removeAnnounced({ token, localId }).catch(() => {})
}

/** Sends REMOVE_ADDR for an address that the kernel has forgotten: it does that only for addresses that it knows. */
export async function announceAndWithdraw(
  manager: SubflowManager,
  token: number,
  localId: number,
  address: SubflowName['local']['address'],
): Promise<void> {
  const announced = manager.announce({ token, localId, address, interfaceIndex: 0 })
  await Promise.allSettled([announced, withdrawAddress(manager, token, localId)])
}
