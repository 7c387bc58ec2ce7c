import { describe, expect, test } from 'vitest'
import { parseRules, type TrafficDescriptor } from '../../../lib/policy/rules/json.js'
import { type Flow, match } from '../../../lib/policy/rules/match.js'
import { decodeTrafficDescriptor } from '../../../lib/wire/atsss/container.js'
import { hex } from '../../support/hex.js'

const rules = (...traffic: TrafficDescriptor[]) =>
  parseRules(
    traffic.map((trafficDescriptor, precedence) => ({
      ruleId: `r${precedence}`,
      precedence,
      trafficDescriptor,
      steeringMode: { steerModeValue: 'SMALLEST_DELAY' },
    })),
  )

/** Whether a rule about this traffic matches: '?' when it depends on the address. */
function verdict(traffic: TrafficDescriptor, flow: Partial<Flow>): 'yes' | 'no' | '?' {
  const { rule, undecided } = match(rules(traffic), { port: 443, ...flow })
  return rule ? 'yes' : undecided ? '?' : 'no'
}

const OS = '97a498e3-fc92-5c94-8986-0333d06e4e47'

describe('one rule', () => {
  test.each<[string, TrafficDescriptor, Partial<Flow>, 'yes' | 'no' | '?']>([
    // Everything
    ['match-all', { matchAll: true }, {}, 'yes'],
    ['match-all and a port', { matchAll: true, remotePorts: [80] }, {}, 'no'],

    // Addresses
    ['in the prefix', { remoteAddresses: ['192.0.2.0/24'] }, { address: '192.0.2.255' }, 'yes'],
    ['beside the prefix', { remoteAddresses: ['192.0.2.0/24'] }, { address: '192.0.3.0' }, 'no'],
    ['a prefix with host bits', { remoteAddresses: ['192.0.2.77/24'] }, { address: '192.0.2.1' }, 'yes'],
    ['the address itself', { remoteAddresses: ['192.0.2.1'] }, { address: '192.0.2.1' }, 'yes'],
    ['another address', { remoteAddresses: ['192.0.2.1'] }, { address: '192.0.2.2' }, 'no'],
    ['every IPv4 address', { remoteAddresses: ['0.0.0.0/0'] }, { address: '203.0.113.9' }, 'yes'],
    ['every IPv4 address, but not IPv6', { remoteAddresses: ['0.0.0.0/0'] }, { address: '2001:db8::1' }, 'no'],
    ['a mask with holes', { remoteAddresses: ['10.0.7.0/255.0.255.0'] }, { address: '10.99.7.1' }, 'yes'],
    ['a mask with holes, beside', { remoteAddresses: ['10.0.7.0/255.0.255.0'] }, { address: '10.99.8.1' }, 'no'],
    ['17 bits', { remoteAddresses: ['10.1.128.0/17'] }, { address: '10.1.200.1' }, 'yes'],
    ['17 bits, beside', { remoteAddresses: ['10.1.128.0/17'] }, { address: '10.1.127.1' }, 'no'],
    ['IPv6', { remoteAddresses: ['2001:db8::/32'] }, { address: '2001:db8:ffff::1' }, 'yes'],
    ['IPv6, beside', { remoteAddresses: ['2001:db8::/32'] }, { address: '2001:db9::1' }, 'no'],
    ['IPv6, 33 bits', { remoteAddresses: ['2001:db8:8000::/33'] }, { address: '2001:db8:8000::1' }, 'yes'],
    ['IPv6, 33 bits, beside', { remoteAddresses: ['2001:db8:8000::/33'] }, { address: '2001:db8:7fff::1' }, 'no'],
    ['IPv6, 128 bits', { remoteAddresses: ['2001:db8::1'] }, { address: '2001:DB8:0::1' }, 'yes'],
    ['IPv6, 128 bits, beside', { remoteAddresses: ['2001:db8::1'] }, { address: '2001:db8::2' }, 'no'],
    ['every IPv6 address', { remoteAddresses: ['::/0'] }, { address: '2001:db8::1' }, 'yes'],
    ['every IPv6 address, but not IPv4', { remoteAddresses: ['::/0'] }, { address: '192.0.2.1' }, 'no'],
    ['every IPv6 address, but not mapped IPv4', { remoteAddresses: ['::/0'] }, { address: '::ffff:192.0.2.1' }, 'no'],
    ['mapped IPv4 is IPv4', { remoteAddresses: ['192.0.2.0/24'] }, { address: '::ffff:192.0.2.1' }, 'yes'],
    ['mapped IPv4 in hexadecimal too', { remoteAddresses: ['192.0.2.0/24'] }, { address: '::ffff:c000:201' }, 'yes'],
    ['a mapped prefix is IPv4', { remoteAddresses: ['::ffff:192.0.2.0/120'] }, { address: '192.0.2.1' }, 'yes'],
    // Component 0x21, IPv6 remote address ::ffff:10.0.0.0, prefix length 104: only a container has it.
    [
      'a mapped prefix of a container',
      { opaque: [`21${'00'.repeat(10)}ffff0a00000068`] },
      { address: '10.1.2.3' },
      'yes',
    ],
    ['a mapped prefix, beside', { opaque: [`21${'00'.repeat(10)}ffff0a00000068`] }, { address: '11.0.0.0' }, 'no'],
    // The same with a prefix length of 64: it is a prefix of IPv6.
    ['a mapped prefix of 64 bits', { opaque: [`21${'00'.repeat(10)}ffff0a00000040`] }, { address: '10.1.2.3' }, 'no'],
    ['an address with a zone', { remoteAddresses: ['fe80::/10'] }, { address: 'fe80::1%eth0' }, 'yes'],
    ['one of two', { remoteAddresses: ['192.0.2.1', '192.0.2.2'] }, { address: '192.0.2.2' }, 'yes'],
    ['one of two families', { remoteAddresses: ['192.0.2.0/24', '2001:db8::/32'] }, { address: '2001:db8::1' }, 'yes'],
    ['a host that is an address', { remoteAddresses: ['192.0.2.0/24'] }, { host: '192.0.2.1' }, 'yes'],
    ['an address not known yet', { remoteAddresses: ['192.0.2.0/24'] }, { host: 'example.com' }, '?'],
    ['and another port', { remoteAddresses: ['192.0.2.0/24'], remotePorts: [80] }, { host: 'example.com' }, 'no'],

    // Ports and protocols
    ['the port', { remotePorts: [443] }, {}, 'yes'],
    ['another port', { remotePorts: [80] }, {}, 'no'],
    ['in the range, its lower end', { remotePorts: ['443-500'] }, {}, 'yes'],
    ['in the range, its upper end', { remotePorts: ['400-443'] }, {}, 'yes'],
    ['beside the range', { remotePorts: ['444-500'] }, {}, 'no'],
    ['a port or a range', { remotePorts: [80, '440-450'] }, {}, 'yes'],
    ['TCP', { protocols: [6] }, {}, 'yes'],
    ['TCP, said', { protocols: [17] }, { protocol: 17 }, 'yes'],
    ['UDP', { protocols: [17] }, {}, 'no'],
    ['UDP or TCP', { protocols: [17, 6] }, {}, 'yes'],

    // Names
    ['the name', { fqdns: ['example.com'] }, { host: 'example.com' }, 'yes'],
    ['the name, in capitals', { fqdns: ['Example.COM'] }, { host: 'EXAMPLE.com' }, 'yes'],
    ['the name, with the root’s dot', { fqdns: ['example.com.'] }, { host: 'example.com' }, 'yes'],
    ['the host, with the root’s dot', { fqdns: ['example.com'] }, { host: 'example.com.' }, 'yes'],
    ['the name in Unicode', { fqdns: ['bücher.example'] }, { host: 'xn--bcher-kva.example' }, 'yes'],
    ['the host in Unicode', { fqdns: ['xn--bcher-kva.example'] }, { host: 'Bücher.example' }, 'yes'],
    ['a wildcard in Unicode', { fqdns: ['*.bücher.example'] }, { host: 'a.xn--bcher-kva.example' }, 'yes'],
    ['a name below', { fqdns: ['example.com'] }, { host: 'www.example.com' }, 'no'],
    ['a name that ends so', { fqdns: ['example.com'] }, { host: 'notexample.com' }, 'no'],
    ['a wildcard', { fqdns: ['*.example.com'] }, { host: 'www.example.com' }, 'yes'],
    ['a wildcard, deep below', { fqdns: ['*.example.com'] }, { host: 'a.b.example.com' }, 'yes'],
    ['a wildcard, and the name itself', { fqdns: ['*.example.com'] }, { host: 'example.com' }, 'no'],
    ['a wildcard, and a name that ends so', { fqdns: ['*.example.com'] }, { host: 'notexample.com' }, 'no'],
    ['an international name', { fqdns: ['bücher.example'] }, { host: 'xn--bcher-kva.example' }, 'yes'],
    ['an international host', { fqdns: ['xn--bcher-kva.example'] }, { host: 'BÜCHER.example' }, 'yes'],
    ['an expression', { regularExpressions: ['example'] }, { host: 'www.Example.com' }, 'yes'],
    [
      'an expression for the whole name',
      { regularExpressions: ['^example\\.(com|org)$'] },
      { host: 'example.org.' },
      'yes',
    ],
    ['the same, and a name below', { regularExpressions: ['^example\\.(com|org)$'] }, { host: 'a.example.org' }, 'no'],
    ['names or expressions', { fqdns: ['a.b'], regularExpressions: ['^c'] }, { host: 'c.d' }, 'yes'],
    ['names or expressions, the other', { fqdns: ['a.b'], regularExpressions: ['^c'] }, { host: 'a.b' }, 'yes'],
    ['an expression, and no name', { regularExpressions: ['.'] }, { host: '192.0.2.1' }, 'no'],
    ['no name', { fqdns: ['example.com'] }, { address: '192.0.2.1' }, 'no'],
    ['an address as host', { fqdns: ['example.com'] }, { host: '192.0.2.1' }, 'no'],
    ['the name, its address known', { fqdns: ['example.com'] }, { host: 'example.com', address: '192.0.2.1' }, 'yes'],
    [
      'name and address',
      { fqdns: ['example.com'], remoteAddresses: ['192.0.2.0/24'] },
      { host: 'example.com', address: '192.0.2.1' },
      'yes',
    ],
    [
      'name and another address',
      { fqdns: ['example.com'], remoteAddresses: ['192.0.2.0/24'] },
      { host: 'example.com', address: '203.0.113.1' },
      'no',
    ],
    ['name, and an address not known yet', { fqdns: ['a.b'], remoteAddresses: ['::/0'] }, { host: 'a.b' }, '?'],
    [
      'another name, and an address not known yet',
      { fqdns: ['a.b'], remoteAddresses: ['::/0'] },
      { host: 'a.c' },
      'no',
    ],

    // Applications
    ['the application', { applications: [{ osAppId: 'tv' }] }, { osAppId: 'tv' }, 'yes'],
    ['another application', { applications: [{ osAppId: 'tv' }] }, { osAppId: 'TV' }, 'no'],
    ['an application without a name', { applications: [{ osAppId: 'tv' }] }, {}, 'no'],
    [
      'on the system',
      { applications: [{ osId: OS, osAppId: 'tv' }] },
      { osId: OS.toUpperCase(), osAppId: 'tv' },
      'yes',
    ],
    [
      'on another system',
      { applications: [{ osId: OS, osAppId: 'tv' }] },
      { osId: OS.replace('9', '8'), osAppId: 'tv' },
      'no',
    ],
    ['on a system not said', { applications: [{ osId: OS, osAppId: 'tv' }] }, { osAppId: 'tv' }, 'no'],
    ['on any system', { applications: [{ osAppId: 'tv' }] }, { osId: OS, osAppId: 'tv' }, 'yes'],
    [
      'one of two applications',
      { applications: [{ osAppId: 'tv' }, { osAppId: 'radio' }] },
      { osAppId: 'radio' },
      'yes',
    ],

    // Tuples
    ['a tuple', { ipTuples: [{ remoteAddress: '192.0.2.0/24', remotePort: 443 }] }, { address: '192.0.2.1' }, 'yes'],
    [
      'a tuple, but for its port',
      { ipTuples: [{ remoteAddress: '192.0.2.0/24', remotePort: 80 }] },
      { address: '192.0.2.1' },
      'no',
    ],
    [
      'a tuple, its address not known',
      { ipTuples: [{ remoteAddress: '192.0.2.0/24', remotePort: 443 }] },
      { host: 'a.b' },
      '?',
    ],
    ['a tuple of ports', { ipTuples: [{ remotePort: '440-450' }] }, {}, 'yes'],
    ['a tuple of another protocol', { ipTuples: [{ protocol: 17 }] }, {}, 'no'],
    [
      'one of two tuples, not crosswise',
      {
        ipTuples: [
          { remoteAddress: '192.0.2.1', remotePort: 80 },
          { remoteAddress: '192.0.2.2', remotePort: 443 },
        ],
      },
      { address: '192.0.2.1' },
      'no',
    ],
    [
      'one of two tuples',
      {
        ipTuples: [
          { remoteAddress: '192.0.2.1', remotePort: 80 },
          { remoteAddress: '192.0.2.2', remotePort: 443 },
        ],
      },
      { address: '192.0.2.2' },
      'yes',
    ],
    ['a tuple and a port', { ipTuples: [{ protocol: 6 }], remotePorts: [80] }, {}, 'no'],

    // What cannot be seen
    ['a flow label', { opaque: ['80012345'] }, {}, 'no'],
    ['everything, and a flow label', { matchAll: true, opaque: ['80012345'] }, {}, 'no'],
    ['everything, and an unknown component', { matchAll: true, opaque: ['b0'] }, { address: '192.0.2.1' }, 'no'],

    // 0x08 and 0xA0 are one kind: alternatives.
    [
      'an application with and one without an OS Id',
      { applications: [{ osId: OS, osAppId: 'a' }, { osAppId: 'b' }] },
      { osAppId: 'b' },
      'yes',
    ],
    [
      'the other of the two',
      { applications: [{ osId: OS, osAppId: 'a' }, { osAppId: 'b' }] },
      { osId: OS, osAppId: 'a' },
      'yes',
    ],
    ['neither of the two', { applications: [{ osId: OS, osAppId: 'a' }, { osAppId: 'b' }] }, { osAppId: 'a' }, 'no'],
  ])('%s', (_name, traffic, flow, expected) => {
    expect(verdict(traffic, flow)).toBe(expected)
  })

  test('a tuple of both families matches either', () => {
    const traffic = decodeTrafficDescriptor(
      hex('52 03 c0 00 02 00 ff ff ff 00 20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 00 20'),
    )
    const both = [{ ...rules({ matchAll: true })[0]!, traffic }]
    expect(match(both, { address: '192.0.2.9', port: 1 }).rule).toBe(both[0])
    expect(match(both, { address: '2001:db8::9', port: 1 }).rule).toBe(both[0])
    expect(match(both, { address: '198.51.100.1', port: 1 }).rule).toBeUndefined()
    expect(match(both, { port: 1 })).toMatchObject({ rule: undefined, undecided: true })
  })
})

describe('several rules', () => {
  const list = rules(
    { fqdns: ['video.example.com'] },
    { remoteAddresses: ['192.0.2.0/24'], remotePorts: [443] },
    { opaque: ['b0'] },
    { remotePorts: ['1-1023'] },
    { matchAll: true },
  )
  const found = (flow: Flow) => match(list, flow).rule?.id

  test.each<[string, Flow, string | undefined, boolean]>([
    ['the name, before its address is known', { host: 'video.example.com', port: 443 }, 'r0', false],
    ['the address', { address: '192.0.2.1', port: 443 }, 'r1', false],
    ['another name: an earlier rule may still match', { host: 'www.example.com', port: 443 }, 'r3', true],
    ['and then does', { host: 'www.example.com', address: '192.0.2.1', port: 443 }, 'r1', false],
    ['or does not', { host: 'www.example.com', address: '203.0.113.1', port: 443 }, 'r3', false],
    ['another port: no earlier rule may match', { host: 'www.example.com', port: 80 }, 'r3', false],
    ['everything else', { host: 'www.example.com', port: 8080 }, 'r4', false],
  ])('%s', (_name, flow, id, undecided) => {
    expect(match(list, flow)).toMatchObject({ rule: { id }, undecided })
  })

  test('in the order of precedence, however they stand', () => {
    expect(match([...list].reverse(), { address: '192.0.2.1', port: 443 }).rule?.id).toBe('r1')
    expect(found({ address: '192.0.2.1', port: 443 })).toBe('r1')
  })

  test('why, and why not the others', () => {
    const result = match(list, { host: 'www.example.com', address: '203.0.113.1', port: 443 })
    expect(result.why).toBe("rule 'r3' matches: port 443 is in 1–1023")
    expect(result.skipped.map(({ rule, why }) => `${rule.id}: ${why}`)).toEqual([
      'r0: www.example.com is not video.example.com',
      'r1: 203.0.113.1 is not in 192.0.2.0/24',
      'r2: its traffic descriptor has a component of the unknown type 176',
    ])
    expect(match(list, { host: 'www.example.com', port: 443 }).skipped[1]?.why).toBe(
      'it depends on the address, which is not known yet',
    )
  })

  test('what matched is all named', () => {
    const [rule] = rules({ remoteAddresses: ['192.0.2.0/24'], remotePorts: [443], protocols: [6] })
    expect(match([rule!], { address: '192.0.2.1', port: 443 }).why).toBe(
      "rule 'r0' matches: 192.0.2.1 is in 192.0.2.0/24, port 443, protocol 6",
    )
    expect(match([{ ...rule!, id: undefined }], { address: '192.0.2.1', port: 443 }).why).toContain(
      'the rule of precedence 0 matches',
    )
  })

  test('nothing matches', () => {
    expect(match([], { port: 443 })).toEqual({
      rule: undefined,
      why: 'there are no rules',
      undecided: false,
      skipped: [],
    })
    const result = match(rules({ remotePorts: [80] }), { port: 443 })
    expect(result).toMatchObject({ rule: undefined, why: 'no rule matches', undecided: false })
    expect(result.skipped).toMatchObject([{ why: 'port 443 is not 80' }])
  })

  test('thousands of components are no burden', () => {
    const remotePorts = Array.from({ length: 20_000 }, (_, port) => port)
    const many = rules({ remotePorts })
    expect(match(many, { port: 19_999 }).rule).toBe(many[0])
    expect(match(many, { port: 20_000 }).skipped[0]?.why).toBe(
      'port 20000 is not 0, port 20000 is not 1, port 20000 is not 2, port 20000 is not 3, port 20000 is not 4, ' +
        'and 19995 more',
    )
  })

  test('the rules are left as they are', () => {
    const frozen = Object.freeze([...list].reverse().map(rule => Object.freeze(rule)))
    expect(match(frozen, { port: 443, address: '192.0.2.1' }).rule?.id).toBe('r1')
  })
})
