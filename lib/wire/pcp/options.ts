/** The options of PCP messages, to bytes and back. RFC 6887 §7.3, §13; the layouts are drawn in pcp-message.ts. */
import { WireError } from '../../errors.js'
import { ADDRESS_LENGTH, formatAddress, isMappedAddress } from '../bytes/address.js'
import { Reader, type Writer } from '../bytes/cursor.js'
import { checkNumber, checkOctets, familyOf, pcpRefusal, writeAddress } from './checks.js'
import { OPTION_CODES, OPTION_HEADER_LENGTH, type PcpOption } from './message.js'

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
    const at = from.offset
    if (from.left < OPTION_HEADER_LENGTH) throw malformed('an option cut short', at)
    const code = from.u8()
    from.skip(1)
    const length = from.u16()
    const padded = Math.ceil(length / 4) * 4
    if (padded > from.left) throw malformed(`option ${code} ends ${padded - from.left} octets too far`, at)
    const start = from.skip(padded)
    const option = readOption(code, new Reader(from.bytes, start, start + length), at)
    if (ONCE.has(option.type) && options.some(({ type }) => type === option.type))
      throw malformed(`option ${option.type} appears twice`, at)
    options.push(option)
  }
  return options
}

/** Octets with headers and padding. Throws `ERR_PCP_ENCODE`. */
export function optionsLength(options: readonly PcpOption[]): number {
  let length = 0
  for (const option of options) {
    checkOption(option)
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

function readOption(code: number, data: Reader, at: number): PcpOption {
  switch (code) {
    case OPTION_CODES['third-party']:
      checkLength('third-party', data, at)
      return { type: 'third-party', internalAddress: formatAddress(data.bytes, data.offset) }
    case OPTION_CODES['prefer-failure']:
      checkLength('prefer-failure', data, at)
      return { type: 'prefer-failure' }
    case OPTION_CODES.filter:
      checkLength('filter', data, at)
      return readFilter(data, at)
    default:
      return { type: 'unknown', code, data: data.take(data.left) }
  }
}

function readFilter(data: Reader, at: number): PcpOption {
  data.skip(1)
  const length = data.u8()
  const port = data.u16()
  const address = formatAddress(data.bytes, data.offset)
  // RFC 6887 §13.3: "The value 0 indicates "no filter", and will remove all previous filters."
  if (length === 0) return { type: 'clear-filters' }
  const prefixLength = isMappedAddress(data.bytes, data.offset) ? length - MAPPED_PREFIX : length
  // §13.3: "Values outside those ranges cause the PCP server to return the MALFORMED_OPTION result code."
  if (prefixLength < 0 || length > 128) throw malformed(`a filter of ${length} bits for ${address}`, at)
  return { type: 'filter', address, prefixLength, port }
}

function checkLength(name: keyof typeof LENGTHS, data: Reader, at: number): void {
  if (data.left !== LENGTHS[name]) throw malformed(`option ${name} of ${data.left} octets, not ${LENGTHS[name]}`, at)
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

function malformed(message: string, at: number): WireError {
  return new WireError(message, at, 'pcp-option', 'ERR_PCP_MALFORMED')
}
