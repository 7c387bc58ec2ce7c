/** A NAS message with an ATSSS container as a tree. TS 24.501 §8.2.11, §8.3.2, §8.3.9; drawn in wire/atsss/nas.ts. */
import { walkContainer } from './atsss.js'
import type { Walker } from './tree.js'

export function walkNas(walker: Walker): void {
  if (walker.bytes[walker.offset] === SESSION_MANAGEMENT) return walkSession(walker)
  if (walkDiscriminator(walker) !== MOBILITY_MANAGEMENT) walker.wrong('neither session nor mobility management')
  const security =
    walker.number('Security header type', 1, value => `${value & 15} (${SECURITY[value & 15] ?? 'unknown'})`) & 15
  if (security > 4) walker.wrong('not known')
  if (security > 0) {
    walker.octets('Message authentication code', 4)
    walker.number('Sequence number', 1)
    const ciphered =
      security % 2 === 0 &&
      !(walker.bytes[walker.offset] === MOBILITY_MANAGEMENT && walker.bytes[walker.offset + 1] === 0)
    if (ciphered) {
      walker.rest('Contents')
      walker.wrong('ciphered: a plain message is needed')
    }
    if (walkDiscriminator(walker) !== MOBILITY_MANAGEMENT) walker.wrong('not mobility management')
    if (walker.number('Security header type', 1) !== 0) walker.wrong('protected twice')
  }
  walkTransport(walker)
}

const SESSION_MANAGEMENT = 0x2e
const MOBILITY_MANAGEMENT = 0x7e
const ATSSS_CONTAINER = 0x77
/** TS 24.501 §9.3. */
const SECURITY = [
  'plain',
  'integrity protected',
  'integrity protected and ciphered',
  'integrity protected with a new security context',
  'integrity protected and ciphered with a new security context',
]

function walkDiscriminator(walker: Walker): number {
  const names: Record<number, string> = { 46: '5GS session management', 126: '5GS mobility management' }
  return walker.number(
    'Extended protocol discriminator',
    1,
    value => `0x${value.toString(16)} (${names[value] ?? 'unknown'})`,
  )
}

function walkTransport(walker: Walker): void {
  const type = walker.number(
    'Message type',
    1,
    value => `0x${value.toString(16)}${value === 0x68 ? ' (DL NAS TRANSPORT)' : ''}`,
  )
  if (type !== 0x68) walker.wrong('only DL NAS TRANSPORT carries a session message to the UE')
  const payload = walker.number(
    'Payload container type',
    1,
    value => `${value & 15}${(value & 15) === 1 ? ' (N1 SM information)' : ''}`,
  )
  if ((payload & 15) !== 1) walker.wrong('not a session message')
  const length = walker.number('Length of payload container', 2)
  walker.group('Session message', length, walkSession)
  walker.rest('Optional elements')
}

function walkSession(walker: Walker): void {
  if (walkDiscriminator(walker) !== SESSION_MANAGEMENT) walker.wrong('not session management')
  walker.number('PDU session identity', 1)
  walker.number('Procedure transaction identity', 1)
  const type = walker.number('Message type', 1, value => `0x${value.toString(16)} (${MESSAGES[value] ?? 'unknown'})`)
  if (MESSAGES[type] === undefined) walker.wrong('only 0xc2 and 0xcb carry ATSSS')
  if (type === ESTABLISHMENT_ACCEPT) {
    walker.octets(
      'Selected SSC mode and PDU session type',
      1,
      ([octet = 0]) => `SSC mode ${octet >> 4}, ${SESSION_TYPES[octet & 15] ?? `type ${octet & 15}`}`,
    )
    walker.octets('Authorized QoS rules', walker.number('Length of authorized QoS rules', 2))
    walker.octets('Session AMBR', walker.number('Length of session AMBR', 1))
  }
  while (walker.left > 0) walkElement(walker)
}

const ESTABLISHMENT_ACCEPT = 0xc2
const MESSAGES: Readonly<Record<number, string>> = {
  [ESTABLISHMENT_ACCEPT]: 'PDU SESSION ESTABLISHMENT ACCEPT',
  203: 'PDU SESSION MODIFICATION COMMAND',
}
/** TS 24.501 §9.11.4.11. */
const SESSION_TYPES: Readonly<Record<number, string>> = {
  1: 'IPv4',
  2: 'IPv6',
  3: 'IPv4v6',
  4: 'unstructured',
  5: 'Ethernet',
}

/** Identifiers of tables 8.3.2.1.1 and 8.3.9.1.1; those of half an octet with zeros behind. */
const ELEMENTS: Readonly<Record<number, string>> = {
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

/** Those with one octet of value and no length. */
const FIXED: readonly number[] = [86, 89]

/** TS 24.007 §11.2.4. */
function walkElement(walker: Walker): void {
  const first = walker.bytes[walker.offset]!
  const half = first & 0x80
  const iei = half ? first & 0xf0 : first
  const name = ELEMENTS[iei] ?? `Element 0x${iei.toString(16)}`
  if (half) return void walker.octets(name, 1, () => first & 0x0f)
  const width = FIXED.includes(iei) ? 0 : (iei & 0xf0) === 0x70 ? 2 : 1
  const at = walker.offset + 1
  const said = width === 2 ? ((walker.bytes[at] ?? 0) << 8) | (walker.bytes[at + 1] ?? 0) : (walker.bytes[at] ?? 0)
  walker.group(name, 1 + width + (width === 0 ? 1 : said), inside => {
    inside.number('Element identifier', 1, value => `0x${value.toString(16)}`)
    if (width === 1 || width === 2) inside.number('Length', width)
    if (iei === ATSSS_CONTAINER) walkContainer(inside)
    else inside.rest('Value')
  })
}
