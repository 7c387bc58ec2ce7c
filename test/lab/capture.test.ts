import { describe, expect, test } from 'vitest'
import { AtsssError } from '../../lib/errors.js'
import { readPcap } from '../../lib/lab/capture.js'
import { readPacket } from '../../lib/lab/packet.js'
import { hex } from '../support/hex.js'
import { seeded } from '../support/random.js'

/*
 * Captured in a lab whose UE said "hello" in its SYN; what they hold is what `tcpdump -nvr FILE` says of them:
 *
 *   10.1.0.2.39154 > 192.0.2.1.5002: Flags [S], cksum 0x2dd6 (correct), seq 2378587553:2378587558, win 64240,
 *     options [mss 1460,sackOK,TS val 4060239466 ecr 0,nop,wscale 10,mptcp 4 capable v1], length 5
 *   192.0.2.1.5002 > 10.1.0.2.39154: Flags [S.], cksum 0x01cc (correct), seq 552031251, ack 2378587559, win 65160,
 *     options [mss 1460,sackOK,TS val 1228160724 ecr 4060239466,nop,wscale 10,mptcp 12 capable v1 {0xe8b2fa24dd808ec7}]
 *   IP6 2001:db8:1::2.39538 > 2001:db8:c::1.5002: Flags [S], cksum 0x7d37 (correct), seq 1278653900:1278653905, win 64800,
 *     options [mss 1440,sackOK,TS val 1864687666 ecr 0,nop,wscale 10,mptcp 4 capable v1], length 5
 *   IP6 (next-header Options (0) payload length: 36) fe80::f87f:7a36:5497:e43b > ff02::16: HBH ICMP6
 */
const syn4 = hex(`
  450000453442400040063a6d 0a010002 c0000201                      # IPv4
  98f2 138a 8dc65da1 00000000 b002 faf0 2dd6 0000                  # TCP
  020405b4 0402 080af202566a00000000 01 03030a 1e040101            # options
  68656c6c6f`)
const synAck4 = hex(`
  450000480000400040066eac c0000201 0a010002
  138a 98f2 20e75413 8dc65da7 d012 fe88 01cc 0000
  020405b4 0402 080a49343ed4f202566a 01 03030a 1e0c0101e8b2fa24dd808ec7`)
const syn6 = hex(`
  600931f600310640 20010db8000100000000000000000002 20010db8000c00000000000000000001
  9a72 138a 4c36b5cc 00000000 b002 fd20 7d37 0000
  020405a0 0402 080a6f24e03200000000 01 03030a 1e040101
  68656c6c6f`)
const multicast6 = hex(`
  6000000000240001 fe80000000000000f87f7a365497e43b ff020000000000000000000000000016
  3a00050200000100 8f00c47f00000001 04000000ff020000000000000000000000000002`)

/** draft-ietf-opsawg-pcap §4 and §5 */
function pcap(packets: Uint8Array[], { littleEndian = true, magic = 0xa1b23c4d, linkType = 101 } = {}): Uint8Array {
  const words = (...values: number[]) => {
    const view = new DataView(new ArrayBuffer(values.length * 4))
    for (const [i, value] of values.entries()) view.setUint32(i * 4, value, littleEndian)
    return new Uint8Array(view.buffer)
  }
  const header = words(magic, 0, 0, 0, 65535, linkType)
  const records = packets.flatMap((bytes, i) => [words(1_700_000_000 + i, 250_000, bytes.length, bytes.length), bytes])
  return Buffer.concat([header, ...records])
}

describe('a packet', () => {
  test('SYN with MP_CAPABLE and data, IPv4', () => {
    const { tcp, payload, ...ip } = readPacket(syn4, 5)!
    expect(payload).toEqual(syn4.subarray(20))
    expect(ip).toEqual({ time: 5, version: 4, source: '10.1.0.2', destination: '192.0.2.1', protocol: 6, bytes: syn4 })
    expect(tcp).toEqual({
      sourcePort: 39154,
      destinationPort: 5002,
      sequence: 2378587553,
      acknowledgment: 0,
      flags: { fin: false, syn: true, rst: false, psh: false, ack: false },
      window: 64240,
      options: [
        { kind: 2, value: hex('05b4') },
        { kind: 4, value: hex('') },
        { kind: 8, value: hex('f202566a00000000') },
        { kind: 3, value: hex('0a') },
        { kind: 30, value: hex('0101') },
      ],
      mptcp: { subtype: 0, version: 1 },
      payload: hex('68656c6c6f'),
      checksumValid: true,
    })
  })

  test('SYN+ACK', () => {
    const { tcp } = readPacket(synAck4, 0)!
    expect(tcp).toMatchObject({ acknowledgment: 2378587559, checksumValid: true, mptcp: { subtype: 0, version: 1 } })
    expect(tcp!.flags).toMatchObject({ syn: true, ack: true })
    expect(tcp!.options.at(-1)).toEqual({ kind: 30, value: hex('0101e8b2fa24dd808ec7') })
    expect(tcp!.payload).toHaveLength(0)
  })

  test('SYN with MP_CAPABLE and data, IPv6', () => {
    const packet = readPacket(syn6, 0)!
    expect(packet).toMatchObject({ version: 6, source: '2001:db8:1::2', destination: '2001:db8:c::1', protocol: 6 })
    expect(packet.tcp).toMatchObject({ sourcePort: 39538, window: 64800, mptcp: { version: 1 }, checksumValid: true })
    expect(packet.tcp!.payload).toEqual(hex('68656c6c6f'))
  })

  test('the protocol is the one behind the extension headers', () => {
    const packet = readPacket(multicast6, 0)!
    expect(packet).toMatchObject({ source: 'fe80::f87f:7a36:5497:e43b', destination: 'ff02::16', protocol: 58 })
    expect(packet.tcp).toBeUndefined()
  })

  test('a Fast Open cookie, asked for and given (RFC 7413 §4.1.1)', () => {
    // The timestamp (10 bytes) becomes option 34 and an end of the list.
    for (const [option, cookie] of [
      ['2202 0000000000000000', ''],
      ['220a 0102030405060708', '0102030405060708'],
    ]) {
      const bytes = syn4.slice()
      bytes.set(hex(option!), 20 + 20 + 6)
      expect(readPacket(bytes, 0)!.tcp!.fastOpenCookie).toEqual(hex(cookie!))
    }
  })

  test('a wrong checksum shows', () => {
    for (const at of [12, 20, 41, 68]) {
      const bytes = syn4.slice()
      bytes[at]! ^= 1
      expect(readPacket(bytes, 0)!.tcp!.checksumValid).toBe(false)
    }
  })

  test('a fragment, a header that does not fit, and other protocols are not taken for TCP', () => {
    for (const [at, value] of [
      [6, 0x20], // more fragments
      [9, 17], // UDP
      [32, 0x40], // data offset of 16 bytes
      [3, 0x3b], // total length ends within the options
    ] as const) {
      const bytes = syn4.slice()
      bytes[at] = value
      expect(readPacket(bytes, 0)!.tcp).toBeUndefined()
    }
    expect(readPacket(hex('00'), 0)).toBeUndefined()
  })
})

describe('a file', () => {
  const packets = [syn4, synAck4, syn6]

  test.each([
    ['nanoseconds, little-endian', { littleEndian: true, magic: 0xa1b23c4d }, 0.25],
    ['nanoseconds, big-endian', { littleEndian: false, magic: 0xa1b23c4d }, 0.25],
    ['microseconds, little-endian', { littleEndian: true, magic: 0xa1b2c3d4 }, 250],
    ['microseconds, big-endian', { littleEndian: false, magic: 0xa1b2c3d4 }, 250],
  ])('%s', (_, format, milliseconds) => {
    const read = readPcap(pcap(packets, format))
    expect(read.map(packet => packet.bytes)).toEqual(packets)
    for (const [i, { time }] of read.entries()) expect(time).toBeCloseTo(1_700_000_000_000 + i * 1000 + milliseconds, 3)
  })

  test('every proper prefix gives the packets that are whole', () => {
    const file = pcap(packets)
    for (let length = 24; length < file.length; length++) {
      const read = readPcap(file.subarray(0, length))
      expect(read.length).toBe(length < 24 + 16 + 69 ? 0 : length < 24 + 32 + 69 + 72 ? 1 : 2)
    }
  })

  test('no more than the limit', () => expect(readPcap(pcap(packets), 2)).toHaveLength(2))

  test('what is not a capture file is refused', () => {
    for (const file of [hex(''), pcap([]).subarray(0, 23), pcap([], { magic: 0x0a0d0d0b }), syn4])
      expect(() => readPcap(file)).toThrow(
        expect.objectContaining({ code: 'ERR_LAB_FAILED', message: 'not a capture file: neither pcap nor pcapng' }),
      )
  })

  test('packets in Ethernet frames', () => {
    const frame = Buffer.concat([new Uint8Array(12), hex('0800'), syn4])
    expect(readPcap(pcap([frame], { linkType: 1 })).map(({ bytes }) => bytes)).toEqual([syn4])
  })

  test('random bytes end, and throw nothing of their own', () => {
    const random = seeded(1)
    for (let round = 0; round < 2000; round++) {
      const bytes = Uint8Array.from({ length: Math.floor(random() * 120) }, () => random() * 256)
      const file = pcap(packets)
      file.set(bytes.subarray(0, file.length - 24), 24 * Math.floor(random() * 2))
      try {
        readPcap(file)
      } catch (error) {
        expect(error).toBeInstanceOf(AtsssError)
      }
    }
  })
})
