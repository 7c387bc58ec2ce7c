/**
 * What a client and the steering helper send to each other: datagrams of one or more requests or replies, in the host's byte order.
 * The layout is that of native/helper/protocol.h. Bytes to values and back; no I/O.
 */
import { endianness } from 'node:os'
import { ADDRESS_LENGTH, parseAddress } from '../bytes/address.js'
import { malformed } from './message.js'
import { flagBits, type PmArguments, type PmCommand } from './mptcp-pm.js'

/** First in every request and reply. The last byte is the version: another layout has another one. */
const PROTOCOL = 0x4154_5302
const VERSION = PROTOCOL & 0xff

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
/** How many requests one datagram may have, one behind the other. */
export const HELPER_REQUESTS_MAX = 16
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

const REPLY = { protocol: 0, kind: 4, sequence: 8, error: 12, size: 16 } as const
const REPLY_LENGTH = 20
/** Bytes: the longest datagram of the helper. */
export const HELPER_DATAGRAM_MAX = 4_096
const KINDS = { answer: 1, refusal: 2, event: 3, overrun: 4 } as const

/** The replies of one datagram. Throws EPROTO if it is malformed, or of another version. */
export function decodeHelperReplies(bytes: Uint8Array): HelperReply[] {
  const replies: HelperReply[] = []
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (let at = 0; at < bytes.length; ) {
    if (at === 0) refuseOtherVersion(view)
    const size = bytes.length - at < REPLY_LENGTH ? Number.NaN : view.getUint32(at + REPLY.size, LITTLE)
    const end = at + REPLY_LENGTH + size
    if (!(end <= bytes.length)) throw malformed(at, 'a reply of the steering helper is cut off')
    replies.push(decodeReply(bytes.subarray(at, end)))
    at = end
  }
  return replies
}

/** Another version may be shorter. */
function refuseOtherVersion(view: DataView): void {
  const protocol = view.byteLength < 4 ? 0 : view.getUint32(REPLY.protocol, LITTLE)
  if (protocol === PROTOCOL) return
  const its = protocol >>> 8 === PROTOCOL >>> 8 ? `version ${protocol & 0xff}` : 'another version'
  throw malformed(
    0,
    `it speaks ${its} of the helper's protocol, and this program version ${VERSION}: install the helper of this release (atsss helper install)`,
  )
}

function decodeReply(bytes: Uint8Array): HelperReply {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.getUint32(REPLY.protocol, LITTLE) !== PROTOCOL) throw malformed(0, 'replies of two versions')
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
