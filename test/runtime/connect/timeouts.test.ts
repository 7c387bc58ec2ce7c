import dns from 'node:dns'
import type net from 'node:net'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { connect, type MptcpConnectOptions } from '../../../lib/index.js'
import { native } from '../../../lib/runtime/kernel/native.js'
import { server } from '../../support/echo-server.js'
import { MPTCP } from '../../support/native-addon.js'
import { leavesNothingOpen } from '../../support/open-things.js'
import { outcomeOf } from '../../support/outcome.js'
import { mptcp, mptcpFastOpen } from '../../support/probes.js'
import { referenceConverter, through } from '../../support/reference-converter.js'
import { requires } from '../../support/requires.js'

const mptcpTest = requires('MPTCP', mptcp)

leavesNothingOpen()

/** A listener whose queue is full: further SYNs are not answered. */
async function deaf(): Promise<{ port: number } & AsyncDisposable> {
  const listener = native().socket(4, MPTCP)
  native().bind(listener, '127.0.0.1', 0)
  native().listen(listener, 0)
  const { port } = native().getsockname(listener)
  const fillers = Array.from({ length: 4 }, () => native().socket(4, 6))
  for (const filler of fillers) native().connect(filler, '127.0.0.1', port)
  await new Promise(resolve => setTimeout(resolve, 20))
  return {
    port,
    async [Symbol.asyncDispose]() {
      for (const fd of [...fillers, listener]) native().close(fd)
    },
  }
}

mptcpTest.describe('a converter that accepts the connection and does not answer', () => {
  test('converterTimeout', async () => {
    await using silent = await server(() => {})
    const name = `127.0.0.1:${silent.port}`
    const options = { ...through(name), convert: '1rtt' as const, converterTimeout: 60 }
    const { error } = await outcomeOf({ host: '127.0.0.1', port: 9, ...options })
    expect(error).toMatchObject({ code: 'ERR_CONVERT_TIMEOUT', converter: name })
    expect(error?.message).toContain('60 ms')
  })

  test('converterTimeout, for each of several', async () => {
    await using one = await server(() => {})
    await using two = await server(() => {})
    const names = [`127.0.0.1:${one.port}`, `127.0.0.1:${two.port}`]
    const options = { ...through(...names), convert: '1rtt' as const, converterTimeout: 60 }
    const { error } = await outcomeOf({ host: '127.0.0.1', port: 9, ...options })
    expect((error as unknown as AggregateError).errors).toMatchObject([
      { code: 'ERR_CONVERT_TIMEOUT', converter: names[0] },
      { code: 'ERR_CONVERT_TIMEOUT', converter: names[1] },
    ])
  })

  test('connectTimeout, which is for all', async () => {
    await using silent = await server(() => {})
    const options = { ...through(`127.0.0.1:${silent.port}`), converterTimeout: 0, connectTimeout: 60 }
    const { error } = await outcomeOf({ host: '127.0.0.1', port: 9, ...options, convert: '1rtt' })
    expect(error).toMatchObject({ code: 'ETIMEDOUT', syscall: 'connect', address: '127.0.0.1', port: silent.port })
  })
})

mptcpTest.describe('SYNs that are not answered', () => {
  requires('Fast Open on MPTCP sockets', mptcpFastOpen)(
    'fresh ones follow, to a converter',
    async () => {
      await using listener = await deaf()
      const options = {
        ...through(`127.0.0.1:${listener.port}`),
        mptcp: 'require' as const,
        convert: '0rtt' as const,
        synTimeout: 100,
        synRetries: 2,
      }
      const { error, socket } = await outcomeOf({ host: '127.0.0.1', port: 9, ...options })
      expect(error).toMatchObject({ code: 'ETIMEDOUT', address: '127.0.0.1', port: listener.port })
      expect(socket.mptcp.attempts).toBe(3)
    },
    15_000,
  )

  test('to a destination: the error of net.connect', async () => {
    await using listener = await deaf()
    const { error, socket } = await outcomeOf({ host: '127.0.0.1', port: listener.port, synRetries: 0 })
    expect({ ...error, message: error?.message }).toEqual({
      code: 'ETIMEDOUT',
      errno: -110,
      syscall: 'connect',
      address: '127.0.0.1',
      port: listener.port,
      message: `connect ETIMEDOUT 127.0.0.1:${listener.port}`,
    })
    expect(socket.mptcp.attempts).toBe(1)
  }, 15_000)

  test('connectTimeout ends it earlier', async () => {
    await using listener = await deaf()
    const { error } = await outcomeOf({ host: '127.0.0.1', port: listener.port, connectTimeout: 50 })
    expect(error).toMatchObject({ code: 'ETIMEDOUT', port: listener.port })
  })

  test('another address is tried beside', async () => {
    await using listener = await deaf()
    await using echo = await server(socket => socket.pipe(socket))
    await using converter = await referenceConverter()
    const options = { ...through(`127.0.0.1:${listener.port}`, converter), attemptDelay: 20, convert: '1rtt' as const }
    const { socket } = await outcomeOf({ host: '127.0.0.1', port: echo.port, ...options })
    expect(socket.mptcp).toMatchObject({ attempts: 2, converter: { port: converter.port } })
    socket.destroy()
  })
})

describe('connectTimeout counts from connect() on', () => {
  const never: net.LookupFunction = () => {}
  const server = '198.51.100.1'
  afterEach(() => vi.restoreAllMocks())

  test.each<[string, MptcpConnectOptions, RegExp]>([
    [
      'the lookup of the destination',
      { host: 'slow.example', port: 80, lookup: never },
      /^connect ETIMEDOUT: no address for slow.example within 60 ms \(option connectTimeout\)$/,
    ],
    [
      'the lookup of a converter',
      { host: server, port: 80, converters: 'slow.example:5124' },
      /^connect ETIMEDOUT: no address for the converter slow.example:5124 within 60 ms/,
    ],
    [
      'the lookup of several converters, with a direct way to fall back to',
      { host: server, port: 80, converters: ['slow.example:5124', '_convert._tcp.slow.example'], fallback: 'direct' },
      /^connect ETIMEDOUT: no address for the converter slow.example:5124 or _convert._tcp.slow.example within 60 ms/,
    ],
  ])('%s', async (_, options, message) => {
    vi.spyOn(dns.promises, 'lookup').mockReturnValue(new Promise(() => {}))
    vi.spyOn(dns.promises, 'resolveSrv').mockReturnValue(new Promise(() => {}))
    const { error, took } = await outcomeOf({ ...options, connectTimeout: 60 })
    expect(error).toMatchObject({ code: 'ETIMEDOUT', errno: -110, syscall: 'connect' })
    expect(error?.message).toMatch(message)
    expect(took).toBeGreaterThanOrEqual(58)
  })

  test('an answer that comes too late is ignored', async () => {
    const events: string[] = []
    const late = new Promise<void>(resolve => {
      const lookup = ((_: string, __: object, done: (...found: unknown[]) => void) =>
        setTimeout(() => {
          done(null, [{ address: '127.0.0.1', family: 4 }])
          resolve()
        }, 80)) as unknown as net.LookupFunction
      const socket = connect({ host: 'late.example', port: 9, lookup, connectTimeout: 20 })
      for (const event of ['lookup', 'connectionAttempt', 'error', 'close']) socket.on(event, () => events.push(event))
    })
    await late
    expect(events).toEqual(['error', 'close'])
  })

  test('an error names the address of the latest attempt', async () => {
    await using listener = await deaf()
    const { error } = await outcomeOf({ host: '127.0.0.1', port: listener.port, connectTimeout: 50 })
    expect(error?.message).toBe(
      `connect ETIMEDOUT 127.0.0.1:${listener.port}: no connection within 50 ms (option connectTimeout)`,
    )
  })
})

describe('a converter whose name is found late', () => {
  afterEach(() => vi.restoreAllMocks())

  mptcpTest('is tried beside those that are silent', async () => {
    await using one = await server(() => {})
    await using two = await server(() => {})
    await using echo = await server(socket => socket.pipe(socket))
    await using converter = await referenceConverter()
    vi.spyOn(dns.promises, 'lookup').mockImplementation((async () => {
      await new Promise(resolve => setTimeout(resolve, 150))
      return [{ address: '127.0.0.1', family: 4 }]
    }) as never)
    const names = [`127.0.0.1:${one.port}`, `127.0.0.1:${two.port}`, `late.example:${converter.port}`]
    const options = { ...through(...names), convert: '1rtt' as const, attemptDelay: 20, connectTimeout: 5_000 }
    const { socket, error } = await outcomeOf({ host: '127.0.0.1', port: echo.port, ...options })
    expect(error).toBeUndefined()
    expect(socket.mptcp).toMatchObject({ attempts: 3, converter: { port: converter.port } })
    socket.destroy()
  })
})

describe('no limit', () => {
  mptcpTest('connectTimeout: 0 sets no timer', async () => {
    await using echo = await server(socket => socket.pipe(socket))
    const { socket, error } = await outcomeOf({ port: echo.port, connectTimeout: 0, converterTimeout: 0 })
    expect(error).toBeUndefined()
    socket.destroy()
  })
})
