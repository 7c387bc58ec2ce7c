import { describe, expect, test } from 'vitest'
import {
  type AccessSelection,
  decodeContainer,
  encodeContainer,
  type RuleEntry,
  type RuleFraming,
  type RulesParameter,
} from '../../../lib/wire/atsss/container.js'
import { hex } from '../../support/hex.js'

const FRAMINGS: RuleFraming[] = [
  { layout: 'rule-id', ruleLength: 'inclusive' },
  { layout: 'g00', ruleLength: 'exclusive' },
  { layout: 'rule-id', ruleLength: 'exclusive' },
  { layout: 'g00', ruleLength: 'inclusive' },
]

const SMALLEST_DELAY: AccessSelection = {
  functionality: 'mptcp',
  mode: { mode: 'smallest-delay' },
  trailing: hex(''),
}
const rule = (change: Partial<Extract<RuleEntry, { type: 'rule' }>> = {}): RuleEntry => ({
  type: 'rule',
  id: 5,
  precedence: 10,
  traffic: [{ type: 'match-all' }],
  access: SMALLEST_DELAY,
  ...change,
})

/** One parameter of rules: length of the contents, then they. */
const container = (rules: string) => {
  const contents = hex(rules)
  return new Uint8Array([1, contents.length >>> 8, contents.length & 0xff, ...contents])
}

function rulesOf(bytes: Uint8Array, options = {}): RulesParameter {
  const [parameter] = decodeContainer(bytes, options).parameters
  if (parameter?.type !== 'rules') throw new Error('no rules')
  return parameter
}

/** TS 24.193 §6.1.3.2. */
describe('access selection descriptors', () => {
  const access = (bytes: string) => {
    const descriptor = hex(bytes)
    const [entry] = rulesOf(
      container(`00 ${(8 + descriptor.length).toString(16).padStart(2, '0')} 01 01 00 00 01 01 ${bytes}`),
    ).rules
    return entry?.type === 'rule' ? entry.access : entry
  }

  test.each<[number, string, string | undefined]>([
    [1, '3gpp', undefined],
    [2, '3gpp', 'non-3gpp'],
    [3, 'non-3gpp', undefined],
    [4, 'non-3gpp', '3gpp'],
  ])('active-standby %i: active %s, standby %s', (code, active, standby) => {
    expect(access(`04 02 01 0${code}`)).toMatchObject({ mode: { mode: 'active-standby', active, standby } })
  })

  test.each([
    [1, 100],
    [2, 90],
    [3, 80],
    [4, 70],
    [5, 60],
    [6, 50],
    [7, 40],
    [8, 30],
    [9, 20],
    [10, 10],
    [11, 0],
  ])('load balancing %i: %i %% over 3GPP', (code, percent3gpp) => {
    expect(access(`04 02 03 0${code.toString(16)}`)).toMatchObject({ mode: { mode: 'load-balancing', percent3gpp } })
  })

  test.each([
    [1, '3gpp'],
    [2, 'non-3gpp'],
  ])('priority-based %i: %s high', (code, high) => {
    expect(access(`04 02 04 0${code}`)).toMatchObject({ mode: { mode: 'priority-based', high } })
  })

  test.each([0, 4, 255])('functionality %i is not known', functionality => {
    const bytes = `04 ${functionality.toString(16).padStart(2, '0')} 01 02`
    expect(access(bytes)).toMatchObject({ functionality, mode: { mode: 'active-standby' } })
  })

  test.each<[string, string, AccessSelection['functionality'], number, string]>([
    ['mode 5', '04 02 05 01', 'mptcp', 5, '01'],
    ['mode 5 without information', '03 02 05', 'mptcp', 5, ''],
    ['mode 0, as PFCP has it', '04 02 00 01', 'mptcp', 0, '01'],
    ['active-standby 0', '04 02 01 00', 'mptcp', 1, '00'],
    ['active-standby 5', '05 02 01 05 ff', 'mptcp', 1, '05 ff'],
    ['active-standby without information', '03 02 01', 'mptcp', 1, ''],
    ['load balancing 0', '04 02 03 00', 'mptcp', 3, '00'],
    ['load balancing 12', '04 02 03 0c', 'mptcp', 3, '0c'],
    ['priority-based 3', '04 02 04 03', 'mptcp', 4, '03'],
  ])('not known: %s', (_name, bytes, functionality, code, information) => {
    expect(access(bytes)).toMatchObject({
      functionality,
      mode: { mode: 'unknown', code, information: hex(information) },
    })
  })

  test('what later releases put behind is kept', () => {
    expect(access('05 02 02 aa bb')).toMatchObject({ mode: { mode: 'smallest-delay' }, trailing: hex('aa bb') })
    expect(access('07 02 03 06 01 02 03')).toMatchObject({ mode: { percent3gpp: 50 }, trailing: hex('01 02 03') })
  })

  test.each(['00 02 02', '02 02 02', '04 02 02', '02 02', '01', '03 02', ''])(
    '%s does not end where it should',
    bytes => {
      expect(access(bytes)).toMatchObject({ type: 'unreadable' })
    },
  )
})

describe('the layout is found out', () => {
  const descriptors: AccessSelection[] = [
    SMALLEST_DELAY,
    { ...SMALLEST_DELAY, mode: { mode: 'active-standby', active: '3gpp', standby: undefined } },
    { ...SMALLEST_DELAY, mode: { mode: 'load-balancing', percent3gpp: 0 } },
    { ...SMALLEST_DELAY, mode: { mode: 'priority-based', high: '3gpp' }, trailing: hex('01 00 64') },
  ]
  const traffics = [
    [{ type: 'match-all' }],
    [{ type: 'remote-port', port: 0x0101 }],
    [{ type: 'fqdn', fqdn: 'www.example.com', coding: 'labels' }],
    Array.from({ length: 200 }, (_, port) => ({ type: 'remote-port', port })),
    [],
  ] as Extract<RuleEntry, { type: 'rule' }>['traffic'][]

  test.each(FRAMINGS)('$layout, $ruleLength', framing => {
    const id = framing.layout === 'g00' ? undefined : 2
    for (const precedence of [0, 1, 2, 3, 4, 5, 128, 255])
      for (const traffic of traffics)
        for (const access of descriptors)
          for (const count of [1, 2, 3]) {
            const rules = Array.from({ length: count }, () => rule({ id, precedence, traffic, access }))
            const bytes = encodeContainer([{ type: 'rules', ...framing, rules, otherwise: [] }])
            expect(rulesOf(bytes)).toStrictEqual({ type: 'rules', ...framing, rules, otherwise: [] })
          }
  })

  test('also of deletions alone', () => {
    expect(rulesOf(container('00 02 05 02  00 02 06 02'))).toMatchObject({ layout: 'rule-id', ruleLength: 'exclusive' })
    expect(rulesOf(container('00 04 05 02  00 04 06 02'))).toMatchObject({ layout: 'rule-id', ruleLength: 'inclusive' })
  })

  test('the true one wins although a rule is broken', () => {
    const good = '00 0b 01 01 01 00 01 01 03 02 02'
    const parameter = rulesOf(container(`${good}  00 0b 02 01 02 00 01 01 09 02 02  ${good}`))
    expect(parameter).toMatchObject({ layout: 'rule-id', ruleLength: 'inclusive', otherwise: [] })
    expect(parameter.rules.map(({ type }) => type)).toEqual(['rule', 'unreadable', 'rule'])
  })

  /** Read as g00, a descriptor of 256 octets and more begins like identifier and operation. */
  test('where two fit, the one with the fewer unknown values', () => {
    // rule-id: rule 0x00, operation 0x02 (delete), and more behind; g00: precedence 0, a descriptor of 512 octets.
    const descriptor = Array.from({ length: 256 }, (_, i) => `30 ${(i & 0xff).toString(16).padStart(2, '0')}`).join(' ')
    const parameter = rulesOf(container(`02 06 00 02 00 ${descriptor} 03 02 02`))
    expect(parameter).toMatchObject({ layout: 'g00', ruleLength: 'exclusive', otherwise: [] })
    expect(parameter.rules).toMatchObject([{ type: 'rule', precedence: 0, traffic: { length: 256 } }])
  })

  /** As rule-id: rule 7, create, precedence 3, 257 octets of match-all. As g00: precedence 7, 259 octets of it. */
  test.each<[string, string, RuleFraming[]]>([
    ['01 0b', 'with itself', [FRAMINGS[0]!, FRAMINGS[3]!]],
    ['01 09', 'without itself', [FRAMINGS[1]!, FRAMINGS[2]!]],
  ])('where two fit equally, the one in use, and the other is named: length %s, %s', (length, _name, fitting) => {
    const bytes = container(`${length} 07 01 03 01 01 ${'01'.repeat(257)} 03 02 02`)
    const parameter = rulesOf(bytes)
    expect(parameter).toMatchObject({ ...fitting[0], otherwise: [fitting[1]] })
    for (const framing of fitting) expect(encodeContainer([rulesOf(bytes, framing)])).toStrictEqual(bytes)
  })

  test('unless it is said', () => {
    const bytes = container('00 15 0a 00 0e 10 c0 00 02 00 ff ff ff 00 30 06 50 01 bb 04 02 01 04')
    expect(rulesOf(bytes, { layout: 'g00' })).toMatchObject({ rules: [{ type: 'rule' }] })
    expect(rulesOf(bytes, { layout: 'g00', ruleLength: 'exclusive' })).toMatchObject({ rules: [{ type: 'rule' }] })
    const forced = rulesOf(bytes, { ruleLength: 'inclusive' })
    expect(forced).toMatchObject({
      ruleLength: 'inclusive',
      rules: [{ type: 'unknown-operation' }, { type: 'unreadable' }],
    })
    expect(encodeContainer([forced])).toStrictEqual(bytes)
    expect(() => rulesOf(bytes, { layout: 'g01' })).toThrow(expect.objectContaining({ code: 'ERR_ATSSS_ENCODE' }))
  })
})

describe('one bad rule does not lose the others', () => {
  const good = (id: string) => `00 0b ${id} 01 ${id} 00 01 01 03 02 02`

  test.each<[string, string, object, string]>([
    [
      'a descriptor of 9 octets where 3 are left',
      '00 0b 02 01 02 00 01 01 09 02 02',
      { type: 'unreadable' },
      'access selection descriptor of 9 octets, where 3 are left',
    ],
    [
      'a traffic descriptor that is too long',
      '00 0b 02 01 02 00 09 01 03 02 02',
      { type: 'unreadable' },
      'traffic descriptor of 9 octets, where 4 are left',
    ],
    ['a rule without anything', '00 02', { type: 'unreadable' }, '0 octets, too few for identifier and operation'],
    [
      'operation 3',
      '00 06 02 03 aa bb',
      { type: 'unknown-operation', id: 2, operation: 3, rest: hex('aa bb') },
      'unknown operation 3',
    ],
    [
      'a deletion with more behind',
      '00 05 02 02 0a',
      { type: 'delete', id: 2, rest: hex('0a') },
      '1 octets behind a delete operation',
    ],
    [
      'a component of an unknown type, which hides the rest of its descriptor',
      '00 11 02 01 02 00 07 30 06 b0 01 02 03 04 03 02 02',
      {
        type: 'rule',
        traffic: [
          { type: 'protocol', protocol: 6 },
          { type: 'unknown', code: 0xb0, value: hex('01 02 03 04') },
        ],
      },
      'component of the unknown type 176',
    ],
    [
      'a port cut short',
      '00 0c 02 01 02 00 02 50 01 03 02 02',
      { type: 'rule', traffic: [{ type: 'invalid', code: 0x50, value: hex('01'), why: 'is cut short' }] },
      'component of type 80 is cut short',
    ],
    [
      'an unknown mode',
      '00 0c 02 01 02 00 01 01 04 02 07 01',
      { type: 'rule', access: { mode: { mode: 'unknown', code: 7, information: hex('01') } } },
      'mode 7',
    ],
    [
      'an unknown functionality',
      '00 0b 02 01 02 00 01 01 03 09 02',
      { type: 'rule', access: { functionality: 9 } },
      'unknown steering functionality 9',
    ],
  ])('%s', (_name, bad, entry, message) => {
    const bytes = container(`${good('01')} ${bad} ${good('03')}`)
    const { parameters, problems } = decodeContainer(bytes, { layout: 'rule-id', ruleLength: 'inclusive' })
    expect(parameters).toMatchObject([{ rules: [{ id: 1, precedence: 1 }, entry, { id: 3, precedence: 3 }] }])
    expect(problems).toStrictEqual([
      { parameter: 0, index: 1, offset: 14, message: expect.stringContaining(message), bytes: hex(bad) },
    ])
    expect(encodeContainer(parameters)).toStrictEqual(bytes)
    // The same is found out without being said.
    expect(decodeContainer(bytes)).toStrictEqual({ parameters, problems })
  })

  test.each(['00 00', '00 01', 'ff ff 01', '00'])(
    'but a rule whose length is wrong, %s, hides those behind it',
    bad => {
      const bytes = container(`${good('01')} ${bad} ${bad.length > 2 ? good('03') : ''}`)
      const { parameters, problems } = decodeContainer(bytes)
      expect(parameters).toMatchObject([{ rules: [{ id: 1 }, { type: 'unreadable', bytes: bytes.slice(14) }] }])
      expect(problems).toMatchObject([{ index: 1, offset: 14, bytes: bytes.slice(14) }])
      expect(encodeContainer(parameters)).toStrictEqual(bytes)
    },
  )
})

describe('refuses to encode', () => {
  const parameter = (rules: unknown, change: object = {}) =>
    ({ type: 'rules', layout: 'rule-id', ruleLength: 'exclusive', rules, otherwise: [], ...change }) as RulesParameter

  test.each<[string, RulesParameter]>([
    ['an unknown layout', parameter([], { layout: 'g01' })],
    ['an unknown reading of the length', parameter([], { ruleLength: 'both' })],
    ['an identifier in g00', parameter([rule()], { layout: 'g00' })],
    ['a deletion in g00', parameter([{ type: 'delete', id: 1, rest: hex('') }], { layout: 'g00' })],
    ['no identifier', parameter([rule({ id: undefined })])],
    ['identifier 256', parameter([rule({ id: 256 })])],
    ['precedence 256', parameter([rule({ precedence: 256 })])],
    ['precedence 1.5', parameter([rule({ precedence: 1.5 })])],
    [
      'percent that are no multiple of 10',
      parameter([rule({ access: { ...SMALLEST_DELAY, mode: { mode: 'load-balancing', percent3gpp: 55 } } })]),
    ],
    [
      'active and standby the same',
      parameter([
        rule({ access: { ...SMALLEST_DELAY, mode: { mode: 'active-standby', active: '3gpp', standby: '3gpp' } } }),
      ]),
    ],
    [
      'a known mode as unknown',
      parameter([rule({ access: { ...SMALLEST_DELAY, mode: { mode: 'unknown', code: 2, information: hex('') } } })]),
    ],
    [
      'known information as unknown',
      parameter([rule({ access: { ...SMALLEST_DELAY, mode: { mode: 'unknown', code: 1, information: hex('01') } } })]),
    ],
    ['a known functionality as unknown', parameter([rule({ access: { ...SMALLEST_DELAY, functionality: 2 } })])],
    [
      'a functionality that every object has',
      parameter([rule({ access: { ...SMALLEST_DELAY, functionality: 'toString' as never } })]),
    ],
    ['a descriptor of 256 octets', parameter([rule({ access: { ...SMALLEST_DELAY, trailing: new Uint8Array(253) } })])],
    [
      'a traffic descriptor of 65536 octets',
      parameter([rule({ traffic: [{ type: 'unknown', code: 255, value: new Uint8Array(65_535) }] })]),
    ],
  ])('%s', (_name, value) => {
    expect(() => encodeContainer([value])).toThrow(
      expect.objectContaining({ name: 'WireError', code: 'ERR_ATSSS_ENCODE' }),
    )
  })
})
