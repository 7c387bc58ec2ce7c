/** The 0-RTT TCP Convert Protocol, RFC 8803 §6: bytes to values and back, without I/O, clock or randomness. */
export { type ForbiddenTarget, forbiddenTarget } from '../bytes/address.js'
export { decode, messageLength } from './decode.js'
export { type EncodeOptions, encode, encodeInto } from './encode.js'
export {
  type ConnectTlv,
  type CookieTlv,
  type ErrorTlv,
  type ExtendedTcpHeaderTlv,
  HEADER_LENGTH,
  type InfoTlv,
  MAX_MESSAGE_LENGTH,
  type SupportedTcpExtensionsTlv,
  TLV_CODES,
  type Tlv,
  type UnknownTlv,
} from './message.js'
export { decodeTcpOptions, type TcpOption } from './tcp-options.js'
