/**
 * The meaning of the Error TLV: its code and value. RFC 8803 §6.2.8.
 *
 *   +---------------+---------------+----------------+--------------+
 *   |     Type=0x1E |     Length    |    Error Code  |  Zeros       |
 *   +---------------+---------------+----------------+--------------+
 *   //        Echo the message that triggered the error            //
 *   +---------------------------------------------------------------+
 *   A cookie stands where the echo does. Lists and single numbers begin right after the code.
 */
import { checkArray, checkBytes, checkInteger } from './checks.js'
import { type ErrorTlv, HEADER_LENGTH, MAX_MESSAGE_LENGTH, WORD } from './message.js'

export type ConvertErrorValue =
  /** "The highest commonly supported version number MUST be used" from now on. */
  | { name: 'unsupported-version'; versions: number[] }
  /** The message that could not be parsed, as far as it fits; it cannot be distinguished from padding. */
  | { name: 'malformed-message'; echo: Uint8Array }
  /** The same, of a message with a TLV that the converter does not know. */
  | { name: 'unsupported-message'; echo: Uint8Array }
  /** The cookie to send from now on; empty if the converter put it into a Cookie TLV instead (§6.2.7 can be read so). */
  | { name: 'missing-cookie'; cookie: Uint8Array }
  | { name: 'not-authorized' }
  /** The TCP options that the converter does not send for a client. */
  | { name: 'unsupported-tcp-option'; kinds: number[] }
  /** How long the client should wait. 0 "corresponds to a default delay of at least 30 seconds". */
  | { name: 'resource-exceeded'; delaySeconds: number }
  /** The same. */
  | { name: 'network-failure'; delaySeconds: number }
  /** The server answered with a RST. */
  | { name: 'connection-reset' }
  /** The Code field of an ICMP or ICMPv6 message: the server's address family says which. */
  | { name: 'destination-unreachable'; icmpCode: number }
  | { name: 'unknown'; code: number; value: Uint8Array }

/** Name to number, for both directions. RFC 8803 §10.2.3. */
export const ERROR_CODES = {
  'unsupported-version': 0,
  'malformed-message': 1,
  'unsupported-message': 2,
  'missing-cookie': 3,
  'not-authorized': 32,
  'unsupported-tcp-option': 33,
  'resource-exceeded': 64,
  'network-failure': 65,
  'connection-reset': 96,
  'destination-unreachable': 97,
} as const

/** The meaning of an Error TLV. Never throws: what is missing is empty or 0, what is too much is ignored. */
export function decodeErrorValue({ code, value }: { code: number; value: Uint8Array }): ConvertErrorValue {
  const name = NAMES.get(code)
  switch (name) {
    case 'unsupported-version':
      return { name, versions: withoutZeros(value) }
    case 'malformed-message':
    case 'unsupported-message':
      return { name, echo: new Uint8Array(value.subarray(1)) }
    case 'missing-cookie':
      return { name, cookie: new Uint8Array(value.subarray(1)) }
    case 'unsupported-tcp-option':
      return { name, kinds: withoutZeros(value) }
    case 'resource-exceeded':
    case 'network-failure':
      return { name, delaySeconds: decodeDelay(value) }
    case 'destination-unreachable':
      return { name, icmpCode: value[0] ?? 0 }
    case 'not-authorized':
    case 'connection-reset':
      return { name }
    case undefined:
      return { name: 'unknown', code, value }
  }
}

/**
 * The Error TLV of this meaning. An echo is cut so that a message of this TLV alone holds it.
 * Throws `WireError` with the code `ERR_CONVERT_ENCODE` for numbers that do not fit.
 */
export function encodeErrorValue(error: ConvertErrorValue): ErrorTlv {
  if (error.name === 'unknown') return { type: 'error', code: error.code, value: error.value }
  return { type: 'error', code: ERROR_CODES[error.name], value: encodeValue(error) }
}

type ErrorName = keyof typeof ERROR_CODES

const NAMES: ReadonlyMap<number, ErrorName> = new Map(
  Object.entries(ERROR_CODES).map(([name, code]) => [code, name as ErrorName]),
)

/** Bytes of an echo: all of the largest message but its header and the first word of the TLV. */
const MAX_ECHO_LENGTH = MAX_MESSAGE_LENGTH - HEADER_LENGTH - WORD

const MAX_DELAY_SECONDS = 0xffffffff

function encodeValue(error: Exclude<ConvertErrorValue, { name: 'unknown' }>): Uint8Array {
  switch (error.name) {
    case 'unsupported-version':
      return listOf(error.versions, 'version')
    case 'malformed-message':
    case 'unsupported-message':
      checkBytes(error.echo, 'echo', 0)
      return afterZero(error.echo.subarray(0, MAX_ECHO_LENGTH))
    case 'missing-cookie':
      // RFC 8803 §6.2.8: "The first byte of the Value field MUST be set to zero and the remaining bytes of the Error
      // TLV contain the Cookie".
      checkBytes(error.cookie, 'cookie', 0)
      return afterZero(error.cookie)
    case 'unsupported-tcp-option':
      return listOf(error.kinds, 'TCP option kind')
    case 'resource-exceeded':
    case 'network-failure':
      return encodeDelay(error.delaySeconds)
    case 'destination-unreachable':
      checkInteger(error.icmpCode, 0, 255, 'ICMP code', 0)
      return Uint8Array.of(error.icmpCode)
    case 'not-authorized':
    case 'connection-reset':
      return Uint8Array.of(0)
  }
}

/**
 * RFC 8803 gives the delay no width. One octet is what fits into the TLV's first word; of a longer value all octets
 * are one number, in network order, of which we allow 32 bits.
 */
function decodeDelay(value: Uint8Array): number {
  let delay = 0
  for (const octet of value) delay = Math.min(delay * 256 + octet, MAX_DELAY_SECONDS)
  return delay
}

function encodeDelay(seconds: number): Uint8Array {
  checkInteger(seconds, 0, MAX_DELAY_SECONDS, 'delay in seconds', 0)
  if (seconds <= 255) return Uint8Array.of(seconds)
  return Uint8Array.of(0, seconds >>> 24, seconds >>> 16, seconds >>> 8, seconds)
}

/** A list's zeros are its padding. */
function withoutZeros(list: Uint8Array): number[] {
  return [...list].filter(octet => octet !== 0)
}

function listOf(list: readonly number[], what: string): Uint8Array {
  checkArray(list, `list of ${what}s`, 0)
  for (const octet of list) checkInteger(octet, 1, 255, what, 0)
  return Uint8Array.from(list)
}

function afterZero(bytes: Uint8Array): Uint8Array {
  const value = new Uint8Array(1 + bytes.length)
  value.set(bytes, 1)
  return value
}
