import net from 'node:net'
import { Worker } from 'node:worker_threads'
import { expect, test } from 'vitest'
import { native } from '../../lib/runtime/kernel/native.js'
import { Completions, int, leavesNothing, MPTCP, pause, refusingPort, serve, TCP } from '../support/native-addon.js'
import { mptcp, mptcpFastOpen } from '../support/probes.js'
import { requires } from '../support/requires.js'

const IPPROTO_TCP = 6
const TCP_FASTOPEN_CONNECT = 30
const TCP_FASTOPEN_NO_COOKIE = 34
const ECONNRESET = 104
const ENOTCONN = 107
const ECONNREFUSED = 111

const addon = native()
const completions = new Completions(addon)
const { reactor } = completions
const mptcpTest = requires('MPTCP', mptcp)

leavesNothing(addon)

for (const [name, protocol] of [
  ['TCP', TCP],
  ['MPTCP', MPTCP],
] as const)
  mptcpTest.describe(name, () => {
    test('refused', async () => {
      const fd = addon.socket(4, protocol)
      addon.connect(fd, '127.0.0.1', await refusingPort())
      expect(await completions.next(reactor.awaitConnected(fd))).toMatchObject({ status: ECONNREFUSED })
      addon.close(fd)
    })

    test('connected long before it is asked', async () => {
      await using server = await serve(addon, { protocol })
      const fd = addon.socket(4, protocol)
      addon.connect(fd, server.address, server.port)
      await pause(20)
      expect(await completions.next(reactor.awaitConnected(fd))).toMatchObject({ status: 0 })
      addon.close(fd)
    })

    test('a connection that is deferred until there is data is not connected, although it is writable', async () => {
      await using server = await serve(addon, { protocol })
      const fd = addon.socket(4, protocol)
      for (const option of [TCP_FASTOPEN_NO_COOKIE, TCP_FASTOPEN_CONNECT])
        addon.setsockopt(fd, IPPROTO_TCP, option, int(1))
      expect(addon.connect(fd, server.address, server.port)).toBe(true)
      const id = reactor.awaitConnected(fd)
      await pause(30)
      expect(completions.of(id)).toEqual([])
      expect(addon.send(fd, Buffer.from('hello'))).toBe(5)
      expect(await completions.next(id)).toMatchObject({ status: 0 })
      addon.close(fd)
    })

    test('a socket that never called connect', async () => {
      const fd = addon.socket(4, protocol)
      expect(await completions.next(reactor.awaitConnected(fd))).toMatchObject({ status: ENOTCONN })
      addon.close(fd)
    })

    test('a reset right after accept is no failed connection, and is there to be read', async () => {
      await using server = await resettingServer(protocol)
      for (let round = 0; round < 50; round++) {
        const fd = addon.socket(4, protocol)
        addon.connect(fd, '127.0.0.1', server.port)
        // Half of them are asked about when the reset is long there.
        if (round % 2) await pause(2)
        expect(await completions.next(reactor.awaitConnected(fd))).toMatchObject({ status: 0 })
        const ended = await completions.next(reactor.awaitBytes(fd, 1))
        expect(ended).toMatchObject({ status: ECONNRESET, bytes: Buffer.alloc(0) })
        addon.close(fd)
      }
    })

    test('the end of the stream right after accept is no failed connection', async () => {
      await using server = await serve(addon, { protocol }, socket => socket.end())
      const fd = addon.socket(4, protocol)
      addon.connect(fd, server.address, server.port)
      expect(await completions.next(reactor.awaitConnected(fd))).toMatchObject({ status: 0 })
      expect(await completions.next(reactor.awaitBytes(fd, 1))).toMatchObject({ status: 0, bytes: Buffer.alloc(0) })
      addon.close(fd)
    })

    requires('Fast Open on MPTCP sockets', mptcpFastOpen)(
      'a SYN that is not answered is waited for, also one with data in it',
      async () => {
        const full = await fullListener(protocol)
        const plain = addon.socket(4, protocol)
        addon.connect(plain, '127.0.0.1', full.port)
        const fast = addon.socket(4, protocol)
        addon.setsockopt(fast, IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, int(1))
        expect(addon.sendFastOpen(fast, '127.0.0.1', full.port, Buffer.from('early'))).toBe(5)
        const waits = [reactor.awaitConnected(plain), reactor.awaitConnected(fast)]
        await pause(300)
        expect(waits.flatMap(id => completions.of(id))).toEqual([])

        // The kernel sends the SYNs again after a second.
        const answers = Promise.all(waits.map(id => completions.next(id)))
        await full.makeRoom()
        expect((await answers).map(({ status }) => status)).toEqual([0, 0])
        for (const fd of [plain, fast]) addon.close(fd)
      },
      20_000,
    )
  })

/** Resets what it accepts, from a thread of its own: as soon as can be. */
async function resettingServer(protocol: number): Promise<{ port: number } & AsyncDisposable> {
  const fd = addon.socket(4, protocol)
  addon.bind(fd, '127.0.0.1', 0)
  addon.listen(fd, 128)
  const { port } = addon.getsockname(fd)
  addon.release(fd)
  const worker = new Worker(
    `const { parentPort, workerData } = require('node:worker_threads')
    require('node:net').createServer(socket => socket.resetAndDestroy())
      .listen({ fd: workerData }, () => parentPort.postMessage('listening'))`,
    { eval: true, workerData: fd },
  )
  await new Promise(resolve => worker.once('message', resolve))
  return { port, [Symbol.asyncDispose]: async () => void (await worker.terminate()) }
}

/** Listens, and has as many connections as it wants: to a SYN it says nothing. */
async function fullListener(protocol: number) {
  const listener = addon.socket(4, protocol)
  addon.bind(listener, '127.0.0.1', 0)
  addon.listen(listener, 0)
  const { port } = addon.getsockname(listener)
  const filling = addon.socket(4, protocol)
  addon.connect(filling, '127.0.0.1', port)
  expect(await completions.next(reactor.awaitConnected(filling))).toMatchObject({ status: 0 })
  return {
    port,
    /** Accepts all there are. */
    async makeRoom() {
      addon.release(listener)
      const server = net.createServer(socket => socket.resume()).listen({ fd: listener })
      addon.close(filling)
      setTimeout(() => server.close(), 5000).unref()
    },
  }
}
