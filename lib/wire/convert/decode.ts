/** Bytes to Convert messages. RFC 8803 §6; the layouts are drawn in convert-message.ts. */
import { WireError } from '../../errors.js'
import { ADDRESS_LENGTH, formatAddress } from '../bytes/address.js'
import { Reader } from '../bytes/cursor.js'
import { HEADER, HEADER_LENGTH, MAGIC_NUMBER, TLV, TLV_CODES, type Tlv, VERSION_1, WORD } from './message.js'
import { readTcpOptions } from './tcp-options.js'

/**
 * The message at the start of `bytes`, and its length in bytes; `undefined` when more bytes are needed.
 * Throws `WireError` for what is not a message: about the header as soon as a wrong byte is there, about the TLVs
 * once the message is whole. Types not known are values; so are addresses and ports that make no sense, for whoever
 * acts on them to refuse (`forbiddenTarget`). Nothing in the result shares memory with `bytes`.
 */
export function decode(bytes: Uint8Array): { tlvs: Tlv[]; length: number } | undefined {
  checkHeader(bytes)
  if (bytes.length < HEADER_LENGTH) return undefined
  const length = bytes[HEADER.totalLength]! * WORD
  if (bytes.length < length) return undefined

  const tlvs: Tlv[] = []
  const seen: number[] = []
  for (let at = HEADER_LENGTH; at < length; ) {
    const code = bytes[at + TLV.type]!
    const words = bytes[at + TLV.length]!
    // RFC 8803 §6.2.2: "Type 0x0 is a reserved value."
    if (code === 0) throw new WireError('TLV of the reserved type 0', at, 'reserved-type')
    // What does not advance would never end.
    if (words === 0) throw new WireError(`TLV ${code} of length 0`, at + TLV.length, 'tlv-length')
    // RFC 8803 §9: "An implementation MUST check that the Convert TLVs are properly framed within the boundary
    // indicated by the Total Length".
    const end = at + words * WORD
    if (end > length) throw new WireError(`TLV ${code} ends ${end - length} bytes too far`, at + TLV.length, 'framing')
    // RFC 8803 §6.2.1: "A given TLV MUST only appear once on a connection."
    if (seen.includes(code)) throw new WireError(`TLV ${code} appears twice`, at, 'duplicate')
    seen.push(code)
    tlvs.push(decodeTlv(code, new Reader(bytes, at + TLV.value, end)))
    at = end
  }
  return { tlvs, length }
}

/** The length in bytes of the message that this header starts. Throws `WireError` when it is no header. */
export function messageLength(header: Uint8Array): number {
  checkHeader(header)
  if (header.length < HEADER_LENGTH) throw new WireError('a header has 4 bytes', header.length, 'framing')
  return header[HEADER.totalLength]! * WORD
}

/** Checks as much of the header as there is, so that the answer does not depend on how the bytes came. */
function checkHeader(bytes: Uint8Array): void {
  const present = bytes.length
  if (present > HEADER.version && bytes[HEADER.version] !== VERSION_1)
    throw new WireError(`Convert version ${bytes[HEADER.version]}`, HEADER.version, 'version')
  // RFC 8803 §6.1: "A Total Length of zero is invalid and the connection MUST be reset upon reception of a header
  // with such a total length."
  if (present > HEADER.totalLength && bytes[HEADER.totalLength] === 0)
    throw new WireError('Total Length of 0', HEADER.totalLength, 'total-length')
  // RFC 8803 §6.1: "The Magic Number field MUST be set to 0x2263."
  for (let i = 0; i < MAGIC_BYTES.length && present > HEADER.magic + i; i++)
    if (bytes[HEADER.magic + i] !== MAGIC_BYTES[i])
      throw new WireError('no Magic Number: not a Convert message', HEADER.magic + i, 'magic')
}

const MAGIC_BYTES = [MAGIC_NUMBER >>> 8, MAGIC_NUMBER & 0xff]

/** @param value from after the TLV's length to its end */
function decodeTlv(code: number, value: Reader): Tlv {
  switch (code) {
    case TLV_CODES.info:
      if (value.left !== 2) throw wrongLength('Info TLV', 'of exactly 1', value)
      return { type: 'info' }
    case TLV_CODES.connect: {
      if (value.left < 2 + ADDRESS_LENGTH) throw wrongLength('Connect TLV', 'of at least 5', value)
      const port = value.u16()
      const address = formatAddress(value.bytes, value.skip(ADDRESS_LENGTH))
      return { type: 'connect', address, port, tcpOptions: readTcpOptions(value) }
    }
    case TLV_CODES['extended-tcp-header']:
      // RFC 8803 §6.2.6: "The Unassigned field MUST be set to zero by the sender and ignored by the receiver."
      value.skip(2)
      return { type: 'extended-tcp-header', options: value.take(value.left) }
    case TLV_CODES['supported-tcp-extensions']:
      value.skip(2)
      return { type: 'supported-tcp-extensions', kinds: [...value.take(value.left)].filter(kind => kind !== 0) }
    case TLV_CODES.cookie:
      value.skip(2)
      return { type: 'cookie', cookie: value.take(value.left) }
    case TLV_CODES.error:
      return { type: 'error', code: value.u8(), value: value.take(value.left) }
    default:
      return { type: 'unknown', code, value: value.take(value.left) }
  }
}

function wrongLength(what: string, should: string, value: Reader): WireError {
  const words = (value.left + TLV.value) / WORD
  return new WireError(`${what} of ${words} words, not ${should}`, value.offset - TLV.value + TLV.length, 'tlv-length')
}
