import { describe, expect, test } from 'vitest'
import { type MptcpOptions, resolveOptions } from '../../lib/input/options.js'

/** What is thrown for these options; fails when nothing is. */
function refusal(options: object): { code: string; message: string } {
  try {
    resolveOptions(options as MptcpOptions)
  } catch (error) {
    return { code: (error as { code: string }).code, message: (error as Error).message }
  }
  throw new Error(`nothing was thrown for ${Object.keys(options)}`)
}

const resolved = (options: object) => resolveOptions(options as MptcpOptions)

test('the defaults', () => {
  expect(resolveOptions({})).toEqual({
    converters: [],
    interface: undefined,
    mptcp: 'prefer',
    earlyData: false,
    fallback: 'fail',
    bypass: 'never',
    connectTimeout: 130_000,
    converterTimeout: 15_000,
    synTimeout: 900,
    synRetriesConverter: 3,
    synRetriesDirect: 6,
    attemptDelay: 250,
    info: false,
    tcpOptions: [],
    cookies: undefined,
    allowLoopback: false,
  })
})

test('undefined is the default, for every option', () => {
  const names = ['converters', 'interface', 'mptcp', 'convert', 'pipelining', 'earlyData', 'fallback', 'bypass', 'info']
  names.push('connectTimeout', 'converterTimeout', 'synTimeout', 'synRetries', 'attemptDelay', 'tcpOptions', 'cookies')
  names.push('allowLoopback', 'congestion', 'notsentLowWater')
  expect(resolved(Object.fromEntries(names.map(name => [name, undefined])))).toEqual(resolveOptions({}))
})

const alternatives = (words: readonly string[]) =>
  `${words
    .slice(0, -1)
    .map(word => `'${word}'`)
    .join(', ')} or '${words.at(-1)}'`

describe('words', () => {
  test.each([
    ['mptcp', 'mptcp', ['prefer', 'require', 'off']],
    ['fallback', 'fallback', ['fail', 'direct']],
  ] as const)('%s', (name, field, words) => {
    for (const word of words) expect(resolved({ [name]: word })[field]).toBe(word)
    for (const wrong of ['', 'Off', 'none', true, 1, null, {}, ['prefer']]) {
      const { code, message } = refusal({ [name]: wrong })
      expect(code).toBe('ERR_ATSSS_OPTION')
      expect(message).toContain(`Option "${name}" must be ${alternatives(words)}; it is `)
    }
  })

  test('convert, which each converter has', () => {
    const form = (options: object) => resolved({ converters: 'c:1', ...options }).converters[0]?.convert
    expect(form({})).toBe('auto')
    for (const word of ['auto', '0rtt', '1rtt']) expect(form({ convert: word })).toBe(word)
    expect(refusal({ convert: '0-rtt' }).message).toContain(
      `Option "convert" must be 'auto', '0rtt' or '1rtt'; it is '0-rtt'; did you mean '0rtt'?`,
    )
  })
})

describe('flags', () => {
  test.each(['earlyData', 'info', 'allowLoopback'] as const)('%s', name => {
    for (const value of [true, false]) expect(resolved({ [name]: value })[name]).toBe(value)
    for (const wrong of [1, 0, 'true', null, {}])
      expect(refusal({ [name]: wrong })).toMatchObject({
        code: 'ERR_ATSSS_OPTION',
        message: expect.stringContaining(`Option "${name}" must be true or false; it is `),
      })
  })

  test('pipelining, which each converter has', () => {
    expect(resolved({ converters: 'c:1' }).converters[0]?.pipelining).toBe(true)
    expect(resolved({ converters: 'c:1', pipelining: false }).converters[0]?.pipelining).toBe(false)
    expect(refusal({ pipelining: 'no' }).message).toContain('"pipelining" must be true or false')
  })
})

describe('numbers', () => {
  test.each([
    ['connectTimeout', 'connectTimeout', 0, 2_147_483_647],
    ['converterTimeout', 'converterTimeout', 0, 2_147_483_647],
    ['synTimeout', 'synTimeout', 100, 1_900],
    ['synRetries', 'synRetriesConverter', 0, 10],
    ['synRetries', 'synRetriesDirect', 0, 10],
    ['attemptDelay', 'attemptDelay', 10, 60_000],
  ] as const)('%s, as %s', (name, field, least, most) => {
    for (const value of [least, least + 1, most]) expect(resolved({ [name]: value })[field]).toBe(value)
    for (const wrong of [least - 1, most + 1, least + 0.5, Number.NaN, Infinity, `${least}`, null, true, 5n, {}])
      expect(refusal({ [name]: wrong })).toMatchObject({
        code: 'ERR_ATSSS_OPTION',
        message: expect.stringContaining(`Option "${name}" must be an integer in ${least}…${most}; it is `),
      })
  })
})

describe('interface', () => {
  test.each(['lo', 'wlan0', 'enp0s31f6.100', 'fifteen-letters'])('%s', name => {
    expect(resolved({ interface: name }).interface).toBe(name)
  })
  test.each(['', 'sixteen-letters-', 'with space', 'with/slash', 'ü'.repeat(8), 5, null])('not %s', name => {
    expect(refusal({ interface: name })).toMatchObject({
      code: 'ERR_ATSSS_OPTION',
      message: expect.stringContaining('"interface"'),
    })
  })
})

describe('TCP options', () => {
  const empty = new Uint8Array(0)
  test('kinds with and without values', () => {
    const given = [{ kind: 2, value: Uint8Array.of(5, 180) }, { kind: 30 }, { kind: 255, value: empty }]
    expect(resolved({ tcpOptions: given }).tcpOptions).toEqual([given[0], { kind: 30, value: empty }, given[2]])
  })
  test.each([
    ['no list', { kind: 30 }, '"tcpOptions" must be an array'],
    ['no kind', [{}], '"tcpOptions[0].kind" must be an integer in 2…255'],
    ['nothing', [null], '"tcpOptions[0].kind"'],
    ['end of list', [{ kind: 0 }], '"tcpOptions[0].kind"'],
    ['no operation', [{ kind: 30 }, { kind: 1 }], '"tcpOptions[1].kind"'],
    ['beyond an octet', [{ kind: 256 }], '"tcpOptions[0].kind"'],
    ['no bytes', [{ kind: 30, value: 'x' }], '"tcpOptions[0].value" must be a Uint8Array'],
  ])('not: %s', (_, tcpOptions, expected) => {
    expect(refusal({ tcpOptions })).toMatchObject({
      code: 'ERR_ATSSS_OPTION',
      message: expect.stringContaining(expected),
    })
  })
})

describe('a store for cookies', () => {
  test('a Map will do', () => {
    const store = new Map<string, Uint8Array>()
    expect(resolved({ cookies: store }).cookies).toBe(store)
  })
  test.each([null, true, {}, { get() {}, set() {} }, new Set(), Object.create(null)])('not %o', cookies => {
    expect(refusal({ cookies })).toMatchObject({
      code: 'ERR_ATSSS_OPTION',
      message: expect.stringContaining('Option "cookies" must be a store with get, set and delete'),
    })
  })
})

describe('names that are ours but for a slip', () => {
  test.each([
    ['convertor', 'converters'],
    ['converter', 'converters'],
    ['Converters', 'converters'],
    ['convertors', 'converters'],
    ['conveters', 'converters'],
    ['convertesr', 'converters'],
    ['earlydata', 'earlyData'],
    ['EarlyData', 'earlyData'],
    ['piplining', 'pipelining'],
    ['pipelinning', 'pipelining'],
    ['Mptcp', 'mptcp'],
    ['MPTCP', 'mptcp'],
    ['mpctp', 'mptcp'],
    ['mptc', 'mptcp'],
    ['interfaces', 'interface'],
    ['fallBack', 'fallback'],
    ['connectTimout', 'connectTimeout'],
    ['synTimeOut', 'synTimeout'],
    ['synRetrie', 'synRetries'],
    ['tcpoptions', 'tcpOptions'],
    ['allowLoopBack', 'allowLoopback'],
    ['Info', 'info'],
  ])('%s', (name, meant) => {
    const message = `Misspelled option "${name}" should be "${meant}"`
    expect(refusal({ [name]: 1 })).toEqual({ code: 'ERR_ATSSS_OPTION', message })
  })

  test('options of Node and of well-known libraries are none of these', () => {
    const others = `port host path family hints lookup localAddress localPort noDelay keepAlive keepAliveInitialDelay
      autoSelectFamily autoSelectFamilyAttemptTimeout timeout signal onread allowHalfOpen readable writable fd
      blockList highWaterMark typeOfService pauseOnConnect objectMode emitClose autoDestroy decodeStrings
      hostname protocol method headers agent auth createConnection defaultPort setHost socketPath insecureHTTPParser
      maxHeaderSize uniqueHeaders joinDuplicateHeaders keepAliveMsecs maxSockets maxFreeSockets scheduling _agentKey
      servername ca cert key pfx passphrase rejectUnauthorized ALPNProtocols checkServerIdentity ciphers session
      secureContext secureProtocol minVersion maxVersion socket minDHSize enableTrace requestOCSP ecdhCurve sigalgs
      pskCallback SNICallback crl dhparam honorCipherOrder ticketKeys sessionTimeout sessionIdContext secureOptions
      origin pathname search hash href query nodelay cookie connect connectTimeoutMS followRedirect proxy
      clientId username password clean reconnectPeriod connections pipeline context`
    for (const name of others.split(/\s+/)) expect(() => resolved({ [name]: 1 }), name).not.toThrow()
  })
})

test('options of the socket that Node does not have', () => {
  expect(resolved({ congestion: 'bbr', notsentLowWater: 131_072 }).tuning).toEqual({
    congestion: 'bbr',
    notsentLowWater: 131_072,
  })
  expect(resolved({ notsentLowWater: 4_096 }).tuning).toEqual({ notsentLowWater: 4_096 })
  expect(resolved({}).tuning).toBeUndefined()
  for (const congestion of ['', 'BBR', 'a name', 'sixteen-letters-', 5])
    expect(refusal({ congestion })).toMatchObject({ code: 'ERR_ATSSS_OPTION' })
  for (const notsentLowWater of [0, 4_095, 2 ** 30 + 1, '1'])
    expect(refusal({ notsentLowWater }).message).toContain('"notsentLowWater"')
  expect(refusal({ congestionControl: 'bbr', congestions: 'bbr' }).message).toContain('"congestion"')
})
