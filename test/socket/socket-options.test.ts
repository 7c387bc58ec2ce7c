import { once } from 'node:events'
import type net from 'node:net'
import { describe, expect, test } from 'vitest'
import { native } from '../../lib/runtime/kernel/native.js'
import { MptcpSocket } from '../../lib/socket/socket.js'
import { echoServer, server } from '../support/echo-server.js'
import { TCP } from '../support/native-addon.js'
import { leavesNothingOpen } from '../support/open-things.js'
import { mptcp } from '../support/probes.js'
import { requires } from '../support/requires.js'
import { type Connect, errorOf, ours, sameAsNet } from '../support/same-as-net.js'

const mptcpTest = requires('MPTCP', mptcp)

leavesNothingOpen()

const SOL_SOCKET = 1
const SO_KEEPALIVE = 9
const TCP_NODELAY = 1
const TCP_KEEPIDLE = 4
const TCP_KEEPINTVL = 5
const TCP_KEEPCNT = 6

/** What the kernel has set on a socket. */
function kernelOptions(socket: net.Socket): Record<'noDelay' | 'keepAlive' | 'idle' | 'interval' | 'count', number> {
  const { fd } = (socket as unknown as { _handle: { fd: number } })._handle
  const number = (level: number, name: number) => native().getsockopt(fd, level, name, 4).readInt32LE()
  return {
    noDelay: number(TCP, TCP_NODELAY),
    keepAlive: number(SOL_SOCKET, SO_KEEPALIVE),
    idle: number(TCP, TCP_KEEPIDLE),
    interval: number(TCP, TCP_KEEPINTVL),
    count: number(TCP, TCP_KEEPCNT),
  }
}

mptcpTest.describe('noDelay and keepAlive, by what the kernel says', () => {
  const ways: Record<string, (connect: Connect, options: net.TcpNetConnectOpts) => net.Socket> = {
    nothing: (connect, options) => connect(options),
    'noDelay: true': (connect, options) => connect({ ...options, noDelay: true }),
    'keepAlive: true': (connect, options) => connect({ ...options, keepAlive: true }),
    'keepAlive with a delay': (connect, options) =>
      connect({ ...options, keepAlive: true, keepAliveInitialDelay: 54_321 }),
    'keepAlive: false, with a delay': (connect, options) =>
      connect({ ...options, keepAlive: false, keepAliveInitialDelay: 54_321 }),
    'setNoDelay() while connecting': (connect, options) => connect(options).setNoDelay(),
    'setNoDelay(false) while connecting': (connect, options) =>
      connect({ ...options, noDelay: true }).setNoDelay(false),
    'setKeepAlive() while connecting': (connect, options) => connect(options).setKeepAlive(true, 54_321),
    'setKeepAlive(false) while connecting': (connect, options) =>
      connect({ ...options, keepAlive: true }).setKeepAlive(false),
    'a changed delay while connecting': (connect, options) =>
      connect({ ...options, keepAlive: true, keepAliveInitialDelay: 12_000 }).setKeepAlive(true, 34_000),
  }
  const wanted: Record<string, object> = {
    'noDelay: true': { noDelay: 1 },
    'keepAlive: true': { keepAlive: 1 },
    'keepAlive with a delay': { keepAlive: 1, idle: 54 },
    'setNoDelay() while connecting': { noDelay: 1 },
    'setNoDelay(false) while connecting': { noDelay: 0 },
    'setKeepAlive() while connecting': { keepAlive: 1, idle: 54 },
    'setKeepAlive(false) while connecting': { keepAlive: 0 },
    'a changed delay while connecting': { keepAlive: 1, idle: 34 },
    nothing: { noDelay: 0, keepAlive: 0 },
    'keepAlive: false, with a delay': { keepAlive: 0 },
  }
  for (const [name, call] of Object.entries(ways))
    test(name, async () => {
      await using echo = await echoServer()
      const socket = call(ours, { port: echo.port, host: '127.0.0.1' })
      await once(socket, 'connect')
      expect(kernelOptions(socket)).toMatchObject(wanted[name]!)
      socket.destroy()
    })

  test('all that setKeepAlive() takes while connecting, as far as this Node does', async () => {
    await using echo = await echoServer()
    await sameAsNet(async connect => {
      const socket = connect(echo.port, '127.0.0.1')
      const setKeepAlive = socket.setKeepAlive as (...how: unknown[]) => net.Socket
      setKeepAlive.call(socket, true, 54_321, 6_000, 4)
      await once(socket, 'connect')
      const set = kernelOptions(socket)
      socket.destroy()
      return set
    })
  })

  test('after the connection is there', async () => {
    await using echo = await echoServer()
    const socket = ours(echo.port)
    await once(socket, 'connect')
    expect(kernelOptions(socket.setNoDelay())).toMatchObject({ noDelay: 1 })
    expect(kernelOptions(socket.setNoDelay(false))).toMatchObject({ noDelay: 0 })
    expect(kernelOptions(socket.setKeepAlive(true, 9_000))).toMatchObject({ keepAlive: 1, idle: 9 })
    expect(kernelOptions(socket.setKeepAlive(false))).toMatchObject({ keepAlive: 0 })
    socket.destroy()
  })

  test('given to the constructor, or set before connect()', async () => {
    await using echo = await echoServer()
    const sockets = [
      new MptcpSocket({ noDelay: true, keepAlive: true, keepAliveInitialDelay: 7_000 } as never),
      new MptcpSocket().setNoDelay().setKeepAlive(true, 7_000),
    ]
    for (const socket of sockets) {
      socket.connect(echo.port)
      await once(socket, 'connect')
      expect(kernelOptions(socket)).toMatchObject({ noDelay: 1, keepAlive: 1, idle: 7 })
      socket.destroy()
    }
  })

  test('they hold for a second connection of the same object', async () => {
    await using echo = await echoServer()
    const socket = new MptcpSocket()
    socket.connect({ port: echo.port, noDelay: true })
    await once(socket, 'connect')
    socket.destroy()
    await once(socket, 'close')
    socket.connect(echo.port)
    await once(socket, 'connect')
    expect(kernelOptions(socket)).toMatchObject({ noDelay: 1 })
    socket.destroy()
  })
})

mptcpTest.describe('the local side', () => {
  test.each<[string, object, object]>([
    ['localAddress', { localAddress: '127.0.0.7' }, { address: '127.0.0.7' }],
    ['localPort', { localPort: 23_804 }, { port: 23_804 }],
    ['both', { localAddress: '127.0.0.7', localPort: 23_805 }, { address: '127.0.0.7', port: 23_805 }],
    ['empty and 0 are none', { localAddress: '', localPort: 0 }, { address: '127.0.0.1' }],
  ])('%s', async (_, options, expected) => {
    await using echo = await echoServer()
    const address = await sameAsNet(async connect => {
      const socket = connect({ port: echo.port, host: '127.0.0.1', ...options } as net.TcpNetConnectOpts)
      await once(socket, 'connect')
      const { localAddress: address, localPort: port, localFamily: family } = socket
      socket.resetAndDestroy() // so that the port is free again at once
      await once(socket, 'close')
      return 'localPort' in options && options.localPort ? { address, port, family } : { address, family }
    })
    expect(address).toMatchObject(expected)
  })
})

mptcpTest.describe('the timeout option', () => {
  test('is told once nothing happens', async () => {
    await using silent = await server(() => {})
    const times = await sameAsNet(async connect => {
      const socket = connect({ port: silent.port, host: '127.0.0.1', timeout: 20 })
      await once(socket, 'timeout')
      const { timeout, connecting } = socket
      socket.destroy()
      return { timeout, connecting }
    })
    expect(times).toEqual({ timeout: 20, connecting: false })
  })

  test('is told while the name is being looked up, and the connection goes on', async () => {
    await using echo = await echoServer()
    const lookup = ((_: string, __: object, done: (...found: unknown[]) => void) =>
      setTimeout(done, 60, null, [{ address: '127.0.0.1', family: 4 }])) as never
    const socket = ours({ port: echo.port, host: 'slow.example', lookup, timeout: 15 })
    await once(socket, 'timeout')
    expect(socket.connecting).toBe(true)
    await once(socket, 'connect')
    socket.destroy()
  })
})

mptcpTest.describe('a signal aborts', () => {
  const abortError = { name: 'AbortError', code: 'ABORT_ERR' }
  const aborted: Record<string, (connect: Connect, port: number, abort: AbortController) => net.Socket> = {
    'in the same turn': (connect, port, abort) => {
      const socket = connect({ port, host: '127.0.0.1', signal: abort.signal })
      abort.abort()
      return socket
    },
    'during the lookup': (connect, port, abort) => {
      const socket = connect({ port, host: 'slow.example', signal: abort.signal, lookup: () => {} })
      setImmediate(() => abort.abort())
      return socket
    },
    'when it connects': (connect, port, abort) =>
      connect({ port, host: '127.0.0.1', signal: abort.signal }, () => abort.abort()),
    'while it is used': (connect, port, abort) => {
      const socket = connect({ port, host: '127.0.0.1', signal: abort.signal })
      socket.write('x')
      return socket.on('data', () => abort.abort())
    },
  }
  for (const [name, call] of Object.entries(aborted))
    test(name, async () => {
      await using echo = await echoServer()
      expect(await sameAsNet(connect => errorOf(call(connect, echo.port, new AbortController())))).toMatchObject(
        abortError,
      )
    })

  test('before it begins', async () => {
    await using echo = await echoServer()
    const signal = AbortSignal.abort()
    const connected = () => expect.unreachable('net.connect brings the socket back to life')
    const socket = ours({ port: echo.port, host: '127.0.0.1', signal }, connected)
    expect(await errorOf(socket)).toMatchObject(abortError)
    expect(socket.destroyed).toBe(true)
  })

  test('after the SYN', async () => {
    const abort = new AbortController()
    const socket = ours({ port: 9, host: '127.0.0.1', signal: abort.signal })
    socket.on('connectionAttempt', () => process.nextTick(() => abort.abort()))
    expect(await errorOf(socket)).toMatchObject(abortError)
  })
})

describe('onread', () => {
  mptcpTest('reads into the buffer given', async () => {
    await using echo = await echoServer()
    const text = await sameAsNet(async connect => {
      const buffer = Buffer.alloc(4)
      let received = ''
      let buffers = 0
      const callback = (length: number, into: Uint8Array) => {
        if (into === buffer) buffers++
        received += Buffer.from(into.subarray(0, length))
        return true
      }
      const socket = connect({ port: echo.port, host: '127.0.0.1', onread: { buffer, callback } })
      socket.end('hello, world')
      await once(socket, 'close')
      return { received, buffers: buffers > 2 }
    })
    expect(text).toEqual({ received: 'hello, world', buffers: true })
  })
})
