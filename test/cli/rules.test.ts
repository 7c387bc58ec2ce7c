import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { parseDestination } from '../../lib/input/addresses.js'
import { parseRules } from '../../lib/policy/rules/json.js'
import { atsss } from './atsss.js'

const directory = mkdtempSync(join(tmpdir(), 'atsss-rules-'))
afterAll(() => rmSync(directory, { recursive: true }))

const WEB = {
  ruleId: 'web',
  precedence: 10,
  trafficDescriptor: { fqdns: ['*.example.com'], remotePorts: [443] },
  steeringMode: { steerModeValue: 'LOAD_BALANCING', '3gLoad': 20 },
}
const NET = {
  precedence: 20,
  trafficDescriptor: { remoteAddresses: ['192.0.2.0/24'] },
  steeringMode: { steerModeValue: 'PRIORITY_BASED', prioAcc: '3GPP_ACCESS', thresValue: { rttThres: 100 } },
}
const REST = {
  precedence: 255,
  trafficDescriptor: { matchAll: true },
  steeringMode: { steerModeValue: 'ACTIVE_STANDBY', active: 'NON_3GPP_ACCESS', standby: '3GPP_ACCESS' },
}
/** TS 24.193 §6.1.3.2, layout g00: precedence 9, match-all, MPTCP or whichever there is, priority-based, high 3GPP. */
const CONTAINER = '01000a 0008 09 0001 01 04 01 04 01'

function file(name: string, content: unknown): string {
  const path = join(directory, name)
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content))
  return path
}

const check = (content: unknown, ...options: string[]) =>
  atsss(['rules', 'check', ...options, '-'], typeof content === 'string' ? content : JSON.stringify(content))

test('rules as they are understood, in the order of precedence', async () => {
  const { status, stdout } = await check([REST, WEB, NET])
  expect(stdout.split('\n')).toEqual([
    '3 rules, from JSON',
    "rule 'web', precedence 10",
    '  for   port 443, and name *.example.com',
    '  does  load-balancing: 20 % over 3gpp, 80 % over non-3gpp',
    'the rule of precedence 20',
    '  for   to 192.0.2.0/24',
    '  does  priority-based: 3gpp, and both while it is congested; congested is over a round trip of 100 ms',
    'the rule of precedence 255',
    '  for   everything',
    '  does  active-standby: non-3gpp, and 3gpp while it is unavailable',
    '',
  ])
  expect(status).toBe(0)
})

test('a policy decision: what it means here, and what has no meaning; status 0', async () => {
  const decision = {
    chgDecs: {},
    pccRules: {
      net: {
        pccRuleId: 'net',
        precedence: 1000,
        flowInfos: [{ flowDescription: 'permit out 6 from 192.0.2.0/24 443 to assigned' }],
        refQosData: ['q'],
        refTcData: ['tc'],
      },
      charged: { pccRuleId: 'charged', precedence: 1 },
    },
    traffContDecs: { tc: { tcId: 'tc', steerModeUl: { steerModeValue: 'SMALLEST_DELAY' } } },
  }
  for (const content of [decision, { rules: decision }]) {
    const { status, stdout } = await check(content)
    expect(stdout.split('\n')).toEqual([
      '1 rule, from a policy decision',
      "rule 'net', precedence 1000",
      '  for   to (192.0.2.0/24, IP protocol 6, port 443)',
      '  does  smallest-delay: whichever access has the smaller round-trip time',
      '  note  no meaning on a device: refQosData',
      'Note: no meaning on a device: chgDecs',
      "Note: PCC rule 'charged' has no steering mode: it is left out",
      'No rule is for everything: what none matches goes unsteered (option unmatched)',
      '',
    ])
    expect(status).toBe(0)
  }
  const { stdout } = await check(decision, '--json')
  const { rules, problems } = JSON.parse(stdout)
  expect(rules).toEqual([
    {
      ruleId: 'net',
      precedence: 1000,
      trafficDescriptor: { ipTuples: [{ remoteAddress: '192.0.2.0/24', protocol: 6, remotePort: 443 }] },
      steeringMode: { steerModeValue: 'SMALLEST_DELAY' },
    },
  ])
  expect(problems).toHaveLength(3)
})

test('every wrong rule with its place and what was meant; status 1', async () => {
  const wrong = [
    REST,
    { ...NET, steeringMode: { steerModeValue: 'PRIORITY_BASED', prioAc: '3GPP_ACCESS' } },
    { ...WEB, steeringMode: { steerModeValue: 'LOAD_BALANCE' } },
  ]
  const { status, stdout, stderr } = await check(wrong)
  expect([status, stdout]).toEqual([1, ''])
  expect(stderr).toBe(
    "atsss rules: standard input: rules[1].steeringMode.prioAc: unknown property — did you mean 'prioAcc'?\n" +
      "standard input: rules[2].steeringMode.steerModeValue: 'LOAD_BALANCE' — did you mean 'LOAD_BALANCING'?\n",
  )
})

test('two of one precedence, what is no JSON, and no file', async () => {
  const [twins, cut, none, near] = await Promise.all([
    check([REST, REST]),
    check('[\n{'),
    atsss(['rules', 'check', '/no/such']),
    atsss(['rules', 'check', 'handovr']),
  ])
  expect([twins.status, cut.status, none.status, near.status]).toEqual([1, 1, 1, 1])
  expect(near.stderr).toBe(
    'atsss rules: check handovr: there is no such file, and no such preset: there are handover, interactive, aggregate; did you mean handover?\n',
  )
  expect(none.stderr).toBe('atsss rules: check /no/such: there is no such file\n')
  expect(twins.stderr).toContain('rules[1].precedence: 255 is already that of rules[0]')
  expect(cut.stderr).toMatch(/^atsss rules: standard input: is not JSON: line 2, column 2: /)
}, 15_000)

test('a rule that cannot be obeyed: status 1, and why', async () => {
  const redundant = { ...REST, steeringMode: { steerModeValue: 'REDUNDANT' } }
  const { status, stdout } = await check([redundant])
  expect(status).toBe(1)
  expect(stdout).toContain('  but   it cannot be obeyed here: redundant steering needs a packet scheduler')
})

/** Of issue 17: an operator's usual set. */
const OPERATOR = `
  01 0019     # ATSSS rules, 25 octets
  000d        # length of rule: 13, itself included
  01 01 01    # rule identifier 1, create or replace, precedence 1
  0003 50 01bb  # traffic descriptor: single remote port 443
  03 02 02    # access selection: 3 octets, MPTCP, smallest delay
  000c        # length of rule: 12
  02 01 ff    # rule identifier 2, create or replace, precedence 255
  0001 01     # traffic descriptor: match-all
  04 03 01 02 # access selection: 4 octets, ATSSS-LL, active-standby, active 3GPP, standby non-3GPP
`

test('a rule of ATSSS-LL is no error: its connections are left to the system', async () => {
  const [text, json] = await Promise.all([check(OPERATOR), check(OPERATOR, '--json')])
  expect([text.status, json.status]).toEqual([0, 0])
  expect(text.stdout).toContain(
    "  note  rule '2' leaves it to the system, as plain TCP: its steering functionality is atsss-ll, not MPTCP\n",
  )
  expect(JSON.parse(json.stdout)).toMatchObject({ unenforceable: [], unsteered: [{ precedence: 255 }] })
  const rules = file('operator.hex', OPERATOR)
  const [web, rest] = await Promise.all(
    [443, 80].map(port => atsss(['explain', `198.51.100.2:${port}`, '--rules', rules])),
  )
  expect([web!.status, rest!.status]).toEqual([0, 0])
  expect(web!.stdout).toContain('  access   non-3gpp first, then 3gpp; now: ')
  expect(rest!.stdout).toContain("  but      unsteered: rule '2' leaves it to the system, as plain TCP: ")
  expect(rest!.stdout).not.toContain('  access ')
}, 15_000)

test('what the network says of itself, and what of it is not understood; status 1 for what is left unused', async () => {
  const network = `
    02 001d             # network steering functionalities information, 29 octets
    01 0a010002         # address of the UE over 3GPP: IPv4 10.1.0.2
    01 0a020002         # over non-3GPP: IPv4 10.2.0.2
    10                  # proxies: 16 octets
    01 c0000201 1404 01 # IPv4 192.0.2.1, port 5124, Transport Converter
    01 c0000202 0050 02 # IPv4 192.0.2.2, port 80, type 2
    dead                # of later releases
    09 0002 beef        # a parameter of type 9, 2 octets
  `.replaceAll(/#.*|\s/g, '')
  const { status, stdout } = await check(`${CONTAINER.replaceAll(' ', '')}${network}`)
  expect(stdout.split('\n').slice(4)).toEqual([
    'Problem: a parameter of the unknown type 9 has no effect: beef',
    'Problem: the MPTCP proxy 192.0.2.2 is not used: its type, 2, is not that of a Transport Converter',
    'Problem: what follows the MPTCP proxies is not known, and has no effect: dead',
    "The network's converters (converters: 'network'): 192.0.2.1:5124",
    'Link-specific addresses: 3gpp 10.1.0.2, non-3gpp 10.2.0.2',
    '',
  ])
  expect(status).toBe(1)
  const { stdout: json } = await check(network, '--json')
  expect(JSON.parse(json)).toMatchObject({
    network: {
      converters: [{ host: '192.0.2.1', port: 5124 }],
      addresses: { '3gpp': { ipv4: '10.1.0.2' }, 'non-3gpp': { ipv4: '10.2.0.2' } },
    },
  })
})

test('encode: the container with the rules, in each layout; or why it cannot carry one', async () => {
  const rule = {
    ruleId: 5,
    precedence: 9,
    trafficDescriptor: { matchAll: true },
    steeringMode: { steerModeValue: 'PRIORITY_BASED', prioAcc: '3GPP_ACCESS' },
  }
  const encode = (...options: string[]) =>
    atsss(['rules', 'encode', ...options, '-'], JSON.stringify([{ ...rule, steeringFunctionality: 'MPTCP' }]))
  // Rules, 12 octets: length 12 with itself, identifier 5, create, precedence 9, match-all, 4 octets: MPTCP, priority-based, 3GPP
  expect(await encode()).toMatchObject({
    status: 0,
    stdout: '01000c 000c 05 01 09 0001 01 04 02 04 01\n'.replaceAll(' ', ''),
  })
  const g00 = await encode('--layout', 'g00', '--rule-length', 'exclusive')
  expect(g00).toMatchObject({ status: 0, stdout: '01000a 0008 09 0001 01 04 02 04 01\n'.replaceAll(' ', '') })
  const back = await check(g00.stdout, '--json')
  const { ruleId: _, ...withoutId } = rule
  expect(JSON.parse(back.stdout).rules).toEqual([{ ...withoutId, steeringFunctionality: 'MPTCP' }])
  expect(await atsss(['rules', 'encode', '-'], JSON.stringify([WEB]))).toMatchObject({
    status: 1,
    stderr: expect.stringContaining("A container cannot carry rule 'web': its identifier is no number from 0 to 255"),
  })
  expect(await encode('--layout', 'g01')).toMatchObject({
    status: 2,
    stderr: expect.stringContaining("--layout must be rule-id or g00; it is 'g01'"),
  })
})

test('octets behind the steering mode are a note, in `rules check` and in `decode`', async () => {
  // Rule 5, create or replace, precedence 10, match-all; access selection of 7: MPTCP, priority-based, high 3GPP, then 01 00 64.
  const bytes = '01 000f 000f 05 01 0a 0001 01 07 02 04 01 01 00 64'
  const [checked, decoded] = await Promise.all([check(bytes), atsss(['decode', '--as', 'atsss', ...bytes.split(' ')])])
  expect(checked.status).toBe(0)
  expect(checked.stdout).toContain('  note  what follows the steering mode is not known, and has no effect: 010064')
  expect(checked.stdout).not.toContain('Problem')
  expect(decoded.stdout).toContain('Of later releases, not known here')
}, 15_000)

test('a container becomes JSON that means the same', async () => {
  const { status, stdout } = await check(CONTAINER, '--json')
  expect(status).toBe(0)
  const { rules } = JSON.parse(stdout)
  expect(parseRules(rules)).toMatchObject([
    { precedence: 9, traffic: [{ type: 'match-all' }], steering: { mode: 'priority-based', high: '3gpp' } },
  ])
})

test.each([
  [['rules'], 'no action is given: atsss rules check FILE, or encode FILE'],
  [['rules', 'chek', 'f'], 'unknown action chek; did you mean check?'],
  [['explain'], 'no destination is given, such as example.com:443'],
  [
    ['explain', 'example.com'],
    "the destination must be HOST:PORT, [IPv6 ADDRESS]:PORT or HOST PORT, with a port in 1…65535; it is 'example.com'",
  ],
])('%j is a wrong command line', async (args, message) => {
  const { status, stderr } = await atsss(args)
  expect(status).toBe(2)
  expect(stderr.split('\n')[0]).toBe(`atsss ${args[0]}: ${message}`)
})

test('a missing or broken file has one status, whichever command reads it', async () => {
  const broken = file('broken.json', { accesses: 1 })
  const commands = [
    ['explain', 'a:1', '--config', '/no/such'],
    ['explain', 'a:1', '--config', broken],
    ['explain', 'a:1', '--rules', '/no/such'],
    ['rules', 'check', '/no/such'],
    ['rules', 'check', broken],
    ['lab', '--topology', '/no/such'],
    ['lab', '--topology', broken],
    ['run', '--config', '/no/such', '--', 'true'],
    ['converter', '--cookie-secret-file', '/no/such'],
  ]
  const ended = await Promise.all(commands.map(args => atsss(args)))
  expect(ended.map(({ status }) => status)).toEqual(commands.map(() => 1))
  expect(ended.at(-2)!.stderr).toBe('atsss run: --config /no/such: there is no such file\n')
  expect(ended[0]!.stderr).toBe('atsss explain: --config /no/such: there is no such file\n')
}, 15_000)

test('no rules at all', async () => {
  expect(await check([])).toMatchObject({
    status: 0,
    stdout: expect.stringContaining('There is no rule: all connections go unsteered'),
  })
})

test('the name of a preset stands for its rules', async () => {
  const { status, stdout } = await atsss(['rules', 'check', 'handover'])
  expect(status).toBe(0)
  expect(stdout).toContain('1 rule, from a preset')
})

test('explain: the rule, its mode, the access, and why not the rules before it', async () => {
  const config = file('atsss.json', { accesses: { '3gpp': 'no-wwan', 'non-3gpp': 'lo' }, rules: [WEB, NET, REST] })
  const { status, stdout } = await atsss(['explain', '198.51.100.2:443', '--config', config])
  expect(stdout.split('\n')).toEqual([
    '198.51.100.2:443',
    '  rule     the rule of precedence 255',
    '  because  the rule of precedence 255 matches: it is for everything',
    '  mode     active-standby: non-3gpp, and 3gpp while it is unavailable',
    expect.stringMatching(/^ {2}access {3}non-3gpp \(lo\) first, then 3gpp \(no-wwan\); now: /),
    '  3gpp     unavailable: there is no interface no-wwan',
    '  non-3gpp unavailable: lo has no address',
    'Rules before it that do not match:',
    "  rule 'web', precedence 10: the destination is given by its address, not by a name",
    '  the rule of precedence 20: 198.51.100.2 is not in 192.0.2.0/24',
    '',
  ])
  expect(status).toBe(0)
})

test('explain: a name is only resolved when a rule depends on its address', async () => {
  const rules = file('rules.json', [WEB, NET])
  const [named, given] = await Promise.all([
    atsss(['explain', 'a.example.com:443', '--rules', rules, '--json']),
    atsss(['explain', 'b.example.net:80', '--rules', rules, '--address', '192.0.2.9', '--json']),
  ])
  expect(JSON.parse(named.stdout)).toMatchObject({ rule: { ruleId: 'web', mode: 'load-balancing' }, skipped: [] })
  expect(JSON.parse(given.stdout)).toMatchObject({ rule: { precedence: 20 }, skipped: [{ ruleId: 'web' }] })
  expect(JSON.parse(given.stdout).steering.accesses).toEqual(['3gpp', 'non-3gpp'])
}, 15_000)

test('explain: no rule, or one that cannot be obeyed, is status 1', async () => {
  const redundant = file('redundant.json', [{ ...REST, steeringMode: { steerModeValue: 'REDUNDANT' } }])
  const [none, refused] = await Promise.all([
    atsss(['explain', '198.51.100.2:80', '--rules', file('web.json', [WEB])]),
    atsss(['explain', '198.51.100.2:80', '--rules', redundant]),
  ])
  expect([none.status, refused.status]).toEqual([1, 1])
  expect(none.stdout).toContain('  no rule: no rule matches')
  expect(refused.stdout).toContain('  refused  it cannot be obeyed here: redundant steering')
}, 15_000)

test('destinations', () => {
  expect(parseDestination(['example.com:443'])).toEqual({ host: 'example.com', port: 443 })
  expect(parseDestination(['[2001:db8::1]:80'])).toEqual({ host: '2001:db8::1', port: 80 })
  expect(parseDestination(['2001:db8::1', '80'])).toEqual({ host: '2001:db8::1', port: 80 })
  for (const words of [['2001:db8::1'], ['a:0'], ['a:65536'], ['a', 'http'], ['a:1', '2', '3']])
    expect(() => parseDestination(words)).toThrow()
})
