/** The addresses of a session's converters. Names are looked up again while a server listens, since a converter may move. */
import { isIP } from 'node:net'
import { plainAddress } from '../input/addresses.js'
import type { ConverterSpec } from '../input/options.js'
import { findConverters } from '../runtime/connect/resolve.js'

/** Milliseconds between two look-ups: about the lifetime of DNS records of services that move. */
const LOOK_UP_EVERY = 60_000

export class ConverterAddresses {
  #specs: readonly ConverterSpec[]
  readonly #changed: () => void
  /** By converter: what the last look-up that succeeded has found. */
  readonly #found = new Map<ConverterSpec, readonly string[]>()
  #timer: NodeJS.Timeout | undefined
  #isLookingUp = false
  #isClosed = false

  /** @param changed called when a look-up after the first one has changed the addresses */
  constructor(specs: readonly ConverterSpec[], changed: () => void) {
    this.#specs = specs
    this.#changed = changed
  }

  /** Each once, in the order of the converters. */
  get all(): string[] {
    return [...new Set(this.#specs.flatMap(spec => this.#found.get(spec) ?? []))]
  }

  has(address: string): boolean {
    return this.#specs.some(spec => this.#found.get(spec)?.includes(address))
  }

  /** Looks all names up, for the first time. @throws ERR_CONVERT_NOT_FOUND when none can be found */
  async open(): Promise<void> {
    const errors = await this.#lookUp(this.#specs)
    if (this.#found.size === 0 && errors.length > 0) throw errors[0]
    if (this.#isClosed || this.#named.length === 0) return
    this.#timer = setInterval(() => this.refresh(), LOOK_UP_EVERY).unref()
  }

  /** Looks the names up again: also called when the network has changed. A name that cannot be found now keeps its addresses. */
  refresh(): void {
    if (this.#isLookingUp || this.#isClosed || this.#named.length === 0) return
    this.#isLookingUp = true
    const before = this.all.join()
    void this.#lookUp(this.#named).then(() => {
      this.#isLookingUp = false
      if (!this.#isClosed && this.all.join() !== before) this.#changed()
    })
  }

  /** Other converters from now on. */
  replace(specs: readonly ConverterSpec[]): void {
    const before = this.all.join()
    this.#specs = specs
    void this.#lookUp(specs).then(() => {
      if (!this.#isClosed && this.all.join() !== before) this.#changed()
    })
  }

  close(): void {
    this.#isClosed = true
    clearInterval(this.#timer)
  }

  /** Never rejects. @returns an error for each converter that could not be found */
  async #lookUp(specs: readonly ConverterSpec[]): Promise<Error[]> {
    const results = await Promise.allSettled(
      specs.map(async spec => {
        const endpoints = await findConverters([spec])
        this.#found.set(spec, [...new Set(endpoints.map(({ address }) => plainAddress(address)))].sort())
      }),
    )
    return results.flatMap(result => (result.status === 'rejected' ? [result.reason as Error] : []))
  }

  /** Those whose addresses may change. */
  get #named(): readonly ConverterSpec[] {
    return this.#specs.filter(({ where }) => 'domain' in where || ('host' in where && isIP(where.host) === 0))
  }
}
