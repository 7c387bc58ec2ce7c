/** PCC rules in TS 29.512's own JSON. The names are those of TS29512_Npcf_SMPolicyControl.yaml, V18.4.0. */
import { describe, expect, test } from 'vitest'
import { parseFlowDescription } from '../../../lib/policy/rules/flow-description.js'
import { parseRules, rulesToJson, type SteeringMode } from '../../../lib/policy/rules/json.js'
import {
  type FlowInformation,
  type PccRule,
  parsePolicyDecision,
  type SmPolicyDecision,
} from '../../../lib/policy/rules/json-pcc.js'
import { match } from '../../../lib/policy/rules/match.js'
import { readRules } from '../../../lib/policy/rules/read.js'

const DELAY: SteeringMode = { steerModeValue: 'SMALLEST_DELAY' }
const STANDBY: SteeringMode = { steerModeValue: 'ACTIVE_STANDBY', active: 'NON_3GPP_ACCESS', standby: '3GPP_ACCESS' }

/** A decision with one rule, and how it steers. */
const decision = (rule: Partial<PccRule>, control: object = { steerModeUl: DELAY, steerModeDl: DELAY }) =>
  ({
    pccRules: { r: { pccRuleId: 'r', precedence: 300, refTcData: ['tc'], ...rule } },
    traffContDecs: { tc: { tcId: 'tc', steerFun: 'MPTCP', ...control } },
  }) as SmPolicyDecision
const about = (...flowInfos: FlowInformation[]) => decision({ flowInfos })
const parsed = (given: unknown) => parsePolicyDecision(given)
const only = (given: unknown) => parsed(given).rules[0]!

describe('flow descriptions', () => {
  const NET = { address: '198.51.100.0', mask: '255.255.255.0' }
  test.each<[string, object[]]>([
    ['permit out 6 from 198.51.100.0/24 443 to assigned', [{ ipv4: NET, protocol: 6, port: 443 }]],
    ['permit in 6 from assigned to 198.51.100.0/24 443', [{ ipv4: NET, protocol: 6, port: 443 }]],
    ['permit out ip from 198.51.100.0/24 to any', [{ ipv4: NET }]],
    [
      '  permit out  17 from 2001:db8::/32 1-5,7 to assigned 0-65535 ',
      [
        { ipv6: { address: '2001:db8::', prefixLength: 32 }, protocol: 17, ports: { low: 1, high: 5 } },
        { ipv6: { address: '2001:db8::', prefixLength: 32 }, protocol: 17, port: 7 },
      ],
    ],
    ['permit out ip from 198.51.100.7 to assigned', [{ ipv4: { address: '198.51.100.7', mask: '255.255.255.255' } }]],
    ['permit out 6 from any to assigned', [{ protocol: 6 }]],
    ['permit out ip from any to assigned', []],
  ])('%s', (text, remote) => {
    const tuples = remote.map(tuple => ({ type: 'ip-tuple', ...tuple }))
    expect(parseFlowDescription('flow', text)).toStrictEqual({ remote: tuples, unseen: undefined, own: undefined })
  })

  test.each([
    ['permit out 6 from any 443 to assigned 5000', "the device's port (5000)"],
    ['permit out 6 from any 443 to assigned established', "'established'"],
    ['permit in 6 from assigned 5000-5001 to any 443 frag', "the device's port (5000-5001) and 'frag'"],
  ])('%s: what a program does not see', (text, unseen) => {
    expect(parseFlowDescription('flow', text)).toMatchObject({ unseen, remote: [{ protocol: 6, port: 443 }] })
  })

  test("the device's own address", () => {
    expect(parseFlowDescription('flow', 'permit out 6 from any to 10.45.0.2')).toMatchObject({ own: '10.45.0.2' })
    expect(parseFlowDescription('flow', 'permit in 6 from 10.45.0.2 to any')).toMatchObject({ own: '10.45.0.2' })
  })

  test.each([
    ['deny out ip from any to assigned', "must begin with 'permit'"],
    ['permit both ip from any to assigned', "must have 'out' or 'in'"],
    ['permit out tcp from any to assigned', "must have a protocol's number, or 'ip'"],
    ['permit out 256 from any to assigned', "must have a protocol's number, or 'ip'"],
    ['permit out 6 any to assigned', "must have 'from'"],
    ['permit out 6 from any', "must have 'to'"],
    ['permit out 6 from any to', 'must have an address'],
    ['permit out 6 from to assigned', 'must have an address'],
    ['permit out 6 from !10.0.0.0/8 to assigned', "must not have '!'"],
    ['permit out 6 from any 70000 to assigned', "not '70000'"],
    ['permit out 6 from any 5-1 to assigned', "not '5-1'"],
    ['permit out 6 from any setup to assigned', "has 'setup' where 'to' should be"],
    ['permit out 6 from assigned to any', 'has the device at the remote end'],
    ['permit out 6 from example.com to assigned', 'must be an address or a prefix'],
    ['', 'must be a non-empty string'],
  ])("'%s' is refused", (text, why) => {
    expect(() => parseFlowDescription('flow', text)).toThrow(why)
    expect(() => parseFlowDescription('flow', text)).toThrow(expect.objectContaining({ code: 'ERR_ATSSS_RULE' }))
  })
})

describe('a decision', () => {
  test('an operator’s: rules by precedence, beyond 255, and what has no meaning on a device', () => {
    const { rules, problems } = parsed({
      sessRules: {},
      chgDecs: {},
      pccRules: {
        rest: {
          pccRuleId: 'rest',
          precedence: 65_535,
          flowInfos: [{ flowDescription: 'permit out ip from any to assigned' }],
          refTcData: ['ll'],
        },
        video: {
          pccRuleId: 'video',
          precedence: 1000,
          flowInfos: [{ flowDescription: 'permit out 6 from 198.51.100.0/24 443 to assigned', packFiltId: '1' }],
          refQosData: ['q'],
          refTcData: ['lb'],
        },
        charged: { pccRuleId: 'charged', precedence: 5, appId: 'a' },
        gone: null,
      },
      traffContDecs: {
        lb: {
          tcId: 'lb',
          steerFun: 'MPTCP',
          steerModeUl: { steerModeValue: 'LOAD_BALANCING', '3gLoad': 20, thresValue: { rttThres: 70_000 } },
          steerModeDl: { steerModeValue: 'LOAD_BALANCING', thresValue: { rttThres: 70_000 }, '3gLoad': 20 },
          flowStatus: 'ENABLED',
        },
        ll: { tcId: 'll', steerFun: 'ATSSS_LL', steerModeUl: STANDBY, steerModeDl: STANDBY },
      },
    })
    expect(rules).toEqual([
      {
        id: 'video',
        precedence: 1000,
        traffic: [
          { type: 'ip-tuple', ipv4: { address: '198.51.100.0', mask: '255.255.255.0' }, protocol: 6, port: 443 },
        ],
        functionality: 'mptcp',
        steering: { mode: 'load-balancing', percent3gpp: 20, thresholds: { rttMs: 70_000 } },
        unusable: undefined,
        notes: [
          'no meaning on a device: packFiltId of flowInfos[0]',
          'no meaning on a device: flowStatus of traffContDecs.lb',
          'no meaning on a device: refQosData',
        ],
      },
      {
        id: 'rest',
        precedence: 65_535,
        traffic: [{ type: 'match-all' }],
        functionality: 'atsss-ll',
        steering: { mode: 'active-standby', active: 'non-3gpp', standby: '3gpp' },
        unusable: undefined,
        notes: [],
      },
    ])
    expect(problems).toEqual([
      'no meaning on a device: sessRules, chgDecs',
      "PCC rule 'charged' has no steering mode: it is left out",
      "rule 'video': no meaning on a device: packFiltId of flowInfos[0]",
      "rule 'video': no meaning on a device: flowStatus of traffContDecs.lb",
      "rule 'video': no meaning on a device: refQosData",
    ])
    // As JSON of ours, it means the same, notes apart.
    expect(parseRules(rulesToJson(rules))).toEqual(rules.map(rule => ({ ...rule, notes: [] })))
  })

  test('a session takes it; it replaces all rules', () => {
    const before = readRules([], 'handover').rules
    const { rules, changes, problems } = readRules(before, about({ flowDescription: 'permit out ip from any to any' }))
    expect(rules.map(({ id }) => id)).toEqual(['r'])
    expect(changes.map(({ change }) => change)).toEqual(['added', 'removed'])
    expect(problems).toEqual([])
  })

  test('one of several flows must match; a flow for everything is everything', () => {
    const { rules } = parsed(
      about(
        { flowDescription: 'permit out 6 from 198.51.100.0/24 80,443 to assigned' },
        { flowDescription: 'permit out 6 from 2001:db8::/32 to assigned', flowDirection: 'UNSPECIFIED' },
      ),
    )
    const matched = (address: string, port: number) => match(rules, { address, port }).rule !== undefined
    expect([matched('198.51.100.9', 443), matched('198.51.100.9', 80), matched('2001:db8::1', 22)]).toEqual([
      true,
      true,
      true,
    ])
    expect([matched('198.51.100.9', 22), matched('192.0.2.1', 443)]).toEqual([false, false])
    expect(
      only(
        about(
          { flowDescription: 'permit out 6 from 198.51.100.0/24 to assigned' },
          { flowDescription: 'permit out ip from any to assigned' },
        ),
      ).traffic,
    ).toEqual([{ type: 'match-all' }])
  })

  test.each<[string, FlowInformation, string]>([
    [
      'of the downlink',
      { flowDescription: 'permit out ip from any to assigned', flowDirection: 'DOWNLINK' },
      'downlink',
    ],
    ['by the device’s port', { flowDescription: 'permit out 6 from any to assigned 22' }, "the device's port (22)"],
    [
      'by its class',
      { flowDescription: 'permit out 6 from any to assigned', tosTrafficClass: 'b8fc' },
      'tosTrafficClass',
    ],
    ['by an SPI', { flowDescription: 'permit out 50 from any to assigned', spi: '00000001' }, 'spi'],
    ['by a flow label', { flowDescription: 'permit out 6 from any to assigned', flowLabel: '00001' }, 'flowLabel'],
    ['of Ethernet', { ethFlowDescription: { ethType: '0800' } }, 'ethFlowDescription'],
  ])('a flow %s matches nothing, and narrows nothing', (_name, flow, why) => {
    const { rules, problems } = parsed(about(flow))
    expect(rules[0]!.unusable).toBe('none of its flows can match here')
    expect(problems).toEqual([expect.stringContaining(why)])
    expect(match(rules, { address: '192.0.2.1', port: 443 }).rule).toBeUndefined()
    const beside = parsed(about(flow, { flowDescription: 'permit out 6 from 192.0.2.1 to assigned' }))
    expect(match(beside.rules, { address: '192.0.2.1', port: 443 }).rule?.id).toBe('r')
    expect(match(beside.rules, { address: '192.0.2.2', port: 443 }).rule).toBeUndefined()
  })

  test('appId, and the descriptor that the device knows', () => {
    const named = parsed(decision({ appId: 'video' }))
    expect(named.rules[0]!.traffic).toEqual([{ type: 'app', appId: 'video' }])
    expect(named.problems).toEqual([expect.stringContaining('appId names a filter of the network')])
    // TS 24.526: 0xa0 OS App Id, its length, 'tv'; and 0x08 OS Id + OS App Id, with its type and without.
    const tv = Buffer.from('a0027476', 'hex').toString('base64')
    expect(only(decision({ appId: 'x', appDescriptor: tv })).traffic).toEqual([{ type: 'app', appId: 'tv' }])
    const osId = '97a498e3fc925c9489860333d06e4e47'
    const expected = [{ type: 'os-app', osId: '97a498e3-fc92-5c94-8986-0333d06e4e47', appId: 'tv' }]
    for (const octets of [`08${osId}027476`, `${osId}027476`]) {
      const appDescriptor = Buffer.from(octets, 'hex').toString('base64')
      const { rules, problems } = parsed(decision({ appId: 'x', appDescriptor }))
      expect(rules[0]!.traffic).toEqual(expected)
      expect(problems).toEqual([])
    }
    const other = parsed(decision({ appId: 'x', appDescriptor: 'AAAA' }))
    expect(other.rules[0]!.traffic).toEqual([{ type: 'app', appId: 'x' }])
    expect(other.rules[0]!.notes).toContain('appDescriptor is not understood, and has no effect')
  })

  test('two modes: the device steers by that of the uplink, and says so', () => {
    const flowInfos = [{ flowDescription: 'permit out ip from any to assigned' }]
    const both = parsed(decision({ flowInfos }, { steerModeUl: STANDBY, steerModeDl: DELAY }))
    expect(both.rules[0]!.steering).toMatchObject({ mode: 'active-standby' })
    expect(both.problems).toEqual([
      "rule 'r': steerModeDl differs from steerModeUl, by which the device steers both directions; the proxy decides on what it sends",
    ])
    const down = parsed(decision({ flowInfos }, { steerModeDl: DELAY }))
    expect(down.rules[0]!.steering).toEqual({ mode: 'smallest-delay' })
    expect(down.problems).toEqual(["rule 'r': it has no steerModeUl: the device steers by steerModeDl"])
    expect(parsed(decision({ flowInfos }, { steerModeUl: DELAY })).problems).toEqual([])
  })

  test('a rule under a condition matches nothing', () => {
    const conditional = decision({ appId: 'a', refCondData: 'night' })
    expect(only(conditional).unusable).toContain("the condition 'night'")
    expect(match(parsed(conditional).rules, { address: '192.0.2.1', port: 1, osAppId: 'a' }).rule).toBeUndefined()
  })

  const flow = [{ flowDescription: 'permit out ip from any to assigned' }]
  test.each<[string, unknown, string]>([
    ['nothing', {}, 'pccRules: must be an object; it is missing'],
    [
      'no identifier',
      decision({ flowInfos: flow, pccRuleId: '' }),
      "pccRules.r.pccRuleId: must be a non-empty string; it is ''",
    ],
    [
      'no precedence',
      decision({ flowInfos: flow, precedence: undefined as never }),
      'pccRules.r.precedence: must be an integer',
    ],
    [
      'a precedence below 0',
      decision({ flowInfos: flow, precedence: -1 }),
      'pccRules.r.precedence: must be an integer',
    ],
    ['no traffic', decision({}), 'pccRules.r: needs flowInfos or appId'],
    ['no flows', decision({ flowInfos: [] }), 'pccRules.r.flowInfos: is empty'],
    ['a flow without description', about({}), 'pccRules.r.flowInfos[0].flowDescription: must be a non-empty string'],
    [
      'a direction',
      about({ ...flow[0]!, flowDirection: 'UP_LINK' as never }),
      "pccRules.r.flowInfos[0].flowDirection: 'UP_LINK' — did you mean 'UPLINK'?",
    ],
    [
      'a reference',
      decision({ flowInfos: flow, refTcData: ['no'] }),
      "pccRules.r.refTcData[0]: 'no' is not in traffContDecs",
    ],
    [
      'two references',
      decision({ flowInfos: flow, refTcData: ['tc', 'tc'] }),
      'pccRules.r.refTcData: must have one reference',
    ],
    [
      'a mode',
      decision({ flowInfos: flow }, { steerModeUl: { steerModeValue: 'ACTIVE_STANDBY' } }),
      'traffContDecs.tc.steerModeUl.active: must be one of',
    ],
    [
      'a functionality',
      decision({ flowInfos: flow }, { steerFun: 'ATSSS-LL', steerModeUl: DELAY }),
      "traffContDecs.tc.steerFun: 'ATSSS-LL' — did you mean 'ATSSS_LL'?",
    ],
    [
      'a precedence twice',
      {
        ...decision({ flowInfos: flow }),
        pccRules: {
          a: { pccRuleId: 'a', precedence: 3, flowInfos: flow, refTcData: ['tc'] },
          b: { pccRuleId: 'b', precedence: 3, flowInfos: flow, refTcData: ['tc'] },
        },
      },
      'pccRules.b.precedence: 3 is already that of pccRules.a',
    ],
  ])('%s is refused, with its place', (_name, given, message) => {
    expect(() => parsed(given)).toThrow(message)
    expect(() => parsed(given)).toThrow(expect.objectContaining({ code: 'ERR_ATSSS_RULE' }))
  })
})
