/** What the PCP encoder asks of its values: `WireError`s with the code `ERR_PCP_ENCODE`. */
import { types } from 'node:util'
import { WireError } from '../../errors.js'
import { ADDRESS_LENGTH, isMappedAddress, parseAddress } from '../bytes/address.js'
import type { Writer } from '../bytes/cursor.js'

/** @param at where in the message the value would have gone */
export function pcpRefusal(message: string, at = 0): WireError {
  return new WireError(message, at, 'value', 'ERR_PCP_ENCODE')
}

export function checkNumber(value: number, least: number, most: number, what: string): void {
  if (!Number.isInteger(value) || value < least || value > most)
    throw pcpRefusal(`${what} ${value}, not an integer from ${least} to ${most}`)
}

/** @param length exactly so many octets */
export function checkOctets(value: Uint8Array, what: string, length?: number): void {
  if (!types.isUint8Array(value)) throw pcpRefusal(`${what} is not a Uint8Array`)
  if (length !== undefined && value.length !== length)
    throw pcpRefusal(`${what} of ${value.length} octets, not ${length}`)
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
