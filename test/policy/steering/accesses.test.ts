import { describe, expect, test } from 'vitest'
import { isFresh, measure, onlyOneLeft, type Transfer, UNMEASURED } from '../../../lib/policy/steering/accesses.js'
import type { AccessState } from '../../../lib/policy/steering/snapshot.js'

const told = (changes: Partial<Transfer>): Transfer => {
  return {
    rttMs: 20,
    acked: 1000,
    sent: 1000,
    retransmitted: 0,
    received: 0,
    receiveRttMs: undefined,
    segments: 0,
    outOfOrder: 0,
    ...changes,
  }
}

describe('round-trip time', () => {
  test('the first one', () =>
    expect(measure(UNMEASURED, [told({ rttMs: 30 })], 5)).toMatchObject({ rttMs: 30, rttAt: 5 }))

  test('by how much each subflow has carried', () => {
    expect(measure(UNMEASURED, [told({ rttMs: 10, acked: 3000 }), told({ rttMs: 50, acked: 1000 })], 5).rttMs).toBe(20)
  })

  test('smoothed', () => {
    const before = measure(UNMEASURED, [told({ rttMs: 20 })], 0)
    expect(measure(before, [told({ rttMs: 40 })], 50).rttMs).toBe(30)
  })

  test('nothing acknowledged: as old as it is', () => {
    const before = measure(UNMEASURED, [told({ rttMs: 20 })], 0)
    expect(measure(before, [told({ rttMs: 999, acked: 0 })], 50)).toMatchObject({ rttMs: 20, rttAt: 0 })
    expect(measure(before, [], 50)).toMatchObject({ rttMs: 20, rttAt: 0 })
  })

  test('an old one is not mixed with a new one', () => {
    const before = measure(UNMEASURED, [told({ rttMs: 20 })], 0)
    expect(isFresh(before, 14_999)).toBe(true)
    expect(isFresh(before, 15_000)).toBe(false)
    expect(measure(before, [told({ rttMs: 80 })], 15_000).rttMs).toBe(80)
  })
})

describe('loss', () => {
  test('the share of bytes sent again', () => {
    expect(
      measure(UNMEASURED, [told({ sent: 90_000, retransmitted: 900 }), told({ sent: 10_000, retransmitted: 100 })], 0)
        .lossPermille,
    ).toBe(10)
  })

  test('of few bytes says nothing', () => {
    expect(measure(UNMEASURED, [told({ sent: 49_999, retransmitted: 900 })], 0).lossPermille).toBeUndefined()
  })

  test('is forgotten by half every two seconds', () => {
    const before = measure(UNMEASURED, [told({ sent: 200_000, retransmitted: 2000 })], 0)
    expect(measure(before, [told({ sent: 100_000, retransmitted: 0 })], 2000).lossPermille).toBe(5)
    expect(measure(before, [], 2000).lossPermille).toBe(10)
    expect(measure(before, [], 8000).lossPermille).toBeUndefined()
  })
})

test('the load: both ways, smoothed over some seconds; none is none', () => {
  let measured = measure(UNMEASURED, [], 0)
  expect(measured.bytesPerSecond).toBe(0)
  for (let now = 50; now <= 20_000; now += 50)
    measured = measure(measured, [told({ sent: 1_500, received: 3_500 }), told({ sent: 0 })], now)
  // 100,000 bytes in a second.
  expect(measured.bytesPerSecond / 100_000).toBeCloseTo(1, 1)
  const after = measure(measured, [], 22_000)
  expect(after.bytesPerSecond / measured.bytesPerSecond).toBeCloseTo(0.5)
})

test('which one is left', () => {
  const state = (available: boolean): AccessState => ({
    ...UNMEASURED,
    available,
    suspected: false,
    why: available ? 'up' : 'no carrier',
    lostAt: 0,
  })
  const left = (cellular: boolean, other: boolean) => onlyOneLeft({ '3gpp': state(cellular), 'non-3gpp': state(other) })
  expect(left(true, true)).toBeUndefined()
  expect(left(true, false)).toEqual({
    uses: { '3gpp': 'active', 'non-3gpp': 'none' },
    why: 'non-3gpp is not available: no carrier',
  })
  expect(left(false, true)).toEqual({
    uses: { '3gpp': 'none', 'non-3gpp': 'active' },
    why: '3gpp is not available: no carrier',
  })
  expect(left(false, false)).toEqual({
    uses: { '3gpp': 'none', 'non-3gpp': 'none' },
    why: '3gpp is not available: no carrier; non-3gpp is not available: no carrier',
  })
})
