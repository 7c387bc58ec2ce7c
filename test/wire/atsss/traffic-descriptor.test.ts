import { describe, expect, test } from 'vitest'
import {
  COMPONENT_CODES,
  decodeTrafficDescriptor,
  encodeTrafficDescriptor,
  type TrafficComponent,
} from '../../../lib/wire/atsss/container.js'
import { hex } from '../../support/hex.js'

/**
 * Laid by hand from TS 24.526 table 5.2.1. The fields of types 0x01, 0x08, 0x10, 0x30 and 0x88 are those that Wireshark
 * 4.0.17 shows of the same bytes in a URSP rule; those of the others, but for 0x82, 0x92 and the local ones, stand in the
 * output of Wireshark 4.6.5 that the URSP analyzer of joostone-ahn publishes.
 */
const VECTORS: [string, string, TrafficComponent][] = [
  ['match-all', '01', { type: 'match-all' }],
  [
    'an application of an operating system',
    `08                                                # OS Id + OS App Id
     97 a4 98 e3 fc 92 5c 94 89 86 03 33 d0 6e 4e 47  # OS Id: Android's
     0a 45 4e 54 45 52 50 52 49 53 45                 # 10 octets: ENTERPRISE`,
    { type: 'os-app', osId: '97a498e3-fc92-5c94-8986-0333d06e4e47', appId: 'ENTERPRISE' },
  ],
  [
    'an IPv4 prefix',
    `10 c0 a8 01 01  # 192.168.1.1
     ff ff ff 00     # mask`,
    { type: 'remote-ipv4', address: '192.168.1.1', mask: '255.255.255.0' },
  ],
  [
    'an IPv4 mask with holes',
    '10 c0 00 02 01 ff 00 ff 00',
    { type: 'remote-ipv4', address: '192.0.2.1', mask: '255.0.255.0' },
  ],
  ['a local IPv4 prefix', '11 0a 00 00 01 ff ff ff ff', { type: 'local-ipv4', value: hex('0a 00 00 01 ff ff ff ff') }],
  [
    'an IPv6 prefix',
    `21 20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 01  # 2001:db8::1
     40                                                  # 64 bits`,
    { type: 'remote-ipv6', address: '2001:db8::1', prefixLength: 64 },
  ],
  [
    'an IPv4-mapped prefix',
    '21 00 00 00 00 00 00 00 00 00 00 ff ff c0 00 02 00 78',
    { type: 'remote-ipv6', address: '192.0.2.0', prefixLength: 120 },
  ],
  [
    'a local IPv6 prefix',
    '23 20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 01 40',
    { type: 'local-ipv6', value: hex('20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 01 40') },
  ],
  ['a protocol', '30 06', { type: 'protocol', protocol: 6 }],
  ['a local port', '40 01 bb', { type: 'local-port', value: hex('01 bb') }],
  ['local ports', '41 01 bb 01 bc', { type: 'local-port-range', value: hex('01 bb 01 bc') }],
  ['a port', '50 01 bb', { type: 'remote-port', port: 443 }],
  ['ports', '51 1f 40 1f 90', { type: 'remote-port-range', low: 8000, high: 8080 }],
  [
    'an IP 3 tuple: IPv4, protocol, port',
    `52 0d                    # bits 1, 3, 4
     0a 00 00 01 ff ff ff 00  # 10.0.0.1, mask 255.255.255.0
     06                       # TCP
     1f 90                    # 8080`,
    { type: 'ip-tuple', ipv4: { address: '10.0.0.1', mask: '255.255.255.0' }, protocol: 6, port: 8080 },
  ],
  [
    'an IP 3 tuple of everything',
    `52 1f
     0a 00 00 01 ff 00 00 00
     20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 00 20
     11
     01 bb
     1f 40 1f 90`,
    {
      type: 'ip-tuple',
      ipv4: { address: '10.0.0.1', mask: '255.0.0.0' },
      ipv6: { address: '2001:db8::', prefixLength: 32 },
      protocol: 17,
      port: 443,
      ports: { low: 8000, high: 8080 },
    },
  ],
  ['an IP 3 tuple of a port', '52 08 00 50', { type: 'ip-tuple', port: 80 }],
  ['a security parameter index', '60 12 34 56 78', { type: 'security-parameter-index', value: hex('12 34 56 78') }],
  ['a type of service', '70 b8 fc', { type: 'type-of-service', value: hex('b8 fc') }],
  ['a flow label', '80 01 23 45', { type: 'flow-label', value: hex('01 23 45') }],
  ['a destination MAC address', '81 aa bb cc dd ee ff', { type: 'destination-mac', value: hex('aa bb cc dd ee ff') }],
  ['a source MAC address', '82 aa bb cc dd ee ff', { type: 'source-mac', value: hex('aa bb cc dd ee ff') }],
  ['a C-TAG VID', '83 00 64', { type: 'c-tag-vid', value: hex('00 64') }],
  ['an S-TAG VID', '84 00 64', { type: 's-tag-vid', value: hex('00 64') }],
  ['a C-TAG PCP', '85 07', { type: 'c-tag-pcp', value: hex('07') }],
  ['an S-TAG PCP', '86 07', { type: 's-tag-pcp', value: hex('07') }],
  ['an Ethertype', '87 08 00', { type: 'ethertype', value: hex('08 00') }],
  [
    'a DNN',
    '88 09 08 69 6e 74 65 72 6e 65 74', // 9 octets, a label of 8: internet
    { type: 'dnn', value: hex('08 69 6e 74 65 72 6e 65 74') },
  ],
  ['connection capabilities', '90 02 01 08', { type: 'connection-capabilities', value: hex('01 08') }],
  [
    'a name of labels',
    '91 0c 07 65 78 61 6d 70 6c 65 03 63 6f 6d', // 12 octets: 7 example 3 com
    { type: 'fqdn', fqdn: 'example.com', coding: 'labels' },
  ],
  [
    'a name of labels and the root',
    '91 0d 07 65 78 61 6d 70 6c 65 03 63 6f 6d 00',
    { type: 'fqdn', fqdn: 'example.com', coding: 'labels-and-root' },
  ],
  [
    'a name as text',
    '91 0b 65 78 61 6d 70 6c 65 2e 63 6f 6d', // 11 octets: example.com
    { type: 'fqdn', fqdn: 'example.com', coding: 'text' },
  ],
  ['a name as text, with the root’s dot', '91 04 63 6f 6d 2e', { type: 'fqdn', fqdn: 'com.', coding: 'text' }],
  ['a wildcard of labels', '91 06 01 2a 03 63 6f 6d', { type: 'fqdn', fqdn: '*.com', coding: 'labels' }],
  ['a regular expression', '92 03 2e 2a 24', { type: 'regular-expression', expression: '.*$' }],
  ['an application', 'a0 0a 63 61 66 c3 a9 2e 61 70 70 73', { type: 'app', appId: 'café.apps' }],
  [
    'destination MAC addresses',
    'a1 aa bb cc dd ee 00 aa bb cc dd ee ff',
    { type: 'destination-mac-range', value: hex('aa bb cc dd ee 00 aa bb cc dd ee ff') },
  ],
  ['a PIN', 'a2 03 70 69 6e', { type: 'pin-id', value: hex('70 69 6e') }], // 3 octets: pin
  ['a connectivity group', 'a3 02 01 02', { type: 'connectivity-group-id', value: hex('01 02') }], // 2 octets
]

describe.each(VECTORS)('%s', (_name, text, component) => {
  const bytes = hex(text)

  test('decodes, also between others', () => {
    expect(decodeTrafficDescriptor(bytes)).toStrictEqual([component])
    const between = hex(`30 06 ${Buffer.from(bytes).toString('hex')} 50 00 50`)
    expect(decodeTrafficDescriptor(between)).toStrictEqual([
      { type: 'protocol', protocol: 6 },
      component,
      { type: 'remote-port', port: 80 },
    ])
  })

  test('encodes', () => {
    expect(encodeTrafficDescriptor([component])).toStrictEqual(bytes)
  })

  test('every proper prefix is cut short', () => {
    expect(decodeTrafficDescriptor(bytes.subarray(0, 0))).toEqual([])
    for (let end = 1; end < bytes.length; end++) {
      const prefix = bytes.subarray(0, end)
      const decoded = decodeTrafficDescriptor(prefix)
      expect(decoded).toStrictEqual([
        { type: 'invalid', code: bytes[0], value: new Uint8Array(prefix.subarray(1)), why: 'is cut short' },
      ])
      expect(encodeTrafficDescriptor(decoded)).toStrictEqual(prefix)
    }
  })
})

test('there is a vector for every type', () => {
  expect(new Set(VECTORS.map(([, , component]) => component.type))).toEqual(new Set(Object.keys(COMPONENT_CODES)))
})

test('an unknown type hides what follows, and nothing before', () => {
  const known = new Set<number>(Object.values(COMPONENT_CODES))
  for (let code = 0; code < 256; code++) {
    if (known.has(code)) continue
    const bytes = Uint8Array.of(0x30, 6, code, 0x50, 0, 80)
    const components: TrafficComponent[] = [
      { type: 'protocol', protocol: 6 },
      { type: 'unknown', code, value: hex('50 00 50') },
    ]
    expect(decodeTrafficDescriptor(bytes)).toStrictEqual(components)
    expect(encodeTrafficDescriptor(components)).toStrictEqual(bytes)
  }
})

describe('values that cannot be are kept, and the next component is read', () => {
  test.each([
    ['an IPv6 prefix of 129 bits', `21 ${'00'.repeat(16)} 81`, 'has a prefix of 129 bits'],
    ['ports from high to low', '51 01 bb 00 50', 'has ports from 443 down to 80'],
    ['a tuple with such ports', '52 10 01 bb 00 50', 'has ports from 443 down to 80'],
    ['a tuple with such a prefix', `52 02 ${'00'.repeat(16)} ff`, 'has a prefix of 255 bits'],
    ['a tuple of nothing', '52 00', 'names nothing'],
    ['an application without a name', 'a0 00', 'names no application'],
    ['an application in no UTF-8', 'a0 02 c3 28', 'names no application'],
    ['the same of an operating system', `08 ${'00'.repeat(16)} 01 ff`, 'names no application'],
    ['a name without letters', '91 00', 'is no name'],
    ['the root alone', '91 01 00', 'is no name'],
    ['labels that are too long', '91 03 03 63 6f', 'is no name'],
    ['labels with a space', '91 04 03 63 20 6d', 'is no name'],
    ['text with a control character', '91 03 61 07 62', 'is no name'],
  ])('%s', (_name, text, why) => {
    const bytes = hex(`${text} 30 06`)
    const decoded = decodeTrafficDescriptor(bytes)
    expect(decoded).toStrictEqual([
      { type: 'invalid', code: bytes[0], value: hex(text).slice(1), why },
      { type: 'protocol', protocol: 6 },
    ])
    expect(encodeTrafficDescriptor(decoded)).toStrictEqual(bytes)
  })

  test('but a tuple with fields not known hides what follows', () => {
    const bytes = hex('52 2c 06 01 bb 99 30 06')
    const decoded = decodeTrafficDescriptor(bytes)
    expect(decoded).toStrictEqual([
      { type: 'invalid', code: 0x52, value: bytes.slice(1), why: 'has fields not known here' },
    ])
    expect(encodeTrafficDescriptor(decoded)).toStrictEqual(bytes)
  })
})

describe('refuses to encode', () => {
  test.each<[string, unknown]>([
    ['what is no list', { type: 'match-all' }],
    ['a type that does not exist', [{ type: 'host' }]],
    ['a type that every object has', [{ type: 'toString' }]],
    ['a component behind an unknown one', [{ type: 'unknown', code: 0xb0, value: hex('') }, { type: 'match-all' }]],
    ['a known type as unknown', [{ type: 'unknown', code: 0x30, value: hex('06') }]],
    ['an unknown type as invalid', [{ type: 'invalid', code: 0xb0, value: hex('06'), why: '' }]],
    ['a UUID in capitals', [{ type: 'os-app', osId: '97A498E3-FC92-5C94-8986-0333D06E4E47', appId: 'a' }]],
    ['a UUID without hyphens', [{ type: 'os-app', osId: '97a498e3fc925c9489860333d06e4e47', appId: 'a' }]],
    ['an application without a name', [{ type: 'app', appId: '' }]],
    ['a name of 256 octets', [{ type: 'app', appId: 'é'.repeat(128) }]],
    ['an IPv4 address in IPv6', [{ type: 'remote-ipv4', address: '::ffff:192.0.2.1', mask: '255.255.255.0' }]],
    ['a mask that is none', [{ type: 'remote-ipv4', address: '192.0.2.1', mask: '24' }]],
    ['an IPv6 address that is none', [{ type: 'remote-ipv6', address: 'fe80::1%eth0', prefixLength: 64 }]],
    ['a prefix of 129 bits', [{ type: 'remote-ipv6', address: '::', prefixLength: 129 }]],
    ['protocol 256', [{ type: 'protocol', protocol: 256 }]],
    ['port -1', [{ type: 'remote-port', port: -1 }]],
    ['ports from high to low', [{ type: 'remote-port-range', low: 2, high: 1 }]],
    ['a tuple of nothing', [{ type: 'ip-tuple' }]],
    ['a name with an empty label', [{ type: 'fqdn', fqdn: 'a..b', coding: 'labels' }]],
    ['a name with a label of 64 letters', [{ type: 'fqdn', fqdn: 'a'.repeat(64), coding: 'labels' }]],
    ['a name that is not ASCII', [{ type: 'fqdn', fqdn: 'café.example', coding: 'text' }]],
    ['a name of 256 octets as labels', [{ type: 'fqdn', fqdn: Array(64).fill('abc').join('.'), coding: 'labels' }]],
    ['a flow label of 2 octets', [{ type: 'flow-label', value: hex('00 01') }]],
    ['an Ethertype that is a number', [{ type: 'ethertype', value: 0x0800 }]],
  ])('%s', (_name, components) => {
    expect(() => encodeTrafficDescriptor(components as TrafficComponent[])).toThrow(
      expect.objectContaining({ name: 'WireError', code: 'ERR_ATSSS_ENCODE' }),
    )
  })
})
