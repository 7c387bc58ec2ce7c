/** A Convert message as a tree. RFC 8803 §6; the layouts are drawn in wire/convert/message.ts. */
import { ADDRESS_LENGTH, formatAddress } from '../../wire/bytes/address.js'
import { decodeErrorValue, ERROR_CODES } from '../../wire/convert/error.js'
import { HEADER_LENGTH, MAGIC_NUMBER, TLV_CODES, VERSION_1, WORD } from '../../wire/convert/message.js'
import { hex, type Walker } from './tree.js'

/** The message at the start of the window, and what follows it. */
export function walkConvert(walker: Walker): void {
  const total = (walker.bytes[walker.offset + 1] ?? 0) * WORD
  const length = Math.min(Math.max(total, HEADER_LENGTH), walker.left)
  walker.group('Convert message', length, inside => walkMessage(inside, total), `${total} bytes`)
  walker.rest('application data', bytes => `${bytes.length} bytes`)
}

function walkMessage(walker: Walker, total: number): void {
  if (walker.number('Version', 1) !== VERSION_1) walker.wrong('only version 1 is known')
  const length = walker.number('Total Length', 1, words => `${words} words, ${words * WORD} bytes`)
  if (length === 0) walker.wrong('a message has at least its header')
  const magic = walker.number('Magic Number', 2, value => `0x${value.toString(16).padStart(4, '0')}`)
  if (magic !== MAGIC_NUMBER) walker.wrong('not 0x2263: no Convert message')
  const seen: number[] = []
  while (walker.left > 0) walkTlv(walker, seen)
  if (walker.end < HEADER_LENGTH || total > walker.bytes.length)
    walker.wrong(`cut short: the message has ${total} bytes, ${walker.bytes.length} are there`)
}

function walkTlv(walker: Walker, seen: number[]): void {
  const code = walker.bytes[walker.offset]!
  const words = walker.bytes[walker.offset + 1] ?? 0
  const name = TLV_NAMES.get(code) ?? `TLV of unknown type ${code}`
  if (words === 0 || words * WORD > walker.left || code === 0 || seen.includes(code)) {
    walker.number('Type', 1)
    if (code === 0) walker.wrong('the type 0 is reserved')
    if (seen.includes(code)) walker.wrong('the same TLV twice')
    walker.number('Length', 1, value => `${value} words`)
    if (words === 0) walker.wrong('a TLV has at least one word')
    walker.wrong(`the TLV has ${words * WORD} bytes, ${walker.left + 2} are left`)
  }
  seen.push(code)
  walker.group(name, words * WORD, inside => {
    inside.number('Type', 1)
    inside.number('Length', 1, value => (value === 1 ? '1 word' : `${value} words`))
    walkValue(inside, code)
  })
}

const TLV_NAMES: ReadonlyMap<number, string> = new Map([
  [TLV_CODES.info, 'Info TLV'],
  [TLV_CODES.connect, 'Connect TLV'],
  [TLV_CODES['extended-tcp-header'], 'Extended TCP Header TLV'],
  [TLV_CODES['supported-tcp-extensions'], 'Supported TCP Extensions TLV'],
  [TLV_CODES.cookie, 'Cookie TLV'],
  [TLV_CODES.error, 'Error TLV'],
])

function walkValue(walker: Walker, code: number): void {
  switch (code) {
    case TLV_CODES.info:
      walker.octets('Zero', 2)
      if (walker.left > 0) walker.wrong('an Info TLV has exactly one word')
      return
    case TLV_CODES.connect:
      walker.number('Remote Peer Port', 2)
      walker.octets('Remote Peer IP Address', ADDRESS_LENGTH, bytes => formatAddress(bytes, 0))
      while (walker.left > 0) walkTcpOption(walker, true)
      return
    case TLV_CODES['extended-tcp-header']:
      walker.octets('Unassigned', 2)
      while (walker.left > 0) walkTcpOption(walker, false)
      return
    case TLV_CODES['supported-tcp-extensions']:
      walker.octets('Unassigned', 2)
      while (walker.left > 0) walker.number('Kind', 1, kind => (kind === 0 ? '0 (padding)' : optionName(kind)))
      return
    case TLV_CODES.cookie:
      walker.octets('Zero', 2)
      return walker.rest('Cookie')
    case TLV_CODES.error: {
      const error = walker.number('Error Code', 1, value => `${value} (${ERROR_NAMES.get(value) ?? 'unknown'})`)
      return walker.rest('Value', value => errorMeaning(error, value))
    }
    default:
      walker.rest('Value')
  }
}

/** What `wire/convert/tcp-options.ts` refuses in a Connect TLV ends a list in a header. */
function walkTcpOption(walker: Walker, inConnect: boolean): void {
  const kind = walker.bytes[walker.offset]!
  if (kind <= 1) {
    walker.number('TCP option', 1, optionName)
    if (kind === 0 && !inConnect) walker.rest('Padding')
    return
  }
  const length = walker.bytes[walker.offset + 1] ?? 0
  if (length < 2 || length > walker.left) {
    walker.rest('TCP option')
    if (inConnect) walker.wrong(`its length of ${length} does not fit`)
    return
  }
  walker.octets('TCP option', length, bytes => `${optionName(kind)}${length > 2 ? ` ${hex(bytes.subarray(2))}` : ''}`)
}

function optionName(kind: number): string {
  const name = OPTION_NAMES[kind]
  return name === undefined ? `kind ${kind}` : `${kind} (${name})`
}

/** The IANA registry of TCP option kinds, those in use. */
const OPTION_NAMES: Readonly<Record<number, string>> = {
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

const ERROR_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(ERROR_CODES).map(([name, code]) => [code, name.replaceAll('-', ' ')]),
)

function errorMeaning(code: number, value: Uint8Array): string {
  const meaning = decodeErrorValue({ code, value })
  switch (meaning.name) {
    case 'unsupported-version':
      return `supported versions: ${meaning.versions.join(', ') || 'none'}`
    case 'malformed-message':
    case 'unsupported-message':
      return `the message that it is about: ${hex(meaning.echo)}`
    case 'missing-cookie':
      return `cookie to send: ${hex(meaning.cookie)}`
    case 'unsupported-tcp-option':
      return `TCP options: ${meaning.kinds.map(optionName).join(', ') || 'none'}`
    case 'resource-exceeded':
    case 'network-failure':
      return meaning.delaySeconds === 0 ? 'wait 30 seconds or more' : `wait ${meaning.delaySeconds} seconds`
    case 'destination-unreachable':
      return `ICMP code ${meaning.icmpCode}`
    default:
      return hex(value)
  }
}
