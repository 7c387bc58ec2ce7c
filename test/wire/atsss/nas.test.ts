import { describe, expect, test } from 'vitest'
import { WireError } from '../../../lib/errors.js'
import { decodeContainer } from '../../../lib/wire/atsss/container.js'
import { decodeSessionMessage, type SessionMessage } from '../../../lib/wire/atsss/nas.js'
import { hex } from '../../support/hex.js'
import { seeded } from '../../support/random.js'

/** TS 24.501 table 8.3.2.1.1. Laid by hand; Wireshark 4.0.17 finds the same elements. */
const ACCEPT = `
  2e                             # 5GS session management
  05 01                          # PDU session 5, procedure 1
  c2                             # PDU SESSION ESTABLISHMENT ACCEPT
  31                             # SSC mode 3, IPv4
  00 09                          # authorized QoS rules: 9 octets
  01 00 06 31 31 01 01 ff 01
  06 06 03 e8 06 03 e8           # session AMBR: 6 octets
  59 32                          # 5GSM cause, without a length
  29 05 01 0a 2d 00 02           # PDU address: IPv4 10.45.0.2
  56 2b                          # RQ timer value, without a length
  22 04 01 01 02 03              # S-NSSAI
  81                             # always-on PDU session indication, of half an octet
  79 00 06 01 20 41 01 01 09     # authorized QoS flow descriptions, with a length of 2 octets
  7b 00 08 80 00 0d 04 08 08 08 08  # extended protocol configuration options
  25 09 08 69 6e 74 65 72 6e 65 74  # DNN: internet
  18 02 00 64                    # serving PLMN rate control
  77 00 0d                       # ATSSS container: 13 octets
  01 00 0a 00 08 09 00 01 01 04 01 04 01
  c1                             # control plane only indication
`
const ACCEPTED: SessionMessage = {
  type: 'establishment-accept',
  pduSessionId: 5,
  pti: 1,
  elements: [
    { iei: 0x59, value: hex('32') },
    { iei: 0x29, value: hex('01 0a 2d 00 02') },
    { iei: 0x56, value: hex('2b') },
    { iei: 0x22, value: hex('01 01 02 03') },
    { iei: 0x80, value: hex('01') },
    { iei: 0x79, value: hex('01 20 41 01 01 09') },
    { iei: 0x7b, value: hex('80 00 0d 04 08 08 08 08') },
    { iei: 0x25, value: hex('08 69 6e 74 65 72 6e 65 74') },
    { iei: 0x18, value: hex('00 64') },
    { iei: 0x77, value: hex('01 00 0a 00 08 09 00 01 01 04 01 04 01') },
    { iei: 0xc0, value: hex('01') },
  ],
  atsssContainer: hex('01 00 0a 00 08 09 00 01 01 04 01 04 01'),
}

/** TS 24.501 table 8.3.9.1.1. As above. */
const COMMAND = `
  2e 05 00 cb                    # PDU session 5, begun by the network, PDU SESSION MODIFICATION COMMAND
  59 27                          # 5GSM cause
  2a 06 06 07 d0 06 07 d0        # session AMBR
  7a 00 09 01 00 06 61 31 01 01 ff 01  # authorized QoS rules
  79 00 06 01 60 41 01 01 09     # authorized QoS flow descriptions
  77 00 0e                       # ATSSS container: 14 octets
  01 00 0b 00 0b 02 01 01 00 01 01 03 02 02
`

/** TS 24.501 table 8.2.11.1.1. */
const transport = (message: string) => {
  const { length } = hex(message)
  return `
    7e 00                        # 5GS mobility management, plain
    68                           # DL NAS TRANSPORT
    01                           # payload container type: N1 SM information
    ${length.toString(16).padStart(4, '0')} ${message}
    12 05                        # PDU session 5
  `
}

const prefixes = (bytes: Uint8Array) => Array.from(bytes, (_, end) => bytes.subarray(0, end))

test('PDU SESSION ESTABLISHMENT ACCEPT', () => {
  expect(decodeSessionMessage(hex(ACCEPT))).toStrictEqual(ACCEPTED)
  expect(decodeContainer(ACCEPTED.atsssContainer!).parameters).toMatchObject([
    { type: 'rules', layout: 'g00', rules: [{ precedence: 9, traffic: [{ type: 'match-all' }] }] },
  ])
})

test('PDU SESSION MODIFICATION COMMAND', () => {
  const message = decodeSessionMessage(hex(COMMAND))
  expect(message).toMatchObject({ type: 'modification-command', pduSessionId: 5, pti: 0 })
  expect(message.elements.map(({ iei }) => iei)).toEqual([0x59, 0x2a, 0x7a, 0x79, 0x77])
  expect(decodeContainer(message.atsssContainer!).parameters).toMatchObject([
    { layout: 'rule-id', ruleLength: 'inclusive', rules: [{ id: 2, precedence: 1 }] },
  ])
})

describe('inside a DL NAS TRANSPORT', () => {
  test.each([
    ['plain', transport(ACCEPT)],
    ['integrity protected', `7e 01 de ad be ef 07 ${transport(ACCEPT)}`],
    ['integrity protected, with a new security context', `7e 03 de ad be ef 00 ${transport(ACCEPT)}`],
    ['ciphered with the null algorithm', `7e 02 de ad be ef 07 ${transport(ACCEPT)}`],
    ['the same, with a new security context', `7e 04 de ad be ef 00 ${transport(ACCEPT)}`],
  ])('%s', (_name, bytes) => {
    expect(decodeSessionMessage(hex(bytes))).toStrictEqual(ACCEPTED)
  })

  test('ciphered: says so', () => {
    for (const type of ['02', '04'])
      for (const inner of ['5a a5 00 11 22 33 44', '7e 5a', '2e 05 01 c2'])
        expect(() => decodeSessionMessage(hex(`7e ${type} de ad be ef 07 ${inner}`))).toThrow(
          expect.objectContaining({ name: 'WireError', code: 'ERR_NAS_CIPHERED', offset: 1 }),
        )
  })
})

/** Samples of pycrate, test/test_mobile.py; without ATSSS, as all that could be found. */
test.each([
  [
    'establishment accept',
    '2e0501c211000901000631310101ff0506060001060001290501ac115f012506056461746131',
    { pduSessionId: 5, pti: 1 },
    [
      [0x29, '01 ac 11 5f 01'],
      [0x25, '05 64 61 74 61 31'],
    ],
  ],
  [
    'the same, integrity protected, in a DL NAS TRANSPORT',
    '7e0100000000067e006801002d2e0602c2110009ff000631310101ff050603f42403f4242905010b0000332204010000012507' +
      '06766973696f6e1206',
    { pduSessionId: 6, pti: 2 },
    [
      [0x29, '01 0b 00 00 33'],
      [0x22, '01 00 00 01'],
      [0x25, '06 76 69 73 69 6f 6e'],
    ],
  ],
] as [string, string, object, [number, string][]][])('a sample: %s', (_name, bytes, about, elements) => {
  expect(decodeSessionMessage(hex(bytes))).toStrictEqual({
    type: 'establishment-accept',
    ...about,
    elements: elements.map(([iei, value]) => ({ iei, value: hex(value) })),
    atsssContainer: undefined,
  })
})

/** TS 24.007 §11.2.4. */
describe('elements not known', () => {
  const MANDATORY = '2e 05 01 c2 31 00 00 00'

  test.each<[string, string, number, string]>([
    ['bit 8: half an octet', 'd5', 0xd0, '05'],
    ['0x7…: a length of two octets', `7e 01 00 ${'aa'.repeat(256)}`, 0x7e, 'aa'.repeat(256)],
    ['0x70', '70 00 01 bb', 0x70, 'bb'],
    ['any other: a length of one', '6f 02 cc dd', 0x6f, 'cc dd'],
    ['0x01', '01 00', 0x01, ''],
  ])('%s', (_name, element, iei, value) => {
    const message = decodeSessionMessage(hex(`${MANDATORY} ${element} 77 00 03 7f 00 00`))
    expect(message.elements).toStrictEqual([
      { iei, value: hex(value) },
      { iei: 0x77, value: hex('7f 00 00') },
    ])
    expect(message.atsssContainer).toStrictEqual(hex('7f 00 00'))
  })

  test('0x77 inside another element is not a container', () => {
    const message = decodeSessionMessage(hex(`${MANDATORY} 25 04 77 00 01 00  7b 00 04 77 00 01 00`))
    expect(message.atsssContainer).toBeUndefined()
  })

  test('of two containers, the first', () => {
    const message = decodeSessionMessage(hex(`${MANDATORY} 77 00 01 aa  77 00 01 bb`))
    expect(message.atsssContainer).toStrictEqual(hex('aa'))
  })

  test('a container may be empty', () => {
    expect(decodeSessionMessage(hex(`${MANDATORY} 77 00 00`)).atsssContainer).toStrictEqual(hex(''))
  })
})

test('PDU SESSION ESTABLISHMENT REJECT, which may have a container since Release 18', () => {
  const message = decodeSessionMessage(
    hex(`
      2e 05 01          # 5GS session management, PDU session 5, procedure transaction 1
      c3                # ESTABLISHMENT REJECT
      1a                # 5GSM cause 26: insufficient resources
      37 01 21          # back-off timer value, 1 octet
      77 00 05          # ATSSS container, 5 octets:
      7f 00 02 ab cd    #   a parameter of unknown type 0x7f, 2 octets
    `),
  )
  expect(message).toMatchObject({ type: 'establishment-reject', pduSessionId: 5, pti: 1 })
  expect(message.elements.map(({ iei }) => iei)).toEqual([0x37, 0x77])
  expect(message.atsssContainer).toStrictEqual(hex('7f 00 02 ab cd'))
  expect(decodeSessionMessage(hex('2e 05 01 c3 1a')).atsssContainer).toBeUndefined()
})

describe('not such a message', () => {
  test.each([
    ['nothing', '', 0],
    ['another protocol', '07 41', 0],
    ['an ESTABLISHMENT REQUEST', '2e 05 01 c1 ff ff 91', 3],
    ['a RELEASE COMMAND', '2e 05 00 d3 24', 3],
    ['a REGISTRATION ACCEPT', '7e 00 42 01 01', 2],
    ['an UL NAS TRANSPORT', '7e 00 67 01 00 04 2e 05 01 c1', 2],
    ['a transport of an SMS', '7e 00 68 02 00 01 00', 3],
    ['security header type 5', '7e 05 00 00 00 00 00 7e 00', 1],
    ['a protected message in a protected one', '7e 01 00 00 00 00 00 7e 01', 8],
    ['a session message that is protected itself', '7e 01 00 00 00 00 00 2e 05', 7],
    ['a mobility message as payload', '7e 00 68 01 00 02 7e 00', 6],
    ['a payload that ends too soon', '7e 00 68 01 00 05 2e 05 01 c2', 6],
    ['QoS rules that do not end', '2e 05 01 c2 31 00 09 01', 7],
    ['an element that does not end', '2e 05 01 c2 31 00 00 00 77 00 04 01', 11],
    ['an element that reaches out of its transport', '7e 00 68 01 00 0a 2e 05 01 c2 31 00 00 00 25 04 12 05', 16],
  ])('%s', (_name, bytes, offset) => {
    expect(() => decodeSessionMessage(hex(bytes))).toThrow(
      expect.objectContaining({ name: 'WireError', code: 'ERR_NAS_MALFORMED', offset }),
    )
  })
})

test('every proper prefix is malformed, or ends where an element does', () => {
  const starts = [23, 25, 32, 34, 40, 41, 50, 61, 72, 76, 92]
  for (const prefix of prefixes(hex(ACCEPT))) {
    const whole = starts.indexOf(prefix.length)
    if (whole < 0) expect(() => decodeSessionMessage(prefix)).toThrow(WireError)
    else expect(decodeSessionMessage(prefix).elements).toStrictEqual(ACCEPTED.elements.slice(0, whole))
  }
  for (const prefix of prefixes(hex(transport(ACCEPT))).slice(0, -2))
    expect(() => decodeSessionMessage(prefix)).toThrow(WireError)
})

test('what is decoded shares no memory with what was received', () => {
  const received = Buffer.from(hex(ACCEPT))
  const message = decodeSessionMessage(received)
  received.fill(0xa5)
  expect(message).toStrictEqual(ACCEPTED)
})

test('10,000 random and mutated messages throw nothing but WireError', () => {
  const random = seeded(24_501)
  const messages = [ACCEPT, COMMAND, transport(ACCEPT), `7e 02 de ad be ef 07 ${transport(COMMAND)}`].map(hex)
  let decoded = 0
  for (let i = 0; i < 10_000; i++) {
    const bytes =
      random() < 0.2
        ? Uint8Array.from({ length: random() * 40 }, () => random() * 256)
        : messages[Math.floor(random() * messages.length)]!.slice(0, random() < 0.7 ? undefined : random() * 120)
    for (let n = Math.floor(random() * 3); n > 0 && bytes.length > 0; n--)
      bytes[Math.floor(random() * bytes.length)] = random() * 256
    try {
      decodeSessionMessage(bytes)
      decoded++
    } catch (error) {
      expect(error).toBeInstanceOf(WireError)
      const { offset, code } = error as WireError
      expect(code).toMatch(/^ERR_NAS_/)
      expect(offset >= 0 && offset <= bytes.length, `offset ${offset} of ${bytes.length}`).toBe(true)
    }
  }
  expect(decoded).toBeGreaterThan(1_000)
})
