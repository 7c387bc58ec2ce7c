/** Decides which destinations are left to Node. Pure. */
import { isIP } from 'node:net'
import { PrefixSet, plainHost } from '../input/addresses.js'
import { invalid } from '../input/check.js'
import { plainName } from '../policy/rules/json-traffic.js'
import { isUnder, plainPattern } from '../policy/rules/match.js'

/** Loopback (RFC 1122 §3.2.1.3, RFC 4291 §2.5.3) and link-local (RFC 3927, RFC 4291 §2.5.6). The unspecified address reaches this host too. */
const LOCAL = ['127.0.0.0/8', '0.0.0.0/32', '169.254.0.0/16', '::1/128', '::/128', 'fe80::/10']

export class Exclusion {
  readonly #prefixes: PrefixSet
  readonly #names: readonly string[]

  /**
   * @param entries addresses, prefixes such as `10.0.0.0/8`, names, and `*.example.com` for all names below a name
   * @param includeLocal whether loopback and link-local destinations are taken, unless an entry excludes them
   * @throws ERR_ATSSS_OPTION with the place of an entry that is none of these
   */
  constructor(entries: readonly string[], includeLocal = false) {
    const prefixes = [...(includeLocal ? [] : LOCAL)]
    const names: string[] = []
    for (const [index, entry] of entries.entries()) {
      const name = isIP(entry.split('/')[0]!) === 0 ? plainName(entry) : undefined
      if (name !== undefined) names.push(plainPattern(name))
      else if (isPrefix(entry)) prefixes.push(entry)
      else throw invalid(`exclude[${index}]`, "an address, a prefix such as '10.0.0.0/8', a name or '*.name'", entry)
    }
    this.#prefixes = new PrefixSet(prefixes, 'exclude')
    this.#names = names
  }

  /** @param host as the application gave it: an address, or a name that is not resolved yet */
  hasHost(host: string): boolean {
    const name = plainHost(host)
    if (isIP(name) !== 0) return this.#prefixes.has(name)
    return this.#names.some(pattern => isUnder(name, pattern))
  }

  /** True if any of a name's addresses is excluded: we could otherwise end up at that one, so Node connects instead. */
  hasOneOf(addresses: readonly { address: string }[]): boolean {
    return addresses.some(({ address }) => this.#prefixes.has(address))
  }
}

function isPrefix(entry: string): boolean {
  try {
    new PrefixSet([entry], 'exclude')
    return true
  } catch {
    return false
  }
}
