/** The fields of Convert messages in words, for a trace of what was read. */
import { formatAddress } from '../bytes/address.js'
import { hex } from '../bytes/trace.js'
import { decodeErrorValue, ERROR_CODES } from './error.js'
import { TLV_CODES, WORD } from './message.js'
import { kindInWords } from './tcp-options.js'

/** The name of a TLV. */
export function tlvName(code: number): string {
  return TLV_NAMES.get(code) ?? `TLV of unknown type ${code}`
}

const TLV_NAMES: ReadonlyMap<number, string> = new Map([
  [TLV_CODES.info, 'Info TLV'],
  [TLV_CODES.connect, 'Connect TLV'],
  [TLV_CODES['extended-tcp-header'], 'Extended TCP Header TLV'],
  [TLV_CODES['supported-tcp-extensions'], 'Supported TCP Extensions TLV'],
  [TLV_CODES.cookie, 'Cookie TLV'],
  [TLV_CODES.error, 'Error TLV'],
])

export function showTotalLength(words: number): string {
  return `${showWords(words)}, ${words * WORD} bytes`
}

export function showWords(words: number): string {
  return words === 1 ? '1 word' : `${words} words`
}

export function showHex(bytes: Uint8Array): string {
  return `0x${hex(bytes)}`
}

export function showAddress(bytes: Uint8Array): string {
  return formatAddress(bytes, 0)
}

export function showKind(kind: number): string {
  return kind === 0 ? '0 (padding)' : kindInWords(kind)
}

/** An error's code and name. */
export function showErrorCode(code: number): string {
  return `${code} (${ERROR_NAMES.get(code) ?? 'unknown'})`
}

/** What the value of an Error TLV means, in words. */
export function showErrorValue(code: number): (value: Uint8Array) => string {
  return value => inWords(code, value)
}

function inWords(code: number, value: Uint8Array): string {
  const meaning = decodeErrorValue({ code, value })
  switch (meaning.name) {
    case 'unsupported-version':
      return `supported versions: ${meaning.versions.join(', ') || 'none'}`
    case 'malformed-message':
    case 'unsupported-message':
      return `the refused message: ${hex(meaning.echo)}`
    case 'missing-cookie':
      return `cookie to send: ${hex(meaning.cookie)}`
    case 'unsupported-tcp-option':
      return `TCP options: ${meaning.kinds.map(kindInWords).join(', ') || 'none'}`
    case 'resource-exceeded':
    case 'network-failure':
      return meaning.delaySeconds === 0 ? 'wait 30 seconds or more' : `wait ${meaning.delaySeconds} seconds`
    case 'destination-unreachable':
      return `ICMP code ${meaning.icmpCode}`
    default:
      return hex(value)
  }
}

const ERROR_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(ERROR_CODES).map(([name, code]) => [code, name.replaceAll('-', ' ')]),
)
