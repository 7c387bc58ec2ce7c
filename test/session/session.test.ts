/** Sessions as any user has them: options, rules, explanations, updates. What they do to connections: test/netns/session-*. */
import diagnostics from 'node:diagnostics_channel'
import { once } from 'node:events'
import net from 'node:net'
import { MaPduSession as PublishedSession } from 'atsss'
import { afterEach, describe, expect, test } from 'vitest'
import type { AtsssRule } from '../../lib/policy/rules/json.js'
import type { RulesInput } from '../../lib/policy/rules/read.js'
import type { SessionOptions } from '../../lib/session/options.js'
import { MaPduSession } from '../../lib/session/session.js'
import { connect } from '../../lib/socket/connect.js'
import { hex } from '../support/hex.js'
import { mptcp } from '../support/probes.js'
import { requires } from '../support/requires.js'

const ACCESSES = { '3gpp': 'none0', 'non-3gpp': 'lo' }
const open: { close(): void }[] = []
afterEach(() => {
  for (const session of open.splice(0)) session.close()
})

function sessionOf(options: Partial<SessionOptions> = {}): MaPduSession {
  const session = new MaPduSession({ accesses: ACCESSES, controller: 'inline', ...options })
  open.push(session)
  return session
}

const forName = (precedence: number, fqdn: string, steeringMode: AtsssRule['steeringMode']): AtsssRule => ({
  precedence,
  trafficDescriptor: { fqdns: [fqdn] },
  steeringMode,
})
const CELL_ONLY = { steerModeValue: 'ACTIVE_STANDBY', active: '3GPP_ACCESS' } as const
const CELL_FIRST = { ...CELL_ONLY, standby: 'NON_3GPP_ACCESS' } as const
const REDUNDANT = { steerModeValue: 'REDUNDANT' } as const

/** A container: to port 443, smallest delay; and another rule whose length is not so. */
const added = (id: string, precedence: string) => `00 0d ${id} 01 ${precedence} 00 03 50 01 bb 03 02 02`
const container = (rules: string) => {
  const contents = hex(rules)
  return new Uint8Array([1, contents.length >>> 8, contents.length & 0xff, ...contents])
}

describe('options', () => {
  const refused: [string, unknown, string][] = [
    ['none at all', undefined, 'options'],
    ['no accesses', {}, 'accesses.3gpp'],
    ['one access only', { accesses: { '3gpp': 'wwan0' } }, 'accesses.non-3gpp'],
    ['an access of another name', { accesses: { ...ACCESSES, wifi: 'wlan0' } }, '"wifi"'],
    ['an access that is no name', { accesses: { ...ACCESSES, '3gpp': 5 } }, 'accesses.3gpp'],
    ['an access without an interface', { accesses: { ...ACCESSES, '3gpp': {} } }, 'accesses.3gpp'],
    [
      'one interface for both',
      { accesses: { '3gpp': 'wlan0', 'non-3gpp': { interface: 'wlan0' } } },
      "'wlan0' is named for both",
    ],
    [
      'one interface for both, among several',
      { accesses: { '3gpp': ['wwan0', 'x*'], 'non-3gpp': ['wlan0', 'x*'] } },
      "'x*' is named for both",
    ],
    ['an empty list', { accesses: { ...ACCESSES, '3gpp': [] } }, 'or a list of names'],
    ['a list with something else', { accesses: { ...ACCESSES, '3gpp': ['wwan0', 5] } }, 'accesses.3gpp[1]'],
    ['a word that is not auto', { accesses: 'automatic' }, "'auto', or an object"],
    ['vpn', { accesses: ACCESSES, vpn: 'ignore' }, 'vpn'],
    ['a misspelled vpn', { accesses: ACCESSES, VPN: 'respect' }, 'should be "vpn"'],
    ['a misspelled one', { accesses: ACCESSES, rulez: 'handover' }, 'should be "rules"'],
    ['a misspelled one of a connection', { accesses: ACCESSES, convertors: '192.0.2.1:1' }, 'should be "converters"'],
    ['one that looks like one of others', { accesses: ACCESSES, rule: 'handover' }, 'should be "rules"'],
    ['one that is almost ours', { accesses: ACCESSES, unmatch: 'any' }, 'did you mean "unmatched"?'],
    ['an unknown one', { accesses: ACCESSES, foo: 1 }, 'Unknown option "foo": there are accesses, rules,'],
    ["one of net.connect's", { accesses: ACCESSES, noDelay: true }, 'Unknown option "noDelay"'],
    ['an unknown one of the container', { accesses: ACCESSES, container: { foo: 1 } }, '"container.foo"'],
    ['an unknown one of watch', { accesses: ACCESSES, watch: { rw: true } }, '"watch.rw"'],
    ['an unknown one of a converter', { accesses: ACCESSES, converters: { host: 'h', port: 1, prot: 2 } }, '].prot"'],
    ['a list where a name is wanted', { accesses: { '3gpp': 'wwan0', 'non-3gpp': [] } }, 'it is []'],
    ['unmatched', { accesses: ACCESSES, unmatched: 'drop' }, 'unmatched'],
    ['unenforceable', { accesses: ACCESSES, unenforceable: 'ignore' }, 'unenforceable'],
    ['controller', { accesses: ACCESSES, controller: 'thread' }, 'controller'],
    ['a converter that is none', { accesses: ACCESSES, converters: 'nowhere' }, 'converters'],
    ...[0, -1, 'x', Number.NaN, 999, 1000.5, 86_400_001, true, null].map((idleProbe): [string, object, string] => [
      `idleProbe: ${String(idleProbe)}`,
      { accesses: ACCESSES, idleProbe },
      'idleProbe',
    ]),
  ]
  for (const [name, options, told] of refused)
    test(name, () => {
      const make = () => new MaPduSession(options as SessionOptions)
      expect(make).toThrow(
        expect.objectContaining({ code: 'ERR_ATSSS_OPTION', message: expect.stringContaining(told) }),
      )
    })

  test('wrong rules', () => {
    const code = (rules: unknown) => {
      try {
        sessionOf({ rules: rules as never })
      } catch (error) {
        return (error as { code: string }).code
      }
      return undefined
    }
    expect(code('handovr')).toBe('ERR_ATSSS_RULE')
    expect(code([{ precedence: 1 }])).toBe('ERR_ATSSS_RULE')
    expect(code(5)).toBe('ERR_ATSSS_RULE')
    expect(code(new Uint8Array([1, 255, 255]))).toBe('ERR_ATSSS_MALFORMED')
    expect(code(undefined)).toBeUndefined()
    expect(code([forName(3, 'x.example', REDUNDANT)])).toBe('ERR_ATSSS_STEERING')
  })

  test('a mode that no kernel has: refused at once, and nothing is changed; unless the options say what to do', () => {
    const rules = [forName(3, 'x.example', REDUNDANT)]
    const session = sessionOf()
    const before = session.rules
    expect(() => session.update(rules)).toThrow(
      /rule of precedence 3 cannot be obeyed: redundant.*unenforceable: 'degrade'/,
    )
    expect(session.rules).toBe(before)
    for (const unenforceable of ['refuse', 'degrade', 'unsteered'] as const)
      expect(sessionOf({ rules, unenforceable }).rules).toHaveLength(1)
  })

  test('the network sends a mode that no kernel has: taken, and reported', async () => {
    const session = sessionOf()
    const degraded = new Promise(resolve => {
      session.on('degraded', ({ what, message }) => what === 'rule' && resolve(message))
    })
    session.update(container('00 0d 01 01 01 00 03 50 01 bb 03 02 09')) // rule 1, port 443, MPTCP, steering mode 9
    expect(await degraded).toMatch(/rule '1' cannot be obeyed: its steering mode, 9, is not known.*live ones stay/)
  })

  test('interfaces that are not there: said at the start, with those that are', async () => {
    const session = sessionOf({ accesses: { '3gpp': 'nowhere0', 'non-3gpp': 'lo' } })
    const access = once(session as never, 'access')
    const degraded = new Promise(resolve => {
      session.on('degraded', ({ what, message }) => what === 'access' && resolve(message))
    })
    expect(await access).toMatchObject([{ access: '3gpp', available: false, why: 'there is no interface nowhere0' }])
    expect(await degraded).toMatch(/^Access 3gpp: there is no interface nowhere0 yet, .*; (those|none here)/)
  })
})

describe('rules', () => {
  test('handover, where none are said', () => {
    expect(sessionOf().rules).toMatchObject([
      { precedence: 255, steering: { mode: 'active-standby', active: 'non-3gpp', standby: '3gpp' } },
    ])
  })

  test('as a preset, JSON, a container', () => {
    expect(sessionOf({ rules: 'interactive' }).rules).toMatchObject([{ steering: { mode: 'smallest-delay' } }])
    expect(sessionOf({ rules: [forName(3, 'example.com', CELL_ONLY)] }).rules).toMatchObject([{ precedence: 3 }])
    expect(sessionOf({ rules: container(added('05', '14')) }).rules).toMatchObject([{ id: '5', precedence: 20 }])
  })

  test('a container is applied to the rules before, JSON replaces them', () => {
    const session = sessionOf({ rules: container(added('05', '14')) })
    const { changes, rules } = session.update(container(`${added('06', '0a')} 00 04 05 02`))
    expect(changes).toMatchObject([{ rule: { id: '6' } }, { rule: { id: '5' } }])
    expect(rules.map(({ id }) => id)).toEqual(['6'])
    expect(session.update('aggregate').rules).toHaveLength(1)
    expect(session.rules).toMatchObject([{ precedence: 255 }])
  })

  test('what has changed is told, whatever the rules come from', () => {
    const session = sessionOf({ rules: 'handover' })
    const changed = (input: RulesInput) =>
      session.update(input).changes.map(({ change, rule }) => `${change} ${rule.precedence} ${rule.steering.mode}`)
    expect(changed('interactive')).toEqual(['replaced 255 smallest-delay'])
    expect(changed('interactive')).toEqual([])
    expect(changed([forName(3, 'example.com', CELL_ONLY)])).toEqual([
      'added 3 active-standby',
      'removed 255 smallest-delay',
    ])
  })

  test('part of a container that cannot be applied is told, at the beginning too', async () => {
    const bad = container(`${added('05', '14')} 00 04 09 02`)
    const session = sessionOf({ rules: bad })
    const [problem] = await new Promise<unknown[]>(resolve => session.on('problem', (...args) => resolve(args)))
    expect(problem).toBeTruthy()
    expect(session.rules).toHaveLength(1)
    const { problems } = session.update(bad)
    expect(problems).toHaveLength(1)
  })

  test('wrong ones change nothing', () => {
    const session = sessionOf({ rules: [forName(3, 'example.com', CELL_ONLY)] })
    const before = session.rules
    for (const wrong of ['nothing', [forName(4, 'a.example', CELL_ONLY), { precedence: 5 }], new Uint8Array([1, 255])])
      expect(() => session.update(wrong as never)).toThrow(
        expect.objectContaining({ code: expect.stringMatching(/^ERR_ATSSS_/) }),
      )
    expect(session.rules).toBe(before)
  })
})

describe('explain', () => {
  test('rule, why, accesses, steering', () => {
    const session = sessionOf({
      rules: [
        forName(1, 'cell.example', CELL_ONLY),
        forName(2, '*.first.example', CELL_FIRST),
        forName(3, 'both.example', REDUNDANT),
      ],
      unenforceable: 'refuse',
    })
    expect(session.explain('cell.example', 443)).toMatchObject({
      rule: { precedence: 1 },
      why: expect.stringContaining('cell.example'),
      accesses: ['3gpp'],
      skipped: [],
    })
    expect(session.explain('a.first.example', 443)).toMatchObject({
      rule: { precedence: 2 },
      accesses: ['3gpp', 'non-3gpp'],
    })
    expect(session.explain('both.example', 443)).toMatchObject({
      rule: { precedence: 3 },
      accesses: [],
      steering: expect.stringContaining('redundant'),
    })
    expect(session.explain('other.example', 443)).toMatchObject({
      rule: undefined,
      accesses: [],
      skipped: [{}, {}, {}],
    })
  })

  test('where rules that cannot be had are done as well as can be', () => {
    const session = sessionOf({ rules: [forName(3, 'both.example', REDUNDANT)], unenforceable: 'degrade' })
    expect(session.explain('both.example', 443).accesses).toHaveLength(2)
  })

  test('the application names itself', () => {
    const rule: AtsssRule = {
      precedence: 1,
      trafficDescriptor: { applications: [{ osAppId: 'org.example.app' }] },
      steeringMode: CELL_ONLY,
    }
    expect(sessionOf({ rules: [rule] }).explain('a.example', 1).rule).toBeUndefined()
    const named = sessionOf({ rules: [rule], application: { osAppId: 'org.example.app' } })
    expect(named.explain('a.example', 1).rule).toMatchObject({ precedence: 1 })
  })
})

describe('assist', () => {
  const balanced = (ind?: 'UE_ASSISTANCE'): AtsssRule[] => [
    {
      precedence: 1,
      trafficDescriptor: { matchAll: true },
      steeringMode: { steerModeValue: 'LOAD_BALANCING', '3gLoad': 70, ...(ind ? { steerModeInd: ind } : {}) },
    },
  ]
  const wish = { percent3gpp: 10, why: 'the battery is low' }

  test('what the device wants holds where the rule lets it', () => {
    const steering = (session: MaPduSession) => session.explain('a.example', 443).steering
    const session = sessionOf({ rules: balanced('UE_ASSISTANCE') })
    expect(steering(session)).toBe('70 % over 3gpp, as the rule says')
    session.assist(wish)
    expect(steering(session)).toBe('10 % over 3gpp, as the device wants: the battery is low')
    session.update(balanced())
    expect(steering(session)).toBe('70 % over 3gpp, as the rule says')
    session.update(balanced('UE_ASSISTANCE'))
    session.assist(undefined)
    expect(steering(session)).toBe('70 % over 3gpp, as the rule says')
  })

  test.each<[string, unknown]>([
    ['a number', 10],
    ['nothing', null],
    ['101 %', { ...wish, percent3gpp: 101 }],
    ['half a percent', { ...wish, percent3gpp: 0.5 }],
    ['no reason', { percent3gpp: 10 }],
    ['a misspelled share', { ...wish, percent3gp: 5 }],
  ])('%s is refused', (_name, wrong) => {
    expect(() => sessionOf().assist(wrong as never)).toThrow(expect.objectContaining({ code: 'ERR_ATSSS_OPTION' }))
  })
})

requires('MPTCP', mptcp).describe('connections', () => {
  async function echo(): Promise<net.Server & { port: number }> {
    const server = net.createServer(socket => socket.on('error', () => {}).pipe(socket)).listen(0, '127.0.0.1')
    await once(server, 'listening')
    open.push(server)
    return Object.assign(server, { port: (server.address() as net.AddressInfo).port })
  }

  test("net.connect's call forms, and createConnection", async () => {
    const { port } = await echo()
    const session = sessionOf()
    let connected = 0
    const heard = () => connected++
    const sockets = [
      session.connect({ port, host: '127.0.0.1' }, heard),
      session.connect(port, '127.0.0.1', heard),
      session.createConnection({ port, host: '127.0.0.1' }, heard),
    ]
    await Promise.all(sockets.map(socket => once(socket, 'connect')))
    for (const socket of sockets) socket.destroy()
    expect(connected).toBe(3)
  })

  test('what net.connect does beyond the socket: its timeout, an aborted signal, the diagnostics channel', async () => {
    const { port } = await echo()
    const session = sessionOf()
    const told: unknown[] = []
    const hear = (message: unknown) => told.push((message as { socket: net.Socket }).socket)
    diagnostics.subscribe('net.client.socket', hear)
    const socket = session.connect({ port, host: '127.0.0.1', timeout: 12_345 })
    diagnostics.unsubscribe('net.client.socket', hear)
    expect(told.map(each => each === socket)).toEqual([true])
    expect(socket.timeout).toBe(12_345)
    socket.destroy()

    const connected = () => expect.unreachable('a socket that is ended is not brought back to life')
    const signal = AbortSignal.abort()
    const aborted = session.connect({ port, host: '127.0.0.1', signal } as net.TcpNetConnectOpts, connected)
    expect((await once(aborted, 'error'))[0]).toMatchObject({ code: 'ABORT_ERR' })
    expect(aborted.destroyed).toBe(true)
  })

  test('none over an access that is not there, without a standby', async () => {
    const { port } = await echo()
    const session = sessionOf({ rules: [{ ...forName(1, 'x', CELL_ONLY), trafficDescriptor: { matchAll: true } }] })
    const socket = session.connect(port, '127.0.0.1')
    const [error] = await once(socket, 'error')
    expect(error).toMatchObject({ code: 'ENODEV', message: expect.stringContaining('there is no such interface; ') })
  })

  test('over accesses that are both not there: one error that names them', async () => {
    const { port } = await echo()
    const accesses = { '3gpp': 'none0', 'non-3gpp': 'none1' }
    const [error] = await once(sessionOf({ accesses }).connect(port, '127.0.0.1'), 'error')
    expect(error).toMatchObject({ code: 'ENODEV' })
    for (const name of Object.values(accesses))
      expect(String(error.message)).toContain(`bind ENODEV ${name}: there is no such`)
  })

  test('refused by the rules', async () => {
    const { port } = await echo()
    const rules = [forName(3, 'both.example', REDUNDANT)]
    const session = sessionOf({ rules, unmatched: 'refuse', unenforceable: 'refuse' })
    const [error] = await once(session.connect(port, '127.0.0.1'), 'error')
    expect(error).toMatchObject({ code: 'ERR_ATSSS_NO_RULE' })
    const lookup = (_: string, __: object, done: (error: null, addresses: object[]) => void) =>
      done(null, [{ address: '127.0.0.1', family: 4 }])
    const redundant = session.connect({ port, host: 'both.example', lookup: lookup as never })
    const [steering] = await once(redundant, 'error')
    expect(steering).toMatchObject({ code: 'ERR_ATSSS_STEERING' })
  })

  test('of several addresses each is under its own rule', async () => {
    const { port } = await echo()
    const rule = (precedence: number, address: string, steeringMode: AtsssRule['steeringMode']): AtsssRule => ({
      precedence,
      trafficDescriptor: { remoteAddresses: [address] },
      steeringMode,
    })
    const lookup = (_: string, __: object, done: (error: null, addresses: object[]) => void) =>
      done(
        null,
        ['127.0.0.2', '127.0.0.1'].map(address => ({ address, family: 4 })),
      )
    const outcome = async (options: Partial<SessionOptions>) => {
      const socket = sessionOf(options).connect({ port, host: 'two.example', lookup: lookup as never })
      const connected = once(socket, 'connect').then(() => socket.remoteAddress)
      return connected.catch((error: NodeJS.ErrnoException) => error.code).finally(() => socket.destroy())
    }
    // Nobody listens on the first address, which any access may reach; the server's own is for one that is not there.
    const first = rule(1, '127.0.0.2', CELL_FIRST)
    expect(await outcome({ rules: [first, rule(2, '127.0.0.1', CELL_FIRST)] })).toBe('127.0.0.1')
    expect(await outcome({ rules: [first, rule(2, '127.0.0.1', CELL_ONLY)] })).not.toBe('127.0.0.1')
    // One that the rules refuse is left out; all of them refused is an error.
    expect(await outcome({ rules: [first], unmatched: 'refuse' })).toBe('ECONNREFUSED')
    const unenforceable = 'refuse'
    expect(await outcome({ rules: [rule(1, '127.0.0.2', REDUNDANT)], unenforceable })).toBe('127.0.0.1')
    expect(await outcome({ rules: [rule(1, '127.0.0.0/8', REDUNDANT)], unenforceable })).toBe('ERR_ATSSS_STEERING')
  })

  test('a rule of ATSSS-LL leaves its connections to the system: plain TCP, past the converter, and said so', async () => {
    const { port } = await echo()
    const bytes = `
      ${[port >>> 8, port & 0xff].map(octet => octet.toString(16).padStart(2, '0')).join(' ')}`
    const rules = container(`
      00 0d 01 01 01 00 03 50 00 01 03 02 02  # rule 1, precedence 1, remote port 1: MPTCP, smallest delay
      00 0e 02 01 ff 00 03 50 ${bytes}        # rule 2, precedence 255, remote port of the server:
      04 03 01 02                             # ATSSS-LL, active-standby, active 3GPP, standby non-3GPP
    `)
    // Nobody listens on this converter.
    const session = sessionOf({ rules, converters: '127.0.0.1:9' })
    const degraded: unknown[] = []
    session.on('degraded', ({ what }) => degraded.push(what))
    const why = expect.stringContaining("rule '2' leaves it to the system, as plain TCP")
    expect(session.explain('127.0.0.1', port)).toMatchObject({ rule: { id: '2' }, accesses: [], steering: why })
    const socket = session.connect(port, '127.0.0.1')
    socket.write('hello')
    expect(String((await once(socket, 'data'))[0])).toBe('hello')
    expect(socket.mptcp).toMatchObject({
      ...{ protocol: 'tcp', fallback: why, converter: undefined, converterError: undefined, interface: undefined },
    })
    const { connections, rules: counted, fallbacks } = session.stats()
    expect(connections).toMatchObject([{ rule: { id: '2' }, protocol: 'tcp' }])
    expect(counted).toMatchObject([
      { rule: { id: '1' }, connections: 0, unsteered: undefined },
      { rule: { id: '2' }, connections: 1, unsteered: why },
    ])
    expect(fallbacks).toBe(0)
    expect(degraded).not.toContain('fallback')
    socket.destroy()
  })

  test('of the addresses of one name, only those under a rule of ATSSS-LL are left to the system', async () => {
    const { port } = await echo()
    const lookup = (_: string, __: object, done: (error: null, addresses: object[]) => void) =>
      done(
        null,
        ['127.0.0.2', '127.0.0.1'].map(address => ({ address, family: 4 })),
      )
    const rule = (precedence: number, address: string, change: object): AtsssRule => ({
      precedence,
      trafficDescriptor: { remoteAddresses: [address] },
      steeringMode: CELL_FIRST,
      ...change,
    })
    const rules = [rule(1, '127.0.0.2', {}), rule(2, '127.0.0.1', { steeringFunctionality: 'ATSSS_LL' })]
    const session = sessionOf({ rules, converters: '127.0.0.1:9' })
    const socket = session.connect({ port, host: 'two.example', lookup: lookup as never })
    await once(socket, 'connect')
    expect([socket.remoteAddress, socket.mptcp.protocol]).toEqual(['127.0.0.1', 'tcp'])
    socket.destroy()
    const strict = sessionOf({ rules, mptcp: 'require' }).connect({ port, host: '127.0.0.1' })
    expect((await once(strict, 'error'))[0]).toMatchObject({ code: 'ERR_MPTCP_FALLBACK' })
  })

  test('not after close(), which ends no connection and may be called twice', async () => {
    const { port } = await echo()
    const session = sessionOf()
    const socket = session.connect(port, '127.0.0.1')
    await once(socket, 'connect')
    session.close()
    session.close()
    expect(() => session.connect(port, '127.0.0.1')).toThrow(expect.objectContaining({ code: 'ERR_ATSSS_CLOSED' }))
    socket.write('still here')
    expect(String((await once(socket, 'data'))[0])).toBe('still here')
    socket.destroy()
  })

  test('destroyed before the rules have been asked', async () => {
    const { port } = await echo()
    const session = sessionOf()
    const socket = session.connect(port, '127.0.0.1')
    socket.destroy()
    await once(socket, 'close')
    expect(session.stats().connections).toEqual([])
  })

  test('one that is TCP counts under the rule that matches it now, which says so, and goes on where it is', async () => {
    const { port } = await echo()
    const rule = (precedence: number, remotePorts: number[], steeringMode: AtsssRule['steeringMode']): AtsssRule => {
      return { precedence, trafficDescriptor: { remotePorts }, steeringMode }
    }
    const session = sessionOf({ rules: [rule(10, [port], CELL_FIRST)] })
    const socket = session.connect(port, '127.0.0.1')
    await once(socket, 'connect')
    const say = async (text: string) => {
      socket.write(text)
      expect(String((await once(socket, 'data'))[0])).toBe(text)
    }
    await say('hello')
    const [old] = session.rules
    const { moved } = session.update([rule(20, [port], CELL_ONLY)])
    expect(moved.map(({ from, to }) => [from, to])).toEqual([[old, session.rules[0]]])
    expect(moved[0]!.socket).toBe(socket)
    await say('still here')
    const { connections, rules } = session.stats()
    expect(connections).toMatchObject([
      { protocol: 'tcp', rule: { precedence: 20 }, subflows: [{ access: 'non-3gpp' }] },
    ])
    const counted = rules.map(one => [one.rule?.precedence, one.connections, one.carried['non-3gpp'].bytesSent])
    expect(counted).toEqual([
      [10, 0, 5],
      [20, 1, 10],
    ])
    expect(session.update([]).moved.map(({ to }) => to)).toEqual([undefined])
    expect(session.update([]).moved).toEqual([])
    expect(session.stats().connections).toMatchObject([{ rule: undefined }])
    socket.destroy()
  })

  // At last: the published copy of the library takes over what the addon tells, from this one.
  for (const [name, Session, controller] of [
    ['inline', MaPduSession, 'inline'],
    ['worker', PublishedSession, 'worker'],
  ] as const)
    test(`over the access that the rule wants, the controller ${name}`, async () => {
      const { port } = await echo()
      const session = new Session({ accesses: ACCESSES, controller })
      open.push(session)
      const socket = session.connect(port, '127.0.0.1')
      socket.end('hello')
      const [data] = await once(socket, 'data')
      expect(String(data)).toBe('hello')
      expect(socket.mptcp.interface).toBe('lo')
      await once(socket, 'close')
      await expect.poll(() => session.stats().connections).toEqual([])
    })
})

describe('what the network sends', () => {
  /** A rule for port 443, in the container's layout. */
  const withRule = container(added('05', '14'))
  const element = (contents: Uint8Array) => [0x77, contents.length >>> 8, contents.length & 0xff, ...contents]
  const accept = (...elements: number[]) =>
    new Uint8Array([...hex('2e 05 01 c2 31 00 09 01 00 06 31 31 01 01 ff 01 06 06 03 e8 06 03 e8'), ...elements])
  const command = (...elements: number[]) => new Uint8Array([0x2e, 5, 0, 0xcb, ...elements])
  const transport = (message: Uint8Array) => [0x7e, 0, 0x68, 1, message.length >>> 8, message.length & 0xff, ...message]

  test.each<[string, Uint8Array]>([
    ['an establishment accept', accept(...element(withRule))],
    ['a modification command', command(...element(withRule))],
    ['either in a downlink transport', new Uint8Array(transport(command(...element(withRule))))],
    ['integrity protected', new Uint8Array([0x7e, 1, 1, 2, 3, 4, 0, ...transport(command(...element(withRule)))])],
  ])('a NAS message is applied like the container in it: %s', (_, message) => {
    const session = sessionOf({ rules: [] })
    expect(session.update(message)).toMatchObject({ changes: [{ change: 'added', rule: { id: '5' } }], problems: [] })
    expect(sessionOf({ rules: message }).rules).toMatchObject([{ id: '5', precedence: 20 }])
  })

  test.each<[string, Uint8Array, string]>([
    ['ciphered', new Uint8Array([0x7e, 2, 1, 2, 3, 4, 0, 0x55, 0x66, 0x77]), 'ERR_NAS_CIPHERED'],
    ['cut off', command(0x77, 0, 9, 1), 'ERR_NAS_MALFORMED'],
    ['of another type', new Uint8Array([0x2e, 5, 0, 0xc1]), 'ERR_NAS_MALFORMED'],
    ['with a container that is none', command(...element(new Uint8Array([1, 255]))), 'ERR_ATSSS_MALFORMED'],
  ])('a NAS message that is %s changes nothing', (_, message, code) => {
    const session = sessionOf({ rules: withRule })
    const { rules } = session
    expect(() => session.update(message)).toThrow(expect.objectContaining({ code }))
    expect(session.rules).toBe(rules)
  })

  test.each<[string, Uint8Array, RegExp]>([
    ['no container', command(), /MODIFICATION COMMAND of PDU session 5 has no ATSSS container/],
    ['a container without rules', command(...element(new Uint8Array(0))), /MODIFICATION COMMAND .* has no ATSSS rules/],
    ['no rules in the container itself', new Uint8Array(0), /^The ATSSS container has no ATSSS rules/],
  ])('%s: the rules stay, and a problem says so', (_, bytes, message) => {
    const session = sessionOf({ rules: withRule })
    const heard: unknown[] = []
    session.on('problem', problem => heard.push(problem.message))
    expect(session.update(bytes)).toMatchObject({ changes: [], problems: [{ message }] })
    expect(heard).toEqual([expect.stringMatching(message)])
    expect(session.rules).toMatchObject([{ id: '5' }])
  })

  describe("the network's converters", () => {
    /** Network steering functionalities information, TS 24.193 §6.1.4; each proxy is an IPv4 address, a port and a type. */
    const steering = (...proxies: [address: string, port: number, type: number][]) => {
      const list = proxies.flatMap(([address, port, type]) => [
        1, // IPv4
        ...address.split('.').map(Number),
        port >>> 8,
        port & 0xff,
        type, // 1: Transport Converter
      ])
      const contents = [
        ...[1, 10, 45, 0, 2], // address of the UE over 3GPP: IPv4 10.45.0.2
        ...[1, 10, 46, 0, 2], // over non-3GPP: IPv4 10.46.0.2
        list.length,
        ...list,
      ]
      return new Uint8Array([2, 0, contents.length, ...contents])
    }
    const tried = (socket: net.Socket) => once(socket, 'error').then(([{ address, port }]) => `${address}:${port}`)

    test('only Transport Converters with a port, beside those that are given; followed when they move', async () => {
      const first = steering(['127.0.0.1', 9, 1], ['127.0.0.2', 9, 7], ['127.0.0.3', 0, 1])
      const session = sessionOf({ converters: 'network', rules: command(...element(first)) })
      const problems: string[] = []
      session.on('problem', ({ message }) => problems.push(message))
      expect(session.network).toEqual({
        converters: [{ host: '127.0.0.1', port: 9 }],
        addresses: { '3gpp': { ipv4: '10.45.0.2' }, 'non-3gpp': { ipv4: '10.46.0.2' } },
      })
      expect(await tried(session.connect(1, '198.51.100.1'))).toBe('127.0.0.1:9')
      expect(problems).toEqual([
        'the MPTCP proxy 127.0.0.2 is not used: its type, 7, is not that of a Transport Converter',
        'the MPTCP proxy 127.0.0.3 is not used: it has no port',
      ])
      const { network, rules } = session.update(command(...element(steering(['127.0.0.5', 9, 1]))))
      expect([network!.converters, rules]).toEqual([[{ host: '127.0.0.5', port: 9 }], session.rules])
      expect(await tried(session.connect(1, '198.51.100.1'))).toBe('127.0.0.5:9')
      expect(await tried(session.createSocket().connect(1, '198.51.100.1'))).toBe('127.0.0.5:9')
      expect(session.socketSettings.converters.map(({ name }) => name)).toEqual(['127.0.0.5:9'])
      // JSON says nothing of converters.
      session.update('handover')
      expect(session.socketSettings.converters.map(({ name }) => name)).toEqual(['127.0.0.5:9'])
      expect(problems).toHaveLength(2)
    })

    test('beside given ones, in the order of the list', () => {
      const converters = ['192.0.2.9:1', 'network', '192.0.2.10:1'] as const
      const session = sessionOf({ converters, rules: steering(['192.0.2.1', 5124, 1]) })
      const names = () => session.socketSettings.converters.map(({ name }) => name)
      expect(names()).toEqual(['192.0.2.9:1', '192.0.2.1:5124', '192.0.2.10:1'])
      session.update(steering())
      expect(names()).toEqual(['192.0.2.9:1', 'network', '192.0.2.10:1'])
    })

    test('none named yet: an error that says so, or directly where that is allowed', async () => {
      const { port } = await new Promise<net.AddressInfo>(resolve => {
        const server = net
          .createServer(socket => socket.end())
          .listen(0, '127.0.0.1', () => {
            open.push(server)
            resolve(server.address() as net.AddressInfo)
          })
      })
      const [error] = await once(sessionOf({ converters: 'network' }).connect(port, '127.0.0.1'), 'error')
      expect(error).toMatchObject({
        code: 'ERR_CONVERT_NOT_FOUND',
        message: expect.stringContaining('the network has not named one'),
      })
      const socket = sessionOf({ converters: 'network', fallback: 'direct' }).connect(port, '127.0.0.1')
      await once(socket, 'connect')
      socket.destroy()
    })

    test('outside of a session there is no such converter', () => {
      expect(() => connect({ port: 1, converters: 'network' })).toThrow(
        expect.objectContaining({ code: 'ERR_ATSSS_OPTION' }),
      )
    })
  })

  test('the layout can be given, and a guess is a problem', () => {
    // 02: delete, read as g00 too: `00 04` length, `02 02`, or precedence 2 and so on. See test/wire/atsss/rules.test.ts.
    const session = sessionOf({ rules: [], container: { layout: 'rule-id', ruleLength: 'inclusive' } })
    const deletion = container('00 04 07 02') // length 4 with itself, rule identifier 7, delete
    expect(session.update(deletion).problems).toMatchObject([{ message: expect.stringContaining('is not there') }])
    const other = session.update(deletion, { layout: 'g00' })
    expect(other.problems.map(({ message }) => message).join()).not.toContain('is not there')
    expect(() => session.update(deletion, { layout: 'g01' as never })).toThrow(
      expect.objectContaining({ code: 'ERR_ATSSS_OPTION', message: expect.stringContaining('container.layout') }),
    )
  })
})
