/**
 * The errors of this package. Match on `code`, not with `instanceof`: two copies of the package may be loaded.
 * System errors (ECONNREFUSED and the like) are shaped exactly as Node's own: see `systemError`.
 */
import { getSystemErrorName } from 'node:util'

/** One stable code each; every one has a heading in docs/errors.md. */
export type ErrorCode =
  /** No native addon could be loaded. */
  | 'ERR_ATSSS_ADDON'
  /** The package has been put into a bundle, without its addon and its worker. */
  | 'ERR_ATSSS_BUNDLED'
  /** This version of Node lacks a private part that is needed. */
  | 'ERR_ATSSS_NODE'
  /** An option has a wrong type, an impossible value or a misspelled name. */
  | 'ERR_ATSSS_OPTION'
  /** The preload's configuration is wrong or missing. */
  | 'ERR_ATSSS_CONFIG'
  /** No rule matches the connection, and the session refuses unmatched ones. */
  | 'ERR_ATSSS_NO_RULE'
  /** The connection's rule cannot be enforced on this kernel. */
  | 'ERR_ATSSS_STEERING'
  /** The thread of a session's steering loop cannot be started. */
  | 'ERR_ATSSS_LOOP'
  /** The session is closed. */
  | 'ERR_ATSSS_CLOSED'
  /** The steering helper refuses, is away, or is of another version or network namespace. */
  | 'ERR_ATSSS_HELPER'
  /** The session cannot be watched. */
  | 'ERR_ATSSS_WATCH'
  /** The congestion control that is asked for is not available. */
  | 'ERR_ATSSS_CONGESTION'
  /** The kernel cannot open MPTCP sockets, and `mptcp: 'require'` is set. */
  | 'ERR_MPTCP_UNSUPPORTED'
  /** The connection fell back to TCP, and `mptcp: 'require'` is set. */
  | 'ERR_MPTCP_FALLBACK'
  /** This end fell back to TCP but the peer may still use MPTCP: data may be duplicated or lost. */
  | 'ERR_MPTCP_HALF_FALLBACK'
  /** The bytes are not a Convert message. */
  | 'ERR_CONVERT_MALFORMED'
  /** A value that RFC 8803 does not allow in a Convert message. */
  | 'ERR_CONVERT_ENCODE'
  /** The converter did not answer in time. */
  | 'ERR_CONVERT_TIMEOUT'
  /** The converter closed the connection before its answer was complete. */
  | 'ERR_CONVERT_CLOSED'
  /** `convert: '0rtt'` is set, and this system sends no data in SYNs. */
  | 'ERR_CONVERT_NO_FAST_OPEN'
  /** No address was found for the converter's name. */
  | 'ERR_CONVERT_NOT_FOUND'
  /** Error 0. */
  | 'ERR_CONVERT_UNSUPPORTED_VERSION'
  /** Error 1. */
  | 'ERR_CONVERT_MALFORMED_MESSAGE'
  /** Error 2. */
  | 'ERR_CONVERT_UNSUPPORTED_MESSAGE'
  /** Error 3. */
  | 'ERR_CONVERT_MISSING_COOKIE'
  /** Error 32. */
  | 'ERR_CONVERT_NOT_AUTHORIZED'
  /** Error 33. */
  | 'ERR_CONVERT_UNSUPPORTED_TCP_OPTION'
  /** Error 64. */
  | 'ERR_CONVERT_RESOURCE_EXCEEDED'
  /** Error 65. */
  | 'ERR_CONVERT_NETWORK_FAILURE'
  /** Error 96: the `cause` of a system error. */
  | 'ERR_CONVERT_CONNECTION_RESET'
  /** Error 97: the `cause` of a system error. */
  | 'ERR_CONVERT_DESTINATION_UNREACHABLE'
  /** An Error TLV with a code that this version does not know. */
  | 'ERR_CONVERT_UNKNOWN'
  /** The bytes are not a PCP message. */
  | 'ERR_PCP_MALFORMED'
  /** A value that RFC 6887 does not allow in a PCP message. */
  | 'ERR_PCP_ENCODE'
  /** Result 1: a PCP server of another version, or a NAT-PMP server. */
  | 'ERR_PCP_UNSUPP_VERSION'
  /** Result 2. */
  | 'ERR_PCP_NOT_AUTHORIZED'
  /** Result 3. */
  | 'ERR_PCP_MALFORMED_REQUEST'
  /** Result 4. */
  | 'ERR_PCP_UNSUPP_OPCODE'
  /** Result 5. */
  | 'ERR_PCP_UNSUPP_OPTION'
  /** Result 6. */
  | 'ERR_PCP_MALFORMED_OPTION'
  /** Result 7. */
  | 'ERR_PCP_NETWORK_FAILURE'
  /** Result 8. */
  | 'ERR_PCP_NO_RESOURCES'
  /** Result 9. */
  | 'ERR_PCP_UNSUPP_PROTOCOL'
  /** Result 10. */
  | 'ERR_PCP_USER_EX_QUOTA'
  /** Result 11. */
  | 'ERR_PCP_CANNOT_PROVIDE_EXTERNAL'
  /** Result 12. */
  | 'ERR_PCP_ADDRESS_MISMATCH'
  /** Result 13. */
  | 'ERR_PCP_EXCESSIVE_REMOTE_PEERS'
  /** A result that this version does not know. */
  | 'ERR_PCP_UNKNOWN'
  /** A PCP server does not answer. */
  | 'ERR_PCP_TIMEOUT'
  /** No PCP server is known. */
  | 'ERR_PCP_NO_SERVER'
  /** The bytes are not an ATSSS container. */
  | 'ERR_ATSSS_MALFORMED'
  /** A value that an ATSSS container cannot carry. */
  | 'ERR_ATSSS_ENCODE'
  /** An invalid ATSSS rule in JSON; the message says where. */
  | 'ERR_ATSSS_RULE'
  /** The bytes are not a NAS message with an ATSSS container. */
  | 'ERR_NAS_MALFORMED'
  /** A NAS message whose contents are ciphered. */
  | 'ERR_NAS_CIPHERED'
  /** The converter lacks the privilege to ignore SYNs on its external ports; the message says what it needs. */
  | 'ERR_CONVERTER_PRIVILEGE'
  /** A worker process of the converter has ended before it was ready. */
  | 'ERR_CONVERTER_WORKER'
  /** The lab lacks the privilege to make network namespaces or TUN devices; the message says what it needs. */
  | 'ERR_LAB_PRIVILEGE'
  /** The lab could not be set up or changed for another reason. */
  | 'ERR_LAB_FAILED'

/** Any error that is not a system call's. */
export class AtsssError extends Error {
  override readonly name: string = 'AtsssError'
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** What is wrong with the bytes, or with the value to encode. */
export type WireReason =
  /** Not version 1. */
  | 'version'
  /** Not a Convert message at all. */
  | 'magic'
  /** A Total Length of zero, or a message too long for it. */
  | 'total-length'
  /** A TLV of length zero, or too short or too long for its type. */
  | 'tlv-length'
  /** A TLV that extends beyond its message. */
  | 'framing'
  /** The same TLV twice. */
  | 'duplicate'
  /** TLV type 0. */
  | 'reserved-type'
  /** A list of TCP options that does not parse, or holds forbidden ones. */
  | 'tcp-options'
  /** A PCP response in place of a request, or the other way round. */
  | 'pcp-direction'
  /** A PCP option that does not parse, or appears too often. */
  | 'pcp-option'
  /** Any other impossible value. */
  | 'value'

/** The codes of a `WireError`. */
export type WireCode =
  | 'ERR_CONVERT_MALFORMED'
  | 'ERR_CONVERT_ENCODE'
  | 'ERR_PCP_MALFORMED'
  | 'ERR_PCP_ENCODE'
  | 'ERR_ATSSS_MALFORMED'
  | 'ERR_ATSSS_ENCODE'
  | 'ERR_NAS_MALFORMED'
  | 'ERR_NAS_CIPHERED'

/** Malformed bytes, or a value that cannot be encoded. `offset` is where, from the start of the message. */
export class WireError extends AtsssError {
  override readonly name = 'WireError'
  readonly offset: number
  readonly reason: WireReason

  constructor(message: string, offset: number, reason: WireReason = 'value', code: WireCode = 'ERR_CONVERT_MALFORMED') {
    super(code, message)
    this.offset = offset
    this.reason = reason
  }
}

/** A system error as `net.connect` shows it: `connect ECONNREFUSED 192.0.2.1:80`, with `errno` negative. */
export interface SystemError extends NodeJS.ErrnoException {
  address?: string
  port?: number
}

/**
 * @param errno positive, as in errno.h
 * @param local the socket's own address and port, where they are part of the message
 * @param why what the message says more than Node's, from its colon on
 */
export function systemError(
  errno: number,
  syscall: string,
  address?: string,
  port?: number,
  local?: { address: string; port: number },
  why = '',
): SystemError {
  const code = getSystemErrorName(-errno)
  const place = address === undefined ? '' : port === undefined ? ` ${address}` : ` ${address}:${port}`
  const from = local === undefined ? '' : ` - Local (${local.address}:${local.port})`
  const error: SystemError = new Error(`${syscall} ${code}${place}${from}${why}`)
  error.errno = -errno
  error.code = code
  error.syscall = syscall
  if (address !== undefined) error.address = address
  if (port !== undefined) error.port = port
  return error
}
