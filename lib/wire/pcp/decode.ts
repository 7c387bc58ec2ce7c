/** Datagrams to PCP messages. RFC 6887 §7, §8.2, §8.3; the layouts are drawn in message.ts. */
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
  resultName,
} from './message.js'
import { readAddress, readOptions } from './options.js'

/**
 * Decodes a request. Throws a `WireError` for the first fault in the order of RFC 6887 §8.2: `pcp-direction`,
 * `version`, `framing` (too short, too long, or no multiple of 4), `pcp-option`. Nothing in the result shares memory with
 * `bytes`.
 */
export function decodePcpRequest(bytes: Uint8Array): PcpRequest {
  return readRequest(readerOf(bytes))
}

/** The request or response that a reader's bytes are. A trace goes as far as the bytes do. */
export function readPcp(from: Reader): PcpRequest | PcpResponse {
  return ((from.bytes[HEADER.opcode] ?? 0) & R_BIT) !== 0 ? readResponse(from) : readRequest(from)
}

/** The client's address in a request of at least `PCP_HEADER_LENGTH` octets, whatever else is wrong with it. */
export function clientAddressOf(request: Uint8Array): string {
  return formatAddress(request, HEADER.client)
}

/**
 * Decodes a response. If its result is UNSUPP_VERSION and its layout is another version's, only the version and the opcode are
 * read. Throws `WireError` for what RFC 6887 §8.3 says to ignore.
 */
export function decodePcpResponse(bytes: Uint8Array): PcpResponse {
  return readResponse(readerOf(bytes))
}

function readerOf(bytes: Uint8Array): Reader {
  return new Reader(bytes, 0, bytes.length, 'ERR_PCP_MALFORMED')
}

function readRequest(from: Reader): PcpRequest {
  if (from.left < 2) refuse(from, malformedPcp(`a request of ${from.left} octets`, 0, 'framing'))
  const { length } = from.bytes
  const version = from.u8('Version')
  const code = from.u8('Opcode', showOpcode)
  if (code & R_BIT) throw malformedPcp('a response, not a request', HEADER.opcode, 'pcp-direction')
  checkVersion(version)
  checkLength(from, length)
  from.skip(HEADER.lifetime - from.offset, 'Reserved')
  const lifetime = from.u32('Lifetime', showSeconds)
  const clientAddress = readAddress(from, "PCP client's IP address")
  return { lifetime, clientAddress, ...readBody(code, from) }
}

function readResponse(from: Reader): PcpResponse {
  const { length } = from.bytes
  // §8.3: "If the received PCP response message is less than 4 octets long, it is silently dropped."
  if (length < 4) refuse(from, malformedPcp(`a response of ${length} octets`, 0, 'framing'))
  const version = from.u8('Version')
  const code = from.u8('Opcode', showOpcode)
  if ((code & R_BIT) === 0) throw malformedPcp('a request, not a response', HEADER.opcode, 'pcp-direction')
  from.skip(HEADER.result - from.offset, 'Reserved')
  const result = from.u8('Result Code', showResult)
  // §8.3 has this before the checks of the length: a NAT-PMP server's message has 8 octets (RFC 6886 §3.5).
  if (result === RESULTS['unsupp-version'] && (version !== PCP_VERSION || length < PCP_HEADER_LENGTH)) {
    from.skip(from.left, 'In the layout of that version')
    const operation: PcpOperation = { type: 'unknown', opcode: code & ~R_BIT, payload: new Uint8Array(0) }
    return { version, result, lifetime: 0, epoch: 0, operation, options: [] }
  }
  checkVersion(version)
  checkLength(from, length)
  const lifetime = from.u32('Lifetime', showSeconds)
  const epoch = from.u32('Epoch Time', showSeconds)
  from.skip(PCP_HEADER_LENGTH - from.offset, 'Reserved')
  return { version, result, lifetime, epoch, ...readBody(code, from) }
}

function checkVersion(version: number): void {
  if (version !== PCP_VERSION) throw malformedPcp(`PCP version ${version}`, HEADER.version, 'version')
}

function checkLength(from: Reader, length: number): void {
  const message = `a message of ${length} octets`
  if (length < PCP_HEADER_LENGTH) refuse(from, malformedPcp(message, length, 'framing'))
  else if (length > PCP_MAX_LENGTH) refuse(from, malformedPcp(message, PCP_MAX_LENGTH, 'framing'))
  else if (length % 4 !== 0) refuse(from, malformedPcp(`${message}: no multiple of 4`, length - 1, 'framing'))
}

/** A trace goes on, to show what is there. */
function refuse({ trace }: Reader, error: WireError): void {
  if (trace === undefined) throw error
  trace.errors.push(error)
}

/** @param code the octet of the opcode */
function readBody(code: number, from: Reader): { operation: PcpOperation; options: PcpOption[] } {
  const opcode = code & ~R_BIT
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
      const remotePort = from.u16('Remote Peer Port')
      from.skip(2, 'Reserved')
      const remoteAddress = readAddress(from, 'Remote Peer IP Address')
      return { operation: { type: 'peer', ...mapping, remotePort, remoteAddress }, options: readOptions(from) }
    }
    default:
      return { operation: { type: 'unknown', opcode, payload: from.rest('Of an unknown opcode') }, options: [] }
  }
}

function checkBody(what: string, from: Reader, length: number): void {
  if (from.left >= length) return
  refuse(from, malformedPcp(`${what} with ${from.left} octets of ${length}`, from.end - 1, 'framing'))
}

function readMapping(from: Reader) {
  const nonce = from.take(NONCE_LENGTH, 'Mapping Nonce')
  const protocol = from.u8('Protocol')
  from.skip(3, 'Reserved')
  const internalPort = from.u16('Internal Port')
  const externalPort = from.u16('External Port')
  const externalAddress = readAddress(from, 'External IP Address')
  return { nonce, protocol, internalPort, externalPort, externalAddress }
}

function malformedPcp(message: string, at: number, reason: WireReason): WireError {
  return new WireError(message, at, reason, 'ERR_PCP_MALFORMED')
}

const OPCODE_NAMES: ReadonlyMap<number, string> = new Map([
  [OPCODES.announce, 'ANNOUNCE'],
  [OPCODES.map, 'MAP'],
  [OPCODES.peer, 'PEER'],
])

function showOpcode(code: number): string {
  const name = OPCODE_NAMES.get(code & ~R_BIT) ?? 'unknown'
  return `${code & ~R_BIT} (${name} ${code & R_BIT ? 'response' : 'request'})`
}

function showResult(code: number): string {
  return `${code} (${resultName(code) ?? 'unknown'})`
}

function showSeconds(seconds: number): string {
  return `${seconds} s`
}
