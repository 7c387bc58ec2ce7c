/** The JSON Schema that is shipped says what the checks say: an independent validator of such schemas is asked too. */
import { readFileSync } from 'node:fs'
import { Ajv } from 'ajv'
import { expect, test } from 'vitest'
import type { AtsssRule } from '../../lib/policy/rules/json.js'
import { CONFIG_KEYS, parseConfig } from '../../lib/preload/config.js'
import { SCHEMA } from '../../scripts/schema.js'

const schema = JSON.parse(readFileSync('schema/atsss.json', 'utf8'))
const bySchema = new Ajv({ allErrors: false, strict: true, strictTypes: false, strictRequired: false }).compile(schema)

/** Why ours refuses it. */
function refusal(config: unknown): string | undefined {
  try {
    parseConfig(config, 'test')
    return undefined
  } catch (error) {
    expect(error).toMatchObject({ code: 'ERR_ATSSS_CONFIG' })
    return (error as Error).message
  }
}

const accesses = { '3gpp': 'wwan0', 'non-3gpp': { interface: 'wlan0' } }
const rule = (steeringMode: object, trafficDescriptor: object = { matchAll: true }) =>
  ({ precedence: 1, trafficDescriptor, steeringMode }) as AtsssRule
const delay = { steerModeValue: 'SMALLEST_DELAY' }

/** Together they have every property. */
const VALID: object[] = [
  {},
  { $schema: './node_modules/atsss/schema/atsss.json', converters: '192.0.2.1:5124', interface: 'wwan0' },
  {
    converters: [
      '[2001:db8::1]:5124',
      '_convert._tcp.example',
      { host: 'converter.example', port: 5124, convert: '1rtt', pipelining: false, cookie: '00010203' },
      { domain: 'example', convert: 'auto' },
    ],
    ...{
      mptcp: 'require',
      convert: '0rtt',
      pipelining: true,
      fallback: 'direct',
      bypass: 'learned',
      connectTimeout: 0,
    },
    ...{ converterTimeout: 5_000, synTimeout: 500, synRetries: 2, attemptDelay: 100, info: true, allowLoopback: false },
    ...{ exclude: ['10.0.0.0/8', 'printer.local', '*.example.com', '::1'], includeLocal: true },
  },
  { accesses, rules: 'aggregate', unmatched: 'refuse', unenforceable: 'degrade' },
  { accesses, watch: true },
  { accesses, vpn: 'bypass' },
  { accesses: 'auto' },
  { accesses: { '3gpp': ['wwan*', 'usb0'], 'non-3gpp': { interface: ['eth0', 'wlan0'] } } },
  { accesses, converters: { host: ['192.0.2.1', '2001:db8::1'], port: 5124 } },
  { accesses, watch: '/run/atsss.sock' },
  { accesses, watch: { path: '/run/atsss.sock', control: true } },
  { accesses, rules: [], application: { osId: '97a498e3-fc92-5c94-8986-0333d06e4e47', osAppId: 'org.example' } },
  { accesses, application: { osAppId: 'org.example' } },
  ...[
    rule({ steerModeValue: 'ACTIVE_STANDBY', active: '3GPP_ACCESS', standby: 'NON_3GPP_ACCESS' }),
    rule({ steerModeValue: 'ACTIVE_STANDBY', active: 'NON_3GPP_ACCESS', standby: null }),
    rule({ steerModeValue: 'LOAD_BALANCING', '3gLoad': 20, thresValue: { rttThres: 100, plrThres: 10 } }),
    rule({ steerModeValue: 'LOAD_BALANCING', '3gLoad': 0, steerModeInd: 'UE_ASSISTANCE', thresValue: null }),
    rule({ steerModeValue: 'LOAD_BALANCING', steerModeInd: 'AUTO_LOAD_BALANCE', thresValue: { rttThres: null } }),
    rule({ steerModeValue: 'PRIORITY_BASED', prioAcc: '3GPP_ACCESS', thresValue: { plrThres: 5 } }),
    rule({ steerModeValue: 'REDUNDANT', primary: '3GPP_ACCESS', standby: null }),
    rule({ steerModeValue: 'UNKNOWN', nasCode: 9, nasInformation: 'aBcD' }),
    rule(delay, {
      remoteAddresses: ['192.0.2.0/24', '2001:db8::/32'],
      remotePorts: [443, '8000-8099'],
      protocols: [6],
    }),
    rule(delay, {
      fqdns: ['*.example.com'],
      regularExpressions: ['^a'],
      applications: [{ osAppId: 'org.example' }],
      opaque: [],
    }),
    rule(delay, { ipTuples: [{ remoteAddress: '192.0.2.1', protocol: 6, remotePort: '1-2' }] }),
    rule(delay, { opaque: ['01'] }),
    { ...rule(delay), ruleId: 7, steeringFunctionality: 'MPTCP' },
    { ...rule(delay), ruleId: 'video', steeringFunctionality: 3 },
  ].map(one => ({ accesses, rules: [one], unenforceable: 'refuse' })),
  {
    accesses,
    rules: {
      pccRules: {
        video: {
          ...{ pccRuleId: 'video', precedence: 1000, refTcData: ['tc1'], refCondData: null, refQosData: ['q'] },
          flowInfos: [{ flowDescription: 'permit out 6 from any 443 to assigned', flowDirection: 'UPLINK' }],
        },
        app: { pccRuleId: 'app', precedence: 7, appId: 'a', appDescriptor: 'oAFh', refTcData: ['tc1'] },
        gone: null,
      },
      traffContDecs: { tc1: { tcId: 'tc1', steerFun: 'MPTCP', steerModeUl: delay, steerModeDl: delay } },
    },
  },
]

const WRONG = [null, '', 'x', '0', -1, 0, 1.5, 70_000, 1e12, true, [], {}, [null], ['x'], { x: 1 }, 'ein-langer Name/']

/** What a schema cannot say; what it lets pass of these, ours refuses. */
const OURS_ALONE = [
  /cannot be obeyed/, // without "unenforceable"
  /exclude\[\d+\]: must be an address, a prefix such as/,
  /converters(\[\d+\])?\.host: must be one or more address literals/,
  /converters\[\d+\]: must be 'host:port'/, // the port's range, and the address in brackets
  /must be an address or a prefix/,
  /must be a port or a range/,
  /must be a name, or/,
  /must be an extended regular expression/,
  /opaque\[\d+\]/, // what is in the octets
  /needs at least one component/, // matchAll: undefined
  /steer(ing)?Fun(ctionality)?: '.*' — did you mean/,
  /flowDescription: must/, // what is in it
  /precedence: must be .*; it is missing/, // where a PCC rule steers
  /needs flowInfos or appId/,
  /is not in traffContDecs/,
  /is already that of/,
  /must be the name of an interface/, // in octets, not in letters
]

const children = (value: unknown): [string, unknown][] =>
  typeof value === 'object' && value !== null ? Object.entries(value) : []

/** The same with one thing changed, everywhere. */
function* changed(value: unknown): Generator<unknown> {
  yield* WRONG
  const own = children(value)
  const rebuilt = (entries: [string, unknown][]) =>
    Array.isArray(value) ? entries.map(([, item]) => item) : Object.fromEntries(entries)
  if (typeof value === 'object') yield rebuilt([...own, ['extra', 1]])
  for (const [index, [key, item]] of own.entries()) {
    yield rebuilt(own.filter((_, other) => other !== index))
    if (Array.isArray(value)) yield rebuilt([...own, [key, item]])
    for (const other of changed(item)) yield rebuilt(own.map((entry, i) => (i === index ? [key, other] : entry)))
  }
}

test('both take what is right', () => {
  for (const config of VALID) {
    expect(bySchema(config), JSON.stringify([config, bySchema.errors])).toBe(true)
    expect(refusal(config)).toBeUndefined()
  }
})

test('both refuse what is wrong', () => {
  let count = 0
  let taken = 0
  for (const config of VALID)
    for (const other of changed(config)) {
      count++
      const why = refusal(other)
      const agreed = bySchema(other)
      const shown = `${JSON.stringify(other)}\nours: ${why}\nschema: ${JSON.stringify(bySchema.errors)}`
      if (why === undefined) taken++
      if (why === undefined) expect(agreed, shown).toBe(true)
      else if (agreed && !OURS_ALONE.some(pattern => pattern.test(why))) expect.fail(shown)
    }
  expect(count).toBeGreaterThan(3_000)
  expect(taken).toBeGreaterThan(100)
})

test('the schema is the one that the checks make: npm run schema', () => {
  expect(schema).toEqual(SCHEMA)
  expect(Object.keys(schema.properties)).toEqual(CONFIG_KEYS)
})
