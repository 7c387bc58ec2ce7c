/**
 * What a message of the Port Control Protocol is made of. RFC 6887 §7, §11.1, §12.1.
 *
 *    0                   1                   2                   3
 *    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *   +---------------+-+-------------+---------------+---------------+
 *   |  Version = 2  |R|   Opcode    |   Reserved    |  Result Code  |   the header (Result Code: responses, R = 1)
 *   +---------------+-+-------------+---------------+---------------+
 *   |                      Lifetime (32 bits)                       |
 *   +---------------------------------------------------------------+
 *   |   request: PCP Client's IP Address (128 bits)                 |
 *   |   response: Epoch Time (32 bits), Reserved (96 bits)          |
 *   +---------------------------------------------------------------+
 *   :             (optional) Opcode-specific information            :
 *   +---------------------------------------------------------------+
 *   :             (optional) Options                                :
 *   +---------------------------------------------------------------+
 *   A message is one UDP datagram of at most 1100 octets, a multiple of 4. Addresses have 128 bits: IPv4 is IPv4-mapped,
 *   "any" is `0.0.0.0` or `::` (§5).
 */
import { ADDRESS_LENGTH } from '../bytes/address.js'

/** The server's port, to which requests go. RFC 6887 §19.1. */
export const PCP_SERVER_PORT = 5351
/** The client's port, to which restarts are announced by multicast. RFC 6887 §14.1.1. */
export const PCP_CLIENT_PORT = 5350
/** Where they are announced. RFC 6887 §14.1.3. */
export const PCP_MULTICAST = { 4: '224.0.0.1', 6: 'ff02::1' } as const

export const PCP_VERSION = 2
/** Octets. RFC 6887 §7. */
export const PCP_HEADER_LENGTH = 24
/** Octets. RFC 6887 §7: "PCP messages […] MUST NOT exceed 1100 octets". */
export const PCP_MAX_LENGTH = 1100
/** Octets: 96 bits. RFC 6887 §11.1. */
export const NONCE_LENGTH = 12
/** The protocol numbers that mappings are made for. */
export const PCP_PROTOCOL = { all: 0, tcp: 6, udp: 17 } as const

/** Offsets in the header. */
export const HEADER = { version: 0, opcode: 1, result: 3, lifetime: 4, client: 8, epoch: 8, reserved: 12 } as const
/** In the octet of the opcode. */
export const R_BIT = 0x80

/** Offsets in what MAP and PEER have behind the header, and how long that is. */
export const BODY = {
  nonce: 0,
  protocol: 12,
  internalPort: 16,
  externalPort: 18,
  externalAddress: 20,
  map: 36,
} as const
/** PEER has this behind what MAP has. */
export const PEER_BODY = { remotePort: 36, remoteAddress: 40, length: 40 + ADDRESS_LENGTH } as const

/** RFC 6887 §19.2. */
export const OPCODES = { announce: 0, map: 1, peer: 2 } as const

/** RFC 6887 §7.4. */
export const RESULTS = {
  success: 0,
  'unsupp-version': 1,
  'not-authorized': 2,
  'malformed-request': 3,
  'unsupp-opcode': 4,
  'unsupp-option': 5,
  'malformed-option': 6,
  'network-failure': 7,
  'no-resources': 8,
  'unsupp-protocol': 9,
  'user-ex-quota': 10,
  'cannot-provide-external': 11,
  'address-mismatch': 12,
  'excessive-remote-peers': 13,
} as const

export type PcpResult = keyof typeof RESULTS

/** The name of a result code; `undefined` for one that RFC 6887 does not know. */
export function resultName(code: number): PcpResult | undefined {
  return RESULT_NAMES[code]
}

const RESULT_NAMES = Object.keys(RESULTS) as PcpResult[]

export interface PcpRequest {
  /** Seconds, 0…2³²-1. `0` deletes a mapping; ANNOUNCE has 0. */
  lifetime: number
  /** The client's own, which has to be the source address of the datagram. */
  clientAddress: string
  operation: PcpOperation
  options: PcpOption[]
}

export interface PcpResponse {
  /** 2; or another one beside the result UNSUPP_VERSION: 0 is a NAT-PMP server (RFC 6886). */
  version: number
  /** See `RESULTS`; unknown ones are possible. */
  result: number
  /** Seconds: of the mapping or, beside an error, for how long the same request would have the same result. */
  lifetime: number
  /** Seconds since the server began to count: see `isEpochValid`. */
  epoch: number
  operation: PcpOperation
  options: PcpOption[]
}

export type PcpOperation = AnnounceOperation | MapOperation | PeerOperation | UnknownOperation

/** Asks for the server's epoch; as an unsolicited response: the server has lost its state. RFC 6887 §14.1. */
export interface AnnounceOperation {
  type: 'announce'
}

/**
 * Asks for a mapping from an external address and port to the client's.
 *
 *   +---------------------------------------------------------------+
 *   |                 Mapping Nonce (96 bits)                       |
 *   +---------------------------------------------------------------+
 *   |   Protocol    |          Reserved (24 bits)                   |
 *   +---------------+---------------+-------------------------------+
 *   |        Internal Port          |    External Port              |
 *   +-------------------------------+-------------------------------+
 *   |            External IP Address (128 bits)                     |
 *   +---------------------------------------------------------------+
 *
 * RFC 6887 §11.1
 */
export interface MapOperation {
  type: 'map'
  /** 12 octets that no other host can guess. */
  nonce: Uint8Array
  /** As in an IP header; 0 for all. */
  protocol: number
  internalPort: number
  /** Suggested in a request, 0 for any; assigned in a response. */
  externalPort: number
  /** Suggested in a request, `0.0.0.0` or `::` for any; assigned in a response. */
  externalAddress: string
}

/**
 * The same for one connection to a peer: MAP's fields, then
 *
 *   +-------------------------------+-------------------------------+
 *   |       Remote Peer Port        |     Reserved (16 bits)        |
 *   +-------------------------------+-------------------------------+
 *   |               Remote Peer IP Address (128 bits)               |
 *   +---------------------------------------------------------------+
 *
 * RFC 6887 §12.1
 */
export interface PeerOperation extends Omit<MapOperation, 'type'> {
  type: 'peer'
  remotePort: number
  remoteAddress: string
}

/** Of an opcode not known here. */
export interface UnknownOperation {
  type: 'unknown'
  opcode: number
  /** All behind the header, options included: where they begin is not known. */
  payload: Uint8Array
}

/**
 * What changes an operation.
 *
 *   +---------------+---------------+-------------------------------+
 *   |  Option Code  |  Reserved     |       Option Length           |   in octets, without the padding
 *   +---------------+---------------+-------------------------------+
 *   :                       Data, padded with zeros                 :
 *   +---------------------------------------------------------------+
 *
 * RFC 6887 §7.3
 */
export type PcpOption = ThirdPartyOption | PreferFailureOption | FilterOption | ClearFiltersOption | UnknownOption

export const OPTION_CODES = { 'third-party': 1, 'prefer-failure': 2, filter: 3 } as const
export const OPTION_HEADER_LENGTH = 4
/** RFC 6887 §7.3: "Its most significant bit indicates if this option is mandatory (0) or optional (1) to process." */
export const OPTIONAL_BIT = 0x80

/** The mapping is for another host. RFC 6887 §13.1. */
export interface ThirdPartyOption {
  type: 'third-party'
  internalAddress: string
}

/** Rather no mapping than another one than suggested. RFC 6887 §13.2. */
export interface PreferFailureOption {
  type: 'prefer-failure'
}

/**
 * Only these peers may connect, and those of other filters.
 *
 *   +---------------+---------------+-------------------------------+
 *   |    Reserved   | Prefix Length |      Remote Peer Port         |   IPv4's prefixes are 96 longer here
 *   +---------------+---------------+-------------------------------+
 *   |               Remote Peer IP address (128 bits)               |
 *   +---------------------------------------------------------------+
 *
 * RFC 6887 §13.3
 */
export interface FilterOption {
  type: 'filter'
  address: string
  /** Of the address as it is written: 0…32 for IPv4, 1…128 for IPv6. */
  prefixLength: number
  /** 0 for all. */
  port: number
}

/** FILTER with the prefix length 0: "will remove all previous filters". RFC 6887 §13.3. */
export interface ClearFiltersOption {
  type: 'clear-filters'
}

export interface UnknownOption {
  type: 'unknown'
  code: number
  data: Uint8Array
}

/** Whether a server that does not know the option must refuse the request. */
export function isMandatory(option: UnknownOption): boolean {
  return (option.code & OPTIONAL_BIT) === 0
}
