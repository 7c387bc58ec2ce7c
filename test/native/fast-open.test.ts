import { expect, test, vi } from 'vitest'
import { native } from '../../lib/runtime/kernel/native.js'
import {
  Completions,
  int,
  leavesNothing,
  MPTCP,
  ownNamespace,
  refusingPort,
  runScript,
  serve,
  TCP,
  until,
} from '../support/native-addon.js'
import { mptcpFastOpen } from '../support/probes.js'
import { requires } from '../support/requires.js'

const IPPROTO_TCP = 6
const TCP_FASTOPEN = 23
const TCP_FASTOPEN_NO_COOKIE = 34
const ECONNREFUSED = 111

vi.setConfig({ testTimeout: 60_000 })

const addon = native()
const completions = new Completions(addon)
const { reactor } = completions
leavesNothing(addon)

for (const [name, protocol] of [
  ['TCP', TCP],
  ['MPTCP', MPTCP],
] as const)
  requires('Fast Open on MPTCP sockets', mptcpFastOpen).describe(name, () => {
    function socket(cookie: 'no cookie' | 'cookie' = 'no cookie') {
      const fd = addon.socket(4, protocol)
      if (cookie === 'no cookie') addon.setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, int(1))
      return fd
    }

    /** A listener that takes data in SYNs where the system lets it, and what it has received. */
    async function listener() {
      const received: Buffer[] = []
      const server = await serve(
        addon,
        { protocol, prepare: fd => addon.setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN, int(16)) },
        socket => socket.on('data', data => received.push(data)),
      )
      return Object.assign(server, { received: () => Buffer.concat(received) })
    }

    test('connects, and the bytes arrive once, whether the SYN could carry them or not', async () => {
      await using server = await listener()
      const fd = socket()
      expect(addon.sendFastOpen(fd, server.address, server.port, Buffer.from('hello'))).toBe(5)
      expect(await completions.next(reactor.awaitConnected(fd))).toMatchObject({ status: 0 })
      expect(addon.send(fd, Buffer.from(' world'))).toBe(6)
      await until(() => server.received().length >= 11)
      expect(server.received().toString()).toBe('hello world')
      addon.close(fd)
    })

    test('more than a SYN can carry: returns how much was taken; the rest can follow', async () => {
      await using server = await listener()
      const fd = socket()
      const sent = Buffer.alloc(100_000, 'atsss')
      const taken = addon.sendFastOpen(fd, server.address, server.port, sent)
      expect(taken).toBeGreaterThan(0)
      expect(taken).toBeLessThan(sent.length)
      expect(await completions.next(reactor.awaitConnected(fd))).toMatchObject({ status: 0 })
      expect(addon.send(fd, sent.subarray(taken))).toBe(sent.length - taken)
      await until(() => server.received().length >= sent.length)
      expect(server.received().equals(sent)).toBe(true)
      addon.close(fd)
    })

    test('no bytes at all is a connection too', async () => {
      await using server = await listener()
      const fd = socket()
      expect(addon.sendFastOpen(fd, server.address, server.port, new Uint8Array())).toBe(0)
      expect(await completions.next(reactor.awaitConnected(fd))).toMatchObject({ status: 0 })
      addon.close(fd)
    })

    test('refused', async () => {
      const fd = socket()
      addon.sendFastOpen(fd, '127.0.0.1', await refusingPort(), Buffer.from('hello'))
      expect(await completions.next(reactor.awaitConnected(fd))).toMatchObject({ status: ECONNREFUSED })
      addon.close(fd)
    })

    requires('a network namespace of its own', ownNamespace.probe)(
      'without a cookie and without the permission to do without: 0 bytes are taken, and the connection is made',
      () => {
        // A namespace knows no cookies yet.
        expect(inNamespace(protocol, { cookie: true })).toEqual({
          taken: 0,
          status: 0,
          synData: false,
          received: 'hello',
        })
      },
    )

    requires('a network namespace of its own', ownNamespace.probe)(
      'the data is in the SYN, and the SYN+ACK says so',
      () => {
        expect(inNamespace(protocol, { cookie: false })).toEqual({
          taken: 5,
          status: 0,
          synData: true,
          received: 'hello',
        })
      },
    )
  })

/** In a namespace where servers may take SYN data (net.ipv4.tcp_fastopen 3). */
function inNamespace(protocol: number, { cookie }: { cookie: boolean }): unknown {
  const { out, err } = runScript(
    `
    const [IPPROTO_TCP, TCP_INFO, TCP_FASTOPEN, TCP_FASTOPEN_NO_COOKIE] = [6, 11, 23, 34]
    const one = Uint8Array.of(1, 0, 0, 0), sixteen = Uint8Array.of(16, 0, 0, 0)
    const hello = Buffer.from('hello')
    const listener = addon.socket(4, ${protocol})
    addon.setsockopt(listener, IPPROTO_TCP, TCP_FASTOPEN, sixteen)
    ${cookie ? '' : 'addon.setsockopt(listener, IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, one)'}
    addon.bind(listener, '127.0.0.1', 0)
    addon.listen(listener, 16)
    addon.release(listener)
    const result = {}
    const server = require('node:net').createServer(socket => socket.on('data', data => {
      console.log(JSON.stringify({ ...result, received: String(data) }))
      process.exit()
    }))
    server.listen({ fd: listener }, () => {
      const fd = addon.socket(4, ${protocol})
      ${cookie ? '' : 'addon.setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, one)'}
      const reactor = new addon.Reactor(({ status }) => {
        result.status = status
        result.synData = (addon.getsockopt(fd, IPPROTO_TCP, TCP_INFO, 8)[5] & 0x20) !== 0
        if (result.taken === 0) addon.send(fd, hello)
      })
      result.taken = addon.sendFastOpen(fd, '127.0.0.1', server.address().port, hello)
      reactor.awaitConnected(fd)
      // The server's data event must come after the completion.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50)
    })`,
    [
      ...ownNamespace.command,
      'sh',
      '-c',
      'ip link set lo up && echo 3 > /proc/sys/net/ipv4/tcp_fastopen && exec "$@"',
      'sh',
    ],
  )
  if (!out) throw new Error(err)
  return JSON.parse(out)
}
