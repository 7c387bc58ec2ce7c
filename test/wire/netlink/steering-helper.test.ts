/** The layout is written by hand, as native/helper/protocol.h has it, for little-endian hosts. */
import { endianness } from 'node:os'
import { describe, expect, test } from 'vitest'
import {
  decodeHelperCookie,
  decodeHelperReplies,
  encodeHelperRequest,
} from '../../../lib/wire/netlink/steering-helper.js'
import { hex } from '../../support/hex.js'
import { seeded } from '../../support/random.js'

describe.skipIf(endianness() === 'BE')('requests', () => {
  test.each([
    ['hello', encodeHelperRequest('hello', 1), `02535441 01000000 01000000 00000000 ${'00'.repeat(48)}`],
    [
      'subflow-create',
      encodeHelperRequest('subflow-create', 7, {
        token: 0x70d5b910,
        local: { address: '10.2.0.2', id: 2, interfaceIndex: 3, flags: ['subflow', 'backup'] },
        remote: { address: '192.0.2.1', port: 443 },
      }),
      `02535441 07000000 04000000 10b9d570 06000000 03000000
       04 02 0000 0a020002 ${'00'.repeat(12)}  04 00 bb01 c0000201 ${'00'.repeat(12)}`,
    ],
    [
      'set-flags, IPv6 with a zone',
      encodeHelperRequest('set-flags', 8, {
        token: 1,
        local: { address: 'fe80::1%wlan0', port: 50_000, flags: [] },
        remote: { address: '::ffff:192.0.2.1', port: 443 },
      }),
      `02535441 08000000 06000000 01000000 00000000 00000000
       06 00 50c3 fe80${'00'.repeat(13)}01  06 00 bb01 ${'00'.repeat(10)}ffff c0000201`,
    ],
    [
      'remove',
      encodeHelperRequest('remove', 9, { token: 1, localId: 4 }),
      `02535441 09000000 08000000 01000000 00000000 00000000 00 04 0000 ${'00'.repeat(36)}`,
    ],
  ])('%s', (_, bytes, expected) => expect(Buffer.from(bytes)).toEqual(Buffer.from(hex(expected))))

  test('not an address', () =>
    expect(() => encodeHelperRequest('announce', 1, { token: 1, local: { address: 'wlan0' } })).toThrow(RangeError))
})

describe.skipIf(endianness() === 'BE')('replies', () => {
  const text = (words: string) => Buffer.from(words).toString('hex')
  test.each([
    [
      'done',
      '02535441 01000000 07000000 00000000 00000000',
      { kind: 'answer', sequence: 7, errno: 0, payload: Buffer.alloc(0) },
    ],
    [
      'EINVAL, with the kernel’s words',
      `02535441 01000000 07000000 16000000 0d000000 ${text('invalid token')}`,
      { kind: 'answer', sequence: 7, errno: 22, payload: Buffer.from('invalid token') },
    ],
    [
      'a refusal',
      `02535441 02000000 08000000 01000000 1b000000 ${text('interface: not this one: no')}`,
      { kind: 'refusal', sequence: 8, code: 'interface', sentence: 'not this one: no' },
    ],
    ['an event', '02535441 03000000 00000000 00000000 02000000 0301', { kind: 'event', payload: Buffer.from([3, 1]) }],
    ['events were lost', '02535441 04000000 00000000 00000000 00000000', { kind: 'overrun' }],
  ])('%s', (_, bytes, reply) => expect(decodeHelperReplies(Buffer.from(hex(bytes)))).toEqual([reply]))

  test('several in one datagram', () => {
    const refusal = `02535441 02000000 08000000 01000000 07000000 ${text('no: not')}`
    const overrun = '02535441 04000000 00000000 00000000 00000000'
    expect(decodeHelperReplies(Buffer.from(hex(refusal + overrun)))).toEqual([
      { kind: 'refusal', sequence: 8, code: 'no', sentence: 'not' },
      { kind: 'overrun' },
    ])
    expect(decodeHelperReplies(new Uint8Array())).toEqual([])
  })

  test.each([
    ['a header that is cut off', '02535441 01000000 07000000 00000000', /cut off/],
    ['text that is cut off', '02535441 01000000 07000000 16000000 02000000 00', /cut off/],
    ['a size beyond all bounds', '02535441 01000000 07000000 16000000 ffffffff 00', /cut off/],
    ['version 1', '01535441 01000000 07000000 00000000', /speaks version 1 .* this program version 2.*helper install/],
    ['something else', '00000000 01000000', /speaks another version/],
    ['an unknown kind', '02535441 05000000 07000000 00000000 00000000', /unknown kind/],
    [
      'a second one of another version',
      `${'02535441 04000000'.padEnd(43, '0')} 01535441${'0'.repeat(32)}`,
      /two versions/,
    ],
  ])('%s: EPROTO', (_, bytes, message) => {
    const error = expect.objectContaining({ code: 'EPROTO', message: expect.stringMatching(message) })
    expect(() => decodeHelperReplies(Buffer.from(hex(bytes)))).toThrow(error)
  })

  test('the cookie of a namespace', () => {
    expect(decodeHelperCookie(hex('0100000000000080'))).toBe(0x8000_0000_0000_0001n)
    expect(() => decodeHelperCookie(hex('01000000'))).toThrow(expect.objectContaining({ code: 'EPROTO' }))
  })

  test('garbage: only EPROTO', () => {
    const random = seeded(15)
    for (let i = 0; i < 2_000; i++) {
      const bytes = Uint8Array.from({ length: random() * 40 }, () => random() * 256)
      if (random() < 0.8 && bytes.length >= 4) bytes.set(hex('02535441'))
      try {
        decodeHelperReplies(bytes)
      } catch (error) {
        expect(error).toMatchObject({ code: 'EPROTO' })
      }
    }
  })
})
