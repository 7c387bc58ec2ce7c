import { once } from 'node:events'
import net from 'node:net'
import { describe, expect, test } from 'vitest'
import { native } from '../../lib/runtime/kernel/native.js'
import { MptcpSocket } from '../../lib/socket/socket.js'
import { echoServer, server } from '../support/echo-server.js'
import { pause, refusingPort, until } from '../support/native-addon.js'
import { leavesNothingOpen, open } from '../support/open-things.js'
import { mptcp } from '../support/probes.js'
import { requires } from '../support/requires.js'
import { diary, errorOf, ours, plain, sameAsNet } from '../support/same-as-net.js'

const mptcpTest = requires('MPTCP', mptcp)

leavesNothingOpen()

const silentLookup = (() => {}) as never

/** Where it is destroyed, and whether that is before 'connect'. */
const stages: [string, (socket: net.Socket, end: () => void) => void, object?][] = [
  ['in the same turn', (_, end) => end()],
  ['in the next tick', (_, end) => process.nextTick(end)],
  ['during the lookup', (_, end) => setImmediate(end), { host: 'silent.example', lookup: silentLookup }],
  ['in its lookup listener', (socket, end) => socket.on('lookup', end), { host: 'localhost' }],
  ['in its connectionAttempt listener', (socket, end) => socket.on('connectionAttempt', end)],
  ['after the SYN', (socket, end) => socket.on('connectionAttempt', () => process.nextTick(end))],
  ['in its connect listener', (socket, end) => socket.on('connect', end)],
  ['in its ready listener', (socket, end) => socket.on('ready', end)],
  ['with its first data', (socket, end) => socket.on('data', end)],
]

mptcpTest.describe('destroyed, nothing is left, and close comes once', () => {
  for (const [stage, at, options] of stages)
    for (const [how, destroy] of [
      ['destroy()', (socket: net.Socket) => socket.destroy()],
      ['destroy(error)', (socket: net.Socket) => socket.destroy(new Error('enough'))],
      ['destroy() twice', (socket: net.Socket) => socket.destroy().destroy(new Error('too late'))],
      ['destroySoon()', (socket: net.Socket) => socket.destroySoon()],
    ] as const)
      test(`${stage}: ${how}`, async () => {
        if (how === 'destroySoon()' && stage === 'during the lookup') return // waits for what has been written
        await using echo = await echoServer()
        const socket = ours({ port: echo.port, host: '127.0.0.1', ...options })
        const events: string[] = []
        for (const event of ['error', 'close', 'connect'])
          socket.on(event, (why?: Error | boolean) => events.push(why instanceof Error ? why.message : event))
        socket.write('x')
        at(socket, () => destroy(socket))
        socket.resume()
        await new Promise(resolve => socket.once('close', resolve))
        await pause(20)
        expect(events.filter(event => event === 'close')).toHaveLength(1)
        expect(events.includes('enough')).toBe(how === 'destroy(error)')
        expect(events).not.toContain('too late')
        expect(socket.destroyed).toBe(true)
        expect(socket.connecting).toBe(false)
      })
})

describe('failed connections leave nothing', () => {
  test('a hundred that are refused', async () => {
    const before = open()
    const port = await refusingPort()
    await Promise.all(Array.from({ length: 100 }, () => errorOf(ours(port, '127.0.0.1'))))
    await until(() => open().sockets <= before.sockets)
    expect(native().counts()).toEqual({ descriptors: before.descriptors, waits: before.waits })
  })
})

mptcpTest.describe('resetAndDestroy', () => {
  /** What the peer sees. */
  const fate = () => {
    let told: (fate: string) => void
    const seen = new Promise<string>(resolve => {
      told = resolve
    })
    const peer = server(socket => {
      socket.on('error', error => told((error as NodeJS.ErrnoException).code!))
      socket.on('end', () => told('end'))
      socket.on('data', () => {})
    })
    return { peer, seen }
  }
  for (const when of ['while connecting', 'connected'])
    test(`${when}: the peer is reset`, async () => {
      const { peer, seen } = fate()
      await using listener = await peer
      const socket = ours(listener.port, '127.0.0.1')
      if (when === 'connected') await once(socket, 'connect')
      socket.resetAndDestroy()
      await once(socket, 'close')
      expect(['ECONNRESET', 'ENOTCONN']).toContain(await seen) // the latter when it comes before accept()
    })

  test('without a connection', async () => {
    await sameAsNet(async connect => {
      const socket = connect({ port: 1, host: 'silent.example', lookup: silentLookup })
      const error = errorOf(socket)
      socket.destroy()
      await error
      socket.resetAndDestroy()
      return error
    })
  })
})

mptcpTest.describe('destroyed while the peer still sends, it behaves like TCP', () => {
  for (const [how, destroy] of [
    ['destroy()', (socket: net.Socket) => socket.destroy()],
    ['destroy(error)', (socket: net.Socket) => socket.destroy(new Error('enough'))],
  ] as const)
    for (const protocol of ['mptcp', 'tcp'] as const)
      test(`${how}: the peer, which speaks ${protocol}, is reset, and does not stall`, async () => {
        const fate = deferred<string>()
        const trickle = (socket: net.Socket) => {
          socket.on('error', error => fate.resolve((error as NodeJS.ErrnoException).code!))
          // Little by little, so that nothing is unread when the other side closes: that alone would reset it.
          const timer = setInterval(() => socket.write('x'), 5)
          socket.on('close', () => clearInterval(timer))
        }
        await using sending = await server(trickle, { protocol })
        const socket = ours(sending.port, '127.0.0.1')
        socket.once('data', () => destroy(socket))
        await errorOf(socket)
        expect(['ECONNRESET', 'EPIPE']).toContain(await fate.promise)
      })
})

mptcpTest('destroyed with bytes unread: the peer is reset, and sees no end before', async () => {
  const seen = deferred<string[]>()
  await using sending = await server(socket => {
    const events: string[] = []
    for (const event of ['end', 'error']) socket.on(event, () => events.push(event))
    socket.on('close', () => seen.resolve(events))
    socket.resume().write(Buffer.alloc(100_000))
  })
  const socket = ours(sending.port, '127.0.0.1')
  await once(socket, 'readable') // asks for no more than its buffer holds
  socket.destroy()
  expect(await seen.promise).toEqual(['error'])
})

mptcpTest.describe('one object, several connections', () => {
  test('again after close', async () => {
    await using echo = await echoServer()
    const texts = await sameAsNet(async connect => {
      const socket = connect(echo.port, '127.0.0.1')
      const seen: unknown[] = []
      for (const word of ['one', 'two', 'three']) {
        socket.end(word)
        const [data] = await once(socket, 'data')
        await once(socket, 'close')
        seen.push(String(data), socket.bytesRead, socket.bytesWritten, socket.destroyed)
        if (word !== 'three') socket.connect(echo.port, '127.0.0.1')
      }
      return seen
    })
    expect(texts).toContain('three')
  })

  test('again after a refusal', async () => {
    await using echo = await echoServer()
    const socket = new MptcpSocket()
    socket.connect(await refusingPort(), '127.0.0.1')
    await errorOf(socket)
    socket.connect(echo.port, '127.0.0.1').end('x')
    const [data] = await once(socket, 'data')
    expect(String(data)).toBe('x')
    expect(socket.remotePort).toBe(echo.port)
    expect(socket.mptcp).toMatchObject({ protocol: 'mptcp', attempts: 1 })
    await once(socket, 'close')
  })

  test('again in the close listener', async () => {
    await using echo = await echoServer()
    const socket = new MptcpSocket()
    let rounds = 0
    const done = new Promise<void>(resolve =>
      socket.on('close', () => (++rounds < 5 ? socket.connect(echo.port, '127.0.0.1') : resolve())),
    )
    socket.on('connect', () => socket.destroy())
    socket.connect(echo.port, '127.0.0.1')
    await done
  })

  test('while it is still connecting: the second destination counts', async () => {
    await using first = await echoServer()
    await using second = await echoServer()
    const socket = new MptcpSocket()
    let connects = 0
    socket.on('connect', () => connects++)
    socket.connect(first.port, '127.0.0.1')
    socket.connect(second.port, '127.0.0.1')
    await once(socket, 'connect')
    expect(socket.remotePort).toBe(second.port)
    socket.end('x').resume()
    await once(socket, 'close')
    expect(connects).toBe(1)
  })

  test('while it is connected: as with net.connect', async () => {
    await using echo = await echoServer()
    const entries = await sameAsNet(async connect => {
      const socket = connect(echo.port, '127.0.0.1')
      socket.once('connect', () => socket.connect(echo.port, '127.0.0.1', () => socket.end('x')).resume())
      return diary(socket)
    })
    expect(entries.at(-1)).toMatch(/^close false/)
  })
})

test('methods on a socket that was never connected', async () => {
  await sameAsNet(async connect => {
    const socket = connect === ours ? new MptcpSocket() : new net.Socket()
    const error = errorOf(socket)
    const { readyState, pending, connecting, bytesRead, bytesWritten, remoteAddress, localPort } = socket
    const address = socket.address()
    socket.setNoDelay().setKeepAlive(true).setTimeout(0).ref().unref().pause().resume()
    socket.resetAndDestroy()
    return {
      error: plain(await error),
      readyState,
      pending,
      connecting,
      bytesRead,
      bytesWritten,
      remoteAddress,
      localPort,
      address,
    }
  })
})

function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve!: (value: T) => void
  const promise = new Promise<T>(settle => {
    resolve = settle
  })
  return { promise, resolve }
}
