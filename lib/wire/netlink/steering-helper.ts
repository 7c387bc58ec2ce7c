/**
 * What a client and the steering helper send to each other: datagrams of fixed layout in the host's byte order. The layout is
 * that of native/helper/protocol.h. Bytes to values and back; no I/O.
 */
import { endianness } from 'node:os'
import { ADDRESS_LENGTH, parseAddress } from '../bytes/address.js'
import { malformed } from './message.js'
import { flagBits, type PmArguments, type PmCommand } from './mptcp-pm.js'

/** First in every datagram. Another layout has another number. */
const PROTOCOL = 0x4154_5301

const COMMANDS = {
  hello: 1,
  watch: 2,
  forget: 3,
  'subflow-create': 4,
  'subflow-destroy': 5,
  'set-flags': 6,
  announce: 7,
  remove: 8,
} as const

/** Those of `mptcp_pm` for one connection, and the helper's own. */
export type HelperCommand = Exclude<PmCommand, EndpointCommand> | 'hello' | 'watch' | 'forget'
type EndpointCommand = 'add-addr' | 'del-addr' | 'get-addr' | 'flush-addrs' | 'set-limits' | 'get-limits'

const REQUEST = {
  protocol: 0,
  sequence: 4,
  command: 8,
  token: 12,
  flags: 16,
  interface: 20,
  local: 24,
  remote: 44,
} as const
const REQUEST_LENGTH = 64
const ADDRESS = { family: 0, id: 1, port: 2, bytes: 4 } as const

/** Throws RangeError for what is not an address. */
export function encodeHelperRequest(command: HelperCommand, sequence: number, given: PmArguments = {}): Uint8Array {
  const { token = 0, local, remote, localId } = given
  const bytes = new Uint8Array(REQUEST_LENGTH)
  const view = new DataView(bytes.buffer)
  view.setUint32(REQUEST.protocol, PROTOCOL, LITTLE)
  view.setUint32(REQUEST.sequence, sequence, LITTLE)
  view.setUint32(REQUEST.command, COMMANDS[command], LITTLE)
  view.setUint32(REQUEST.token, token, LITTLE)
  view.setUint32(REQUEST.flags, flagBits(local?.flags ?? []), LITTLE)
  view.setInt32(REQUEST.interface, local?.interfaceIndex ?? 0, LITTLE)
  putAddress(view, REQUEST.local, { ...local, id: localId ?? local?.id })
  putAddress(view, REQUEST.remote, remote ?? {})
  return bytes
}

function putAddress(
  view: DataView,
  at: number,
  { address, id = 0, port = 0 }: { address?: string; id?: number | undefined; port?: number },
): void {
  view.setUint8(at + ADDRESS.id, id)
  view.setUint16(at + ADDRESS.port, port, LITTLE)
  if (address === undefined) return
  const isV6 = address.includes(':')
  const bytes = new Uint8Array(ADDRESS_LENGTH)
  if (!parseAddress(address.replace(/%.*$/, ''), bytes, 0)) throw new RangeError(`"${address}" is not an IP address`)
  view.setUint8(at + ADDRESS.family, isV6 ? 6 : 4)
  new Uint8Array(view.buffer, at + ADDRESS.bytes, ADDRESS_LENGTH).set(isV6 ? bytes : bytes.subarray(12))
}

export type HelperReply =
  /** The kernel's answer to a command. @property errno positive; 0: done */
  | { kind: 'answer'; sequence: number; errno: number; payload: Uint8Array }
  /** The helper's own. `sequence` is 0 when it serves this client no more. */
  | { kind: 'refusal'; sequence: number; code: string; sentence: string }
  /** An event of `mptcp_pm`, as generic netlink has it. */
  | { kind: 'event'; payload: Uint8Array }
  | { kind: 'overrun' }

const REPLY = { protocol: 0, kind: 4, sequence: 8, error: 12 } as const
const REPLY_LENGTH = 16
/** Bytes: the longest reply. */
export const HELPER_REPLY_MAX = 512
const KINDS = { answer: 1, refusal: 2, event: 3, overrun: 4 } as const

/** Throws EPROTO if it is malformed, or of another version. */
export function decodeHelperReply(bytes: Uint8Array): HelperReply {
  if (bytes.length < REPLY_LENGTH) throw malformed(bytes.length, 'a reply of the steering helper is cut off')
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.getUint32(REPLY.protocol, LITTLE) !== PROTOCOL)
    throw malformed(0, 'the steering helper is of another version')
  const sequence = view.getUint32(REPLY.sequence, LITTLE)
  const payload = bytes.subarray(REPLY_LENGTH)
  switch (view.getUint32(REPLY.kind, LITTLE)) {
    case KINDS.answer:
      return { kind: 'answer', sequence, errno: view.getInt32(REPLY.error, LITTLE), payload }
    case KINDS.refusal: {
      const [code = '', ...rest] = Buffer.from(payload).toString().split(': ')
      return { kind: 'refusal', sequence, code, sentence: rest.join(': ') }
    }
    case KINDS.event:
      return { kind: 'event', payload }
    case KINDS.overrun:
      return { kind: 'overrun' }
  }
  throw malformed(REPLY.kind, 'a reply of the steering helper is of an unknown kind')
}

/** Of the answer to `hello`: the helper's network namespace, as SO_NETNS_COOKIE has it. */
export function decodeHelperCookie(payload: Uint8Array): bigint {
  if (payload.length < 8) throw malformed(0, 'the steering helper does not say its namespace')
  return new DataView(payload.buffer, payload.byteOffset, payload.byteLength).getBigUint64(0, LITTLE)
}

const LITTLE = endianness() === 'LE'
