import { expect, test } from 'vitest'
import { Reader, Writer } from '../../../lib/wire/bytes/cursor.js'
import { hex } from '../../support/hex.js'

test('a reader stays in its window', () => {
  const reader = new Reader(hex('a5 01 02 03 04 05 a5'), 1, 6)
  expect(reader.u8('a')).toBe(1)
  expect(reader.u16('b')).toBe(0x0203)
  expect(reader.left).toBe(2)
  expect(() => reader.take(3, 'c')).toThrow(expect.objectContaining({ reason: 'framing', offset: 4 }))
  expect(reader.take(2, 'c')).toStrictEqual(hex('04 05'))
  expect(() => reader.u8('a')).toThrow(expect.objectContaining({ reason: 'framing', offset: 6 }))
  expect(() => reader.u16('b')).toThrow(expect.objectContaining({ reason: 'framing', offset: 6 }))
  expect(() => reader.skip(1, 'd')).toThrow(expect.objectContaining({ reason: 'framing', offset: 6 }))
})

test('a writer stays in its buffer', () => {
  const bytes = new Uint8Array(6).fill(0xa5)
  const writer = new Writer(bytes)
  writer.u8(1)
  writer.u16(0x0203)
  writer.put(hex('04'))
  writer.padTo(5)
  expect(() => writer.u16(0)).toThrow(expect.objectContaining({ code: 'ERR_CONVERT_ENCODE', offset: 5 }))
  expect(() => writer.put(hex('01 02'))).toThrow(expect.objectContaining({ code: 'ERR_CONVERT_ENCODE', offset: 5 }))
  expect(() => writer.padTo(4)).toThrow(expect.objectContaining({ code: 'ERR_CONVERT_ENCODE', offset: 5 }))
  expect(bytes).toStrictEqual(hex('01 02 03 04 00 a5'))
})
