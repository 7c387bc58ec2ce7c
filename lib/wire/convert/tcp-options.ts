/**
 * Lists of TCP options, as they stand in a TCP header and in the Connect TLV. RFC 9293 §3.1, RFC 8803 §6.2.5.
 *
 *    0                   1                   2                   3
 *    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *   +---------------+---------------+---------------+---------------+
 *   |  TCPOpt kind  | TCPOpt Length | Value  (opt)  |  ....         |
 *   +---------------+---------------+---------------+---------------+
 *   Length covers kind, length and value. Kinds 0 and 1 are a single octet.
 */
import { WireError } from '../../errors.js'
import { Reader, type Writer } from '../bytes/cursor.js'
import { checkArray, checkBytes, checkInteger, refusal } from './checks.js'

export interface TcpOption {
  kind: number
  /** Without the kind and length octets; empty asks the converter for its own value. */
  value: Uint8Array
}

/**
 * The options of a TCP header, such as those that an Extended TCP Header TLV returns.
 * Never throws: as TCP stacks do, it keeps what came before an option that does not parse.
 */
export function decodeTcpOptions(options: Uint8Array): TcpOption[] {
  return takeTcpOptions(new Reader(options), false)
}

/** The octets of a TCP header's options, to the end of the reader's window; the trace shows the options. */
export function readTcpHeader(from: Reader): Uint8Array {
  if (from.trace === undefined) return from.rest('TCP options')
  const bytes = new Uint8Array(from.bytes.subarray(from.offset, from.end))
  takeTcpOptions(from, false)
  return bytes
}

/** The options of a Connect TLV, to the end of the reader's window. */
export function readTcpOptions(reader: Reader): TcpOption[] {
  return takeTcpOptions(reader, true)
}

/** Checks every option of a Connect TLV. @returns how many bytes `writeTcpOptions` will write */
export function checkTcpOptions(options: readonly TcpOption[], at: number): number {
  checkArray(options, 'tcpOptions', at)
  let length = 0
  for (const { kind, value } of options) {
    checkInteger(kind, 0, 255, 'TCP option kind', at)
    checkBytes(value, 'value of a TCP option', at)
    // RFC 8803 §6.2.5: "option types 0 (EOL) and 1 (NOP) … MUST NOT be placed inside the TCP options field of the
    // Connect TLV."
    if (kind === END_OF_LIST || kind === NO_OPERATION)
      throw refusal(`TCP option kind ${kind} must not be in a Connect TLV`, at, 'tcp-options')
    // RFC 8803 §7.4, §7.5: Timestamp "without any timestamp", Multipath TCP "without any content".
    if (value.length > 0 && (kind === TIMESTAMP || kind === MULTIPATH))
      throw refusal(`TCP option kind ${kind} must be empty in a Connect TLV`, at, 'tcp-options')
    if (value.length > 253) throw refusal(`TCP option kind ${kind} of ${value.length} bytes`, at, 'tcp-options')
    length += 2 + value.length
  }
  return length
}

export function writeTcpOptions(writer: Writer, options: readonly TcpOption[]): void {
  for (const { kind, value } of options) {
    writer.u8(kind)
    writer.u8(2 + value.length)
    writer.put(value)
  }
}

const END_OF_LIST = 0
const NO_OPERATION = 1
const TIMESTAMP = 8
const MULTIPATH = 30

/** A kind and its name. */
export function kindInWords(kind: number): string {
  const name = KIND_NAMES[kind]
  return name === undefined ? `kind ${kind}` : `${kind} (${name})`
}

/** The IANA registry of TCP option kinds, those in use. */
const KIND_NAMES: Readonly<Record<number, string>> = {
  0: 'end of list',
  1: 'no operation',
  2: 'maximum segment size',
  3: 'window scale',
  4: 'SACK permitted',
  5: 'SACK',
  8: 'timestamps',
  28: 'user timeout',
  29: 'TCP-AO',
  30: 'Multipath TCP',
  34: 'Fast Open',
  69: 'TCP-ENO',
}

function takeTcpOptions(reader: Reader, inConnect: boolean): TcpOption[] {
  const options: TcpOption[] = []
  while (reader.left > 0) {
    const at = reader.offset
    // RFC 8803 §7.1: "A Transport Converter MUST ignore options with Kind=0, 1, or 2 if they appear in a Connect
    // TLV." Kinds 0 and 1 are one octet and vanish here (0 is the padding too); 2 is kept, for the caller to judge.
    const single = reader.bytes[at] === NO_OPERATION || reader.bytes[at] === END_OF_LIST
    if (single) {
      if (reader.u8('TCP option', kindInWords) === NO_OPERATION || inConnect) continue
      reader.skip(reader.left, 'Padding')
      break
    }
    const option = reader.part('TCP option')
    const kind = option.u8('Kind', kindInWords)
    const length = option.left > 0 ? option.u8('Length') : 0
    // RFC 8803 §6.2.5: "The minimum value for the TCP option Length is 2."
    if (length < 2 || at + length > reader.end) {
      if (!inConnect) break
      throw new WireError(
        `TCP option kind ${kind} of length ${length}, ${reader.end - at} bytes left`,
        at,
        'tcp-options',
      )
    }
    option.reach(length - 2)
    if (option.trace !== undefined) option.trace.title('TCP option', kindInWords(kind))
    options.push({ kind, value: option.take(length - 2, 'Value') })
    reader.offset = option.end
  }
  return options
}
