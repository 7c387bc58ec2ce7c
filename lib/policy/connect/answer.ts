/** What a converter's message means for the connection. Pure; throws `WireError`. */
import { WireError } from '../../errors.js'
import { decodeErrorValue } from '../../wire/convert/error.js'
import { decode, HEADER_LENGTH, type Tlv } from '../../wire/convert/index.js'
import type { Failure } from './reaction.js'

/** The TLVs of the whole message `bytes`, and the failure that one of them is. */
export function readAnswer(bytes: Uint8Array): { tlvs: Tlv[]; failure?: Failure } {
  const tlvs = decode(bytes)?.tlvs ?? []
  // Only a client sends these (§6.2): the peer echoes our message, and is not a converter.
  const ours = tlvs.find(({ type }) => type === 'connect' || type === 'info')
  if (ours) throw new WireError(`a converter does not send the TLV "${ours.type}"`, HEADER_LENGTH, 'value')
  const error = tlvs.find(tlv => tlv.type === 'error')
  if (!error) return { tlvs }
  const cookie = tlvs.find(tlv => tlv.type === 'cookie')?.cookie
  const detail = decodeErrorValue(error)
  // §6.2.7 can be read to mean that the cookie comes in a separate TLV.
  if (detail.name === 'missing-cookie' && detail.cookie.length === 0 && cookie) detail.cookie = cookie
  return { tlvs, failure: { kind: 'error-tlv', code: error.code, detail } }
}
