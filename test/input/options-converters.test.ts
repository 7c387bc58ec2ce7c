import { describe, expect, test } from 'vitest'
import { type MptcpOptions, resolveOptions } from '../../lib/input/options.js'

const specs = (converters: unknown, more: object = {}) =>
  resolveOptions({ converters, ...more } as MptcpOptions).converters

const where = (input: unknown) => specs(input)[0]?.where

function refusal(converters: unknown): { code: string; message: string } {
  try {
    specs(converters)
  } catch (error) {
    return { code: (error as { code: string }).code, message: (error as Error).message }
  }
  throw new Error('nothing was thrown')
}

describe('converters as text', () => {
  test.each([
    ['192.0.2.1:5124', { host: '192.0.2.1', port: 5124 }],
    ['192.0.2.1:1', { host: '192.0.2.1', port: 1 }],
    ['192.0.2.1:65535', { host: '192.0.2.1', port: 65_535 }],
    ['[2001:db8::1]:5124', { host: '2001:db8::1', port: 5124 }],
    ['[::1]:80', { host: '::1', port: 80 }],
    ['[::ffff:192.0.2.1]:80', { host: '::ffff:192.0.2.1', port: 80 }],
    ['[fe80::1%eth0]:80', { host: 'fe80::1%eth0', port: 80 }],
    ['converter.example:5124', { host: 'converter.example', port: 5124 }],
    ['localhost:5124', { host: 'localhost', port: 5124 }],
    ['_convert._tcp.example', { domain: 'example' }],
    ['_convert._tcp.operator.example', { domain: 'operator.example' }],
    ['_CONVERT._TCP.Example', { domain: 'Example' }],
  ])('%s', (text, expected) => {
    expect(specs(text)).toEqual([{ name: text, where: expected, convert: 'auto', pipelining: true, cookie: undefined }])
  })

  test.each([
    '',
    ' ',
    '192.0.2.1',
    'converter.example',
    ':5124',
    '192.0.2.1:',
    '192.0.2.1:0',
    '192.0.2.1:65536',
    '192.0.2.1:99999',
    '192.0.2.1:123456',
    '192.0.2.1:-1',
    '192.0.2.1:5124x',
    '192.0.2.1:0x50',
    '192.0.2.1:5124 ',
    '2001:db8::1:5124',
    '[2001:db8::1]',
    '[2001:db8::1]5124',
    '[2001:db8::1]:',
    '[192.0.2.1]:5124',
    '[converter.example]:5124',
    '[]:5124',
    '[2001:db8::g]:5124',
    '_convert._tcp.',
    'http://192.0.2.1:5124',
    '192.0.2.1:5124/path',
    'a b:5124',
    'a:5124\n',
  ])('not %j', text => {
    expect(refusal(text)).toEqual({
      code: 'ERR_ATSSS_OPTION',
      message: expect.stringContaining('Option "converters[0]" must be '),
    })
  })
})

describe('converters as objects', () => {
  test.each([
    [{ host: '192.0.2.1', port: 5124 }, '192.0.2.1:5124'],
    [{ host: '2001:db8::1', port: 5124 }, '[2001:db8::1]:5124'],
    [{ host: 'converter.example', port: 5124 }, 'converter.example:5124'],
    [{ domain: 'example' }, '_convert._tcp.example'],
  ])('%o is named', (given, name) => {
    expect(specs(given)).toEqual([{ name, where: given, convert: 'auto', pipelining: true, cookie: undefined }])
  })

  test('one converter with several addresses, in one list', () => {
    const host = ['192.0.2.1', '2001:db8::1']
    expect(specs({ host, port: 5124 })).toMatchObject([
      { name: '192.0.2.1:5124', where: { addresses: host, port: 5124 } },
    ])
  })

  test('with options of their own, which win over those for all', () => {
    const cookie = Uint8Array.of(1, 2, 3, 4)
    const [own, common] = specs([{ host: 'a', port: 1, convert: '0rtt', pipelining: true, cookie }, { domain: 'b' }], {
      convert: '1rtt',
      pipelining: false,
    })
    expect(own).toMatchObject({ convert: '0rtt', pipelining: true, cookie })
    expect(common).toMatchObject({ convert: '1rtt', pipelining: false, cookie: undefined })
  })

  test.each([
    [{}, '"converters[0].host" must be a non-empty string; it is missing'],
    [{ host: '', port: 1 }, '"converters[0].host"'],
    [{ host: 5, port: 1 }, '"converters[0].host"'],
    [{ host: [], port: 1 }, '"converters[0].host" must be one or more address literals, all of one converter'],
    [{ host: ['192.0.2.1', 'a'], port: 1 }, "all of one converter; it is 'a'"],
    [{ host: 'a' }, '"converters[0].port" must be an integer in 1…65535'],
    [{ host: 'a', port: 0 }, '"converters[0].port"'],
    [{ host: 'a', port: '5124' }, '"converters[0].port"'],
    [{ host: 'a', port: 65_536 }, '"converters[0].port"'],
    [{ domain: '' }, '"converters[0].domain"'],
    [{ domain: 'a', port: 5 }, 'converters[0] has both a domain and a host or port'],
    [{ domain: 'a', host: 'b' }, 'converters[0] has both a domain and a host or port'],
    [{ host: 'a', port: 1, convert: 'x' }, '"converters[0].convert"'],
    [{ host: 'a', port: 1, pipelining: 1 }, '"converters[0].pipelining"'],
    [{ host: 'a', port: 1, cookie: 'x' }, '"converters[0].cookie" must be a Uint8Array'],
    [{ host: 'a', port: 1, cookies: Uint8Array.of(1) }, '"converters[0].cookies" should be "cookie"'],
    [{ host: 'a', port: 1, Convert: '1rtt' }, '"converters[0].Convert" should be "convert"'],
    [5124, '"converters[0]" must be a string or an object; it is 5124'],
    [[null], '"converters[0]" must be a string or an object; it is null'],
    [Object.create(null), '"converters[0].host"'],
    [{ host: Object.create(null), port: 1 }, '"converters[0].host"'],
  ])('not %o', (given, expected) => {
    expect(refusal(given)).toEqual({ code: 'ERR_ATSSS_OPTION', message: expect.stringContaining(expected) })
  })
})

describe('several', () => {
  test('keep their order', () => {
    const names = specs(['b:2', { host: 'a', port: 1 }, '_convert._tcp.c']).map(({ name }) => name)
    expect(names).toEqual(['b:2', 'a:1', '_convert._tcp.c'])
  })
  test('a single converter needs no list; an empty list means no converter', () => {
    expect(where('a:1')).toEqual({ host: 'a', port: 1 })
    expect(specs([])).toEqual([])
    expect(specs(undefined)).toEqual([])
  })
  test('the wrong one is named', () => {
    expect(refusal(['a:1', 'b']).message).toContain(`"converters[1]" must be 'host:port', `)
  })
})
