/** The kinds of bytes that can be taken apart, and how one is told from another. */
import { WireError } from '../../errors.js'
import { decodeContainer } from '../../wire/atsss.js'
import { decode as decodeConvert } from '../../wire/convert.js'
import { MAGIC_NUMBER } from '../../wire/convert-message.js'
import { decodeSessionMessage } from '../../wire/nas.js'
import { UsageError } from '../arguments.js'
import { walkContainer } from './atsss.js'
import { walkConvert } from './convert.js'
import { walkNas } from './nas.js'
import { type Field, Walker } from './tree.js'

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
  }
  return decoded
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
