/** Bytes to Convert messages. RFC 8803 §6; the layouts are drawn in message.ts. */
import { WireError } from '../../errors.js'
import { ADDRESS_LENGTH, formatAddress } from '../bytes/address.js'
import { Reader } from '../bytes/cursor.js'
import { HEADER, HEADER_LENGTH, MAGIC_NUMBER, TLV, TLV_CODES, type Tlv, VERSION_1, WORD } from './message.js'
import { readTcpHeader, readTcpOptions } from './tcp-options.js'
import {
  showAddress,
  showErrorCode,
  showErrorValue,
  showHex,
  showKind,
  showTotalLength,
  showWords,
  tlvName,
} from './words.js'

/**
 * The message at the start of `bytes`, and its length in bytes; `undefined` when more bytes are needed.
 * Throws `WireError` for what is not a message: about the header as soon as a wrong byte is there, about the TLVs
 * once the message is whole. Unknown types are values; so are addresses and ports that make no sense, which
 * callers have to refuse (`forbiddenTarget`). Nothing in the result shares memory with `bytes`.
 */
export function decode(bytes: Uint8Array): { tlvs: Tlv[]; length: number } | undefined {
  return readMessage(new Reader(bytes))
}

/** The same from a reader, whose window ends with the message afterwards. A trace goes as far as the bytes do. */
export function readMessage(from: Reader): { tlvs: Tlv[]; length: number } | undefined {
  const length = readHeader(from)
  if (length === undefined) return undefined
  if (from.left < length - HEADER_LENGTH) {
    if (from.trace === undefined) return undefined
    const present = from.bytes.length
    const message = `cut short: the message has ${length} bytes, ${present} are there`
    from.trace.errors.push(new WireError(message, present, 'framing'))
  }
  from.reach(length - HEADER_LENGTH)
  if (from.trace !== undefined) from.trace.title('Convert message', `${length} bytes`)

  const tlvs: Tlv[] = []
  while (from.left > 0) {
    const tlv = from.part('TLV')
    const at = tlv.offset
    const code = tlv.u8('Type')
    const words = tlv.u8('Length', showWords)
    // RFC 8803 §6.2.2: "Type 0x0 is a reserved value."
    if (code === 0) throw new WireError('TLV of the reserved type 0', at, 'reserved-type')
    // A TLV without a length would make this loop endless.
    if (words === 0) throw new WireError(`TLV ${code} of length 0`, at + TLV.length, 'tlv-length')
    // RFC 8803 §9: "An implementation MUST check that the Convert TLVs are properly framed within the boundary
    // indicated by the Total Length".
    const beyond = at + words * WORD - from.end
    if (beyond > 0) throw new WireError(`TLV ${code} ends ${beyond} bytes too far`, at + TLV.length, 'framing')
    // RFC 8803 §6.2.1: "A given TLV MUST only appear once on a connection."
    if (tlvs.length > 0 && hasCode(tlvs, code)) throw new WireError(`TLV ${code} appears twice`, at, 'duplicate')
    tlv.reach(words * WORD - TLV.value)
    tlvs.push(readTlv(code, tlv))
    from.offset = tlv.end
  }
  return { tlvs, length }
}

function hasCode(tlvs: readonly Tlv[], code: number): boolean {
  return tlvs.some(tlv => (tlv.type === 'unknown' ? tlv.code : TLV_CODES[tlv.type]) === code)
}

/** The length in bytes of the message that this header starts. Throws `WireError` when it is no header. */
export function messageLength(header: Uint8Array): number {
  const length = readHeader(new Reader(header))
  if (length === undefined) throw new WireError('a header has 4 bytes', header.length, 'framing')
  return length
}

/**
 * The length in bytes of the message; `undefined` when more bytes are needed. Checks as much of the header as there is,
 * so that the result does not depend on how the bytes were split.
 */
function readHeader(from: Reader): number | undefined {
  if (from.left === 0) return undefined
  const version = from.u8('Version')
  if (version !== VERSION_1) throw new WireError(`Convert version ${version}`, HEADER.version, 'version')
  if (from.left === 0) return undefined
  const words = from.u8('Total Length', showTotalLength)
  // RFC 8803 §6.1: "A Total Length of zero is invalid and the connection MUST be reset upon reception of a header
  // with such a total length."
  if (words === 0) throw new WireError('Total Length of 0', HEADER.totalLength, 'total-length')
  const present = Math.min(from.left, MAGIC_BYTES.length)
  const at = from.skip(present, 'Magic Number', showHex)
  // RFC 8803 §6.1: "The Magic Number field MUST be set to 0x2263."
  for (let i = 0; i < present; i++)
    if (from.bytes[at + i] !== MAGIC_BYTES[i])
      throw new WireError('no Magic Number: not a Convert message', at + i, 'magic')
  return present < MAGIC_BYTES.length ? undefined : words * WORD
}

const MAGIC_BYTES = [MAGIC_NUMBER >>> 8, MAGIC_NUMBER & 0xff]

/** @param value from after the TLV's length to its end */
function readTlv(code: number, value: Reader): Tlv {
  if (value.trace !== undefined) value.trace.title(tlvName(code))
  switch (code) {
    case TLV_CODES.info:
      if (value.left !== 2) throw wrongLength('Info TLV', 'of exactly 1', value)
      value.skip(2, 'Zero')
      return { type: 'info' }
    case TLV_CODES.connect: {
      if (value.left < 2 + ADDRESS_LENGTH) throw wrongLength('Connect TLV', 'of at least 5', value)
      const port = value.u16('Remote Peer Port')
      const address = formatAddress(value.bytes, value.skip(ADDRESS_LENGTH, 'Remote Peer IP Address', showAddress))
      // RFC 8803 §6.2.5: "Length > 5" makes an Extended Connect, whatever is in it.
      const hasMore = value.left > 0
      const tcpOptions = readTcpOptions(value)
      const isExtended = hasMore && tcpOptions.length === 0
      return { type: 'connect', address, port, tcpOptions, ...(isExtended ? { isExtended } : {}) }
    }
    case TLV_CODES['extended-tcp-header']:
      // RFC 8803 §6.2.6: "The Unassigned field MUST be set to zero by the sender and ignored by the receiver."
      value.skip(2, 'Unassigned')
      return { type: 'extended-tcp-header', options: readTcpHeader(value) }
    case TLV_CODES['supported-tcp-extensions']: {
      value.skip(2, 'Unassigned')
      const kinds: number[] = []
      while (value.left > 0) {
        const kind = value.u8('Kind', showKind)
        if (kind !== 0) kinds.push(kind)
      }
      return { type: 'supported-tcp-extensions', kinds }
    }
    case TLV_CODES.cookie:
      value.skip(2, 'Zero')
      return { type: 'cookie', cookie: value.rest('Cookie') }
    case TLV_CODES.error: {
      const error = value.u8('Error Code', showErrorCode)
      const show = value.trace === undefined ? undefined : showErrorValue(error)
      return { type: 'error', code: error, value: value.rest('Value', show) }
    }
    default:
      return { type: 'unknown', code, value: value.rest('Value') }
  }
}

function wrongLength(what: string, should: string, value: Reader): WireError {
  const words = (value.left + TLV.value) / WORD
  return new WireError(`${what} of ${words} words, not ${should}`, value.offset - TLV.value + TLV.length, 'tlv-length')
}
