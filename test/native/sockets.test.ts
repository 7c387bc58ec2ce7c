import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import net from 'node:net'
import { networkInterfaces } from 'node:os'
import { describe, expect, test } from 'vitest'
import { systemError } from '../../lib/errors.js'
import { native } from '../../lib/runtime/kernel/native.js'
import { blockFor } from '../support/block-for.js'
import { Completions, int, leavesNothing, MPTCP, pause, serve, TCP, until } from '../support/native-addon.js'
import { mptcp } from '../support/probes.js'
import { requires } from '../support/requires.js'

const SOL_SOCKET = 1
const SO_TYPE = 3
const SO_ERROR = 4
const SO_SNDBUF = 7
const SOCK_STREAM = 1
const SOL_MPTCP = 284
const MPTCP_INFO = 1

const addon = native()
const completions = new Completions(addon)
const { reactor } = completions
const mptcpTest = requires('MPTCP', mptcp)

leavesNothing(addon)

/** What `call` throws, as plain properties. */
function failure(call: () => unknown): object {
  try {
    call()
  } catch (error) {
    return plain(error as Error)
  }
  throw new Error('nothing was thrown')
}

/** An Error's message counts, its stack does not. */
function plain(error: Error): object {
  const { message } = error
  return { ...error, message }
}

function expected(...args: Parameters<typeof systemError>): object {
  return plain(systemError(...args))
}

async function connected(fd: number, address: string, port: number): Promise<void> {
  addon.connect(fd, address, port)
  expect(await completions.next(reactor.awaitConnected(fd))).toMatchObject({ status: 0 })
}

describe('a connection', () => {
  for (const [name, protocol, family] of [
    ['TCP over IPv4', TCP, 4],
    ['TCP over IPv6', TCP, 6],
    ['MPTCP over IPv4', MPTCP, 4],
    ['MPTCP over IPv6', MPTCP, 6],
  ] as const)
    mptcpTest(`${name}: both ends have names, bytes go both ways`, async () => {
      await using server = await serve(addon, { protocol, family }, socket => socket.pipe(socket))
      const fd = addon.socket(family, protocol)
      addon.bind(fd, server.address, 0)
      await connected(fd, server.address, server.port)

      expect(addon.getpeername(fd)).toEqual({ address: server.address, family, port: server.port })
      const { address, family: localFamily, port } = addon.getsockname(fd)
      expect([address, localFamily]).toEqual([server.address, family])
      expect(port).toBeGreaterThan(0)

      expect(addon.send(fd, Buffer.from('hello'))).toBe(5)
      const { bytes } = await completions.next(reactor.awaitBytes(fd, 5))
      expect(bytes).toEqual(Buffer.from('hello'))
      addon.close(fd)
    })

  test('an IPv4-mapped peer keeps its IPv6 name', async () => {
    const server = net.createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as net.AddressInfo
    const fd = addon.socket(6, TCP)
    await connected(fd, '::ffff:127.0.0.1', port)
    expect(addon.getpeername(fd)).toEqual({ address: '::ffff:127.0.0.1', family: 6, port })
    addon.close(fd)
    server.close()
  })

  test('send returns 0 if the kernel can take nothing now', async () => {
    await using server = await serve(addon, { protocol: TCP }, socket => socket.pause())
    const fd = addon.socket(4, TCP)
    addon.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, int(4096))
    await connected(fd, server.address, server.port)
    const chunk = Buffer.alloc(65536)
    let taken = 1
    for (let rounds = 0; taken > 0 && rounds < 10_000; rounds++) taken = addon.send(fd, chunk)
    expect(taken).toBe(0)
    addon.reset(fd)
  })

  test('send after the peer has closed fails with EPIPE or ECONNRESET, without a signal', async () => {
    await using server = await serve(addon, { protocol: TCP }, socket => socket.resetAndDestroy())
    const fd = addon.socket(4, TCP)
    await connected(fd, server.address, server.port)
    await pause(50)
    expect(() => addon.send(fd, Buffer.from('x'))).toThrow(/^send (EPIPE|ECONNRESET)$/)
    expect(() => addon.send(fd, Buffer.from('x'))).toThrow(/^send EPIPE$/)
    addon.close(fd)
  })

  for (const [name, protocol] of [
    ['TCP', TCP],
    ['MPTCP', MPTCP],
  ] as const)
    mptcpTest(`the peer sees a reset: ${name}`, async () => {
      let heard: Promise<unknown> | undefined
      await using server = await serve(addon, { protocol }, socket => {
        heard = once(socket.resume(), 'error').then(([error]) => error)
      })
      const fd = addon.socket(4, protocol)
      await connected(fd, server.address, server.port)
      await until(() => heard)
      addon.reset(fd)
      expect(await heard).toMatchObject({ code: 'ECONNRESET', syscall: 'read' })
    })

  for (const [name, protocol] of [
    ['TCP', TCP],
    ['MPTCP', MPTCP],
  ] as const)
    mptcpTest(`shutdown ends the stream after what was sent, and one can still listen: ${name}`, async () => {
      const received: Buffer[] = []
      await using server = await serve(addon, { protocol }, socket =>
        socket.on('data', data => received.push(data)).on('end', () => socket.end('bye')),
      )
      const fd = addon.socket(4, protocol)
      await connected(fd, server.address, server.port)
      addon.send(fd, Buffer.from('hello'))
      addon.shutdown(fd)
      expect(await completions.next(reactor.awaitBytes(fd, 9))).toMatchObject({ status: 0, bytes: Buffer.from('bye') })
      expect(Buffer.concat(received).toString()).toBe('hello')
      expect(() => addon.send(fd, Buffer.from('x'))).toThrow('send EPIPE')
      addon.close(fd)
    })

  test('shutdown without a connection: ENOTCONN', () => {
    const fd = addon.socket(4, TCP)
    expect(() => addon.shutdown(fd)).toThrow('shutdown ENOTCONN')
    addon.close(fd)
  })

  mptcpTest('a socket can be reset before it is connected', () => {
    for (const protocol of [TCP, MPTCP]) addon.reset(addon.socket(4, protocol))
  })
})

mptcpTest('unread: what has come and has not been received', async () => {
  await using server = await serve(addon, {}, socket => socket.write('hello'))
  const fd = addon.socket(4, MPTCP)
  await connected(fd, server.address, server.port)
  await until(() => addon.unread(fd) === 5)
  expect(addon.unread(fd)).toBe(5)
  await completions.next(reactor.awaitBytes(fd, 2))
  expect(addon.unread(fd)).toBe(3)
  addon.close(fd)
  expect(() => addon.unread(fd)).toThrow('ioctl EBADF')
})

describe('addresses', () => {
  const fd = () => addon.socket(4, TCP)
  const bad = [
    '',
    'localhost',
    '127.0.0',
    '127.1',
    '01.2.3.4',
    '1.2.3.4.5',
    ' 127.0.0.1',
    '127.0.0.1\0',
    '[::1]',
    '::1::',
  ]
  for (const literal of [...bad, '127.0.0.1%lo', '1.2.3.4/8', '::ffff:1.2.3', '%lo'])
    test(`${JSON.stringify(literal)} is not an address`, () => {
      const socket = fd()
      expect(failure(() => addon.bind(socket, literal, 1))).toMatchObject({ code: 'EINVAL', syscall: 'bind' })
      addon.close(socket)
    })

  test('an unknown interface in a scope is ENODEV', () => {
    const socket = addon.socket(6, TCP)
    for (const literal of ['fe80::1%', 'fe80::1%nosuchif', 'fe80::1%lo%lo', 'fe80::1%0'])
      expect(failure(() => addon.connect(socket, literal, 80))).toEqual(expected(19, 'connect', literal, 80))
    addon.close(socket)
  })

  const linkLocal = Object.entries(networkInterfaces()).flatMap(([name, addresses]) =>
    addresses!
      .filter(({ address }) => address.startsWith('fe80:'))
      .map(({ address, scopeid }) => ({ name, address, scopeid })),
  )[0]
  requires('an interface with a link-local IPv6 address', () => (linkLocal ? undefined : 'none has one'))(
    'a scope may be a name or a number, and comes back as a name',
    () => {
      const { address, name, scopeid } = linkLocal!
      for (const scope of [name, scopeid]) {
        const socket = addon.socket(6, TCP)
        addon.bind(socket, `${address}%${scope}`, 0)
        expect(addon.getsockname(socket).address).toBe(`${address}%${name}`)
        addon.close(socket)
      }
    },
  )

  test('no address at all, without a connection', () => {
    const socket = addon.socket(4, TCP)
    expect(addon.getsockname(socket)).toEqual({ address: '0.0.0.0', family: 4, port: 0 })
    expect(failure(() => addon.getpeername(socket))).toEqual(expected(107, 'getpeername'))
    addon.close(socket)
  })
})

describe('errors are shaped as those of Node', () => {
  test('with the address it was about', () => {
    const socket = addon.socket(4, TCP)
    const EADDRNOTAVAIL = 99
    expect(failure(() => addon.bind(socket, '192.0.2.1', 80))).toEqual(expected(EADDRNOTAVAIL, 'bind', '192.0.2.1', 80))
    addon.close(socket)
  })

  test('without one', () => {
    const socket = addon.socket(4, TCP)
    const ENOPROTOOPT = 92
    expect(failure(() => addon.getsockopt(socket, SOL_SOCKET, 9999, 4))).toEqual(expected(ENOPROTOOPT, 'getsockopt'))
    addon.close(socket)
    const EPROTONOSUPPORT = 93
    expect(failure(() => addon.socket(4, 17))).toEqual(expected(EPROTONOSUPPORT, 'socket'))
  })

  test('Node reports a refused connection in the same way', async () => {
    const [refused] = await once(net.connect(1, '127.0.0.1'), 'error')
    expect(plain(refused)).toEqual(expected(111, 'connect', '127.0.0.1', 1))
  })
})

describe('options', () => {
  test('are as long as the kernel returns them, and no longer than requested', () => {
    const socket = addon.socket(4, TCP)
    expect(addon.getsockopt(socket, SOL_SOCKET, SO_TYPE, 64)).toEqual(Buffer.from(int(SOCK_STREAM)))
    expect(addon.getsockopt(socket, SOL_SOCKET, SO_TYPE, 2)).toEqual(Buffer.from(int(SOCK_STREAM)).subarray(0, 2))
    expect(addon.getsockopt(socket, SOL_SOCKET, SO_ERROR, 0)).toHaveLength(0)
    addon.close(socket)
  })

  test('as an int: the value, or undefined where the protocol has no such option', () => {
    const socket = addon.socket(4, TCP)
    expect(addon.getsockoptInt(socket, SOL_SOCKET, SO_TYPE)).toBe(SOCK_STREAM)
    addon.setsockopt(socket, SOL_SOCKET, SO_SNDBUF, int(8192))
    expect(addon.getsockoptInt(socket, SOL_SOCKET, SO_SNDBUF)).toBe(16_384) // the kernel doubles it
    expect(addon.getsockoptInt(socket, SOL_SOCKET, 9999)).toBeUndefined()
    expect(addon.getsockoptInt(socket, SOL_MPTCP, MPTCP_INFO)).toBeUndefined()
    addon.close(socket)
  })

  test('too short a value is EINVAL', () => {
    const socket = addon.socket(4, TCP)
    expect(() => addon.setsockopt(socket, SOL_SOCKET, SO_SNDBUF, new Uint8Array(1))).toThrow('setsockopt EINVAL')
    addon.close(socket)
  })

  mptcpTest('MPTCP_INFO of an MPTCP connection', async () => {
    await using server = await serve(addon, {})
    const fd = addon.socket(4, MPTCP)
    await connected(fd, server.address, server.port)
    expect(addon.getsockopt(fd, SOL_MPTCP, MPTCP_INFO, 512).length).toBeGreaterThan(40)
    expect(addon.getsockoptInt(fd, SOL_MPTCP, MPTCP_INFO)).toBeTypeOf('number')
    addon.close(fd)
  })

  test('names and options of descriptors that libuv owns', async () => {
    const server = net.createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as net.AddressInfo
    const { fd } = (server as unknown as { _handle: { fd: number } })._handle
    expect(addon.getsockname(fd)).toEqual({ address: '127.0.0.1', family: 4, port })
    expect(addon.getsockopt(fd, SOL_SOCKET, SO_TYPE, 4)).toEqual(Buffer.from(int(SOCK_STREAM)))
    addon.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, int(8192))
    server.close()
  })

  test('of descriptors that are no sockets: ENOTSOCK; of none: EBADF', () => {
    for (const call of [
      (fd: number) => addon.getsockname(fd),
      (fd: number) => addon.getpeername(fd),
      (fd: number) => addon.getsockopt(fd, SOL_SOCKET, SO_TYPE, 4),
      (fd: number) => addon.getsockoptInt(fd, SOL_SOCKET, SO_TYPE),
      (fd: number) => addon.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, int(8192)),
    ]) {
      expect(() => call(999_999)).toThrow(/EBADF/)
      expect(() => call(-1)).toThrow(/EBADF/)
      const file = openSync('/dev/null', 'r')
      expect(() => call(file)).toThrow(/ENOTSOCK/)
      closeSync(file)
    }
  })
})

test('connect waits for nothing', async () => {
  await using server = await serve(addon, { protocol: TCP })
  const fd = addon.socket(4, TCP)
  expect(addon.connect(fd, server.address, server.port)).toBe(false)
  blockFor(20)
  expect(addon.connect(fd, server.address, server.port)).toBe(true)
  expect(() => addon.connect(fd, server.address, server.port)).toThrow(
    `connect EISCONN ${server.address}:${server.port}`,
  )
  addon.close(fd)
})
