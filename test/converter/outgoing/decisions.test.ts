/** The converter's decisions, which are functions of values. */
import { describe, expect, test } from 'vitest'
import type { ConverterOptions } from '../../../lib/converter/options/options.js'
import { resolveOptions } from '../../../lib/converter/options/settings.js'
import { refusal } from '../../../lib/converter/outgoing/admission.js'
import { bakeCookie, isCookieValid } from '../../../lib/converter/outgoing/cookies.js'
import { failureOf } from '../../../lib/converter/outgoing/failure.js'
import { readRequest } from '../../../lib/converter/outgoing/request.js'
import { synAckOptions, unsupportedKinds } from '../../../lib/converter/outgoing/tcp-options.js'
import { clientKey, embeddedAddresses, PrefixSet, plainAddress } from '../../../lib/input/addresses.js'
import { hex } from '../../support/hex.js'
import { seeded } from '../../support/random.js'
import { connectTlv, message } from '../rig.js'

/** Every way to write an IPv4 address into an IPv6 address that something on the way may take out again. */
const spellings = (v4: string): [how: string, address: string][] => {
  const [a, b, c, d] = v4.split('.').map(Number) as [number, number, number, number]
  const group = (high: number, low: number) => ((high << 8) | low).toString(16)
  const last = `${group(a, b)}:${group(c, d)}`
  return [
    ['IPv4-compatible', `::${v4}`],
    ['IPv4-translated', `::ffff:0:${last}`],
    ['NAT64', `64:ff9b::${v4}`],
    ['NAT64, local prefix /96', `64:ff9b:1::${last}`],
    ['NAT64, local prefix /48', `64:ff9b:1:${group(a, b)}:${group(0, c)}:${group(d, 0)}::`],
    ['6to4', `2002:${last}::1`],
    ['Teredo', `2001:0:c000:201::${group(a ^ 255, b ^ 255)}:${group(c ^ 255, d ^ 255)}`],
    ['ISATAP', `2001:db8:1:1:0:5efe:${last}`],
    ['ISATAP, global', `2001:db8:1:1:200:5efe:${last}`],
  ]
}

describe('where clients may be connected to', () => {
  const OURS = '192.0.2.1'
  const answer = (address: string, options: ConverterOptions = {}, port = 80) => {
    const target = { address: plainAddress(address), port }
    const request = {
      target,
      tcpOptions: [],
      isExtended: false,
      wantsExtensions: false,
      message: hex(''),
      rest: hex(''),
    }
    const isSelf = (one: { address: string; port: number }) => one.address === OURS && one.port === 5124
    const place = { tcpOptions: new Set<number>(), isSelf }
    return refusal(request, '10.0.0.1', resolveOptions(options), place, 0)?.name
  }

  test.each([
    ['127.0.0.1', 'malformed-message'],
    ['::ffff:127.0.0.1', 'malformed-message'],
    ['::1', 'malformed-message'],
    ['127.255.255.254', 'malformed-message'],
    ['0.0.0.0', 'malformed-message'],
    ['::', 'malformed-message'],
    ['224.0.0.1', 'malformed-message'],
    ['ff02::1', 'malformed-message'],
    ['255.255.255.255', 'malformed-message'],
    ['169.254.169.254', 'destination-unreachable'],
    ['::ffff:169.254.169.254', 'destination-unreachable'],
    ['fe80::1', 'destination-unreachable'],
    ['fd00:ec2::254', 'not-authorized'],
    ['100.100.100.200', 'not-authorized'],
    ['168.63.129.16', 'not-authorized'],
  ])('never %s: %s', (address, name) => {
    expect(answer(address)).toBe(name)
  })

  test.each(['198.51.100.7', '2001:db8::7', '10.9.9.9', 'fd00::1', '2606:4700::1111'])('%s by default', address => {
    expect(answer(address)).toBeUndefined()
  })

  test.each(
    ['127.0.0.1', '169.254.169.254', '0.0.0.0', '224.0.0.1', '100.100.100.200'].flatMap(v4 =>
      spellings(v4).map(([how, address]) => [v4, how, address] as const),
    ),
  )('not %s as %s', (_, __, address) => {
    expect(answer(address)).toMatch(/^(not-authorized|malformed-message)$/)
    // Tests on one machine reach loopback by its own addresses only.
    if (address !== '::0.0.0.0') expect(answer(address, { allowLoopback: true })).toBe('not-authorized')
  })

  test.each(spellings('10.1.2.3'))('what is forbidden is so as %s, too', (_, address) => {
    expect(answer('10.1.2.3', { forbiddenTargets: ['10.0.0.0/8'] })).toBe('not-authorized')
    expect(answer(address, { forbiddenTargets: ['10.0.0.0/8'] })).toBe('not-authorized')
    expect(answer(address, { allow: ['10.0.0.0/8'], hairpinning: false })).toBe('not-authorized')
    expect(answer(address)).toBeUndefined()
  })

  test.each(spellings(OURS))('the converter itself is refused as %s', (_, address) => {
    expect(answer(OURS, {}, 5124)).toBe('not-authorized')
    expect(answer(address, {}, 5124)).toBe('not-authorized')
    expect(answer(address, {}, 80)).toBeUndefined()
  })

  test('only what is allowed, by its own spelling; a metadata service only by name', () => {
    expect(answer('198.51.100.7', { allowedTargets: ['198.51.100.0/24'] })).toBeUndefined()
    expect(answer('::ffff:198.51.100.7', { allowedTargets: ['198.51.100.0/24'] })).toBeUndefined()
    for (const [, address] of spellings('198.51.100.7'))
      expect(answer(address, { allowedTargets: ['198.51.100.0/24'] })).toBe('not-authorized')
    expect(answer('168.63.129.16', { allowedTargets: ['168.63.129.16'] })).toBeUndefined()
  })

  test.each(['192.0.2.1', '::', '::1', '::ffff:192.0.2.1', '2001:db8::1', 'fe80::1%eth0', 'x'])(
    '%s embeds none',
    address => {
      expect(embeddedAddresses(address)).toEqual([])
    },
  )
})

describe('cookies', () => {
  const key = { secret: hex('000102030405060708090a0b0c0d0e0f'), lifetime: 1000 }

  test('the MAC is the one that OpenSSL makes', () => {
    // printf '19|192.0.2.7' | openssl dgst -sha256 -mac HMAC -macopt hexkey:000102030405060708090a0b0c0d0e0f
    const mac = '3e86fd553c4780d03cd2453c6ad8c568b77f5ae2e821ebe5632ea27c849ce235'
    expect(Buffer.from(bakeCookie(key, '192.0.2.7', 19_500)).toString('hex')).toBe(`13${mac.slice(0, 30)}`)
  })

  test('good for one lifetime at least, and for less than two', () => {
    const cookie = bakeCookie(key, '192.0.2.7', 5_500)
    const validAt = (now: number) => isCookieValid(key, cookie, '192.0.2.7', now)
    expect([4_999, 5_000, 5_500, 6_999, 7_000].map(validAt)).toEqual([false, true, true, true, false])
  })

  test('good for one address, one secret, in full', () => {
    const cookie = bakeCookie(key, '192.0.2.7', 0)
    expect(isCookieValid(key, cookie, '192.0.2.8', 0)).toBe(false)
    expect(isCookieValid({ ...key, secret: hex('ff'.repeat(16)) }, cookie, '192.0.2.7', 0)).toBe(false)
    for (const wrong of [cookie.subarray(0, 15), Buffer.concat([cookie, hex('00')]), new Uint8Array(0)])
      expect(isCookieValid(key, wrong, '192.0.2.7', 0)).toBe(false)
    for (let i = 0; i < 16; i++)
      expect(isCookieValid(key, cookie.with(i, cookie[i]! ^ 1), '192.0.2.7', 0), `byte ${i}`).toBe(false)
  })
})

describe('addresses', () => {
  test.each([
    ['10.0.0.0/8', '10.255.0.1', true],
    ['10.0.0.0/8', '11.0.0.1', false],
    ['10.0.0.0/8', '::ffff:10.0.0.1', true],
    ['10.0.0.0/8', '::ffff:a00:1', true],
    ['10.0.0.0/8', '::10.0.0.1', false],
    ['192.0.2.1', '192.0.2.1', true],
    ['192.0.2.1', '192.0.2.2', false],
    ['2001:db8::/32', '2001:DB8:1::1', true],
    ['fe80::/10', 'fe80::1%eth0', true],
    ['::/0', '192.0.2.1', false],
    ['0.0.0.0/0', '192.0.2.1', true],
    ['0.0.0.0/0', '', false],
  ])('%s holds %s: %s', (prefix, address, held) => {
    expect(new PrefixSet([prefix], 'allow').has(address)).toBe(held)
  })

  test.each(['', '10', '10.0.0.0/33', '::/129', '10.0.0.0/-1', '10.0.0.0/', '10.0.0.0/8/8', 'fe80::1%lo', 'a.example'])(
    '"%s" is no prefix',
    prefix => {
      expect(() => new PrefixSet([prefix], 'allow')).toThrow(expect.objectContaining({ code: 'ERR_ATSSS_OPTION' }))
    },
  )

  test('one spelling', () => {
    expect(['::ffff:192.0.2.1', '2001:DB8:0:0::1', 'fe80::1%eth0', ''].map(plainAddress)).toEqual([
      ...['192.0.2.1', '2001:db8::1', 'fe80::1', ''],
    ])
  })

  test('one client: an address, or a /64', () => {
    expect(clientKey('192.0.2.1')).toBe('192.0.2.1')
    expect(clientKey('::ffff:192.0.2.1')).toBe('192.0.2.1')
    expect(clientKey('2001:db8:1:2:3:4:5:6')).toBe('2001:db8:1:2::/64')
    expect(clientKey('2001:db8:1:2::9')).toBe('2001:db8:1:2::/64')
    expect(clientKey('::1')).toBe('::/64')
  })
})

test.each([
  ['ECONNREFUSED', 4, { name: 'connection-reset' }],
  ['ECONNRESET', 6, { name: 'connection-reset' }],
  ['ENETUNREACH', 4, { name: 'destination-unreachable', icmpCode: 0 }],
  ['ENETUNREACH', 6, { name: 'destination-unreachable', icmpCode: 0 }],
  ['EHOSTUNREACH', 4, { name: 'destination-unreachable', icmpCode: 1 }],
  ['EHOSTUNREACH', 6, { name: 'destination-unreachable', icmpCode: 3 }],
  ['EACCES', 4, { name: 'destination-unreachable', icmpCode: 13 }],
  ['EACCES', 6, { name: 'destination-unreachable', icmpCode: 1 }],
  ['ENOPROTOOPT', 4, { name: 'destination-unreachable', icmpCode: 2 }],
  ['EMFILE', 4, { name: 'resource-exceeded', delaySeconds: 9 }],
  ['EADDRNOTAVAIL', 6, { name: 'resource-exceeded', delaySeconds: 9 }],
  ['ETIMEDOUT', 4, { name: 'destination-unreachable', icmpCode: 1 }],
  ['ETIMEDOUT', 6, { name: 'destination-unreachable', icmpCode: 3 }],
  ['ENETDOWN', 6, { name: 'network-failure', delaySeconds: 9 }],
  ['toString', 4, { name: 'network-failure', delaySeconds: 9 }],
  [undefined, 4, { name: 'network-failure', delaySeconds: 9 }],
] as const)('%s towards IPv%i', (code, family, error) => {
  expect(failureOf(code, family, 9)).toEqual(error)
})

describe('requests', () => {
  test('every proper prefix asks for more', () => {
    const bytes = message(hex('01010000'), connectTlv(80, '192.0.2.1'), hex('1602 0000 01020304'))
    for (let length = 0; length < bytes.length; length++)
      expect(readRequest(bytes.subarray(0, length)), `${length} bytes`).toBeUndefined()
    expect(readRequest(new Uint8Array([...bytes, 0x68, 0x69]))).toMatchObject({
      request: { target: { address: '192.0.2.1', port: 80 }, wantsExtensions: true, rest: hex('68 69') },
    })
  })

  test('no answer before the magic number has arrived', () => {
    for (const text of ['02', '0200', '020022', '0100', '010022']) expect(readRequest(hex(text)), text).toBeUndefined()
    expect(readRequest(hex('02002264'))).toEqual({ ignored: 'magic' })
    expect(readRequest(hex('02002263'))).toEqual({ ignored: 'total-length' })
    expect(readRequest(hex('02ff2263'))).toEqual({ refusal: { name: 'unsupported-version', versions: [1] } })
  })

  test('random bytes never throw', () => {
    const random = seeded(8803)
    for (let i = 0; i < 10_000; i++) {
      const bytes = Uint8Array.from({ length: 64 }, () => random() * 256)
      if (i % 2) bytes.set([1, 1 + (i % 12), 0x22, 0x63])
      readRequest(bytes)
    }
  })
})

describe('TCP options', () => {
  const supported = new Set([4, 8, 30])
  const option = (kind: number, value = '') => ({ kind, value: hex(value) })

  test.each([
    ['those of RFC 8803 §7.1 to §7.3 are ignored', [option(2, '05b4'), option(3, '07'), option(5, '00'.repeat(8))], []],
    ['those that the kernel sends go without saying', [option(4), option(8), option(30)], []],
    ['not with a value to copy', [option(8, '00'.repeat(8)), option(30, '0181'), option(4, '00')], [8, 30, 4]],
    ['TCP-AO and Fast Open', [option(29, '0102'), option(34), option(34, '01020304')], [29, 34]],
  ])('%s', (_, options, kinds) => {
    expect(unsupportedKinds(options, supported)).toEqual(kinds)
  })

  const peer = { mss: 1460, sackPermitted: true, timestamps: true, windowScale: 7, mptcp: false }
  test.each([
    ['as Linux lays them out', {}, '020405b4 0402080a0000000000000000 01030307'],
    ['with MPTCP', { mptcp: true }, '020405b4 0402080a0000000000000000 01030307 1e040101'],
    ['without timestamps', { timestamps: false }, '020405b4 04020101 01030307'],
    ['without SACK', { sackPermitted: false }, '020405b4 0101080a0000000000000000 01030307'],
    ['the least', { sackPermitted: false, timestamps: false, windowScale: undefined }, '020405b4'],
  ])('of a SYN+ACK, %s', (_, change, expected) => {
    expect(Buffer.from(synAckOptions({ ...peer, ...change }))).toEqual(Buffer.from(hex(expected)))
  })
})

describe('options', () => {
  test('every one decided', () => {
    const settings = resolveOptions({})
    expect(settings).toMatchObject({
      listen: [{ host: '127.0.0.1', port: 0 }],
      ...{ protocol: 'mptcp', fastOpen: true, serverProtocol: 'tcp', messageTimeout: 5_000, answerEarly: false },
    })
    for (const client of ['127.0.0.1', '10.1.0.2', '192.168.1.2', 'fd00::1', '2001:db8::1', 'fe80::1%lo'])
      expect(settings.allow.has(client), client).toBe(true)
    for (const client of ['8.8.8.8', '2a00::1', '']) expect(settings.allow.has(client), client).toBe(false)
  })

  test.each([
    [{ listen: 'localhost:5124' }, 'listen'],
    [{ listen: '[192.0.2.1]:5124x' }, 'listen'],
    [{ listen: [] }, 'listen'],
    [{ listen: [{ host: '::', port: 65_536 }] }, 'listen'],
    [{ protocol: 'sctp' }, 'protocol'],
    [{ fastopen: true }, 'fastOpen'],
    [{ colour: 'red' }, 'colour'],
    [{ allow: '10.0.0.0/8' }, 'allow'],
    [{ allow: ['10.0.0.0/40'] }, 'allow'],
    [{ cookies: 'yes' }, 'cookies'],
    [{ cookies: { secret: new Uint8Array(15) } }, 'cookies.secret'],
    [{ cookies: { lifetime: 0 } }, 'cookies.lifetime'],
    [{ cookies: { colour: 'red' } }, 'colour'],
    [{ messageTimeout: 0 }, 'messageTimeout'],
    [{ idleTimeout: -1 }, 'idleTimeout'],
    [{ retryDelay: 256 }, 'retryDelay'],
    [{ maxPerClient: 1.5 }, 'maxPerClient'],
    [{ now: 0 }, 'now'],
  ])('%j is refused', (options, name) => {
    expect(() => resolveOptions(options as never)).toThrow(
      expect.objectContaining({ code: 'ERR_ATSSS_OPTION', message: expect.stringContaining(`"${name}"`) }),
    )
  })

  test.each([
    ['192.0.2.1:5124', { host: '192.0.2.1', port: 5124 }],
    ['[2001:DB8::0:1]:0', { host: '2001:db8::1', port: 0 }],
    [
      { host: '::', port: 1 },
      { host: '::', port: 1 },
    ],
  ])('listens on %j', (given, listen) => {
    expect(resolveOptions({ listen: given }).listen).toEqual([listen])
  })
})
