/**
 * Captured from getsockopt on Linux 6.18, x86-64, beside what `ss -tinmM` of iproute2 6.1 said of the same connection:
 * MPTCP from 10.9.0.2 to 10.9.0.1 with a second subflow from 10.9.0.3, all on `lo`; the client had sent 20300 bytes and
 * received 100000.
 */
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { endianness } from 'node:os'
import { setTimeout } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { native } from '../../../lib/runtime/kernel/native.js'
import { decodeMptcpInfo } from '../../../lib/wire/kernel/mptcp-info.js'
import { decodeTcpInfo, TCP_STATES } from '../../../lib/wire/kernel/tcp-info.js'
import { hex } from '../../support/hex.js'
import { mptcp } from '../../support/probes.js'
import { requires } from '../../support/requires.js'

const TCP_INFO = hex(`
  010000000007aa00 e01c0300409c0000 008a0000e47f0000 0000000000000000 0000000000000000 0000000040010000 00000000c0020000
  40010000ffff0000 f0b001005b020000 2f04000008000000 0a000000cbff0000 0300000000000000 d7ff000000000000 6cb5734a00000000
  ffffffffffffffff 7d47000000000000 543f010000000000 1900000017000000 000000000f000000 0300000013000000 7eb56d1f00000000
  e0ab000000000000 0000000000000000 0000000000000000 1400000000000000 7c47000000000000 0000000000000000 0000000000000000
  0000000000140100 e001000000000000 0000000000000000 0000000000000000 0000000000000000 0000000000000000 0000000000000000
`)

const MPTCP_INFO = hex(`
  0100000200000000 02000000646695c0 250857fd422a0d92 250857fd422a0d92 d65e3b859dd2ec84 0101000000000000 0000000000000000
  4c4f000000000000 a086010000000000 4c4f000000000000 0200000040010000 c002000040010000
`)

/** The first eight bytes of tcp_info, and why Fast Open did not carry the data of the SYN (sendto with MSG_FASTOPEN). */
const FASTOPEN = [
  ['taken', '010000000027aa01', true, 0],
  ['no cookie cached', '010000000007aa03', false, 1],
  ['a listener without Fast Open', '010000000007aa05', false, 2],
] as const

const asCaptured = describe.runIf(endianness() === 'LE')

asCaptured('tcp_info', () => {
  test('says what ss says', () => {
    expect(decodeTcpInfo(TCP_INFO)).toEqual({
      state: TCP_STATES.established, // ESTAB
      retransmits: 0,
      options: 0x07, // timestamps, SACK, window scale
      synDataAcked: false,
      fastopenClientFail: 0,
      rto: 204_000, // rto:204
      sndMss: 35328, // mss:35328
      unacked: 0,
      lost: 0,
      retrans: 0,
      lastDataSent: 320, // lastsnd:332, a moment later
      lastDataRecv: 704, // lastrcv:716
      lastAckRecv: 320, // lastack:332
      pmtu: 65535, // pmtu:65535
      rtt: 603, // rtt:0.603/1.071
      rttvar: 1071,
      sndCwnd: 10, // cwnd:10
      receiveRtt: 0,
      totalRetrans: 0,
      pacingRate: 1_249_097_068, // pacing_rate 9992776544bps
      bytesAcked: 18301, // bytes_acked:18301
      bytesReceived: 81748, // bytes_received:81748
      notsentBytes: 0,
      minRtt: 15, // minrtt:0.015
      deliveryRate: 527_283_582, // delivery_rate 4218268656bps
      bytesSent: 18300, // bytes_sent:18300
      bytesRetrans: 0,
      dataSegsIn: 3, // data_segs_in:3
      outOfOrder: 0,
    })
  })

  test.each(FASTOPEN)('Fast Open: %s', (_name, bytes, synDataAcked, fastopenClientFail) => {
    expect(decodeTcpInfo(hex(bytes))).toMatchObject({ synDataAcked, fastopenClientFail, rto: undefined })
  })
})

asCaptured('mptcp_info', () => {
  test('says what ss says', () => {
    expect(decodeMptcpInfo(MPTCP_INFO)).toEqual({
      subflows: 1, // subflows:1
      addAddrSignal: 0,
      addAddrAccepted: 0,
      subflowsMax: 2, // subflows_max:2
      addAddrSignalMax: 0,
      addAddrAcceptedMax: 0,
      flags: 2,
      fallback: false,
      remoteKeyReceived: true, // remote_key
      token: 0xc0956664, // token:c0956664
      writeSeq: 0x920d2a42fd570825n, // write_seq:920d2a42fd570825
      sndUna: 0x920d2a42fd570825n, // snd_una:920d2a42fd570825
      rcvNxt: 0x84ecd29d853b5ed6n, // rcv_nxt:84ecd29d853b5ed6
      localAddrUsed: 1,
      localAddrMax: 1,
      csumEnabled: false,
      retransmits: 0,
      bytesRetrans: 0,
      bytesSent: 20_300,
      bytesReceived: 100_000,
      bytesAcked: 20_300,
      subflowsTotal: 2,
      lastDataSent: 320,
      lastDataRecv: 704,
      lastAckRecv: 320,
    })
  })

  test('fallback', () => {
    const bytes = MPTCP_INFO.slice()
    bytes[8] = 1
    expect(decodeMptcpInfo(bytes)).toMatchObject({ flags: 1, fallback: true, remoteKeyReceived: false })
  })
})

describe.each<[string, (bytes: Uint8Array) => object, Uint8Array]>([
  ['tcp_info', decodeTcpInfo, TCP_INFO],
  ['mptcp_info', decodeMptcpInfo, MPTCP_INFO],
])('%s of another kernel', (_name, decodeInfo, bytes) => {
  test('shorter: a field is there wholly or not at all', () => {
    const whole = decodeInfo(bytes)
    let before = 0
    for (let end = 0; end <= bytes.length; end++) {
      const fields = Object.entries(decodeInfo(bytes.slice(0, end))).filter(([, value]) => value !== undefined)
      expect(whole).toMatchObject(Object.fromEntries(fields))
      expect(fields.length).toBeGreaterThanOrEqual(before)
      before = fields.length
    }
    expect(before).toBe(Object.keys(whole).length)
  })

  test('longer: the rest is ignored, and what lies around is not read', () => {
    const pool = new Uint8Array(bytes.length + 64).fill(0xa5)
    pool.set(bytes, 13)
    expect(decodeInfo(pool.subarray(13))).toEqual(decodeInfo(bytes))
    expect(decodeInfo(pool.subarray(13, 13 + 8))).toEqual(decodeInfo(bytes.slice(0, 8)))
  })
})

requires('MPTCP', mptcp)('a connection of this kernel', async () => {
  const server = createServer(socket => socket.resume()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const addon = native()
  const fd = addon.socket(4, 262)
  const tcpInfo = () => decodeTcpInfo(addon.getsockopt(fd, 6, 11, 1024))
  try {
    expect(tcpInfo().state).toBe(TCP_STATES.close)
    addon.connect(fd, '127.0.0.1', (server.address() as AddressInfo).port)
    while (tcpInfo().state !== TCP_STATES.established) await setTimeout(5)
    addon.send(fd, new Uint8Array(1000))
    while (tcpInfo().bytesAcked !== 1001) await setTimeout(5)
    expect(tcpInfo()).toMatchObject({ bytesSent: 1000, bytesReceived: 0, synDataAcked: false, fastopenClientFail: 0 })
    expect(tcpInfo().rtt).toBeLessThan(1_000_000)
  } finally {
    addon.close(fd)
    server.close()
  }
})
