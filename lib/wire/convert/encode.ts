/** Convert messages to bytes. RFC 8803 §6; the layouts are drawn in message.ts. */
import { ADDRESS_LENGTH, forbiddenBytes, parseAddress } from '../bytes/address.js'
import { Writer } from '../bytes/cursor.js'
import { checkArray, checkBytes, checkInteger, refusal } from './checks.js'
import {
  type ConnectTlv,
  HEADER,
  HEADER_LENGTH,
  MAGIC_NUMBER,
  MAX_MESSAGE_LENGTH,
  TLV,
  TLV_CODES,
  type Tlv,
  VERSION_1,
  WORD,
} from './message.js'
import { checkTcpOptions, writeTcpOptions } from './tcp-options.js'

export interface EncodeOptions {
  /** Allows a loopback address in a Connect TLV, against RFC 8803 §6.2.5: for tests on one host. Default false. */
  allowLoopback?: boolean
}

/**
 * The message with these TLVs. Without any, it is the bare header by which a converter reports success.
 * Throws `WireError` with the code `ERR_CONVERT_ENCODE` for what a message cannot carry.
 */
export function encode(tlvs: readonly Tlv[], options?: EncodeOptions): Uint8Array {
  const bytes = new Uint8Array(checkMessage(tlvs))
  write(new Writer(bytes), tlvs, options)
  return bytes
}

/** `encode` to the start of `bytes`, of which nothing else is touched. @returns the message's length in bytes */
export function encodeInto(bytes: Uint8Array, tlvs: readonly Tlv[], options?: EncodeOptions): number {
  const length = checkMessage(tlvs)
  write(new Writer(bytes), tlvs, options)
  return length
}

/** Checks everything but the addresses, which `write` parses. @returns the message's length in bytes */
function checkMessage(tlvs: readonly Tlv[]): number {
  checkArray(tlvs, 'message', 0)
  let length = HEADER_LENGTH
  const seen: number[] = []
  for (const tlv of tlvs) {
    const code = checkCode(tlv, length)
    // RFC 8803 §6.2.1: "A given TLV MUST only appear once on a connection."
    if (seen.includes(code)) throw refusal(`TLV ${code} appears twice`, length, 'duplicate')
    seen.push(code)
    length += padded(TLV.value + checkValue(tlv, length))
  }
  if (length > MAX_MESSAGE_LENGTH)
    throw refusal(
      `a message of ${length} bytes, not of at most ${MAX_MESSAGE_LENGTH}`,
      HEADER.totalLength,
      'total-length',
    )
  return length
}

/** @returns the TLV's type octet */
function checkCode(tlv: Tlv, at: number): number {
  if (tlv.type !== 'unknown') {
    if (!Object.hasOwn(TLV_CODES, tlv.type)) throw refusal(`no TLV is called ${JSON.stringify(tlv.type)}`, at)
    return TLV_CODES[tlv.type]
  }
  if (tlv.code === 0) throw refusal('TLV type 0 is reserved', at, 'reserved-type')
  checkInteger(tlv.code, 1, 255, 'TLV type', at)
  if (KNOWN_CODES.has(tlv.code)) throw refusal(`TLV type ${tlv.code} is not unknown`, at)
  return tlv.code
}

const KNOWN_CODES: ReadonlySet<number> = new Set(Object.values(TLV_CODES))

/** @returns the length in bytes of the TLV's value, without padding */
function checkValue(tlv: Tlv, at: number): number {
  switch (tlv.type) {
    case 'info':
      return 2
    case 'connect':
      checkInteger(tlv.port, 1, 65535, 'port', at)
      return 2 + ADDRESS_LENGTH + paddingOf(tlv) + checkTcpOptions(tlv.tcpOptions, at)
    case 'extended-tcp-header':
      checkBytes(tlv.options, 'options', at)
      return 2 + tlv.options.length
    case 'supported-tcp-extensions':
      checkArray(tlv.kinds, 'kinds', at)
      for (const kind of tlv.kinds) {
        checkInteger(kind, 0, 255, 'TCP option kind', at)
        const section = UNSUPPORTABLE_KINDS[kind]
        if (section)
          throw refusal(`TCP option kind ${kind} must not be announced (RFC 8803 §${section})`, at, 'tcp-options')
      }
      return 2 + tlv.kinds.length
    case 'cookie':
      checkBytes(tlv.cookie, 'cookie', at)
      return 2 + tlv.cookie.length
    case 'error':
      checkInteger(tlv.code, 0, 255, 'error code', at)
      checkBytes(tlv.value, 'value', at)
      return 1 + tlv.value.length
    case 'unknown':
      checkBytes(tlv.value, 'value', at)
      return tlv.value.length
  }
}

/** The TCP option kinds that a converter "MUST NOT announce", and where RFC 8803 says so. */
const UNSUPPORTABLE_KINDS: Readonly<Record<number, string>> = {
  0: '7.1',
  1: '7.1',
  2: '7.1',
  3: '7.2',
  5: '7.3',
  29: '7.7',
}

function write(to: Writer, tlvs: readonly Tlv[], options: EncodeOptions | undefined): void {
  to.u8(VERSION_1)
  to.skip(1) // Total Length: below
  to.u16(MAGIC_NUMBER)
  for (const tlv of tlvs) {
    const at = to.offset
    to.u8(tlv.type === 'unknown' ? tlv.code : TLV_CODES[tlv.type])
    to.skip(1) // Length: below
    writeValue(to, tlv, options)
    // RFC 8803 §6.2.1: "Value MUST be padded with zeroes so that the length of the TLV is a multiple of 32 bits."
    to.padTo(at + padded(to.offset - at))
    to.bytes[at + TLV.length] = (to.offset - at) / WORD
  }
  to.bytes[HEADER.totalLength] = to.offset / WORD
}

function writeValue(to: Writer, tlv: Tlv, options: EncodeOptions | undefined): void {
  switch (tlv.type) {
    case 'info':
      to.u16(0)
      break
    case 'connect':
      to.u16(tlv.port)
      writeTarget(to, tlv.address, options?.allowLoopback === true)
      writeTcpOptions(to, tlv.tcpOptions)
      to.padTo(to.offset + paddingOf(tlv))
      break
    case 'extended-tcp-header':
      to.u16(0)
      to.put(tlv.options)
      break
    case 'supported-tcp-extensions':
      to.u16(0)
      for (const kind of tlv.kinds) to.u8(kind)
      break
    case 'cookie':
      to.u16(0)
      to.put(tlv.cookie)
      break
    case 'error':
      to.u8(tlv.code)
      to.put(tlv.value)
      break
    case 'unknown':
      to.put(tlv.value)
      break
  }
}

/** Octets that make a Connect without options an extended one. */
function paddingOf({ isExtended, tcpOptions }: ConnectTlv): number {
  return isExtended === true && tcpOptions.length === 0 ? WORD : 0
}

function writeTarget(to: Writer, address: string, allowLoopback: boolean): void {
  const at = to.skip(ADDRESS_LENGTH)
  // RFC 8803 §6.2.5: "the Remote Peer IP Address field MUST NOT include multicast, broadcast, or host loopback
  // addresses".
  const why = parseAddress(address, to.bytes, at) ? forbiddenBytes(to.bytes, at) : 'not an IP address'
  if (why === undefined || (why === 'loopback' && allowLoopback)) return
  const remedy =
    why === 'not an IP address'
      ? 'resolve the name first'
      : `connect without a converter${why === 'loopback' ? ', or set allowLoopback for tests on one machine' : ''}`
  const reason = why === 'not an IP address' ? why : `${why} (RFC 8803 §6.2.5)`
  throw refusal(`${JSON.stringify(address)} cannot be the remote peer of a Connect TLV: ${reason}; ${remedy}`, at)
}

function padded(length: number): number {
  return (length + WORD - 1) & -WORD
}
