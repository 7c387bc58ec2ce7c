/** Sets of address prefixes, and addresses in one spelling. */
import { BlockList, isIP, isIPv4 } from 'node:net'
import { ADDRESS_LENGTH, formatAddress, parseAddress } from '../wire/bytes/address.js'
import { invalid } from './check.js'

/** A set of prefixes: `10.0.0.0/8`, `2001:db8::/32`; an address alone stands for itself. */
export class PrefixSet {
  /** One each: a list holds an IPv4 address for being IPv4-mapped in an IPv6 prefix, such as ::/0. */
  readonly #lists = { ipv4: new BlockList(), ipv6: new BlockList() }

  /** @param option the name of the option, for the error */
  constructor(prefixes: readonly string[], option: string) {
    for (const prefix of prefixes) {
      const [, address = '', bits] = /^([^/%]+)(?:\/(\d{1,3}))?$/.exec(String(prefix)) ?? []
      const width = [0, 32, 128][[0, 4, 6].indexOf(isIP(address))]!
      const length = bits === undefined ? width : Number(bits)
      if (width === 0 || length > width) throw invalid(option, 'prefixes such as 10.0.0.0/8 or fd00::/8', prefix)
      const family = width === 32 ? 'ipv4' : 'ipv6'
      this.#lists[family].addSubnet(address, length, family)
    }
  }

  has(address: string): boolean {
    const plain = plainAddress(address)
    const family = isIPv4(plain) ? 'ipv4' : 'ipv6'
    return isIP(plain) !== 0 && this.#lists[family].check(plain, family)
  }
}

/** As RFC 5952 writes it, without a zone, and an IPv4-mapped address as the IPv4 address that it is. */
export function plainAddress(address: string): string {
  const bytes = new Uint8Array(ADDRESS_LENGTH)
  return parseAddress(withoutZone(address), bytes, 0) ? formatAddress(bytes, 0) : address
}

/**
 * What counts as one client in the limits: an IPv4 address, or the /64 of an IPv6 address, which is what a network
 * gives to one device (TS 23.501 §5.8.2.2.3).
 */
export function clientKey(address: string): string {
  const plain = plainAddress(address)
  const bytes = new Uint8Array(ADDRESS_LENGTH)
  if (!plain.includes(':') || !parseAddress(plain, bytes, 0)) return plain
  return `${formatAddress(bytes.fill(0, 8), 0)}/64`
}

/** The wildcard address of a family, for `bind`. */
export function anyAddress(family: 4 | 6): string {
  return family === 4 ? '0.0.0.0' : '::'
}

function withoutZone(address: string): string {
  return address.split('%')[0]!
}
