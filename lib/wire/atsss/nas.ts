/**
 * The NAS messages that carry an ATSSS container, as far as is needed to find it. TS 24.501 §8.3.2, §8.3.9, §8.2.11.
 *
 *   +------+----+-----+------+-----------------------------+----------------------+
 *   | 0x2e | id | PTI | type | mandatory elements          |  optional elements   |    a session message
 *   +------+----+-----+------+-----------------------------+----------------------+
 *   type 0xc2, establishment accept: SSC mode and session type (1), QoS rules (2, n), session AMBR (1, n)
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

export interface SessionMessage {
  type: 'establishment-accept' | 'modification-command'
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
 * A PDU SESSION ESTABLISHMENT ACCEPT or MODIFICATION COMMAND, alone or inside a DL NAS TRANSPORT, which may be integrity
 * protected. A ciphered one can be read when the network uses the null algorithm (5G-EA0), as test networks do.
 *
 * Throws `WireError`: with the code `ERR_NAS_CIPHERED` when the contents cannot be seen, otherwise `ERR_NAS_MALFORMED`.
 */
export function decodeSessionMessage(bytes: Uint8Array): SessionMessage {
  const from = new NasReader(bytes)
  return bytes[0] === EPD.sessionManagement ? readSessionMessage(from) : readProtected(from)
}

/** Extended protocol discriminators. TS 24.007 §11.2.3.1.1A. */
const EPD = { sessionManagement: 0x2e, mobilityManagement: 0x7e } as const

/** TS 24.501 §9.7. */
const MESSAGE = { downlinkTransport: 0x68, establishmentAccept: 0xc2, modificationCommand: 0xcb } as const

/** TS 24.501 §9.3: 0 is plain, 1 and 3 are integrity protected, 2 and 4 also ciphered. */
const PLAIN = 0
const CIPHERED: readonly number[] = [2, 4]
const MAX_SECURITY_TYPE = 4
/** Octets of the message authentication code and of the sequence number. */
const PROTECTION_LENGTH = 5

/** TS 24.501 §9.11.3.40: "N1 SM information". */
const SESSION_PAYLOAD = 1

/** TS 24.501 §9.11.4.22. */
const IEI_ATSSS_CONTAINER = 0x77

/**
 * Octets of the values of elements that are neither of half an octet nor have a length: 5GSM cause and RQ timer value. In
 * the two messages (TS 24.501 tables 8.3.2.1.1 and 8.3.9.1.1) every other identifier follows the general rule.
 */
const FIXED_LENGTHS: Readonly<Record<number, number>> = { 89: 1, 86: 1 }

class NasReader extends Reader {
  override skip(length: number): number {
    if (length > this.left) throw malformed(`${length} octets wanted, ${this.left} left`, this.offset)
    return super.skip(length)
  }
}

function malformed(message: string, at: number): WireError {
  return new WireError(message, at, 'framing', 'ERR_NAS_MALFORMED')
}

function readProtected(from: NasReader): SessionMessage {
  const at = from.offset
  expect(from, EPD.mobilityManagement, 'protocol discriminator')
  const security = from.u8() & 0x0f
  if (security === PLAIN) return readTransport(from)
  if (security > MAX_SECURITY_TYPE) throw malformed(`security header type ${security}`, at + 1)
  from.skip(PROTECTION_LENGTH)
  const plain = from.bytes[from.offset] === EPD.mobilityManagement && from.bytes[from.offset + 1] === PLAIN
  if (CIPHERED.includes(security) && from.left > 0 && !plain)
    throw new WireError('the message is ciphered: a plain one is needed', at + 1, 'value', 'ERR_NAS_CIPHERED')
  expect(from, EPD.mobilityManagement, 'protocol discriminator')
  expect(from, PLAIN, 'inner security header type')
  return readTransport(from)
}

function readTransport(from: NasReader): SessionMessage {
  expect(from, MESSAGE.downlinkTransport, 'message type')
  const at = from.offset
  const payload = from.u8() & 0x0f
  if (payload !== SESSION_PAYLOAD) throw malformed(`payload container type ${payload}: not a session message`, at)
  const length = from.u16()
  const start = from.skip(length)
  const inner = new NasReader(from.bytes, start, start + length)
  return readSessionMessage(inner)
}

function readSessionMessage(from: NasReader): SessionMessage {
  expect(from, EPD.sessionManagement, 'protocol discriminator')
  const pduSessionId = from.u8()
  const pti = from.u8()
  const type = readType(from)
  if (type === 'establishment-accept') {
    from.skip(1) // selected SSC mode and PDU session type
    from.skip(from.u16()) // authorized QoS rules
    from.skip(from.u8()) // session AMBR
  }
  const elements: InformationElement[] = []
  while (from.left > 0) elements.push(readElement(from))
  const atsssContainer = elements.find(element => element.iei === IEI_ATSSS_CONTAINER)?.value
  return { type, pduSessionId, pti, elements, atsssContainer }
}

function readType(from: NasReader): SessionMessage['type'] {
  const at = from.offset
  const type = from.u8()
  if (type === MESSAGE.establishmentAccept) return 'establishment-accept'
  if (type === MESSAGE.modificationCommand) return 'modification-command'
  throw malformed(`session message of type 0x${type.toString(16)}: only 0xc2 and 0xcb carry ATSSS`, at)
}

/**
 * The next optional element. TS 24.007 §11.2.4, also for those not known: bit 8 of the identifier set, one octet with half
 * an octet of value; 0x70 to 0x7f, a length of two octets; otherwise a length of one.
 */
function readElement(from: NasReader): InformationElement {
  const iei = from.u8()
  if (iei & 0x80) return { iei: iei & 0xf0, value: Uint8Array.of(iei & 0x0f) }
  const length = FIXED_LENGTHS[iei] ?? ((iei & 0xf0) === 0x70 ? from.u16() : from.u8())
  return { iei, value: from.take(length) }
}

function expect(from: NasReader, octet: number, what: string): void {
  const at = from.offset
  const found = from.u8()
  if (found !== octet) throw malformed(`${what} 0x${found.toString(16)}, not 0x${octet.toString(16)}`, at)
}
