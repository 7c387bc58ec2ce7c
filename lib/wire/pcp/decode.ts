/** Datagrams to PCP messages. RFC 6887 §7, §8.2, §8.3; the layouts are drawn in pcp-message.ts. */
import { WireError, type WireReason } from '../../errors.js'
import { formatAddress } from '../bytes/address.js'
import { Reader } from '../bytes/cursor.js'
import {
  BODY,
  HEADER,
  NONCE_LENGTH,
  OPCODES,
  PCP_HEADER_LENGTH,
  PCP_MAX_LENGTH,
  PCP_VERSION,
  type PcpOperation,
  type PcpOption,
  type PcpRequest,
  type PcpResponse,
  PEER_BODY,
  R_BIT,
  RESULTS,
} from './message.js'
import { readOptions } from './options.js'

/**
 * The request that a datagram is. Throws `WireError`, of what is wrong in the order of RFC 6887 §8.2: `pcp-direction`,
 * `version`, `framing` (too short, too long, or no multiple of 4), `pcp-option`. Nothing in the result shares memory with
 * `bytes`.
 */
export function decodePcpRequest(bytes: Uint8Array): PcpRequest {
  if (bytes.length < 2) throw malformed(`a request of ${bytes.length} octets`, 0, 'framing')
  if (isResponse(bytes)) throw malformed('a response, not a request', HEADER.opcode, 'pcp-direction')
  checkVersion(bytes)
  checkLength(bytes)
  const { operation, options } = readBody(bytes)
  return {
    lifetime: new Reader(bytes, HEADER.lifetime).u32(),
    clientAddress: clientAddressOf(bytes),
    operation,
    options,
  }
}

/** Whom a request says that it is from, whatever else is wrong with it; of at least `PCP_HEADER_LENGTH` octets. */
export function clientAddressOf(request: Uint8Array): string {
  return formatAddress(request, HEADER.client)
}

/**
 * The response that a datagram is; of one with the result UNSUPP_VERSION in another version's layout only the version and
 * the opcode are read. Throws `WireError` for what RFC 6887 §8.3 says to ignore.
 */
export function decodePcpResponse(bytes: Uint8Array): PcpResponse {
  // §8.3: "If the received PCP response message is less than 4 octets long, it is silently dropped."
  if (bytes.length < 4) throw malformed(`a response of ${bytes.length} octets`, 0, 'framing')
  if (!isResponse(bytes)) throw malformed('a request, not a response', HEADER.opcode, 'pcp-direction')
  const version = bytes[HEADER.version]!
  const result = bytes[HEADER.result]!
  const opcode = bytes[HEADER.opcode]! & ~R_BIT
  // §8.3 has this before the checks of the length: a NAT-PMP server's message has 8 octets (RFC 6886 §3.5).
  if (result === RESULTS['unsupp-version'] && (version !== PCP_VERSION || bytes.length < PCP_HEADER_LENGTH)) {
    const operation: PcpOperation = { type: 'unknown', opcode, payload: new Uint8Array(0) }
    return { version, result, lifetime: 0, epoch: 0, operation, options: [] }
  }
  checkVersion(bytes)
  checkLength(bytes)
  const header = new Reader(bytes, HEADER.lifetime)
  return { version, result, lifetime: header.u32(), epoch: header.u32(), ...readBody(bytes) }
}

function isResponse(bytes: Uint8Array): boolean {
  return (bytes[HEADER.opcode]! & R_BIT) !== 0
}

function checkVersion(bytes: Uint8Array): void {
  if (bytes[HEADER.version] !== PCP_VERSION)
    throw malformed(`PCP version ${bytes[HEADER.version]}`, HEADER.version, 'version')
}

function checkLength({ length }: Uint8Array): void {
  if (length < PCP_HEADER_LENGTH) throw malformed(`a message of ${length} octets`, length, 'framing')
  if (length > PCP_MAX_LENGTH) throw malformed(`a message of ${length} octets`, PCP_MAX_LENGTH, 'framing')
  if (length % 4 !== 0) throw malformed(`a message of ${length} octets`, length - 1, 'framing')
}

function readBody(bytes: Uint8Array): { operation: PcpOperation; options: PcpOption[] } {
  const opcode = bytes[HEADER.opcode]! & ~R_BIT
  const from = new Reader(bytes, PCP_HEADER_LENGTH)
  switch (opcode) {
    case OPCODES.announce:
      return { operation: { type: 'announce' }, options: readOptions(from) }
    case OPCODES.map: {
      checkBody('MAP', from, BODY.map)
      const operation: PcpOperation = { type: 'map', ...readMapping(from) }
      return { operation, options: readOptions(from) }
    }
    case OPCODES.peer: {
      checkBody('PEER', from, PEER_BODY.length)
      const mapping = readMapping(from)
      const remotePort = from.u16()
      from.skip(2)
      const remoteAddress = formatAddress(bytes, from.skip(PEER_BODY.length - PEER_BODY.remoteAddress))
      return { operation: { type: 'peer', ...mapping, remotePort, remoteAddress }, options: readOptions(from) }
    }
    default:
      return { operation: { type: 'unknown', opcode, payload: from.take(from.left) }, options: [] }
  }
}

function checkBody(what: string, from: Reader, length: number): void {
  if (from.left < length) throw malformed(`${what} with ${from.left} octets of ${length}`, from.end - 1, 'framing')
}

function readMapping(from: Reader) {
  const nonce = from.take(NONCE_LENGTH)
  const protocol = from.u8()
  from.skip(3)
  const internalPort = from.u16()
  const externalPort = from.u16()
  const externalAddress = formatAddress(from.bytes, from.skip(BODY.map - BODY.externalAddress))
  return { nonce, protocol, internalPort, externalPort, externalAddress }
}

function malformed(message: string, at: number, reason: WireReason): WireError {
  return new WireError(message, at, reason, 'ERR_PCP_MALFORMED')
}
