/** Addresses and ports as text: one spelling of each, parsed and printed; sets of prefixes. */
import { BlockList, isIP, isIPv4 } from 'node:net'
import { domainToASCII } from 'node:url'
import { AtsssError } from '../errors.js'
import { ADDRESS_LENGTH, formatAddress, parseAddress } from '../wire/bytes/address.js'
import { invalid } from './check.js'

/**
 * A set of prefixes: `10.0.0.0/8`, `2001:db8::/32`; an address alone stands for itself. `::ffff:10.0.0.0/104` is `10.0.0.0/8`,
 * as IPv4-mapped addresses are IPv4 addresses everywhere here.
 */
export class PrefixSet {
  /** One for each family: in a single list, an IPv6 prefix such as ::/0 would contain every IPv4 address. */
  readonly #lists = { ipv4: new BlockList(), ipv6: new BlockList() }

  /** @param option the name of the option, for the error */
  constructor(prefixes: readonly string[], option: string) {
    for (const prefix of prefixes) {
      const [, address = '', bits] = /^([^/%]+)(?:\/(\d{1,3}))?$/.exec(String(prefix)) ?? []
      const width = [0, 32, 128][[0, 4, 6].indexOf(isIP(address))]!
      const length = bits === undefined ? width : Number(bits)
      const plain = plainAddress(address)
      const family = isIPv4(plain) ? 'ipv4' : 'ipv6'
      const plainLength = family === 'ipv4' ? length - (width - 32) : length
      // A mapped prefix of less than 96 bits would be more than IPv4, and nothing says what it means.
      if (width === 0 || length > width || plainLength < 0)
        throw invalid(option, 'prefixes such as 10.0.0.0/8 or fd00::/8', prefix)
      this.#lists[family].addSubnet(plain, plainLength, family)
    }
  }

  has(address: string): boolean {
    const plain = plainAddress(address)
    const family = isIPv4(plain) ? 'ipv4' : 'ipv6'
    return isIP(plain) !== 0 && this.#lists[family].check(plain, family)
  }
}

/** An IPv4 address as an IPv6 socket takes it (RFC 4291 §2.5.5.2); others unchanged. */
export function mappedAddress(address: string): string {
  return isIPv4(address) ? `::ffff:${address}` : address
}

/** As RFC 5952 writes it, without a zone, and an IPv4-mapped address as the IPv4 address that it is. */
export function plainAddress(address: string): string {
  const bytes = new Uint8Array(ADDRESS_LENGTH)
  return parseAddress(withoutZone(address), bytes, 0) ? formatAddress(bytes, 0) : address
}

/**
 * The IPv4 addresses that an IPv6 address may lead to: a translator or a tunnel on the way takes them out of it. None for most.
 *
 * IPv4-compatible (RFC 4291 §2.5.5.1), IPv4-translated (RFC 2765 §2.1), NAT64 with its prefixes of RFC 6052 §2.1 and
 * RFC 8215, 6to4 (RFC 3056 §2), Teredo (RFC 4380 §4), ISATAP (RFC 5214 §6.1).
 */
export function embeddedAddresses(address: string): string[] {
  const bytes = new Uint8Array(ADDRESS_LENGTH)
  if (!address.includes(':') || !parseAddress(withoutZone(address), bytes, 0)) return []
  const begins = (...start: number[]) => start.every((byte, index) => bytes[index] === byte)
  const at = (...indexes: number[]) => indexes.map(index => bytes[index]).join('.')
  const last = at(12, 13, 14, 15)
  const found: string[] = []
  const zeros = bytes.findIndex(byte => byte !== 0)
  if (zeros >= 12 && last !== '0.0.0.1') found.push(last)
  if (zeros === 8 && bytes[8] === 0xff && bytes[9] === 0xff && bytes[10] === 0 && bytes[11] === 0) found.push(last)
  if (begins(0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0)) found.push(last)
  if (begins(0x00, 0x64, 0xff, 0x9b, 0, 1))
    found.push(bytes.subarray(6, 12).every(byte => byte === 0) ? last : at(6, 7, 9, 10))
  if (begins(0x20, 0x02)) found.push(at(2, 3, 4, 5))
  if (begins(0x20, 0x01, 0, 0))
    found.push(
      bytes
        .subarray(12)
        .map(byte => byte ^ 0xff)
        .join('.'),
    )
  if ((bytes[8]! & 0xfd) === 0 && bytes[9] === 0 && bytes[10] === 0x5e && bytes[11] === 0xfe) found.push(last)
  return found
}

/**
 * A host in one spelling: an address as `plainAddress` has it; a name in small ASCII letters (IDNA), without the root's dot. Text that
 * is neither is only changed to small letters.
 */
export function plainHost(host: string): string {
  if (isIP(host) !== 0) return plainAddress(host)
  return (domainToASCII(host) || host.toLowerCase()).replace(/\.$/, '')
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

/** `192.0.2.1:443`, `[2001:db8::1]:443`, `example.com:443`. */
export function hostAndPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/**
 * The host and port of `192.0.2.1:443`, `[2001:db8::1]:443` or `example.com:443`; without a port, of the host alone. An
 * IPv6 address may have a zone; without brackets it has no port.
 *
 * @returns `undefined` if the text has none of these forms, or if the port is more than 65535
 */
export function parseHostAndPort(given: unknown): { host: string; port: number | undefined } | undefined {
  const host = String(given)
  if (isIP(host) === 6) return { host, port: undefined }
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:[\]\s/]+))(?::(\d{1,5}))?$/.exec(host) ?? []
  if (bracketed !== undefined && isIP(bracketed) !== 6) return undefined
  const port = digits === undefined ? undefined : Number(digits)
  if (port !== undefined && port > 65_535) return undefined
  return bracketed === undefined && plain === undefined ? undefined : { host: (bracketed ?? plain)!, port }
}

/**
 * The destination that the words of a command line name: `HOST:PORT` as one word, or `HOST PORT` as two.
 *
 * @throws ERR_ATSSS_OPTION
 */
export function parseDestination(words: readonly string[]): { host: string; port: number } {
  const [first, second, third] = words
  if (first === undefined) throw new AtsssError('ERR_ATSSS_OPTION', 'no destination is given, such as example.com:443')
  if (third !== undefined)
    throw new AtsssError('ERR_ATSSS_OPTION', `one destination at a time: there is '${third}', too`)
  const { host, port: behind } = parseHostAndPort(first) ?? {}
  const port = second === undefined ? behind : /^\d+$/.test(second) ? Number(second) : undefined
  if (
    host === undefined ||
    port === undefined ||
    port < 1 ||
    port > 65_535 ||
    (second !== undefined && behind !== undefined)
  )
    throw new AtsssError(
      'ERR_ATSSS_OPTION',
      `the destination must be HOST:PORT, [IPv6 ADDRESS]:PORT or HOST PORT, with a port in 1…65535; it is '${words.join(' ')}'`,
    )
  return { host, port }
}

/** The wildcard address of a family, for `bind`. */
export function anyAddress(family: 4 | 6): string {
  return family === 4 ? '0.0.0.0' : '::'
}

function withoutZone(address: string): string {
  return address.split('%')[0]!
}
