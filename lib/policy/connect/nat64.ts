/**
 * IPv4 addresses over an IPv6-only access, by its translator (NAT64, RFC 6146): how the translator's prefix shows in the addresses of
 * `ipv4only.arpa` (RFC 7050), and how an address is made with it (RFC 6052). Pure.
 */
import { ADDRESS_LENGTH, formatAddress, parseAddress } from '../../wire/bytes/address.js'

/** RFC 6052 §2.2. */
export interface Nat64Prefix {
  /** Its bytes, and zeros up to 16 of them. */
  bytes: Uint8Array
  /** Bits. */
  length: (typeof LENGTHS)[number]
}

/** RFC 7050 §2.2: the name that has only these IPv4 addresses. Its IPv6 addresses are made by a translator. */
export const WELL_KNOWN_NAME = 'ipv4only.arpa'
const WELL_KNOWN = [
  [192, 0, 0, 170],
  [192, 0, 0, 171],
]
/** RFC 6052 §2.2, "the prefix MUST be of length 32, 40, 48, 56, 64 or 96". */
const LENGTHS = [96, 64, 56, 48, 40, 32] as const
/** Byte 8 of the address is zero, whatever the prefix: bits 64 to 71. */
const RESERVED = 8

/** RFC 7050 §3: the prefix in one of the IPv6 addresses of `ipv4only.arpa`; undefined if none is there, so there is no translator. */
export function prefixIn(addresses: readonly string[]): Nat64Prefix | undefined {
  for (const address of addresses) {
    const bytes = new Uint8Array(ADDRESS_LENGTH)
    if (!parseAddress(address, bytes, 0)) continue
    const length = LENGTHS.find(bits =>
      WELL_KNOWN.some(known => known.every((byte, i) => bytes[place(bits, i)] === byte)),
    )
    if (length === undefined) continue
    return { bytes: bytes.map((byte, index) => (index < length / 8 ? byte : 0)), length }
  }
  return undefined
}

/** RFC 6052 §2.2: the IPv6 address of an IPv4 address. Undefined for one that is not. */
export function translated({ bytes, length }: Nat64Prefix, address: string): string | undefined {
  const v4 = new Uint8Array(ADDRESS_LENGTH)
  if (address.includes(':') || !parseAddress(address, v4, 0)) return undefined
  const made = Uint8Array.from(bytes)
  for (let i = 0; i < 4; i++) made[place(length, i)] = v4[12 + i]!
  return formatAddress(made, 0)
}

/** As `64:ff9b::/96`. */
export function nameOf({ bytes, length }: Nat64Prefix): string {
  return `${formatAddress(bytes, 0)}/${length}`
}

/** Where the byte number `i` of an IPv4 address is. */
function place(length: number, i: number): number {
  const at = length / 8 + i
  return length < 96 && at >= RESERVED ? at + 1 : at
}
