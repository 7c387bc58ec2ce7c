/**
 * The 16-byte address of the Connect TLV, and its text. RFC 8803 §6.2.5.
 * IPv4 is IPv4-mapped on the wire (RFC 4291 §2.5.5.2) and dotted as text; IPv6 text is that of RFC 5952.
 */

/** Why an address may not be a remote peer. */
export type ForbiddenTarget = 'multicast' | 'broadcast' | 'loopback' | 'unspecified' | 'not an IP address'

/**
 * Why this address may not be a remote peer, or `undefined` when it may. Native and IPv4-mapped text are the same.
 *
 * RFC 8803 §6.2.5: "the Remote Peer IP Address field MUST NOT include multicast, broadcast, or host loopback
 * addresses". The unspecified address, which reaches the host itself on many systems, is forbidden by us.
 */
export function forbiddenTarget(address: string): ForbiddenTarget | undefined {
  const bytes = new Uint8Array(ADDRESS_LENGTH)
  return parseAddress(address, bytes, 0) ? forbiddenBytes(bytes, 0) : 'not an IP address'
}

export const ADDRESS_LENGTH = 16

/** `forbiddenTarget` of the 16 bytes at `at`. */
export function forbiddenBytes(bytes: Uint8Array, at: number): ForbiddenTarget | undefined {
  if (isMappedAddress(bytes, at)) {
    const first = bytes[at + 12]!
    const rest = (bytes[at + 13]! << 16) | (bytes[at + 14]! << 8) | bytes[at + 15]!
    if (first === 127) return 'loopback'
    if (first >= 224 && first <= 239) return 'multicast'
    if (first === 255 && rest === 0xffffff) return 'broadcast'
    if (first === 0 && rest === 0) return 'unspecified'
    return undefined
  }
  if (bytes[at] === 0xff) return 'multicast'
  for (let i = 0; i < 15; i++) if (bytes[at + i] !== 0) return undefined
  const last = bytes[at + 15]!
  return last === 0 ? 'unspecified' : last === 1 ? 'loopback' : undefined
}

/** ::ffff:0:0/96 */
export function isMappedAddress(bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < 10; i++) if (bytes[at + i] !== 0) return false
  return bytes[at + 10] === 0xff && bytes[at + 11] === 0xff
}

export function formatAddress(bytes: Uint8Array, at: number): string {
  if (isMappedAddress(bytes, at)) return `${bytes[at + 12]}.${bytes[at + 13]}.${bytes[at + 14]}.${bytes[at + 15]}`

  // RFC 5952 §4.2: the longest run of zeros becomes "::", the first of several, never a single group.
  let runStart = 8
  let runLength = 1
  for (let i = 0; i < 8; i++) {
    let length = 0
    while (i + length < 8 && group(bytes, at, i + length) === 0) length++
    if (length > runLength) {
      runStart = i
      runLength = length
    }
    i += length
  }
  let text = ''
  for (let i = 0; i < 8; i++) {
    if (i === runStart) {
      text += '::'
      i += runLength - 1
    } else {
      if (text !== '' && !text.endsWith(':')) text += ':'
      text += group(bytes, at, i).toString(16)
    }
  }
  return text
}

/** Writes all 16 bytes at `at`; false, with the bytes undefined, when `text` is no address. */
export function parseAddress(text: string, into: Uint8Array, at: number): boolean {
  if (typeof text !== 'string') return false
  if (!text.includes(':')) {
    into.fill(0, at, at + 10)
    into.fill(0xff, at + 10, at + 12)
    return parseIPv4(text, 0, into, at + 12)
  }
  return parseIPv6(text, into, at)
}

const COLON = 0x3a
const DOT = 0x2e

/** Four decimal numbers from `start` to the end of `text`, none with a leading zero. */
function parseIPv4(text: string, start: number, into: Uint8Array, at: number): boolean {
  let octet = 0
  let digits = 0
  let index = 0
  for (let i = start; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === DOT) {
      if (digits === 0 || index === 3) return false
      into[at + index++] = octet
      octet = digits = 0
      continue
    }
    const digit = code - 0x30
    if (digit < 0 || digit > 9 || (digits > 0 && octet === 0)) return false
    octet = octet * 10 + digit
    digits++
    if (octet > 255) return false
  }
  into[at + 3] = octet
  return index === 3 && digits > 0
}

function parseIPv6(text: string, into: Uint8Array, at: number): boolean {
  const end = at + ADDRESS_LENGTH
  let to = at
  let gap = -1
  let i = 0
  if (text.charCodeAt(0) === COLON) {
    if (text.charCodeAt(1) !== COLON) return false
    gap = to
    i = 2
  }
  while (i < text.length) {
    const start = i
    let value = 0
    for (; i < text.length; i++) {
      const digit = hexDigit(text.charCodeAt(i))
      if (digit < 0) break
      value = (value << 4) | digit
    }
    if (text.charCodeAt(i) === DOT) {
      if (to + 4 > end || !parseIPv4(text, start, into, to)) return false
      to += 4
      break
    }
    if (i === start || i - start > 4 || to + 2 > end) return false
    into[to++] = value >>> 8
    into[to++] = value
    if (i === text.length) break
    if (text.charCodeAt(i++) !== COLON || i === text.length) return false
    if (text.charCodeAt(i) === COLON) {
      if (gap >= 0) return false
      gap = to
      i++
    }
  }
  if (gap < 0) return to === end
  if (to === end) return false
  into.copyWithin(end - (to - gap), gap, to)
  into.fill(0, gap, end - (to - gap))
  return true
}

function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30
  const letter = code | 0x20
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1
}

function group(bytes: Uint8Array, at: number, index: number): number {
  return (bytes[at + 2 * index]! << 8) | bytes[at + 2 * index + 1]!
}
