/** The two accesses as network links: interface, addresses, usable or not and why. */

import { plainAddress } from '../../input/addresses.js'
import type { AccessType } from '../../policy/rules/rule.js'
import { BOTH } from '../../policy/steering/accesses.js'
import type { LinkFacts } from '../../policy/steering/health.js'
import { isUsable, type Link, type LinkAddress, type NetworkState } from './link-monitor.js'
import { sourceRouting } from './source-routing.js'

export interface AccessConfig {
  /** The name of the interface, which may come and go. */
  interface: string
}

export class AccessLinks {
  readonly #config: Record<AccessType, AccessConfig>
  #state: NetworkState

  constructor(config: Record<AccessType, AccessConfig>, state: NetworkState) {
    this.#config = config
    this.#state = state
  }

  update(state: NetworkState): void {
    this.#state = state
  }

  get facts(): Record<AccessType, LinkFacts> {
    return { '3gpp': this.#fact('3gpp'), 'non-3gpp': this.#fact('non-3gpp') }
  }

  /** The address to bind a new subflow to; undefined if there is none of this family. */
  address(access: AccessType, family: 4 | 6): { address: string; interfaceIndex: number } | undefined {
    const link = this.#link(access)
    const found = link?.addresses
      .filter(address => address.family === family && isGlobal(address))
      .sort((a, b) => lastResort(a) - lastResort(b))[0]
    return link && found && { address: found.address, interfaceIndex: link.index }
  }

  /** All addresses that a connection may use. */
  addresses(access: AccessType): { address: string; interfaceIndex: number }[] {
    const link = this.#link(access)
    return (link?.addresses ?? []).filter(isGlobal).map(({ address }) => ({ address, interfaceIndex: link!.index }))
  }

  accessAt(address: string): AccessType | undefined {
    const plain = plainAddress(address)
    return BOTH.find(access => this.#link(access)?.addresses.some(own => own.address === plain))
  }

  nameOf(interfaceIndex: number): string {
    return this.#state.links.get(interfaceIndex)?.name ?? `interface ${interfaceIndex}`
  }

  /** See `sourceRouting`. */
  sourceRouting(interfaceIndex: number, address: string): string[] {
    return sourceRouting(this.#state, interfaceIndex, address)
  }

  #fact(access: AccessType): LinkFacts {
    const name = this.#config[access].interface
    const link = this.#link(access)
    if (!link) return { usable: false, why: `there is no interface ${name}` }
    if (!link.up) return { usable: false, why: `${name} is down` }
    if (!isUsable(link)) return { usable: false, why: `${name} has no carrier` }
    if (!link.addresses.some(isGlobal)) return { usable: false, why: `${name} has no address` }
    return { usable: true, why: `${name} is up` }
  }

  #link(access: AccessType): Link | undefined {
    const { interface: name } = this.#config[access]
    return [...this.#state.links.values()].find(link => link.name === name)
  }
}

/**
 * Sorts deprecated addresses, and those that do not reach beyond their site (fc00::/7), behind the others. RFC 6724 §5, rules 3
 * and 6; RFC 6887 §8.4: "IPv6 addresses without global reachability (e.g., ULAs) SHOULD NOT be used".
 */
function lastResort({ address, family, deprecated }: LinkAddress): number {
  return (deprecated ? 2 : 0) + (family === 6 && /^f[cd]/i.test(address) ? 1 : 0)
}

/** Packets from link-local addresses do not leave the link. Tentative addresses may not be used yet. */
function isGlobal(address: LinkAddress): boolean {
  return address.scope === 'global' && !address.tentative
}
