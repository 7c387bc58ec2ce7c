import { describe, expect, test } from 'vitest'
import type { AccessType } from '../../../lib/policy/rules/rule.js'
import { beginning, type ConnectionLoad, type Division, divide } from '../../../lib/policy/steering/load-balance.js'
import { seeded } from '../../support/random.js'
import { LINKS, type Outcome, type Simulation, type Source, simulate, type Traffic } from './load-balance-simulation.js'

const saturating: Source = () => Number.POSITIVE_INFINITY
const limited =
  (mbps: number): Source =>
  () =>
    mbps * 125
const bursts =
  (bytes: number, everyMs: number, from: number): Source =>
  now =>
    now % everyMs === from ? bytes : 0
const idle: Source = () => 0

/** Of fifty: idle ones, small ones, ones that come in bursts of up to 200 kB, and five that carry half of it all. */
function mixed(): Source[] {
  const random = seeded(5)
  return Array.from({ length: 50 }, (_, i) => {
    if (i % 10 < 3) return idle
    if (i % 10 < 6) return limited(0.1 + 0.4 * random())
    if (i % 10 < 8) return bursts(20_000 + 180_000 * random(), 500 + Math.floor(2000 * random()), 100 * (i % 5))
    return limited(i % 10 === 8 ? 1.5 : 0.2)
  })
}

/** Three that saturate, some that do not, and half of all in bursts of up to 200 kB: as the benchmark's. */
function busy(): Source[] {
  return [
    ...Array.from({ length: 3 }, () => saturating),
    ...Array.from({ length: 22 }, (_, i) => limited(0.08 + 0.016 * i)),
    ...Array.from({ length: 25 }, (_, i) => bursts(8000 * (i + 1), 400 + 20 * i, 13 * i)),
  ]
}

const SENDERS: Record<string, () => Source[]> = {
  'one limited to 10 Mbit/s': () => [limited(10)],
  'one limited to 20 Mbit/s': () => [limited(20)],
  'fifty, mixed': mixed,
  'one that saturates': () => [saturating],
  'one that saturates, and a small one': () => [saturating, limited(5)],
  'three that saturate': () => [saturating, saturating, saturating],
  'one that saturates, and fifty mixed': () => [...mixed(), saturating],
  'fifty, of which three saturate': busy,
}

const START_MS = 5000
const WINDOW_MS = 5000
const FOR_MS = 13_000

function run(
  sources: readonly Traffic[],
  percent: number,
  { away, links, forMs = FOR_MS }: Pick<Simulation, 'away' | 'links' | 'forMs'> = {},
): Outcome {
  let division: Division | undefined
  let credit = 0
  const starts = sources.map((): AccessType => {
    const begin = beginning(credit, percent)
    credit = begin.credit
    return begin.access
  })
  const left = { uses: { '3gpp': 'active', 'non-3gpp': 'none' }, sendBuffer: undefined } as const
  const law = (told: readonly ConnectionLoad[], now: number) => {
    if (away && now >= away.from && now < away.to) {
      division = undefined
      return new Map(told.map(({ token }) => [token, left]))
    }
    division = divide(division, told, percent, now)
    return division.connections
  }
  return simulate(sources, starts, law, { forMs: away ? away.to + forMs : forMs, away, ...(links && { links }) })
}

/** Points off the percentage, in the worst of all windows after the start. */
function worst(
  { received }: Outcome,
  percent: number,
  start = START_MS,
  direction: 'bytes' | 'up' | 'down' = 'bytes',
): number {
  const windows = received.flatMap((from, i) => {
    const to = received[i + WINDOW_MS / 10]
    if (from.at < start || !to) return []
    const over = (access: AccessType) => to[direction][access] - from[direction][access]
    return Math.abs((100 * over('3gpp')) / (over('3gpp') + over('non-3gpp')) - percent)
  })
  expect(windows.length).toBeGreaterThan(200)
  return Math.max(...windows)
}

/** Megabits per second after the start. */
function throughput({ received }: Outcome, from = START_MS, to = FOR_MS - 10): number {
  const total = (at: number) => received[at / 10]!.bytes['3gpp'] + received[at / 10]!.bytes['non-3gpp']
  return ((total(to) - total(from)) * 8) / (to - from) / 1000
}

/** What these percentages allow: the access that is first at its limit decides. */
function allowed(percent: number): number {
  return Math.min((100 * LINKS['3gpp'].mbps) / percent, (100 * LINKS['non-3gpp'].mbps) / (100 - percent))
}

const PERCENTAGES = [10, 20, 30, 40, 50, 60, 70, 80, 90]

describe('the share in the worst window of five seconds, in a simulation', () => {
  describe.each([
    ['one limited to 10 Mbit/s', 50],
    ['one limited to 20 Mbit/s', 50],
    ['fifty, mixed', 120],
  ])('%s: at most 2 points off, with at most %d changes of a flag in a second', (name, flags) => {
    test.each(PERCENTAGES)('%d percent', percent => {
      const outcome = run(SENDERS[name]!(), percent)
      expect(worst(outcome, percent)).toBeLessThan(2)
      expect(outcome.flags / (FOR_MS / 1000)).toBeLessThan(flags)
    })
  })

  // What is in a link's buffers, and headers, is not received: no sender gets all of what the percentages allow.
  describe.each([
    ['one that saturates', 0.85],
    ['one that saturates, and a small one', 0.85],
    ['three that saturate', 0.9],
    ['one that saturates, and fifty mixed', 0.55],
    ['fifty, of which three saturate', 0.7],
  ])('%s: at most 2 points off, with at least the share of %d of what the percentages allow', (name, least) => {
    test.each(PERCENTAGES)('%d percent', percent => {
      const outcome = run(SENDERS[name]!(), percent)
      expect(worst(outcome, percent)).toBeLessThan(2)
      expect(throughput(outcome) / allowed(percent)).toBeGreaterThan(least)
    })
  })

  // The peer obeys a flag half a round trip later, and what it has assigned before still arrives: up to its whole send buffer.
  describe('what is received', () => {
    const slow = { '3gpp': { mbps: 20, delayMs: 30 }, 'non-3gpp': { mbps: 50, delayMs: 10 } }
    const most = (percent: number) => Math.min((100 * 20) / percent, (100 * 50) / (100 - percent))

    test.each([
      ['10 Mbit/s', 20, limited(10), 2],
      ['10 Mbit/s', 50, limited(10), 2],
      ['10 Mbit/s', 80, limited(10), 2],
      ['4 Mbit/s in bursts', 20, bursts(5000, 10, 0), 2],
      ['4 Mbit/s in bursts', 50, bursts(5000, 10, 0), 2],
      ['4 Mbit/s in bursts', 80, bursts(5000, 10, 0), 2],
      ['200 bytes every 50 ms', 20, bursts(200, 50, 0), 3],
      ['200 bytes every 50 ms', 50, bursts(200, 50, 0), 3],
      ['200 bytes every 50 ms', 80, bursts(200, 50, 0), 3],
    ])('%s, %d percent: close to the percentage', (_, percent, down, points) => {
      const outcome = run([{ down }], percent, { links: slow })
      expect(worst(outcome, percent)).toBeLessThan(points)
      expect(outcome.flags / (FOR_MS / 1000)).toBeLessThan(10)
    })

    // Of the access that is not the scarcer one, the least that can be used is what the peer's send buffer assigns at once.
    test.each([
      [20, 2.5],
      [50, 4],
      [80, 8],
    ])('one that saturates, %d percent: at most %d points off, 0.9 of what is allowed', (percent, points) => {
      const outcome = run([{ down: saturating }], percent, { links: slow })
      expect(worst(outcome, percent)).toBeLessThan(points)
      expect(throughput(outcome) / most(percent)).toBeGreaterThan(0.9)
    })

    test.each([
      [20, 2.5],
      [50, 4],
      [80, 8],
    ])('both ways at once, %d percent: at most %d points off in each direction', (percent, points) => {
      const outcome = run([{ up: saturating, down: saturating }], percent, { links: slow })
      for (const direction of ['up', 'down'] as const)
        expect(worst(outcome, percent, START_MS, direction), direction).toBeLessThan(points)
    })

    test('the access that the scarcer one’s share allows is found again after ten seconds', () => {
      const outcome = run([{ down: now => (now < 8_000 ? 125 * 2 : Number.POSITIVE_INFINITY) }], 50, {
        links: slow,
        forMs: 30_000,
      })
      expect(throughput(outcome, 22_000, 29_990) / most(50)).toBeGreaterThan(0.9)
    })
  })

  describe('an access goes away, and comes back', () => {
    const away = { from: 4000, to: 6000 }
    describe.each(['one limited to 10 Mbit/s', 'one that saturates', 'fifty, mixed'])('%s', name => {
      test.each([20, 50, 80])('%d percent', percent => {
        const outcome = run(SENDERS[name]!(), percent, { away })
        const at = (when: number) => outcome.received[when / 10]!.bytes
        expect(at(away.to)['non-3gpp'] - at(away.from + 200)['non-3gpp']).toBe(0)
        expect(at(away.to)['3gpp']).toBeGreaterThan(at(away.from)['3gpp'])
        expect(worst(outcome, percent, away.to + 2000)).toBeLessThan(2)
      })
    })
  })
})

/** The load of a connection: by default 1000 bytes in a millisecond, over 3GPP access. */
const told = (token: number, changes: Partial<ConnectionLoad> = {}): ConnectionLoad => ({
  token,
  assigned: { '3gpp': 50_000, 'non-3gpp': 0 },
  received: { '3gpp': 0, 'non-3gpp': 0 },
  queued: { '3gpp': 0, 'non-3gpp': 0 },
  minRttMs: { '3gpp': 20, 'non-3gpp': 60 },
  movable: true,
  ...changes,
})
const over3gpp = { '3gpp': 50_000, 'non-3gpp': 0 }
const overOther = { '3gpp': 0, 'non-3gpp': 50_000 }
const nothing = { '3gpp': 0, 'non-3gpp': 0 }
const letters = { active: 'A', backup: 'b', none: '-' }

/** Passes of 50 ms: connections carry as much in each, over the access that they are put on if they can be. */
function pass(times: number, connections: readonly ConnectionLoad[], percent: number, before?: Division): Division {
  let division = before
  for (let i = 0; i < times; i++) {
    const now = connections.map(one => {
      const place = division?.connections.get(one.token)
      const bytes = one.assigned['3gpp'] + one.assigned['non-3gpp']
      if (!place || !one.movable) return one
      return {
        ...one,
        assigned: place.on === '3gpp' ? { '3gpp': bytes, 'non-3gpp': 0 } : { '3gpp': 0, 'non-3gpp': bytes },
      }
    })
    division = divide(division, now, percent, (before?.at ?? 0) + 50 * (i + 1))
  }
  return division!
}
/** Passes with the same load each time, whatever is wanted. */
const tell = (times: number, changes: Partial<ConnectionLoad>, percent: number, before?: Division) => {
  let division = before
  for (let i = 0; i < times; i++) division = divide(division, [told(1, changes)], percent, (division?.at ?? 0) + 50)
  return division!
}
const shown = (division: Division) =>
  [...division.connections.values()].map(({ uses }) => letters[uses['3gpp']] + letters[uses['non-3gpp']]).join(' ')

describe('where connections are put', () => {
  test.each<[string, string, number, ConnectionLoad[]]>([
    ['all over 3GPP access', 'Ab Ab', 100, [told(1), told(2, { assigned: overOther })]],
    ['all over non-3GPP access', 'bA bA', 0, [told(1), told(2, { assigned: overOther })]],
    ['one that has carried nothing yet: where most goes', 'Ab', 80, [told(1, { assigned: nothing })]],
    ['one that has carried nothing yet, with less over 3GPP', 'bA', 20, [told(1, { assigned: nothing })]],
    ['one of two connections is moved', 'bA Ab', 50, [told(1), told(2)]],
    ['the movable one is moved', 'Ab bA', 50, [told(1, { movable: false }), told(2)]],
    ['the one with traffic is moved', 'Ab bA', 50, [told(1, { assigned: nothing }), told(2)]],
    [
      'a connection without a backlog is moved first',
      'Ab bA',
      50,
      [told(1, { queued: { '3gpp': 99_999, 'non-3gpp': 0 } }), told(2)],
    ],
    ['as many as the share needs', 'bA Ab Ab Ab Ab', 80, [1, 2, 3, 4, 5].map(token => told(token))],
    [
      'a large one for a large error',
      'Ab Ab bA',
      50,
      [told(1), told(2), told(3, { assigned: { '3gpp': 100_000, 'non-3gpp': 0 } })],
    ],
  ])('%s', (_name, uses, percent, connections) => {
    expect(shown(pass(2, connections, percent))).toBe(uses)
  })

  test('no connection moves while the shares are right', () => {
    const connections = [
      told(1),
      told(2, { assigned: overOther }),
      told(3, { assigned: nothing }),
      told(4, { assigned: nothing }),
    ]
    const first = pass(1, connections, 50)
    const before = shown(first)
    let division = first
    for (let i = 0; i < 100; i++) {
      division = pass(1, connections, 50, division)
      expect(shown(division)).toBe(before)
    }
    expect(Math.abs(division.ahead)).toBeLessThan(1)
  })

  test('a connection that is no longer reported is forgotten', () => {
    const division = pass(1, [told(2)], 50, pass(3, [told(1), told(2)], 50))
    expect([...division.connections.keys()]).toEqual([2])
  })

  test('other connections compensate for one that cannot move', () => {
    const division = pass(3, [told(1, { movable: false }), told(2), told(3)], 34)
    expect(shown(division)).toBe('Ab bA bA')
  })
})

describe('the account', () => {
  test('is of bytes, and fades', () => {
    const first = pass(1, [told(1)], 80)
    expect(first.ahead).toBe(0)
    const second = pass(1, [told(1)], 80, first)
    expect(second.ahead).toBeCloseTo(10_000)
    const later = divide(second, [told(1, { assigned: nothing })], 80, second.at + 10_000)
    expect(later.ahead).toBeCloseTo(5_000)
  })

  test('starts again when the percentage changes, and the connections stay where they are', () => {
    const before = pass(5, [told(1), told(2)], 50)
    const division = pass(1, [told(1), told(2)], 51, before)
    expect(division.ahead).toBe(0)
    expect(shown(division)).toBe(shown(before))
  })

  test('a second pass at the same time does no harm', () => {
    const before = pass(5, [told(1)], 50)
    const division = divide(before, [told(1, { assigned: nothing })], 50, before.at)
    expect(Number.isFinite(division.ahead) && Number.isFinite(division.connections.get(1)!.rate)).toBe(true)
  })
})

describe('a saturated access', () => {
  const backlog = { '3gpp': 200_000, 'non-3gpp': 200_000 }
  /** Either takes 1000 bytes in a millisecond. */
  const full = (percent: number) =>
    tell(3, { queued: backlog, assigned: { '3gpp': 50_000, 'non-3gpp': 50_000 } }, percent)

  test('is recognized by what it carried while more was queued', () => {
    expect(full(50).capacity).toEqual({ '3gpp': 1000, 'non-3gpp': 1000 })
    expect(tell(1, { assigned: nothing }, 50, full(50)).capacity['3gpp']).toBeCloseTo(1000, -1)
    expect(tell(3, {}, 50).capacity, 'nothing was queued').toEqual({ '3gpp': 0, 'non-3gpp': 0 })
  })

  test('that limits the throughput is not held back while enough data waits for it', () => {
    // Non-3GPP access shall carry most, and is ahead all the same.
    const ahead = tell(10, { assigned: overOther, queued: backlog }, 30, full(30))
    expect(shown(ahead)).toBe('AA')
    expect(shown(tell(1, { assigned: overOther, queued: nothing }, 30, ahead))).toBe('Ab')
  })

  test('is held back where it does not limit it', () => {
    expect(shown(tell(10, { assigned: over3gpp, queued: backlog }, 30, full(30)))).toBe('bA')
  })
})

describe('send buffers', () => {
  const backlog = { '3gpp': 200_000, 'non-3gpp': 200_000 }
  const assigned = { '3gpp': 50_000, 'non-3gpp': 50_000 }
  test('of connections without a backlog are left alone', () => {
    expect(pass(3, [told(1)], 50).connections.get(1)!.sendBuffer).toBeUndefined()
  })
  test('of one bulk connection: a mebibyte', () => {
    expect(pass(3, [told(1, { queued: backlog, assigned })], 50).connections.get(1)!.sendBuffer).toBe(1_048_576)
  })
  test('as much as is in flight, if that is more', () => {
    const far = { queued: backlog, assigned, minRttMs: { '3gpp': 20, 'non-3gpp': 400 } }
    expect(tell(3, far, 50).connections.get(1)!.sendBuffer).toBe(1000 * 400 * 4.5)
  })
  test('but never more than 32 MiB for all: the kernel takes an int', () => {
    const endless = { queued: backlog, assigned, minRttMs: { '3gpp': 4_294_967.295, 'non-3gpp': 20 } }
    expect(tell(60, endless, 50).connections.get(1)!.sendBuffer).toBe(33_554_432)
  })
  test('of several bulk connections: a part each, but not too little', () => {
    const two = pass(3, [told(1, { queued: backlog }), told(2, { queued: backlog })], 50)
    expect(two.connections.get(1)!.sendBuffer).toBe(524_288)
    const nine = pass(
      3,
      [1, 2, 3, 4, 5, 6, 7, 8, 9].map(token => told(token, { queued: backlog })),
      50,
    )
    expect(nine.connections.get(1)!.sendBuffer).toBe(262_144)
  })
  test('stay as they were set', () => {
    const before = pass(3, [told(1, { queued: backlog, assigned })], 50)
    expect(pass(1, [told(1)], 50, before).connections.get(1)!.sendBuffer).toBe(1_048_576)
  })
})

describe('new connections', () => {
  test.each([0, 10, 25, 50, 80, 100])('begin over 3GPP access in %d of 100', percent => {
    let credit = 0
    let over = 0
    for (let i = 0; i < 100; i++) {
      const begin = beginning(credit, percent)
      credit = begin.credit
      if (begin.access === '3gpp') over++
      expect(Math.abs(over - ((i + 1) * percent) / 100)).toBeLessThanOrEqual(0.5 + 1e-9)
    }
    expect(over).toBe(percent)
  })

  test.each<[string, number, ConnectionLoad[], (over: number) => boolean]>([
    ['nothing is known: the percentage', 80, [], over => over === 80],
    ['nothing is carried: the percentage', 80, [told(1, { assigned: nothing })], over => over === 80],
    ['3GPP access is ahead: fewer', 50, [told(1, { movable: false })], over => over < 50],
    ['it is behind: more', 50, [told(1, { movable: false, assigned: overOther })], over => over > 50],
    ['far ahead: none', 10, [told(1, { movable: false })], over => over === 0],
    ['all as it should be', 50, [told(1), told(2, { assigned: overOther })], over => Math.abs(over - 50) < 1],
  ])('%s', (_name, percent, connections, expected) => {
    const { newOver3gpp } = pass(20, connections, percent)
    expect(newOver3gpp).toSatisfy(expected)
  })
})

test('a thousand connections', () => {
  const random = seeded(3)
  const thousand = Array.from({ length: 1000 }, (_, token) =>
    told(token, { assigned: random() < 0.5 ? over3gpp : overOther, movable: random() < 0.9 }),
  )
  const places = [...pass(20, thousand, 30).connections.values()]
  expect(places.filter(place => place.on === '3gpp').length).toBeGreaterThan(270)
  expect(places.filter(place => place.on === '3gpp').length).toBeLessThan(330)
})
