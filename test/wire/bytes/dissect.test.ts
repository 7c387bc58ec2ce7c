/** A trace changes nothing of what a codec makes of its bytes: the dissection is the reading. */
import { describe, expect, test } from 'vitest'
import { type WireCode, WireError } from '../../../lib/errors.js'
import { decodeContainer, readContainer } from '../../../lib/wire/atsss/container.js'
import { decodeSessionMessage, readNas } from '../../../lib/wire/atsss/nas.js'
import type { Reader } from '../../../lib/wire/bytes/cursor.js'
import { dissect } from '../../../lib/wire/bytes/dissect.js'
import type { Field } from '../../../lib/wire/bytes/trace.js'
import { readMessage } from '../../../lib/wire/convert/decode.js'
import { decode } from '../../../lib/wire/convert/index.js'
import { readPcp } from '../../../lib/wire/pcp/decode.js'
import { decodePcpRequest, decodePcpResponse } from '../../../lib/wire/pcp/index.js'
import { hex } from '../../support/hex.js'
import { seeded } from '../../support/random.js'
import { VECTORS as CONTAINERS } from '../atsss/vectors.js'
import { VECTORS as MESSAGES } from '../convert/vectors.js'
import { REQUESTS, RESPONSES } from '../pcp/vectors.js'

type Codec = [string, WireCode, (bytes: Uint8Array) => unknown, (from: Reader) => unknown, Uint8Array[]]

const bytesOf = (vectors: readonly { bytes: Uint8Array }[]) => vectors.map(({ bytes }) => bytes)
const codecs: Codec[] = [
  ['Convert', 'ERR_CONVERT_MALFORMED', decode, readMessage, bytesOf(MESSAGES)],
  ['ATSSS', 'ERR_ATSSS_MALFORMED', bytes => decodeContainer(bytes), from => readContainer(from), bytesOf(CONTAINERS)],
  ['PCP requests', 'ERR_PCP_MALFORMED', decodePcpRequest, readPcp, bytesOf(REQUESTS)],
  ['PCP responses', 'ERR_PCP_MALFORMED', decodePcpResponse, readPcp, bytesOf(RESPONSES)],
  [
    'NAS',
    'ERR_NAS_MALFORMED',
    // Its trace reads the container too.
    bytes => {
      const message = decodeSessionMessage(bytes)
      for (const { iei, value } of message.elements) if (iei === 0x77) decodeContainer(value)
      return message
    },
    readNas,
    [
      hex('2e0501c2310009010006313101 01ff01 060603e80603e8 5932 2905010a2d0002 81 77000d 01000a00080900010104010401'),
      hex('7e0300000000017e0068010011 2e0501cb 77000d 01000a00080900010104010401'),
    ],
  ],
]

describe.each(codecs)('%s', (name, code, plain, read, whole) => {
  const check = (bytes: Uint8Array) => {
    // The first octets decide between requests and responses.
    if (name.startsWith('PCP') && bytes[1] !== undefined && bytes[1] >= 0x80 !== name.endsWith('responses')) return
    const { value, error, fields } = dissect(bytes, code, read)
    const text = Buffer.from(bytes).toString('hex')
    const found = outcome(() => plain(bytes))
    if (found instanceof WireError) {
      expect(error, text).toBeInstanceOf(WireError)
      expect([error!.code, error!.reason], text).toEqual([found.code, found.reason])
    } else if (found === undefined && name === 'Convert') expect(value, text).toBeUndefined()
    else {
      expect(error, text).toBeUndefined()
      expect(value, text).toEqual(found)
    }
    const end = leaves(fields).reduce((at, { offset, length }) => {
      expect(offset, text).toBe(at)
      return at + length
    }, 0)
    expect(end, text).toBe(bytes.length)
  }

  test('whole', () => whole.forEach(check))

  test('every prefix', () => {
    for (const bytes of whole) for (let length = 0; length < bytes.length; length++) check(bytes.subarray(0, length))
  })

  test('changed octets', () => {
    const random = seeded(16)
    for (let i = 0; i < 3000; i++) {
      const bytes = Uint8Array.from(whole[i % whole.length]!)
      for (let n = 1 + Math.floor(random() * 3); n > 0; n--)
        bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * (random() < 0.5 ? 6 : 256))
      check(bytes)
    }
  })
})

test('the error of the reader, and where the bytes end', () => {
  const { fields, error } = dissect(hex('05 01 02'), 'ERR_NAS_MALFORMED', from => {
    const part = from.part('Group')
    part.limit(part.u8('Length'))
    part.u16('Port')
    part.u32('Rest')
  })
  expect(error).toMatchObject({ code: 'ERR_NAS_MALFORMED', offset: 3, message: 'cut short: 3 more bytes needed' })
  expect(fields).toEqual([
    {
      offset: 0,
      length: 3,
      name: 'Group',
      fields: [
        { offset: 0, length: 1, name: 'Length', value: 5 },
        { offset: 1, length: 2, name: 'Port', value: 0x0102 },
        { offset: 3, length: 0, name: 'Rest', problem: '4 bytes needed, 0 left' },
      ],
    },
  ])
})

function outcome(run: () => unknown): unknown {
  try {
    return run()
  } catch (error) {
    return error
  }
}

function leaves(fields: readonly Field[]): Field[] {
  return fields.flatMap(field => (field.fields?.length ? leaves(field.fields) : [field]))
}
