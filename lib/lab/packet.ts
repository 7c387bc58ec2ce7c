/**
 * Reads a pcap file of raw IP packets, as the lab's captures are, far enough to prove what a SYN carried. Bytes to values;
 * no I/O. IP fragments and other link types are not looked into.
 *
 *   file    magic 4 | version 2+2 | reserved 8 | snap length 4 | link type 4
 *   packet  seconds 4 | nano- or microseconds 4 | bytes in the file 4 | bytes on the wire 4 | the packet
 *
 * Fields are in the byte order of the machine that wrote them; the magic number tells (draft-ietf-opsawg-pcap §4, §5).
 */
import { AtsssError } from '../errors.js'
import { formatAddress } from '../wire/bytes/address.js'
import { decodeTcpOptions, type TcpOption } from '../wire/convert/tcp-options.js'

export interface Tcp {
  sourcePort: number
  destinationPort: number
  sequence: number
  acknowledgment: number
  flags: { fin: boolean; syn: boolean; rst: boolean; psh: boolean; ack: boolean }
  window: number
  options: TcpOption[]
  /** Option 30 (RFC 8684 §3), the first of them. `version` is of MP_CAPABLE only. */
  mptcp?: { subtype: number; version?: number }
  /** Option 34 (RFC 7413 §4.1.1): the cookie, empty where one is asked for. */
  fastOpenCookie?: Uint8Array
  payload: Uint8Array
  /** Whether the checksum is right. */
  checksumValid: boolean
}

export interface Packet {
  /** Milliseconds since the epoch, with fractions. */
  time: number
  version: 4 | 6
  source: string
  destination: string
  /** The IP protocol: 6 TCP, 17 UDP, 1 and 58 ICMP. */
  protocol: number
  /** The whole IP packet. */
  bytes: Uint8Array
  tcp?: Tcp
}

export const MPTCP_SUBTYPE = {
  MP_CAPABLE: 0,
  MP_JOIN: 1,
  DSS: 2,
  ADD_ADDR: 3,
  REMOVE_ADDR: 4,
  MP_PRIO: 5,
  MP_FAIL: 6,
  MP_FASTCLOSE: 7,
  MP_TCPRST: 8,
} as const

const FILE_HEADER = 24
const PACKET_HEADER = 16
const LINKTYPE_RAW = 101
const TCP = 6

/**
 * The packets of the file, in its order. An unfinished last packet, of a capture still under way, is left out.
 *
 * @param limit how many packets to read at most
 */
export function readPcap(file: Uint8Array, limit = 1_000_000): Packet[] {
  const bytes = new Uint8Array(file.buffer, file.byteOffset, file.byteLength) // also of a Buffer
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength)
  const { littleEndian, fraction } = fileFormat(view)
  const packets: Packet[] = []
  let at = FILE_HEADER
  while (packets.length < limit && at + PACKET_HEADER <= bytes.length) {
    const seconds = view.getUint32(at, littleEndian)
    const part = view.getUint32(at + 4, littleEndian)
    const start = at + PACKET_HEADER
    const end = start + view.getUint32(at + 8, littleEndian)
    if (end > bytes.length) break
    const packet = readPacket(bytes.subarray(start, end), seconds * 1000 + part * fraction)
    if (packet !== undefined) packets.push(packet)
    at = end
  }
  return packets
}

/** `fraction`: what the second field of a packet's time counts, in milliseconds. */
function fileFormat(view: DataView): { littleEndian: boolean; fraction: number } {
  for (const littleEndian of [true, false]) {
    if (view.byteLength < FILE_HEADER) break
    const magic = view.getUint32(0, littleEndian)
    const fraction = magic === 0xa1b23c4d ? 1e-6 : magic === 0xa1b2c3d4 ? 1e-3 : undefined
    if (fraction !== undefined && view.getUint32(20, littleEndian) === LINKTYPE_RAW) return { littleEndian, fraction }
  }
  throw new AtsssError('ERR_LAB_FAILED', 'not a pcap file of raw IP packets')
}

/** Undefined when it is neither IPv4 nor IPv6, or cut short. */
export function readPacket(bytes: Uint8Array, time: number): Packet | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const version = (bytes[0] ?? 0) >> 4
  if (version === 4 && bytes.length >= 20) {
    const packet: Packet = {
      time,
      version,
      source: bytes.subarray(12, 16).join('.'),
      destination: bytes.subarray(16, 20).join('.'),
      protocol: bytes[9]!,
      bytes,
    }
    const fragment = (view.getUint16(6) & 0x3fff) !== 0
    if (packet.protocol === TCP && !fragment)
      addTcp(packet, bytes.subarray((bytes[0]! & 0x0f) * 4, view.getUint16(2)), bytes.subarray(12, 20))
    return packet
  }
  if (version === 6 && bytes.length >= 40) {
    const packet: Packet = {
      time,
      version,
      source: formatAddress(bytes, 8),
      destination: formatAddress(bytes, 24),
      protocol: bytes[6]!,
      bytes,
    }
    if (packet.protocol === TCP) addTcp(packet, bytes.subarray(40, 40 + view.getUint16(4)), bytes.subarray(8, 40))
    return packet
  }
  return undefined
}

/** RFC 9293 §3.1. Does nothing to a segment whose header does not fit. */
function addTcp(packet: Packet, segment: Uint8Array, addresses: Uint8Array): void {
  const headerLength = ((segment[12] ?? 0) >> 4) * 4
  if (headerLength < 20 || headerLength > segment.length) return
  const view = new DataView(segment.buffer, segment.byteOffset, segment.byteLength)
  const flags = segment[13]!
  const options = decodeTcpOptions(segment.subarray(20, headerLength))
  const mptcp = options.find(option => option.kind === 30 && option.value.length > 0)?.value
  const fastOpen = options.find(option => option.kind === 34)
  packet.tcp = {
    sourcePort: view.getUint16(0),
    destinationPort: view.getUint16(2),
    sequence: view.getUint32(4),
    acknowledgment: view.getUint32(8),
    flags: {
      fin: (flags & 0x01) !== 0,
      syn: (flags & 0x02) !== 0,
      rst: (flags & 0x04) !== 0,
      psh: (flags & 0x08) !== 0,
      ack: (flags & 0x10) !== 0,
    },
    window: view.getUint16(14),
    options,
    payload: segment.subarray(headerLength),
    checksumValid: (sum16(addresses) + TCP + segment.length + sum16(segment)) % 0xffff === 0,
  }
  if (mptcp !== undefined) packet.tcp.mptcp = mptcpOption(mptcp)
  if (fastOpen !== undefined) packet.tcp.fastOpenCookie = fastOpen.value
}

/** RFC 8684 §3: the subtype is the upper half of the first byte; below it MP_CAPABLE has its version. */
function mptcpOption(value: Uint8Array): { subtype: number; version?: number } {
  const subtype = value[0]! >> 4
  return subtype === MPTCP_SUBTYPE.MP_CAPABLE ? { subtype, version: value[0]! & 0x0f } : { subtype }
}

/** Sum of the 16-bit words, the last padded with zero. In one's complement arithmetic it counts modulo 0xffff. */
function sum16(bytes: Uint8Array): number {
  let sum = 0
  for (let i = 0; i < bytes.length; i++) sum += i % 2 === 0 ? bytes[i]! << 8 : bytes[i]!
  return sum
}
