import { describe, expect, test } from 'vitest'
import type { WireError } from '../../../lib/errors.js'
import { decodeContainer, encodeContainer, type RawParameter } from '../../../lib/wire/atsss/container.js'
import { hex } from '../../support/hex.js'
import { VECTORS } from './vectors.js'

describe.each(VECTORS)('$name ($source)', ({ bytes, parameters }) => {
  test('decodes', () => {
    expect(decodeContainer(bytes)).toStrictEqual({ parameters, problems: [] })
  })

  test('encodes', () => {
    expect(encodeContainer(parameters)).toStrictEqual(bytes)
  })

  test('every proper prefix is malformed, or ends where a parameter does', () => {
    const ends = new Map<number, number>()
    for (let at = 0, count = 0; at < bytes.length; at += 3 + (bytes[at + 1]! << 8) + bytes[at + 2]!)
      ends.set(at, count++)
    for (let end = 0; end < bytes.length; end++) {
      const prefix = bytes.subarray(0, end)
      const whole = ends.get(end)
      if (whole === undefined) expect(() => decodeContainer(prefix)).toThrow(malformed(end))
      else expect(decodeContainer(prefix).parameters).toStrictEqual(parameters.slice(0, whole))
    }
  })

  test('decodes from the middle of a larger buffer', () => {
    const pool = Buffer.alloc(bytes.length + 16, 0xa5)
    pool.set(bytes, 8)
    expect(decodeContainer(pool.subarray(8, 8 + bytes.length)).parameters).toStrictEqual(parameters)
  })
})

test('what is decoded shares no memory with what was received', () => {
  for (const { bytes, parameters } of VECTORS) {
    const received = Buffer.from(bytes)
    const container = decodeContainer(received)
    received.fill(0xa5)
    expect(container.parameters).toStrictEqual(parameters)
  }
})

test('a container longer than the first guess at its size', () => {
  const value = new Uint8Array(65_535).fill(7)
  const bytes = encodeContainer([
    { type: 'raw', code: 200, value },
    { type: 'raw', code: 201, value: hex('01') },
  ])
  expect(bytes.length).toBe(3 + 65_535 + 4)
  const [large, small] = decodeContainer(bytes).parameters
  expect(large).toMatchObject({ type: 'raw', code: 200 })
  expect(Buffer.compare((large as RawParameter).value, value)).toBe(0)
  expect(small).toStrictEqual({ type: 'raw', code: 201, value: hex('01') })
})

describe('parameters that cannot be read are kept, and the others are not lost', () => {
  const RULES = '01 00 0a 00 08 09 00 01 01 04 01 04 01'

  test.each([
    ['an address of an unknown type', '02 00 06 04 0a 2d 00 02 00', 3, 'unknown type of address 4'],
    ['an address cut short', '02 00 04 01 0a 2d 00', 4, '4 bytes needed, 3 left'],
    ['proxies longer than the rest', '02 00 0b 01 0a 2d 00 02 01 0a 2e 00 02 01', 14, '1 bytes needed, 0 left'],
    ['a proxy cut short', '02 00 11 01 0a 2d 00 02 01 0a 2e 00 02 06 01 c0 00 02 0a 14', 19, '2 bytes needed, 1 left'],
    ['no measurement function', '03 00 00', 3, '0 octets are neither'],
    ['half an Ethernet measurement function', '03 00 06 aa bb cc dd ee ff', 3, '6 octets are neither'],
    ['half an IPv6 measurement function', '03 00 0c 02 20 01 0d b8 00 00 00 00 00 00 00', 3, '12 octets are neither'],
  ])('%s', (_name, parameter, _at, message) => {
    const bytes = hex(`${parameter} ${RULES}`)
    const { parameters, problems } = decodeContainer(bytes)
    expect(parameters).toMatchObject([
      { type: 'raw', code: bytes[0], value: hex(parameter).slice(3), why: expect.stringContaining(message) },
      { type: 'rules', rules: [{ precedence: 9 }] },
    ])
    expect(problems).toStrictEqual([
      {
        parameter: 0,
        index: undefined,
        offset: 3,
        message: expect.stringContaining(message),
        bytes: hex(parameter).slice(3),
      },
    ])
    expect(encodeContainer(parameters)).toStrictEqual(bytes)
  })
})

test('13 octets that begin with 1 are an IP measurement function with more behind: no MAC address begins so', () => {
  const bytes = hex('03 00 0d  01 c0 00 02 14 c3 50 c3 51 00  01 02 03')
  expect(decodeContainer(bytes).parameters).toMatchObject([{ protocol: 'ip', trailing: hex('01 02 03') }])
})

describe('an Ethernet session whose MAC address begins with 02, which is also the type of IPv6 addresses', () => {
  test('with octets of later releases behind', () => {
    const bytes = hex(`
      03 00 17           # measurement assistance information, 23 octets
      02 00 5e 00 00 01  # MAC address over 3GPP
      02 00 5e 00 00 02  # MAC address over non-3GPP
      01                 # spare, AARI
      00 00 00 00 00 00 00 00 00 00
    `)
    const { parameters } = decodeContainer(bytes)
    expect(parameters).toStrictEqual([
      {
        ...{ type: 'measurement', protocol: 'ethernet', mac3gpp: '02:00:5e:00:00:01', macNon3gpp: '02:00:5e:00:00:02' },
        ...{ aari: true, spare: 0, trailing: new Uint8Array(10) },
      },
    ])
    expect(encodeContainer(parameters)).toStrictEqual(bytes)
  })

  test.each([
    ['2001:db8::14', '20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 14'],
    ['fd00::14', 'fd 00 00 00 00 00 00 00 00 00 00 00 00 00 00 14'],
    ['fe80::14', 'fe 80 00 00 00 00 00 00 00 00 00 00 00 00 00 14'],
  ])('but %s is an IPv6 address', (ipv6, address) => {
    // 03: measurement assistance, 22 octets. 02: IPv6, the address, the ports 50000 and 50001, AARI.
    const bytes = hex(`03 00 16 02 ${address} c3 50 c3 51 01`)
    expect(decodeContainer(bytes).parameters).toMatchObject([{ protocol: 'ip', address: { ipv6 }, aari: true }])
  })
})

describe('refuses to encode', () => {
  const steering = { type: 'network-steering', ue3gpp: { ipv4: '10.0.0.1' }, ueNon3gpp: { ipv4: '10.0.0.2' } }
  const proxy = { address: { ipv4: '192.0.2.1' }, port: 1, proxyType: 'transport-converter' }
  const ethernet = { type: 'measurement', protocol: 'ethernet', macNon3gpp: '02:00:00:00:00:01', trailing: hex('') }

  test.each<[string, unknown]>([
    ['what is not a list', { type: 'raw', code: 200, value: hex('') }],
    ['a parameter that does not exist', [{ type: 'converters' }]],
    ['a parameter type that every object has', [{ type: 'toString' }]],
    ['a known parameter as unknown', [{ type: 'raw', code: 2, value: hex('') }]],
    ['a parameter type of 256', [{ type: 'raw', code: 256, value: hex('') }]],
    ['a parameter of 65536 octets', [{ type: 'raw', code: 200, value: new Uint8Array(65_536) }]],
    ['a value that is text', [{ type: 'raw', code: 200, value: '00' }]],
    ['no address at all', [{ ...steering, ue3gpp: {}, proxies: [], trailing: hex('') }]],
    ['IPv6 as IPv4', [{ ...steering, ue3gpp: { ipv4: '2001:db8::1' }, proxies: [], trailing: hex('') }]],
    ['a name as IPv6', [{ ...steering, ue3gpp: { ipv6: 'ue.example' }, proxies: [], trailing: hex('') }]],
    ['a port of 65536', [{ ...steering, proxies: [{ ...proxy, port: 65_536 }], trailing: hex('') }]],
    ['a known proxy type as unknown', [{ ...steering, proxies: [{ ...proxy, proxyType: 1 }], trailing: hex('') }]],
    ['more proxies than a length can say', [{ ...steering, proxies: Array(32).fill(proxy), trailing: hex('') }]],
    ['a MAC address of five octets', [{ ...ethernet, mac3gpp: '02:00:00:00:01', aari: false, spare: 0 }]],
    ['eight spare bits', [{ ...ethernet, mac3gpp: '02:00:00:00:00:02', aari: false, spare: 128 }]],
  ])('%s', (_name, parameters) => {
    expect(() => encodeContainer(parameters as never)).toThrow(
      expect.objectContaining({ name: 'WireError', code: 'ERR_ATSSS_ENCODE', offset: expect.any(Number) }),
    )
  })
})

function malformed(length: number): WireError {
  const offset = { asymmetricMatch: (at: unknown) => typeof at === 'number' && at >= 0 && at <= length }
  return expect.objectContaining({ name: 'WireError', code: 'ERR_ATSSS_MALFORMED', offset })
}
