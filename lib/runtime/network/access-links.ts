/** The two accesses as network links: interface, addresses, usable or not and why. */

import { plainAddress } from '../../input/addresses.js'
import { type Nat64Prefix, translated } from '../../policy/connect/nat64.js'
import type { AccessType } from '../../policy/rules/rule.js'
import { BOTH } from '../../policy/steering/accesses.js'
import type { LinkFacts } from '../../policy/steering/health.js'
import { type AccessConfig, type Choices, choicesOf, chosenOf, whyChosen } from './access-choice.js'
import { type InterfaceKind, kindOf } from './interface-kind.js'
import { isUsable, type Link, type LinkAddress, type NetworkState, type Operstate } from './link-monitor.js'
import { sourceRouting } from './source-routing.js'

export type { AccessConfig } from './access-choice.js'

/** A tunnel, as VPNs use them. */
export interface Tunnel {
  index: number
  name: string
}

/** Where a subflow leaves from. */
export interface SubflowPlace {
  /** Mapped or not. */
  address: string
  /** Of the interface that it is bound to; 0: it is not bound, or this is not known. */
  interfaceIndex: number
}

type Links = Readonly<Record<AccessType, Link | undefined>>

export class AccessLinks {
  readonly #config: Record<AccessType, AccessConfig>
  #state: NetworkState
  /** The links that each access may use, and the one that it uses, found once for each state: there may be thousands of links. */
  #choices: Choices
  #links: Links

  /** By access and family: since when the default route is missing that was there before. */
  readonly #routelessSince = new Map<string, number>()
  readonly #now: () => number
  readonly #kinds = new Map<string, InterfaceKind>()
  readonly #translators: Partial<Record<AccessType, Nat64Prefix | undefined>> = {}

  constructor(
    config: Record<AccessType, AccessConfig>,
    state: NetworkState,
    now: () => number = () => performance.now(),
  ) {
    this.#config = config
    this.#now = now
    this.#state = state
    this.#choices = choicesOf(config, state, this.#kindOf)
    this.#links = chosenOf(this.#choices)
  }

  update(state: NetworkState): void {
    const before = { state: this.#state, links: this.#links }
    this.#state = state
    this.#choices = choicesOf(this.#config, state, this.#kindOf)
    this.#links = chosenOf(this.#choices)
    for (const access of BOTH) for (const family of [4, 6] as const) this.#noteRoute(access, family, before)
  }

  /**
   * Whether an address has come back, and the default route that it had before has not: DHCP clients set it some time after the
   * address. A SYN that is sent meanwhile goes nowhere, and is sent again only after a second. Not for ever: the peer may be
   * reached by another route.
   */
  awaitsRoute(access: AccessType, family: 4 | 6): boolean {
    const since = this.#routelessSince.get(access + family)
    return since !== undefined && this.#now() - since < ROUTE_COMES_MS
  }

  #noteRoute(access: AccessType, family: 4 | 6, before: { state: NetworkState; links: Links }): void {
    const key = access + family
    const link = this.#links[access]
    if (hasDefaultRoute(this.#state, link, family)) this.#routelessSince.delete(key)
    else if (
      hasDefaultRoute(before.state, before.links[access], family) ||
      (this.#routelessSince.has(key) && hasFamily(link, family) && !hasFamily(before.links[access], family))
    )
      this.#routelessSince.set(key, this.#now())
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

  /** An access whose IPv6 leads to IPv4 by a translator (NAT64). @param prefix undefined: by none */
  setTranslator(access: AccessType, prefix: Nat64Prefix | undefined): void {
    this.#translators[access] = prefix
  }

  /** The IPv6 address by which this IPv4 address is reached over the access; undefined: there is no translator, or no need for one. */
  translate(access: AccessType, address: string): string | undefined {
    const prefix = this.#translators[access]
    return prefix && translated(prefix, address)
  }

  /**
   * The access of a subflow. The interface that it is bound to decides. Without one its address does, unless both accesses have
   * that address (two routers that give out the same one): then it is `ambiguous`. Interfaces that an access could use, but does
   * not, count while they work.
   */
  accessOf({ address, interfaceIndex }: SubflowPlace): AccessType | 'ambiguous' | undefined {
    const bound = interfaceIndex !== 0 && BOTH.find(access => this.#usedBy(access).some(isLink(interfaceIndex)))
    if (bound) return bound
    const [access, another] = BOTH.filter(each => this.has(each, { address, interfaceIndex: 0 }))
    return another === undefined ? access : 'ambiguous'
  }

  /** Whether the access has this address, on this interface if the subflow is bound to one. */
  has(access: AccessType, { address, interfaceIndex }: SubflowPlace): boolean {
    const plain = plainAddress(address)
    return this.#usedBy(access).some(
      link =>
        (interfaceIndex === 0 || link.index === interfaceIndex) && link.addresses.some(own => own.address === plain),
    )
  }

  /** Whether the access uses another interface by now, which is better than the one of this subflow. */
  isSuperseded(access: AccessType, { address, interfaceIndex }: SubflowPlace): boolean {
    const link = this.#link(access)
    if (link === undefined || !isUsable(link)) return false
    if (interfaceIndex !== 0) return link.index !== interfaceIndex
    const plain = plainAddress(address)
    return !link.addresses.some(own => own.address === plain)
  }

  /** The interface that each access uses, by name, and why it is this one; undefined: none of its interfaces is there. */
  get interfaces(): Record<AccessType, { name: string; why: string } | undefined> {
    const of = (access: AccessType) => {
      const link = this.#link(access)
      return link && { name: link.name, why: whyChosen(this.#config[access], link, this.#kindOf) }
    }
    return { '3gpp': of('3gpp'), 'non-3gpp': of('non-3gpp') }
  }

  /** Whether none of the interfaces that the access may use is there. */
  isMissing(access: AccessType): boolean {
    return this.#links[access] === undefined
  }

  #usedBy(access: AccessType): Link[] {
    const link = this.#link(access)
    const others = BOTH.map(each => this.#links[each])
    const spare = this.#choices[access].filter(other => !others.includes(other) && isUsable(other))
    return link ? [link, ...spare] : spare
  }

  /** By interface: sysfs is read once for each. */
  readonly #kindOf = (name: string): InterfaceKind => {
    const known = this.#kinds.get(name) ?? kindOf(name)
    this.#kinds.set(name, known)
    return known
  }

  nameOf(interfaceIndex: number): string {
    return this.#state.links.get(interfaceIndex)?.name ?? `interface ${interfaceIndex}`
  }

  /** Those that are up, and that no access may use. */
  get tunnels(): Tunnel[] {
    const { links } = this.#state
    const own = BOTH.flatMap(access => this.#choices[access].map(({ index }) => index))
    const found = [...links.values()].filter(({ index, up, isTunnel }) => isTunnel && up && !own.includes(index))
    return found.map(({ index, name }) => ({ index, name }))
  }

  /** See `sourceRouting`. */
  sourceRouting(interfaceIndex: number, address: string): string[] {
    return sourceRouting(this.#state, interfaceIndex, address)
  }

  #fact(access: AccessType): LinkFacts {
    const link = this.#links[access]
    if (!link) return { usable: false, why: `there is no interface ${this.#config[access].interface}` }
    const name = this.#config[access].choices ? link.name : this.#config[access].interface
    if (this.#isTaken(access))
      return { usable: false, why: `${name} is another name of ${this.#config[FIRST].interface}, the ${FIRST} access` }
    const why = troubleOf(link, name)
    return why === undefined ? { usable: true, why: `${name} is up` } : { usable: false, why }
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

const isLink =
  (interfaceIndex: number) =>
  ({ index }: Link): boolean =>
    index === interfaceIndex

/** Why no connection can use the link; undefined: nothing that it shows itself. @param name how it is called */
export function troubleOf(link: Link, name = link.name): string | undefined {
  if (!link.up) return `${name} is down`
  if (!link.carrier) return `${name} has no carrier`
  const reason = heldBackBy(link)
  if (reason !== undefined) return `${name} is not ready: ${reason}`
  return link.addresses.some(isGlobal) ? undefined : `${name} has no address`
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

function hasDefaultRoute({ defaultRoutes }: NetworkState, link: Link | undefined, family: 4 | 6): boolean {
  return link !== undefined && defaultRoutes.some(to => to.family === family && to.interfaceIndex === link.index)
}

function hasFamily(link: Link | undefined, family: 4 | 6): boolean {
  return link?.addresses.some(address => address.family === family && isGlobal(address)) === true
}

/** Milliseconds. */
const ROUTE_COMES_MS = 2_000
