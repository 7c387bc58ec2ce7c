/** PCP messages to datagrams. RFC 6887 §7, §8.2; the layouts are drawn in message.ts. */
import { Writer } from '../bytes/cursor.js'
import { checkNumber, checkOctets, pcpRefusal, plainAddress, writeAddress } from './checks.js'
import {
  BODY,
  HEADER,
  type MapOperation,
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
  type PeerOperation,
  R_BIT,
} from './message.js'
import { optionsLength, writeOptions } from './options.js'

const MAX_U32 = 0xffff_ffff

/** Throws `WireError` with the code `ERR_PCP_ENCODE` for what a request cannot carry, or must not. */
export function encodePcpRequest(request: PcpRequest): Uint8Array {
  const bytes = new Uint8Array(requestLength(request))
  encodePcpRequestInto(bytes, request)
  return bytes
}

/** `encodePcpRequest` to the start of `bytes`, of which nothing else is touched. @returns the message's length in octets */
export function encodePcpRequestInto(bytes: Uint8Array, request: PcpRequest): number {
  const length = requestLength(request)
  checkRequest(request)
  const to = writerOf(bytes, length)
  to.u8(PCP_VERSION)
  to.u8(opcodeOf(request.operation))
  // RFC 6887 §7.1: "Reserved: 16 reserved bits. MUST be zero on transmission".
  to.u16(0)
  to.u32(request.lifetime)
  writeAddress(to, request.clientAddress)
  writeBody(to, request.operation, request.options)
  return length
}

/** A response without the version, which is 2. Throws `ERR_PCP_ENCODE`. */
export function encodePcpResponse(response: Omit<PcpResponse, 'version'>): Uint8Array {
  const { operation, options, result, lifetime, epoch } = response
  const length = messageLength(operation, options)
  checkNumber(result, 0, 255, 'result code')
  checkNumber(lifetime, 0, MAX_U32, 'lifetime')
  checkNumber(epoch, 0, MAX_U32, 'epoch')
  const to = writerOf(new Uint8Array(length), length)
  to.u8(PCP_VERSION)
  to.u8(R_BIT | opcodeOf(operation))
  to.u8(0)
  to.u8(result)
  to.u32(lifetime)
  to.u32(epoch)
  // RFC 6887 §7.2: "For requests that were successfully parsed, this MUST be sent as 0".
  to.padTo(PCP_HEADER_LENGTH)
  writeBody(to, operation, options)
  return to.bytes
}

/**
 * The response that refuses a request, whatever its octets say. RFC 6887 §8.2: "Copying the entire UDP payload, or 1100
 * octets, whichever is less, and zero-padding the response to a multiple of 4 octets if necessary".
 *
 * @param parsed whether the request could be read: see §7.2, Reserved
 */
export function encodePcpError(
  request: Uint8Array,
  { result, lifetime, epoch, parsed }: { result: number; lifetime: number; epoch: number; parsed: boolean },
): Uint8Array {
  checkNumber(result, 1, 255, 'result code of an error')
  checkNumber(lifetime, 0, MAX_U32, 'lifetime')
  checkNumber(epoch, 0, MAX_U32, 'epoch')
  const copied = Math.min(request.length, PCP_MAX_LENGTH)
  const bytes = new Uint8Array(Math.max(Math.ceil(copied / 4) * 4, PCP_HEADER_LENGTH))
  bytes.set(request.subarray(0, copied))
  const to = new Writer(bytes)
  to.u8(PCP_VERSION)
  to.u8(R_BIT | bytes[HEADER.opcode]!)
  to.u8(0)
  to.u8(result)
  to.u32(lifetime)
  to.u32(epoch)
  if (parsed) to.padTo(PCP_HEADER_LENGTH)
  return bytes
}

function requestLength({ operation, options }: PcpRequest): number {
  return messageLength(operation, options)
}

function messageLength(operation: PcpOperation, options: readonly PcpOption[]): number {
  if (!Array.isArray(options)) throw pcpRefusal('options is not an array')
  const length = PCP_HEADER_LENGTH + bodyLength(operation) + optionsLength(options)
  // A message of an unknown opcode has to be made of whole words, too.
  if (length > PCP_MAX_LENGTH || length % 4 !== 0)
    throw pcpRefusal(`a message of ${length} octets, not of at most ${PCP_MAX_LENGTH} and a multiple of 4`)
  return length
}

function bodyLength(operation: PcpOperation): number {
  switch (operation.type) {
    case 'announce':
      return 0
    case 'map':
      return BODY.map
    case 'peer':
      return PEER_BODY.length
    case 'unknown':
      checkOctets(operation.payload, 'payload')
      return operation.payload.length
    default:
      throw pcpRefusal(`no operation is called ${JSON.stringify((operation as { type: unknown }).type)}`)
  }
}

function opcodeOf(operation: PcpOperation): number {
  if (operation.type !== 'unknown') return OPCODES[operation.type]
  checkNumber(operation.opcode, 0, 127, 'opcode')
  if (Object.values<number>(OPCODES).includes(operation.opcode))
    throw pcpRefusal(`opcode ${operation.opcode} is not unknown`)
  return operation.opcode
}

/** What RFC 6887 demands of a client. */
function checkRequest({ lifetime, operation, options, clientAddress }: PcpRequest): void {
  checkNumber(lifetime, 0, MAX_U32, 'lifetime')
  for (const option of options) {
    // §13: "These options MUST NOT appear with other Opcodes".
    const owner = option.type === 'third-party' ? ['map', 'peer'] : option.type === 'unknown' ? undefined : ['map']
    if (owner && !owner.includes(operation.type))
      throw pcpRefusal(`option ${option.type} does not belong to ${operation.type}`)
    // §13.1: "A THIRD_PARTY option MUST NOT contain the same address as the source address of the packet."
    if (option.type === 'third-party' && plainAddress(option.internalAddress) === plainAddress(clientAddress))
      throw pcpRefusal(`${clientAddress} is no third party`)
  }
  if (operation.type === 'announce') {
    // §14.1.2: "The Requested Lifetime value MUST be set to zero."
    if (lifetime !== 0) throw pcpRefusal('ANNOUNCE has no lifetime')
    return
  }
  if (operation.type === 'peer') {
    // §12.1: "Protocol MUST NOT be zero", "Internal port MUST NOT be zero", "Remote peer port MUST NOT be zero".
    for (const name of ['protocol', 'internalPort', 'remotePort'] as const)
      if (operation[name] === 0) throw pcpRefusal(`PEER with ${name} 0`)
    return
  }
  if (operation.type !== 'map') return
  // §11.1: "If the protocol is zero […], then internal port MUST be zero on transmission".
  if (operation.protocol === 0 && operation.internalPort !== 0) throw pcpRefusal('a port of all protocols')
  const has = (type: PcpOption['type']) => options.some(option => option.type === type)
  // §13.2: PREFER_FAILURE "has zero in the Suggested External Port field, then it is invalid".
  if (has('prefer-failure') && (operation.externalPort === 0 || lifetime === 0))
    throw pcpRefusal('PREFER_FAILURE without a suggested port, or a lifetime')
  if (lifetime !== 0) return
  // §13.3: "If a MAP request has a lifetime of 0 and contains the FILTER option, the error MALFORMED_OPTION is returned."
  if (has('filter') || has('clear-filters')) throw pcpRefusal('FILTER without a lifetime')
  // §15.1: "In requests where the requested Lifetime is 0, the Suggested External Address and Suggested External Port
  // fields MUST be set to zero on transmission".
  if (operation.externalPort !== 0 || !ANY_ADDRESS.includes(plainAddress(operation.externalAddress)))
    throw pcpRefusal('deleting a mapping suggests no external address')
}

const ANY_ADDRESS = ['0.0.0.0', '::']

function writeBody(to: Writer, operation: PcpOperation, options: readonly PcpOption[]): void {
  if (operation.type === 'unknown') to.put(operation.payload)
  if (operation.type === 'map' || operation.type === 'peer') writeMapping(to, operation)
  if (operation.type === 'peer') {
    checkNumber(operation.remotePort, 0, 65535, 'remote port')
    to.u16(operation.remotePort)
    to.u16(0)
    writeAddress(to, operation.remoteAddress)
  }
  writeOptions(to, options)
}

function writeMapping(to: Writer, operation: MapOperation | PeerOperation): void {
  checkOctets(operation.nonce, 'nonce', NONCE_LENGTH)
  checkNumber(operation.protocol, 0, 255, 'protocol')
  checkNumber(operation.internalPort, 0, 65535, 'internal port')
  checkNumber(operation.externalPort, 0, 65535, 'external port')
  to.put(operation.nonce)
  to.u8(operation.protocol)
  to.padTo(to.offset + 3)
  to.u16(operation.internalPort)
  to.u16(operation.externalPort)
  writeAddress(to, operation.externalAddress)
}

function writerOf(bytes: Uint8Array, length: number): Writer {
  if (bytes.length < length) throw pcpRefusal(`${length} octets to write, room for ${bytes.length}`)
  return new Writer(bytes)
}
