/**
 * IP packets and their TCP segments, as far as is needed to prove what a SYN carried. Bytes to values; no I/O. Fragments
 * are not put together.
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
  /** The IP protocol: 6 TCP, 17 UDP, 1 and 58 ICMP. Of IPv6, that behind the extension headers. */
  protocol: number
  /** The whole IP packet. */
  bytes: Uint8Array
  /** What is behind the IP header and the extension headers. */
  payload: Uint8Array
  /** Why the payload is not read, if it is not. */
  unread?: string
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
  const version = (bytes[0] ?? 0) >> 4
  if (version === 4 && bytes.length >= 20) return readIPv4(bytes, time)
  if (version === 6 && bytes.length >= 40) return readIPv6(bytes, time)
  return undefined
}

/** RFC 791 §3.1. */
function readIPv4(bytes: Uint8Array, time: number): Packet {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  // The kernel has not yet divided what it hands to a network card: the length of more than 64 KiB is 0 (BIG TCP).
  const end = view.getUint16(2) || bytes.length
  const packet: Packet = {
    time,
    version: 4,
    source: bytes.subarray(12, 16).join('.'),
    destination: bytes.subarray(16, 20).join('.'),
    protocol: bytes[9]!,
    bytes,
    payload: bytes.subarray((bytes[0]! & 0x0f) * 4, end),
  }
  if ((view.getUint16(6) & 0x3fff) !== 0) packet.unread = FRAGMENTS
  return withTcp(packet, bytes.subarray(12, 20))
}

/** RFC 8200 §3, §4. */
function readIPv6(bytes: Uint8Array, time: number): Packet {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const length = view.getUint16(4)
  const packet: Packet = {
    time,
    version: 6,
    source: formatAddress(bytes, 8),
    destination: formatAddress(bytes, 24),
    protocol: bytes[6]!,
    bytes,
    payload: bytes.subarray(40, length === 0 ? bytes.length : 40 + length),
  }
  let { payload } = packet
  for (let headers = 0; EXTENSIONS.has(packet.protocol) && payload.length >= 8; headers++) {
    if (headers === MOST_HEADERS) {
      packet.unread = 'IPv6 packets with too many extension headers'
      break
    }
    const [next = 0, words = 0] = payload
    // RFC 4302 §2.2: the length of an Authentication Header counts words of four octets, minus two.
    const size = packet.protocol === AH ? (words + 2) * 4 : packet.protocol === FRAGMENT ? 8 : (words + 1) * 8
    // The offset, and whether more fragments follow; neither in an atomic fragment (RFC 6946).
    if (packet.protocol === FRAGMENT && (((payload[2]! << 8) | payload[3]!) & 0xfff9) !== 0) {
      packet.unread = FRAGMENTS
      break
    }
    packet.protocol = next
    payload = payload.subarray(size)
  }
  packet.payload = payload
  return withTcp(packet, bytes.subarray(8, 40))
}

function withTcp(packet: Packet, addresses: Uint8Array): Packet {
  if (packet.protocol === TCP && packet.unread === undefined) addTcp(packet, packet.payload, addresses)
  return packet
}

const FRAGMENTS = 'fragments of IP packets'
const FRAGMENT = 44
const AH = 51
/** Hop-by-hop options, routing, fragment, authentication, destination options, mobility, HIP, Shim6. */
const EXTENSIONS: ReadonlySet<number> = new Set([0, 43, FRAGMENT, AH, 60, 135, 139, 140])
const MOST_HEADERS = 16

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
