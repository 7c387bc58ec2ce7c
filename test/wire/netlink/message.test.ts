/** Captured from NETLINK_GENERIC and NETLINK_ROUTE sockets on Linux 6.18, x86-64; requests laid by hand with struct.pack. */
import { endianness } from 'node:os'
import { describe, expect, test } from 'vitest'
import { decodeFamily, decodeGeneric, encodeGetFamily, GENL_ID_CTRL } from '../../../lib/wire/netlink/generic.js'
import {
  Attributes,
  attribute,
  decodeAcknowledgement,
  decodeMessages,
  encodeMessage,
  nestedAttribute,
  text,
  u8,
  u16,
} from '../../../lib/wire/netlink/message.js'
import { hex } from '../../support/hex.js'
import { seeded } from '../../support/random.js'

const GET_FAMILY = hex(`
  24000000 1000 0500 09000000 00000000   # length 36, nlctrl, request and ack, sequence 9, port 0
  03 02 0000                             # CTRL_CMD_GETFAMILY, version 2
  0d00 0200 6d707463705f706d00 000000    # CTRL_ATTR_FAMILY_NAME "mptcp_pm", padded`)

const FAMILY = hex(`
  68010000 10000000 09000000 964e0000 01020000 0d000200 6d707463 705f706d 00000000 06000100 1c000000 08000300 01000000
  08000400 00000000 08000500 00000000 e0000600 14000100 08000100 01000000 08000200 1a000000 14000200 08000100 02000000
  08000200 1a000000 14000300 08000100 03000000 08000200 0e000000 14000400 08000100 04000000 08000200 1a000000 14000500
  08000100 05000000 08000200 1a000000 14000600 08000100 06000000 08000200 0a000000 14000700 08000100 07000000 08000200
  1a000000 14000800 08000100 08000000 08000200 1a000000 14000900 08000100 09000000 08000200 1a000000 14000a00 08000100
  0a000000 08000200 1a000000 14000b00 08000100 0b000000 08000200 1a000000 44000700 20000100 08000200 08000000 12000100
  6d707463 705f706d 5f636d64 73000000 20000200 08000200 09000000 14000100 6d707463 705f706d 5f657665 6e747300`)

/** Answers to requests, by what was asked. */
const ACKNOWLEDGEMENTS = [
  [
    'done',
    '24000000 02000001 09000000 964e0000 00000000 24000000 10000500 09000000 00000000',
    { errno: 0, message: undefined, missingAttribute: undefined },
  ],
  [
    'the family "nosuch": ENOENT, without words, and the request',
    `34000000 02000000 09000000 964e0000 feffffff 20000000 10000500 09000000 00000000 03020000 0b000200 6e6f7375
     63680000`,
    { errno: 2, message: undefined, missingAttribute: undefined },
  ],
  [
    'an endpoint that is not there: EINVAL, the request, words',
    `54000000 02000002 09000000 964e0000 eaffffff 20000000 1c000500 09000000 00000000 03010000 0c000180 05000200
     4d000000 16000100 61646472 65737320 6e6f7420 666f756e 64000000 08000200 14000000`,
    { errno: 22, message: 'address not found', missingAttribute: undefined },
  ],
  [
    'del-addr without an address: EINVAL, and which attribute is missing',
    '30000000 02000002 09000000 964e0000 eaffffff 14000000 1c000500 09000000 00000000 02010000 08000500 01000000',
    { errno: 22, message: undefined, missingAttribute: 1 },
  ],
  [
    'a token that is none, with NETLINK_CAP_ACK: EINVAL, the header of the request, words',
    `40000000 02000003 09000000 52290000 eaffffff 24000000 1c000500 09000000 00000000 12000100 696e7661 6c696420
     746f6b65 6e000000 08000200 14000000`,
    { errno: 22, message: 'invalid token', missingAttribute: undefined },
  ],
  [
    'the end of a dump',
    '14000000 03000200 09000000 964e0000 00000000',
    { errno: 0, message: undefined, missingAttribute: undefined },
  ],
  [
    'a dump that failed: EINVAL, words',
    `30000000 03000202 09000000 52290000 eaffffff 12000100 696e7661 6c696420 746f6b65 6e000000 08000200 14000000`,
    { errno: 22, message: 'invalid token', missingAttribute: undefined },
  ],
] as const

const asCaptured = describe.runIf(endianness() === 'LE')

asCaptured('messages', () => {
  test('a request', () => {
    const payload = encodeGetFamily('mptcp_pm')
    expect(encodeMessage({ type: GENL_ID_CTRL, flags: 5, sequence: 9 }, payload)).toEqual(GET_FAMILY)
    expect(decodeMessages(GET_FAMILY)).toMatchObject([{ type: 0x10, flags: 5, sequence: 9, port: 0 }])
    expect(decodeGeneric(decodeMessages(GET_FAMILY)[0]!.payload)).toMatchObject({ command: 3, version: 2 })
  })

  test('a family', () => {
    expect(decodeFamily(decodeMessages(FAMILY)[0]!.payload)).toEqual({
      id: 28,
      name: 'mptcp_pm',
      version: 1,
      groups: new Map([
        ['mptcp_pm_cmds', 8],
        ['mptcp_pm_events', 9],
      ]),
    })
  })

  test.each(ACKNOWLEDGEMENTS)('%s', (_name, bytes, value) => {
    expect(decodeAcknowledgement(decodeMessages(hex(bytes))[0]!)).toEqual(value)
  })

  test('several in a datagram, of odd lengths', () => {
    const odd = encodeMessage({ type: 99, flags: 2, sequence: 7 }, Uint8Array.of(1, 2, 3, 4, 5))
    const datagram = Buffer.concat([GET_FAMILY, odd, new Uint8Array(3), FAMILY])
    expect(decodeMessages(datagram).map(({ type, payload }) => [type, payload.length])).toEqual([
      [16, 20],
      [99, 5],
      [16, 344],
    ])
  })

  test('every prefix is refused, or a datagram of fewer messages', () => {
    const datagram = Buffer.concat([GET_FAMILY, FAMILY])
    for (let end = 0; end < datagram.length; end++) {
      const whole = end === 0 || end === GET_FAMILY.length
      expect(outcome(() => decodeMessages(datagram.subarray(0, end)))).toBe(whole ? 'decoded' : 'EPROTO')
    }
  })

  test('a length that does not advance', () => {
    for (const length of [0, 1, 15]) {
      const bytes = GET_FAMILY.slice()
      bytes[0] = length
      expect(outcome(() => decodeMessages(bytes))).toBe('EPROTO')
    }
  })

  test('what lies around is not read', () => {
    const pool = new Uint8Array(FAMILY.length + 64).fill(0xa5)
    pool.set(FAMILY, 13)
    const payload = decodeMessages(pool.subarray(13, 13 + FAMILY.length))[0]!.payload
    expect(decodeFamily(payload).groups.size).toBe(2)
  })

  test('random bytes: EPROTO, or a value, but nothing else', () => {
    const random = seeded(3)
    for (let i = 0; i < 10_000; i++) {
      const source = i % 2 === 0 ? FAMILY : hex(ACKNOWLEDGEMENTS[i % ACKNOWLEDGEMENTS.length]![1])
      const bytes = source.map(byte => (random() < 0.02 ? Math.floor(random() * 256) : byte))
      for (const decode of [
        () => decodeMessages(bytes).map(({ payload }) => decodeFamily(payload)),
        () => decodeMessages(bytes).map(decodeAcknowledgement),
        () => decodeMessages(bytes.map(() => Math.floor(random() * 256))),
      ])
        expect(outcome(decode)).toMatch(/^(EPROTO|decoded)$/)
    }
  })
})

asCaptured('attributes', () => {
  test('padded, nested, and both flags taken from the type', () => {
    const bytes = nestedAttribute(7, [attribute(1, text('ab')), attribute(2, u16(0x1234))])
    expect(bytes).toEqual(hex('1400 0780  0700 0100 616200 00  0600 0200 3412 0000'))
    const inner = Attributes.read(bytes).nested(7)!
    expect([inner.text(1), inner.u16(2), inner.be16(2), inner.bytes(3)]).toEqual(['ab', 0x1234, 0x3412, undefined])
    expect(Attributes.read(hex('0500 0140 07 000000')).u8(1)).toBe(7) // NLA_F_NET_BYTEORDER
  })

  test('all are kept; the last of several counts', () => {
    const attributes = Attributes.read(Buffer.concat([attribute(9, u8(1)), attribute(200, u8(5)), attribute(9, u8(2))]))
    expect(attributes.list.map(({ type }) => type)).toEqual([9, 200, 9])
    expect(attributes.u8(9)).toBe(2)
  })

  test('a value that is too short', () => {
    const attributes = Attributes.read(attribute(1, u8(5)))
    for (const read of [attributes.u16, attributes.be16, attributes.u32, attributes.s32])
      expect(outcome(() => read.call(attributes, 1))).toBe('EPROTO')
  })

  test('lengths that do not advance, or reach too far', () => {
    for (const bytes of ['0000 0100', '0300 0100', '0500 0100', '0900 0100 00000000'])
      expect(outcome(() => Attributes.read(hex(bytes)))).toBe('EPROTO')
    expect(outcome(() => Attributes.read(hex('0500 0100 07'), 9))).toBe('EPROTO')
    expect(Attributes.read(hex('0500 0100 07')).u8(1)).toBe(7) // the last one's padding may be missing
  })

  test('a text without its NUL', () => {
    expect(Attributes.read(hex('0600 0100 6869')).text(1)).toBe('hi')
  })
})

function outcome(call: () => unknown): string {
  try {
    call()
    return 'decoded'
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? (error as Error).message
  }
}
