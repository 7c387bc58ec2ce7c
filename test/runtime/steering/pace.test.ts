import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { Pace, type ScanResult } from '../../../lib/runtime/steering/pace.js'

const NOTHING = Number.POSITIVE_INFINITY

let now: number
/** When it scanned, and whether that was a full scan. */
let looks: [number, boolean][]
/** How long a scan takes, and what it shows. */
let took: number
let shows: Partial<ScanResult>
let pace: Pace

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  now = 1000
  looks = []
  took = 0
  shows = {}
  pace = new Pace(() => now, look)
})
afterEach(() => void vi.useRealTimers())

function look(full: boolean): void {
  const at = now
  looks.push([at, full])
  now += took
  pace.scanned({ at, full, urgent: false, idle: false, divides: false, nextIn: NOTHING, ...shows })
}

function pass(ms: number): void {
  for (const end = now + ms; now < end; ) {
    now++
    vi.advanceTimersByTime(1)
  }
}

describe('full scans', () => {
  test.each<[string, Partial<ScanResult>, number[]]>([
    ['every 50 ms', {}, [1000, 1050, 1100, 1150, 1200, 1250]],
    ['every 250 ms while nothing moves', { idle: true }, [1000, 1250]],
  ])('%s', (_name, what, at) => {
    shows = what
    look(true)
    pass(250)
    expect(looks).toEqual(at.map(when => [when, true]))
  })

  test('use at most half of the time', () => {
    took = 80
    look(true)
    pass(400)
    expect(looks.map(([at]) => at)).toEqual([1000, 1160, 1320, 1480])
  })

  test('partial scans in between, when something is awaited, do not postpone them', () => {
    shows = { nextIn: 30 }
    look(true)
    pass(100)
    expect(looks).toEqual([
      [1000, true],
      [1030, false],
      [1050, true],
      [1080, false],
      [1100, true],
    ])
  })

  test('at once if bytes move again when a full scan is overdue; no timer has a negative time', () => {
    shows = { idle: true }
    look(true)
    pass(60)
    const timer = vi.spyOn(globalThis, 'setTimeout')
    shows = {}
    pace.scanSoon()
    expect(timer.mock.calls.map(([, ms]) => ms)).toEqual([0])
    pass(2)
    expect(looks.slice(0, 3).map(([, whole]) => whole)).toEqual([true, false, true])
  })

  test('at once if a partial scan finds something that concerns all connections', () => {
    shows = { nextIn: 10 }
    look(true)
    shows = { urgent: true }
    pass(10)
    shows = {}
    pass(2)
    expect(looks.map(([, whole]) => whole)).toEqual([true, false, true])
  })
})

describe('scans that are requested', () => {
  test('are partial, and full once a full scan is due, however often they are requested', () => {
    look(true)
    for (let i = 0; i < 50; i++) {
      now++
      pace.scanSoon()
    }
    expect(looks).toHaveLength(51)
    expect(looks.filter(([, whole]) => whole).map(([at]) => at)).toEqual([1000, 1048])
  })

  test('use at most a tenth of the time', () => {
    took = 2
    look(true)
    pace.scanSoon()
    pace.scanSoon()
    expect(looks).toHaveLength(1)
    pass(18)
    expect(looks).toEqual([
      [1000, true],
      [1020, false],
    ])
  })
})

test('no scan after close(), not even when closed within a scan', () => {
  look(true)
  pace.close()
  look(false)
  expect(vi.getTimerCount()).toBe(0)
})
