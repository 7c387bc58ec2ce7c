/** Captures of every encapsulation: the message in them is found, or what hides it is named. Frames by hand, from the specifications. */
import { describe, expect, test } from 'vitest'
import { messagesIn, withTunnelled } from '../../lib/cli/decode/messages.js'
import { readCapture } from '../../lib/lab/capture.js'
import { hex } from '../support/hex.js'
import { atsss } from './atsss.js'

const bytes = (...parts: (string | Uint8Array)[]) =>
  Buffer.concat(parts.map(part => (typeof part === 'string' ? Buffer.from(hex(part)) : part)))
const length16 = (value: number) => value.toString(16).padStart(4, '0')

const CONVERT = '01062263 0a050050 00000000 00000000 0000ffff c6336402'
const SEGMENT = bytes('9c40 1404 00000001 00000000 5002 ffff 0000 0000', CONVERT)
const ipv4 = (protocol: string, payload: Uint8Array, fragment = '0000') =>
  bytes('4500', length16(20 + payload.length), '0001', fragment, '40', protocol, '0000 0a010002 c0000201', payload)
const ipv6 = (next: string, payload: Uint8Array, length = payload.length) =>
  bytes(
    '60000000',
    length16(length),
    next,
    '40',
    '20010db8000100000000000000000002',
    '20010db8000c00000000000000000001',
    payload,
  )
const udp = (port: number, payload: Uint8Array) =>
  bytes('c000', length16(port), length16(8 + payload.length), '0000', payload)
const PACKET = ipv4('06', SEGMENT)
const ethernet = (type: string, body: Uint8Array) => bytes('020000000001 020000000002', type, body)
const wifi = (control: string, more = '') => bytes(control, '0000', '00'.repeat(20), more, 'aaaa03 000000 0800', PACKET)
const radiotap = (frame: Uint8Array) => bytes('0000 0a00 00000000 0000', frame)

const u32 = (...values: number[]) => Buffer.from(Uint32Array.from(values.map(value => value >>> 0)).buffer)
const pcap = (link: number, frame: Uint8Array, length = frame.length) =>
  Buffer.concat([u32(0xa1b2c3d4), hex('02000400'), u32(0, 0, 65_535, link, 1, 0, frame.length, length), frame])

function found(capture: Uint8Array): { kinds: string[]; unknown: string[] } {
  const { packets, unknown } = readCapture(new Uint8Array(capture))
  const kinds = messagesIn(withTunnelled(packets, unknown)).map(({ kind }) => kind)
  return { kinds, unknown: [...unknown].map(([what, count]) => `${what} (${count})`) }
}

describe('found behind', () => {
  test.each<[string, number, Uint8Array]>([
    ['Ethernet', 1, ethernet('0800', PACKET)],
    ['a VLAN tag', 1, ethernet('8100', bytes('0005 0800', PACKET))],
    ['two VLAN tags, 802.1ad', 1, ethernet('88a8', bytes('0005 8100 0006 0800', PACKET))],
    ['two VLAN tags, 0x9100', 1, ethernet('9100', bytes('0005 8100 0006 0800', PACKET))],
    ['PPPoE', 1, ethernet('8864', bytes('1100 0001', length16(PACKET.length + 2), '0021', PACKET))],
    ['PPPoE with a short protocol', 1, ethernet('8864', bytes('1100 0001', length16(PACKET.length + 1), '21', PACKET))],
    ['PPPoE in a VLAN', 1, ethernet('8100', bytes('0007 8864 1100 0001 0000 0021', PACKET))],
    ['MPLS', 1, ethernet('8847', bytes('00001040 00002140', PACKET))],
    ['802.3 with SNAP', 1, ethernet(length16(8 + PACKET.length), bytes('aaaa03 000000 0800', PACKET))],
    ['tcpdump -i any', 113, bytes('0004 0001 0006 000000000000 0000 0800', PACKET)],
    ['tcpdump -i any, in a VLAN', 113, bytes('0004 0001 0006 000000000000 0000 8100 0005 0800', PACKET)],
    ['tcpdump -i any, version 2', 276, bytes('0800 0000 00000002 0001 00 06 0000000000000000', PACKET)],
    ['the same in a VLAN', 276, bytes('8100 0000 00000002 0001 00 06 0000000000000000 0005 0800', PACKET)],
    ['PPP', 9, bytes('ff03 0021', PACKET)],
    ['PPP without address and control', 9, bytes('0021', PACKET)],
    ['PPP in HDLC framing', 50, bytes('ff03 0021', PACKET)],
    ['PPPoE as link type', 51, bytes('1100 0001 0000 0021', PACKET)],
    ['BSD loopback', 0, bytes('02000000', PACKET)],
    ['raw IP', 101, PACKET],
    ['raw IP, DLT_RAW', 12, PACKET],
    ['radiotap', 127, radiotap(wifi('0801'))],
    ['radiotap, QoS', 127, radiotap(wifi('8802', '0000'))],
    ['radiotap, QoS with HT control', 127, radiotap(wifi('8882', '0000 00000000'))],
    ['radiotap, between access points', 127, radiotap(wifi('0803', '020000000003'))],
    ['802.11', 105, wifi('0802')],
    ['an IPv6 hop-by-hop header', 101, ipv6('00', bytes('06 00 0104 00000000', SEGMENT))],
    [
      'a routing and a destination header',
      101,
      ipv6('2b', bytes('3c 00 0400 00000000', '06 01 0104 00000000 010600000000 0000', SEGMENT)),
    ],
    ['an atomic fragment', 101, ipv6('2c', bytes('06 00 0000 00000001', SEGMENT))],
    ['an IPv6 authentication header', 101, ipv6('33', bytes('06 04 0000', '00'.repeat(20), SEGMENT))],
    ['a packet of IPv4 of unknown length', 101, bytes('4500 0000', PACKET.subarray(4))],
    ['a packet of IPv6 of unknown length', 101, ipv6('06', SEGMENT, 0)],
    ['GTP-U', 101, ipv4('11', udp(2152, bytes('30ff', length16(PACKET.length), '00000001', PACKET)))],
    [
      'GTP-U with a PDU session container',
      101,
      ipv6('11', udp(2152, bytes('34ff', length16(PACKET.length + 8), '00000001 000000 85', '01 1001 00', PACKET))),
    ],
    ['VXLAN', 101, ipv4('11', udp(4789, bytes('08000000 00000100', ethernet('0800', PACKET))))],
    ['GRE', 101, ipv4('2f', bytes('0000 0800', PACKET))],
    ['GRE with a key and a sequence number', 101, ipv4('2f', bytes('3000 0800 00000001 00000002', PACKET))],
    ['IP in IP', 101, ipv4('04', PACKET)],
    ['IPv6 in IPv4', 101, ipv4('29', ipv6('06', SEGMENT))],
    ['tunnels in tunnels', 101, ipv4('04', ipv4('2f', bytes('0000 0800', PACKET)))],
  ])('%s', (_name, link, frame) => {
    expect(found(pcap(link, frame))).toEqual({ kinds: ['convert'], unknown: [] })
  })
})

describe('named', () => {
  test.each<[string, number, Uint8Array]>([
    ['link type 147', 147, PACKET],
    ['EtherType 0x88a2', 1, ethernet('88a2', PACKET)],
    ['PPP protocol 0x002d', 9, bytes('002d', PACKET)],
    ['MPLS without an IP packet', 1, ethernet('8847', bytes('00001140 00000000', ethernet('0800', PACKET)))],
    ['encrypted 802.11 frames', 127, radiotap(wifi('0841'))],
    ['no IP packet where one should be', 101, bytes('00000000')],
    ['fragments of IP packets', 101, ipv4('06', SEGMENT, '2000')],
    ['fragments of IP packets', 101, ipv6('2c', bytes('06 00 0001 00000001', SEGMENT))],
    [
      'IPv6 packets with too many extension headers',
      101,
      ipv6('00', bytes('00 00 0104 00000000 '.repeat(20), SEGMENT)),
    ],
    ['encrypted packets (ESP)', 101, ipv4('32', bytes('00000001 00000001'))],
    ['encrypted packets (IPsec over UDP)', 101, ipv4('11', udp(4500, bytes('00000001 00000001')))],
    ['WireGuard tunnels', 101, ipv4('11', udp(51820, bytes('04000000')))],
    ['Geneve tunnels', 101, ipv4('11', udp(6081, bytes('00006558 00000000')))],
    ['L2TP tunnels', 101, ipv4('73', bytes('00000000'))],
    ['GTP tunnels of another version than GTPv1-U', 101, ipv4('11', udp(2152, bytes('48ff0000')))],
    [
      'GTP-U tunnels that carry no IP',
      101,
      ipv4('11', udp(2152, bytes('30ff0008 00000001', ethernet('0800', PACKET)))),
    ],
    [
      'GTP-U tunnels with a broken extension header',
      101,
      ipv4('11', udp(2152, bytes('34ff0008 00000001 000000 85 00000000'))),
    ],
    ['GRE tunnels of another version (PPTP)', 101, ipv4('2f', bytes('3001 880b 00000000'))],
    ['tunnels without an IP packet', 101, ipv4('04', bytes('00'))],
  ])('%s, %#', (what, link, frame) => {
    expect(found(pcap(link, frame))).toEqual({ kinds: [], unknown: [`${what} (1)`] })
  })

  test.each<[string, number, Uint8Array]>([
    ['ARP', 1, ethernet('0806', bytes('0001'))],
    ['PPPoE discovery', 1, ethernet('8863', bytes('1109 0000 0000'))],
    ['LLC without SNAP', 1, ethernet('0003', bytes('424203'))],
    ['a beacon', 127, radiotap(bytes('8000 0000'))],
    ['PPP link control', 9, bytes('ff03 c021 0101')],
    ['a GTP-U echo', 101, ipv4('11', udp(2152, bytes('3201 0004 00000000 00000000')))],
    ['DNS', 101, ipv4('11', udp(53, bytes('00')))],
  ])('not %s, which carries none', (_name, link, frame) => {
    expect(found(pcap(link, frame))).toEqual({ kinds: [], unknown: [] })
  })
})

test('frames of any bytes, of every link type, end in something', () => {
  let seed = 1
  const random = (below: number) => {
    seed = (seed * 48_271) % 2_147_483_647
    return seed % below
  }
  for (let round = 0; round < 20_000; round++) {
    const link = [0, 1, 9, 12, 50, 51, 101, 105, 113, 127, 147, 276][random(12)]!
    const frame = Buffer.from(Array.from({ length: random(80) }, () => random(256)))
    if (random(2)) PACKET.copy(frame, random(20))
    expect(() => found(pcap(link, frame))).not.toThrow()
  }
})

test('printed, as text and as JSON', async () => {
  const capture = pcap(147, PACKET)
  const text = await atsss(['decode'], capture)
  expect(text.stdout).toBe(
    '1 packets, 0 messages in 0 connections\nNot understood, so messages in them are not found: link type 147 (1)\n',
  )
  const json = await atsss(['decode', '--json'], capture)
  expect(JSON.parse(json.stdout)).toMatchObject({ messages: [], notUnderstood: { 'link type 147': 1 }, shortened: 0 })
  expect([text.status, json.status]).toEqual([1, 1])
  const short = await atsss(['decode'], pcap(101, PACKET.subarray(0, 44), PACKET.length))
  expect(short.stdout).toContain('Of 1 packets only the beginning was captured: capture them whole (tcpdump -s 0)\n')
})
