/** The pure scripts of the live page: what charts show of which numbers, and which events they mark. */
import { describe, expect, test } from 'vitest'
// @ts-expect-error a script of the page, without types
import * as marks from '../../../lib/cli/watch/page/marks.js'
// @ts-expect-error a script of the page, without types
import * as scale from '../../../lib/cli/watch/page/scale.js'

const { marksOf } = marks
const { rateText, rttRange, shortNumber, stacked, throughputRange, unitFor, unstacked } = scale

describe('the scale of the throughput chart', () => {
  test.each([
    [0, 'bit/s'],
    [999, 'bit/s'],
    [10_000, 'kbit/s'],
    [62e6, 'Mbit/s'],
    [2.4e9, 'Gbit/s'],
  ])('%d bit/s in %s', (bits, unit) => {
    expect(unitFor(bits)[0]).toBe(unit)
    expect(unitFor(-bits)[0]).toBe(unit)
  })

  test.each([
    [-10_000, 2_000],
    [0, 62e6],
    [-4e6, 15e6],
    [-80, 0],
    [0, 1e10],
  ])('from %d to %d: the data fill most of the height, whatever their size', (least, most) => {
    const [bottom, top] = throughputRange(least, most)
    expect(bottom).toBeLessThanOrEqual(least)
    expect(top).toBeGreaterThan(most)
    expect((most - least) / (top - bottom)).toBeGreaterThan(0.5)
  })

  test('nothing at all has a range, too', () => {
    const [bottom, top] = throughputRange(0, 0)
    expect([bottom, top > 0]).toEqual([0, true])
    expect(rttRange(null)).toEqual([0, 10])
  })

  test('areas are stacked, what is sent below 0; and the figures come out again', () => {
    const rates = { 'non-3gpp': { down: 40e6, up: 3e6 }, '3gpp': { down: 16e6, up: 1e6 } }
    expect(stacked(rates)).toEqual([56e6, 40e6, -4e6, -3e6])
    expect(unstacked(stacked(rates))).toEqual(rates)
  })

  test('three digits are enough', () => {
    expect([0, 1.234, 12.34, 123.4].map(shortNumber)).toEqual(['0', '1.23', '12.3', '123'])
    expect([0, 9_600, 62.1e6].map(rateText)).toEqual(['0 bit/s', '9.60 kbit/s', '62.1 Mbit/s'])
  })
})

describe('marks in the charts', () => {
  const at = (ms: number, kind: string, label: string, more: object = {}) => ({
    id: ms,
    at: ms,
    kind,
    label,
    text: label,
    ...more,
  })
  const lost = (ms: number) => at(ms, 'access', 'Wi-Fi lost', { isGood: false })
  const handover = (ms: number, gap?: string) =>
    at(ms, 'handover', 'to Cellular', { handover: { from: 'Wi-Fi', to: 'Cellular', gap } })
  const labels = (happenings: object[]) => marksOf(happenings, 0, 100_000).map(({ label }: { label: string }) => label)

  test('a link that was cut, the access that was lost and the handover are one, which says how long the gap was', () => {
    expect(labels([at(0, 'link', 'wifi: cut'), lost(20), at(30, 'action', '#1'), handover(70, '45 ms')])).toEqual([
      'Wi-Fi lost, gap 45 ms',
    ])
    // A tunnel: the first bytes come long after the loss.
    expect(labels([lost(0), handover(4100, '4.1 s')])).toEqual(['Wi-Fi lost, gap 4.1 s'])
  })

  test('each loss has its own gap; a handover without a loss stands alone', () => {
    expect(labels([lost(0), handover(50, '45 ms'), lost(9000), handover(9100, '90 ms')])).toEqual([
      'Wi-Fi lost, gap 45 ms',
      'Wi-Fi lost, gap 90 ms',
    ])
    expect(labels([handover(50)])).toEqual(['to Cellular'])
    expect(labels([lost(0), handover(50)])).toEqual(['Wi-Fi lost'])
  })

  test('what happens at different times stays apart; only what is shown counts', () => {
    const all = [at(0, 'rules', 'rules: aggregate'), at(2000, 'download', 'download: as fast as it goes')]
    expect(labels(all)).toEqual(['rules: aggregate', 'download: as fast as it goes'])
    expect(marksOf(all, 1000, 3000)).toHaveLength(1)
  })
})
