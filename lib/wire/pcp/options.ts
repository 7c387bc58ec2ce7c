/** The options of PCP messages, to bytes and back. RFC 6887 §7.3, §13; the layouts are drawn in message.ts. */
import { WireError } from '../../errors.js'
import { ADDRESS_LENGTH, formatAddress, isMappedAddress } from '../bytes/address.js'
import type { Reader, Writer } from '../bytes/cursor.js'
import { checkNumber, checkOctets, familyOf, pcpRefusal, writeAddress } from './checks.js'
import { OPTION_CODES, OPTION_HEADER_LENGTH, OPTIONAL_BIT, type PcpOption } from './message.js'

/** Octets of the data of each option, without padding. */
const LENGTHS = { 'third-party': ADDRESS_LENGTH, 'prefer-failure': 0, filter: 4 + ADDRESS_LENGTH } as const
/** RFC 6887 §13.3: "add 96 to the IPv4 prefix length". */
const MAPPED_PREFIX = 96
/** RFC 6887 §13.1, §13.2: "Maximum occurrences: 1". */
const ONCE: ReadonlySet<string> = new Set(['third-party', 'prefer-failure'])

/** All up to the end of the message. Throws `WireError` with the reason `pcp-option`. */
export function readOptions(from: Reader): PcpOption[] {
  const options: PcpOption[] = []
  while (from.left > 0) {
    const part = from.part('Option')
    const at = part.offset
    if (part.left < OPTION_HEADER_LENGTH) throw malformedOption('an option cut short', at)
    const code = part.u8('Option Code')
    part.u8('Reserved')
    const length = part.u16('Option Length')
    if (part.trace !== undefined) part.trace.title(optionName(code))
    const padded = Math.ceil(length / 4) * 4
    if (padded > part.left) throw malformedOption(`option ${code} ends ${padded - part.left} octets too far`, at)
    part.reach(padded)
    const option = readOption(code, part, length, at)
    if (ONCE.has(option.type) && options.some(({ type }) => type === option.type))
      throw malformedOption(`option ${option.type} appears twice`, at)
    options.push(option)
    part.skip(part.left, 'Padding')
    from.offset = part.end
  }
  return options
}

/** @returns its text */
export function readAddress(from: Reader, name: string): string {
  return formatAddress(
    from.bytes,
    from.skip(ADDRESS_LENGTH, name, bytes => formatAddress(bytes, 0)),
  )
}

/** Octets with headers and padding. Throws `ERR_PCP_ENCODE`. */
export function optionsLength(options: readonly PcpOption[]): number {
  let length = 0
  for (const [index, option] of options.entries()) {
    checkOption(option)
    if (ONCE.has(option.type) && options.findIndex(({ type }) => type === option.type) < index)
      throw pcpRefusal(`option ${option.type} appears twice`)
    length += OPTION_HEADER_LENGTH + Math.ceil(dataLength(option) / 4) * 4
  }
  return length
}

export function writeOptions(to: Writer, options: readonly PcpOption[]): void {
  for (const option of options) {
    const length = dataLength(option)
    to.u8(option.type === 'unknown' ? option.code : OPTION_CODES[codeName(option)])
    to.u8(0)
    to.u16(length)
    const at = to.offset
    writeData(to, option)
    to.padTo(at + Math.ceil(length / 4) * 4)
  }
}

/** @param length of the data, which is padded in the window */
function readOption(code: number, from: Reader, length: number, at: number): PcpOption {
  switch (code) {
    case OPTION_CODES['third-party']:
      checkLength('third-party', length, at)
      return { type: 'third-party', internalAddress: readAddress(from, 'Internal IP Address') }
    case OPTION_CODES['prefer-failure']:
      checkLength('prefer-failure', length, at)
      return { type: 'prefer-failure' }
    case OPTION_CODES.filter:
      checkLength('filter', length, at)
      return readFilter(from, at)
    default:
      return { type: 'unknown', code, data: from.take(length, 'Data') }
  }
}

function readFilter(from: Reader, at: number): PcpOption {
  from.skip(1, 'Reserved')
  const length = from.u8('Prefix Length')
  const port = from.u16('Remote Peer Port')
  const mapped = isMappedAddress(from.bytes, from.offset)
  const address = readAddress(from, 'Remote Peer IP Address')
  // RFC 6887 §13.3: "The value 0 indicates "no filter", and will remove all previous filters."
  if (length === 0) return { type: 'clear-filters' }
  const prefixLength = mapped ? length - MAPPED_PREFIX : length
  // §13.3: "Values outside those ranges cause the PCP server to return the MALFORMED_OPTION result code."
  if (prefixLength < 0 || length > 128) throw malformedOption(`a filter of ${length} bits for ${address}`, at)
  return { type: 'filter', address, prefixLength, port }
}

function checkLength(name: keyof typeof LENGTHS, length: number, at: number): void {
  if (length !== LENGTHS[name]) throw malformedOption(`option ${name} of ${length} octets, not ${LENGTHS[name]}`, at)
}

const OPTION_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(OPTION_CODES).map(([name, code]) => [code, name.replaceAll('-', '_').toUpperCase()]),
)

function optionName(code: number): string {
  const kind = code & OPTIONAL_BIT ? 'optional' : 'mandatory'
  return OPTION_NAMES.get(code) ?? `Option of unknown code ${code}, ${kind}`
}

function dataLength(option: PcpOption): number {
  return option.type === 'unknown' ? option.data.length : LENGTHS[codeName(option)]
}

function codeName(option: Exclude<PcpOption, { type: 'unknown' }>): keyof typeof OPTION_CODES {
  return option.type === 'clear-filters' ? 'filter' : option.type
}

function checkOption(option: PcpOption): void {
  switch (option.type) {
    case 'third-party':
    case 'prefer-failure':
    case 'clear-filters':
      return
    case 'filter': {
      const family = familyOf(option.address)
      // An IPv6 prefix of no bits would say something else: see `clear-filters`.
      checkNumber(option.prefixLength, family === 6 ? 1 : 0, family === 6 ? 128 : 32, 'prefix length')
      checkNumber(option.port, 0, 65535, 'port')
      return
    }
    case 'unknown':
      checkNumber(option.code, 0, 255, 'option code')
      checkOctets(option.data, 'option data')
      if (Object.values<number>(OPTION_CODES).includes(option.code))
        throw pcpRefusal(`option ${option.code} is not unknown`)
      return
    default:
      throw pcpRefusal(`no option is called ${JSON.stringify((option as { type: unknown }).type)}`)
  }
}

function writeData(to: Writer, option: PcpOption): void {
  if (option.type === 'unknown') to.put(option.data)
  if (option.type === 'third-party') writeAddress(to, option.internalAddress)
  if (option.type === 'clear-filters') to.padTo(to.offset + LENGTHS.filter)
  if (option.type !== 'filter') return
  to.u8(0)
  to.u8(option.prefixLength + (familyOf(option.address) === 6 ? 0 : MAPPED_PREFIX))
  to.u16(option.port)
  writeAddress(to, option.address)
}

function malformedOption(message: string, at: number): WireError {
  return new WireError(message, at, 'pcp-option', 'ERR_PCP_MALFORMED')
}
