/**
 * Steering through the kernel's own path manager: endpoints with flags, which hold for all connections of the namespace. So
 * one rule's wishes are everybody's; the session says whose they are.
 */
import { BOTH, type Wanted } from '../policy/accesses.js'
import type { AccessType } from '../policy/rules.js'
import type { Uses } from '../policy/snapshot.js'
import type { AccessLinks } from './access-links.js'
import type { KernelPathManager, MptcpEndpoint } from './path-manager.js'

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

export class KernelSteering {
  readonly #kernel: KernelPathManager
  /** By address: the endpoints that we have made; others' are left alone. */
  readonly #ours = new Map<string, { id: number; backup: boolean }>()
  #work: Promise<void> = Promise.resolve()
  #asked = ''

  constructor(kernel: KernelPathManager) {
    this.#kernel = kernel
  }

  /** Does nothing when the wish is the one before. Rejects with the first thing that the kernel refuses. */
  apply(wanted: readonly WantedEndpoint[]): Promise<void> {
    const asked = JSON.stringify(wanted)
    if (asked === this.#asked) return Promise.resolve()
    this.#asked = asked
    return this.#next(() => this.#change(wanted))
  }

  /** Takes away what we have made. */
  close(): Promise<void> {
    return this.#next(() => this.#change([]))
  }

  /** One after the other: the kernel's answers are what the next change starts from. */
  #next(change: () => Promise<void>): Promise<void> {
    const done = this.#work.then(change)
    this.#work = done.catch(() => {
      this.#asked = '' // to be tried again
    })
    return done
  }

  async #change(wanted: readonly WantedEndpoint[]): Promise<void> {
    if (wanted.length > 0) await this.#roomFor(wanted.length)
    // First what makes an access usable, then what takes one away.
    for (const endpoint of wanted.filter(({ backup }) => !backup)) await this.#set(endpoint)
    for (const endpoint of wanted.filter(({ backup }) => backup)) await this.#set(endpoint)
    for (const [address, { id }] of [...this.#ours]) {
      if (wanted.some(endpoint => endpoint.address === address)) continue
      this.#ours.delete(address)
      await this.#kernel.deleteEndpoint(id)
    }
  }

  async #set({ address, interfaceIndex, backup }: WantedEndpoint): Promise<void> {
    const own = this.#ours.get(address)
    if (own?.backup === backup) return
    const flags: MptcpEndpoint['flags'] = backup ? ['subflow', 'backup'] : ['subflow']
    if (own) {
      await this.#kernel.setEndpointFlags({ id: own.id, flags })
      own.backup = backup
      return
    }
    const there = await this.#kernel.endpoints()
    // The administrator's, or NetworkManager's: not ours to change.
    if (there.some(endpoint => endpoint.address === address)) return
    await this.#kernel.addEndpoint({ address, interfaceIndex, flags })
    const added = (await this.#kernel.endpoints()).find(endpoint => endpoint.address === address)
    if (added) this.#ours.set(address, { id: added.id, backup })
  }

  /** The kernel makes as many subflows as its limits allow, for each connection. */
  async #roomFor(subflows: number): Promise<void> {
    const limits = await this.#kernel.limits()
    if (limits.subflows < subflows) await this.#kernel.setLimits({ ...limits, subflows: Math.min(subflows, 8) })
  }
}
