import { once } from 'node:events'
import { describe, expect, test } from 'vitest'
import { connect } from '../../lib/socket/connect.js'
import { dnsServer } from '../support/dns-server.js'
import { echoServer, server } from '../support/echo-server.js'
import { refusingPort } from '../support/native-addon.js'
import { leavesNothingOpen } from '../support/open-things.js'
import { outcomeOf } from '../support/outcome.js'
import { mptcp } from '../support/probes.js'
import { referenceConverter, through } from '../support/reference-converter.js'
import { requires } from '../support/requires.js'

const mptcpTest = requires('MPTCP', mptcp)

leavesNothingOpen()

const refusing = async () => `127.0.0.1:${await refusingPort()}`

mptcpTest.describe('several converters', () => {
  test('the first one is taken when it is well', async () => {
    await using echo = await echoServer()
    await using first = await referenceConverter()
    await using second = await referenceConverter()
    const { socket } = await outcomeOf({
      host: '127.0.0.1',
      port: echo.port,
      ...through(first, second),
      attemptDelay: 30_000,
    })
    expect(socket.mptcp.converter?.port).toBe(first.port)
    socket.destroy()
    expect(second.connections).toHaveLength(0)
  })

  test('the next one when the first refuses', async () => {
    await using echo = await echoServer()
    await using second = await referenceConverter()
    const options = { host: '127.0.0.1', port: echo.port, ...through(await refusing(), second) }
    const { socket, error } = await outcomeOf(options, 'x')
    expect(error).toBeUndefined()
    expect(socket.mptcp.converter?.port).toBe(second.port)
    socket.end()
    await once(socket, 'close')
    expect(socket.bytesRead).toBe(1)
  })

  test('the next one beside the first when that is silent', async () => {
    await using echo = await echoServer()
    await using silent = await server(() => {})
    await using second = await referenceConverter()
    const options = { ...through(`127.0.0.1:${silent.port}`, second), attemptDelay: 20, pipelining: false }
    const { socket } = await outcomeOf({ host: '127.0.0.1', port: echo.port, ...options, convert: '1rtt' })
    expect(socket.mptcp).toMatchObject({ converter: { port: second.port }, attempts: 2 })
    socket.destroy()
  })

  test('all refuse: an error with what each said', async () => {
    const names = [await refusing(), await refusing()]
    const { error } = await outcomeOf({ host: '127.0.0.1', port: 9, ...through(...names) })
    expect(error).toBeInstanceOf(AggregateError)
    expect(error).toMatchObject({ code: 'ECONNREFUSED' })
    for (const name of names) expect(error?.message).toContain(name)
  })

  test('a single one refuses: its error, which names the converter and not the server', async () => {
    const port = await refusingPort()
    const { error } = await outcomeOf({ host: '127.0.0.1', port: 9, ...through(`127.0.0.1:${port}`) })
    expect(error).toMatchObject({ code: 'ECONNREFUSED', syscall: 'connect', address: '127.0.0.1', port })
  })

  test('an empty list is none: direct', async () => {
    await using echo = await echoServer()
    const { socket } = await outcomeOf({ port: echo.port, converters: [] })
    expect(socket.mptcp).toMatchObject({ converter: undefined, convert: undefined, protocol: 'mptcp' })
    socket.destroy()
  })
})

mptcpTest.describe('fallback', () => {
  test("'direct': to the destination when no converter can be used, and the report says why", async () => {
    await using echo = await echoServer()
    const options = { host: '127.0.0.1', port: echo.port, ...through(await refusing()), fallback: 'direct' as const }
    const { socket, all } = await outcomeOf(options, 'early')
    expect(socket.mptcp).toMatchObject({
      converter: undefined,
      protocol: 'mptcp',
      converterError: { code: 'ECONNREFUSED' },
      pipelinedBytes: 0,
    })
    socket.end()
    expect(String(await all)).toBe('early')
  })

  test("'direct': when the converter has no name", async () => {
    await using echo = await echoServer()
    const converters = through('no.such.name.invalid:5124')
    const { socket } = await outcomeOf({ host: '127.0.0.1', port: echo.port, ...converters, fallback: 'direct' })
    expect(socket.mptcp.converterError).toMatchObject({ code: 'ERR_CONVERT_NOT_FOUND' })
    socket.destroy()
  })

  test("'direct': not when the server refuses the converter", async () => {
    await using converter = await referenceConverter()
    const port = await refusingPort()
    const options = { ...through(converter), convert: '1rtt', fallback: 'direct' } as const
    const { error } = await outcomeOf({ host: '127.0.0.1', port, ...options })
    expect(error).toMatchObject({ code: 'ECONNREFUSED', port, cause: { name: 'ConvertError' } })
    expect(converter.connections).toHaveLength(1)
  })

  test("'direct': both fail", async () => {
    const port = await refusingPort()
    const { error } = await outcomeOf({ host: '127.0.0.1', port, ...through(await refusing()), fallback: 'direct' })
    expect((error as unknown as AggregateError).errors).toHaveLength(2)
  })

  test("'fail', which is the default", async () => {
    await using echo = await echoServer()
    const { error } = await outcomeOf({ host: '127.0.0.1', port: echo.port, ...through(await refusing()) })
    expect(error).toMatchObject({ code: 'ECONNREFUSED' })
  })
})

mptcpTest.describe('converters by name', () => {
  test('a host name, all of whose addresses are tried', async () => {
    await using echo = await echoServer()
    await using converter = await referenceConverter()
    const name = `localhost:${converter.port}` // on many systems ::1 first, where nothing listens
    const { socket } = await outcomeOf({ host: '127.0.0.1', port: echo.port, ...through(name) })
    expect(socket.mptcp.converter).toEqual({ name, address: '127.0.0.1', port: converter.port })
    socket.destroy()
  })

  test('a host that does not exist', async () => {
    const { error } = await outcomeOf({ port: 9, host: '127.0.0.1', ...through('no.such.name.invalid:5124') })
    expect(error).toMatchObject({
      code: 'ERR_CONVERT_NOT_FOUND',
      name: 'ConvertError',
      converter: 'no.such.name.invalid:5124',
    })
    expect(error?.cause).toMatchObject({ syscall: 'getaddrinfo' })
  })

  test('beside one that does', async () => {
    await using echo = await echoServer()
    await using converter = await referenceConverter()
    const both = through('no.such.name.invalid:5124', converter)
    const { socket } = await outcomeOf({ port: echo.port, host: '127.0.0.1', ...both })
    expect(socket.mptcp.converter?.port).toBe(converter.port)
    socket.destroy()
  })

  test('destroyed while they are looked up', async () => {
    const socket = connect({ port: 9, host: '127.0.0.1', ...through('no.such.name.invalid:5124') })
    setImmediate(() => socket.destroy())
    // On a busy machine the look-up may have failed before.
    await new Promise(resolve => socket.on('error', () => {}).once('close', resolve))
  })
})

mptcpTest.describe('converters by SRV', () => {
  const srv = (port: number, priority = 0, target = 'localhost') => ({ priority, weight: 0, port, target })

  for (const [name, input] of [
    ['as text', '_convert._tcp.operator.example'],
    ['as a domain', { domain: 'operator.example' }],
  ] as const)
    test(name, async () => {
      await using echo = await echoServer()
      await using converter = await referenceConverter()
      await using dns = await dnsServer({ '_convert._tcp.operator.example': [srv(converter.port)] })
      const { socket, error } = await outcomeOf({ port: echo.port, host: '127.0.0.1', ...through(input) })
      expect(error).toBeUndefined()
      expect(socket.mptcp.converter).toEqual({
        name: '_convert._tcp.operator.example',
        address: '127.0.0.1',
        port: converter.port,
      })
      expect(dns.asked).toEqual(['_convert._tcp.operator.example'])
      socket.destroy()
    })

  test('the lowest priority first, then the next', async () => {
    await using echo = await echoServer()
    await using converter = await referenceConverter()
    const records = [srv(converter.port, 20), srv(await refusingPort(), 10)]
    await using _ = await dnsServer({ '_convert._tcp.operator.example': records })
    const { socket } = await outcomeOf({
      port: echo.port,
      host: '127.0.0.1',
      ...through({ domain: 'operator.example' }),
    })
    expect(socket.mptcp.converter?.port).toBe(converter.port)
    expect(socket.mptcp.attempts).toBeGreaterThan(1)
    socket.destroy()
  })

  describe('without any', () => {
    test.each([
      ['the name does not exist', {}],
      ['there are no records', { '_convert._tcp.operator.example': [] }],
      ['the service is declared not to be there', { '_convert._tcp.operator.example': [srv(0, 0, '')] }],
      ['the target does not exist', { '_convert._tcp.operator.example': [srv(1, 0, 'no.such.name.invalid')] }],
    ])('%s', async (_, records) => {
      await using _dns = await dnsServer(records)
      const { error } = await outcomeOf({ port: 9, host: '127.0.0.1', ...through({ domain: 'operator.example' }) })
      expect(error).toMatchObject({ code: 'ERR_CONVERT_NOT_FOUND', converter: '_convert._tcp.operator.example' })
      expect(error?.message).toContain('_convert._tcp.operator.example')
    })
  })

  test('targets that do not exist are passed over', async () => {
    await using echo = await echoServer()
    await using converter = await referenceConverter()
    const records = [srv(converter.port, 1, 'no.such.name.invalid'), srv(converter.port, 2)]
    await using _ = await dnsServer({ '_convert._tcp.operator.example': records })
    const { socket } = await outcomeOf({
      port: echo.port,
      host: '127.0.0.1',
      ...through({ domain: 'operator.example' }),
    })
    expect(socket.mptcp.converter?.port).toBe(converter.port)
    socket.destroy()
  })
})
