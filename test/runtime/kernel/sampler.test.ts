import { closeSync, openSync } from 'node:fs'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { describe, expect, test } from 'vitest'
import { native } from '../../../lib/runtime/kernel/native.js'
import {
  ASKING,
  decode,
  Sampler,
  SOCKET,
  type SocketSample,
  SUBFLOW,
  subflowAddresses,
} from '../../../lib/runtime/kernel/sampler.js'
import { decodeMptcpInfo } from '../../../lib/wire/kernel/mptcp-info.js'
import { decodeTcpInfo, TCP_STATES } from '../../../lib/wire/kernel/tcp-info.js'
import { leavesNothing, MPTCP, pause, serve, TCP, until } from '../../support/native-addon.js'
import { mptcp } from '../../support/probes.js'
import { requires } from '../../support/requires.js'

const EBADF = 9
const ENOTSOCK = 88
const EOPNOTSUPP = 95

test('records: sockets with none, two and one subflow, and fields that the kernel does not tell', () => {
  const fields = [SOCKET, SUBFLOW].map(layout => Object.keys(layout).length - 1)
  expect(fields).toEqual([SOCKET.length, SUBFLOW.length])
  const subflow = (first: number) => Array.from({ length: SUBFLOW.length }, (_, i) => first + i)
  const socket = (fd: number, subflows: number) => {
    const record = Array.from({ length: SOCKET.length }, (_, i) => 100 + i)
    return Object.assign(record, { [SOCKET.fd]: fd, [SOCKET.errno]: 0, [SOCKET.subflows]: subflows })
  }
  const doubles = [socket(3, 0), socket(4, 2), subflow(1000), subflow(2000), socket(5, 1), subflow(3000), [7, 7]].flat()
  doubles[SOCKET.bytesAcked] = Number.NaN
  const samples: SocketSample[] = []
  decode(Float64Array.from(doubles), 3, samples)
  expect(samples.map(({ fd, subflows }) => [fd, subflows.map(({ id }) => id)])).toEqual([
    [3, []],
    [4, [1000, 2000]],
    [5, [3000]],
  ])
  expect(samples[0]).toMatchObject({ token: 102, bytesSent: 104, bytesAcked: undefined, lastAckRecv: 112 })
  expect(samples[1]!.subflows[1]).toMatchObject({ state: 2001, localPort: 2002, notsentBytes: 2020, segsIn: 2021 })
})

requires('MPTCP', mptcp).describe('of this kernel', () => {
  const addon = native()
  leavesNothing(addon)

  /** A connection that has sent 1000 bytes, all acknowledged. */
  async function connection(port: number, address = '127.0.0.1', protocol = MPTCP): Promise<number> {
    const fd = addon.socket(address.includes(':') ? 6 : 4, protocol)
    addon.connect(fd, address, port)
    const info = () => decodeTcpInfo(addon.getsockopt(fd, TCP, 11, 1024))
    await until(() => info().state === TCP_STATES.established)
    addon.send(fd, new Uint8Array(1000))
    await until(() => info().bytesAcked === 1001)
    return fd
  }

  /** Only TCP: what connects with MPTCP falls back. */
  async function tcpServer(host: string): Promise<Server> {
    const server = createServer(socket => socket.resume().on('error', () => {}))
    const fd = addon.socket(host.includes(':') ? 6 : 4, TCP)
    addon.bind(fd, host, 0)
    addon.listen(fd, 16)
    addon.release(fd)
    await new Promise<void>(resolve => server.listen({ fd }, resolve))
    return server
  }

  test.each([
    ['whole', ASKING.whole],
    ['in parts', ASKING.inParts],
  ])('a connection, asked %s, says what MPTCP_INFO and TCP_INFO say', async (_name, asking) => {
    await using server = await serve(addon, {}, socket => socket.resume())
    const fd = await connection(server.port)
    await pause(20)
    const out = new Float64Array(1000)
    expect(addon.sample(Int32Array.of(fd), out, asking)).toBe(1)
    const [sample] = decoded(out)
    const mptcpInfo = decodeMptcpInfo(addon.getsockopt(fd, 284, 1, 512))
    const tcpInfo = decodeTcpInfo(addon.getsockopt(fd, TCP, 11, 512))
    const { token, bytesSent, bytesReceived, bytesAcked, bytesRetrans, retransmits } = mptcpInfo
    expect(sample).toMatchObject({
      fd,
      errno: 0,
      token,
      bytesSent,
      bytesReceived,
      bytesAcked,
      bytesRetrans,
      retransmits,
    })
    expect(sample).toMatchObject({ bytesSent: 1000, bytesAcked: 1000, outstanding: 0 })
    near(sample!, mptcpInfo, ['lastDataSent', 'lastDataRecv', 'lastAckRecv'])
    const [subflow, ...others] = sample!.subflows
    expect(others).toEqual([])
    const { state, unacked, lost, rtt, rttvar, minRtt, sndCwnd, totalRetrans, notsentBytes } = tcpInfo
    expect(subflow).toMatchObject({ state, unacked, lost, rtt, rttvar, minRtt, sndCwnd, totalRetrans, notsentBytes })
    const { pacingRate, deliveryRate } = tcpInfo
    expect(subflow).toMatchObject({ pacingRate, deliveryRate, bytesAcked: 1001, bytesSent: 1000, bytesReceived: 0 })
    near(subflow!, tcpInfo, ['lastDataSent', 'lastDataRecv', 'lastAckRecv'])
    const [alone] = withoutSubflows(new Sampler(), Int32Array.of(fd))
    const { lastDataSent, lastDataRecv, lastAckRecv, ...same } = sample!
    expect(alone).toMatchObject({ ...same, subflows: [] })
    expect(subflow!.localPort).toBe(addon.getsockname(fd).port)

    expect(addon.subflowAddresses(fd, asking)).toEqual([
      { id: subflow!.id, local: addon.getsockname(fd), remote: addon.getpeername(fd) },
    ])
    expect(subflow!.id > 2 ** 32).toBe(asking === ASKING.inParts)
    addon.close(fd)
  })

  test('many at once, in their order, with one that is none in the middle', async () => {
    await using server = await serve(addon, {}, socket => socket.resume())
    const fds = await Promise.all(Array.from({ length: 50 }, () => connection(server.port)))
    const file = openSync('/dev/null', 'r')
    const asked = Int32Array.from([...fds.slice(0, 25), file, 999_999, ...fds.slice(25)])
    const sampler = new Sampler()
    for (let round = 0; round < 2; round++) {
      const samples = sampler.sample(asked)
      expect(samples.map(({ fd }) => fd)).toEqual([...asked])
      expect(samples.map(({ errno }) => errno)).toEqual([
        ...fds.slice(0, 25).map(() => 0),
        ENOTSOCK,
        EBADF,
        ...fds.slice(25).map(() => 0),
      ])
      expect(new Set(samples.map(({ token }) => token)).size).toBe(51)
      expect(samples.flatMap(({ subflows }) => subflows)).toHaveLength(50)
    }
    expect(sampler.sample(new Int32Array(0))).toEqual([])
    const connections = withoutSubflows(sampler, asked)
    expect(connections.map(({ token }) => token)).toEqual(sampler.sample(asked).map(({ token }) => token))
    expect(connections.map(({ errno }) => errno).filter(errno => errno !== 0)).toEqual([ENOTSOCK, EBADF])
    expect(connections.every(({ subflows }) => subflows.length === 0)).toBe(true)
    for (const fd of fds) addon.close(fd)
    closeSync(file)
  })

  test.each(['127.0.0.1', '::1'])('fallen back to TCP, on %s', async host => {
    const server = await tcpServer(host)
    const { port } = server.address() as AddressInfo
    for (const protocol of [MPTCP, TCP]) {
      const fd = await connection(port, host, protocol)
      const [sample] = new Sampler().sample(Int32Array.of(fd))
      expect(sample).toMatchObject({ fd, errno: EOPNOTSUPP, token: 0, bytesAcked: undefined, outstanding: undefined })
      expect(withoutSubflows(new Sampler(), Int32Array.of(fd))).toMatchObject([{ errno: EOPNOTSUPP, subflows: [] }])
      const { port: localPort } = addon.getsockname(fd)
      expect(sample!.subflows).toMatchObject([{ id: 0, state: TCP_STATES.established, localPort, bytesAcked: 1001 }])
      expect(subflowAddresses(fd)).toEqual([{ id: 0, local: addon.getsockname(fd), remote: addon.getpeername(fd) }])
      addon.close(fd)
    }
    server.close()
  })

  test('a socket that is not connected; no room; nothing', () => {
    const fd = addon.socket(4, MPTCP)
    const [sample] = new Sampler().sample(Int32Array.of(fd))
    expect(sample).toMatchObject({ fd, token: 0 })
    expect(addon.sample(Int32Array.of(fd), new Float64Array(SOCKET.length), ASKING.whole)).toBe(0)
    addon.close(fd)
    expect(() => subflowAddresses(fd)).toThrow(expect.objectContaining({ code: 'EBADF' }))
  })

  describe.each([
    ['sample', () => addon.sample([1] as never, new Float64Array(1), 0)],
    ['sample', () => addon.sample(new Int32Array(1), new Float32Array(1) as never, 0)],
    ['sample', () => addon.sample(new Int32Array(1), new Float64Array(1), 3)],
    ['subflowAddresses', () => addon.subflowAddresses('1' as never, 0)],
    ['netlinkSocket', () => addon.netlinkSocket(0, -1)],
    ['sendNetlink', () => addon.sendNetlink(1, 'x' as never)],
  ])('%s', (_name, call) => {
    test('with garbage', () => expect(call).toThrow(/must be|EBADF/))
  })
})

function decoded(out: Float64Array): SocketSample[] {
  const samples: SocketSample[] = []
  decode(out, 1, samples)
  return samples
}

/** Milliseconds since something, read a moment apart. */
function withoutSubflows(sampler: Sampler, fds: Int32Array): SocketSample[] {
  const samples: SocketSample[] = []
  decode(sampler.sampleConnections(fds), fds.length, samples)
  return samples
}

function near<Field extends string>(
  sample: Record<Field, number | undefined>,
  info: Record<Field, number | undefined>,
  fields: Field[],
): void {
  for (const field of fields) expect(Math.abs(sample[field]! - info[field]!)).toBeLessThan(100)
}
