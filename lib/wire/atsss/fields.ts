/** Fields that several parts of an ATSSS container share: addresses, UUIDs, texts and names, as octets and as text. */
import { ADDRESS_LENGTH, formatAddress, parseAddress } from '../bytes/address.js'
import type { Reader } from '../bytes/cursor.js'
import { type OctetWriter, refusal } from './octets.js'

/** The name, in a trace, of what stands behind the fields of Release 16. */
export const LATER_RELEASES = 'Of later releases, not known here'

/** Also a mask. */
export function readIPv4(from: Reader, name: string): string {
  const at = from.skip(4, name, bytes => bytes.join('.'))
  return from.bytes.subarray(at, at + 4).join('.')
}

export function writeIPv4(to: OctetWriter, text: string, what: string): void {
  const bytes = new Uint8Array(ADDRESS_LENGTH)
  if (!parseAddress(text, bytes, 0) || text.includes(':'))
    throw refusal(`${what} ${JSON.stringify(text)} is not IPv4`, to.offset)
  to.put(bytes.subarray(12), what)
}

/** As text an IPv4-mapped address is dotted, as everywhere here. */
export function readIPv6(from: Reader, name: string): string {
  return formatAddress(
    from.bytes,
    from.skip(ADDRESS_LENGTH, name, bytes => formatAddress(bytes, 0)),
  )
}

export function writeIPv6(to: OctetWriter, text: string, what: string): void {
  const bytes = new Uint8Array(ADDRESS_LENGTH)
  if (!parseAddress(text, bytes, 0)) throw refusal(`${what} ${JSON.stringify(text)} is not IPv6`, to.offset)
  to.put(bytes, what)
}

export const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** RFC 9562 §4, in lower case. */
export function formatUuid(bytes: Uint8Array): string {
  const hex = Buffer.from(bytes).toString('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}

export function writeUuid(to: OctetWriter, text: string, what: string): void {
  if (!UUID.test(text)) throw refusal(`${what} ${JSON.stringify(text)} is not a UUID in lower case`, to.offset)
  to.put(Uint8Array.from(Buffer.from(text.replaceAll('-', ''), 'hex')), what)
}

/** UTF-8, or `undefined` when it is not. */
export function readText(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return undefined
  }
}

/**
 * How a name stands in the octets: DNS labels with their lengths (RFC 1035 §3.1), the same with the root's zero, or text
 * with dots. Of what is in use, Wireshark reads labels; others write text.
 */
export type FqdnCoding = 'labels' | 'labels-and-root' | 'text'

/**
 * A name, or `undefined` when the octets are none. What can be read as labels from its first octet to its last is taken
 * for labels, since text hardly ever can: its first letter would have to be the length, 45 or more, of all that follows
 * up to a letter that again is one.
 */
export function readFqdn(bytes: Uint8Array): { fqdn: string; coding: FqdnCoding } | undefined {
  const labels: string[] = []
  let at = 0
  for (; at < bytes.length && bytes[at] !== 0; at += 1 + bytes[at]!) {
    const end = at + 1 + bytes[at]!
    const label = latin1(bytes.subarray(at + 1, end))
    if (bytes[at]! > MAX_LABEL || end > bytes.length || !LABEL.test(label)) break
    labels.push(label)
  }
  if (labels.length > 0) {
    if (at === bytes.length) return { fqdn: labels.join('.'), coding: 'labels' }
    if (at === bytes.length - 1 && bytes[at] === 0) return { fqdn: labels.join('.'), coding: 'labels-and-root' }
  }
  const text = latin1(bytes)
  return TEXT.test(text) ? { fqdn: text, coding: 'text' } : undefined
}

export function writeFqdn(to: OctetWriter, fqdn: string, coding: FqdnCoding): void {
  if (typeof fqdn !== 'string' || !TEXT.test(fqdn))
    throw refusal(`FQDN ${JSON.stringify(fqdn)} is not printable ASCII`, to.offset)
  if (coding === 'text') {
    to.put(Buffer.from(fqdn, 'latin1'), 'FQDN')
    return
  }
  for (const label of fqdn.split('.')) {
    if (label === '' || label.length > MAX_LABEL)
      throw refusal(`FQDN ${JSON.stringify(fqdn)} has a label of ${label.length} letters`, to.offset)
    to.u8(label.length, 'length of a label')
    to.put(Buffer.from(label, 'latin1'), 'label')
  }
  if (coding === 'labels-and-root') to.u8(0, 'root')
}

/** RFC 1035 §2.3.4. */
const MAX_LABEL = 63
const LABEL = /^[!-\-/-~]+$/
const TEXT = /^[!-~]+$/

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')
}
