import { closeSync, openSync } from 'node:fs'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { endianness } from 'node:os'
import { describe, expect, test } from 'vitest'
import { native } from '../../../lib/runtime/kernel/native.js'
import {
  ASKING,
  Sampler,
  SOCKET,
  type SocketSample,
  Structs,
  subflowAddresses,
} from '../../../lib/runtime/kernel/sampler.js'
import { decodeMptcpInfo } from '../../../lib/wire/kernel/mptcp-info.js'
import { decodeTcpInfo, TCP_STATES } from '../../../lib/wire/kernel/tcp-info.js'
import { leavesNothing, MPTCP, pause, serve, TCP, until } from '../../support/native-addon.js'
import { byteCounters, mptcp } from '../../support/probes.js'
import { requires } from '../../support/requires.js'

const EBADF = 9
const ENOTSOCK = 88
const EOPNOTSUPP = 95

/** What the native call writes about one socket. */
function record(
  fd: number,
  subflows: { id: number; localPort: number; tcpInfo: Uint8Array; tcpInfoLength?: number }[],
  mptcpInfo: Uint8Array,
) {
  const header = new Uint8Array(112)
  new Int32Array(header.buffer).set([fd, 0, mptcpInfo.length, subflows.length])
  header.set(mptcpInfo, 16)
  const names = subflows.map(({ id, localPort, tcpInfo, tcpInfoLength = tcpInfo.length }) => {
    const name = new Uint8Array(16)
    new Uint32Array(name.buffer).set([localPort, tcpInfoLength])
    new Float64Array(name.buffer)[1] = id
    return name
  })
  return Buffer.concat([header, ...subflows.map(({ tcpInfo }) => tcpInfo), ...names])
}

function structs(...records: Uint8Array[]): Structs {
  const bytes = Buffer.concat(records)
  const written = new Structs(bytes.length)
  written.bytes.set(bytes)
  return written
}

const random = (length: number, seed: number) => Uint8Array.from({ length }, (_, i) => (seed + i * 197) % 256)

describe('records', () => {
  test('sockets with none, two and one subflow', () => {
    const subflow = (id: number) => ({ id, localPort: 40_000 + id, tcpInfo: random(232, id) })
    const info = random(96, 7)
    const records = [record(3, [], info), record(4, [subflow(1), subflow(2)], info), record(-1, [subflow(3)], info)]
    const samples: SocketSample[] = []
    structs(...records, new Uint8Array(8)).decode(3, samples)
    expect(samples.map(({ fd, subflows }) => [fd, subflows.map(({ id, localPort }) => [id, localPort])])).toEqual([
      [3, []],
      [
        4,
        [
          [1, 40_001],
          [2, 40_002],
        ],
      ],
      [-1, [[3, 40_003]]],
    ])
  })

  test.each([1, 2, 3, 4, 5])('every field is what the decoders of the structures read (%i)', seed => {
    const [mptcpInfo, tcpInfo] = [random(96, seed * 31), random(232, seed)]
    const samples: SocketSample[] = []
    structs(record(3, [{ id: 2 ** 32 + seed, localPort: 65_535, tcpInfo }], mptcpInfo)).decode(1, samples)
    const { fd, errno, outstanding, subflows, ...connection } = samples[0]!
    const { id, localPort, segsIn, ...subflow } = subflows[0]!
    expect({ fd, errno, id, localPort }).toEqual({ fd: 3, errno: 0, id: 2 ** 32 + seed, localPort: 65_535 })
    expect(decodeMptcpInfo(mptcpInfo)).toMatchObject(connection)
    expect(decodeTcpInfo(tcpInfo)).toMatchObject(subflow)
    expect(segsIn).toBe(new DataView(tcpInfo.buffer).getUint32(140, endianness() === 'LE'))
  })

  test('what an older kernel does not report is undefined, in records of connections NaN', () => {
    const written = structs(record(3, [], random(56, 1)))
    const samples: SocketSample[] = []
    written.decode(1, samples)
    const { token, retransmits, outstanding } = samples[0]!
    expect([token, retransmits, outstanding]).not.toContain(undefined)
    const { bytesSent, bytesReceived, bytesAcked, lastDataSent } = samples[0]!
    expect([bytesSent, bytesReceived, bytesAcked, lastDataSent]).toEqual(Array(4).fill(undefined))
    const records = new Float64Array(SOCKET.length)
    written.decodeConnections(1, records)
    expect(records[SOCKET.bytesSent]).toBeNaN()
    expect([records[SOCKET.token], records[SOCKET.outstanding]]).toEqual([token, outstanding])

    const short: SocketSample[] = []
    const tcpInfo = random(232, 1)
    const lengths = [92, 96, 152, 156, 216, 224, 228]
    const subflows = lengths.map((tcpInfoLength, id) => ({ id, localPort: 1, tcpInfo, tcpInfoLength }))
    structs(record(3, subflows, random(96, 1))).decode(1, short)
    const whole = decodeTcpInfo(tcpInfo)
    const fields = ['receiveRtt', 'dataSegsIn', 'outOfOrder'] as const
    expect(short[0]!.subflows.map(subflow => fields.filter(field => subflow[field] !== undefined))).toEqual([
      [],
      [fields[0]],
      [fields[0]],
      fields.slice(0, 2),
      fields.slice(0, 2),
      fields.slice(0, 2),
      fields,
    ])
    expect(short[0]!.subflows.at(-1)).toMatchObject(Object.fromEntries(fields.map(field => [field, whole[field]])))

    const nothing: SocketSample[] = []
    structs(record(3, [], new Uint8Array(0))).decode(1, nothing)
    expect(nothing[0]).toMatchObject({ token: 0, outstanding: undefined, subflows: [] })
  })

  test.each([
    [100n, 100n, 0],
    [2n ** 63n + 5n, 2n ** 63n, 5],
    [2n ** 32n + 1n, 2n ** 32n - 1n, 2],
    [7n, 2n ** 64n - 3n, 10],
    [2n ** 40n, 2n ** 64n - 1n, 2 ** 40 + 1],
  ])('outstanding: written to %i, acknowledged to %i', (writeSeq, sndUna, expected) => {
    const info = new Uint8Array(96)
    new BigUint64Array(info.buffer).set([writeSeq, sndUna], 2)
    const samples: SocketSample[] = []
    structs(record(3, [], info)).decode(1, samples)
    expect(samples[0]!.outstanding).toBe(expected)
  })
})

const countersTest = requires("MPTCP's counters of bytes", byteCounters)

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

  for (const [name, asking] of [
    ['whole', ASKING.whole],
    ['in parts', ASKING.inParts],
  ] as const)
    countersTest(`a connection, asked ${name}, says what MPTCP_INFO and TCP_INFO say`, async () => {
      await using server = await serve(addon, {}, socket => socket.resume())
      const fd = await connection(server.port)
      await pause(20)
      const out = new Structs(8192)
      expect(addon.sample(Int32Array.of(fd), out.bytes, asking)).toBe(1)
      const samples: SocketSample[] = []
      out.decode(1, samples)
      const [sample] = samples
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
      const { lastDataSent, lastDataRecv, lastAckRecv, subflows, ...same } = sample!
      expect(alone).toEqual(same)
      expect(subflow!.localPort).toBe(addon.getsockname(fd).port)

      expect(addon.subflowAddresses(fd, asking)).toEqual([
        { id: subflow!.id, local: addon.getsockname(fd), remote: addon.getpeername(fd) },
      ])
      expect(subflow!.id > 2 ** 32).toBe(asking === ASKING.inParts)
      addon.close(fd)
    })

  test('many at once, in their order, with an invalid one in the middle', async () => {
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
      expect(withoutSubflows(new Sampler(), Int32Array.of(fd))).toMatchObject([{ fd, errno: EOPNOTSUPP, token: 0 }])
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
    expect(addon.sample(Int32Array.of(fd), new Uint8Array(112), ASKING.whole)).toBe(0)
    addon.close(fd)
    expect(() => subflowAddresses(fd)).toThrow(expect.objectContaining({ code: 'EBADF' }))
  })

  describe.each([
    ['sample', () => addon.sample([1] as never, new Uint8Array(1), 0)],
    ['sample', () => addon.sample(new Int32Array(1), new Float64Array(1) as never, 0)],
    ['sample', () => addon.sample(new Int32Array(1), new Uint8Array(1), 3)],
    ['subflowAddresses', () => addon.subflowAddresses('1' as never, 0)],
    ['netlinkSocket', () => addon.netlinkSocket(0, -1)],
    ['sendNetlink', () => addon.sendNetlink(1, 'x' as never)],
  ])('%s', (_name, call) => {
    test('with garbage', () => expect(call).toThrow(/must be|EBADF/))
  })
})

/** The records of `sampleConnections`, by the names of their fields. */
function withoutSubflows(sampler: Sampler, fds: Int32Array): Record<string, number>[] {
  const records = sampler.sampleConnections(fds)
  const fields = Object.entries(SOCKET).filter(([name]) => name !== 'length')
  return Array.from(fds, (_, i) =>
    Object.fromEntries(fields.map(([name, at]) => [name, records[i * SOCKET.length + at]!])),
  )
}

/** Milliseconds since something, read a moment apart. */
function near<Field extends string>(
  sample: Record<Field, number | undefined>,
  info: Record<Field, number | undefined>,
  fields: Field[],
): void {
  for (const field of fields) expect(Math.abs(sample[field]! - info[field]!)).toBeLessThan(100)
}
