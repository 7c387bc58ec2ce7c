/** The addresses that one connection has announced so that its own subflows get their interface and flag: see `binding.ts`. */
import { plainAddress } from '../../input/addresses.js'
import type { NewSubflow } from '../network/path-manager.js'

/** What the kernel remembers of an address that a connection has announced. */
export interface Announcement {
  localId: number
  interfaceIndex: number
  backup: boolean
}

export class OwnAnnouncements {
  readonly #byAddress: Map<string, Announcement>

  constructor(all: readonly (readonly [address: string, Announcement])[] = []) {
    this.#byAddress = new Map(all)
  }

  /** For another loop that takes over. */
  get past(): { announced?: [address: string, Announcement][] } {
    return this.#byAddress.size === 0 ? {} : { announced: [...this.#byAddress] }
  }

  of(address: string): Announcement | undefined {
    return this.#byAddress.get(address)
  }

  note({ localId, local, backup = false }: NewSubflow): void {
    this.#byAddress.set(local.address, { localId, interfaceIndex: local.interfaceIndex, backup })
  }

  /** The kernel forgets an address with the first subflow from it that we end. */
  forget(address: string): void {
    if (this.#byAddress.size > 0) this.#byAddress.delete(plainAddress(address))
  }

  /** Takes out the addresses that the device no longer has; returns their ids. */
  takeGone(isOurs: (address: string) => boolean): number[] {
    const gone = [...this.#byAddress].filter(([address]) => !isOurs(address))
    for (const [address] of gone) this.#byAddress.delete(address)
    return gone.map(([, { localId }]) => localId)
  }
}
