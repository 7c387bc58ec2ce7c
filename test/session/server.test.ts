/** `session.createServer()` without a network: its shape, its options, what it refuses. End to end: test/netns/incoming.test.ts. */
import { afterEach, describe, expect, test } from 'vitest'
import { MaPduSession, type SessionServerOptions } from '../../lib/index.js'
import { native } from '../../lib/runtime/kernel/native.js'
import { resolveServer } from '../../lib/session/server-options.js'
import { mptcp } from '../support/probes.js'
import { requires } from '../support/requires.js'

const ACCESSES = { '3gpp': 'nowhere0', 'non-3gpp': 'lo' }
const sessions: MaPduSession[] = []

function session(options: object = {}): MaPduSession {
  const made = new MaPduSession({ accesses: ACCESSES, converters: '127.0.0.1:5124', controller: 'inline', ...options })
  sessions.push(made)
  return made
}

afterEach(() => {
  for (const made of sessions.splice(0)) made.close()
})

describe('options', () => {
  test.each<[string, object]>([
    ['lifetime', { lifetime: 60 }],
    ['lifetime', { lifetime: '7200' }],
    ['filters', { filters: [{ address: 'example.com' }] }],
    ['filters.prefixLength', { filters: [{ address: '10.0.0.0', prefixLength: 33 }] }],
    ['filters.prefixLength', { filters: [{ address: '::', prefixLength: 0 }] }],
    ['filters.port', { filters: [{ address: '10.0.0.1', port: 65536 }] }],
    ['external.port', { external: { port: 0 } }],
    ['external.address', { external: { address: 'example.com' } }],
    ['external.required', { external: { required: 1 } }],
    ['pcpServers', { pcpServers: 'router' }],
    ['pcpServers', { pcpServers: ['example.com'] }],
    ['pcpServers', { pcpServers: ['192.0.2.1:65536'] }],
    ['messageTimeout', { messageTimeout: 0 }],
    ['allowHalfOpen', { allowHalfOpen: 'yes' }],
    ['lifetimes', { lifetimes: 1 }],
  ])('%s', (name, options) => {
    expect(() => session().createServer(options as SessionServerOptions)).toThrow(
      expect.objectContaining({ code: 'ERR_ATSSS_OPTION', message: expect.stringContaining(name) }),
    )
  })

  test('without converters there is nobody through whom to be reached', () => {
    expect(() => session({ converters: undefined }).createServer()).toThrow(
      expect.objectContaining({ code: 'ERR_ATSSS_OPTION', message: expect.stringContaining('converters') }),
    )
  })

  test('of a session that is closed', () => {
    const closed = session()
    closed.close()
    expect(() => closed.createServer()).toThrow(expect.objectContaining({ code: 'ERR_ATSSS_CLOSED' }))
  })
})

test('addresses in any spelling are those that answers have', () => {
  const pcpServers = ['2001:DB8:0:0::1', '[2001:0db8::2]:53510', '::ffff:192.0.2.1', 'fe80::1%wlan0']
  const settings = resolveServer({ pcpServers, external: { address: '2001:DB8::0:1' } })
  expect(settings.pcpServers).toEqual([
    { address: '2001:db8::1', port: 5351 },
    { address: '2001:db8::2', port: 53_510 },
    { address: '192.0.2.1', port: 5351 },
    { address: 'fe80::1', port: 5351 },
  ])
  expect(settings.external.address).toBe('2001:db8::1')
})

const needsMptcp = requires('MPTCP', mptcp)

needsMptcp.describe('the shape of net.Server', () => {
  test('listening, address, getConnections, close', async () => {
    const server = session().createServer({ pcpServers: ['127.0.0.1:9'] })
    expect([server.listening, server.address(), server.externalAddress()]).toEqual([false, null, null])
    await new Promise<void>(resolve => server.listen(0, resolve))
    expect(server.listening).toBe(true)
    expect(server.address()).toEqual({ address: '::', family: 'IPv6', port: expect.any(Number) })
    expect(server.address()!.port).toBeGreaterThan(0)
    expect(() => server.listen(0)).toThrow(expect.objectContaining({ code: 'ERR_SERVER_ALREADY_LISTEN' }))
    expect(await new Promise(resolve => server.getConnections((_, count) => resolve(count)))).toBe(0)
    await new Promise(resolve => server.close(resolve))
    expect([server.listening, server.address()]).toEqual([false, null])
    expect(await new Promise(resolve => server.close(resolve))).toMatchObject({ code: 'ERR_SERVER_NOT_RUNNING' })
    // And again.
    await new Promise<void>(resolve => server.listen({ port: 0 }, resolve))
    await server[Symbol.asyncDispose]()
    expect(server.listening).toBe(false)
  })

  test('ports that are none', () => {
    for (const port of [-1, 65_536, 1.5, Number.NaN])
      expect(() => session().createServer().listen(port)).toThrow(
        expect.objectContaining({ code: 'ERR_SOCKET_BAD_PORT' }),
      )
  })

  test("a port that is another's, and no interface at all: errors", async () => {
    const failure = (server: ReturnType<MaPduSession['createServer']>) =>
      new Promise(resolve => server.once('error', resolve))
    const first = session().createServer()
    await new Promise<void>(resolve => first.listen(0, resolve))
    const second = session().createServer()
    const inUse = failure(second)
    second.listen(first.address()!.port)
    expect(await inUse).toMatchObject({ code: 'EADDRINUSE', syscall: 'listen' })
    await first[Symbol.asyncDispose]()
    const nowhere = session({ accesses: { '3gpp': 'nowhere0', 'non-3gpp': 'nowhere1' } }).createServer()
    const absent = failure(nowhere)
    nowhere.listen(0)
    expect(await absent).toMatchObject({ code: 'ENODEV', syscall: 'listen' })
  })

  test('a converter that cannot be found', async () => {
    const server = session({ converters: 'nobody.invalid:5124' }).createServer()
    const error = new Promise(resolve => server.once('error', resolve))
    server.listen(0)
    expect(await error).toMatchObject({ code: 'ERR_CONVERT_NOT_FOUND' })
  })

  test('a listen() that fails leaves nothing open', async () => {
    const made = session({ converters: 'nobody.invalid:5124' })
    await made.ready
    const { descriptors } = native().counts()
    for (let i = 0; i < 3; i++) {
      const server = made.createServer()
      const failed = new Promise(resolve => server.once('error', resolve))
      server.listen(0)
      await failed
    }
    expect(native().counts().descriptors).toBe(descriptors)
  })

  test('closed while it opens, and told to listen anew: once, on the port of the second time', async () => {
    const made = session()
    await made.ready
    const { descriptors } = native().counts()
    const server = made.createServer()
    let listening = 0
    server.on('listening', () => listening++)
    server.listen(0)
    await new Promise(resolve => server.close(resolve))
    await new Promise<void>(resolve => server.listen(0, resolve))
    await new Promise(resolve => setTimeout(resolve, 100))
    expect(listening).toBe(1)
    await server[Symbol.asyncDispose]()
    expect(native().counts().descriptors).toBe(descriptors)
  })

  test('a signal that has aborted before, or does', async () => {
    const before = session().createServer().listen({ port: 0, signal: AbortSignal.abort() })
    await new Promise(resolve => before.once('close', resolve as () => void))
    const controller = new AbortController()
    const server = session().createServer()
    await new Promise<void>(resolve => server.listen({ port: 0, signal: controller.signal }, resolve))
    controller.abort()
    await new Promise(resolve => server.once('close', resolve as () => void))
    expect([before.listening, server.listening]).toEqual([false, false])
  })

  test('closed while it opens: never listening', async () => {
    const server = session().createServer()
    server.listen(0, () => expect.unreachable())
    await new Promise(resolve => server.close(resolve))
    expect(server.listening).toBe(false)
  })
})
