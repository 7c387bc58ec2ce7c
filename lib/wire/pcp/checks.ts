/** The checks of the PCP encoder: their errors have the code `ERR_PCP_ENCODE`. */
import type { WireError } from '../../errors.js'
import { ADDRESS_LENGTH, formatAddress, isMappedAddress, parseAddress } from '../bytes/address.js'
import type { Writer } from '../bytes/cursor.js'
import { EncodeChecks } from '../bytes/encode-checks.js'

const checks = new EncodeChecks('ERR_PCP_ENCODE')
export const pcpRefusal: EncodeChecks['refusal'] = checks.refusal
export const checkNumber: EncodeChecks['integer'] = checks.integer

/** @param length the exact number of octets */
export function checkOctets(value: Uint8Array, what: string, length?: number): void {
  checks.bytes(value, what)
  if (length !== undefined && value.length !== length)
    throw pcpRefusal(`${what} of ${value.length} octets, not ${length}`)
}

/** One spelling of each address: RFC 5952's, and dotted for an IPv4-mapped one. */
export function plainAddress(address: string): string {
  const bytes = new Uint8Array(ADDRESS_LENGTH)
  if (!parseAddress(address, bytes, 0)) throw notAnAddress(address)
  return formatAddress(bytes, 0)
}

export function familyOf(address: string): 4 | 6 {
  const bytes = new Uint8Array(ADDRESS_LENGTH)
  if (!parseAddress(address, bytes, 0)) throw notAnAddress(address)
  return isMappedAddress(bytes, 0) ? 4 : 6
}

export function writeAddress(to: Writer, address: string): void {
  const at = to.skip(ADDRESS_LENGTH)
  if (!parseAddress(address, to.bytes, at)) throw notAnAddress(address, at)
}

function notAnAddress(address: string, at?: number): WireError {
  return pcpRefusal(`${JSON.stringify(address)} is not an IP address`, at)
}
