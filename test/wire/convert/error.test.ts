import { describe, expect, test } from 'vitest'
import { type ConvertErrorValue, decodeErrorValue, encodeErrorValue } from '../../../lib/wire/convert/error.js'
import { decode, encode, MAX_MESSAGE_LENGTH } from '../../../lib/wire/convert/index.js'
import { hex } from '../../support/hex.js'

/** Whole messages, laid by hand from RFC 8803 §6.2.8. */
const MESSAGES: [string, ConvertErrorValue][] = [
  ['01 02 22 63  1e 01 00 01', { name: 'unsupported-version', versions: [1] }],
  ['01 03 22 63  1e 02 00 01  02 03 00 00', { name: 'unsupported-version', versions: [1, 2, 3] }],
  ['01 03 22 63  1e 02 01 00  01 00 22 63', { name: 'malformed-message', echo: hex('01 00 22 63') }],
  ['01 03 22 63  1e 02 02 00  01 01 22 63', { name: 'unsupported-message', echo: hex('01 01 22 63') }],
  [
    '01 04 22 63  1e 03 03 00  de ad be ef  01 02 03 00',
    { name: 'missing-cookie', cookie: hex('de ad be ef 01 02 03 00') },
  ],
  ['01 02 22 63  1e 01 20 00', { name: 'not-authorized' }],
  ['01 02 22 63  1e 01 21 1d', { name: 'unsupported-tcp-option', kinds: [29] }],
  ['01 03 22 63  1e 02 21 1d  22 1e 00 00', { name: 'unsupported-tcp-option', kinds: [29, 34, 30] }],
  ['01 02 22 63  1e 01 40 00', { name: 'resource-exceeded', delaySeconds: 0 }],
  ['01 02 22 63  1e 01 40 ff', { name: 'resource-exceeded', delaySeconds: 255 }],
  ['01 03 22 63  1e 02 40 00  00 00 01 00', { name: 'resource-exceeded', delaySeconds: 256 }],
  ['01 02 22 63  1e 01 41 3c', { name: 'network-failure', delaySeconds: 60 }],
  ['01 03 22 63  1e 02 41 00  ff ff ff ff', { name: 'network-failure', delaySeconds: 4_294_967_295 }],
  ['01 02 22 63  1e 01 60 00', { name: 'connection-reset' }],
  ['01 02 22 63  1e 01 61 03', { name: 'destination-unreachable', icmpCode: 3 }],
  ['01 02 22 63  1e 01 c0 07', { name: 'unknown', code: 192, value: hex('07') }],
]

test.each(MESSAGES)('%s', (text, value) => {
  const bytes = hex(text)
  const [tlv] = decode(bytes)!.tlvs
  expect(tlv).toMatchObject({ type: 'error' })
  expect(decodeErrorValue(tlv as Extract<typeof tlv, { type: 'error' }>)).toStrictEqual(value)
  expect(encode([encodeErrorValue(value)])).toStrictEqual(bytes)
})

describe('lenient', () => {
  test.each<[string, number, string, ConvertErrorValue]>([
    ['no versions', 0, '', { name: 'unsupported-version', versions: [] }],
    ['no echo', 1, '', { name: 'malformed-message', echo: hex('') }],
    ['zero but no echo', 2, '00', { name: 'unsupported-message', echo: hex('') }],
    ['no cookie: perhaps it is in a Cookie TLV', 3, '00', { name: 'missing-cookie', cookie: hex('') }],
    ['a value where none should be', 32, '01 02 03 04 05', { name: 'not-authorized' }],
    ['the same', 96, '01', { name: 'connection-reset' }],
    ['no kinds', 33, '00', { name: 'unsupported-tcp-option', kinds: [] }],
    ['no delay', 64, '', { name: 'resource-exceeded', delaySeconds: 0 }],
    ['a delay of 4 octets', 65, '00 00 0e 10', { name: 'network-failure', delaySeconds: 3600 }],
    ['a delay beyond all bounds', 65, 'ff ff ff ff ff', { name: 'network-failure', delaySeconds: 4_294_967_295 }],
    ['a delay of many octets', 64, 'ff'.repeat(1013), { name: 'resource-exceeded', delaySeconds: 4_294_967_295 }],
    ['no ICMP code', 97, '', { name: 'destination-unreachable', icmpCode: 0 }],
    ['a padded ICMP code', 97, '01 00 00 00 00', { name: 'destination-unreachable', icmpCode: 1 }],
  ])('%s', (_name, code, value, expected) => {
    expect(decodeErrorValue({ code, value: hex(value) })).toStrictEqual(expected)
  })
})

test('an echo is cut to what one message holds', () => {
  const echo = new Uint8Array(MAX_MESSAGE_LENGTH).fill(0xee)
  const bytes = encode([encodeErrorValue({ name: 'malformed-message', echo })])
  expect(bytes.length).toBe(MAX_MESSAGE_LENGTH)
  const [tlv] = decode(bytes)!.tlvs
  expect(decodeErrorValue(tlv as never)).toStrictEqual({ name: 'malformed-message', echo: echo.subarray(0, 1012) })
})

test('an echo of an odd length is padded', () => {
  const bytes = encode([encodeErrorValue({ name: 'malformed-message', echo: hex('02') })])
  expect(bytes).toStrictEqual(hex('01 03 22 63  1e 02 01 00  02 00 00 00'))
})

test('the echo and the cookie share no memory with the TLV', () => {
  const value = hex('00 01 02 03 04')
  const decoded = decodeErrorValue({ code: 3, value })
  value.fill(0xa5)
  expect(decoded).toStrictEqual({ name: 'missing-cookie', cookie: hex('01 02 03 04') })
})

test.each<ConvertErrorValue>([
  { name: 'resource-exceeded', delaySeconds: -1 },
  { name: 'resource-exceeded', delaySeconds: 1.5 },
  { name: 'network-failure', delaySeconds: 2 ** 32 },
  { name: 'destination-unreachable', icmpCode: 256 },
  { name: 'unsupported-version', versions: [0] },
  { name: 'unsupported-tcp-option', kinds: [30, 256] },
  { name: 'unsupported-tcp-option', kinds: hex('1e') as never },
  { name: 'missing-cookie', cookie: 'secret' as never },
])('refuses %o', value => {
  expect(() => encodeErrorValue(value)).toThrow(expect.objectContaining({ code: 'ERR_CONVERT_ENCODE' }))
})
