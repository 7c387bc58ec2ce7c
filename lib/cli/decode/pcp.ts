/** A datagram of the Port Control Protocol as a tree. RFC 6887 §7, §11.1, §12.1; drawn in wire/pcp/message.ts. */
import { ADDRESS_LENGTH, formatAddress } from '../../wire/bytes/address.js'
import { NONCE_LENGTH, OPTION_CODES, PCP_HEADER_LENGTH, PCP_VERSION, resultName } from '../../wire/pcp/index.js'
import { OPCODES, OPTIONAL_BIT, R_BIT } from '../../wire/pcp/message.js'
import type { Walker } from './tree.js'

export function walkPcp(walker: Walker): void {
  const whole = walker.left
  const version = walker.number('Version', 1)
  const opcode = walker.number('Opcode', 1, code => {
    const name = OPCODE_NAMES.get(code & ~R_BIT) ?? 'unknown'
    return `${code & ~R_BIT} (${name} ${code & R_BIT ? 'response' : 'request'})`
  })
  const response = (opcode & R_BIT) !== 0
  if (response) {
    walker.number('Reserved', 1)
    walker.number('Result Code', 1, code => `${code} (${resultName(code) ?? 'unknown'})`)
    // RFC 6887 §9, RFC 6886 §3.5: another version's answer that this one is not spoken has its own layout.
    if (version !== PCP_VERSION) return walker.rest('In the layout of that version')
  } else {
    walker.octets('Reserved', 2)
    if (version !== PCP_VERSION) walker.wrong('only version 2 is known')
  }
  walker.octets('Lifetime', 4, seconds)
  if (response) {
    walker.octets('Epoch Time', 4, seconds)
    walker.octets('Reserved', 12)
  } else walker.octets("PCP client's IP address", ADDRESS_LENGTH, address)
  walkOperation(walker, opcode & ~R_BIT)
  if (whole % 4 !== 0 || whole < PCP_HEADER_LENGTH) walker.wrong(`a message of ${whole} octets: not a multiple of 4`)
}

const OPCODE_NAMES: ReadonlyMap<number, string> = new Map([
  [OPCODES.announce, 'ANNOUNCE'],
  [OPCODES.map, 'MAP'],
  [OPCODES.peer, 'PEER'],
])

function walkOperation(walker: Walker, opcode: number): void {
  if (!OPCODE_NAMES.has(opcode)) return walker.rest('Of an unknown opcode')
  if (opcode !== OPCODES.announce) {
    walker.octets('Mapping Nonce', NONCE_LENGTH)
    walker.number('Protocol', 1)
    walker.octets('Reserved', 3)
    walker.number('Internal Port', 2)
    walker.number('External Port', 2)
    walker.octets('External IP Address', ADDRESS_LENGTH, address)
  }
  if (opcode === OPCODES.peer) {
    walker.number('Remote Peer Port', 2)
    walker.octets('Reserved', 2)
    walker.octets('Remote Peer IP Address', ADDRESS_LENGTH, address)
  }
  while (walker.left > 0) walkOption(walker)
}

const OPTION_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(OPTION_CODES).map(([name, code]) => [code, name.replaceAll('-', '_').toUpperCase()]),
)

function walkOption(walker: Walker): void {
  const code = walker.bytes[walker.offset]!
  const length = ((walker.bytes[walker.offset + 2] ?? 0) << 8) | (walker.bytes[walker.offset + 3] ?? 0)
  const name =
    OPTION_NAMES.get(code) ?? `Option of unknown code ${code}, ${code & OPTIONAL_BIT ? 'optional' : 'mandatory'}`
  walker.group(name, 4 + Math.ceil(length / 4) * 4, inside => {
    inside.number('Option Code', 1)
    inside.number('Reserved', 1)
    inside.number('Option Length', 2)
    if (code === OPTION_CODES.filter && length === 4 + ADDRESS_LENGTH) {
      inside.number('Reserved', 1)
      inside.number('Prefix Length', 1)
      inside.number('Remote Peer Port', 2)
      inside.octets('Remote Peer IP Address', ADDRESS_LENGTH, address)
    } else if (code === OPTION_CODES['third-party'] && length === ADDRESS_LENGTH)
      inside.octets('Internal IP Address', ADDRESS_LENGTH, address)
    else if (length > 0) inside.octets('Data', length)
    inside.rest('Padding')
  })
}

function seconds(bytes: Uint8Array): string {
  return `${bytes.reduce((sum, octet) => sum * 256 + octet, 0)} s`
}

function address(bytes: Uint8Array): string {
  return formatAddress(bytes, 0)
}
