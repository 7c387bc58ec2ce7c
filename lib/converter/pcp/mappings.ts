/**
 * The mappings of a PCP server (RFC 6887 §11.3, §15) for a converter: which client is reached at which external address and port.
 * Time is an argument, in milliseconds. The table has no effects of its own.
 *
 * A mapping has a path for each address of the client; in RFC 6887 it has one. An address that asks for the same port with the
 * same nonce, which no one else can guess, counts as another address of the same client and shares the mapping. So an
 * external address survives the loss of an access.
 */
import { isIPv4 } from 'node:net'
import { clientKey } from '../../input/addresses.js'
import type { FilterOption, MapOperation, PcpOption, PcpResult } from '../../wire/pcp/index.js'
import type { PcpSettings } from '../options/pcp.js'
import { keyOf, type Mapping, type Path, type Place, pathOf, remaining } from './mapping.js'

/** The part of a request to map that the table needs. */
export interface MapRequest {
  operation: MapOperation
  options: readonly PcpOption[]
  /** Seconds. */
  lifetime: number
  /** The client to map for: the source, or a third party. */
  internalAddress: string
  client: Place
  server: string
}

export type MapAnswer =
  | { result: 'success'; lifetime: number; external: Place; mapping: Mapping | undefined; isNew: boolean }
  | Refusal

interface Refusal {
  result: Exclude<PcpResult, 'success'>
  lifetime: number
}

/** Seconds. RFC 6887 §7.4: "It is RECOMMENDED that short lifetime errors use a 30-second lifetime and long […] 30-minute". */
export const ERROR_LIFETIME = { short: 30, long: 1_800 } as const

type Limits = Pick<
  PcpSettings,
  'external' | 'quota' | 'minLifetime' | 'maxLifetime' | 'maxFilters' | 'reuseDelay' | 'ports'
>

interface Released {
  at: number
  /** The client that may get it back at once: §15, "same internal IP address, internal port, and mapping nonce". */
  nonce: Uint8Array
}

export class Mappings {
  readonly #limits: Limits
  readonly #random: () => number
  readonly #byExternal = new Map<string, Mapping>()
  readonly #released = new Map<string, Released>()
  /** Places that cannot be listened on. */
  readonly #unusable = new Set<string>()

  constructor(limits: Limits, random: () => number = Math.random) {
    this.#limits = limits
    this.#random = random
  }

  get all(): Mapping[] {
    return [...this.#byExternal.values()]
  }

  at(external: Place): Mapping | undefined {
    return this.#byExternal.get(keyOf(external))
  }

  exclude(external: Place): void {
    this.#unusable.add(keyOf(external))
  }

  /** Every address and port that may be assigned. */
  get pool(): Place[] {
    return this.#limits.external.flatMap(address => this.#placesAt(address))
  }

  /** RFC 6887 §11.3, in its order, with §15.1. Only a success changes anything. */
  map(request: MapRequest, now: number): MapAnswer {
    const { operation, options, lifetime, internalAddress } = request
    const has = (type: PcpOption['type']) => options.some(option => option.type === type)
    // "If the protocol is zero and the internal port is non-zero, then the request is invalid".
    if (operation.protocol === 0 && operation.internalPort !== 0) return refusal('malformed-request')
    const mine = this.#of(internalAddress, operation)
    const foreign = mine.find(({ nonce }) => !same(nonce, operation.nonce))
    // "If operating in the Simple Threat Model […] but the mapping nonce does not match, the request MUST be rejected
    // with a NOT_AUTHORIZED error with the lifetime of the error indicating duration of that existing mapping."
    if (foreign) return refusal('not-authorized', remaining(pathOf(foreign, internalAddress)!, now))
    if (lifetime === 0) {
      if (has('filter') || has('clear-filters') || has('prefer-failure')) return refusal('malformed-option')
      return this.#delete(request, mine, now)
    }
    if (operation.protocol !== TCP || operation.internalPort === 0) return refusal('unsupp-protocol')
    if (has('prefer-failure') && operation.externalPort === 0) return refusal('malformed-option')
    const family = isIPv4(operation.externalAddress) ? 4 : 6
    // "the PCP server MUST return the existing external address and port in its response, regardless of the suggested".
    const own = mine.find(({ external }) => isIPv4(external.address) === (family === 4)) ?? mine[0]
    const shared = own ?? this.#sharedWith(operation, this.#hasFamily(family) ? family : family === 4 ? 6 : 4)
    const filters = withFilters(shared?.filters ?? [], options)
    if (filters.length > this.#limits.maxFilters) return refusal('excessive-remote-peers')
    if (shared && has('prefer-failure') && !isSuggested(shared.external, operation))
      return refusal('cannot-provide-external', this.#conflict(operation, now))
    if (!own && this.#countOf(internalAddress) >= this.#limits.quota) return refusal('user-ex-quota')
    const external = shared?.external ?? this.#assign(request, BOTH_FROM[family], has('prefer-failure'), now)
    if ('result' in external) return external
    const mapping = shared ?? this.#create(external, operation)
    mapping.filters = filters
    const granted = Math.min(Math.max(lifetime, this.#limits.minLifetime), this.#limits.maxLifetime)
    const path = { address: internalAddress, expiresAt: now + granted * 1000, askedAt: now }
    mapping.paths = [
      { ...path, client: request.client, server: request.server, required: has('prefer-failure') },
      ...mapping.paths.filter(({ address }) => address !== internalAddress),
    ]
    return { result: 'success', lifetime: granted, external: mapping.external, mapping, isNew: !shared }
  }

  /** Ends paths and mappings whose time is over. @returns the mappings that have no path left */
  expire(now: number): Mapping[] {
    const ended: Mapping[] = []
    for (const mapping of this.all) {
      mapping.paths = mapping.paths.filter(({ expiresAt }) => expiresAt > now)
      if (mapping.paths.length > 0) continue
      this.#release(mapping, now)
      ended.push(mapping)
    }
    for (const [key, { at }] of this.#released)
      if (now >= at + this.#limits.reuseDelay * 1000) this.#released.delete(key)
    return ended
  }

  /** When the next path or reservation ends. */
  get nextExpiry(): number {
    return Math.min(...this.all.flatMap(({ paths }) => paths.map(({ expiresAt }) => expiresAt)))
  }

  /** Restores a mapping of an earlier run. @returns whether its external address and port are still available */
  restore(mapping: Mapping): boolean {
    const key = keyOf(mapping.external)
    if (!this.#isFree(mapping.external) || this.#byExternal.has(key)) return false
    this.#byExternal.set(key, mapping)
    return true
  }

  /**
   * Another external address and port for a mapping of an earlier run that could not be restored: "the PCP server device
   * automatically repairs its mappings" (§14.2). Called after all others have been restored, so that none of them is displaced.
   *
   * @returns `undefined` if it has been moved; otherwise why not
   */
  move(mapping: Mapping, now: number): Refusal['result'] | undefined {
    const { external, protocol, internalPort, nonce, paths } = mapping
    if (paths.some(({ required }) => required)) return 'cannot-provide-external'
    const family = isIPv4(external.address) ? 4 : 6
    // The same port may be free on another address, if this one no longer exists.
    const isThere = this.#limits.external.includes(external.address)
    const externalAddress = isThere ? external.address : family === 4 ? '0.0.0.0' : '::'
    const operation: MapOperation = {
      ...{ type: 'map', nonce, protocol, internalPort },
      ...{ externalAddress, externalPort: external.port },
    }
    const found = this.#assign({ operation, internalAddress: paths[0]!.address }, [family], false, now)
    if ('result' in found) return found.result
    mapping.external = found
    this.#byExternal.set(keyOf(found), mapping)
    return undefined
  }

  /** The mapping of a client's port now, with an external address of the given family. */
  pathOf(mapping: Mapping, address: string): Path | undefined {
    const isFour = isIPv4(mapping.external.address)
    const now = this.#of(address, mapping).find(({ external }) => isIPv4(external.address) === isFour)
    return now && pathOf(now, address)
  }

  #delete({ operation, internalAddress }: MapRequest, mine: readonly Mapping[], now: number): MapAnswer {
    for (const mapping of mine) {
      mapping.paths = mapping.paths.filter(({ address }) => address !== internalAddress)
      if (mapping.paths.length === 0) this.#release(mapping, now)
    }
    // §15.1: "these fields MUST be copied into the assigned external IP address and assigned external port of the response."
    const external = { address: operation.externalAddress, port: operation.externalPort }
    return { result: 'success', lifetime: 0, external, mapping: mine[0], isNew: false }
  }

  #release(mapping: Mapping, now: number): void {
    const key = keyOf(mapping.external)
    this.#byExternal.delete(key)
    this.#released.set(key, { at: now, nonce: mapping.nonce })
  }

  #create(external: Place, { protocol, internalPort, nonce }: MapOperation): Mapping {
    const mapping: Mapping = { external, protocol, internalPort, nonce, filters: [], paths: [] }
    this.#byExternal.set(keyOf(external), mapping)
    this.#released.delete(keyOf(external))
    return mapping
  }

  /** @param families the one that is suggested first */
  #assign(
    { operation, internalAddress }: Pick<MapRequest, 'operation' | 'internalAddress'>,
    families: readonly Family[],
    isRequired: boolean,
    now: number,
  ): Place | Refusal {
    const all = families.map(family => this.#limits.external.filter(address => isIPv4(address) === (family === 4)))
    const mayUse = all.map(addresses => this.#paired(internalAddress, addresses))
    const free = (place: Place) => this.#isFree(place) && this.#mayHave(place, operation, now)
    // §11.3: "it SHOULD do so", also for an address that is not the client's usual one.
    const honoured = this.#suggested(operation, all[0]!, mayUse[0]!).find(free)
    if (honoured) return honoured
    if (isRequired) return refusal('cannot-provide-external', this.#conflict(operation, now))
    // "in no case do they cause the server to fail to allocate an external address and port where otherwise it would have
    // succeeded": what the suggestion cannot have, another address has, if need be of the other family.
    const { externalAddress, internalPort } = operation
    const addresses = mayUse.flat().sort((a, b) => Number(b === externalAddress) - Number(a === externalAddress))
    if (addresses.length === 0) return refusal('network-failure')
    for (const address of addresses) {
      const preserved = { address, port: internalPort }
      if (free(preserved)) return preserved
      const open = this.#placesAt(address).filter(free)
      if (open.length > 0) return open[Math.floor(this.#random() * open.length)]!
    }
    return refusal('no-resources')
  }

  #placesAt(address: string): Place[] {
    return this.#limits.ports.flatMap(([from, to]) =>
      Array.from({ length: to - from + 1 }, (_, i) => ({ address, port: from + i })),
    )
  }

  #hasFamily(family: Family): boolean {
    return this.#limits.external.some(address => isIPv4(address) === (family === 4))
  }

  /** What the suggested external address and port mean: port 0 suggests none. @param any the addresses that "any address" stands for */
  #suggested({ externalAddress, externalPort }: MapOperation, all: readonly string[], any: readonly string[]): Place[] {
    if (externalPort === 0) return []
    const named = ANY.has(externalAddress) ? any : all.filter(address => address === externalAddress)
    return named.map(address => ({ address, port: externalPort }))
  }

  /** The external addresses for a client: the one that it has, since RFC 8803 §4.4 wants all of its mappings on one. */
  #paired(internalAddress: string, addresses: readonly string[]): string[] {
    const client = clientKey(internalAddress)
    const used = this.all.filter(({ paths }) => paths.some(({ address }) => clientKey(address) === client))
    const first = addresses.find(address => used.some(({ external }) => external.address === address))
    return first === undefined ? [...addresses] : [first]
  }

  #isFree(place: Place): boolean {
    const { external, ports } = this.#limits
    const isOurs =
      external.includes(place.address) && ports.some(([from, to]) => place.port >= from && place.port <= to)
    return isOurs && !this.#byExternal.has(keyOf(place)) && !this.#unusable.has(keyOf(place))
  }

  #mayHave(place: Place, { nonce }: MapOperation, now: number): boolean {
    const released = this.#released.get(keyOf(place))
    return !released || same(released.nonce, nonce) || now >= released.at + this.#limits.reuseDelay * 1000
  }

  /** The mapping of this client's address, protocol and port. */
  #of(internalAddress: string, { protocol, internalPort }: Pick<MapOperation, 'protocol' | 'internalPort'>): Mapping[] {
    return this.all.filter(
      mapping =>
        mapping.protocol === protocol && mapping.internalPort === internalPort && pathOf(mapping, internalAddress),
    )
  }

  #sharedWith({ protocol, internalPort, nonce }: MapOperation, family: Family): Mapping | undefined {
    return this.all.find(
      mapping =>
        mapping.protocol === protocol &&
        mapping.internalPort === internalPort &&
        same(mapping.nonce, nonce) &&
        isIPv4(mapping.external.address) === (family === 4),
    )
  }

  #countOf(internalAddress: string): number {
    const client = clientKey(internalAddress)
    return this.all.reduce(
      (sum, { paths }) => sum + paths.filter(({ address }) => clientKey(address) === client).length,
      0,
    )
  }

  /** Seconds until the conflicting mapping may be gone. §13.2: "the remaining lifetime of the conflicting mapping + TIME_WAIT". */
  #conflict({ externalAddress, externalPort }: MapOperation, now: number): number {
    const other = this.at({ address: externalAddress, port: externalPort })
    const last = Math.max(...(other?.paths.map(path => remaining(path, now)) ?? []))
    return Number.isFinite(last) ? last + this.#limits.reuseDelay : ERROR_LIFETIME.short
  }
}

const TCP = 6

type Family = 4 | 6
/** Both families, beginning with this one. */
const BOTH_FROM: Readonly<Record<Family, readonly Family[]>> = { 4: [4, 6], 6: [6, 4] }

const ANY = new Set(['0.0.0.0', '::'])
const LONG: ReadonlySet<PcpResult> = new Set<PcpResult>([
  ...([
    'malformed-request',
    'malformed-option',
    'unsupp-protocol',
    'excessive-remote-peers',
    'not-authorized',
  ] as const),
])

function refusal(result: Refusal['result'], lifetime?: number): Refusal {
  return { result, lifetime: lifetime ?? (LONG.has(result) ? ERROR_LIFETIME.long : ERROR_LIFETIME.short) }
}

/** RFC 6887 §13.3: processed in order; the prefix length 0 removes all before it. */
function withFilters(existing: readonly FilterOption[], options: readonly PcpOption[]): FilterOption[] {
  let filters = [...existing]
  for (const option of options) {
    if (option.type === 'clear-filters') filters = []
    if (option.type === 'filter' && !filters.some(filter => isSame(filter, option))) filters.push(option)
  }
  return filters
}

function isSame(a: FilterOption, b: FilterOption): boolean {
  return a.address === b.address && a.prefixLength === b.prefixLength && a.port === b.port
}

function isSuggested(external: Place, { externalAddress, externalPort }: MapOperation): boolean {
  return external.port === externalPort && (external.address === externalAddress || ANY.has(externalAddress))
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}
