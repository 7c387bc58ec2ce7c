import { describe, expect, test } from 'vitest'
import {
  hostAndPort,
  PrefixSet,
  parseDestination,
  parseHostAndPort,
  plainAddress,
  plainHost,
} from '../../lib/input/addresses.js'

describe('host and port', () => {
  test.each([
    ['192.0.2.1:443', '192.0.2.1', 443],
    ['[2001:db8::1]:443', '2001:db8::1', 443],
    ['[fe80::1%eth0]:443', 'fe80::1%eth0', 443],
    ['example.com:0', 'example.com', 0],
    ['a:65535', 'a', 65_535],
  ])('%s, both ways', (text, host, port) => {
    expect(parseHostAndPort(text)).toEqual({ host, port })
    expect(hostAndPort(host, port)).toBe(text)
  })

  test.each([
    ['192.0.2.1', '192.0.2.1'],
    ['2001:db8::1', '2001:db8::1'],
    ['[2001:db8::1]', '2001:db8::1'],
    ['example.com', 'example.com'],
  ])('%s alone', (text, host) => {
    expect(parseHostAndPort(text)).toEqual({ host, port: undefined })
  })

  test.each([
    ...[
      '',
      ':443',
      'a:',
      'a:b',
      'a:65536',
      'a:123456',
      'a b:1',
      'a/b:1',
      'a:1:2',
      '[a]:1',
      '[192.0.2.1]:1',
      '[::1',
      '::1]:1',
    ],
    ...[undefined, null, 5.5, {}].map(value => [value]),
  ])('not %j', text => {
    const parsed = parseHostAndPort(text)
    // A word without a colon can be a name; no check of names happens here.
    expect(parsed?.port).toBeUndefined()
    if (typeof text === 'string') expect(parsed).toBeUndefined()
  })
})

test.each([
  ['example.com', 'example.com'],
  ['Example.COM.', 'example.com'],
  ['bücher.example', 'xn--bcher-kva.example'],
  ['BÜCHER.example。', 'xn--bcher-kva.example'],
  ['XN--BCHER-KVA.example', 'xn--bcher-kva.example'],
  ['_convert._tcp.Example', '_convert._tcp.example'],
  ['::FFFF:192.0.2.1', '192.0.2.1'],
  ['2001:DB8:0::1', '2001:db8::1'],
  ['127.1', '127.0.0.1'],
  ['No Name', 'no name'],
])('%s in one spelling: %s', (host, plain) => {
  expect(plainHost(host)).toBe(plain)
})

describe('a destination in words', () => {
  test.each([
    [['example.com:443'], 'example.com', 443],
    [['[2001:db8::1]:80'], '2001:db8::1', 80],
    [['2001:db8::1', '80'], '2001:db8::1', 80],
    [['[2001:db8::1]', '80'], '2001:db8::1', 80],
  ])('%j', (words, host, port) => {
    expect(parseDestination(words)).toEqual({ host, port })
  })

  test.each([[[]], [['2001:db8::1']], [['a:0']], [['a:65536']], [['a', 'http']], [['a:1', '2']], [['a', '1', '2']]])(
    'not %j',
    words => {
      expect(() => parseDestination(words)).toThrow(expect.objectContaining({ code: 'ERR_ATSSS_OPTION' }))
    },
  )
})

test.each([
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['::FFFF:c000:201', '192.0.2.1'],
  ['2001:DB8:0:0::1', '2001:db8::1'],
  ['fe80::1%eth0', 'fe80::1'],
  ['no address', 'no address'],
])('%s is %s', (address, plain) => {
  expect(plainAddress(address)).toBe(plain)
})

test('a set of prefixes: an IPv4 address is in no IPv6 prefix', () => {
  const set = new PrefixSet(['10.0.0.0/8', '2001:db8::/32', '192.0.2.1'], 'allow')
  for (const address of ['10.1.2.3', '::ffff:10.1.2.3', '2001:db8::5', '192.0.2.1']) expect(set.has(address)).toBe(true)
  for (const address of ['11.0.0.0', '2001:db9::', '192.0.2.2', 'name']) expect(set.has(address)).toBe(false)
  expect(new PrefixSet(['::/0'], 'allow').has('10.1.2.3')).toBe(false)
  for (const wrong of ['10.0.0.0/33', 'name', '', 'fe80::1%eth0/10', '::ffff:10.0.0.0/95', '::ffff:10.0.0.0/129'])
    expect(() => new PrefixSet([wrong], 'allow')).toThrow(/^Option "allow" must be prefixes/)
})

test.each([
  ['::ffff:10.0.0.0/104', '10.1.2.3', '11.0.0.0'],
  ['::FFFF:a00:0/104', '::ffff:10.1.2.3', '11.0.0.0'],
  ['0:0:0:0:0:ffff:10.1.2.3', '10.1.2.3', '10.1.2.4'],
  ['::ffff:0.0.0.0/96', '203.0.113.9', '2001:db8::1'],
])('a set of prefixes: %s is a prefix of IPv4, which contains %s but not %s', (prefix, inside, outside) => {
  const set = new PrefixSet([prefix], 'forbiddenTargets')
  expect([set.has(inside), set.has(outside)]).toEqual([true, false])
})
