import { describe, expect, test } from 'vitest'
import { applyContainer, rulesFromContainer, rulesToContainer } from '../../../lib/policy/rules/container.js'
import { parseRules, rulesToJson } from '../../../lib/policy/rules/json.js'
import { match } from '../../../lib/policy/rules/match.js'
import type { Rule } from '../../../lib/policy/rules/rule.js'
import { decodeContainer, encodeContainer } from '../../../lib/wire/atsss/container.js'
import { hex } from '../../support/hex.js'
import { seeded } from '../../support/random.js'
import { VECTORS } from '../../wire/atsss/vectors.js'

/** A container with one parameter of rules: these octets. */
const container = (rules: string) => {
  const contents = hex(rules)
  return decodeContainer(new Uint8Array([1, contents.length >>> 8, contents.length & 0xff, ...contents]))
}
const two = (number: number) => number.toString(16).padStart(2, '0')

/** Layout rule-id, lengths with themselves: to port 443, smallest delay. */
const added = (id: number, precedence: number) => `00 0d ${two(id)} 01 ${two(precedence)} 00 03 50 01 bb 03 02 02`
const deleted = (id: number) => `00 04 ${two(id)} 02`
/** Layout g00, lengths without themselves. */
const listed = (precedence: number) => `00 09 ${two(precedence)} 00 03 50 01 bb 03 02 02`

const stored = (id: string | undefined, precedence: number): Rule => ({
  id,
  precedence,
  traffic: [{ type: 'remote-port', port: 443 }],
  functionality: 'mptcp',
  steering: { mode: 'smallest-delay' },
  unusable: undefined,
  notes: [],
})
const about = (rules: readonly Rule[]) => rules.map(({ id, precedence }) => `${id}@${precedence}`)
const changed = (changes: ReturnType<typeof applyContainer>['changes']) =>
  changes.map(({ change, rule }) => `${change} ${rule.id}@${rule.precedence}`)

test('rules from a container, by precedence', () => {
  expect(rulesFromContainer(container(`${added(5, 20)} ${added(6, 10)}`))).toStrictEqual([
    stored('6', 10),
    stored('5', 20),
  ])
  expect(rulesFromContainer(container(`${listed(20)} ${listed(10)}`))).toStrictEqual([
    stored(undefined, 10),
    stored(undefined, 20),
  ])
  expect(rulesFromContainer(decodeContainer(hex('')))).toEqual([])
})

describe('every steering mode', () => {
  test.each<[string, string, Rule['steering']]>([
    ['active-standby', '04 02 01 02', { mode: 'active-standby', active: '3gpp', standby: 'non-3gpp' }],
    ['active-standby, no standby', '04 02 01 01', { mode: 'active-standby', active: '3gpp', standby: undefined }],
    ['smallest delay', '03 02 02', { mode: 'smallest-delay' }],
    ['load balancing', '04 02 03 03', { mode: 'load-balancing', percent3gpp: 80 }],
    ['priority-based', '04 02 04 02', { mode: 'priority-based', high: 'non-3gpp' }],
    ['unknown', '05 02 05 01 02', { mode: 'unknown', code: 5, information: hex('01 02') }],
  ])('%s', (_name, access, steering) => {
    const [rule] = rulesFromContainer(container(`00 ${two(8 + hex(access).length)} 05 01 0a 00 01 01 ${access}`))
    expect(rule).toMatchObject({ id: '5', precedence: 10, functionality: 'mptcp', steering })
  })
})

test('what is not understood is noted', () => {
  const [rule] = rulesFromContainer(container('00 0f 05 01 0a 00 01 01 07 09 04 02 01 00 64'))
  expect(rule).toMatchObject({
    functionality: { unknown: 9 },
    steering: { mode: 'priority-based', high: 'non-3gpp' },
    notes: [
      'steering functionality 9 is not known',
      'what follows the steering mode is not known, and has no effect: 010064',
    ],
  })
})

test('octets behind the steering mode are a problem, whether the descriptor counts them or not', () => {
  // Rule 5, create or replace, precedence 10, match-all; access selection: MPTCP, priority-based, high 3GPP, then 01 00 64.
  const counted = '00 0f 05 01 0a 00 01 01 07 02 04 01 01 00 64'
  const uncounted = '00 0f 05 01 0a 00 01 01 04 02 04 01 01 00 64'
  // The next rule is read as well: rule 6, precedence 11, remote port 443, MPTCP, smallest delay.
  const next = '00 0d 06 01 0b 00 03 50 01 bb 03 02 02'
  for (const bytes of [counted, uncounted]) {
    const decoded = container(`${bytes} ${next}`)
    const { rules, problems } = applyContainer([], decoded)
    expect(rules).toMatchObject([
      { id: '5', steering: { mode: 'priority-based', high: '3gpp' }, unusable: undefined },
      { id: '6', notes: [] },
    ])
    expect(problems.map(({ message }) => message)).toEqual([
      "rule '5': what follows the steering mode is not known, and has no effect: 010064",
    ])
    expect(encodeContainer(decoded.parameters).subarray(3)).toStrictEqual(hex(`${bytes} ${next}`))
  }
})

test('a rule about what is not understood is there, and matches nothing', () => {
  const [rule] = rulesFromContainer(container('00 0e 05 01 0a 00 04 30 06 b0 01 03 02 02'))
  expect(rule?.unusable).toBe('its traffic descriptor has a component of the unknown type 176')
  const [empty] = rulesFromContainer(container('00 0a 05 01 0a 00 00 03 02 02'))
  expect(empty?.unusable).toBe('it has no traffic descriptor component')
})

describe('updates', () => {
  const before = [stored('5', 10), stored('6', 20), stored(undefined, 255)]

  test.each<[string, string, string[], string[]]>([
    ['add', added(7, 15), ['5@10', '7@15', '6@20', 'undefined@255'], ['added 7@15']],
    ['replace', added(5, 30), ['6@20', '5@30', 'undefined@255'], ['replaced 5@30']],
    ['delete', deleted(6), ['5@10', 'undefined@255'], ['removed 6@20']],
    ['the same again', added(5, 10), ['5@10', '6@20', 'undefined@255'], []],
    [
      'precedences swapped',
      `${added(5, 20)} ${added(6, 10)}`,
      ['6@10', '5@20', 'undefined@255'],
      ['replaced 6@10', 'replaced 5@20'],
    ],
    ['delete and add again', `${deleted(5)} ${added(5, 11)}`, ['5@11', '6@20', 'undefined@255'], ['replaced 5@11']],
    ['add and delete', `${added(8, 1)} ${deleted(8)}`, ['5@10', '6@20', 'undefined@255'], []],
    [
      'all at once',
      `${deleted(5)} ${added(6, 5)} ${added(9, 9)}`,
      ['6@5', '9@9', 'undefined@255'],
      ['replaced 6@5', 'added 9@9', 'removed 5@10'],
    ],
  ])('%s', (_name, rules, after, changes) => {
    const update = applyContainer(before, container(rules))
    expect(about(update.rules)).toEqual(after)
    expect(changed(update.changes)).toEqual(changes)
    expect(update.problems).toEqual([])
    expect(about(before)).toEqual(['5@10', '6@20', 'undefined@255'])
  })

  test('rules without identifiers replace all there are', () => {
    const update = applyContainer(before, container(`${listed(1)} ${listed(255)}`))
    expect(about(update.rules)).toEqual(['undefined@1', 'undefined@255'])
    expect(changed(update.changes)).toEqual(['added undefined@1', 'removed 5@10', 'removed 6@20'])
  })

  test('a parameter of an unknown type is a problem, and changes nothing else', () => {
    const { rules, changes, problems } = applyContainer(before, decodeContainer(hex('7f 00 01 00')))
    expect([rules, changes]).toEqual([before, []])
    expect(problems.map(({ message }) => message)).toEqual(['a parameter of the unknown type 127 has no effect: 00'])
  })

  test('a container without rules changes nothing', () => {
    for (const bytes of ['', '01 00 00'])
      expect(applyContainer(before, decodeContainer(hex(bytes)))).toStrictEqual({
        rules: before,
        changes: [],
        problems: [],
      })
  })

  test('of two rules with one precedence, the one from the container stays', () => {
    const update = applyContainer(before, container(added(7, 20)))
    expect(about(update.rules)).toEqual(['5@10', '7@20', 'undefined@255'])
    expect(changed(update.changes)).toEqual(['added 7@20', 'removed 6@20'])
    expect(update.problems).toMatchObject([{ message: "rule '6' gives way to rule '7', of the same precedence" }])
  })

  test('of two in the container, the later', () => {
    const update = applyContainer([], container(`${added(7, 20)} ${added(8, 20)}`))
    expect(about(update.rules)).toEqual(['8@20'])
    expect(update.problems).toHaveLength(1)
  })

  test('deleting what is not there', () => {
    const update = applyContainer(before, container(deleted(99)))
    expect(update).toMatchObject({ rules: before, changes: [] })
    expect(update.problems).toMatchObject([{ message: "rule '99' is to be deleted, but is not there" }])
  })

  test('what cannot be read leaves the rule as it was, and the others apply', () => {
    const bad = '00 0b 05 01 0a 00 01 01 09 02 02'
    const update = applyContainer(before, container(`${bad} 00 06 06 03 aa bb ${added(7, 15)}`))
    expect(about(update.rules)).toEqual(['5@10', '7@15', '6@20', 'undefined@255'])
    expect(update.problems).toMatchObject([
      { message: expect.stringContaining('rule 0 of parameter 0: access selection'), offset: 3, bytes: hex(bad) },
      { message: 'rule 1 of parameter 0: unknown operation 3', offset: 14 },
    ])
  })

  test('a layout that is a guess is a problem', () => {
    const update = applyContainer([], container(`01 0b 07 01 03 01 01 ${'01'.repeat(257)} 03 02 02`))
    expect(about(update.rules)).toEqual(['7@3'])
    expect(update.problems).toMatchObject([
      { message: 'the layout of the rules is a guess: rule-id, lengths inclusive' },
    ])
  })
})

describe('rules to a container', () => {
  const rules = parseRules([
    {
      ruleId: 5,
      precedence: 10,
      trafficDescriptor: { remoteAddresses: ['192.0.2.0/24'], protocols: [6], remotePorts: [443] },
      steeringFunctionality: 'MPTCP',
      steeringMode: { steerModeValue: 'ACTIVE_STANDBY', active: 'NON_3GPP_ACCESS', standby: '3GPP_ACCESS' },
    },
    {
      ruleId: '6',
      precedence: 20,
      trafficDescriptor: { fqdns: ['*.example.com'] },
      steeringFunctionality: 'ATSSS_LL',
      steeringMode: { steerModeValue: 'LOAD_BALANCING', '3gLoad': 30 },
    },
    {
      ruleId: 7,
      precedence: 255,
      trafficDescriptor: { matchAll: true },
      steeringFunctionality: 9,
      steeringMode: { steerModeValue: 'PRIORITY_BASED', prioAcc: '3GPP_ACCESS' },
    },
  ])

  test.each([
    {},
    { layout: 'rule-id', ruleLength: 'exclusive' },
    { layout: 'g00', ruleLength: 'exclusive' },
    { layout: 'g00', ruleLength: 'inclusive' },
  ] as const)('and back: %o', framing => {
    const bytes = encodeContainer([rulesToContainer(rules, framing)])
    const back = rulesFromContainer(decodeContainer(bytes))
    const id = (rule: Rule) => ('layout' in framing && framing.layout === 'g00' ? undefined : rule.id)
    expect(back.map(rule => ({ ...rule, notes: [] }))).toStrictEqual(rules.map(rule => ({ ...rule, id: id(rule) })))
  })

  const steered = (steeringMode: object, change = {}) => ({
    ruleId: 1,
    precedence: 1,
    trafficDescriptor: { matchAll: true },
    steeringMode,
    ...change,
  })

  test.each<[string, object, string]>([
    ['redundant', steered({ steerModeValue: 'REDUNDANT' }), 'redundant'],
    ['an indicator', steered({ steerModeValue: 'LOAD_BALANCING', steerModeInd: 'AUTO_LOAD_BALANCE' }), 'indicators'],
    ['55 %', steered({ steerModeValue: 'LOAD_BALANCING', '3gLoad': 55 }), '55 %'],
    [
      'thresholds',
      steered({ steerModeValue: 'PRIORITY_BASED', prioAcc: '3GPP_ACCESS', thresValue: { rttThres: 5 } }),
      'thresholds',
    ],
    ['MPQUIC', steered({ steerModeValue: 'SMALLEST_DELAY' }, { steeringFunctionality: 'MPQUIC' }), 'MPQUIC'],
    ['a new functionality', steered({ steerModeValue: 'SMALLEST_DELAY' }, { steeringFunctionality: 'NEW' }), "'NEW'"],
    ['a name as identifier', steered({ steerModeValue: 'SMALLEST_DELAY' }, { ruleId: 'video' }), "rule 'video'"],
    ['256 as identifier', steered({ steerModeValue: 'SMALLEST_DELAY' }, { ruleId: '256' }), 'no number from 0 to 255'],
    [
      'a precedence of 256',
      steered({ steerModeValue: 'SMALLEST_DELAY' }, { precedence: 256 }),
      'its precedence is 256',
    ],
    ['no identifier', steered({ steerModeValue: 'SMALLEST_DELAY' }, { ruleId: undefined }), 'the rule of precedence 1'],
  ])('cannot carry %s', (_name, json, message) => {
    expect(() => rulesToContainer(parseRules([json]))).toThrow(
      expect.objectContaining({ code: 'ERR_ATSSS_RULE', message: expect.stringContaining(message) }),
    )
  })
})

test('2,000 mutated containers: an update never throws, and its rules mean the same as JSON', () => {
  const random = seeded(29_512)
  const whole = VECTORS.filter(({ parameters }) => parameters.some(({ type }) => type === 'rules'))
  let rules: Rule[] = []
  let most = 0
  for (let i = 0; i < 2_000; i++) {
    const bytes = whole[Math.floor(random() * whole.length)]!.bytes.slice()
    for (let n = Math.floor(random() * 4); n > 0; n--)
      bytes[3 + Math.floor(random() * (bytes.length - 3))] = random() * 256
    let decoded: ReturnType<typeof decodeContainer>
    try {
      decoded = decodeContainer(bytes)
    } catch {
      continue
    }
    rules = applyContainer(rules, decoded).rules
    most = Math.max(most, rules.length)
    expect(new Set(rules.map(({ precedence }) => precedence)).size).toBe(rules.length)
    const again = parseRules(JSON.parse(JSON.stringify(rulesToJson(rules))))
    expect(again.map(({ steering, functionality, unusable }) => ({ steering, functionality, unusable }))).toStrictEqual(
      rules.map(({ steering, functionality, unusable }) => ({ steering, functionality, unusable })),
    )
    const flow = { host: 'www.example.com', address: '192.0.2.7', port: 443 }
    expect(match(again, flow).rule?.precedence).toBe(match(rules, flow).rule?.precedence)
  }
  expect(most).toBeGreaterThan(3)
})
