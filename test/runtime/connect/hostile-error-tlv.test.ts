/** Every Error TLV, and what is remembered of it: cookies, delays, versions. RFC 8803 §6.2.7, §6.2.8. */
import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import type { MptcpConnectOptions } from '../../../lib/index.js'
import { native } from '../../../lib/runtime/kernel/native.js'
import {
  answer,
  behind,
  byte,
  echo,
  end,
  errorTlv,
  type HostileConverter,
  hostileConverter,
  message,
  type Step,
  SUCCESS,
  send,
} from '../../support/hostile-converter.js'
import { outcomeOf } from '../../support/outcome.js'
import { mptcp } from '../../support/probes.js'
import { requires } from '../../support/requires.js'

const mptcpTest = requires('MPTCP', mptcp)
const SERVER = { host: '203.0.113.7', port: 443 }
const ACCEPT: Step[] = [message, send(SUCCESS), echo]
const COOKIE = '0011223344556677'
const OTHER_COOKIE = '8899aabbccddeeff'

/** Type 22, length, two zeros, the cookie (§6.2.7). */
const cookieTlv = (cookie: string) => `16${byte(1 + cookie.length / 8)}0000${cookie}`
const askingFor = (cookie: string): Step[] => [message, send(answer(errorTlv(3, `00 ${cookie}`)))]
const refusing = (code: number, value?: string): Step[] => [message, send(answer(errorTlv(code, value)))]

let converter: HostileConverter
/** What is remembered goes with it: the port of one may be a later one's. */
let cookies = new Map<string, Uint8Array>()

async function converterOf(...scripts: Step[][]): Promise<void> {
  cookies = new Map()
  converter = await hostileConverter(scripts)
}

function dial(options: Partial<MptcpConnectOptions> = {}, early?: string) {
  const all = { ...SERVER, converters: converter.name, convert: '1rtt', converterTimeout: 3000, cookies, ...options }
  return outcomeOf(all as MptcpConnectOptions, early)
}

/** A server that says hello, and what it has been told. */
async function directServer(): Promise<{ port: number; accepted: () => number } & AsyncDisposable> {
  let accepted = 0
  const server = net.createServer(socket => {
    accepted++
    socket.end('direct')
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as net.AddressInfo).port,
    accepted: () => accepted,
    [Symbol.asyncDispose]: async () => void (await new Promise(resolve => server.close(resolve))),
  }
}

mptcpTest.describe('Error TLVs', () => {
  afterEach(async () => {
    await converter.close()
    await expect.poll(() => native().counts()).toEqual({ descriptors: 0, waits: 0 })
  })

  const codes: [number, string, object][] = [
    [0, '02 03', { code: 'ERR_CONVERT_UNSUPPORTED_VERSION', detail: { versions: [2, 3] } }],
    [0, '', { code: 'ERR_CONVERT_UNSUPPORTED_VERSION', detail: { versions: [] } }],
    [1, '00 01 01 22 63', { code: 'ERR_CONVERT_MALFORMED_MESSAGE' }],
    [1, '', { code: 'ERR_CONVERT_MALFORMED_MESSAGE' }],
    [2, '00 01 01 22 63', { code: 'ERR_CONVERT_UNSUPPORTED_MESSAGE' }],
    [3, '', { code: 'ERR_CONVERT_MISSING_COOKIE' }],
    [32, '', { code: 'ERR_CONVERT_NOT_AUTHORIZED', detail: { name: 'not-authorized' } }],
    [33, '1e', { code: 'ERR_CONVERT_UNSUPPORTED_TCP_OPTION', detail: { kinds: [30] } }],
    [64, '05', { code: 'ERR_CONVERT_RESOURCE_EXCEEDED', retryAfter: 5000 }],
    [64, '', { code: 'ERR_CONVERT_RESOURCE_EXCEEDED', retryAfter: 30_000 }],
    [65, 'ff', { code: 'ERR_CONVERT_NETWORK_FAILURE', retryAfter: 255_000 }],
    [96, '', { code: 'ECONNREFUSED', errno: -111, syscall: 'connect', address: SERVER.host, port: SERVER.port }],
    [
      97,
      '00',
      {
        ...{ code: 'ENETUNREACH', syscall: 'connect', address: SERVER.host, port: SERVER.port },
        cause: { code: 'ERR_CONVERT_DESTINATION_UNREACHABLE', detail: { icmpCode: 0 } },
      },
    ],
    [97, '01', { code: 'EHOSTUNREACH', message: 'connect EHOSTUNREACH 203.0.113.7:443' }],
    [97, '03', { code: 'ECONNREFUSED' }],
    [97, 'fe', { code: 'EHOSTUNREACH' }],
    ...[4, 31, 34, 63, 66, 95, 98, 127, 128, 191, 192, 255].map((code): [number, string, object] => [
      code,
      'a1 b2',
      { code: 'ERR_CONVERT_UNKNOWN', detail: { name: 'unknown', code } },
    ]),
  ]
  for (const [code, value, expected] of codes)
    test(`${code} ${value}: its own error, and the converter is reset`, async () => {
      await converterOf(refusing(code, value))
      const { error, bytes } = await dial()
      expect(error).toMatchObject(expected)
      expect(bytes).toHaveLength(0)
      expect(await converter.ended(0)).toBe('reset')
      expect(converter.heard).toHaveLength(1)
    })

  test('96 has no other shape than net.connect gives to a refused connection', async () => {
    await converterOf(refusing(96))
    const { error } = await dial()
    const unused = net.createServer().listen(0, '127.0.0.1')
    await new Promise(resolve => unused.once('listening', resolve))
    const { port } = unused.address() as net.AddressInfo
    await new Promise(resolve => unused.close(resolve))
    const plain = await new Promise<object>(resolve => net.connect(port, '127.0.0.1').once('error', resolve))
    expect(Object.keys(error!).filter(name => name !== 'cause')).toEqual(Object.keys(plain))
    expect(error!.cause).toMatchObject({ code: 'ERR_CONVERT_CONNECTION_RESET', converter: converter.name })
  })

  const places: [string, Step[]][] = [
    ['behind another TLV', [send(answer('63 01 00 00', errorTlv(32)))]],
    ['before another TLV', [send(answer(errorTlv(32), '63 01 00 00'))]],
    ['with bytes behind the message', [send(`${answer(errorTlv(32))} 68 65 6c 6c 6f`)]],
    ['with FIN', [send(answer(errorTlv(32))), end]],
    ['with FIN in the same turn, and bytes', [send(`${answer(errorTlv(32))} 68 65 6c 6c 6f`), end]],
    ['as long as can be', [send(answer(errorTlv(32, '00'.repeat(1013))))]],
  ]
  for (const [title, steps] of places)
    test(`${title}: an error, and no byte for the application`, async () => {
      await converterOf([message, ...steps])
      const { error, bytes } = await dial()
      expect(error).toMatchObject({ code: 'ERR_CONVERT_NOT_AUTHORIZED' })
      expect(bytes).toHaveLength(0)
      expect(await converter.ended(0)).toMatch(/reset|fin/)
    })

  describe('cookies', () => {
    test('learned, sent once more, and sent from then on', async () => {
      await converterOf(askingFor(COOKIE), ACCEPT)
      const cookies = new Map<string, Uint8Array>()
      const first = await dial({ cookies })
      expect(first.error).toBeUndefined()
      expect(first.socket.mptcp.attempts).toBe(2)
      expect(await converter.ended(0)).toBe('reset')
      expect(converter.heard[0]!.bytes.toString('hex')).not.toContain(COOKIE)
      expect(converter.heard[1]!.bytes.toString('hex').slice(48)).toBe(cookieTlv(COOKIE))
      expect([...cookies.values()].map(cookie => Buffer.from(cookie).toString('hex'))).toEqual([COOKIE])

      const second = await dial({ cookies })
      expect(second.socket.mptcp.attempts).toBe(1)
      expect(converter.heard[2]!.bytes.toString('hex').slice(48)).toBe(cookieTlv(COOKIE))
      for (const { socket } of [first, second]) socket.destroy()
    })

    test('in a Cookie TLV of its own, as §6.2.7 can be read', async () => {
      await converterOf([message, send(answer(errorTlv(3), cookieTlv(COOKIE)))], ACCEPT)
      const { socket, error } = await dial()
      expect(error).toBeUndefined()
      expect(converter.heard[1]!.bytes.toString('hex').slice(48)).toBe(cookieTlv(COOKIE))
      socket.destroy()
    })

    test('what had left already goes with the second try, and arrives once', async () => {
      await converterOf([message, behind(4), send(answer(errorTlv(3, `00 ${COOKIE}`)))], ACCEPT)
      const { socket, error } = await dial({}, 'ping')
      expect(error).toBeUndefined()
      socket.write('pong')
      await expect.poll(() => converter.heard[1]!.bytes.subarray(36).toString()).toBe('pingpong')
      socket.destroy()
    })

    test('a converter that asks for ever is asked twice', async () => {
      await converterOf(askingFor(COOKIE), askingFor(OTHER_COOKIE))
      const { error } = await dial()
      expect(error).toMatchObject({ code: 'ERR_CONVERT_MISSING_COOKIE' })
      expect(converter.heard).toHaveLength(2)
      await sleep(50)
      expect(converter.heard).toHaveLength(2)
    })

    test('one that has expired is given up, and a new one learned', async () => {
      await converterOf(refusing(32), askingFor(OTHER_COOKIE), ACCEPT)
      const [host, port] = converter.name.split(':')
      const cookies = new Map<string, Uint8Array>()
      const configured = { host: host!, port: Number(port), cookie: Buffer.from(COOKIE, 'hex') }
      const { socket, error } = await dial({ converters: configured, cookies })
      expect(error).toBeUndefined()
      const sent = converter.heard.map(({ bytes }) => bytes.toString('hex').slice(48))
      expect(sent).toEqual([cookieTlv(COOKIE), '', cookieTlv(OTHER_COOKIE)])
      socket.destroy()
    })

    test('a converter that neither takes a cookie nor does without is left after three', async () => {
      await converterOf(askingFor(COOKIE), refusing(32), askingFor(OTHER_COOKIE), refusing(32))
      const { error } = await dial()
      expect(error).toMatchObject({ code: 'ERR_CONVERT_MISSING_COOKIE' })
      expect(converter.heard).toHaveLength(3)
    })

    test('one too long to be sent is not learned', async () => {
      await converterOf([message, send(answer(errorTlv(3, `00 ${'ab'.repeat(1012)}`)))], ACCEPT)
      const cookies = new Map<string, Uint8Array>()
      const { error } = await dial({ cookies })
      expect(error).toMatchObject({ code: 'ERR_CONVERT_MISSING_COOKIE' })
      expect(cookies.size).toBe(0)
      const second = await dial({ cookies })
      expect(second.error).toBeUndefined()
      second.socket.destroy()
    })
  })

  describe('delays', () => {
    for (const code of [64, 65])
      for (const cookies of [undefined, new Map<string, Uint8Array>()])
        test(`${code}: the next connection is refused at once, without a word to the converter${cookies ? ', with a store of cookies too' : ''}`, async () => {
          await converterOf(refusing(code, '09'))
          const options = cookies ? { cookies } : {}
          const first = await dial(options)
          const second = await dial(options)
          expect(second.error).toMatchObject({
            code: first.error!.code,
            name: 'ConvertError',
            converter: converter.name,
          })
          expect(second.error!.retryAfter).toBeGreaterThan(8000)
          expect(second.error!.retryAfter).toBeLessThanOrEqual(9000)
          expect(second.error!.message).toMatch(/asked not to be used for another 9 s/)
          await sleep(50)
          expect(converter.heard).toHaveLength(1)
        })

    test('is over when it is over', async () => {
      await converterOf(refusing(64, '01'), ACCEPT)
      await dial()
      expect((await dial()).error).toMatchObject({ code: 'ERR_CONVERT_RESOURCE_EXCEEDED' })
      await sleep(1050)
      const { socket, error } = await dial()
      expect(error).toBeUndefined()
      expect(converter.heard).toHaveLength(2)
      socket.destroy()
    })

    test('of centuries is taken for an hour', async () => {
      await converterOf(refusing(64, 'ff ff ff ff ff'))
      await dial()
      expect((await dial()).error!.retryAfter).toBeLessThanOrEqual(3_600_000)
    })

    test('the next converter is taken at once', async () => {
      await using second = await hostileConverter([ACCEPT])
      await converterOf(refusing(64, '09'))
      for (const attempts of [2, 1]) {
        const { socket, error } = await dial({ converters: [converter.name, second.name] })
        expect(error).toBeUndefined()
        expect(socket.mptcp).toMatchObject({ converter: { name: second.name }, attempts })
        socket.destroy()
      }
      expect(converter.heard).toHaveLength(1)
    })

    test('of every converter: an AggregateError that names them all', async () => {
      await using second = await hostileConverter([refusing(65, '09')])
      await converterOf(refusing(64, '09'))
      const { error } = await dial({ converters: [converter.name, second.name] })
      expect(error).toMatchObject({ name: 'AggregateError', code: 'ERR_CONVERT_RESOURCE_EXCEEDED' })
      expect(error!.errors).toHaveLength(2)
      for (const { name } of [converter, second]) expect(error!.message).toContain(name)
    })
  })

  test('versions: none in common, so the converter is not asked again', async () => {
    await converterOf(refusing(0, '02'))
    expect((await dial()).error).toMatchObject({ code: 'ERR_CONVERT_UNSUPPORTED_VERSION' })
    expect((await dial()).error).toMatchObject({ code: 'ERR_CONVERT_UNSUPPORTED_VERSION' })
    expect(converter.heard).toHaveLength(1)
  })

  describe('TLVs that the converter does not take', () => {
    test('Info is left out, then and later', async () => {
      await converterOf(refusing(2), ACCEPT)
      const first = await dial({ info: true })
      const second = await dial({ info: true })
      expect([first.error, second.error]).toEqual([undefined, undefined])
      const sent = converter.heard.map(({ bytes }) => bytes.subarray(0, 6).toString('hex'))
      expect(sent).toEqual(['010722630101', '010622630a05', '010622630a05'])
      for (const { socket } of [first, second]) socket.destroy()
    })

    test('TCP options it names are left out, once', async () => {
      await converterOf(refusing(33, '08'), ACCEPT)
      const tcpOptions = [8, 30].map(kind => ({ kind, value: new Uint8Array(0) }))
      const { socket, error } = await dial({ tcpOptions })
      expect(error).toBeUndefined()
      const sent = converter.heard.map(({ bytes }) => bytes.subarray(24).toString('hex'))
      expect(sent).toEqual(['08021e02', '1e020000'])
      socket.destroy()
    })

    test('options it was not asked for: no second try', async () => {
      await converterOf(refusing(33, '22'))
      const { error } = await dial({ tcpOptions: [{ kind: 8, value: new Uint8Array(0) }] })
      expect(error).toMatchObject({ code: 'ERR_CONVERT_UNSUPPORTED_TCP_OPTION' })
      expect(converter.heard).toHaveLength(1)
    })

    test('one that never has enough is asked twice', async () => {
      await converterOf(refusing(33, '08'), refusing(33, '1e'))
      const tcpOptions = [8, 30].map(kind => ({ kind, value: new Uint8Array(0) }))
      expect((await dial({ tcpOptions })).error).toMatchObject({ code: 'ERR_CONVERT_UNSUPPORTED_TCP_OPTION' })
      expect(converter.heard).toHaveLength(2)
    })
  })

  describe("with fallback: 'direct'", () => {
    for (const [code, reason] of [
      [0, 'ERR_CONVERT_UNSUPPORTED_VERSION'],
      [1, 'ERR_CONVERT_MALFORMED_MESSAGE'],
      [32, 'ERR_CONVERT_NOT_AUTHORIZED'],
      [64, 'ERR_CONVERT_RESOURCE_EXCEEDED'],
      [65, 'ERR_CONVERT_NETWORK_FAILURE'],
      [200, 'ERR_CONVERT_UNKNOWN'],
    ] as const)
      test(`${code}: direct, and it says why`, async () => {
        await using server = await directServer()
        await converterOf(refusing(code))
        const { port } = server
        const { socket, error, all } = await dial({ host: '127.0.0.1', port, allowLoopback: true, fallback: 'direct' })
        expect(error).toBeUndefined()
        expect(socket.mptcp.converter).toBeUndefined()
        expect(socket.mptcp.converterError).toMatchObject({ code: reason })
        expect((await all).toString()).toBe('direct')
      })

    for (const [code, value, expected] of [
      [96, '', 'ECONNREFUSED'],
      [97, '01', 'EHOSTUNREACH'],
      [127, '', 'ERR_CONVERT_UNKNOWN'],
    ] as const)
      test(`${code} is the server's word: no fallback`, async () => {
        await using server = await directServer()
        await converterOf(refusing(code, value))
        const { port } = server
        const { error } = await dial({ host: '127.0.0.1', port, allowLoopback: true, fallback: 'direct' })
        expect(error).toMatchObject({ code: expected })
        expect(server.accepted()).toBe(0)
      })

    test('bytes that had left go to the server itself once a converter has refused them', async () => {
      const got: string[] = []
      const server = net.createServer(socket => socket.on('data', chunk => got.push(chunk.toString())))
      await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
      const { port } = server.address() as net.AddressInfo
      await converterOf([message, behind(4), send(answer(errorTlv(32)))])
      const options = { host: '127.0.0.1', port, allowLoopback: true, fallback: 'direct' } as const
      const { socket, error } = await dial(options, 'ping')
      expect(error).toBeUndefined()
      await expect.poll(() => got.join('')).toBe('ping')
      socket.destroy()
      await new Promise(resolve => server.close(resolve))
    })
  })

  test("the server's other address is tried when one refuses", async () => {
    await converterOf(refusing(96), ACCEPT)
    const lookup: net.LookupFunction = (_host, _options, done) =>
      done(null, [
        { address: '203.0.113.7', family: 4 },
        { address: '203.0.113.8', family: 4 },
      ])
    const { socket, error } = await dial({ host: 'server.example', lookup })
    expect(error).toBeUndefined()
    expect(socket.remoteAddress).toBe('203.0.113.8')
    expect(converter.heard[1]!.bytes.subarray(20, 24).toString('hex')).toBe('cb007108')
    socket.destroy()
  })

  test('every address refused: an AggregateError, as of net.connect', async () => {
    await converterOf(refusing(96), refusing(97, '01'))
    const lookup: net.LookupFunction = (_host, _options, done) =>
      done(null, [
        { address: '203.0.113.7', family: 4 },
        { address: '2001:db8::7', family: 6 },
      ])
    const { error } = await dial({ host: 'server.example', lookup })
    expect(error).toMatchObject({ name: 'AggregateError', code: 'ECONNREFUSED' })
    expect((error!.errors as { address: string }[]).map(({ address }) => address)).toEqual([
      '203.0.113.7',
      '2001:db8::7',
    ])
  })
})
