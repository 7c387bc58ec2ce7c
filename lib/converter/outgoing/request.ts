/** What a client asks for: its first bytes, read and judged against RFC 8803 §6. Pure. */
import { WireError } from '../../errors.js'
import type { ConvertErrorValue } from '../../wire/convert/error.js'
import { decode, HEADER_LENGTH, MAX_MESSAGE_LENGTH, type TcpOption, type Tlv } from '../../wire/convert/index.js'

export interface Target {
  address: string
  port: number
}

export interface Request {
  /** The server to connect to; none when the client only asks what the converter can do. */
  target?: Target
  /** Of an extended Connect: those to send to the server. */
  tcpOptions: TcpOption[]
  /** The client sent an Info TLV. */
  wantsExtensions: boolean
  cookie?: Uint8Array
  /** The message itself, for an echo. */
  message: Uint8Array
  /** The application's bytes behind the message. */
  rest: Uint8Array
}

/** Bytes that get no answer, by why: another protocol, or a header that RFC 8803 has reset. */
export type NotConvert = 'magic' | 'total-length'

type Reading = { request: Request } | { refusal: ConvertErrorValue } | { ignored: NotConvert }

/** The versions of the protocol that this converter speaks. */
const VERSIONS = [1]

/** The request at the start of `bytes`; `undefined` when more bytes are needed. */
export function readRequest(bytes: Uint8Array): Reading | undefined {
  let decoded: { tlvs: Tlv[]; length: number } | undefined
  try {
    decoded = decode(bytes)
  } catch (error) {
    if (!(error instanceof WireError)) throw error
    return misread(bytes, error)
  }
  if (!decoded) return undefined
  const message = bytes.subarray(0, decoded.length)
  const request: Request = { tcpOptions: [], wantsExtensions: false, message, rest: bytes.subarray(decoded.length) }
  // RFC 8803 §6: "All Convert messages start with a fixed header […] followed by one or more Convert TLVs".
  if (decoded.tlvs.length === 0) return { refusal: malformed(message) }
  for (const tlv of decoded.tlvs)
    switch (tlv.type) {
      case 'info':
        request.wantsExtensions = true
        break
      case 'connect':
        request.target = { address: tlv.address, port: tlv.port }
        request.tcpOptions = tlv.tcpOptions
        break
      case 'cookie':
        request.cookie = tlv.cookie
        break
      default:
        // The others are a converter's to send, or of a type that this version does not know.
        return { refusal: { name: 'unsupported-message', echo: message } }
    }
  return { request }
}

export function malformed(message: Uint8Array): ConvertErrorValue {
  return { name: 'malformed-message', echo: message }
}

function misread(bytes: Uint8Array, error: WireError): Reading | undefined {
  // Nothing is said to what is not Convert, whatever else may be wrong with it.
  if (bytes.length < HEADER_LENGTH) return undefined
  if (bytes[2] !== 0x22 || bytes[3] !== 0x63) return { ignored: 'magic' }
  const totalLength = bytes[1]! * 4
  // §6.1: "A Total Length of zero is invalid and the connection MUST be reset".
  if (totalLength === 0) return { ignored: 'total-length' }
  if (error.reason === 'version') return { refusal: { name: 'unsupported-version', versions: VERSIONS } }
  // Both echo "the received message" (§6.2.8): what of it is not yet here is waited for.
  if (bytes.length < totalLength) return undefined
  const message = bytes.subarray(0, Math.min(totalLength, MAX_MESSAGE_LENGTH))
  // §6.2.2: "If a Converter receives a TLV of type 0x0, it MUST return an Unsupported Message Error TLV".
  if (error.reason === 'reserved-type') return { refusal: { name: 'unsupported-message', echo: message } }
  return { refusal: malformed(message) }
}
