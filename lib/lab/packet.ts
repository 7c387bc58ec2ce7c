/**
 * IP packets and their TCP segments, as far as is needed to prove what a SYN carried. Bytes to values; no I/O. Fragments
 * and IPv6 extension headers are not examined.
 */
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
  /** Option 30 (RFC 8684 §3), the first of them. Only MP_CAPABLE has a `version`. */
  mptcp?: { subtype: number; version?: number }
  /** Option 34 (RFC 7413 §4.1.1): the cookie; empty in a request for one. */
  fastOpenCookie?: Uint8Array
  payload: Uint8Array
  /** Whether the checksum is correct. */
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

const TCP = 6

/** `undefined` if it is neither IPv4 nor IPv6, or is cut short. */
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

/** RFC 9293 §3.1. A segment whose header does not fit adds nothing. */
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

/** RFC 8684 §3: the subtype is the upper half of the first byte; the lower half of MP_CAPABLE is its version. */
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
