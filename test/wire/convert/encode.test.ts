import { describe, expect, test } from 'vitest'
import { decode, type EncodeOptions, encode, encodeInto, type Tlv } from '../../../lib/wire/convert/index.js'
import { hex } from '../../support/hex.js'

const connect = (change: object = {}): Tlv => ({
  type: 'connect',
  address: '192.0.2.1',
  port: 443,
  tcpOptions: [],
  ...change,
})
const tcpOption = (kind: number, value = '') => connect({ tcpOptions: [{ kind, value: hex(value) }] })
const supported = (...kinds: number[]): Tlv => ({ type: 'supported-tcp-extensions', kinds })
const cookie = (length: number): Tlv => ({ type: 'cookie', cookie: new Uint8Array(length) })

describe('refuses', () => {
  test.each<[string, unknown[], string, number]>([
    // §6.2.5
    ['a port of 0', [connect({ port: 0 })], 'value', 4],
    ['a port of 65536', [connect({ port: 65536 })], 'value', 4],
    ['a port of 80.5', [connect({ port: 80.5 })], 'value', 4],
    ['a port that is text', [connect({ port: '80' })], 'value', 4],
    ['a name', [connect({ address: 'example.com' })], 'value', 8],
    ['no address', [connect({ address: undefined })], 'value', 8],
    ['a zone', [connect({ address: 'fe80::1%eth0' })], 'value', 8],
    ['multicast', [connect({ address: '224.0.0.1' })], 'value', 8],
    ['multicast, mapped', [connect({ address: '::ffff:239.255.255.250' })], 'value', 8],
    ['multicast, IPv6', [connect({ address: 'ff02::1' })], 'value', 8],
    ['broadcast', [connect({ address: '255.255.255.255' })], 'value', 8],
    ['loopback', [connect({ address: '127.0.0.1' })], 'value', 8],
    ['loopback, mapped', [connect({ address: '::ffff:7f00:1' })], 'value', 8],
    ['loopback, IPv6', [connect({ address: '::1' })], 'value', 8],
    ['unspecified', [connect({ address: '0.0.0.0' })], 'value', 8],
    ['unspecified, IPv6', [connect({ address: '::' })], 'value', 8],
    ['TCP option 0', [tcpOption(0)], 'tcp-options', 4],
    ['TCP option 1', [tcpOption(1)], 'tcp-options', 4],
    ['TCP option 256', [tcpOption(256)], 'value', 4],
    ['a TCP option of 256 octets', [tcpOption(253, '00'.repeat(254))], 'tcp-options', 4],
    ['a TCP option without a value', [connect({ tcpOptions: [{ kind: 34 }] })], 'value', 4],
    ['TCP options that are bytes', [connect({ tcpOptions: hex('1e 02') })], 'value', 4],
    // §7.4, §7.5
    ['a timestamp', [tcpOption(8, '00 00 00 01 00 00 00 00')], 'tcp-options', 4],
    ['the content of a Multipath TCP option', [tcpOption(30, '01 01')], 'tcp-options', 4],
    // §7: "MUST NOT announce"
    ['announcing TCP option 0', [supported(0)], 'tcp-options', 4],
    ['announcing TCP option 1', [supported(30, 1)], 'tcp-options', 4],
    ['announcing TCP option 2', [supported(2)], 'tcp-options', 4],
    ['announcing TCP option 3', [supported(3)], 'tcp-options', 4],
    ['announcing TCP option 5', [supported(5)], 'tcp-options', 4],
    ['announcing TCP option 29', [supported(29)], 'tcp-options', 4],
    ['announcing TCP option 256', [supported(256)], 'value', 4],
    // §6.2.1
    ['the same TLV twice', [{ type: 'info' }, cookie(4), { type: 'info' }], 'duplicate', 16],
    [
      'the same unknown TLV twice',
      [
        { type: 'unknown', code: 200, value: hex('') },
        { type: 'unknown', code: 200, value: hex('01') },
      ],
      'duplicate',
      8,
    ],
    // §6.1
    ['a message of 1024 bytes', [cookie(1016)], 'total-length', 1],
    [
      'a message of 1024 bytes, all told',
      [cookie(504), { type: 'error', code: 1, value: hex('00'.repeat(509)) }],
      'total-length',
      1,
    ],
    // §6.2.2
    ['TLV type 0', [{ type: 'unknown', code: 0, value: hex('') }], 'reserved-type', 4],
    ['TLV type 256', [{ type: 'unknown', code: 256, value: hex('') }], 'value', 4],
    ['a known type as unknown', [{ type: 'unknown', code: 22, value: hex('') }], 'value', 4],
    ['a type that does not exist', [{ type: 'warning' }], 'value', 4],
    ['a type that every object has', [{ type: 'toString' }], 'value', 4],
    // Wrong types.
    ['error code 256', [{ type: 'error', code: 256, value: hex('') }], 'value', 4],
    ['no error code', [{ type: 'error', value: hex('') }], 'value', 4],
    ['a cookie that is text', [{ type: 'cookie', cookie: 'secret' }], 'value', 4],
    ['no options', [{ type: 'extended-tcp-header' }], 'value', 4],
    ['no kinds', [{ type: 'supported-tcp-extensions' }], 'value', 4],
  ])('%s', (_name, tlvs, reason, offset) => {
    expect(() => encode(tlvs as Tlv[])).toThrow(
      expect.objectContaining({ name: 'WireError', code: 'ERR_CONVERT_ENCODE', reason, offset }),
    )
  })

  test('what is not a list', () => {
    expect(() => encode({ type: 'info' } as never)).toThrow(expect.objectContaining({ code: 'ERR_CONVERT_ENCODE' }))
  })

  test('a buffer that is too small', () => {
    expect(() => encodeInto(new Uint8Array(7), [{ type: 'info' }])).toThrow(
      expect.objectContaining({ code: 'ERR_CONVERT_ENCODE', reason: 'framing' }),
    )
  })
})

describe('allowLoopback', () => {
  const to = (address: string, options: EncodeOptions) => () => encode([connect({ address })], options)

  test.each(['127.0.0.1', '127.255.0.1', '::1', '::ffff:127.0.0.1'])('lets %s pass', address => {
    expect(to(address, { allowLoopback: true })).not.toThrow()
    expect(to(address, { allowLoopback: false })).toThrow()
    expect(to(address, {})).toThrow()
  })

  test.each(['0.0.0.0', '::', '224.0.0.1', 'ff02::1', '255.255.255.255'])('and nothing else: %s', address => {
    expect(to(address, { allowLoopback: true })).toThrow()
  })
})

describe('pads with zeros, also in a dirty buffer', () => {
  test.each<[string, Tlv, string]>([
    ['TCP options', tcpOption(34, 'c0'), '0a 06 01 bb  00 00 00 00 00 00 00 00 00 00 ff ff c0 00 02 01  22 03 c0 00'],
    ['kinds', supported(30), '15 02 00 00  1e 00 00 00'],
    ['a cookie', { type: 'cookie', cookie: hex('01 02 03 04 05') }, '16 03 00 00  01 02 03 04  05 00 00 00'],
    ['options', { type: 'extended-tcp-header', options: hex('01 01 01') }, '14 02 00 00  01 01 01 00'],
    ['an error without a value', { type: 'error', code: 96, value: hex('') }, '1e 01 60 00'],
    ['an error’s value', { type: 'error', code: 33, value: hex('1e 22') }, '1e 02 21 1e  22 00 00 00'],
    ['an unknown value', { type: 'unknown', code: 200, value: hex('01 02 03') }, 'c8 02 01 02  03 00 00 00'],
    ['nothing', { type: 'unknown', code: 200, value: hex('') }, 'c8 01 00 00'],
  ])('%s', (_name, tlv, expected) => {
    const dirty = new Uint8Array(64).fill(0xa5)
    const length = encodeInto(dirty, [tlv])
    expect(dirty.subarray(4, length)).toStrictEqual(hex(expected))
    expect(encode([tlv])).toStrictEqual(dirty.slice(0, length))
  })
})

test('IPv4 and IPv4-mapped text make the same bytes', () => {
  const dotted = encode([connect({ address: '192.0.2.1' })])
  expect(encode([connect({ address: '::ffff:192.0.2.1' })])).toStrictEqual(dotted)
  expect(encode([connect({ address: '::FFFF:C000:0201' })])).toStrictEqual(dotted)
  expect(decode(dotted)?.tlvs).toMatchObject([{ address: '192.0.2.1' }])
})

test('Buffers are bytes too', () => {
  expect(encode([{ type: 'cookie', cookie: Buffer.from('0102', 'hex') }])).toStrictEqual(
    hex('01 03 22 63  16 02 00 00  01 02 00 00'),
  )
})
