/**
 * What a message of the 0-RTT TCP Convert Protocol is made of. RFC 8803 §6.1, §6.2.
 *
 *    0                   1                   2                   3
 *    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *   +---------------+---------------+-------------------------------+
 *   |  Version = 1  |  Total Length |     Magic Number = 0x2263     |    the header, then TLVs:
 *   +---------------+---------------+-------------------------------+
 *   |     Type      |     Length    |             Value  ...        |
 *   +---------------+---------------+-------------------------------+
 *   //              ...   (optional) Value                         //
 *   +---------------------------------------------------------------+
 *   Lengths count 32-bit words. Total Length includes the header, Length includes Type and Length; values are padded
 *   with zeros. What follows Total Length is the application's.
 */
import type { TcpOption } from './tcp-options.js'

export const VERSION_1 = 1
export const MAGIC_NUMBER = 0x2263

/** Bytes. RFC 8803 §6.1. */
export const HEADER_LENGTH = 4

/** Bytes: 255 words. RFC 8803 §6.1. */
export const MAX_MESSAGE_LENGTH = 1020

/** Bytes in the unit of Length and Total Length. */
export const WORD = 4

/** Offsets in the header. */
export const HEADER = { version: 0, totalLength: 1, magic: 2 } as const

/** Offsets in a TLV. */
export const TLV = { type: 0, length: 1, value: 2 } as const

/** One TLV. RFC 8803 §6.2.2. */
export type Tlv =
  | InfoTlv
  | ConnectTlv
  | ExtendedTcpHeaderTlv
  | SupportedTcpExtensionsTlv
  | CookieTlv
  | ErrorTlv
  | UnknownTlv

/** Name to number, for both directions. RFC 8803 §10.2.2. */
export const TLV_CODES = {
  info: 1,
  connect: 10,
  'extended-tcp-header': 20,
  'supported-tcp-extensions': 21,
  cookie: 22,
  error: 30,
} as const

/**
 * Asks which TCP extensions the converter supports.
 *
 *   +---------------+---------------+-------------------------------+
 *   |     Type=0x1  |    Length=1   |             Zero              |
 *   +---------------+---------------+-------------------------------+
 *
 * RFC 8803 §6.2.3
 */
export interface InfoTlv {
  type: 'info'
}

/**
 * Asks for a connection to a server or, from a converter, announces one from a peer.
 *
 *   +---------------+---------------+-------------------------------+
 *   |     Type=0xA  |   Length>=5   |      Remote Peer Port         |
 *   +---------------+---------------+-------------------------------+
 *   |                                                               |
 *   |         Remote Peer IP Address (128 bits)                     |
 *   |                                                               |
 *   |                                                               |
 *   +---------------------------------------------------------------+
 *   /         TCP Options (when Length > 5)                         /
 *   +---------------------------------------------------------------+
 *
 * RFC 8803 §6.2.5
 */
export interface ConnectTlv {
  type: 'connect'
  /** IPv4, on the wire IPv4-mapped, is dotted; IPv6 is as RFC 5952 writes it. */
  address: string
  port: number
  /** To be put into the SYN to the server; `[]` makes the Base Connect. */
  tcpOptions: TcpOption[]
  /** Makes an Extended Connect without options, with one word of padding. The answer to it has the Extended TCP Header. */
  isExtended?: true
}

/**
 * The TCP options of the server's SYN+ACK.
 *
 *   +---------------+---------------+-------------------------------+
 *   |     Type=0x14 |     Length    |      Unassigned, ignored      |
 *   +---------------+---------------+-------------------------------+
 *   /               Returned Extended TCP header                    /
 *   +---------------------------------------------------------------+
 *
 * RFC 8803 §6.2.6
 */
export interface ExtendedTcpHeaderTlv {
  type: 'extended-tcp-header'
  /** As they stood in the TCP header: see `decodeTcpOptions`. */
  options: Uint8Array
}

/**
 * The TCP options for which the converter provides a conversion service.
 *
 *   +---------------+---------------+-------------------------------+
 *   |     Type=0x15 |     Length    |      Unassigned, ignored      |
 *   +---------------+---------------+-------------------------------+
 *   |     Kind #1   |     Kind #2   |           ...                 |
 *   +---------------+---------------+-------------------------------+
 *
 * RFC 8803 §6.2.4
 */
export interface SupportedTcpExtensionsTlv {
  type: 'supported-tcp-extensions'
  /** Decoded without the zeros of the padding. */
  kinds: number[]
}

/**
 * Shows that the client receives what is sent to its address.
 *
 *   +---------------+---------------+-------------------------------+
 *   |     Type=0x16 |     Length    |             Zero              |
 *   +---------------+---------------+-------------------------------+
 *   /                        Opaque  Cookie                         /
 *   +---------------------------------------------------------------+
 *
 * RFC 8803 §6.2.7
 */
export interface CookieTlv {
  type: 'cookie'
  /** Includes the padding, because the length is known in words only. */
  cookie: Uint8Array
}

/**
 * Reports why the converter refuses.
 *
 *   +---------------+---------------+----------------+--------------+
 *   |     Type=0x1E |     Length    |    Error Code  |  Value       |
 *   +---------------+---------------+----------------+--------------+
 *   //              ...   (optional) Value                         //
 *   +---------------------------------------------------------------+
 *
 * RFC 8803 §6.2.8
 */
export interface ErrorTlv {
  type: 'error'
  code: number
  /** All that follows the code's octet: see `decodeErrorValue`. */
  value: Uint8Array
}

/** A TLV of a type not known here. */
export interface UnknownTlv {
  type: 'unknown'
  code: number
  /** All that follows the length's octet. */
  value: Uint8Array
}
