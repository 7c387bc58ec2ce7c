import { describe, expect, test } from 'vitest'
import { WireError } from '../../../lib/errors.js'
import { decode, encode, encodeInto, messageLength } from '../../../lib/wire/convert/index.js'
import { hex } from '../../support/hex.js'
import { VECTORS, vector } from './vectors.js'

describe.each(VECTORS)('$name ($source)', ({ bytes, tlvs }) => {
  test('decodes', () => {
    expect(decode(bytes)).toStrictEqual({ tlvs, length: bytes.length })
    expect(messageLength(bytes.subarray(0, 4))).toBe(bytes.length)
  })

  test('encodes', () => {
    expect(encode(tlvs)).toStrictEqual(bytes)
  })

  test('encodes into a dirty buffer, and not beyond', () => {
    const dirty = new Uint8Array(bytes.length + 8).fill(0xa5)
    expect(encodeInto(dirty, tlvs)).toBe(bytes.length)
    expect(dirty.subarray(0, bytes.length)).toStrictEqual(bytes)
    expect(dirty.subarray(bytes.length)).toStrictEqual(new Uint8Array(8).fill(0xa5))
  })

  test('asks for more at every proper prefix', () => {
    for (let end = 0; end < bytes.length; end++) expect(decode(bytes.subarray(0, end))).toBeUndefined()
  })

  test('leaves the application what follows', () => {
    const stream = new Uint8Array([...bytes, ...hex('16 03 01 02 00 01 00')])
    expect(decode(stream)).toStrictEqual({ tlvs, length: bytes.length })
  })

  test('decodes from the middle of a larger buffer', () => {
    const pool = Buffer.alloc(bytes.length + 16, 0xa5)
    pool.set(bytes, 8)
    expect(decode(pool.subarray(8, 8 + bytes.length))).toStrictEqual({ tlvs, length: bytes.length })
  })
})

test('what is decoded shares no memory with what was received', () => {
  for (const { bytes, tlvs } of VECTORS) {
    const received = Buffer.from(bytes)
    const decoded = decode(received)
    received.fill(0xa5)
    expect(decoded?.tlvs).toStrictEqual(tlvs)
  }
})

test('the largest message: 255 words', () => {
  const cookie = new Uint8Array(1012).fill(7)
  const bytes = encode([{ type: 'cookie', cookie }])
  expect(bytes.length).toBe(1020)
  expect(bytes[1]).toBe(255)
  expect(decode(bytes)).toStrictEqual({ tlvs: [{ type: 'cookie', cookie }], length: 1020 })
})

test('the smallest TLVs of those with a variable length', () => {
  const bytes = hex('01 05 22 63  14 01 00 00  15 01 00 00  16 01 00 00  c8 01 00 00')
  expect(decode(bytes)?.tlvs).toStrictEqual([
    { type: 'extended-tcp-header', options: hex('') },
    { type: 'supported-tcp-extensions', kinds: [] },
    { type: 'cookie', cookie: hex('') },
    { type: 'unknown', code: 200, value: hex('00 00') },
  ])
})

describe('lenient where RFC 8803 says "ignored"', () => {
  test('Unassigned fields', () => {
    const bytes = hex('01 05 22 63  14 02 a5 a5 01 01 01 01  15 02 a5 a5 1e 00 00 00')
    expect(decode(bytes)?.tlvs).toStrictEqual([
      { type: 'extended-tcp-header', options: hex('01 01 01 01') },
      { type: 'supported-tcp-extensions', kinds: [30] },
    ])
  })

  test('the Zero fields of Info and Cookie, of which it says nothing', () => {
    expect(decode(hex('01 04 22 63  01 01 a5 a5  16 02 a5 a5 01 02 03 04'))?.tlvs).toStrictEqual([
      { type: 'info' },
      { type: 'cookie', cookie: hex('01 02 03 04') },
    ])
  })

  test('TCP options 0 and 1 in a Connect (§7.1); option 2 is carried', () => {
    const [tlv] = decode(
      hex(`01 08 22 63
      0a 07 00 50  00 00 00 00 00 00 00 00 00 00 ff ff c0 00 02 01
      01 00 1e 02  02 04 05 b4`),
    )!.tlvs
    expect(tlv).toMatchObject({
      tcpOptions: [
        { kind: 30, value: hex('') },
        { kind: 2, value: hex('05 b4') },
      ],
    })
  })
})

describe('malformed, and where', () => {
  const connect = '00 50  00 00 00 00 00 00 00 00 00 00 ff ff c0 00 02 01'

  test.each([
    ['version 0, reserved', '00', 'version', 0],
    ['version 2', '02', 'version', 0],
    ['an HTTP answer', '48 54 54 50', 'version', 0],
    ['Total Length 0', '01 00', 'total-length', 1],
    ['Total Length 0, whole header', '01 00 22 63', 'total-length', 1],
    ['the drafts’ zeros instead of the magic', '01 01 00 00', 'magic', 2],
    ['half a magic', '01 06 22 64', 'magic', 3],
    ['wrong magic, cut', '01 06 23', 'magic', 2],
    ['TLV type 0', '01 02 22 63  00 01 00 00', 'reserved-type', 4],
    ['TLV type 0 of length 0', '01 02 22 63  00 00 00 00', 'reserved-type', 4],
    ['TLV length 0', '01 02 22 63  16 00 00 00', 'tlv-length', 5],
    ['TLV length 0 of an unknown type', '01 03 22 63  01 01 00 00  c8 00 00 00', 'tlv-length', 9],
    ['TLV beyond Total Length', '01 02 22 63  16 02 00 00  01 02 03 04', 'framing', 5],
    ['TLV beyond Total Length, last of several', '01 03 22 63  01 01 00 00  c8 ff 00 00', 'framing', 9],
    ['the same TLV twice', '01 03 22 63  01 01 00 00  01 01 00 00', 'duplicate', 8],
    ['the same unknown TLV twice', '01 04 22 63  c8 01 00 00  01 01 00 00  c8 01 00 01', 'duplicate', 12],
    ['Info of 2 words', '01 03 22 63  01 02 00 00  00 00 00 00', 'tlv-length', 5],
    ['Connect of 4 words', '01 05 22 63  0a 04 00 50  00 00 00 00 00 00 00 00 00 00 ff ff', 'tlv-length', 5],
    ['Connect of 1 word', '01 02 22 63  0a 01 00 50', 'tlv-length', 5],
    ['TCP option of length 0', `01 07 22 63  0a 06 ${connect}  1e 00 00 00`, 'tcp-options', 24],
    ['TCP option of length 1', `01 07 22 63  0a 06 ${connect}  1e 01 00 00`, 'tcp-options', 24],
    ['TCP option too long', `01 07 22 63  0a 06 ${connect}  1e 02 22 03`, 'tcp-options', 26],
    ['TCP option cut after its kind', `01 07 22 63  0a 06 ${connect}  01 01 01 22`, 'tcp-options', 27],
  ])('%s', (_name, bytes, reason, offset) => {
    const error = thrownBy(() => decode(hex(bytes)))
    expect(error).toBeInstanceOf(WireError)
    expect(error).toMatchObject({ code: 'ERR_CONVERT_MALFORMED', reason, offset })
  })

  test('a wrong header is wrong at its first wrong byte, whatever comes after', () => {
    for (const bytes of [hex('02 06 22 63'), hex('01 00 22 63'), hex('01 06 21 63'), hex('01 06 22 62')]) {
      const right = hex('01 06 22 63')
      const wrongAt = bytes.findIndex((byte, i) => byte !== right[i])
      for (let end = 0; end <= wrongAt; end++) expect(decode(bytes.subarray(0, end))).toBeUndefined()
      for (let end = wrongAt + 1; end <= 4; end++)
        expect(() => decode(bytes.subarray(0, end))).toThrow(expect.objectContaining({ offset: wrongAt }))
      expect(() => messageLength(bytes)).toThrow(expect.objectContaining({ offset: wrongAt }))
    }
  })

  test('messageLength wants a whole header', () => {
    expect(() => messageLength(hex('01 06 22'))).toThrow(expect.objectContaining({ reason: 'framing' }))
  })
})

test('byte by byte is as good as at once', () => {
  const { bytes, tlvs } = vector('Info, Cookie and Connect')
  let received = new Uint8Array()
  for (const [index, byte] of bytes.entries()) {
    received = new Uint8Array([...received, byte])
    const message = decode(received)
    if (index < bytes.length - 1) expect(message).toBeUndefined()
    else expect(message).toStrictEqual({ tlvs, length: bytes.length })
  }
})

function thrownBy(action: () => unknown): unknown {
  try {
    action()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}
