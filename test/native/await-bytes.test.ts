import { once } from 'node:events'
import type net from 'node:net'
import { expect, test } from 'vitest'
import { native } from '../../lib/runtime/kernel/native.js'
import { Completions, leavesNothing, MPTCP, pause, serve, TCP } from '../support/native-addon.js'
import { mptcp } from '../support/probes.js'
import { requires } from '../support/requires.js'

const EAGAIN = 11
const ECONNRESET = 104

const addon = native()
const completions = new Completions(addon)
const { reactor } = completions
leavesNothing(addon)

for (const [name, protocol] of [
  ['TCP', TCP],
  ['MPTCP', MPTCP],
] as const)
  requires('MPTCP', mptcp).describe(name, () => {
    /** A connection: our descriptor, and the server's socket. */
    async function pair() {
      let accepted: net.Socket | undefined
      const server = await serve(addon, { protocol }, socket => {
        accepted = socket.setNoDelay()
      })
      const fd = addon.socket(4, protocol)
      addon.connect(fd, server.address, server.port)
      expect(await completions.next(reactor.awaitConnected(fd))).toMatchObject({ status: 0 })
      while (!accepted) await pause(1)
      return {
        fd,
        peer: accepted,
        async [Symbol.asyncDispose]() {
          addon.close(fd)
          await server[Symbol.asyncDispose]()
        },
      }
    }

    test('byte by byte', async () => {
      await using both = await pair()
      const id = reactor.awaitBytes(both.fd, 5)
      for (const byte of 'hello') {
        expect(completions.of(id)).toEqual([])
        both.peer.write(byte)
        await pause(5)
      }
      await pause(20)
      expect(completions.of(id)).toEqual([{ id, status: 0, bytes: Buffer.from('hello') }])
    })

    test('what comes behind stays in the socket', async () => {
      await using both = await pair()
      both.peer.write('helloworld!')
      await pause(20)
      for (const part of ['hello', 'w', 'orld'])
        expect((await completions.next(reactor.awaitBytes(both.fd, part.length))).bytes).toEqual(Buffer.from(part))
      expect(await completions.next(reactor.awaitBytes(both.fd, 1))).toMatchObject({ bytes: Buffer.from('!') })
    })

    test('nothing is read before it is asked for, nor after', async () => {
      await using both = await pair()
      both.peer.write('a')
      await pause(10)
      await completions.next(reactor.awaitBytes(both.fd, 1))
      both.peer.write('b')
      await pause(20)
      expect((await completions.next(reactor.awaitBytes(both.fd, 1))).bytes).toEqual(Buffer.from('b'))
    })

    test('more than fits into one read', async () => {
      await using both = await pair()
      const sent = Buffer.alloc(3_000_001, 'atsss')
      both.peer.write(sent)
      const { status, bytes } = await completions.next(reactor.awaitBytes(both.fd, sent.length))
      expect([status, bytes?.equals(sent)]).toEqual([0, true])
    })

    test('the end of the stream before all has come: what there is, and no error', async () => {
      await using both = await pair()
      const id = reactor.awaitBytes(both.fd, 5)
      both.peer.end('hel')
      expect(await completions.next(id)).toEqual({ id, status: 0, bytes: Buffer.from('hel') })
      const again = reactor.awaitBytes(both.fd, 5)
      expect(await completions.next(again)).toEqual({ id: again, status: 0, bytes: Buffer.alloc(0) })
    })

    test('a reset before all has come: what there is, and the error', async () => {
      await using both = await pair()
      const id = reactor.awaitBytes(both.fd, 5)
      both.peer.write('hel')
      await pause(20)
      both.peer.resetAndDestroy()
      expect(await completions.next(id)).toEqual({ id, status: ECONNRESET, bytes: Buffer.from('hel') })
    })

    test('no bytes at all are there at once', async () => {
      await using both = await pair()
      both.peer.write('x')
      const id = reactor.awaitBytes(both.fd, 0)
      expect(await completions.next(id)).toEqual({ id, status: 0, bytes: Buffer.alloc(0) })
      expect((await completions.next(reactor.awaitBytes(both.fd, 1))).bytes).toEqual(Buffer.from('x'))
    })

    test('four gigabytes asked for cost nothing until they come', async () => {
      await using both = await pair()
      const before = process.memoryUsage().rss
      const id = reactor.awaitBytes(both.fd, 2 ** 32 - 1)
      both.peer.end('few')
      expect(await completions.next(id)).toMatchObject({ status: 0, bytes: Buffer.from('few') })
      expect(process.memoryUsage().rss - before).toBeLessThan(100e6)
    })
  })

test('without a connection: ENOTCONN', async () => {
  const fd = addon.socket(4, TCP)
  const { status } = await completions.next(reactor.awaitBytes(fd, 1))
  expect(status).not.toBe(EAGAIN)
  expect(status).toBe(107)
  addon.close(fd)
})

test('many at once, each its own', async () => {
  await using server = await serve(addon, { protocol: TCP }, socket => socket.pipe(socket))
  const sockets = Array.from({ length: 200 }, () => addon.socket(4, TCP))
  for (const fd of sockets) addon.connect(fd, server.address, server.port)
  await Promise.all(sockets.map(fd => completions.next(reactor.awaitConnected(fd))))
  for (const fd of sockets) addon.send(fd, Buffer.from(`from ${fd}`.padEnd(12)))
  const answers = await Promise.all(sockets.map(fd => completions.next(reactor.awaitBytes(fd, 12))))
  expect(answers.map(({ bytes }) => String(bytes).trim())).toEqual(sockets.map(fd => `from ${fd}`))
  for (const fd of sockets) addon.close(fd)
})

test('the descriptor, handed on, is as it should be for a net.Socket', async () => {
  await using server = await serve(addon, { protocol: TCP }, socket => socket.end('header and body'))
  const fd = addon.socket(4, TCP)
  addon.connect(fd, server.address, server.port)
  await completions.next(reactor.awaitConnected(fd))
  expect((await completions.next(reactor.awaitBytes(fd, 6))).bytes).toEqual(Buffer.from('header'))
  addon.release(fd)
  const { Socket } = await import('node:net')
  const socket = new Socket({ fd, readable: true, writable: true })
  let rest = ''
  socket.setEncoding('utf8').on('data', text => {
    rest += text
  })
  await once(socket, 'close')
  expect(rest).toBe(' and body')
})
