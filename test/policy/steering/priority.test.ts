import { describe, expect, test } from 'vitest'
import type { Thresholds } from '../../../lib/policy/rules/rule.js'
import { type CongestionMemory, priorityBased } from '../../../lib/policy/steering/priority.js'
import type { AccessState } from '../../../lib/policy/steering/snapshot.js'

const UP: AccessState = {
  available: true,
  suspected: false,
  why: 'up',
  lostAt: Number.NEGATIVE_INFINITY,
  rttMs: undefined,
  rttAt: Number.NEGATIVE_INFINITY,
  lossPermille: undefined,
  receiveRttMs: undefined,
  receiveRttAt: Number.NEGATIVE_INFINITY,
  receiveLossPermille: undefined,
  bytesPerSecond: 0,
}
const DOWN: AccessState = { ...UP, available: false, why: 'no carrier' }

/** At a time: what is measured of the access of high priority (3GPP), and what is wanted of both. */
type Step = [at: number, high: number | 'idle' | 'down' | { loss: number }, wanted: string, low?: AccessState]

function run(thresholds: Thresholds | undefined, steps: readonly Step[]): void {
  const letter = { active: 'A', backup: 'b', none: '-' }
  const steering = { mode: 'priority-based' as const, high: '3gpp' as const, ...(thresholds ? { thresholds } : {}) }
  let memory: CongestionMemory | undefined
  for (const [now, high, wanted, low = UP] of steps) {
    const measured = { ...UP, rttAt: now, rttMs: typeof high === 'number' ? high : 20 }
    const cellular =
      high === 'down'
        ? DOWN
        : high === 'idle'
          ? UP
          : typeof high === 'number'
            ? measured
            : { ...measured, lossPermille: high.loss }
    const { uses, why, congestion } = priorityBased(steering, { '3gpp': cellular, 'non-3gpp': low }, memory, now)
    expect(`${now}: ${letter[uses['3gpp']]}${letter[uses['non-3gpp']]}`, why).toBe(`${now}: ${wanted}`)
    memory = congestion
  }
}

describe.each<[string, Thresholds | undefined]>([
  ['without thresholds', undefined],
  ['with thresholds', { rttMs: 100, lossPermille: 10 }],
])('%s', (_name, thresholds) => {
  test.each<[string, Step[]]>([
    [
      'the other one stands by',
      [
        [0, 'idle', 'Ab'],
        [1, 20, 'Ab'],
        [500, 60, 'Ab'],
      ],
    ],
    [
      'congested for a moment',
      [
        [0, 20, 'Ab'],
        [100, 120, 'Ab'],
        [250, 40, 'Ab'],
        [300, 120, 'Ab'],
        [450, 120, 'Ab'],
      ],
    ],
    [
      'congested: the overflow goes over the other one',
      [
        [0, 20, 'Ab'],
        [100, 120, 'Ab'],
        [300, 120, 'AA'],
      ],
    ],
    [
      'and recovered, for two seconds',
      [
        [0, 20, 'Ab'],
        [100, 120, 'Ab'],
        [300, 120, 'AA'],
        [400, 30, 'AA'],
        [2300, 30, 'AA'],
        [2400, 30, 'Ab'],
      ],
    ],
    [
      'hardly better is not recovered',
      [
        [0, 20, 'Ab'],
        [100, 120, 'Ab'],
        [300, 120, 'AA'],
        [400, 95, 'AA'],
        [9000, 95, 'AA'],
      ],
    ],
    [
      'better for a moment is not recovered',
      [
        [0, 20, 'Ab'],
        [100, 120, 'Ab'],
        [300, 120, 'AA'],
        [400, 30, 'AA'],
        [2000, 120, 'AA'],
        [2500, 30, 'AA'],
        [4000, 30, 'AA'],
      ],
    ],
    [
      'congested, then idle',
      [
        [0, 20, 'Ab'],
        [100, 120, 'Ab'],
        [300, 120, 'AA'],
        [400, 'idle', 'AA'],
        [2400, 'idle', 'Ab'],
      ],
    ],
    [
      'the high one lost, and back',
      [
        [0, 20, 'Ab'],
        [1, 'down', '-A'],
        [2, 20, 'Ab'],
      ],
    ],
    [
      'congested, lost, and back: not congested',
      [
        [0, 20, 'Ab'],
        [1, 120, 'Ab'],
        [201, 120, 'AA'],
        [300, 'down', '-A'],
        [400, 20, 'Ab'],
      ],
    ],
    [
      'the low one lost, and back',
      [
        [0, 20, 'Ab'],
        [1, 20, 'A-', DOWN],
        [2, 20, 'Ab'],
      ],
    ],
    [
      'congested without the low one',
      [
        [0, 20, 'Ab'],
        [1, 120, 'A-', DOWN],
        [201, 120, 'A-', DOWN],
        [300, 120, 'AA'],
      ],
    ],
    [
      'both lost, and back',
      [
        [0, 20, 'Ab'],
        [1, 'down', '--', DOWN],
        [2, 'down', '-A'],
        [3, 20, 'Ab'],
      ],
    ],
    [
      'flapping',
      [
        [0, 20, 'Ab'],
        [1, 'down', '-A'],
        [2, 20, 'Ab'],
        [3, 'down', '-A'],
        [4, 20, 'Ab'],
      ],
    ],
  ])('%s', (_name, steps) => run(thresholds, steps))
})

test('loss counts if the rule has a threshold for it', () => {
  run({ lossPermille: 10 }, [
    [0, { loss: 5 }, 'Ab'],
    [100, { loss: 11 }, 'Ab'],
    [300, { loss: 11 }, 'AA'],
    [400, { loss: 7 }, 'AA'],
    [2400, { loss: 7 }, 'Ab'],
  ])
  run({ rttMs: 100 }, [
    [0, { loss: 500 }, 'Ab'],
    [300, { loss: 500 }, 'Ab'],
  ])
  run(undefined, [
    [0, { loss: 500 }, 'Ab'],
    [300, { loss: 500 }, 'Ab'],
  ])
})

test('an access that returns with a longer path is not congested', () => {
  run(undefined, [
    [0, 20, 'Ab'],
    [1000, 'down', '-A'],
    [2000, 110, 'Ab'],
    [3000, 110, 'Ab'],
    [4000, 300, 'Ab'],
    [4200, 300, 'AA'],
  ])
})

/** What is measured of the high-priority access at a time. `measuredAt`: the measurement is from that time. */
interface Seen {
  rttMs: number
  bytesPerSecond: number
  measuredAt?: number
}

/** The times at which the wanted accesses change, with a check every 50 ms until `until`; the first entry is the start. */
function changes(until: number, seen: (now: number) => Seen): string[] {
  const told: string[] = []
  let memory: CongestionMemory | undefined
  for (let now = 0; now <= until; now += 50) {
    const { measuredAt = now, ...measured } = seen(now)
    const accesses = { '3gpp': { ...UP, ...measured, rttAt: measuredAt }, 'non-3gpp': UP }
    const { uses, congestion } = priorityBased({ mode: 'priority-based', high: '3gpp' }, accesses, memory, now)
    memory = congestion
    const wanted = uses['non-3gpp'] === 'active' ? 'both' : 'high'
    if (!told.at(-1)?.endsWith(wanted)) told.push(`${now / 1000} ${wanted}`)
  }
  return told
}

describe('without thresholds, a path that changes', () => {
  /** A call's, and a bulk transfer's. */
  const [LITTLE, MUCH] = [12_500, 2_500_000]

  test('longer for good, with little traffic: congested for the ten seconds until that is certain', () => {
    const longer = changes(600_000, now => ({ rttMs: now < 1_000 ? 20 : 150, bytesPerSecond: LITTLE }))
    expect(longer).toEqual(['0 high', '1.2 both', '13 high'])
  })

  test('longer for good, and then congested: the congestion is detected', () => {
    const rttMs = (now: number) => (now < 1_000 ? 20 : now < 20_000 ? 150 : 400)
    const seen = changes(60_000, now => ({ rttMs: rttMs(now), bytesPerSecond: now < 20_000 ? LITTLE : MUCH }))
    expect(seen).toEqual(['0 high', '1.2 both', '13 high', '20.2 both'])
  })

  test('the shortest of the longer round-trip times counts', () => {
    const rttMs = (now: number) => (now < 1_000 ? 20 : now < 10_900 ? 150 : now < 11_100 ? 700 : 400)
    const seen = changes(60_000, now => ({ rttMs: rttMs(now), bytesPerSecond: now < 11_100 ? 5_000 : MUCH }))
    expect(seen).toEqual(['0 high', '1.2 both'])
  })

  test('a queue that never empties is congestion, for an hour', () => {
    // As a loss-based sender's: it falls to 0.7 of what it was, and grows.
    const rttMs = (now: number) => (now < 1_000 ? 20 : 84 + (36 * (now % 3_000)) / 3_000)
    expect(changes(3_600_000, now => ({ rttMs: rttMs(now), bytesPerSecond: MUCH }))).toEqual(['0 high', '1.2 both'])
  })

  test('a queue that never empties is congestion on a slow link, too', () => {
    // 1 Mbit/s.
    const slow = changes(60_000, now => ({ rttMs: now < 1_000 ? 20 : 300, bytesPerSecond: 125_000 }))
    expect(slow).toEqual(['0 high', '1.2 both'])
  })

  test('longer for good under load: congested until the load is over', () => {
    const seen = changes(120_000, now => ({
      rttMs: now < 1_000 ? 20 : now < 60_000 ? 250 : 150,
      bytesPerSecond: now < 60_000 ? MUCH : LITTLE,
    }))
    expect(seen).toEqual(['0 high', '1.2 both', '72 high'])
  })

  test('a measurement under load does not count as one without load when the load is over', () => {
    const seen = changes(40_000, now => {
      const isOver = now >= 20_000
      const rest = isOver ? { measuredAt: 19_950 } : {}
      if (now >= 34_000) return { rttMs: 120, bytesPerSecond: MUCH }
      return { rttMs: now < 1_000 ? 20 : 120, bytesPerSecond: isOver ? 0 : MUCH, ...rest }
    })
    expect(seen).toEqual(['0 high', '1.2 both'])
  })

  test('a path that is short again now and then counts as short', () => {
    const rttMs = (now: number) => (now < 1_000 || now % 8_000 === 0 ? 20 : 150)
    const seen = changes(60_000, now => ({ rttMs: rttMs(now), bytesPerSecond: LITTLE }))
    expect(seen).toEqual(['0 high', '1.2 both'])
  })

  test('a little longer, again and again: not congested', () => {
    const seen = changes(120_000, now => ({ rttMs: 20 + now / 1_000, bytesPerSecond: LITTLE }))
    expect(seen).toEqual(['0 high'])
  })

  test('shorter for good: counts at once', () => {
    const seen = changes(5_000, now => {
      return { rttMs: now < 1_000 ? 300 : now < 2_000 ? 100 : 210, bytesPerSecond: LITTLE }
    })
    expect(seen).toEqual(['0 high', '2.2 both'])
  })
})
