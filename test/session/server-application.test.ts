/** What the application does around a session's server, and what becomes of it: exceptions, signals, the session's end. */
import { once } from 'node:events'
import net from 'node:net'
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { MaPduSession } from '../../lib/index.js'
import { IPPROTO_TCP } from '../../lib/runtime/kernel/constants.js'
import { native } from '../../lib/runtime/kernel/native.js'
import { reactor } from '../../lib/runtime/kernel/reactor.js'
import type { SessionServer } from '../../lib/session/server.js'
import { MptcpSocket } from '../../lib/socket/socket.js'
import { encode } from '../../lib/wire/convert/index.js'
import { open, settles } from '../support/open-things.js'
import { mptcp } from '../support/probes.js'
import { requires } from '../support/requires.js'

const sessions: MaPduSession[] = []
afterEach(() => {
  for (const made of sessions.splice(0)) made.close()
})

function session(options: object = {}): MaPduSession {
  const accesses = { '3gpp': 'nowhere0', 'non-3gpp': 'lo' }
  const made = new MaPduSession({
    ...{ accesses, converters: '127.0.0.1:5124', allowLoopback: true, controller: 'inline' as const },
    ...options,
  })
  sessions.push(made)
  return made
}

async function listening(made: MaPduSession): Promise<SessionServer & { port: number }> {
  const server = made.createServer({ pcpServers: ['127.0.0.1:9'] })
  await new Promise<void>(resolve => server.listen(0, resolve))
  return Object.assign(server, { port: server.address()!.port })
}

/** Connects as a converter does, for the remote host 198.51.100.7. */
async function bring(port: number): Promise<net.Socket> {
  const socket = net.connect(port, '127.0.0.1').on('error', () => {})
  onTestFinished(() => void socket.destroy())
  await once(socket, 'connect')
  socket.write(CONNECT)
  return socket
}
const CONNECT = encode([{ type: 'connect', address: '198.51.100.7', port: 80, tcpOptions: [] }])

/**
 * Connects as a converter does, and reads more than the answer. It uses no socket of Node: libuv reads a reset that comes together with
 * data as the end of the stream.
 */
async function fateOf(port: number): Promise<{ errno: number; bytes: Buffer }> {
  const addon = native()
  const fd = addon.socket(4, IPPROTO_TCP)
  try {
    addon.connect(fd, '127.0.0.1', port)
    await new Promise<number>(resolve => reactor().awaitConnected(fd, resolve))
    addon.send(fd, CONNECT)
    return await new Promise(resolve => reactor().awaitBytes(fd, 100, (errno, bytes) => resolve({ errno, bytes })))
  } finally {
    addon.close(fd)
  }
}
const ECONNRESET = 104

/** Runs `act`; returns what has become an uncaught exception, which the test framework must not see. */
async function uncaughtIn(act: () => Promise<unknown>): Promise<unknown[]> {
  const before = process.listeners('uncaughtException')
  const seen: unknown[] = []
  process.removeAllListeners('uncaughtException').on('uncaughtException', error => seen.push((error as Error).message))
  try {
    await act()
    await new Promise(resolve => setImmediate(resolve))
  } finally {
    process.removeAllListeners('uncaughtException')
    for (const listener of before) process.on('uncaughtException', listener)
  }
  return seen
}

requires('MPTCP', mptcp).describe('a session server', () => {
  test("what a 'connection' listener throws is uncaught, and the connection stays, as with net.Server", async () => {
    const server = await listening(session())
    const { descriptors } = native().counts()
    let accepted: net.Socket | undefined
    server.on('connection', socket => {
      accepted = socket
      throw new TypeError('a bug of the application')
    })
    const seen = await uncaughtIn(async () => {
      const remote = await bring(server.port)
      await once(remote, 'data') // the converter's answer
      await expect.poll(() => accepted).toBeDefined()
    })
    expect(seen).toEqual(['a bug of the application'])
    expect(accepted!.remoteAddress).toBe('198.51.100.7')
    expect(native().counts().descriptors).toBe(descriptors) // the connection's is Node's
    accepted!.destroy()
    await server[Symbol.asyncDispose]()
  })

  test("what a 'refused' listener throws is uncaught, and the next connection is accepted", async () => {
    const server = await listening(session())
    server.once('refused', () => {
      throw new Error('refused: a bug')
    })
    const seen = await uncaughtIn(async () => {
      const remote = await bring(server.port)
      await once(remote, 'data')
      const wrong = net.connect(server.port, '127.0.0.1').on('error', () => {})
      wrong.write('GET / HTTP/1.1\r\nHost: example.com\r\n\r\n')
      await new Promise(resolve => wrong.once('close', resolve))
    })
    expect(seen).toEqual(['refused: a bug'])
    expect(server.refusals).toEqual({ 'not-convert': 1 })
    server.on('connection', socket => socket.end('hello'))
    const remote = await bring(server.port)
    let text = ''
    remote.on('data', data => {
      text += data.toString('latin1')
    })
    await once(remote, 'end')
    expect(text).toContain('hello')
  })

  test('a connection whose socket cannot be created is reset, nothing of it stays open, and the next one is accepted', async () => {
    const server = await listening(session())
    const problems: string[] = []
    server.on('problem', ({ message }) => problems.push(message))
    const before = open()
    const accepted = vi.spyOn(MptcpSocket, 'accepted').mockImplementationOnce(() => {
      throw new Error('no memory for a socket')
    })
    onTestFinished(() => accepted.mockRestore())
    expect(await fateOf(server.port)).toEqual({ errno: ECONNRESET, bytes: Buffer.from(encode([])) })
    expect(problems).toEqual(['no memory for a socket'])
    await settles(before)
    expect(await new Promise(resolve => server.getConnections((_, count) => resolve(count)))).toBe(0)
    const [[socket]] = await Promise.all([once(server, 'connection') as Promise<[net.Socket]>, bring(server.port)])
    expect(socket.remoteAddress).toBe('198.51.100.7')
    socket.destroy()
    await server[Symbol.asyncDispose]()
  })

  test('the signal of an earlier listen() does not close the next one', async () => {
    const server = session().createServer({ pcpServers: ['127.0.0.1:9'] })
    const first = new AbortController()
    await new Promise<void>(resolve => server.listen({ port: 0, signal: first.signal }, resolve))
    await new Promise(resolve => server.close(resolve))
    await new Promise<void>(resolve => server.listen(0, resolve))
    first.abort()
    await new Promise(resolve => setImmediate(resolve))
    expect(server.listening).toBe(true)
    const aborted = AbortSignal.abort()
    await server[Symbol.asyncDispose]()
    server.listen({ port: 0, signal: aborted })
    server.close()
    await once(server, 'close')
    await new Promise<void>(resolve => server.listen(0, resolve))
    expect(server.listening).toBe(true)
  })

  test('session.close() closes its servers; their connections stay', async () => {
    const made = session()
    const server = await listening(made)
    const [[accepted]] = await Promise.all([once(server, 'connection') as Promise<[net.Socket]>, bring(server.port)])
    const idle = made.createServer()
    made.close()
    expect(server.listening).toBe(false)
    expect(accepted.destroyed).toBe(false)
    expect(() => idle.listen(0)).toThrow(expect.objectContaining({ code: 'ERR_ATSSS_CLOSED' }))
    const closed = once(server, 'close')
    accepted.destroy()
    await closed
  })
})

describe('options that would have no effect', () => {
  const refused = (make: () => unknown, message: string) =>
    expect(make).toThrow(
      expect.objectContaining({ code: 'ERR_ATSSS_OPTION', message: expect.stringContaining(message) }),
    )

  test('of a session and of its connections', () => {
    refused(() => session({ interface: 'wlan9' }), 'Option "interface" has no effect in a session')
    const made = session()
    refused(() => made.connect({ port: 1, host: '127.0.0.1', interface: 'wlan7' }), 'its rules choose the interface')
    refused(() => made.createSocket({ interface: 'wlan7' }), 'its rules choose the interface')
    for (const name of ['accesses', 'rules', 'application', 'unmatched', 'unenforceable', 'controller', 'watch'])
      refused(
        () => made.connect({ port: 1, host: '127.0.0.1', [name]: 'x' } as never),
        `Option "${name}" has no effect`,
      )
    made.close()
    expect(() => made.createSocket()).toThrow(expect.objectContaining({ code: 'ERR_ATSSS_CLOSED' }))
  })

  test('of an application that is none', () => {
    refused(() => session({ application: 'org.example' }), 'application')
    refused(() => session({ application: { osAppId: '' } }), 'application.osAppId')
    refused(() => session({ application: { osAppId: 'a', osId: 'android' } }), 'application.osId')
  })

  test('of a server and of listen()', () => {
    const made = session()
    for (const name of ['interface', 'converters', 'mptcp', 'blockList'])
      refused(() => made.createServer({ [name]: 'x' } as never), `Option "${name}" has no effect`)
    const listen = (...args: unknown[]) =>
      (made.createServer().listen as (...args: unknown[]) => unknown).bind(made.createServer())(...args)
    for (const options of [{ path: '/x' }, { fd: 3 }, { reusePort: true }, { ipv6Only: true }, { host: '127.0.0.1' }])
      refused(() => listen({ port: 0, ...options }), `Option "${Object.keys(options)[0]}" has no effect`)
    refused(() => listen(0, 'localhost'), 'Option "host" has no effect')
  })
})
