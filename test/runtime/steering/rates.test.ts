import { describe, expect, test } from 'vitest'
import { AccessMeters, RateMeter, withShares } from '../../../lib/runtime/steering/rates.js'

const counters = (bytesSent: number, bytesReceived = 0) => ({ bytesSent, bytesReceived, bytesRetransmitted: 0 })

describe('a meter', () => {
  test.each([50, 250, 1_000, 7_000])('of a constant rate, read every %i ms', period => {
    const meter = new RateMeter(0)
    for (let now = period; now <= 21_000; now += period) {
      const { sendRate, receiveRate } = meter.read(counters(now, 3 * now), now)
      if (now < 100) expect([sendRate, receiveRate]).toEqual([undefined, undefined])
      else {
        expect(sendRate).toBeCloseTo(8_000)
        expect(receiveRate).toBeCloseTo(24_000)
      }
    }
  })

  test('forgets within two seconds', () => {
    const meter = new RateMeter(0)
    for (let now = 250; now <= 5_000; now += 250) meter.read(counters(now), now)
    for (let now = 5_250; now < 7_000; now += 250) meter.read(counters(5_000), now)
    expect(meter.read(counters(5_000), 7_000).sendRate).toBe(0)
  })

  test('after a long time without a reading: the mean since that', () => {
    const meter = new RateMeter(0)
    meter.read(counters(1_000_000), 1_000)
    expect(meter.read(counters(1_060_000), 61_000).sendRate).toBeCloseTo(8_000)
  })

  test('of counters that have a value already, and of ones that go back', () => {
    expect(new RateMeter(0, counters(1e9)).read(counters(1e9), 500).sendRate).toBe(0)
    expect(new RateMeter(0, counters(1e9)).read(counters(5), 500).sendRate).toBe(0)
  })
})

test('shares: of each direction for itself; none of nothing, and none of what is not known', () => {
  const [one, other, unknown] = withShares([
    { sendRate: 30, receiveRate: 0 },
    { sendRate: 10, receiveRate: 0 },
    { sendRate: undefined, receiveRate: undefined },
  ])
  expect([one, other, unknown].map(each => [each!.sendShare, each!.receiveShare])).toEqual([
    [75, undefined],
    [25, undefined],
    [undefined, undefined],
  ])
})

test('both accesses', () => {
  const meters = new AccessMeters(0)
  expect(meters.read({ '3gpp': counters(100), 'non-3gpp': counters(300, 50) }, 1_000)).toEqual({
    '3gpp': { ...counters(100), sendRate: 800, sendShare: 25, receiveRate: 0, receiveShare: 0 },
    'non-3gpp': { ...counters(300, 50), sendRate: 2_400, sendShare: 75, receiveRate: 400, receiveShare: 100 },
  })
})
