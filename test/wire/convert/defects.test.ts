/** Defects seen in other implementations of RFC 8803: none of them is to be had here. */
import { describe, expect, test } from 'vitest'
import { decodeErrorValue, ERROR_CODES } from '../../../lib/wire/convert/error.js'
import { decode, encode, forbiddenTarget } from '../../../lib/wire/convert/index.js'
import { hex } from '../../support/hex.js'
import { vector } from './vectors.js'

describe('libconvert', () => {
  test('loops for ever on an Error TLV of length 0', () => {
    const bytes = hex('01 02 22 63  1e 00 40 00')
    expect(() => decode(bytes)).toThrow(expect.objectContaining({ reason: 'tlv-length', offset: 5 }))
  })

  test('underflows on a Total Length of 0', () => {
    expect(() => decode(hex('01 00 22 63'))).toThrow(expect.objectContaining({ reason: 'total-length' }))
  })

  test('fails on a header that comes in two reads', () => {
    const { bytes } = vector('bare header')
    expect(decode(bytes.subarray(0, 3))).toBeUndefined()
    expect(decode(bytes)).toEqual({ tlvs: [], length: 4 })
  })

  test('accepts the same TLV twice', () => {
    const error = hex('1e 01 40 00')
    const bytes = new Uint8Array([...hex('01 03 22 63'), ...error, ...error])
    expect(() => decode(bytes)).toThrow(expect.objectContaining({ reason: 'duplicate', offset: 8 }))
  })
})

describe('the LENSS server', () => {
  test('eats 4 bytes of the application', () => {
    const { bytes } = vector('Base Connect to an IPv4')
    const stream = new Uint8Array([...bytes, ...Buffer.from('GET / HTTP/1.1\r\n')])
    expect(decode(stream)?.length).toBe(bytes.length)
  })

  test('dies of a TLV that it does not know', () => {
    expect(decode(hex('01 03 22 63  c8 01 00 00  01 01 00 00'))?.tlvs).toMatchObject([
      { type: 'unknown', code: 200 },
      { type: 'info' },
    ])
  })

  test('accepts any magic number', () => {
    expect(() => decode(hex('01 02 00 00  01 01 00 00'))).toThrow(expect.objectContaining({ reason: 'magic' }))
  })

  test('dials loopback', () => {
    // Decoding says what was asked for; whoever dials asks this first.
    expect(forbiddenTarget('::ffff:127.0.0.1')).toBe('loopback')
    expect(() => encode([{ type: 'connect', address: '127.0.0.1', port: 22, tcpOptions: [] }])).toThrow('loopback')
  })

  test('takes a message cut short for a whole one', () => {
    const { bytes } = vector('Base Connect to an IPv6')
    expect(decode(bytes.subarray(0, 20))).toBeUndefined()
  })
})

describe('the Wireshark plugin', () => {
  test('names every error "Malformed Message"', () => {
    for (const [name, code] of Object.entries(ERROR_CODES))
      expect(decodeErrorValue({ code, value: hex('00') }).name).toBe(name)
  })

  test('reads TLVs behind Total Length', () => {
    const bytes = hex('01 02 22 63  01 01 00 00  0a 05 00 50')
    expect(decode(bytes)).toEqual({ tlvs: [{ type: 'info' }], length: 8 })
  })

  test('fails on a TLV that is longer than the message', () => {
    expect(() => decode(hex('01 02 22 63  16 ff 00 00'))).toThrow(expect.objectContaining({ reason: 'framing' }))
  })
})

test('tools of the drafts take 16 unassigned bits for the magic number', () => {
  const bytes = encode([])
  expect([...bytes.subarray(2)]).toEqual([0x22, 0x63])
})
