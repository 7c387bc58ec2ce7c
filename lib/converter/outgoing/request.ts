/** A client's request: its first bytes, decoded and checked against RFC 8803 §6. Pure. */
import { WireError } from '../../errors.js'
import type { ConvertErrorValue } from '../../wire/convert/error.js'
import { decode, HEADER_LENGTH, MAX_MESSAGE_LENGTH, type TcpOption, type Tlv } from '../../wire/convert/index.js'

export interface Target {
  address: string
  port: number
}

export interface Request {
  /** The server to connect to; `undefined` if the client only asks what the converter can do. */
  target?: Target
  /** The options of an Extended Connect, to be sent to the server. */
  tcpOptions: TcpOption[]
  /** The client sent an Extended Connect, with or without options. */
  isExtended: boolean
  /** The client sent an Info TLV. */
  wantsExtensions: boolean
  cookie?: Uint8Array
  /** The message itself, for an echo. */
  message: Uint8Array
  /** The application's bytes after the message. */
  rest: Uint8Array
}

/** Why bytes get no answer: another protocol, or a header for which RFC 8803 requires a reset. */
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
  const rest = bytes.subarray(decoded.length)
  const request: Request = { tcpOptions: [], isExtended: false, wantsExtensions: false, message, rest }
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
        request.isExtended = tlv.isExtended === true || tlv.tcpOptions.length > 0
        break
      case 'cookie':
        request.cookie = tlv.cookie
        break
      default:
        // Only converters send the others; or this version does not know the type.
        return { refusal: { name: 'unsupported-message', echo: message } }
    }
  return { request }
}

export function malformed(message: Uint8Array): ConvertErrorValue {
  return { name: 'malformed-message', echo: message }
}

function misread(bytes: Uint8Array, error: WireError): Reading | undefined {
  // What is not Convert gets no answer, whatever else is wrong with it.
  if (bytes.length < HEADER_LENGTH) return undefined
  if (bytes[2] !== 0x22 || bytes[3] !== 0x63) return { ignored: 'magic' }
  const totalLength = bytes[1]! * 4
  // §6.1: "A Total Length of zero is invalid and the connection MUST be reset".
  if (totalLength === 0) return { ignored: 'total-length' }
  if (error.reason === 'version') return { refusal: { name: 'unsupported-version', versions: VERSIONS } }
  // Both echo "the received message" (§6.2.8): wait until all of it is here.
  if (bytes.length < totalLength) return undefined
  const message = bytes.subarray(0, Math.min(totalLength, MAX_MESSAGE_LENGTH))
  // §6.2.2: "If a Converter receives a TLV of type 0x0, it MUST return an Unsupported Message Error TLV".
  if (error.reason === 'reserved-type') return { refusal: { name: 'unsupported-message', echo: message } }
  return { refusal: malformed(message) }
}
