/** Keeps up with the translators (NAT64) of accesses that have IPv6 only: found again when their addresses change, and now and then. */
import type { Nat64Prefix } from '../../policy/connect/nat64.js'
import type { AccessType } from '../../policy/rules/rule.js'
import { BOTH } from '../../policy/steering/accesses.js'
import type { AccessLinks } from '../network/access-links.js'

export interface TranslatorReport {
  event: 'translator'
  access: AccessType
  /** `none-needed`: the access has IPv4, or no address. */
  state: 'none-needed' | 'searching' | 'found' | 'missing'
  prefix?: Nat64Prefix
}

interface Effects {
  findTranslator(local: string): Promise<Nat64Prefix | undefined>
}

export class Translators {
  readonly #links: AccessLinks
  readonly #effects: Effects
  readonly #report: (report: TranslatorReport) => void
  readonly #of: Record<AccessType, { local: string; timer?: NodeJS.Timeout | undefined }> = {
    '3gpp': { local: '' },
    'non-3gpp': { local: '' },
  }
  #isClosed = false

  constructor(links: AccessLinks, effects: Effects, report: (report: TranslatorReport) => void) {
    this.#links = links
    this.#effects = effects
    this.#report = report
  }

  /** The addresses of the accesses may have changed. */
  update(): void {
    for (const access of BOTH) {
      const needs = this.#links.address(access, 4) === undefined
      const local = (needs && this.#links.address(access, 6)?.address) || ''
      if (local === this.#of[access].local) continue
      clearTimeout(this.#of[access].timer)
      this.#of[access] = { local }
      this.#links.setTranslator(access, undefined)
      this.#report({ event: 'translator', access, state: local === '' ? 'none-needed' : 'searching' })
      if (local !== '') this.#search(access, local, 0)
    }
  }

  /** Looks for those that are needed once more, now: the network behind the same addresses may be another one. */
  searchAgain(): void {
    for (const access of BOTH) {
      const { local, timer } = this.#of[access]
      clearTimeout(timer)
      this.#of[access] = { local }
      if (local !== '') this.#search(access, local, 0)
    }
  }

  close(): void {
    this.#isClosed = true
    for (const access of BOTH) clearTimeout(this.#of[access].timer)
  }

  #search(access: AccessType, local: string, misses: number): void {
    const searched = this.#of[access]
    void this.#effects.findTranslator(local).then(prefix => {
      if (this.#isClosed || this.#of[access] !== searched) return
      this.#links.setTranslator(access, prefix)
      this.#report({ event: 'translator', access, ...(prefix ? { state: 'found', prefix } : { state: 'missing' }) })
      const again = prefix ? LONGEST_MS : Math.min(FIRST_MS * 2 ** misses, LONGEST_MS)
      const search = () => this.#search(access, local, prefix ? 0 : misses + 1)
      searched.timer = setTimeout(search, again).unref()
    })
  }
}

/** When to ask again, in milliseconds: twice as long each time that no translator was found, up to an hour. */
const FIRST_MS = 10_000
const LONGEST_MS = 3_600_000
