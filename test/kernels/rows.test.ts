import { expect, test } from 'vitest'
import { ROWS, rowsOf } from '../../scripts/kernels/rows.js'
import versions from '../../scripts/kernels/versions.json' with { type: 'json' }

test('a brief trial has all rows except those of bulk data', () => {
  const brief: string[] = rowsOf({ brief: true })
  const left = rowsOf({ brief: false }).filter(row => !brief.includes(row))
  expect(left.every(row => /aggregate|Bulk/.test(row))).toBe(true)
  expect(left).toHaveLength(6)
})

test('what a kernel lacks is a row of a brief trial: CI sees when it changes', () => {
  for (const { lacks } of Object.values(versions))
    for (const row of lacks) {
      expect(ROWS).toHaveProperty(row)
      expect(rowsOf({ brief: true })).toContain(row)
    }
})
