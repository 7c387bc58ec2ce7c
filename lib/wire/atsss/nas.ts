/**
 * The NAS messages that carry an ATSSS container, as far as is needed to find it. TS 24.501 §8.3.2, §8.3.3, §8.3.9, §8.2.11.
 *
 *   +------+----+-----+------+-----------------------------+----------------------+
 *   | 0x2e | id | PTI | type | mandatory elements          |  optional elements   |    a session message
 *   +------+----+-----+------+-----------------------------+----------------------+
 *   type 0xc2, establishment accept: SSC mode and session type (1), QoS rules (2, n), session AMBR (1, n)
 *   type 0xc3, establishment reject: 5GSM cause (1)
 *   type 0xcb, modification command: nothing mandatory
 *
 *   +------+------+------+--------------------+------------+---------------------+----------------------+
 *   | 0x7e | 0x00 | 0x68 | payload's type (1) | length (2) |  a session message  |  optional elements   |    DL NAS transport
 *   +------+------+------+--------------------+------------+---------------------+----------------------+
 *
 *   +------+-------------------+---------+--------------+------------------+
 *   | 0x7e | security type (1) | MAC (4) | sequence (1) |  DL NAS transport|    the same, protected
 *   +------+-------------------+---------+--------------+------------------+
 */
import { WireError } from '../../errors.js'
import { Reader } from '../bytes/cursor.js'
import { readContainer } from './container.js'

export interface SessionMessage {
  type: 'establishment-accept' | 'establishment-reject' | 'modification-command'
  pduSessionId: number
  /** Procedure transaction identity; 0 when the network began it. */
  pti: number
  /** The optional ones, in their order. */
  elements: InformationElement[]
  /** The contents of the first ATSSS container: see `decodeContainer`. */
  atsssContainer: Uint8Array | undefined
}

export interface InformationElement {
  /** Its identifier; of one of half an octet, with zeros behind it: 0x80 is the always-on indication. */
  iei: number
  value: Uint8Array
}

/**
 * A PDU SESSION ESTABLISHMENT ACCEPT, ESTABLISHMENT REJECT or MODIFICATION COMMAND, alone or inside a DL NAS TRANSPORT, which may be integrity
 * protected. A ciphered one can be read when the network uses the null algorithm (5G-EA0), as test networks do.
 *
 * Throws `WireError`: with the code `ERR_NAS_CIPHERED` when the contents cannot be seen, otherwise `ERR_NAS_MALFORMED`.
 */
export function decodeSessionMessage(bytes: Uint8Array): SessionMessage {
  return readNas(new Reader(bytes, 0, bytes.length, 'ERR_NAS_MALFORMED'))
}

/**
 * The same from a reader; its errors should have the code `ERR_NAS_MALFORMED`. A trace also shows what is in containers.
 *
 * @internal for `decode`
 */
export function readNas(from: Reader): SessionMessage {
  return from.bytes[from.offset] === EPD.sessionManagement ? readSessionMessage(from) : readProtected(from)
}

/** Whether bytes can only be a NAS message, and not the contents of a container, whose parameter types are lower. */
export function isNasMessage(bytes: Uint8Array): boolean {
  return bytes[0] === EPD.sessionManagement || bytes[0] === EPD.mobilityManagement
}

/** Extended protocol discriminators. TS 24.007 §11.2.3.1.1A. */
const EPD = { sessionManagement: 0x2e, mobilityManagement: 0x7e } as const

/** TS 24.501 §9.7. */
const MESSAGE = {
  downlinkTransport: 0x68,
  establishmentAccept: 0xc2,
  establishmentReject: 0xc3,
  modificationCommand: 0xcb,
} as const

/** TS 24.501 §9.3: 0 is plain, 1 and 3 are integrity protected, 2 and 4 also ciphered. */
const PLAIN = 0
const CIPHERED: readonly number[] = [2, 4]
const MAX_SECURITY_TYPE = 4
const MAC_LENGTH = 4

/** TS 24.501 §9.11.3.40: "N1 SM information". */
const SESSION_PAYLOAD = 1

/** TS 24.501 §9.11.4.22. */
const IEI_ATSSS_CONTAINER = 0x77

/**
 * Octets of the values of elements that are neither of half an octet nor have a length: 5GSM cause and RQ timer value. In
 * the two messages (TS 24.501 tables 8.3.2.1.1 and 8.3.9.1.1) every other identifier follows the general rule.
 */
const FIXED_LENGTHS: Readonly<Record<number, number>> = { 89: 1, 86: 1 }

function malformedNas(message: string, at: number): WireError {
  return new WireError(message, at, 'framing', 'ERR_NAS_MALFORMED')
}

function readProtected(from: Reader): SessionMessage {
  const at = from.offset
  expect(from, EPD.mobilityManagement, 'protocol discriminator', readDiscriminator)
  const security = from.u8('Security header type', showSecurity) & 0x0f
  if (security === PLAIN) return readTransport(from)
  if (security > MAX_SECURITY_TYPE) throw malformedNas(`security header type ${security}`, at + 1)
  from.skip(MAC_LENGTH, 'Message authentication code')
  from.u8('Sequence number')
  const plain = from.bytes[from.offset] === EPD.mobilityManagement && from.bytes[from.offset + 1] === PLAIN
  if (CIPHERED.includes(security) && from.left > 0 && !plain)
    throw new WireError('the message is ciphered: a plain one is needed', at + 1, 'value', 'ERR_NAS_CIPHERED')
  expect(from, EPD.mobilityManagement, 'protocol discriminator', readDiscriminator)
  expect(from, PLAIN, 'inner security header type', () => from.u8('Security header type', showSecurity))
  return readTransport(from)
}

function readTransport(from: Reader): SessionMessage {
  expect(from, MESSAGE.downlinkTransport, 'message type', () => from.u8('Message type', showType))
  const at = from.offset
  const payload = from.u8('Payload container type', showPayload) & 0x0f
  if (payload !== SESSION_PAYLOAD) throw malformedNas(`payload container type ${payload}: not a session message`, at)
  const message = readSessionMessage(from.window(from.u16('Length of payload container'), 'Session message'))
  from.skip(from.left, 'Optional elements')
  return message
}

function readSessionMessage(from: Reader): SessionMessage {
  expect(from, EPD.sessionManagement, 'protocol discriminator', readDiscriminator)
  const pduSessionId = from.u8('PDU session identity')
  const pti = from.u8('Procedure transaction identity')
  const type = readType(from)
  if (type === 'establishment-accept') {
    from.skip(1, 'Selected SSC mode and PDU session type', showSessionType)
    from.skip(from.u16('Length of authorized QoS rules'), 'Authorized QoS rules')
    from.skip(from.u8('Length of session AMBR'), 'Session AMBR')
  }
  // TS 24.501 §8.3.3; since Release 18 it may have an ATSSS container.
  if (type === 'establishment-reject') from.skip(1, '5GSM cause', ([cause = 0]) => `${cause}`)
  const elements: InformationElement[] = []
  const containers: Reader[] = []
  while (from.left > 0) elements.push(readElement(from, containers))
  for (const container of containers) readContainer(container)
  const atsssContainer = elements.find(element => element.iei === IEI_ATSSS_CONTAINER)?.value
  return { type, pduSessionId, pti, elements, atsssContainer }
}

function readType(from: Reader): SessionMessage['type'] {
  const at = from.offset
  const type = from.u8('Message type', showType)
  if (type === MESSAGE.establishmentAccept) return 'establishment-accept'
  if (type === MESSAGE.establishmentReject) return 'establishment-reject'
  if (type === MESSAGE.modificationCommand) return 'modification-command'
  throw malformedNas(`session message of type 0x${type.toString(16)}: only 0xc2, 0xc3 and 0xcb carry ATSSS`, at)
}

/**
 * The next optional element. TS 24.007 §11.2.4, also for those not known: bit 8 of the identifier set, one octet with half
 * an octet of value; 0x70 to 0x7f, a length of two octets; otherwise a length of one.
 *
 * @param containers where to put an ATSSS container, for the trace to show once the message is read
 */
function readElement(from: Reader, containers: Reader[]): InformationElement {
  const part = from.part('Element')
  const octet = part.u8('Element identifier', showHex)
  const half = (octet & 0x80) !== 0
  const iei = half ? octet & 0xf0 : octet
  const value = octet & 0x0f
  if (part.trace !== undefined) part.trace.title(elementName(iei), half ? value : undefined)
  part.limit(half ? 0 : (FIXED_LENGTHS[iei] ?? ((iei & 0xf0) === 0x70 ? part.u16('Length') : part.u8('Length'))))
  from.offset = part.end
  if (half) return { iei, value: Uint8Array.of(value) }
  if (part.trace === undefined || iei !== IEI_ATSSS_CONTAINER) return { iei, value: part.rest('Value') }
  const container = new Uint8Array(part.bytes.subarray(part.offset, part.end))
  containers.push(part.part('Contents', 'ERR_ATSSS_MALFORMED'))
  return { iei, value: container }
}

function readDiscriminator(from: Reader): number {
  return from.u8('Extended protocol discriminator', showDiscriminator)
}

function expect(from: Reader, octet: number, what: string, read: (from: Reader) => number): void {
  const at = from.offset
  const found = read(from)
  if (found !== octet) throw malformedNas(`${what} 0x${found.toString(16)}, not 0x${octet.toString(16)}`, at)
}

function showHex(value: number): string {
  return `0x${value.toString(16)}`
}

const PROTOCOLS: Readonly<Record<number, string>> = {
  [EPD.sessionManagement]: '5GS session management',
  [EPD.mobilityManagement]: '5GS mobility management',
}

function showDiscriminator(value: number): string {
  return `${showHex(value)} (${PROTOCOLS[value] ?? 'unknown'})`
}

/** TS 24.501 §9.3. */
const SECURITY = [
  'plain',
  'integrity protected',
  'integrity protected and ciphered',
  'integrity protected with a new security context',
  'integrity protected and ciphered with a new security context',
]

function showSecurity(octet: number): string {
  return `${octet & 0x0f} (${SECURITY[octet & 0x0f] ?? 'unknown'})`
}

function showPayload(octet: number): string {
  const type = octet & 0x0f
  return type === SESSION_PAYLOAD ? `${type} (N1 SM information)` : `${type}`
}

const MESSAGE_NAMES: Readonly<Record<number, string>> = {
  [MESSAGE.downlinkTransport]: 'DL NAS TRANSPORT',
  [MESSAGE.establishmentAccept]: 'PDU SESSION ESTABLISHMENT ACCEPT',
  [MESSAGE.establishmentReject]: 'PDU SESSION ESTABLISHMENT REJECT',
  [MESSAGE.modificationCommand]: 'PDU SESSION MODIFICATION COMMAND',
}

function showType(type: number): string {
  return `${showHex(type)} (${MESSAGE_NAMES[type] ?? 'unknown'})`
}

/** TS 24.501 §9.11.4.11. */
const SESSION_TYPES: Readonly<Record<number, string>> = {
  1: 'IPv4',
  2: 'IPv6',
  3: 'IPv4v6',
  4: 'unstructured',
  5: 'Ethernet',
}

function showSessionType([octet = 0]: Uint8Array): string {
  return `SSC mode ${octet >> 4}, ${SESSION_TYPES[octet & 0x0f] ?? `type ${octet & 0x0f}`}`
}

function elementName(iei: number): string {
  return ELEMENT_NAMES[iei] ?? `Element ${showHex(iei)}`
}

/** Identifiers of tables 8.3.2.1.1 and 8.3.9.1.1; those of half an octet with zeros behind. */
const ELEMENT_NAMES: Readonly<Record<number, string>> = {
  23: '5GSM network feature support',
  24: 'Serving PLMN rate control',
  34: 'S-NSSAI',
  37: 'DNN',
  41: 'PDU address',
  42: 'Session AMBR',
  86: 'RQ timer value',
  89: '5GSM cause',
  102: 'IP header compression configuration',
  117: 'Mapped EPS bearer contexts',
  119: 'ATSSS container',
  120: 'EAP message',
  121: 'Authorized QoS flow descriptions',
  122: 'Authorized QoS rules',
  123: 'Extended protocol configuration options',
  128: 'Always-on PDU session indication',
  192: 'Control plane only indication',
}
