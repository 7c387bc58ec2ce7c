/** What the Error TLV says, RFC 8803 §6.2.8. */
import type { Tlv } from './convert.js'

export type ConvertErrorValue =
  | { name: 'unsupported-version'; versions: number[] }
  | { name: 'malformed-message'; echo: Uint8Array }
  | { name: 'unsupported-message'; echo: Uint8Array }
  | { name: 'missing-cookie'; cookie: Uint8Array }
  | { name: 'not-authorized' }
  | { name: 'unsupported-tcp-option'; kinds: number[] }
  | { name: 'resource-exceeded'; delaySeconds: number }
  | { name: 'network-failure'; delaySeconds: number }
  | { name: 'connection-reset' }
  | { name: 'destination-unreachable'; icmpCode: number }
  | { name: 'unknown'; code: number; value: Uint8Array }

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

export function decodeErrorValue(_error: { code: number; value: Uint8Array }): ConvertErrorValue {
  throw new Error('to be written')
}

export function encodeErrorValue(_value: ConvertErrorValue): Extract<Tlv, { type: 'error' }> {
  throw new Error('to be written')
}
