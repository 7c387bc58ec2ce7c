import { expect, test } from 'vitest'
import { PendingBytes, PIPELINE_LIMIT } from '../../../lib/runtime/connect/pending-bytes.js'

test('bytes come back from any offset, over the borders of what was pushed', () => {
  const pending = new PendingBytes()
  for (const text of ['abc', '', 'de', 'f']) expect(pending.push(Buffer.from(text))).toBe(true)
  expect(pending.length).toBe(6)
  for (let offset = 0; offset <= 6; offset++) expect(String(pending.from(offset))).toBe('abcdef'.slice(offset))
  expect(pending.from(7)).toHaveLength(0)
})

test('up to the limit, and not a byte more', () => {
  const pending = new PendingBytes()
  expect(pending.push(Buffer.alloc(PIPELINE_LIMIT - 1))).toBe(true)
  expect(pending.push(Buffer.alloc(2))).toBe(false)
  expect(pending.length).toBe(PIPELINE_LIMIT - 1)
  expect(pending.push(Buffer.alloc(1))).toBe(true)
  expect(pending.push(Buffer.alloc(1))).toBe(false)
  expect(pending.from(0)).toHaveLength(PIPELINE_LIMIT)
})

test('cleared, it holds nothing', () => {
  const pending = new PendingBytes()
  pending.push(Buffer.from('abc'))
  pending.clear()
  expect(pending.length).toBe(0)
  expect(pending.from(0)).toHaveLength(0)
  expect(pending.push(Buffer.alloc(PIPELINE_LIMIT))).toBe(true)
})
