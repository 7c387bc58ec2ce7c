/**
 * Steering through the kernel's own path manager: endpoints, whose flags apply to all connections of the network namespace. So
 * one rule decides for all of them.
 */

import type { AccessType } from '../../policy/rules/rule.js'
import { BOTH, type Wanted } from '../../policy/steering/accesses.js'
import { nextRetry, type Retry } from '../../policy/steering/plan.js'
import type { Uses } from '../../policy/steering/snapshot.js'
import type { AccessLinks } from '../network/access-links.js'
import type { KernelPathManager, MptcpEndpoint } from '../network/path-manager.js'

/** An address of an access that is to be an endpoint. */
export interface WantedEndpoint {
  address: string
  interfaceIndex: number
  backup: boolean
}

/** All endpoints that `uses` asks for. */
export function endpointsFor(
  uses: Uses,
  addressesOf: (access: AccessType) => { address: string; interfaceIndex: number }[],
): WantedEndpoint[] {
  return BOTH.filter(access => uses[access] !== 'none').flatMap(access =>
    addressesOf(access).map(local => ({ ...local, backup: uses[access] === 'backup' })),
  )
}

/**
 * The endpoints for all connections: as the rule of most connections decides; without connections, the rule that is evaluated
 * last, which is for all traffic. `why` is not empty if another rule with connections decides otherwise.
 */
export function endpointsOfAll(
  decisions: ReadonlyMap<number, Wanted>,
  connections: readonly { rule: number }[],
  links: Pick<AccessLinks, 'addresses'>,
): { wanted: WantedEndpoint[] | undefined; why: string } {
  const count = (key: number) => connections.filter(({ rule }) => rule === key).length
  const [first, second] = [...decisions.keys()].sort((a, b) => count(b) - count(a) || b - a)
  const decision = first === undefined ? undefined : decisions.get(first)
  if (!decision) return { wanted: undefined, why: '' }
  const contested = second !== undefined && count(second) > 0
  const different = contested && JSON.stringify(decisions.get(second)?.uses) !== JSON.stringify(decision.uses)
  const why = `Rules ${first} and ${second} need different endpoints, and the kernel's path manager has one set for all connections: those of rule ${first} are used`
  const all = endpointsFor(decision.uses, access => links.addresses(access))
  const wanted = all.filter(one => one === preferredOf(all, one.address))
  const left = all.find(one => !wanted.includes(one))
  return { wanted, why: different ? why : left ? sameAddressWhy(left.address) : '' }
}

/** The kernel has one endpoint for each address: that of the access in use, if both accesses have the address. */
function preferredOf(all: readonly WantedEndpoint[], address: string): WantedEndpoint | undefined {
  const same = all.filter(one => one.address === address)
  return same.find(({ backup }) => !backup) ?? same[0]
}

function sameAddressWhy(address: string): string {
  return `Both accesses have the address ${address}, and the kernel's path manager has one endpoint for each address: there is no handover between them. Give one of the two interfaces another address, or use the userspace path manager`
}

/** Applies the rules' decisions to the endpoints. Complains once of each problem, and again after it has gone. */
export class EndpointPlanner {
  readonly #endpoints: Pick<Endpoints, 'apply'>
  readonly #random: () => number
  readonly #complain: (why: string) => void
  readonly #complaints = { conflict: '', refusal: '' }

  constructor(endpoints: Pick<Endpoints, 'apply'>, random: () => number, complain: (why: string) => void) {
    this.#endpoints = endpoints
    this.#random = random
    this.#complain = complain
  }

  steer(
    decisions: ReadonlyMap<number, Wanted>,
    connections: readonly { rule: number }[],
    links: Pick<AccessLinks, 'addresses'>,
    now: number,
  ): void {
    const { wanted, why } = endpointsOfAll(decisions, connections, links)
    this.#note('conflict', why)
    const applied = wanted && this.#endpoints.apply(wanted, now, this.#random)
    applied?.then(
      () => this.#note('refusal', ''),
      (error: Error) => this.#note('refusal', error.message),
    )
  }

  #note(of: 'conflict' | 'refusal', why: string): void {
    if (why !== '' && why !== this.#complaints[of]) this.#complain(why)
    this.#complaints[of] = why
  }
}

/** What a steering loop has made in the kernel, and has to take away. */
export interface OwnEndpoints {
  endpoints: [address: string, endpoint: { id: number; backup: boolean }][]
  /** The limit of subflows for each connection: before it was raised, and since. */
  raised: { from: number; to: number } | undefined
}

export class Endpoints {
  readonly #kernel: KernelPathManager
  readonly #changed: (own: OwnEndpoints | undefined) => void
  /** By address: the endpoints that this session has made. Those of others are left alone. */
  readonly #own: Map<string, { id: number; backup: boolean }>
  #work: Promise<void> = Promise.resolve()
  #applied = ''
  /** When to try again what the kernel has refused; undefined: nothing was refused. */
  #retry: Retry | undefined
  #raised: OwnEndpoints['raised']

  /**
   * @param own what a loop before this one has made
   * @param changed called after each change of that
   */
  constructor(kernel: KernelPathManager, own?: OwnEndpoints, changed: (own?: OwnEndpoints) => void = () => {}) {
    this.#kernel = kernel
    this.#changed = changed
    this.#own = new Map(own?.endpoints)
    this.#raised = own?.raised
  }

  /**
   * Makes these endpoints, and no others. Rejects with the first refusal of the kernel; the same is tried again later.
   *
   * @returns undefined if there is nothing to do: they have been made already, or the kernel has just refused them
   */
  apply(wanted: readonly WantedEndpoint[], now: number, random: () => number): Promise<void> | undefined {
    const applied = JSON.stringify(wanted)
    const before = applied === this.#applied ? this.#retry : undefined
    if (applied === this.#applied && (before === undefined || now < before.notBefore)) return undefined
    this.#applied = applied
    this.#retry = undefined
    const refused = (error: Error) => {
      if (applied === this.#applied) this.#retry = nextRetry(before, now, random())
      throw error
    }
    return this.#next(() => this.#change(wanted)).catch(refused)
  }

  /** Takes away what this session has made. */
  close(): Promise<void> {
    return this.#next(async () => {
      await this.#change([])
      await this.#lowerLimit()
    })
  }

  /** Makes one change after the other: each starts from the kernel's answers to the one before. */
  #next(change: () => Promise<void>): Promise<void> {
    const done = this.#work.then(change).finally(() => this.#report())
    this.#work = done.catch(() => {})
    return done
  }

  #report(): void {
    const isNone = this.#own.size === 0 && !this.#raised
    this.#changed(isNone ? undefined : { endpoints: [...this.#own], raised: this.#raised })
  }

  async #change(wanted: readonly WantedEndpoint[]): Promise<void> {
    const there = await this.#kernel.endpoints()
    const isThere = (address: string, id: number) => there.some(one => one.address === address && one.id === id)
    // An endpoint that an administrator has removed since the last change is made again.
    for (const [address, { id }] of this.#own) if (!isThere(address, id)) this.#own.delete(address)
    if (wanted.length > 0) await this.#roomFor(wanted.length)
    // First the changes that make an access usable, then those that take one away.
    for (const endpoint of wanted.filter(({ backup }) => !backup)) await this.#set(endpoint, there)
    for (const endpoint of wanted.filter(({ backup }) => backup)) await this.#set(endpoint, there)
    for (const [address, { id }] of [...this.#own]) {
      if (wanted.some(endpoint => endpoint.address === address)) continue
      await this.#kernel.deleteEndpoint(id)
      this.#own.delete(address)
    }
  }

  async #set(
    { address, interfaceIndex, backup }: WantedEndpoint,
    there: readonly Pick<MptcpEndpoint, 'address'>[],
  ): Promise<void> {
    const own = this.#own.get(address)
    if (own?.backup === backup) return
    const flags: MptcpEndpoint['flags'] = backup ? ['subflow', 'backup'] : ['subflow']
    if (own) {
      await this.#kernel.setEndpointFlags({ id: own.id, flags })
      own.backup = backup
      return
    }
    // This endpoint was made by an administrator or NetworkManager, and is not for us to change.
    if (there.some(endpoint => endpoint.address === address)) return
    await this.#kernel.addEndpoint({ address, interfaceIndex, flags })
    const added = (await this.#kernel.endpoints()).find(endpoint => endpoint.address === address)
    if (added) this.#own.set(address, { id: added.id, backup })
  }

  /** The kernel limits the number of subflows of each connection. */
  async #roomFor(subflows: number): Promise<void> {
    const limits = await this.#kernel.limits()
    const to = Math.min(subflows, MOST_SUBFLOWS)
    if (limits.subflows >= to) return
    await this.#kernel.setLimits({ ...limits, subflows: to })
    this.#raised = { from: this.#raised?.from ?? limits.subflows, to }
  }

  /** Keeps the limit if it has been set by others since. */
  async #lowerLimit(): Promise<void> {
    if (!this.#raised) return
    const limits = await this.#kernel.limits()
    if (limits.subflows === this.#raised.to) await this.#kernel.setLimits({ ...limits, subflows: this.#raised.from })
    this.#raised = undefined
  }
}

/** The kernel's own limit (MPTCP_PM_ADDR_MAX). */
const MOST_SUBFLOWS = 8
