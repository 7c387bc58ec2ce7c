import { describe, expect, test } from 'vitest'
import type { Thresholds } from '../../lib/policy/rules.js'
import type { AccessState } from '../../lib/policy/snapshot.js'
import { type CongestionMemory, priorityBased } from '../../lib/policy/steering-priority.js'

const UP: AccessState = {
  available: true,
  suspected: false,
  why: 'up',
  lostAt: Number.NEGATIVE_INFINITY,
  rttMs: undefined,
  rttAt: Number.NEGATIVE_INFINITY,
  lossPermille: undefined,
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
        [250, 60, 'Ab'],
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

test('loss counts where the rule has a threshold for it', () => {
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

test('an access that comes back with a longer way is not congested', () => {
  run(undefined, [
    [0, 20, 'Ab'],
    [1000, 'down', '-A'],
    [2000, 110, 'Ab'],
    [3000, 110, 'Ab'],
    [4000, 300, 'Ab'],
    [4200, 300, 'AA'],
  ])
})
