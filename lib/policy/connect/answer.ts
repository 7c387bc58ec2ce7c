/** What a converter's message means for the connection. Pure; throws `WireError`. */
import { WireError } from '../../errors.js'
import { decodeErrorValue } from '../../wire/convert/error.js'
import { decode, HEADER_LENGTH, type Tlv } from '../../wire/convert/index.js'
import type { Failure } from './reaction.js'

/** The TLVs of the whole message `bytes`, and the failure that one of them is. */
export function readAnswer(bytes: Uint8Array): { tlvs: Tlv[]; failure?: Failure } {
  const tlvs = decode(bytes)?.tlvs ?? []
  // What only a client sends (§6.2): what answers so is an echo of our message, and no converter.
  const ours = tlvs.find(({ type }) => type === 'connect' || type === 'info')
  if (ours) throw new WireError(`a converter does not send the TLV "${ours.type}"`, HEADER_LENGTH, 'value')
  const error = tlvs.find(tlv => tlv.type === 'error')
  if (!error) return { tlvs }
  const cookie = tlvs.find(tlv => tlv.type === 'cookie')?.cookie
  const detail = decodeErrorValue(error)
  // §6.2.7 can be read so that the cookie comes in a TLV of its own.
  if (detail.name === 'missing-cookie' && detail.cookie.length === 0 && cookie) detail.cookie = cookie
  return { tlvs, failure: { kind: 'error-tlv', code: error.code, detail } }
}
