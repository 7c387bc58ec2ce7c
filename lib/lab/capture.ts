/**
 * Reads the IP packets of a capture file, pcap or pcapng. Bytes to values; no I/O.
 *
 *   pcap    magic 4 | version 2+2 | reserved 8 | snap length 4 | link type 4, then packets:
 *           seconds 4 | fraction 4 | bytes in the file 4 | bytes on the wire 4 | the packet
 *   pcapng  blocks: type 4 | length 4 | body, padded to 4 | length 4 (draft-ietf-opsawg-pcapng §3.1)
 *
 * Fields are in the byte order of the machine that wrote them, which shows in the magic numbers.
 */

import { AtsssError } from '../errors.js'
import { packetIn } from './link-layer.js'
import { type Packet, readPacket } from './packet.js'

export interface Captured {
  /** Counted from 1, as other programs do. */
  number: number
  packet: Packet
}

export interface Capture {
  packets: Captured[]
  /** How many packets there are, including those that are not IP. */
  count: number
  /** What has no IP packet that could be found, and how many packets that are. */
  unknown: Map<string, number>
  /** How many packets the file has only the beginning of. */
  shortened: number
  /** Why the file could not be read to its end. */
  broken?: string
}

/** Counts one more packet. */
export function countUnknown(unknown: Map<string, number>, what: string): void {
  unknown.set(what, (unknown.get(what) ?? 0) + 1)
}

export function isCapture(bytes: Uint8Array): boolean {
  const pcap = [PCAP_MICRO, PCAP_NANO].some(magic => [true, false].some(little => word(bytes, 0, little) === magic))
  return (pcap && bytes.length >= FILE_HEADER) || word(bytes, 0, true) === SECTION
}

/**
 * The IP packets of a capture file, in its order. An unfinished last packet, of a capture that is still running, is left
 * out.
 *
 * @param limit the most packets to read
 * @throws ERR_LAB_FAILED if it is not a capture file
 */
export function readPcap(file: Uint8Array, limit = 1_000_000): Packet[] {
  const bytes = new Uint8Array(file.buffer, file.byteOffset, file.byteLength) // packets of a Buffer are Uint8Arrays, too
  if (!isCapture(bytes)) throw new AtsssError('ERR_LAB_FAILED', 'not a capture file: neither pcap nor pcapng')
  return readCapture(bytes, limit).packets.map(({ packet }) => packet)
}

/** Every IP packet, up to where the file is broken. */
export function readCapture(bytes: Uint8Array, limit = Number.POSITIVE_INFINITY): Capture {
  const capture: Capture = { packets: [], count: 0, unknown: new Map(), shortened: 0 }
  try {
    for (const raw of word(bytes, 0, true) === SECTION ? pcapngPackets(bytes) : pcapPackets(bytes)) {
      const { link, time, data } = raw
      capture.count++
      if (data.length < raw.length) capture.shortened++
      const found = packetIn(link, data)
      if (found === undefined) continue
      const packet = 'packet' in found ? readPacket(found.packet, time) : undefined
      if (packet !== undefined) capture.packets.push({ number: capture.count, packet })
      else countUnknown(capture.unknown, 'unknown' in found ? found.unknown : 'no IP packet where one should be')
      if (capture.packets.length >= limit) break
    }
  } catch (error) {
    if (!(error instanceof Broken)) throw error
    capture.broken = error.message
  }
  return capture
}

class Broken extends Error {}

interface Raw {
  link: number
  /** Milliseconds since the epoch. */
  time: number
  data: Uint8Array
  /** On the wire; the file may have less. */
  length: number
}

const PCAP_MICRO = 0xa1b2c3d4
const PCAP_NANO = 0xa1b23c4d
/** Bytes before the first packet of a pcap file. */
const FILE_HEADER = 24
const SECTION = 0x0a0d0d0a
const BYTE_ORDER = 0x1a2b3c4d

function* pcapPackets(bytes: Uint8Array): Generator<Raw> {
  const little = [PCAP_MICRO, PCAP_NANO].includes(word(bytes, 0, true))
  const fraction = word(bytes, 0, little) === PCAP_NANO ? 1e-6 : 1e-3
  const link = word(bytes, 20, little) & 0x0fffffff
  for (let at = FILE_HEADER; at < bytes.length; ) {
    const length = word(bytes, at + 8, little)
    const end = at + 16 + length
    if (at + 16 > bytes.length || end > bytes.length) throw new Broken(`the file ends within a packet, at ${at}`)
    const time = word(bytes, at, little) * 1000 + word(bytes, at + 4, little) * fraction
    yield { link, time, data: bytes.subarray(at + 16, end), length: word(bytes, at + 12, little) }
    at = end
  }
}

/** Types of blocks. */
const BLOCK = { interface: 1, obsolete: 2, simple: 3, enhanced: 6 } as const

function* pcapngPackets(bytes: Uint8Array): Generator<Raw> {
  let little = true
  let interfaces: { link: number; tick: number }[] = []
  for (let at = 0; at < bytes.length; ) {
    if (word(bytes, at, true) === SECTION) {
      little = word(bytes, at + 8, true) === BYTE_ORDER
      interfaces = []
    }
    const type = word(bytes, at, little)
    const length = word(bytes, at + 4, little)
    if (length < 12 || length % 4 !== 0 || at + length > bytes.length)
      throw new Broken(`a block of ${length} bytes at ${at}`)
    const body = bytes.subarray(at + 8, at + length - 4)
    if (type === BLOCK.interface) interfaces.push({ link: half(body, 0, little), tick: tickOf(body, little) })
    if (type === BLOCK.enhanced) {
      const { link, tick } = interfaces[word(body, 0, little)] ?? fail(`a packet of no interface at ${at}`)
      const ticks = word(body, 4, little) * 2 ** 32 + word(body, 8, little)
      const captured = word(body, 12, little)
      if (20 + captured > body.length) throw new Broken(`a packet longer than its block at ${at}`)
      const data = body.subarray(20, 20 + captured)
      yield { link, time: ticks * tick, data, length: word(body, 16, little) }
    }
    if (type === BLOCK.simple) {
      const length = word(body, 0, little)
      yield { link: interfaces[0]?.link ?? -1, time: 0, data: body.subarray(4, 4 + length), length }
    }
    if (type === BLOCK.obsolete)
      throw new Broken(`a block of an obsolete type (2) at ${at}: convert the file with editcap`)
    at += length
  }
}

/** The unit of a packet's time, in milliseconds: option 9 of its interface, if_tsresol. */
function tickOf(body: Uint8Array, little: boolean): number {
  for (let at = 8; at + 4 <= body.length; ) {
    const code = half(body, at, little)
    const length = half(body, at + 2, little)
    if (code === 0) break
    if (code === 9 && length >= 1) {
      const resolution = body[at + 4]!
      return 1000 / (resolution & 0x80 ? 2 ** (resolution & 0x7f) : 10 ** resolution)
    }
    at += 4 + length + ((4 - (length % 4)) % 4)
  }
  return 1e-3
}

function word(bytes: Uint8Array, at: number, little: boolean): number {
  if (at + 4 > bytes.length) return 0
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(at, little)
}

function half(bytes: Uint8Array, at: number, little: boolean): number {
  if (at + 2 > bytes.length) return 0
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint16(at, little)
}

function fail(message: string): never {
  throw new Broken(message)
}
