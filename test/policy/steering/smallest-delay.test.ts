import { describe, expect, test } from 'vitest'
import { type DelayMemory, smallestDelay } from '../../../lib/policy/steering/smallest-delay.js'
import type { AccessState } from '../../../lib/policy/steering/snapshot.js'

const NEVER = Number.NEGATIVE_INFINITY

/** At a time: both round-trip times in milliseconds, and what is wanted. */
type Step = [at: number, cellular: Rtt, other: Rtt, wanted: string]
/** Measured just now; the one measured at that time; not measured; the access is down. */
type Rtt = number | [rttMs: number, rttAt: number] | 'unknown' | 'down'

function access(rtt: Rtt, now: number): AccessState {
  const [rttMs, rttAt] = typeof rtt === 'number' ? [rtt, now] : typeof rtt === 'string' ? [undefined, NEVER] : rtt
  return {
    available: rtt !== 'down',
    suspected: false,
    why: 'x',
    lostAt: NEVER,
    rttMs,
    rttAt,
    lossPermille: undefined,
    receiveRttMs: undefined,
    receiveRttAt: Number.NEGATIVE_INFINITY,
    receiveLossPermille: undefined,
    bytesPerSecond: 0,
  }
}

/** The use of 3GPP and of non-3GPP access in letters, and what is to be measured. */
function run(steps: readonly Step[]): void {
  const letter = { active: 'A', backup: 'b', none: '-' }
  let memory: DelayMemory | undefined
  for (const [now, cellular, other, wanted] of steps) {
    const accesses = { '3gpp': access(cellular, now), 'non-3gpp': access(other, now) }
    const { uses, measure, why, delay } = smallestDelay(accesses, memory, now)
    const shown = `${letter[uses['3gpp']]}${letter[uses['non-3gpp']]}${measure ? ` measure ${measure}` : ''}`
    expect(`${now}: ${shown}`, why).toBe(`${now}: ${wanted}`)
    memory = delay
  }
}

describe('which access', () => {
  test.each<[string, Step[]]>([
    ['the faster one', [[0, 10, 50, 'Ab']]],
    ['the faster one, the other way round', [[0, 50, 10, 'bA']]],
    ['nothing is measured: non-3GPP', [[0, 'unknown', 'unknown', 'bA']]],
    ['only 3GPP is measured: non-3GPP', [[0, 10, 'unknown', 'bA']]],
    [
      'a first choice without measurement is mended as soon as there are some',
      [
        [0, 'unknown', 'unknown', 'bA'],
        [100, 10, 50, 'bA'],
        [600, 10, 50, 'Ab'],
      ],
    ],
    [
      'a little faster is not enough',
      [
        [0, 20, 18, 'bA'],
        [5000, 15, 18, 'bA'],
        [9000, 15, 18, 'bA'],
      ],
    ],
    [
      'a fifth of very little is not enough',
      [
        [0, 5, 4, 'bA'],
        [5000, 2, 4, 'bA'],
        [9000, 2, 4, 'bA'],
      ],
    ],
    [
      'faster for a moment only',
      [
        [0, 50, 20, 'bA'],
        [5000, 10, 20, 'bA'],
        [5400, 19, 20, 'bA'],
        [5500, 10, 20, 'bA'],
        [5900, 10, 20, 'bA'],
      ],
    ],
    [
      'faster for half a second',
      [
        [0, 50, 20, 'bA'],
        [5000, 10, 20, 'bA'],
        [5500, 10, 20, 'Ab'],
      ],
    ],
  ])('%s', (_name, steps) => run(steps))
})

describe('not too often', () => {
  test.each<[string, Step[]]>([
    [
      'after a change none for three seconds',
      [
        [0, 50, 20, 'bA'],
        [100, 10, 20, 'bA'],
        [600, 10, 20, 'Ab'],
        [700, 50, 20, 'Ab'],
        [3500, 50, 20, 'Ab'],
        [3600, 50, 20, 'bA'],
      ],
    ],
    [
      'each change soon after another one doubles that',
      [
        [0, 50, 20, 'bA'],
        [500, 10, 20, 'bA'],
        [1000, 10, 20, 'Ab'],
        [1500, 50, 20, 'Ab'],
        [4000, 50, 20, 'bA'],
        [4500, 10, 20, 'bA'],
        [9900, 10, 20, 'bA'],
        [10_000, 10, 20, 'Ab'],
      ],
    ],
    [
      'long after it, three seconds again',
      [
        [0, 50, 20, 'bA'],
        [500, 10, 20, 'bA'],
        [1000, 10, 20, 'Ab'],
        [20_000, 50, 20, 'Ab'],
        [20_500, 50, 20, 'bA'],
        [21_000, 10, 20, 'bA'],
        [23_500, 10, 20, 'Ab'],
      ],
    ],
  ])('%s', (_name, steps) => run(steps))

  test('if two accesses take turns at being faster, switches become rarer', () => {
    let memory: DelayMemory | undefined
    let changes = 0
    for (let now = 0; now < 600_000; now += 100) {
      const current = memory?.current ?? 'non-3gpp'
      const accesses = {
        '3gpp': access(current === '3gpp' ? 200 : 50, now),
        'non-3gpp': access(current === '3gpp' ? 50 : 200, now),
      }
      const before = memory?.current
      memory = smallestDelay(accesses, memory, now).delay
      if (before && before !== memory.current) changes++
    }
    expect(changes).toBeLessThan(20)
  })
})

describe('one access down', () => {
  test.each<[string, Step[]]>([
    [
      'the faster one lost',
      [
        [0, 10, 50, 'Ab'],
        [1, 'down', 50, '-A'],
      ],
    ],
    [
      'the slower one lost, and back',
      [
        [0, 10, 50, 'Ab'],
        [1, 10, 'down', 'A-'],
        [2, 10, 50, 'Ab'],
      ],
    ],
    [
      'the faster one back: not before it has been there for a while',
      [
        [0, 10, 50, 'Ab'],
        [1, 'down', 50, '-A'],
        [500, 10, 50, 'bA'],
        [2900, 10, 50, 'bA'],
        [3001, 10, 50, 'Ab'],
      ],
    ],
    [
      'flapping',
      [
        [0, 10, 50, 'Ab'],
        [100, 'down', 50, '-A'],
        [200, 10, 50, 'bA'],
        [300, 'down', 50, '-A'],
        [400, 10, 50, 'bA'],
        [3300, 10, 50, 'Ab'],
      ],
    ],
    [
      'both down, and back',
      [
        [0, 10, 50, 'Ab'],
        [1, 'down', 'down', '--'],
        [5000, 10, 50, 'Ab'],
      ],
    ],
    [
      'both down, the slower one back first',
      [
        [0, 10, 50, 'Ab'],
        [1, 'down', 'down', '--'],
        [2, 'down', 50, '-A'],
        [4000, 10, 50, 'bA'],
        [4500, 10, 50, 'Ab'],
      ],
    ],
  ])('%s', (_name, steps) => run(steps))
})

describe('measuring the standby', () => {
  test.each<[string, Step[]]>([
    [
      'when its time is ten seconds old',
      [
        [0, 10, 50, 'Ab'],
        [9_999, 10, [50, 0], 'Ab'],
        [10_000, 10, [50, 0], 'Ab measure non-3gpp'],
      ],
    ],
    [
      'once in ten seconds, whatever comes of it',
      [
        [0, 10, 50, 'Ab'],
        [10_000, 10, [50, 0], 'Ab measure non-3gpp'],
        [10_001, 10, [50, 0], 'Ab'],
        [19_999, 10, [50, 0], 'Ab'],
        [20_000, 10, [50, 0], 'Ab measure non-3gpp'],
      ],
    ],
    [
      'not when it has been measured meanwhile',
      [
        [0, 10, 50, 'Ab'],
        [10_000, 10, [50, 5_000], 'Ab'],
        [15_000, 10, [50, 5_000], 'Ab measure non-3gpp'],
      ],
    ],
    [
      'not when it is not there',
      [
        [0, 10, 50, 'Ab'],
        [20_000, 10, 'down', 'A-'],
      ],
    ],
    [
      'a time of long ago moves nothing',
      [
        [0, 50, 20, 'bA'],
        [16_000, [5, 0], 20, 'bA measure 3gpp'],
        [16_600, [5, 0], 20, 'bA'],
      ],
    ],
    [
      'what it finds moves the traffic',
      [
        [0, 50, 20, 'bA'],
        [10_000, [50, 0], 20, 'bA measure 3gpp'],
        [10_100, 10, 20, 'bA'],
        [10_600, [10, 10_100], 20, 'Ab'],
      ],
    ],
  ])('%s', (_name, steps) => run(steps))
})

test('says why', () => {
  const why = (cellular: Rtt, other: Rtt) =>
    smallestDelay({ '3gpp': access(cellular, 0), 'non-3gpp': access(other, 0) }, undefined, 0).why
  expect(why(10, 50)).toBe('3gpp 10.0 ms, non-3gpp 50.0 ms')
  expect(why('unknown', 50)).toBe('non-3gpp 50.0 ms, 3gpp not measured')
  expect(why('down', 50)).toBe('3gpp is not available: x')
})
