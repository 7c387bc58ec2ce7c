import { endianness } from 'node:os'
import { describe, expect, test } from 'vitest'
import { decodeMessages } from '../../../lib/wire/netlink/message.js'
import { DUMPS, decodeRtnetlink } from '../../../lib/wire/netlink/route.js'
import { hex } from '../../support/hex.js'
import { seeded } from '../../support/random.js'
import { CAPTURED } from './route.vectors.js'

const decoded = (bytes: Uint8Array) => decodeMessages(bytes).map(decodeRtnetlink)

const asCaptured = describe.runIf(endianness() === 'LE')

asCaptured('captured', () => {
  test.each(CAPTURED)('$name ($said)', ({ bytes, value }) => {
    expect(decoded(bytes)).toEqual([value])
  })

  test('cut off anywhere: EPROTO, or less, but nothing else', () => {
    for (const { bytes } of CAPTURED) {
      const [message] = decodeMessages(bytes)
      for (let end = 0; end < message!.payload.length; end++) {
        const cut = { ...message!, payload: message!.payload.subarray(0, end) }
        expect(outcome(() => decodeRtnetlink(cut))).toMatch(/^(EPROTO|decoded)$/)
      }
    }
  })

  test('what lies around a message is not read', () => {
    for (const { bytes, value } of CAPTURED) {
      const pool = new Uint8Array(bytes.length + 64).fill(0xa5)
      pool.set(bytes, 20)
      expect(decoded(pool.subarray(20, 20 + bytes.length))).toEqual([value])
    }
  })

  test('what changes at random: EPROTO, or another value, but nothing else', () => {
    const random = seeded(1)
    for (let i = 0; i < 20_000; i++) {
      const { bytes } = CAPTURED[Math.floor(random() * CAPTURED.length)]!
      const [message] = decodeMessages(bytes)
      const payload = message!.payload.slice()
      for (let k = 0; k < 4; k++) payload[Math.floor(random() * payload.length)] = Math.floor(random() * 256)
      expect(outcome(() => decodeRtnetlink({ ...message!, payload }))).toMatch(/^(EPROTO|decoded)$/)
    }
  })

  test('all messages of a dump are one datagram', () => {
    const bytes = Buffer.concat(CAPTURED.map(captured => captured.bytes))
    expect(decoded(bytes)).toEqual(CAPTURED.map(({ value }) => value))
  })

  // python3: struct.pack('=BxHiII', 0, 0, 0, 0, 0) + attribute 29 (IFLA_EXT_MASK) of 8 (RTEXT_FILTER_SKIP_STATS), and
  // the empty struct ifaddrmsg and struct rtmsg: the kernel answered each with everything.
  test('the dumps asked for', () => {
    expect(DUMPS.map(({ type, payload }) => [type, new Uint8Array(payload)])).toEqual([
      [18, hex('00000000 00000000 00000000 00000000 08001d00 08000000')],
      [22, hex('00000000 00000000')],
      [26, hex('00000000 00000000 00000000')],
    ])
  })
})

describe('left alone', () => {
  const message = (type: number, payload: Uint8Array) => ({ type, flags: 0, sequence: 0, port: 0, payload })

  test.each([
    ['another type of message', 28, 0],
    ['a port of a bridge', 16, 7],
    ['an MPLS route', 24, 28],
    ['a multicast route', 24, 128],
    ['an address of another family', 20, 35],
  ])('%s', (_name, type, family) => {
    expect(decodeRtnetlink(message(type, Uint8Array.of(family, ...new Uint8Array(40))))).toBeUndefined()
  })

  test('an operstate, a scope, an attribute that nobody knows', () => {
    const link = Uint8Array.of(0, ...new Uint8Array(15), 5, 0, 16, 0, 99, 0, 0, 0, 5, 0, 250, 3, 1, 0, 0, 0)
    expect(decodeRtnetlink(message(16, link))).toMatchObject({ link: { name: '0', operstate: 'unknown' } })
    const address = Uint8Array.of(2, 8, 0, 77, 1, 0, 0, 0, 8, 0, 2, 0, 127, 0, 0, 1)
    expect(decodeRtnetlink(message(20, address))).toMatchObject({ address: { scope: 77, address: '127.0.0.1' } })
  })

  test('alternative names, in one list (IFLA_PROP_LIST) or in none', () => {
    // struct nlattr: length, type; 52 with NLA_F_NESTED, and in it 53 twice, each with its NUL and padding.
    const first = [11, 0, 53, 0, ...Buffer.from('wlp2s0\0'), 0]
    const second = [10, 0, 53, 0, ...Buffer.from('radio\0'), 0, 0]
    const link = Uint8Array.of(...new Uint8Array(16), 28, 0, 52, 0x80, ...first, ...second)
    expect(decodeRtnetlink(message(16, link))).toMatchObject({ link: { altnames: ['wlp2s0', 'radio'] } })
    const without = decodeRtnetlink(message(16, new Uint8Array(16))) as { link: object }
    expect('altnames' in without.link).toBe(false)
  })

  test('a next hop of length 0 does not last for ever', () => {
    const route = Uint8Array.of(2, 0, 0, 0, 254, 0, 0, 1, 0, 0, 0, 0, 12, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    expect(outcome(() => decodeRtnetlink(message(24, route)))).toBe('EPROTO')
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
