import { describe, expect, test } from 'vitest'
import { decodeAs, KINDS, type KindName } from '../../lib/cli/decode/kinds.js'
import { problems } from '../../lib/cli/decode/tree.js'
import type { Field } from '../../lib/wire/bytes/trace.js'
import { hex } from '../support/hex.js'
import { seeded } from '../support/random.js'
import { VECTORS as CONTAINERS } from '../wire/atsss/vectors.js'
import { VECTORS as MESSAGES } from '../wire/convert/vectors.js'
import { REQUESTS, RESPONSES } from '../wire/pcp/vectors.js'

/** Laid by hand in test/wire/atsss/nas.test.ts from TS 24.501 table 8.3.2.1.1; here shorter. */
const ACCEPT = hex(
  '2e0501c2310009010006313101 01ff01 06 0603e80603e8 5932 2905010a2d0002 81 77000d 01000a00080900010104010401',
)

const leaves = (fields: readonly Field[]): Field[] =>
  fields.flatMap(field => (field.fields?.length ? leaves(field.fields) : [field]))

/** Every octet is in one leaf, in order, up to where the walk ended. */
function expectContiguous(fields: readonly Field[], length: number, whole: boolean): void {
  let at = 0
  for (const field of leaves(fields)) {
    if (field.offset > at) expect(whole, `gap before ${field.name} at ${at}`).toBe(false)
    expect(field.offset).toBeGreaterThanOrEqual(at)
    at = field.offset + field.length
  }
  expect(at).toBeLessThanOrEqual(length)
  if (whole) expect(at).toBe(length)
}

const samples: [KindName, string, Uint8Array][] = [
  ...MESSAGES.map(({ name, bytes }): [KindName, string, Uint8Array] => ['convert', name, bytes]),
  ...CONTAINERS.map(({ name, bytes }): [KindName, string, Uint8Array] => ['atsss', name, bytes]),
  ...[...REQUESTS, ...RESPONSES].map(({ name, bytes }): [KindName, string, Uint8Array] => ['pcp', name, bytes]),
  ['nas', 'establishment accept', ACCEPT],
  ['nas', 'in a DL NAS TRANSPORT', Buffer.concat([hex('7e006801'), Uint8Array.of(0, ACCEPT.length), ACCEPT])],
]

describe.each(samples)('%s: %s', (kind, _name, bytes) => {
  test('is recognised, and every octet of it has its field', () => {
    const decoded = decodeAs(bytes, bytes.length === 0 ? kind : undefined)
    expect(decoded.kind).toBe(kind)
    expect(decoded.error).toBeUndefined()
    expectContiguous(decoded.fields, bytes.length, problems(decoded.fields).length === 0)
  })

  test('every prefix: the tree has a problem where the codec has an error', () => {
    for (let length = 1; length < bytes.length; length++) {
      const cut = bytes.subarray(0, length)
      const { fields, error } = decodeAs(cut, kind)
      expectContiguous(fields, length, false)
      if (error !== undefined) expect(problems(fields).length, `of ${length} octets`).toBeGreaterThan(0)
      // What is wrong with a rule or a component only is a problem, and no error.
      if (kind === 'convert') expect(error === undefined).toBe(problems(fields).length === 0)
    }
  })
})

test.each(Object.keys(KINDS) as KindName[])(
  '%s: random octets, and changed ones, are taken apart without a throw',
  kind => {
    const random = seeded(7)
    const byte = () => Math.floor(random() * 256)
    const good = samples.filter(([name]) => name === kind).map(([, , bytes]) => bytes)
    for (let i = 0; i < 4000; i++) {
      const bytes =
        i % 4 === 0 ? Uint8Array.from({ length: byte() + 1 }, byte) : Uint8Array.from(good[i % good.length]!)
      if (bytes.length === 0) continue
      if (i % 4 !== 0) bytes[Math.floor(random() * bytes.length)] = byte()
      const { fields, error } = decodeAs(bytes, kind)
      expectContiguous(fields, bytes.length, false)
      if (error !== undefined) expect(problems(fields).length, Buffer.from(bytes).toString('hex')).toBeGreaterThan(0)
      if (kind === 'convert' && error === undefined) expect(problems(fields)).toEqual([])
    }
  },
)
