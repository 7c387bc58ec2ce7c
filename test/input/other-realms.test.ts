/**
 * Values of another realm: in a vm context, as Jest runs tests in, Uint8Array is another class than that of Node's Buffers. Bytes are
 * bytes wherever they come from.
 */
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { createConverter } from '../../lib/converter/index.js'
import { isBytes } from '../../lib/input/check.js'
import { resolveOptions } from '../../lib/input/options.js'
import { ConverterMemory } from '../../lib/policy/connect/converter-memory.js'
import { readRules } from '../../lib/policy/rules/read.js'
import { decode, encode } from '../../lib/wire/convert/index.js'

const foreign = (...octets: number[]): Uint8Array => runInNewContext('new Uint8Array(octets)', { octets })

test('such bytes are not instances of our Uint8Array', () => {
  expect(foreign(1) instanceof Uint8Array).toBe(false)
  expect([foreign(1), new Uint8Array(1), Buffer.alloc(1)].map(isBytes)).toEqual([true, true, true])
  const others = [
    new Uint16Array(1),
    new DataView(new ArrayBuffer(1)),
    new ArrayBuffer(1),
    [1],
    '1',
    { length: 1 },
    null,
  ]
  expect(others.map(isBytes)).toEqual(others.map(() => false))
})

const converter = { host: '192.0.2.1', port: 5124 }

test('the cookie of a converter', () => {
  const { converters } = resolveOptions({ converters: { ...converter, cookie: foreign(1, 2, 3, 4) } })
  expect([...converters[0]!.cookie!]).toEqual([1, 2, 3, 4])
})

test('a cookie of a store', () => {
  const cookies = { get: () => foreign(1, 2, 3, 4), set() {}, delete() {} }
  const path = { address: '192.0.2.1', port: 5124, interface: undefined } as never
  expect([...new ConverterMemory(cookies).cookie(path, undefined)!]).toEqual([1, 2, 3, 4])
})

test('TCP options', () => {
  const { tcpOptions } = resolveOptions({ tcpOptions: [{ kind: 30, value: foreign(1, 2) }] })
  expect([...tcpOptions[0]!.value]).toEqual([1, 2])
})

test('rules as a container', () => {
  const { problems } = readRules([], foreign())
  expect(problems.map(({ message }) => message)).toEqual([expect.stringContaining('has no ATSSS rules')])
})

test('the secret of the cookies of a converter', () => {
  const secret = foreign(...Array.from({ length: 16 }, (_, octet) => octet))
  expect(() => createConverter({ cookies: { secret } })).not.toThrow()
})

test('a message, to decode and to encode', () => {
  const bytes = encode([{ type: 'cookie', cookie: foreign(1, 2, 3, 4) }])
  expect(decode(foreign(...bytes))?.tlvs).toMatchObject([{ type: 'cookie' }])
})
