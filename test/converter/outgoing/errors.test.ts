import { describe, expect, test } from 'vitest'
import type { ConverterOptions } from '../../../lib/converter/index.js'
import { hex } from '../../support/hex.js'
import { addon } from '../../support/probes.js'
import { requires } from '../../support/requires.js'
import { byte, closedPort, connectTlv, echo, message, rig, silentPort, until } from '../rig.js'

const INFO = hex('01 01 0000')

/** What the converter answers to `bytes`, all of it. */
async function answer(bytes: Uint8Array, options: ConverterOptions = {}): Promise<string> {
  const { client } = await rig(options)
  return client(bytes).hearsAll()
}

describe('0, Unsupported Version', () => {
  test.each(['00', '02', 'ff'])('version %s, whatever follows', async version => {
    expect(await answer(hex(`${version} 04 2263 0102`))).toBe('010222631e010001')
  })
})

describe('1, Malformed Message, with the message', () => {
  const port = '0050'
  const mapped = (v4: string) => `00000000 00000000 0000ffff ${v4}`
  test.each([
    ['no TLV', '0101 2263'],
    ['a TLV of length 0', '0102 2263 0100 0000'],
    ['a TLV that reaches out of the message', '0102 2263 0102 0000'],
    ['Info twice', '0103 2263 01010000 01010000'],
    ['an Info of two words', '0103 2263 01020000 00000000'],
    ['a Connect of four words', `0105 2263 0a04${port} 00000000 00000000 0000ffff`],
    ['port 0', `0106 2263 0a050000 ${mapped('c0000201')}`],
    ['multicast', `0106 2263 0a05${port} ${mapped('e0000001')}`],
    ['broadcast', `0106 2263 0a05${port} ${mapped('ffffffff')}`],
    ['unspecified', `0106 2263 0a05${port} ${mapped('00000000')}`],
    ['IPv6 multicast', `0106 2263 0a05${port} ff020000 00000000 00000000 00000001`],
    ['IPv6 unspecified', `0106 2263 0a05${port} 00000000 00000000 00000000 00000000`],
    ['TCP options that end early', `0107 2263 0a06${port} ${mapped('c0000201')} 04050000`],
  ])('%s', async (_, text) => {
    const echoed = Buffer.from(hex(text)).toString('hex')
    const words = echoed.length / 8
    expect(await answer(hex(text))).toBe(`01${byte(words + 2)}22631e${byte(words + 1)}0100${echoed}`)
  })

  test.each(['7f000001', '7fffffff'])('loopback %s, unless it is allowed', async v4 => {
    const text = `0106 2263 0a050050 ${mapped(v4)}`
    expect(await answer(hex(text), { allowLoopback: false })).toMatch(/^010822631e0701000106/)
  })

  test('the longest message is echoed as far as it fits', async () => {
    const long = Buffer.from(message(INFO, hex(`16fc ${'ab'.repeat(1006)}`), INFO))
    expect(long.length).toBe(1020)
    expect(await answer(long)).toBe(`01ff22631efe0100${long.subarray(0, 1012).toString('hex')}`)
  })
})

describe('2, Unsupported Message, with the message', () => {
  test.each([
    ['the reserved type 0', '00010000'],
    ['Extended TCP Header', '14010000'],
    ['Supported TCP Extensions', '15010000'],
    ['Error', '1e014000'],
    ['unassigned 99', '63010000'],
    ['private 192', 'c0010000'],
  ])('%s', async (_, tlv) => {
    expect(await answer(message(hex(tlv)))).toBe(`010422631e03020001022263${tlv}`)
  })
})

describe('3, Missing Cookie, and 32, Not Authorized', () => {
  const HOUR = 3_600_000

  test('a cookie is handed out, taken, and outlives one change of the secret but not two', async () => {
    let now = 10 * HOUR
    const { port } = await echo()
    const { client } = await rig({ cookies: { lifetime: HOUR }, now: () => now })
    const missing = await client(message(connectTlv(port))).hearsAll()
    expect(missing).toMatch(/^010622631e050300[0-9a-f]{32}$/)
    const cookie = missing.slice(16)
    const withCookie = () => client(message(hex(`1605 0000 ${cookie}`), connectTlv(port)))
    expect(await withCookie().hears(4)).toBe('01012263')
    now += HOUR
    expect(await withCookie().hears(4)).toBe('01012263')
    now += HOUR
    expect(await withCookie().hearsAll()).toBe('010222631e012000')
  })

  test.each(['00'.repeat(16), 'ff'.repeat(16), '00000000', ''])(
    'a wrong cookie (%s) is not authorized',
    async cookie => {
      const tlv = `16 ${byte(1 + cookie.length / 8)} 0000 ${cookie}`
      expect(await answer(message(hex(tlv), connectTlv(80)), { cookies: true })).toBe('010222631e012000')
    },
  )

  test('a cookie is bound to the address, and good at every converter with the secret', async () => {
    const secret = Buffer.alloc(16, 7)
    const { port } = await echo()
    const [one, other] = [await rig({ cookies: { secret } }), await rig({ cookies: { secret } })]
    const cookie = (await one.client(message(connectTlv(port))).hearsAll()).slice(16)
    const bytes = message(hex(`1605 0000 ${cookie}`), connectTlv(port))
    expect(await other.client(bytes).hears(4)).toBe('01012263')
    expect(await other.client(bytes, '127.0.0.2').hearsAll()).toBe('010222631e012000')
  })

  test.each<[string, ConverterOptions]>([
    ['the client is not of an allowed prefix', { allow: ['10.0.0.0/8', '::1'] }],
    ['the server is of a forbidden one', { forbiddenTargets: ['127.0.0.0/30'] }],
    ['the server is not of an allowed one', { allowedTargets: ['192.0.2.0/24'] }],
    ['hairpinning is off', { hairpinning: false }],
  ])('not authorized: %s', async (_, options) => {
    expect(await answer(message(connectTlv(80)), options)).toBe('010222631e012000')
  })

  test('not authorized: the server is the converter itself', async () => {
    const { client, port } = await rig()
    expect(await client(message(connectTlv(port))).hearsAll()).toBe('010222631e012000')
  })
})

describe('33, Unsupported TCP Option', () => {
  test.each([
    ['TCP-AO', '1d02 0000', '010222631e01211d'],
    ['Fast Open, empty', '2202 0000', '010222631e012122'],
    ['Fast Open with a cookie', '220a 0102030405060708 0000', '010222631e012122'],
    ['MPTCP with content', '1e04 0181', '010222631e01211e'],
    ['timestamps with content', '080a 0000000100000000 0000', '010222631e012108'],
    ['several, each once, beside one that is fine', '1d02 fe02 0402 1d02', '010322631e02211dfe000000'],
  ])('%s', async (_, options, expected) => {
    const bytes = hex(options)
    const tlv = Buffer.concat([connectTlv(80, '127.0.0.1', bytes.length / 4), bytes])
    expect(await answer(message(tlv))).toBe(expected)
  })

  test.each(['0204 05b4', '0303 0700', '0502 0000', '0402 0802'])('%s is ignored, or implied', async options => {
    const { port } = await echo()
    const { client } = await rig()
    const bytes = hex(options)
    const heard = await client(message(connectTlv(port, '127.0.0.1', 1), bytes)).hears(8)
    expect(heard).toMatch(/^01..226314/)
  })
})

describe('64, Resource Exceeded, with the delay suggested', () => {
  test.each<[string, ConverterOptions]>([
    ['of all', { maxConnections: 1 }],
    ['of one client', { maxPerClient: 1 }],
    ['of one client, pending', { maxPendingPerClient: 1 }],
  ])('too many connections %s', async (_, options) => {
    const { client, events } = await rig({ ...options, retryDelay: 7 })
    const first = client(hex('01'))
    await until(() => events.length === 1)
    expect(await client(message(INFO)).hearsAll()).toBe('010222631e014007')
    first.socket.destroy()
    await until(() => events.filter(([name]) => name === 'closed').length === 2)
    expect(await client(message(INFO)).hears(4)).toMatch(/^01..2263/)
  })
})

requires('the addon', addon)('97, Destination Unreachable: a server that does not answer', async () => {
  const port = silentPort()
  const { client } = await rig({ connectTimeout: 200, retryDelay: 0 })
  expect(await client(message(connectTlv(port))).hearsAll()).toBe('010222631e016101')
})

test('96, Connection Reset: the server does not listen', async () => {
  expect(await answer(message(connectTlv(await closedPort())))).toBe('010222631e016000')
})

test.each([
  ['169.254.169.254', '01'],
  ['fe80::1', '02'],
])('97, Destination Unreachable: %s, an address of one link', async (address, code) => {
  expect(await answer(message(connectTlv(80, address)))).toBe(`010222631e0161${code}`)
})
