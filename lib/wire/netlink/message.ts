/**
 * Netlink messages and their attributes: include/uapi/linux/netlink.h. Bytes to values and back; no I/O.
 *
 *    0                   1                   2                   3
 *   +---------------------------------------------------------------+
 *   |                     Length, with this header                  |
 *   +-------------------------------+-------------------------------+
 *   |             Type              |             Flags             |
 *   +-------------------------------+-------------------------------+
 *   |                        Sequence number                        |
 *   +---------------------------------------------------------------+
 *   |                Port of the requester; 0: kernel               |
 *   +---------------------------------------------------------------+
 *
 * In the host's byte order; messages and attributes start at multiples of 4. A datagram holds whole messages.
 */
import { constants, endianness } from 'node:os'
import { type SystemError, systemError } from '../../errors.js'

export interface NetlinkMessage {
  type: number
  flags: number
  sequence: number
  port: number
  /** Shares memory with the datagram. */
  payload: Uint8Array
}

/** Address families, of include/linux/socket.h: in the headers of routing messages, and in addresses of mptcp_pm. */
export const AF_INET = 2
export const AF_INET6 = 10

/** The types below this belong to netlink itself. */
export const NLMSG_MIN_TYPE = 0x10
export const NLMSG_ERROR = 2
export const NLMSG_DONE = 3

export const NLM_F_REQUEST = 0x1
export const NLM_F_ACK = 0x4
/** The data changed during the dump, which may be inconsistent. */
export const NLM_F_DUMP_INTR = 0x10
export const NLM_F_DUMP = 0x300
/** Of NLMSG_ERROR: the request is not repeated in it. */
const NLM_F_CAPPED = 0x100
/** Of NLMSG_ERROR and NLMSG_DONE: attributes follow, of the extended acknowledgement. */
const NLM_F_ACK_TLVS = 0x200

const HEADER = { length: 0, type: 4, flags: 6, sequence: 8, port: 12 } as const
const HEADER_LENGTH = 16
const LITTLE = endianness() === 'LE'

export function encodeMessage(
  { type, flags, sequence }: Pick<NetlinkMessage, 'type' | 'flags' | 'sequence'>,
  payload: Uint8Array,
): Uint8Array {
  const bytes = new Uint8Array(HEADER_LENGTH + payload.length)
  const view = viewOf(bytes)
  view.setUint32(HEADER.length, bytes.length, LITTLE)
  view.setUint16(HEADER.type, type, LITTLE)
  view.setUint16(HEADER.flags, flags, LITTLE)
  view.setUint32(HEADER.sequence, sequence, LITTLE)
  bytes.set(payload, HEADER_LENGTH)
  return bytes
}

/** All messages of a datagram. Throws EPROTO if it is malformed. */
export function decodeMessages(bytes: Uint8Array): NetlinkMessage[] {
  const view = viewOf(bytes)
  const messages: NetlinkMessage[] = []
  for (let at = 0; at < bytes.length; ) {
    if (at + HEADER_LENGTH > bytes.length) throw malformed(at, 'a header is cut off')
    const length = view.getUint32(at + HEADER.length, LITTLE)
    if (length < HEADER_LENGTH || at + length > bytes.length) throw malformed(at, `a message of length ${length}`)
    messages.push({
      type: view.getUint16(at + HEADER.type, LITTLE),
      flags: view.getUint16(at + HEADER.flags, LITTLE),
      sequence: view.getUint32(at + HEADER.sequence, LITTLE),
      port: view.getUint32(at + HEADER.port, LITTLE),
      payload: bytes.subarray(at + HEADER_LENGTH, at + length),
    })
    at += align(length)
  }
  return messages
}

/** The content of NLMSG_ERROR and NLMSG_DONE. */
interface Acknowledgement {
  /** Positive, as in errno.h; 0: success. */
  errno: number
  /** The kernel's own words, where it has some. */
  message: string | undefined
  /** The type of the attribute that the request should have had. */
  missingAttribute: number | undefined
}

/** Of NLMSGERR_ATTR_*. */
const ACK_ATTRIBUTE = { message: 1, missingType: 5 } as const

export function decodeAcknowledgement({ type, flags, payload }: NetlinkMessage): Acknowledgement {
  if (payload.length < 4) throw malformed(0, 'an acknowledgement is cut off')
  const errno = 0 - viewOf(payload).getInt32(0, LITTLE)
  const none = { errno, message: undefined, missingAttribute: undefined }
  if ((flags & NLM_F_ACK_TLVS) === 0) return none
  let at = 4
  if (type === NLMSG_ERROR) {
    if (payload.length < 4 + HEADER_LENGTH) throw malformed(4, 'an acknowledgement is cut off')
    at += (flags & NLM_F_CAPPED) !== 0 ? HEADER_LENGTH : align(viewOf(payload).getUint32(4, LITTLE))
  }
  const attributes = Attributes.read(payload, at)
  return {
    errno,
    message: attributes.text(ACK_ATTRIBUTE.message),
    missingAttribute: attributes.u32(ACK_ATTRIBUTE.missingType),
  }
}

/**
 *   +-------------------------------+-+-+---------------------------+
 *   |   Length, with this header    |N|B|           Type            |   then the value, and zeros up to a multiple of 4
 *   +-------------------------------+-+-+---------------------------+
 *   N: nested, B: network byte order
 */
interface Attribute {
  /** Without the two flags. */
  type: number
  payload: Uint8Array
}

const NLA_F_NESTED = 0x8000
const NLA_TYPE_MASK = 0x3fff
const ATTRIBUTE_HEADER = 4

/** Attributes by their type; the last of several counts, as in the kernel. Throws EPROTO for a value of another size. */
export class Attributes {
  /** All attributes in their order, including unknown ones. */
  readonly list: readonly Attribute[]

  constructor(list: readonly Attribute[]) {
    this.list = list
  }

  /** From `offset` to the end of `bytes`. */
  static read(bytes: Uint8Array, offset = 0): Attributes {
    if (offset > bytes.length) throw malformed(bytes.length, 'attributes are cut off')
    const view = viewOf(bytes)
    const list: Attribute[] = []
    // Up to three bytes of padding may be left.
    for (let at = offset; bytes.length - at >= ATTRIBUTE_HEADER; ) {
      const length = view.getUint16(at, LITTLE)
      const type = view.getUint16(at + 2, LITTLE) & NLA_TYPE_MASK
      if (length < ATTRIBUTE_HEADER || at + length > bytes.length)
        throw malformed(at, `attribute ${type} of length ${length}`)
      list.push({ type, payload: bytes.subarray(at + ATTRIBUTE_HEADER, at + length) })
      at += align(length)
    }
    return new Attributes(list)
  }

  bytes(type: number): Uint8Array | undefined {
    return this.list.findLast(attribute => attribute.type === type)?.payload
  }

  u8(type: number): number | undefined {
    return this.#value(type, 1)?.getUint8(0)
  }

  u16(type: number): number | undefined {
    return this.#value(type, 2)?.getUint16(0, LITTLE)
  }

  /** In network order, as ports often are. */
  be16(type: number): number | undefined {
    return this.#value(type, 2)?.getUint16(0, false)
  }

  u32(type: number): number | undefined {
    return this.#value(type, 4)?.getUint32(0, LITTLE)
  }

  s32(type: number): number | undefined {
    return this.#value(type, 4)?.getInt32(0, LITTLE)
  }

  /** Up to the NUL. */
  text(type: number): string | undefined {
    const bytes = this.bytes(type)
    return bytes && textOf(bytes)
  }

  /** Of all attributes of this type. */
  texts(type: number): string[] {
    return this.list.filter(attribute => attribute.type === type).map(({ payload }) => textOf(payload))
  }

  nested(type: number): Attributes | undefined {
    const bytes = this.bytes(type)
    return bytes && Attributes.read(bytes)
  }

  #value(type: number, length: number): DataView | undefined {
    const bytes = this.bytes(type)
    if (bytes === undefined) return undefined
    if (bytes.length < length) throw malformed(0, `attribute ${type} has ${bytes.length} bytes, not ${length}`)
    return viewOf(bytes)
  }
}

function textOf(bytes: Uint8Array): string {
  const end = bytes.indexOf(0)
  return Buffer.from(bytes.subarray(0, end < 0 ? undefined : end)).toString()
}

/** An attribute as bytes, padded; they are put together with `Buffer.concat`. */
export function attribute(type: number, value: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(ATTRIBUTE_HEADER + align(value.length))
  const view = viewOf(bytes)
  view.setUint16(0, ATTRIBUTE_HEADER + value.length, LITTLE)
  view.setUint16(2, type, LITTLE)
  bytes.set(value, ATTRIBUTE_HEADER)
  return bytes
}

export function nestedAttribute(type: number, attributes: readonly Uint8Array[]): Uint8Array {
  return attribute(type | NLA_F_NESTED, Buffer.concat(attributes))
}

export function u8(value: number): Uint8Array {
  return Uint8Array.of(value)
}

export function u16(value: number): Uint8Array {
  return new Uint8Array(Uint16Array.of(value).buffer)
}

export function u32(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer)
}

export function s32(value: number): Uint8Array {
  return new Uint8Array(Int32Array.of(value).buffer)
}

/** With its NUL. */
export function text(value: string): Uint8Array {
  return Buffer.from(`${value}\0`)
}

/** The error for malformed bytes from the kernel. */
export function malformed(offset: number, why: string): SystemError {
  const error = systemError(constants.errno.EPROTO, 'netlink')
  error.message += `: ${why}, at byte ${offset}`
  return error
}

/** A fixed part at the start of `bytes`, such as `struct ifinfomsg`; EPROTO when it is cut off. */
export function fixedPart(bytes: Uint8Array, length: number) {
  if (bytes.length < length) throw malformed(bytes.length, `a structure of ${length} bytes is cut off`)
  const view = viewOf(bytes)
  return {
    u8: (at: number) => view.getUint8(at),
    u16: (at: number) => view.getUint16(at, LITTLE),
    u32: (at: number) => view.getUint32(at, LITTLE),
    s32: (at: number) => view.getInt32(at, LITTLE),
  }
}

/** Not with bits: a length may have all 32. */
function align(length: number): number {
  return Math.ceil(length / 4) * 4
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
