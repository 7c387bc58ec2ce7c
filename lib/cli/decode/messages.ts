/** Finds the messages in the packets of a capture: at the start of TCP streams, and in UDP datagrams. */
import { hostAndPort } from '../../input/addresses.js'
import { type Captured, countUnknown } from '../../lab/capture.js'
import type { Packet, Tcp } from '../../lab/index.js'
import { MPTCP_SUBTYPE } from '../../lab/index.js'
import { readPacket } from '../../lab/packet.js'
import { tunnelled } from '../../lab/tunnels.js'
import { MAX_MESSAGE_LENGTH } from '../../wire/convert/message.js'
import { PCP_CLIENT_PORT, PCP_SERVER_PORT } from '../../wire/pcp/index.js'
import { KINDS, type KindName } from './kinds.js'

export interface Message {
  kind: KindName
  bytes: Uint8Array
  /** The packet in which it begins. */
  number: number
  time: number
  /** Its sender and receiver, and how the packet is marked. */
  from: string
  to: string
  marks: string
}

/**
 * Convert messages are at the very start of each direction of a connection (RFC 8803 §6). The segments of each direction are put into
 * the order of their sequence numbers, up to the length of the longest message.
 */
export function messagesIn(packets: readonly Captured[]): Message[] {
  const streams = new Map<string, Stream>()
  const messages: Message[] = []
  for (const { number, packet } of packets) {
    const { tcp } = packet
    const datagram = pcpDatagram(packet)
    if (datagram !== undefined) messages.push({ ...datagram, kind: 'pcp', number, time: packet.time, marks: 'UDP' })
    if (tcp === undefined || (tcp.payload.length === 0 && !tcp.flags.syn)) continue
    const from = hostAndPort(packet.source, tcp.sourcePort)
    const to = hostAndPort(packet.destination, tcp.destinationPort)
    const key = `${from} ${to}`
    // A SYN's sequence number is one before that of the first octet. If the capture has no SYN, the stream begins where it is first seen.
    const first = tcp.sequence + (tcp.flags.syn ? 1 : 0)
    let stream = streams.get(key)
    if (stream === undefined || (tcp.flags.syn && stream.start !== first >>> 0)) {
      stream = { start: first >>> 0, bytes: new Uint8Array(MAX_MESSAGE_LENGTH), there: 0, found: false }
      streams.set(key, stream)
    }
    if (!stream.found) take(stream, first, tcp.payload)
    const bytes = stream.bytes.subarray(0, stream.there)
    if (stream.found || bytes.length < 4 || !KINDS.convert.looksLike(bytes)) continue
    const length = (bytes[1] ?? 0) * 4
    if (bytes.length < length) continue
    stream.found = true
    messages.push({
      kind: 'convert',
      bytes: bytes.slice(0, length),
      number,
      time: packet.time,
      from,
      to,
      marks: marks(tcp),
    })
  }
  return messages
}

/**
 * The packets of a capture, and those in their tunnels. What is in no packet that can be read is counted in `unknown`.
 */
export function withTunnelled(packets: readonly Captured[], unknown: Map<string, number>): Captured[] {
  return packets.flatMap(captured => {
    const all = [captured]
    for (let { packet } = captured; all.length <= MOST_TUNNELS; ) {
      const inner = tunnelled(packet)
      if (inner === undefined) break
      const next = 'packet' in inner ? readPacket(inner.packet, packet.time) : undefined
      if (next === undefined) {
        countUnknown(unknown, 'unknown' in inner ? inner.unknown : 'tunnels without an IP packet')
        break
      }
      packet = next
      all.push({ number: captured.number, packet })
    }
    return all
  })
}

/** In each other. */
const MOST_TUNNELS = 4

/** The message in a UDP datagram from or to a port of PCP. RFC 6887 §19.1. */
function pcpDatagram({ protocol, payload: datagram, unread, source, destination }: Packet) {
  if (protocol !== UDP || unread !== undefined || datagram.length < UDP_HEADER) return undefined
  const view = new DataView(datagram.buffer, datagram.byteOffset)
  const [from, to] = [view.getUint16(0), view.getUint16(2)]
  if (![from, to].some(port => port === PCP_SERVER_PORT || port === PCP_CLIENT_PORT)) return undefined
  const payload = datagram.slice(UDP_HEADER, view.getUint16(4))
  return { bytes: payload, from: hostAndPort(source, from), to: hostAndPort(destination, to) }
}

const UDP = 17
const UDP_HEADER = 8

interface Stream {
  start: number
  bytes: Uint8Array
  /** How many octets are known, from the start of the stream. */
  there: number
  /** Whether its message has been found. */
  found: boolean
}

function take(stream: Stream, sequence: number, payload: Uint8Array): void {
  const at = (sequence - stream.start) | 0
  // After a gap, skip the segment until it is retransmitted. Captures at one end of a connection are mostly in order.
  if (at < 0 || at > stream.there) return
  const room = payload.subarray(0, stream.bytes.length - at)
  stream.bytes.set(room, at)
  stream.there = Math.max(stream.there, at + room.length)
}

function marks({ flags, mptcp }: Tcp): string {
  const syn = flags.syn ? (flags.ack ? ['SYN+ACK'] : ['SYN']) : ['data']
  const subtype = Object.entries(MPTCP_SUBTYPE).find(([, code]) => code === mptcp?.subtype)?.[0]
  return [...syn, ...(subtype === undefined ? [] : [subtype])].join(' ')
}

/** How many TCP connections the packets begin. */
export function connectionsIn(packets: readonly Captured[]): number {
  const syns = packets.filter(({ packet }) => packet.tcp?.flags.syn && !packet.tcp.flags.ack)
  return new Set(syns.map(({ packet }) => key(packet))).size
}

function key({ source, destination, tcp }: Packet): string {
  return `${source} ${tcp?.sourcePort} ${destination} ${tcp?.destinationPort}`
}
