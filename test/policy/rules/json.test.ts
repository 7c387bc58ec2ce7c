import { describe, expect, test } from 'vitest'
import { type AtsssRule, parseRules, rulesToJson, type SteeringMode } from '../../../lib/policy/rules/json.js'
import { parseTraffic, trafficToJson } from '../../../lib/policy/rules/json-traffic.js'
import { presetOf, presetRules } from '../../../lib/policy/rules/presets.js'
import type { Rule } from '../../../lib/policy/rules/rule.js'
import { decodeTrafficDescriptor } from '../../../lib/wire/atsss/container.js'
import { hex } from '../../support/hex.js'

const rule = (change: object = {}): AtsssRule => ({
  precedence: 10,
  trafficDescriptor: { matchAll: true },
  steeringMode: { steerModeValue: 'SMALLEST_DELAY' },
  ...change,
})
const steered = (steeringMode: object) => rule({ steeringMode })
const about = (trafficDescriptor: object) => rule({ trafficDescriptor })
const parseOne = (json: object): Rule => parseRules([json])[0]!

describe('how to steer', () => {
  test.each<[string, SteeringMode, Rule['steering']]>([
    [
      'active-standby',
      { steerModeValue: 'ACTIVE_STANDBY', active: 'NON_3GPP_ACCESS', standby: '3GPP_ACCESS' },
      { mode: 'active-standby', active: 'non-3gpp', standby: '3gpp' },
    ],
    [
      'active-standby without a standby',
      { steerModeValue: 'ACTIVE_STANDBY', active: '3GPP_ACCESS', standby: null },
      { mode: 'active-standby', active: '3gpp', standby: undefined },
    ],
    ['smallest delay', { steerModeValue: 'SMALLEST_DELAY' }, { mode: 'smallest-delay' }],
    ['load balancing', { steerModeValue: 'LOAD_BALANCING', '3gLoad': 37 }, { mode: 'load-balancing', percent3gpp: 37 }],
    [
      'load balancing with thresholds',
      { steerModeValue: 'LOAD_BALANCING', '3gLoad': 0, thresValue: { rttThres: 80, plrThres: 15 } },
      { mode: 'load-balancing', percent3gpp: 0, thresholds: { rttMs: 80, lossPermille: 15 } },
    ],
    [
      'load balancing with a threshold that no container could carry',
      { steerModeValue: 'LOAD_BALANCING', '3gLoad': 50, thresValue: { rttThres: 70_000 } },
      { mode: 'load-balancing', percent3gpp: 50, thresholds: { rttMs: 70_000 } },
    ],
    [
      'load balancing of the device’s choice',
      { steerModeValue: 'LOAD_BALANCING', steerModeInd: 'AUTO_LOAD_BALANCE' },
      { mode: 'load-balancing', percent3gpp: undefined, indicator: 'autonomous' },
    ],
    [
      'the same with percentages',
      { steerModeValue: 'LOAD_BALANCING', '3gLoad': 100, steerModeInd: 'AUTO_LOAD_BALANCE' },
      { mode: 'load-balancing', percent3gpp: 100, indicator: 'autonomous' },
    ],
    [
      'load balancing with the device’s assistance',
      { steerModeValue: 'LOAD_BALANCING', '3gLoad': 50, steerModeInd: 'UE_ASSISTANCE' },
      { mode: 'load-balancing', percent3gpp: 50, indicator: 'ue-assistance' },
    ],
    [
      'priority-based',
      { steerModeValue: 'PRIORITY_BASED', prioAcc: 'NON_3GPP_ACCESS' },
      { mode: 'priority-based', high: 'non-3gpp' },
    ],
    [
      'priority-based with one threshold',
      { steerModeValue: 'PRIORITY_BASED', prioAcc: '3GPP_ACCESS', thresValue: { rttThres: null, plrThres: 0 } },
      { mode: 'priority-based', high: '3gpp', thresholds: { lossPermille: 0 } },
    ],
    ['redundant', { steerModeValue: 'REDUNDANT', primary: null }, { mode: 'redundant' }],
    [
      'redundant with a primary access',
      { steerModeValue: 'REDUNDANT', primary: '3GPP_ACCESS', thresValue: { rttThres: 5, plrThres: null } },
      { mode: 'redundant', primary: '3gpp', thresholds: { rttMs: 5 } },
    ],
    [
      'a mode from a container that is not known',
      { steerModeValue: 'UNKNOWN', nasCode: 7, nasInformation: '09ff' },
      { mode: 'unknown', code: 7, information: hex('09 ff') },
    ],
  ])('%s', (_name, json, steering) => {
    expect(parseOne(steered(json)).steering).toStrictEqual(steering)
    const [again] = rulesToJson([parseOne(steered(json))])
    expect(parseOne(again!).steering).toStrictEqual(steering)
  })

  test('absent is null where TS 29.512 has null for none', () => {
    expect(parseOne(steered({ steerModeValue: 'ACTIVE_STANDBY', active: '3GPP_ACCESS' })).steering).toEqual({
      mode: 'active-standby',
      active: '3gpp',
      standby: undefined,
    })
    expect(parseOne(steered({ steerModeValue: 'SMALLEST_DELAY', standby: null, primary: null })).steering).toEqual({
      mode: 'smallest-delay',
    })
    const empty = { steerModeValue: 'PRIORITY_BASED', prioAcc: '3GPP_ACCESS', thresValue: { rttThres: null } }
    expect(parseOne(steered(empty)).steering).toStrictEqual({ mode: 'priority-based', high: '3gpp' })
  })

  test.each<[AtsssRule['steeringFunctionality'], Rule['functionality']]>([
    [undefined, 'supported'],
    ['MPTCP', 'mptcp'],
    ['MPQUIC', 'mpquic'],
    ['ATSSS_LL', 'atsss-ll'],
    ['MPQUIC_IP', { unknown: 'MPQUIC_IP' }],
    ['MPQUIC_E', { unknown: 'MPQUIC_E' }],
    ['SOMETHING_NEW', { unknown: 'SOMETHING_NEW' }],
    [9, { unknown: 9 }],
  ])('by %s', (steeringFunctionality, functionality) => {
    const parsed = parseOne(steeringFunctionality === undefined ? rule() : rule({ steeringFunctionality }))
    expect(parsed.functionality).toStrictEqual(functionality)
    expect(parseOne(rulesToJson([parsed])[0]!)).toStrictEqual(parsed)
  })
})

describe('which traffic', () => {
  test.each<[string, object, Rule['traffic']]>([
    ['everything', { matchAll: true }, [{ type: 'match-all' }]],
    [
      'addresses and prefixes',
      {
        remoteAddresses: [
          '192.0.2.1',
          '192.0.2.0/24',
          '10.0.0.0/8',
          '0.0.0.0/0',
          '192.0.2.0/255.255.0.255',
          '2001:db8::1',
          '2001:DB8::/32',
          '::/0',
          '::ffff:192.0.2.0/120',
          '::ffff:192.0.2.7',
        ],
      },
      [
        { type: 'remote-ipv4', address: '192.0.2.1', mask: '255.255.255.255' },
        { type: 'remote-ipv4', address: '192.0.2.0', mask: '255.255.255.0' },
        { type: 'remote-ipv4', address: '10.0.0.0', mask: '255.0.0.0' },
        { type: 'remote-ipv4', address: '0.0.0.0', mask: '0.0.0.0' },
        { type: 'remote-ipv4', address: '192.0.2.0', mask: '255.255.0.255' },
        { type: 'remote-ipv6', address: '2001:db8::1', prefixLength: 128 },
        { type: 'remote-ipv6', address: '2001:db8::', prefixLength: 32 },
        { type: 'remote-ipv6', address: '::', prefixLength: 0 },
        { type: 'remote-ipv4', address: '192.0.2.0', mask: '255.255.255.0' },
        { type: 'remote-ipv4', address: '192.0.2.7', mask: '255.255.255.255' },
      ],
    ],
    [
      'ports and protocols',
      { remotePorts: [443, '8000-8099', '80-80'], protocols: [6, 17] },
      [
        { type: 'remote-port', port: 443 },
        { type: 'remote-port-range', low: 8000, high: 8099 },
        { type: 'remote-port-range', low: 80, high: 80 },
        { type: 'protocol', protocol: 6 },
        { type: 'protocol', protocol: 17 },
      ],
    ],
    [
      'names',
      { fqdns: ['example.com', '*.Example.COM.', 'bücher.example', '_sip.example', 'localhost'] },
      ['example.com', '*.example.com', 'xn--bcher-kva.example', '_sip.example', 'localhost'].map(fqdn => ({
        type: 'fqdn' as const,
        fqdn,
        coding: 'labels' as const,
      })),
    ],
    [
      'applications',
      {
        applications: [
          { osAppId: 'com.example.app' },
          { osId: '97A498E3-FC92-5C94-8986-0333D06E4E47', osAppId: 'ENTERPRISE' },
        ],
      },
      [
        { type: 'app', appId: 'com.example.app' },
        { type: 'os-app', osId: '97a498e3-fc92-5c94-8986-0333d06e4e47', appId: 'ENTERPRISE' },
      ],
    ],
    [
      'tuples',
      {
        ipTuples: [
          { remoteAddress: '192.0.2.0/24', protocol: 6, remotePort: 443 },
          { remoteAddress: '2001:db8::/32', remotePort: '1-1023' },
          { protocol: 17 },
        ],
      },
      [
        { type: 'ip-tuple', ipv4: { address: '192.0.2.0', mask: '255.255.255.0' }, protocol: 6, port: 443 },
        { type: 'ip-tuple', ipv6: { address: '2001:db8::', prefixLength: 32 }, ports: { low: 1, high: 1023 } },
        { type: 'ip-tuple', protocol: 17 },
      ],
    ],
    [
      'what has no other form',
      { opaque: ['6012345678', 'B001ff'] },
      [
        { type: 'security-parameter-index', value: hex('12 34 56 78') },
        { type: 'unknown', code: 0xb0, value: hex('01 ff') },
      ],
    ],
  ])('%s', (_name, trafficDescriptor, traffic) => {
    const parsed = parseOne(about(trafficDescriptor))
    expect(parsed.traffic).toStrictEqual(traffic)
    expect(parseOne(rulesToJson([parsed])[0]!)).toStrictEqual(parsed)
  })

  test('a rule about what cannot be seen is kept, and says that it matches nothing', () => {
    expect(parseOne(about({ opaque: ['6012345678'] })).unusable).toContain('security-parameter-index')
    expect(parseOne(about({ opaque: ['b0'] })).unusable).toContain('unknown type 176')
    expect(parseOne(about({ opaque: ['5001'] })).unusable).toContain('is cut short')
    // 0x92, 2 octets: '*a', which is no expression; kept as it came
    const none = parseOne(about({ fqdns: ['example.com'], opaque: ['92022a61'] }))
    expect(none.unusable).toContain("its regular expression '*a' is none of POSIX: nothing to repeat before")
    expect(rulesToJson([none])[0]!.trafficDescriptor).toEqual({ fqdns: ['example.com'], opaque: ['92022a61'] })
    // 0xa2 PIN ID and 0xa3 connectivity group ID, 1 octet each
    expect(parseOne(about({ matchAll: true, opaque: ['a20161'] })).unusable).toContain('pin-id')
    expect(parseOne(about({ matchAll: true, opaque: ['a30161'] })).unusable).toContain('connectivity-group-id')
    expect(parseOne(about({ opaque: [] })).unusable).toBe('it has no traffic descriptor component')
    expect(parseOne(about({ matchAll: true })).unusable).toBeUndefined()
  })

  test('a tuple that the short form cannot say is opaque', () => {
    const traffic: Rule['traffic'] = [{ type: 'ip-tuple', port: 80, ports: { low: 1, high: 2 } }]
    const [json] = rulesToJson([{ ...parseOne(rule()), traffic }])
    expect(json!.trafficDescriptor).toEqual({ opaque: ['5218005000010002'] })
    expect(parseOne(json!).traffic).toStrictEqual(traffic)
  })
})

test('an IPv4-mapped prefix of a container is written so that it can be read again', () => {
  // 0x21 IPv6 remote address ::ffff:10.0.0.0, prefix length 104, then the same with 64, which has no form in JSON.
  const mapped = (length: string) => decodeTrafficDescriptor(hex(`21 00000000000000000000 ffff 0a000000 ${length}`))
  expect(trafficToJson(mapped('68'))).toEqual({ remoteAddresses: ['::ffff:10.0.0.0/104'] })
  expect(parseTraffic('traffic', trafficToJson(mapped('68')))).toEqual([
    { type: 'remote-ipv4', address: '10.0.0.0', mask: '255.0.0.0' },
  ])
  expect(parseTraffic('traffic', trafficToJson(mapped('40')))).toEqual(mapped('40'))
})

test('identifiers are text; numbers are theirs', () => {
  const ids = [rule({ ruleId: 5, precedence: 1 }), rule({ ruleId: 'video', precedence: 2 }), rule({ precedence: 3 })]
  expect(parseRules(ids).map(({ id }) => id)).toEqual(['5', 'video', undefined])
  expect(rulesToJson(parseRules(ids)).map(({ ruleId }) => ruleId)).toEqual(['5', 'video', undefined])
})

test('rules come in the order of their precedence', () => {
  const parsed = parseRules([255, 0, 7].map(precedence => rule({ precedence })))
  expect(parsed.map(({ precedence }) => precedence)).toEqual([0, 7, 255])
  expect(parseRules([])).toEqual([])
})

describe('refuses, and names the place', () => {
  const at = (index: number, json: object) =>
    [...Array.from({ length: index }, (_, precedence) => rule({ precedence })), json] as unknown

  test.each<[string, unknown, string]>([
    [
      'a mode with a letter missing',
      at(2, steered({ steerModeValue: 'SMALEST_DELAY' })),
      "rules[2].steeringMode.steerModeValue: 'SMALEST_DELAY' — did you mean 'SMALLEST_DELAY'?",
    ],
    [
      'a mode in small letters',
      [steered({ steerModeValue: 'load-balancing', '3gLoad': 5 })],
      "rules[0].steeringMode.steerModeValue: 'load-balancing' — did you mean 'LOAD_BALANCING'?",
    ],
    [
      'a mode that is far from any',
      [steered({ steerModeValue: 'FAILOVER' })],
      "rules[0].steeringMode.steerModeValue: 'FAILOVER' — must be one of 'ACTIVE_STANDBY', ",
    ],
    // biome-ignore lint/suspicious/noSparseArray: what is tested
    ['a hole', [, rule()], 'rules[0]: must be an object; it is missing'],
    ['no mode', [steered({})], 'rules[0].steeringMode.steerModeValue: must be one of '],
    [
      'a mode that every object has',
      [steered({ steerModeValue: 'toString' })],
      "rules[0].steeringMode.steerModeValue: 'toString' — must be one of ",
    ],
    [
      'a property that is nearly one',
      [steered({ steerModeValue: 'LOAD_BALANCING', '3GLoad': 5 })],
      "rules[0].steeringMode.3GLoad: unknown property — did you mean '3gLoad'?",
    ],
    [
      'a property of nobody',
      [rule({ comment: 'mine' })],
      "rules[0].comment: unknown property — must be one of 'ruleId', 'precedence', ",
    ],
    [
      'a traffic descriptor’s property that is nearly one',
      [about({ fqdn: ['example.com'] })],
      "rules[0].trafficDescriptor.fqdn: unknown property — did you mean 'fqdns'?",
    ],
    [
      'a functionality with letters swapped',
      [rule({ steeringFunctionality: 'MPTPC' })],
      "rules[0].steeringFunctionality: 'MPTPC' — did you mean 'MPTCP'?",
    ],
    [
      'an access in small letters',
      [steered({ steerModeValue: 'ACTIVE_STANDBY', active: '3gpp_access' })],
      "rules[0].steeringMode.active: '3gpp_access' — did you mean '3GPP_ACCESS'?",
    ],
    [
      'no active access',
      [steered({ steerModeValue: 'ACTIVE_STANDBY' })],
      'rules[0].steeringMode.active: must be one of',
    ],
    [
      'the active access as standby',
      [steered({ steerModeValue: 'ACTIVE_STANDBY', active: '3GPP_ACCESS', standby: '3GPP_ACCESS' })],
      'rules[0].steeringMode.standby: is the active access',
    ],
    [
      'a property of another mode',
      [steered({ steerModeValue: 'SMALLEST_DELAY', '3gLoad': 5 })],
      'rules[0].steeringMode.3gLoad: does not go with SMALLEST_DELAY',
    ],
    [
      'thresholds with active-standby',
      [steered({ steerModeValue: 'ACTIVE_STANDBY', active: '3GPP_ACCESS', thresValue: { rttThres: 5 } })],
      'rules[0].steeringMode.thresValue: does not go with ACTIVE_STANDBY',
    ],
    [
      'thresholds with an indicator',
      [
        steered({
          steerModeValue: 'LOAD_BALANCING',
          '3gLoad': 5,
          steerModeInd: 'UE_ASSISTANCE',
          thresValue: { rttThres: 5 },
        }),
      ],
      'rules[0].steeringMode.thresValue: goes with fixed percentages only',
    ],
    [
      'both indicators',
      [
        steered({
          steerModeValue: 'LOAD_BALANCING',
          '3gLoad': 5,
          steerModeInd: ['AUTO_LOAD_BALANCE', 'UE_ASSISTANCE'],
        }),
      ],
      'rules[0].steeringMode.steerModeInd: must be one of ',
    ],
    [
      'no percentage',
      [steered({ steerModeValue: 'LOAD_BALANCING' })],
      'rules[0].steeringMode.3gLoad: must be an integer in 0…100; it is missing',
    ],
    [
      'no percentage with assistance',
      [steered({ steerModeValue: 'LOAD_BALANCING', steerModeInd: 'UE_ASSISTANCE' })],
      'rules[0].steeringMode.3gLoad: must be an integer in 0…100; it is missing',
    ],
    [
      '101 %',
      [steered({ steerModeValue: 'LOAD_BALANCING', '3gLoad': 101 })],
      'rules[0].steeringMode.3gLoad: must be an integer in 0…100; it is 101',
    ],
    [
      'a loss of more than everything',
      [steered({ steerModeValue: 'PRIORITY_BASED', prioAcc: '3GPP_ACCESS', thresValue: { plrThres: 1001 } })],
      'rules[0].steeringMode.thresValue.plrThres: must be an integer in 0…1000; it is 1001',
    ],
    [
      'an expression that is none',
      [about({ regularExpressions: ['a', '(b'] })],
      'regularExpressions[1]: must be an extended regular expression: a group is not closed',
    ],
    [
      'an expression of 256 octets',
      [about({ regularExpressions: ['a'.repeat(256)] })],
      'regularExpressions[0]: has more than 255 octets',
    ],
    [
      'an RTT in words',
      [steered({ steerModeValue: 'PRIORITY_BASED', prioAcc: '3GPP_ACCESS', thresValue: { rttThres: '80 ms' } })],
      "rules[0].steeringMode.thresValue.rttThres: must be an integer in 0…9007199254740991; it is '80 ms'",
    ],
    ['no priority', [steered({ steerModeValue: 'PRIORITY_BASED' })], 'rules[0].steeringMode.prioAcc: must be one of'],
    [
      'precedence -1',
      [rule({ precedence: -1 })],
      'rules[0].precedence: must be an integer in 0…9007199254740991; it is -1',
    ],
    [
      'no precedence',
      [rule({ precedence: undefined })],
      'rules[0].precedence: must be an integer in 0…9007199254740991; it is missing',
    ],
    [
      'a precedence twice',
      [rule({ precedence: 1 }), rule({ precedence: 2 }), rule({ precedence: 1 })],
      'rules[2].precedence: 1 is already that of rules[0]',
    ],
    [
      'an identifier twice',
      [rule({ precedence: 1, ruleId: 5 }), rule({ precedence: 2, ruleId: '5' })],
      "rules[1].ruleId: '5' is already that of rules[0]",
    ],
    ['identifier 256', [rule({ ruleId: 256 })], 'rules[0].ruleId: must be an integer in 0…255; it is 256'],
    ['an empty identifier', [rule({ ruleId: '' })], "rules[0].ruleId: must be text, or 0…255; it is ''"],
    ['no rules', undefined, 'rules: must be an array; it is missing'],
    ['a rule alone', rule(), 'rules: must be an array; it is {'],
    ['a rule that is null', [null], 'rules[0]: must be an object; it is null'],
    [
      'no traffic descriptor',
      [rule({ trafficDescriptor: undefined })],
      'rules[0].trafficDescriptor: must be an object',
    ],
    ['an empty one', [about({})], 'rules[0].trafficDescriptor: needs at least one component'],
    ['an empty list', [about({ fqdns: [] })], 'rules[0].trafficDescriptor.fqdns: is empty'],
    ['a list that is text', [about({ fqdns: 'example.com' })], 'rules[0].trafficDescriptor.fqdns: must be an array'],
    ['match-all that is false', [about({ matchAll: false })], 'rules[0].trafficDescriptor.matchAll: must be true'],
    [
      'a prefix of 33 bits',
      [about({ remoteAddresses: ['10.0.0.1', '192.0.2.0/33'] })],
      "rules[0].trafficDescriptor.remoteAddresses[1]: must be an address or a prefix, such as 192.0.2.0/24; it is '192.0.2.0/33'",
    ],
    ['a name as address', [about({ remoteAddresses: ['example.com'] })], 'remoteAddresses[0]: must be an address'],
    ['an IPv6 mask', [about({ remoteAddresses: ['2001:db8::/255.0.0.0'] })], 'remoteAddresses[0]: must be an address'],
    ['an IPv6 prefix of 129 bits', [about({ remoteAddresses: ['::/129'] })], 'remoteAddresses[0]: must be an address'],
    ['a mapped prefix of 90 bits', [about({ remoteAddresses: ['::ffff:1.2.3.4/90'] })], 'remoteAddresses[0]: must be'],
    ['port 65536', [about({ remotePorts: [65_536] })], 'remotePorts[0]: must be an integer in 0…65535; it is 65536'],
    [
      'ports from high to low',
      [about({ remotePorts: ['90-80'] })],
      "remotePorts[0]: must be a port or a range 'low-high'",
    ],
    [
      'a port as text',
      [about({ remotePorts: ['443'] })],
      "remotePorts[0]: must be a port or a range 'low-high'; it is '443'",
    ],
    ['a protocol’s name', [about({ protocols: ['tcp'] })], "protocols[0]: must be an integer in 0…255; it is 'tcp'"],
    ['an address as a name', [about({ fqdns: ['192.0.2.1'] })], "fqdns[0]: must be a name, or '*.' and a name"],
    ['a wildcard in the middle', [about({ fqdns: ['www.*.com'] })], 'fqdns[0]: must be a name'],
    ['a wildcard in a label', [about({ fqdns: ['www*.example.com'] })], 'fqdns[0]: must be a name'],
    ['a wildcard alone', [about({ fqdns: ['*'] })], 'fqdns[0]: must be a name'],
    ['an empty label', [about({ fqdns: ['www..com'] })], 'fqdns[0]: must be a name'],
    ['a URL', [about({ fqdns: ['https://example.com'] })], 'fqdns[0]: must be a name'],
    ['an application without its name', [about({ applications: [{ osId: 'x' }] })], 'applications[0].osAppId: must be'],
    [
      'an OS Id that is no UUID',
      [about({ applications: [{ osId: 'android', osAppId: 'x' }] })],
      "applications[0].osId: must be a UUID; it is 'android'",
    ],
    ['an application’s name of 256 octets', [about({ applications: [{ osAppId: 'é'.repeat(128) }] })], 'more than 255'],
    ['a tuple of nothing', [about({ ipTuples: [{}] })], 'ipTuples[0]: names neither address nor protocol nor port'],
    ['half an octet', [about({ opaque: ['600'] })], 'opaque[0]: must be octets in hexadecimal'],
    ['no octets', [about({ opaque: [''] })], 'opaque[0]: is empty'],
  ])('%s', (_name, json, message) => {
    expect(() => parseRules(json)).toThrow(
      expect.objectContaining({
        name: 'AtsssError',
        code: 'ERR_ATSSS_RULE',
        message: expect.stringContaining(message),
      }),
    )
  })
})

describe('presets', () => {
  test.each([
    ['handover', { mode: 'active-standby', active: 'non-3gpp', standby: '3gpp' }],
    ['interactive', { mode: 'smallest-delay' }],
    ['aggregate', { mode: 'load-balancing', percent3gpp: undefined, indicator: 'autonomous' }],
  ])('%s', (name, steering) => {
    expect(presetRules(name)).toStrictEqual([
      {
        id: undefined,
        precedence: 255,
        traffic: [{ type: 'match-all' }],
        functionality: 'supported',
        steering,
        unusable: undefined,
        notes: [],
      },
    ])
    expect(presetOf(presetRules(name))).toBe(name)
  })

  test('rules that are no preset', () => {
    const [handover] = presetRules('handover') as [Rule]
    expect(presetOf([])).toBeUndefined()
    expect(presetOf([{ ...handover, precedence: 9 }])).toBeUndefined()
    expect(presetOf([{ ...handover, id: 'mine' }])).toBeUndefined()
    expect(presetOf([handover, ...presetRules('aggregate')])).toBeUndefined()
  })

  test('a name that is none', () => {
    expect(() => presetRules('Handoff')).toThrow(
      "preset: 'Handoff' — must be one of 'handover', 'interactive' or 'aggregate'",
    )
    expect(() => presetRules('hand-over')).toThrow("preset: 'hand-over' — did you mean 'handover'?")
  })
})

test('of the sockets of a rule, an addition of ours: there and back, and checked', () => {
  const socket = { congestion: 'bbr', notsentLowWater: 131_072 }
  expect(parseRules([rule({ socket })])[0]!.socket).toEqual(socket)
  expect(rulesToJson(parseRules([rule({ socket })]))[0]!.socket).toEqual(socket)
  expect(parseRules([rule()])[0]).not.toHaveProperty('socket')
  for (const wrong of [{ congestion: 'No Such' }, { notsentLowWater: 1 }, { nagle: true }, 'bbr'])
    expect(() => parseRules([rule({ socket: wrong })])).toThrow(/rules\[0\]\.socket/)
})
