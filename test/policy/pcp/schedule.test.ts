import { describe, expect, test } from 'vitest'
import {
  begin,
  disturbed,
  granted,
  hastened,
  isHeld,
  refreshed,
  refused,
  type Schedule,
  sent,
  wakeAt,
} from '../../../lib/policy/pcp/schedule.js'
import { RESULTS, resultName } from '../../../lib/wire/pcp/index.js'
import { seeded } from '../../support/random.js'

const NOW = 1_000_000
const HOUR = 3_600_000
const DAY = 24 * HOUR
const FRESH = begin(NOW)

/** What a server answers to a request at a time, in milliseconds; nothing where it is silent. */
type Server = (at: number) => { result: number; lifetime: number } | undefined

/** Follows a schedule on a clock of its own. @returns when requests were sent, and from when to when the mapping was held */
function simulate(server: Server, until: number, random = seeded(1), schedule: Schedule = begin(0)) {
  const requests: number[] = []
  const held: { from: number; to: number }[] = []
  let now = 0
  let wasHeld = false
  const note = () => {
    const is = isHeld(schedule, now)
    if (is && !wasHeld) held.push({ from: now, to: Number.POSITIVE_INFINITY })
    if (!is && wasHeld) held.at(-1)!.to = now
    wasHeld = is
  }
  while (true) {
    const next = wakeAt(schedule, now)
    if (next > until) return { requests, held, schedule }
    now = Math.max(now, next)
    note()
    if (now < schedule.dueAt) continue
    requests.push(now)
    schedule = sent(schedule, now, random())
    const answer = server(now)
    if (answer?.result === RESULTS.success) schedule = granted(schedule, answer.lifetime, now, random())
    else if (answer) schedule = refused(schedule, answer.result, answer.lifetime, now)
    note()
  }
}

const gaps = (times: number[]) => times.slice(1).map((time, i) => time - times[i]!)

describe('a silent server (RFC 6887 §8.1.1)', () => {
  test('the bounds of each retransmission time', () => {
    for (const [random, factor] of [
      [0, 0.9],
      [0.5, 1],
      [1, 1.1],
    ] as const) {
      let schedule = begin(NOW)
      expect(schedule.dueAt).toBe(NOW)
      let before = 1500
      for (let i = 0; i < 12; i++) {
        schedule = sent(schedule, NOW, random)
        expect(schedule.dueAt - NOW).toBeCloseTo(factor * Math.min(2 * before, 1_024_000), 5)
        before = schedule.timeout
      }
    }
  })

  test('a week of it: never given up, never more often than every 1024 s less a tenth', () => {
    const { requests, held } = simulate(() => undefined, 7 * DAY)
    expect(held).toEqual([])
    const pauses = gaps(requests)
    expect(pauses[0]).toBeGreaterThanOrEqual(2_700)
    expect(pauses[0]).toBeLessThanOrEqual(3_300)
    for (const pause of pauses.slice(12)) expect(pause).toBeGreaterThanOrEqual(0.9 * 1_024_000)
    for (const pause of pauses) expect(pause).toBeLessThanOrEqual(1.1 * 1_024_000)
    expect(requests.length).toBeGreaterThan(500)
  })
})

describe('renewal (§11.2.1)', () => {
  test('the ranges, until the end', () => {
    const at = (random: number) => {
      let schedule = granted(FRESH, 7200, NOW, random)
      const shares: number[] = []
      while (schedule.pace === 'renew') {
        shares.push((schedule.dueAt - NOW) / 7_200_000)
        schedule = sent(schedule, schedule.dueAt, random)
      }
      return { shares, last: schedule.dueAt }
    }
    expect(at(0).shares.slice(0, 4)).toEqual([1 / 2, 3 / 4, 7 / 8, 15 / 16])
    expect(at(1).shares.slice(0, 4)).toEqual([5 / 8, 3 / 4 + 1 / 16, 7 / 8 + 1 / 32, 15 / 16 + 1 / 64])
    // After that it is asked for as if for the first time.
    expect(at(0).last).toBeGreaterThanOrEqual(NOW + 7_200_000)
    expect(at(0).last).toBeLessThan(NOW + 7_204_000)
    for (const random of [0, 0.5, 1])
      expect(Math.min(...gaps(at(random).shares.map(share => share * 7_200_000)))).toBeGreaterThanOrEqual(4_000)
  })

  test('a server that answers always: held without a gap for a week, renewed once in each half of the lifetime', () => {
    const { requests, held } = simulate(() => ({ result: 0, lifetime: 7200 }), 7 * DAY)
    expect(held).toEqual([{ from: 0, to: Number.POSITIVE_INFINITY }])
    for (const pause of gaps(requests)) {
      expect(pause).toBeGreaterThanOrEqual(HOUR)
      expect(pause).toBeLessThanOrEqual(1.25 * HOUR)
    }
  })

  test('a server that answers every fifth request only: held without a gap', () => {
    let asked = 0
    const { held } = simulate(() => (asked++ % 5 === 0 ? { result: 0, lifetime: 7200 } : undefined), 7 * DAY)
    expect(held).toEqual([{ from: 0, to: Number.POSITIVE_INFINITY }])
  })

  test('a server that falls silent: lost at the end of its lifetime, and asked for on and on', () => {
    const { requests, held } = simulate(at => (at < 1000 ? { result: 0, lifetime: 120 } : undefined), HOUR)
    expect(held).toEqual([{ from: 0, to: 120_000 }])
    for (const pause of gaps(requests.filter(at => at < 120_000))) expect(pause).toBeGreaterThanOrEqual(4_000)
    const after = requests.filter(at => at >= 120_000)
    expect(after[0]).toBeLessThan(125_000)
    expect(gaps(after)[0]).toBeLessThanOrEqual(3_300)
  })

  test('lifetimes that make no sense', () => {
    // §15: five years are a day.
    expect(granted(FRESH, 5 * 365 * 86_400, NOW, 0)).toMatchObject({ expiresAt: NOW + DAY, dueAt: NOW + DAY / 2 })
    expect(granted(FRESH, 0xffff_ffff, NOW, 0).expiresAt).toBe(NOW + DAY)
    // Of a second, or of none: no more than a request in four seconds.
    for (const lifetime of [0, 1, 3, 4, 5]) {
      const { requests } = simulate(() => ({ result: 0, lifetime }), 60_000)
      for (const pause of gaps(requests)) expect(pause).toBeGreaterThanOrEqual(4_000)
      expect(requests.length).toBeGreaterThan(10)
    }
    expect(isHeld(granted(FRESH, 0, NOW, 0), NOW)).toBe(false)
  })
})

describe('refusals (§7.4, §8.3)', () => {
  const codes = Object.values(RESULTS).filter(code => code !== 0)
  const held = granted(FRESH, 3600, NOW, 0)

  test.each([...codes, 14, 255])('result %d: not asked again within its lifetime', result => {
    const schedule = refused(begin(NOW), result, 600, NOW)
    expect(schedule).toMatchObject({ pace: 'wait', dueAt: NOW + 600_000 })
    expect(isHeld(schedule, NOW)).toBe(false)
    // Then as at first.
    expect(sent(schedule, NOW + 600_000, 0.5)).toMatchObject({ pace: 'ask', timeout: 3_000 })
  })

  test('without a lifetime: 30 minutes, or 30 seconds of those that pass', () => {
    const short = codes.filter(code => refused(begin(NOW), code, 0, NOW).dueAt === NOW + 30_000)
    const long = codes.filter(code => refused(begin(NOW), code, 0, NOW).dueAt === NOW + 1_800_000)
    expect(short.map(resultName)).toEqual(['network-failure', 'no-resources', 'user-ex-quota'])
    expect(short.length + long.length).toBe(13)
  })

  test('a mapping that is there stays through what passes, and ends with the others', () => {
    const stays = codes.filter(code => isHeld(refused(held, code, 60, NOW + 1), NOW + 1))
    expect(stays.map(resultName)).toEqual(['network-failure', 'no-resources', 'user-ex-quota'])
    const schedule = refused(held, RESULTS['no-resources'], 7200, NOW + 1)
    // Its end comes before the next request may be sent.
    expect(wakeAt(schedule, NOW + 1)).toBe(held.expiresAt)
  })

  test('lifetimes that make no sense: a day at most, 30 minutes for a version, four seconds at least', () => {
    expect(refused(begin(NOW), RESULTS['not-authorized'], 0xffff_ffff, NOW).dueAt).toBe(NOW + DAY)
    expect(refused(begin(NOW), RESULTS['unsupp-version'], 86_400, NOW).dueAt).toBe(NOW + 1_800_000)
    expect(refused(begin(NOW), RESULTS['unsupp-version'], 60, NOW).dueAt).toBe(NOW + 60_000)
    expect(refused(begin(NOW), RESULTS['no-resources'], 1, NOW).dueAt).toBe(NOW + 4_000)
  })

  test('a server that has room again', () => {
    const { requests, held } = simulate(
      at => (at < HOUR ? { result: RESULTS['no-resources'], lifetime: 30 } : { result: 0, lifetime: 7200 }),
      2 * HOUR,
    )
    expect(requests.filter(at => at < HOUR)).toHaveLength(120)
    expect(held).toHaveLength(1)
    expect(held[0]!.from).toBeLessThanOrEqual(HOUR + 30_000)
  })
})

describe('a server that has lost its state (§8.5, §14.1.3)', () => {
  test('is requested again, repeatedly until the server answers; meanwhile the mapping counts as held', () => {
    const schedule = disturbed(granted(FRESH, 7200, NOW, 0), NOW + 1000, 2_500)
    expect(schedule).toMatchObject({ pace: 'ask', dueAt: NOW + 3_500 })
    expect(isHeld(schedule, NOW + 3_500)).toBe(true)
    expect(sent(schedule, NOW + 3_500, 0.5).dueAt).toBe(NOW + 6_500)
  })

  test('its end is reported while it is being requested', () => {
    const schedule = sent(disturbed(granted(FRESH, 2, NOW, 0), NOW, 0), NOW, 0.5)
    expect(wakeAt(schedule, NOW)).toBe(NOW + 2_000)
    expect(wakeAt(schedule, NOW + 2_000)).toBe(NOW + 3_000)
  })
})

describe('once more, as soon as may be', () => {
  const held = granted(sent(FRESH, NOW, 0), 7200, NOW + 20, 0)

  test('at once; within four seconds of the last request after them (§11.2.1); what is due sooner stays', () => {
    expect(refreshed(held, NOW + 10_000)).toMatchObject({ pace: 'ask', dueAt: NOW + 10_000, expiresAt: held.expiresAt })
    expect(refreshed(held, NOW + 20).dueAt).toBe(NOW + 4_000)
    expect(refreshed(FRESH, NOW + 20).dueAt).toBe(NOW)
    expect(refreshed(begin(NOW, 250), NOW + 20).dueAt).toBe(NOW + 20)
    const silent = sent(FRESH, NOW, 0.5)
    expect(refreshed(silent, NOW + 20)).toEqual(silent)
  })

  test('not what would be refused again (§8.3)', () => {
    const waiting = refused(FRESH, RESULTS['not-authorized'], 600, NOW)
    expect(refreshed(waiting, NOW + 10_000)).toBe(waiting)
  })
})

describe('a server that was not there, and is', () => {
  test('need not wait for the request after the next 17 minutes', () => {
    let schedule = FRESH
    for (let i = 0; i < 10; i++) schedule = sent(schedule, schedule.dueAt, 0.5)
    const now = schedule.sentAt + 10_000
    expect(hastened(schedule, now, 2_500)).toMatchObject({ pace: 'ask', timeout: 0, dueAt: now + 2_500 })
  })

  test('is asked no later than it would have been; what is held or refused stays as it is', () => {
    const silent = sent(FRESH, NOW, 0.5)
    expect(hastened(silent, NOW + 2_000, 2_500)).toBe(silent)
    for (const schedule of [granted(FRESH, 7200, NOW, 0), refused(FRESH, RESULTS['not-authorized'], 600, NOW)])
      expect(hastened(schedule, NOW + 2_000, 2_500)).toBe(schedule)
  })
})
