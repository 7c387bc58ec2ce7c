/** The kinds of bytes that can be taken apart, and how one is told from another. */
import { WireError } from '../../errors.js'
import { decodeContainer } from '../../wire/atsss/container.js'
import { decodeSessionMessage } from '../../wire/atsss/nas.js'
import { decode as decodeConvert } from '../../wire/convert/index.js'
import { MAGIC_NUMBER } from '../../wire/convert/message.js'
import { decodePcpRequest, decodePcpResponse, PCP_VERSION } from '../../wire/pcp/index.js'
import { R_BIT } from '../../wire/pcp/message.js'
import { UsageError } from '../arguments.js'
import { walkContainer } from './atsss.js'
import { walkConvert } from './convert.js'
import { walkNas } from './nas.js'
import { walkPcp } from './pcp.js'
import { type Field, problems, Walker } from './tree.js'

export interface Kind {
  /** In words. */
  title: string
  /** Whether bytes that are broken would be this rather than something else. */
  looksLike(bytes: Uint8Array): boolean
  walk(walker: Walker): void
  /** What the product makes of it. Throws `WireError`. */
  decode(bytes: Uint8Array): unknown
}

/** In the order in which they are tried. */
export const KINDS = {
  convert: {
    title: 'Convert (RFC 8803)',
    looksLike: bytes => bytes.length >= 4 && ((bytes[2]! << 8) | bytes[3]!) === MAGIC_NUMBER,
    walk: walkConvert,
    decode(bytes) {
      const message = decodeConvert(bytes)
      if (message !== undefined) return message
      const whole = bytes.length < 2 ? 'its header' : `${bytes[1]! * 4} bytes`
      throw new WireError(`cut short: the message has ${whole}, ${bytes.length} are there`, bytes.length, 'framing')
    },
  },
  nas: {
    title: 'NAS message (TS 24.501)',
    looksLike: bytes => bytes[0] === 0x2e || bytes[0] === 0x7e,
    walk: walkNas,
    decode(bytes) {
      const message = decodeSessionMessage(bytes)
      const container = message.atsssContainer === undefined ? undefined : decodeContainer(message.atsssContainer)
      return { ...message, atsssContainer: container }
    },
  },
  pcp: {
    title: 'Port Control Protocol (RFC 6887)',
    // A container's parameter of type 2 has its length there.
    looksLike: bytes => bytes.length >= 4 && bytes[0] === PCP_VERSION && bytes[2] === 0,
    walk: walkPcp,
    decode: bytes => ((bytes[1] ?? 0) & R_BIT ? decodePcpResponse(bytes) : decodePcpRequest(bytes)),
  },
  atsss: {
    title: 'ATSSS container (TS 24.193)',
    looksLike: bytes => bytes.length >= 3 && bytes[0]! >= 1 && bytes[0]! <= 3,
    walk: walkContainer,
    decode: bytes => decodeContainer(bytes),
  },
} as const satisfies Record<string, Kind>

export type KindName = keyof typeof KINDS

export interface Decoded {
  kind: KindName
  title: string
  fields: Field[]
  /** What the product makes of it, when it takes it. */
  value?: unknown
  /** Why it does not, and where. */
  error?: { code: string; message: string; offset: number }
}

/** Takes the bytes apart as far as they go. Throws `UsageError` when nobody can tell what they are. */
export function decodeAs(bytes: Uint8Array, name: KindName | undefined): Decoded {
  const kind = name ?? recognise(bytes)
  const { walk, decode, title }: Kind = KINDS[kind]
  const decoded: Decoded = { kind, title, fields: new Walker(bytes).walk(walk) }
  try {
    decoded.value = decode(bytes)
  } catch (error) {
    if (!(error instanceof WireError)) throw error
    decoded.error = { code: error.code, message: error.message, offset: error.offset }
    if (problems(decoded.fields).length === 0) mark(decoded.fields, error)
  }
  return decoded
}

/** What only the codec found wrong stands at the innermost field there. */
function mark(fields: readonly Field[], error: Pick<WireError, 'message' | 'offset'>): void {
  const { message, offset } = error
  const field = fields.findLast(candidate => candidate.offset <= offset) ?? fields.at(-1)
  if (field === undefined) return
  if (field.fields?.some(inner => inner.offset <= offset && inner.offset > field.offset)) mark(field.fields, error)
  else field.problem = message
}

/** The first kind that the bytes are without a fault; else the first that they look like. */
function recognise(bytes: Uint8Array): KindName {
  const names = Object.keys(KINDS) as KindName[]
  const found = names.find(name => isWhole(KINDS[name], bytes)) ?? names.find(name => KINDS[name].looksLike(bytes))
  if (found !== undefined) return found
  const starts = Buffer.from(bytes.subarray(0, 8)).toString('hex')
  throw new UsageError(
    `${bytes.length} bytes that begin with '${starts}' are nothing known here; if you know what they are: --as ${names.join('|')}`,
  )
}

function isWhole({ looksLike, decode }: Kind, bytes: Uint8Array): boolean {
  try {
    decode(bytes)
    return looksLike(bytes)
  } catch {
    return false
  }
}
