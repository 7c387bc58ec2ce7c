/** The two accesses as network links: interface, addresses, usable or not and why. */

import { plainAddress } from '../../input/addresses.js'
import type { AccessType } from '../../policy/rules/rule.js'
import { BOTH } from '../../policy/steering/accesses.js'
import type { LinkFacts } from '../../policy/steering/health.js'
import { isUsable, type Link, type LinkAddress, linkNamed, type NetworkState, type Operstate } from './link-monitor.js'
import { sourceRouting } from './source-routing.js'

export interface AccessConfig {
  /** The name of the interface, which may come and go. */
  interface: string
}

export class AccessLinks {
  readonly #config: Record<AccessType, AccessConfig>
  #state: NetworkState
  /** The link of each access's name, found once for each state: there may be thousands of links. */
  #links: Readonly<Record<AccessType, Link | undefined>>

  constructor(config: Record<AccessType, AccessConfig>, state: NetworkState) {
    this.#config = config
    this.#state = state
    this.#links = linksOf(config, state)
  }

  update(state: NetworkState): void {
    this.#state = state
    this.#links = linksOf(this.#config, state)
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
    const link = this.#links[access]
    if (!link) return { usable: false, why: `there is no interface ${name}` }
    if (this.#isTaken(access))
      return { usable: false, why: `${name} is another name of ${this.#config[FIRST].interface}, the ${FIRST} access` }
    if (!link.up) return { usable: false, why: `${name} is down` }
    if (!link.carrier) return { usable: false, why: `${name} has no carrier` }
    const reason = heldBackBy(link)
    if (reason !== undefined) return { usable: false, why: `${name} is not ready: ${reason}` }
    if (!link.addresses.some(isGlobal)) return { usable: false, why: `${name} has no address` }
    return { usable: true, why: `${name} is up` }
  }

  #link(access: AccessType): Link | undefined {
    return this.#isTaken(access) ? undefined : this.#links[access]
  }

  /** Whether its link is the other access under another name: then it has none. */
  #isTaken(access: AccessType): boolean {
    return access !== FIRST && this.#links[access] !== undefined && this.#links[access] === this.#links[FIRST]
  }
}

const FIRST: AccessType = '3gpp'

function linksOf(config: Record<AccessType, AccessConfig>, state: NetworkState) {
  const link = (access: AccessType) => linkNamed(state, config[access].interface)
  return { '3gpp': link('3gpp'), 'non-3gpp': link('non-3gpp') }
}

/** Why a link that is up and has carrier carries nothing; undefined if it does. */
export function heldBackBy(link: Link): string | undefined {
  if (isUsable(link)) return undefined
  const { operstate } = link
  return HELD_BACK[operstate] ?? `its operstate is ${operstate}`
}

/** RFC 2863 §3.1.14. */
const HELD_BACK: Partial<Record<Operstate, string>> = {
  dormant: 'it waits, mostly for its authentication (operstate dormant)',
  lowerlayerdown: 'what is below it is down (operstate lowerlayerdown)',
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
