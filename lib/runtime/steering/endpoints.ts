/**
 * Steering through the kernel's own path manager: endpoints with flags, which hold for all connections of the namespace. So
 * one rule's wishes are everybody's; the session says whose they are.
 */

import type { AccessType } from '../../policy/rules/rule.js'
import { BOTH, type Wanted } from '../../policy/steering/accesses.js'
import { nextRetry, type Retry } from '../../policy/steering/plan.js'
import type { Uses } from '../../policy/steering/snapshot.js'
import type { AccessLinks } from '../network/access-links.js'
import type { KernelPathManager, MptcpEndpoint } from '../network/path-manager.js'

/** What is wanted of one access: an endpoint for each of its addresses. */
export interface WantedEndpoint {
  address: string
  interfaceIndex: number
  backup: boolean
}

/** Every endpoint that `uses` asks for. */
export function endpointsFor(
  uses: Uses,
  addressesOf: (access: AccessType) => { address: string; interfaceIndex: number }[],
): WantedEndpoint[] {
  return BOTH.filter(access => uses[access] !== 'none').flatMap(access =>
    addressesOf(access).map(local => ({ ...local, backup: uses[access] === 'backup' })),
  )
}

/**
 * What all connections are to have: the rule of most of them has its way; without any, the one evaluated last, which is for
 * everything. `why` complains when others want something else.
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
  const why = `rules ${first} and ${second} want different things of all connections: rule ${first} has its way`
  return { wanted: endpointsFor(decision.uses, access => links.addresses(access)), why: different ? why : '' }
}

/** From what the rules want to endpoints; what stands in the way is said once, until there is nothing or something else. */
export class EndpointWishes {
  readonly #kernel: Pick<KernelSteering, 'apply'>
  readonly #random: () => number
  readonly #complain: (why: string) => void
  readonly #complaints = { conflict: '', refusal: '' }

  constructor(kernel: Pick<KernelSteering, 'apply'>, random: () => number, complain: (why: string) => void) {
    this.#kernel = kernel
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
    const applied = wanted && this.#kernel.apply(wanted, now, this.#random)
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

export class KernelSteering {
  readonly #kernel: KernelPathManager
  /** By address: the endpoints that we have made; others' are left alone. */
  readonly #ours = new Map<string, { id: number; backup: boolean }>()
  #work: Promise<void> = Promise.resolve()
  #asked = ''
  /** When to try again what the kernel has refused; undefined: it has not, or not yet. */
  #retry: Retry | undefined
  /** How many subflows a connection might have before we raised it, and since. */
  #raised: { from: number; to: number } | undefined

  constructor(kernel: KernelPathManager) {
    this.#kernel = kernel
  }

  /**
   * Rejects with the first thing that the kernel refuses, which is asked for again later.
   *
   * @returns undefined when nothing is done: the wish is the one before, and has been fulfilled or only just refused
   */
  apply(wanted: readonly WantedEndpoint[], now: number, random: () => number): Promise<void> | undefined {
    const asked = JSON.stringify(wanted)
    const before = asked === this.#asked ? this.#retry : undefined
    if (asked === this.#asked && (before === undefined || now < before.notBefore)) return undefined
    this.#asked = asked
    this.#retry = undefined
    const refused = (error: Error) => {
      if (asked === this.#asked) this.#retry = nextRetry(before, now, random())
      throw error
    }
    return this.#next(() => this.#change(wanted)).catch(refused)
  }

  /** Takes away what we have made. */
  close(): Promise<void> {
    return this.#next(async () => {
      await this.#change([])
      await this.#lowerLimit()
    })
  }

  /** One after the other: the kernel's answers are what the next change starts from. */
  #next(change: () => Promise<void>): Promise<void> {
    const done = this.#work.then(change)
    this.#work = done.catch(() => {})
    return done
  }

  async #change(wanted: readonly WantedEndpoint[]): Promise<void> {
    const there = await this.#kernel.endpoints()
    const isThere = (address: string, id: number) => there.some(one => one.address === address && one.id === id)
    // What somebody has taken away since the last change is to be made again.
    for (const [address, { id }] of this.#ours) if (!isThere(address, id)) this.#ours.delete(address)
    if (wanted.length > 0) await this.#roomFor(wanted.length)
    // First what makes an access usable, then what takes one away.
    for (const endpoint of wanted.filter(({ backup }) => !backup)) await this.#set(endpoint, there)
    for (const endpoint of wanted.filter(({ backup }) => backup)) await this.#set(endpoint, there)
    for (const [address, { id }] of [...this.#ours]) {
      if (wanted.some(endpoint => endpoint.address === address)) continue
      await this.#kernel.deleteEndpoint(id)
      this.#ours.delete(address)
    }
  }

  async #set(
    { address, interfaceIndex, backup }: WantedEndpoint,
    there: readonly Pick<MptcpEndpoint, 'address'>[],
  ): Promise<void> {
    const own = this.#ours.get(address)
    if (own?.backup === backup) return
    const flags: MptcpEndpoint['flags'] = backup ? ['subflow', 'backup'] : ['subflow']
    if (own) {
      await this.#kernel.setEndpointFlags({ id: own.id, flags })
      own.backup = backup
      return
    }
    // The administrator's, or NetworkManager's: not ours to change.
    if (there.some(endpoint => endpoint.address === address)) return
    await this.#kernel.addEndpoint({ address, interfaceIndex, flags })
    const added = (await this.#kernel.endpoints()).find(endpoint => endpoint.address === address)
    if (added) this.#ours.set(address, { id: added.id, backup })
  }

  /** The kernel makes as many subflows as its limits allow, for each connection. */
  async #roomFor(subflows: number): Promise<void> {
    const limits = await this.#kernel.limits()
    const to = Math.min(subflows, MOST_SUBFLOWS)
    if (limits.subflows >= to) return
    await this.#kernel.setLimits({ ...limits, subflows: to })
    this.#raised = { from: this.#raised?.from ?? limits.subflows, to }
  }

  /** Unless somebody else has set it since. */
  async #lowerLimit(): Promise<void> {
    if (!this.#raised) return
    const limits = await this.#kernel.limits()
    if (limits.subflows === this.#raised.to) await this.#kernel.setLimits({ ...limits, subflows: this.#raised.from })
    this.#raised = undefined
  }
}

/** The kernel's own limit (MPTCP_PM_ADDR_MAX). */
const MOST_SUBFLOWS = 8
