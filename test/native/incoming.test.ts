/** The calls that incoming connections are made of: `datagramSocket`, `accept`, `attachFilter`. */
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import net, { type AddressInfo } from 'node:net'
import { describe, expect, test } from 'vitest'
import { native } from '../../lib/runtime/kernel/native.js'
import { Completions, int, leavesNothing, MPTCP, pause, TCP, until } from '../support/native-addon.js'
import { mptcp, tcpFilters } from '../support/probes.js'
import { requires } from '../support/requires.js'

const SOL_SOCKET = 1
const SO_TYPE = 3
const SOCK_DGRAM = 2
const O_NONBLOCK = 0o4000
const O_CLOEXEC = 0o2000000
/** struct sock_filter { u16 code; u8 jt; u8 jf; u32 k }: `ret #k` (linux/bpf_common.h: BPF_RET | BPF_K). */
const returning = (k: number) => instruction(0x06, k)
const PASS = returning(0xffff_ffff)
const DROP = returning(0)
/** net/core/filter.c: a program is refused when it has more (BPF_MAXINSNS). */
const MOST_INSTRUCTIONS = 4096

const addon = native()
const completions = new Completions(addon)
const { reactor } = completions
const mptcpTest = requires('MPTCP', mptcp)

leavesNothing(addon)

function instruction(code: number, k: number): Uint8Array {
  const bytes = new Uint8Array(8)
  new Uint16Array(bytes.buffer)[0] = code
  new Uint32Array(bytes.buffer)[1] = k
  return bytes
}

function flags(fd: number): number {
  const [, octal] = /^flags:\s+(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))!
  return Number.parseInt(octal!, 8)
}

function listener(protocol: number, family: 4 | 6 = 4): { fd: number; address: string; port: number } {
  const fd = addon.socket(family, protocol)
  addon.bind(fd, family === 4 ? '127.0.0.1' : '::1', 0)
  addon.listen(fd, 8)
  return { fd, ...addon.getsockname(fd) }
}

/** What every call says of descriptors that are none, and of a file's. */
function refusesOthers(call: (fd: number) => unknown, ofFile: RegExp): void {
  for (const fd of [-1, 999_999, 2 ** 31 - 1]) expect(() => call(fd)).toThrow(/EBADF/)
  const file = openSync('/dev/null', 'r')
  expect(() => call(file)).toThrow(ofFile)
  closeSync(file)
  for (const wrong of [undefined, null, '3', 1.5, NaN, Infinity, 2 ** 31, -(2 ** 31) - 1, 3n, {}, [], () => 3])
    expect(() => call(wrong as number)).toThrow(TypeError)
}

describe('datagramSocket', () => {
  for (const family of [4, 6] as const)
    test(`IPv${family}: a datagram goes out and comes back, without waiting`, () => {
      const [here, there] = [addon.datagramSocket(family), addon.datagramSocket(family)]
      expect(addon.getsockopt(here, SOL_SOCKET, SO_TYPE, 4)).toEqual(Buffer.from(int(SOCK_DGRAM)))
      expect(flags(here) & (O_NONBLOCK | O_CLOEXEC)).toBe(O_NONBLOCK | O_CLOEXEC)
      const loopback = family === 4 ? '127.0.0.1' : '::1'
      addon.bind(there, loopback, 0)
      const { port } = addon.getsockname(there)
      expect(addon.connect(here, loopback, port)).toBe(true)
      expect(addon.send(here, Buffer.from('a request'))).toBe(9)
      expect(addon.unread(there)).toBe(9)
      addon.close(here)
      addon.close(there)
    })

  test('it belongs to the environment until it is released', () => {
    const { descriptors } = addon.counts()
    const fd = addon.datagramSocket(4)
    expect(addon.counts().descriptors).toBe(descriptors + 1)
    addon.release(fd)
    expect(() => addon.close(fd)).toThrow('close EBADF')
    closeSync(fd)
  })

  test('what is no family', () => {
    for (const family of [undefined, null, '4', 4.5, 4n, {}, [4]])
      expect(() => addon.datagramSocket(family as unknown as 4)).toThrow(TypeError)
  })
})

describe('accept', () => {
  for (const [name, protocol, family] of [
    ['TCP over IPv4', TCP, 4],
    ['TCP over IPv6', TCP, 6],
    ['MPTCP over IPv4', MPTCP, 4],
    ['MPTCP over IPv6', MPTCP, 6],
  ] as const)
    mptcpTest(`${name}: returns the waiting connections in order, then none`, async () => {
      const { fd, address, port } = listener(protocol, family)
      expect(addon.accept(fd)).toBeUndefined()
      const peers = [net.connect(port, address), net.connect(port, address)]
      await Promise.all(peers.map(peer => once(peer, 'connect')))
      const accepted = peers.map(() => addon.accept(fd)!)
      expect(addon.accept(fd)).toBeUndefined()
      for (const each of accepted) expect(flags(each) & (O_NONBLOCK | O_CLOEXEC)).toBe(O_NONBLOCK | O_CLOEXEC)
      const ports = accepted.map(each => addon.getpeername(each).port)
      expect(ports.sort()).toEqual(peers.map(peer => peer.localPort!).sort())

      const first = peers.find(peer => peer.localPort === addon.getpeername(accepted[0]!).port)!
      first.write('hello')
      expect(await completions.next(reactor.awaitBytes(accepted[0]!, 5))).toMatchObject({ bytes: Buffer.from('hello') })
      for (const each of [...accepted, fd]) addon.close(each)
      for (const peer of peers) peer.on('error', () => {}).destroy()
    })

  test('what is accepted belongs to the environment, and outlives its listener', async () => {
    const { fd, address, port } = listener(TCP)
    const peer = net.connect(port, address)
    await once(peer, 'connect')
    const { descriptors } = addon.counts()
    const accepted = addon.accept(fd)!
    expect(addon.counts().descriptors).toBe(descriptors + 1)
    addon.close(fd)
    expect(addon.send(accepted, Buffer.from('still there'))).toBe(11)
    expect(String((await once(peer, 'data'))[0])).toBe('still there')
    addon.close(accepted)
    peer.destroy()
  })

  test('a peer that disconnected before it was accepted', async () => {
    const { fd, address, port } = listener(TCP)
    const peer = net.connect(port, address)
    await once(peer, 'connect')
    peer.resetAndDestroy()
    await pause(20)
    const accepted = addon.accept(fd)
    expect(accepted).toBeDefined() // Linux hands over what was reset, too
    expect(() => addon.send(accepted!, Buffer.from('x'))).toThrow(/^send (ECONNRESET|EPIPE)$/)
    addon.close(accepted!)
    addon.close(fd)
  })

  test('of a socket that does not listen: EINVAL; of datagrams: EOPNOTSUPP', () => {
    const stream = addon.socket(4, TCP)
    expect(() => addon.accept(stream)).toThrow('accept EINVAL')
    addon.close(stream)
    const datagrams = addon.datagramSocket(4)
    expect(() => addon.accept(datagrams)).toThrow('accept EOPNOTSUPP')
    addon.close(datagrams)
  })

  test('of descriptors that are not the environment’s: EBADF', async () => {
    refusesOthers(fd => addon.accept(fd), /accept EBADF/)
    const server = net.createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { fd } = (server as unknown as { _handle: { fd: number } })._handle
    expect(() => addon.accept(fd)).toThrow('accept EBADF')
    server.close()
  })
})

requires('filters on TCP sockets', tcpFilters).describe('attachFilter', () => {
  test('a SYN that the program drops is not answered; let pass, its repetition is', async () => {
    const fd = addon.socket(4, TCP)
    addon.attachFilter(fd, DROP)
    addon.bind(fd, '127.0.0.1', 0)
    addon.listen(fd, 8)
    const peer = net.connect(addon.getsockname(fd).port, '127.0.0.1')
    let connected = false
    peer.on('connect', () => (connected = true))
    await pause(300)
    expect({ connected, accepted: addon.accept(fd) }).toEqual({ connected: false, accepted: undefined })
    addon.attachFilter(fd, PASS)
    await once(peer, 'connect') // the kernel repeats its SYN after a second
    const accepted: number[] = []
    await until(() => accepted.push(...[addon.accept(fd)].filter(each => each !== undefined)) > 0)
    addon.close(accepted[0]!)
    addon.close(fd)
    peer.on('error', () => {}).destroy()
  })

  test('a descriptor that libuv owns, and an array that is not aligned', async () => {
    const server = net.createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { fd } = (server as unknown as { _handle: { fd: number } })._handle
    const within = new Uint8Array(2 * PASS.length + 3)
    within.set(PASS, 3)
    addon.attachFilter(fd, within.subarray(3, 3 + PASS.length))
    const peer = net.connect((server.address() as AddressInfo).port, '127.0.0.1')
    await once(peer, 'connect')
    peer.destroy()
    server.close()
  })

  test('invalid programs: EINVAL, and the socket is unchanged', async () => {
    const { fd, address, port } = listener(TCP)
    const long = (instructions: number) => Buffer.concat(Array.from({ length: instructions }, () => PASS))
    const jumpBeyond = Buffer.concat([instruction(0x05, 100), PASS])
    for (const program of [
      new Uint8Array(0),
      PASS.subarray(0, 7),
      Buffer.concat([PASS, PASS]).subarray(0, 15),
      new Uint8Array(8), // `ld #0`, and nothing returned
      instruction(0xffff, 0),
      jumpBeyond,
      long(MOST_INSTRUCTIONS + 1),
      long(65_536), // of which a 16-bit length would be 0
      long(65_537), // and 1 here
    ])
      expect(() => addon.attachFilter(fd, program)).toThrow('setsockopt EINVAL')
    addon.attachFilter(fd, long(MOST_INSTRUCTIONS))
    const peer = net.connect(port, address)
    await once(peer, 'connect')
    addon.close(addon.accept(fd)!)
    addon.close(fd)
    peer.on('error', () => {}).destroy()
  })

  test('arguments that are not programs, or not descriptors', () => {
    const fd = addon.socket(4, TCP)
    for (const wrong of [
      undefined,
      null,
      8,
      'ret',
      [6, 0, 0, 0, 0, 0, 0, 0],
      new Uint16Array(4),
      new DataView(PASS.buffer),
      PASS.buffer,
    ])
      expect(() => addon.attachFilter(fd, wrong as unknown as Uint8Array)).toThrow(TypeError)
    const detached = new Uint8Array(8)
    structuredClone(detached.buffer, { transfer: [detached.buffer] })
    expect(() => addon.attachFilter(fd, detached)).toThrow()
    addon.close(fd)
    refusesOthers(other => addon.attachFilter(other, PASS), /setsockopt ENOTSOCK/)
  })
})
