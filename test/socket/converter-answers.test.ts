import { once } from 'node:events'
import { describe, expect, test } from 'vitest'
import { connect } from '../../lib/socket/connect.js'
import { echoServer } from '../support/echo-server.js'
import { refusingPort } from '../support/native-addon.js'
import { leavesNothingOpen } from '../support/open-things.js'
import { outcomeOf } from '../support/outcome.js'
import { mptcp } from '../support/probes.js'
import { referenceConverter, through } from '../support/reference-converter.js'
import { requires } from '../support/requires.js'
import { errorOf, ours } from '../support/same-as-net.js'

const mptcpTest = requires('MPTCP', mptcp)

leavesNothingOpen()

mptcpTest.describe('what a converter refuses, as the user sees it', () => {
  test('a server that refuses: the error of net.connect, with the converter as its cause', async () => {
    await using converter = await referenceConverter()
    const port = await refusingPort()
    const { error } = await outcomeOf({ host: '127.0.0.1', port, ...through(converter) })
    const direct = (await errorOf(ours({ host: '127.0.0.1', port }))) as object
    const { cause, ...rest } = error as unknown as { cause: Error }
    expect({ ...rest, name: error?.name, message: error?.message }).toEqual(direct)
    expect(cause).toMatchObject({ name: 'ConvertError', detail: { name: 'connection-reset' } })
    expect(cause.message).toContain(converter.name)
  })

  test('a server that cannot be reached', async () => {
    await using converter = await referenceConverter()
    // A link-local address without its link can be reached from nowhere.
    const { error } = await outcomeOf({ host: 'fe80::1', port: 9, ...through(converter) })
    expect(error).toMatchObject({ syscall: 'connect', address: 'fe80::1', port: 9 })
    expect(error?.cause).toMatchObject({ detail: { name: 'destination-unreachable' } })
  })

  test('a server of several that refuses: the next one', async () => {
    await using echo = await echoServer()
    await using converter = await referenceConverter()
    const lookup = ((_: string, __: object, done: (...found: unknown[]) => void) =>
      done(null, [
        { address: '127.0.0.9', family: 4 },
        { address: '127.0.0.1', family: 4 },
      ])) as never
    const { socket } = await outcomeOf({ host: 'two.example', port: echo.port, lookup, ...through(converter) })
    expect(socket.remoteAddress).toBe('127.0.0.1')
    socket.destroy()
  })

  test('a client that is not served', async () => {
    await using echo = await echoServer()
    await using converter = await referenceConverter({ allow: ['192.0.2.0/24'] })
    const { error } = await outcomeOf({ host: '127.0.0.1', port: echo.port, ...through(converter) })
    expect(error).toMatchObject({
      name: 'ConvertError',
      code: 'ERR_CONVERT_NOT_AUTHORIZED',
      converter: converter.name,
      detail: { name: 'not-authorized' },
    })
  })

  test('too many connections: the delay is kept, without asking again', async () => {
    await using echo = await echoServer()
    await using converter = await referenceConverter({ maxConnections: 1, retryDelay: 7 })
    const options = { host: '127.0.0.1', port: echo.port, ...through(converter), convert: '1rtt' as const }
    const first = await outcomeOf(options)
    const { error } = await outcomeOf(options)
    expect(error).toMatchObject({ code: 'ERR_CONVERT_RESOURCE_EXCEEDED', retryAfter: 7_000 })
    const asked = converter.connections.length
    const { error: early } = await outcomeOf(options)
    expect(early).toMatchObject({ code: 'ERR_CONVERT_RESOURCE_EXCEEDED', converter: converter.name })
    expect((early as unknown as { retryAfter: number }).retryAfter).toBeLessThanOrEqual(7_000)
    expect(converter.connections).toHaveLength(asked)
    const { socket } = await outcomeOf({ ...options, fallback: 'direct' })
    expect(socket.mptcp.converterError).toMatchObject({ code: 'ERR_CONVERT_RESOURCE_EXCEEDED' })
    socket.destroy()
    first.socket.destroy()
  })

  test('a loopback destination that is not allowed is not even asked for', async () => {
    await using converter = await referenceConverter()
    const { error } = await outcomeOf({ host: '127.0.0.1', port: 9, converters: converter.name })
    expect(error).toMatchObject({ code: 'ERR_CONVERT_ENCODE' })
    expect(converter.connections).toHaveLength(0)
  })

  test('bytes that were written go with the refusal: the write fails with the connection', async () => {
    await using converter = await referenceConverter()
    const socket = connect({ host: '127.0.0.1', port: await refusingPort(), ...through(converter) })
    socket.write('request')
    expect(await errorOf(socket)).toMatchObject({ code: 'ECONNREFUSED' })
  })
})

mptcpTest.describe('what a converter tells', () => {
  test('Info: the TCP extensions that it supports', async () => {
    await using echo = await echoServer()
    await using converter = await referenceConverter()
    const { socket } = await outcomeOf({ host: '127.0.0.1', port: echo.port, ...through(converter), info: true })
    expect(socket.mptcp.answer).toEqual([{ type: 'supported-tcp-extensions', kinds: expect.arrayContaining([30]) }])
    socket.destroy()
  })

  test('an extended Connect: the options of the server’s SYN+ACK', async () => {
    await using echo = await echoServer()
    await using converter = await referenceConverter()
    const tcpOptions = [{ kind: 30, value: new Uint8Array(0) }]
    const { socket } = await outcomeOf({ host: '127.0.0.1', port: echo.port, ...through(converter), tcpOptions })
    expect(socket.mptcp.answer).toEqual([{ type: 'extended-tcp-header', options: expect.any(Uint8Array) }])
    expect(converter.connections.at(-1)?.serverProtocol).toBe('mptcp')
    socket.destroy()
  })

  test('an option that it does not support is left out the second time', async () => {
    await using echo = await echoServer()
    await using converter = await referenceConverter()
    const tcpOptions = [30, 34].map(kind => ({ kind, value: new Uint8Array(0) }))
    const options = { ...through(converter), convert: '1rtt' as const, tcpOptions }
    const { socket, error } = await outcomeOf({ host: '127.0.0.1', port: echo.port, ...options }, 'x')
    expect(error).toBeUndefined()
    expect(converter.connections.map(({ error }) => error?.name)).toEqual(['unsupported-tcp-option', undefined])
    expect(socket.mptcp.attempts).toBe(2)
    socket.destroy()
  })
})

mptcpTest.describe('cookies', () => {
  const secret = new Uint8Array(16).fill(7)

  test('are learned, kept in the store given, and sent at once the next time', async () => {
    await using echo = await echoServer()
    await using converter = await referenceConverter({ cookies: { secret } })
    const cookies = new Map<string, Uint8Array>()
    const options = { host: '127.0.0.1', port: echo.port, ...through(converter), cookies, convert: '1rtt' as const }
    const first = await outcomeOf(options, 'hello')
    expect(first.error).toBeUndefined()
    expect([...cookies.values()].map(({ length }) => length)).toEqual([16])
    expect(converter.connections.map(({ error }) => error?.name)).toEqual(['missing-cookie', undefined])
    first.socket.end()
    expect(String(await first.all)).toBe('hello')

    const second = await outcomeOf(options)
    expect(second.socket.mptcp.attempts).toBe(1)
    expect(converter.connections).toHaveLength(3)
    second.socket.destroy()
  })

  test('one for each local address', async () => {
    await using echo = await echoServer()
    await using converter = await referenceConverter({ cookies: { secret } })
    const cookies = new Map<string, Uint8Array>()
    const options = { host: '127.0.0.1', port: echo.port, ...through(converter), cookies, convert: '1rtt' as const }
    for (const localAddress of ['127.0.0.1', '127.0.0.5', '127.0.0.1']) {
      const { socket, error } = await outcomeOf({ ...options, localAddress })
      expect(error).toBeUndefined()
      expect(socket.localAddress).toBe(localAddress)
      socket.destroy()
    }
    expect(cookies.size).toBe(2)
    expect(converter.connections).toHaveLength(5)
  })

  test('a configured one that is wrong is dropped for a new one', async () => {
    await using echo = await echoServer()
    await using converter = await referenceConverter({ cookies: { secret } })
    const configured = { host: '127.0.0.1', port: converter.port, cookie: new Uint8Array(16) }
    const { socket, error } = await outcomeOf({
      ...{ host: '127.0.0.1', port: echo.port },
      ...through(configured),
      convert: '1rtt',
    })
    expect(error).toBeUndefined()
    const errors = converter.connections.map(({ error }) => error?.name)
    expect(errors).toEqual(['not-authorized', 'missing-cookie', undefined])
    socket.destroy()
  })
})

mptcpTest.describe('mptcp', () => {
  test("'require' with a server that speaks TCP only", async () => {
    await using plain = await echoServer({ protocol: 'tcp' })
    const { error } = await outcomeOf({ host: '127.0.0.1', port: plain.port, mptcp: 'require' })
    expect(error).toMatchObject({ name: 'AtsssError', code: 'ERR_MPTCP_FALLBACK' })
  })

  test("'require' with a converter that speaks TCP only", async () => {
    await using echo = await echoServer()
    await using converter = await referenceConverter({ protocol: 'tcp' })
    const options = { host: '127.0.0.1', port: echo.port, ...through(converter), mptcp: 'require' as const }
    const { error } = await outcomeOf(options)
    expect(error).toMatchObject({ code: 'ERR_MPTCP_FALLBACK' })
  })

  test("'require' where it can be had", async () => {
    await using echo = await echoServer({ protocol: 'tcp' })
    await using converter = await referenceConverter()
    const options = { host: '127.0.0.1', port: echo.port, ...through(converter), mptcp: 'require' as const }
    const { socket } = await outcomeOf(options)
    expect(socket.mptcp.protocol).toBe('mptcp')
    socket.destroy()
  })

  test("'prefer' with a server that speaks TCP only: TCP, and the report says why", async () => {
    await using plain = await echoServer({ protocol: 'tcp' })
    const { socket } = await outcomeOf({ host: '127.0.0.1', port: plain.port })
    expect(socket.mptcp).toMatchObject({ protocol: 'tcp', fallback: expect.stringContaining('MPTCP') })
    socket.destroy()
  })

  for (const convert of ['0rtt', '1rtt'] as const)
    test(`'off': TCP, nobody's fault, also through a converter, ${convert}`, async () => {
      await using echo = await echoServer()
      await using converter = await referenceConverter()
      const direct = await outcomeOf({ host: '127.0.0.1', port: echo.port, mptcp: 'off' })
      expect(direct.socket.mptcp).toMatchObject({ protocol: 'tcp', fallback: undefined })
      direct.socket.destroy()
      const options = { host: '127.0.0.1', port: echo.port, ...through(converter), mptcp: 'off' as const, convert }
      const { socket, all } = await outcomeOf(options, 'x')
      expect(socket.mptcp).toMatchObject({ protocol: 'tcp', fallback: undefined, converter: { port: converter.port } })
      expect(converter.connections.at(-1)?.protocol).toBe('tcp')
      socket.end()
      expect(String(await all)).toBe('x')
    })
})

describe('interface', () => {
  mptcpTest('the first subflow is bound to it', async () => {
    await using echo = await echoServer()
    const { socket } = await outcomeOf({ host: '127.0.0.1', port: echo.port, interface: 'lo' })
    expect(socket.mptcp.interface).toBe('lo')
    socket.destroy()
    await once(socket, 'close')
  })

  test('one that does not exist', async () => {
    const { error } = await outcomeOf({ host: '127.0.0.1', port: 9, interface: 'nowhere0' })
    expect(error).toMatchObject({ code: 'ENODEV', address: 'nowhere0' })
  })
})
