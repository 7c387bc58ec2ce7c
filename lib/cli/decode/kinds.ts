/** The kinds of bytes that can be decoded, and how each is recognised. */
import { type WireCode, WireError } from '../../errors.js'
import { decodeContainer, readContainer } from '../../wire/atsss/container.js'
import { readNas } from '../../wire/atsss/nas.js'
import type { Reader } from '../../wire/bytes/cursor.js'
import { dissect } from '../../wire/bytes/dissect.js'
import type { Field } from '../../wire/bytes/trace.js'
import { readMessage } from '../../wire/convert/decode.js'
import { MAGIC_NUMBER } from '../../wire/convert/message.js'
import { readPcp } from '../../wire/pcp/decode.js'
import { PCP_VERSION } from '../../wire/pcp/index.js'
import { UsageError } from '../arguments.js'

interface Kind {
  /** The name that is printed. */
  title: string
  /** Whether malformed bytes are most likely of this kind. */
  looksLike(bytes: Uint8Array): boolean
  /** The code of the errors that the codec throws. */
  code: WireCode
  /** Calls the codec. Throws `WireError`. */
  read(from: Reader): unknown
}

/** The kinds, in the order in which they are tried. */
export const KINDS = {
  convert: {
    title: 'Convert (RFC 8803)',
    looksLike: bytes => bytes.length >= 4 && ((bytes[2]! << 8) | bytes[3]!) === MAGIC_NUMBER,
    code: 'ERR_CONVERT_MALFORMED',
    read(from) {
      const present = from.left
      const part = from.part('Convert message')
      const message = readMessage(part)
      if (message === undefined)
        throw new WireError(`cut short: the message has its header, ${present} bytes are there`, present, 'framing')
      from.offset = part.end
      from.skip(from.left, 'Application data', bytes => `${bytes.length} bytes`)
      return message
    },
  },
  nas: {
    title: 'NAS message (TS 24.501)',
    looksLike: bytes => bytes[0] === 0x2e || bytes[0] === 0x7e,
    code: 'ERR_NAS_MALFORMED',
    read(from) {
      const message = readNas(from)
      const container = message.atsssContainer === undefined ? undefined : decodeContainer(message.atsssContainer)
      return { ...message, atsssContainer: container }
    },
  },
  pcp: {
    title: 'Port Control Protocol (RFC 6887)',
    // A container's parameter of type 2 has its length there.
    looksLike: bytes => bytes.length >= 4 && bytes[0] === PCP_VERSION && bytes[2] === 0,
    code: 'ERR_PCP_MALFORMED',
    read: readPcp,
  },
  atsss: {
    title: 'ATSSS container (TS 24.193)',
    looksLike: bytes => bytes.length >= 3 && bytes[0]! >= 1 && bytes[0]! <= 3,
    code: 'ERR_ATSSS_MALFORMED',
    read: from => readContainer(from),
  },
} as const satisfies Record<string, Kind>

export type KindName = keyof typeof KINDS

export interface Decoded {
  kind: KindName
  title: string
  fields: Field[]
  /** The decoded value, if the codec accepts the bytes. */
  value?: unknown
  /** Otherwise what is wrong, and where. */
  error?: { code: string; message: string; offset: number }
}

/** Decodes the bytes as far as possible. Throws `UsageError` if their kind cannot be recognised. */
export function decodeAs(bytes: Uint8Array, name: KindName | undefined): Decoded {
  const kind = name ?? recognise(bytes)
  const { title, code, read }: Kind = KINDS[kind]
  const { fields, value, error } = dissect(bytes, code, read)
  if (error === undefined) return { kind, title, fields, value }
  return { kind, title, fields, error: { code: error.code, message: error.message, offset: error.offset } }
}

/** The first kind that accepts the bytes; otherwise the first kind that they resemble. */
function recognise(bytes: Uint8Array): KindName {
  const names = Object.keys(KINDS) as KindName[]
  const found = names.find(name => isWhole(KINDS[name], bytes)) ?? names.find(name => KINDS[name].looksLike(bytes))
  if (found !== undefined) return found
  const starts = Buffer.from(bytes.subarray(0, 8)).toString('hex')
  throw new UsageError(
    `unrecognised format: ${bytes.length === 1 ? '1 byte that begins' : `${bytes.length} bytes that begin`} with '${starts}'; choose one with --as ${names.join('|')}`,
  )
}

function isWhole({ looksLike, code, read }: Kind, bytes: Uint8Array): boolean {
  return looksLike(bytes) && dissect(bytes, code, read).error === undefined
}
