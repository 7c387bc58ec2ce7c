import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import net from 'node:net'
import { expect, test } from 'vitest'
import { native } from '../../lib/runtime/kernel/native.js'
import { blockFor } from '../support/block-for.js'
import { Completions, leavesNothing, pause, serve, TCP, until } from '../support/native-addon.js'

const EPOLLIN = 1
const EPOLLOUT = 4
const EPOLLRDHUP = 0x2000

const addon = native()
const completions = new Completions(addon)
const { reactor } = completions
leavesNothing(addon)

function descriptorOf(socket: net.Socket): number {
  return (socket as unknown as { _handle: { fd: number } })._handle.fd
}

/** Two ends of a connection that libuv owns, and the descriptor of the first. */
async function pair() {
  const server = net.createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const near = net.connect({ port: (server.address() as net.AddressInfo).port, allowHalfOpen: true })
  const [[far]] = (await Promise.all([once(server, 'connection'), once(near, 'connect')])) as [[net.Socket], unknown]
  return {
    near,
    far,
    fd: descriptorOf(near),
    async [Symbol.asyncDispose]() {
      near.destroy()
      far.destroy()
      await new Promise(resolve => server.close(resolve))
    },
  }
}

test('one report for each edge, until cancelled', async () => {
  let far: net.Socket | undefined
  await using server = await serve(addon, { protocol: TCP }, socket => {
    far = socket.setNoDelay()
  })
  const fd = addon.socket(4, TCP)
  addon.connect(fd, server.address, server.port)
  await until(() => far)
  const id = reactor.watchEdges(fd, EPOLLIN)
  for (const count of [1, 2, 3]) {
    far!.write('x')
    await until(() => completions.of(id).length === count)
    expect(completions.of(id)).toEqual(Array.from({ length: count }, () => ({ id, status: EPOLLIN })))
  }
  reactor.cancel(id)
  far!.write('x')
  await pause(20)
  expect(completions.of(id)).toHaveLength(3)
  addon.close(fd)
})

test('libuv reads on beside it, and misses nothing', async () => {
  await using both = await pair()
  const received: Buffer[] = []
  both.near.on('data', data => received.push(data))
  const id = reactor.watchEdges(both.fd, EPOLLIN)
  const sent = Buffer.alloc(1_000_000, 'atsss')
  both.far.write(sent)
  await until(() => Buffer.concat(received).length === sent.length)
  expect(Buffer.concat(received).equals(sent)).toBe(true)
  // Not as many as there were pieces: epoll keeps quiet of what libuv has read before it could say so.
  for (const { status } of completions.of(id)) expect(status).toBe(EPOLLIN)
  reactor.cancel(id)
})

test('data that is there already is the first edge; unread data is not a second one', async () => {
  await using server = await serve(addon, { protocol: TCP }, socket => socket.write('unread'))
  const fd = addon.socket(4, TCP)
  addon.connect(fd, server.address, server.port)
  await pause(20)
  const id = reactor.watchEdges(fd, EPOLLIN | EPOLLOUT)
  await pause(50)
  expect(completions.of(id)).toEqual([{ id, status: EPOLLIN | EPOLLOUT }])
  addon.close(fd)
})

test('edges that were not delivered yet are one report, of all their events', async () => {
  let accepted: net.Socket | undefined
  await using server = await serve(addon, { protocol: TCP }, socket => {
    accepted = socket.resume()
  })
  const fd = addon.socket(4, TCP)
  addon.connect(fd, server.address, server.port)
  await until(() => accepted)
  const id = reactor.watchEdges(descriptorOf(accepted!), EPOLLIN | EPOLLRDHUP)
  // This thread hears nothing until it is done.
  addon.send(fd, Buffer.from('x'))
  blockFor(20)
  addon.shutdown(fd)
  blockFor(20)
  await pause(20)
  expect(completions.of(id)).toEqual([{ id, status: EPOLLIN | EPOLLRDHUP }])
  reactor.cancel(id)
  addon.close(fd)
})

test('each report is of its own time', async () => {
  let far: net.Socket | undefined
  await using server = await serve(addon, { protocol: TCP }, socket => {
    far = socket.pause()
  })
  const fd = addon.socket(4, TCP)
  addon.connect(fd, server.address, server.port)
  await until(() => far)
  const id = reactor.watchEdges(fd, EPOLLIN | EPOLLOUT)
  await until(() => completions.of(id).length === 1)
  // Full, so that it cannot be written to any more.
  for (let quiet = 0; quiet < 20; ) {
    quiet = addon.send(fd, Buffer.alloc(1 << 20)) > 0 ? 0 : quiet + 1
    await pause(1)
  }
  far!.write('x')
  await until(() => completions.of(id).at(-1)!.status & EPOLLIN)
  expect(completions.of(id)[0]).toEqual({ id, status: EPOLLOUT })
  expect(completions.of(id).at(-1)).toEqual({ id, status: EPOLLIN })
  addon.reset(fd)
})

test('no edge, no report', async () => {
  await using both = await pair()
  const id = reactor.watchEdges(both.fd, EPOLLIN)
  await pause(20)
  expect(completions.of(id)).toEqual([])
  reactor.cancel(id)
})

test('a descriptor has one wait at a time', async () => {
  await using server = await serve(addon, { protocol: TCP })
  const fd = addon.socket(4, TCP)
  addon.connect(fd, server.address, server.port)
  for (const wait of [
    () => reactor.watchEdges(fd, EPOLLIN),
    () => reactor.awaitBytes(fd, 0),
    () => reactor.awaitBytes(fd, 1),
    () => reactor.awaitConnected(fd),
  ]) {
    const id = wait()
    expect(() => reactor.watchEdges(fd, EPOLLIN)).toThrow('epoll_ctl EBUSY')
    expect(() => reactor.awaitBytes(fd, 1)).toThrow('epoll_ctl EBUSY')
    expect(() => reactor.awaitBytes(fd, 0)).toThrow('epoll_ctl EBUSY')
    expect(() => reactor.awaitConnected(fd)).toThrow('epoll_ctl EBUSY')
    // The last of them has finished meanwhile, but nobody has been told.
    blockFor(20)
    expect(() => reactor.awaitBytes(fd, 1)).toThrow('epoll_ctl EBUSY')
    reactor.cancel(id)
  }
  addon.close(fd)
})

test('what epoll cannot watch is thrown: EPERM for a file, EBADF for nothing', () => {
  const file = openSync('/proc/self/status', 'r')
  expect(() => reactor.watchEdges(file, EPOLLIN)).toThrow(/^epoll_ctl (EPERM)$/)
  closeSync(file)
  expect(() => reactor.watchEdges(file, EPOLLIN)).toThrow('epoll_ctl EBADF')
  expect(() => reactor.watchEdges(-1, EPOLLIN)).toThrow('epoll_ctl EBADF')
})

test('the descriptor is closed by others: silence, until cancelled', async () => {
  const both = await pair()
  const id = reactor.watchEdges(both.fd, EPOLLIN)
  await both[Symbol.asyncDispose]()
  await pause(20)
  expect(addon.counts().waits).toBe(1)
  reactor.cancel(id)
})

test('the descriptor is closed by others, and its number is used again', async () => {
  const both = await pair()
  const stale = reactor.watchEdges(both.fd, EPOLLIN)
  const number = both.fd
  await both[Symbol.asyncDispose]()

  let far: net.Socket | undefined
  await using server = await serve(addon, { protocol: TCP }, socket => {
    far = socket
  })
  const sockets: number[] = []
  do sockets.push(addon.socket(4, TCP))
  while (sockets.at(-1)! < number)
  expect(sockets).toContain(number)

  addon.connect(number, server.address, server.port)
  await until(() => far)
  const id = reactor.awaitBytes(number, 3)
  expect(addon.counts().waits).toBe(1)
  reactor.cancel(stale)
  far!.write('new')
  expect(await completions.next(id)).toMatchObject({ status: 0, bytes: Buffer.from('new') })
  expect(completions.of(stale)).toEqual([])
  for (const fd of sockets) addon.close(fd)
})
