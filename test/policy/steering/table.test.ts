/** Every steering mode in every situation: what is wanted of both accesses, step by step. Single modes in depth: their own tests. */
import { describe, expect, test } from 'vitest'
import type { Steering } from '../../../lib/policy/rules/rule.js'
import { decide, type SteeringMemory } from '../../../lib/policy/steering/modes.js'
import type { AccessState } from '../../../lib/policy/steering/snapshot.js'

/** With the time from one step to the next, in milliseconds. */
const SITUATIONS = {
  'both up': 1000,
  'one down, and back': 1000,
  flapping: 10,
  'both down, and back': 1000,
  'a threshold crossed, and recovered': 1000,
} as const

/**
 * Steps: what 3GPP and non-3GPP access are (+ well, with 20 ms of round trip; - down; ! up, with 200 ms and 5 % loss), and what is
 * wanted of them: A active, b backup, - not to be used; the percentage to be kept.
 */
type Row = Record<keyof typeof SITUATIONS, string>

const RTT_AND_LOSS = { rttMs: 100, lossPermille: 10 }

/** Load-balancing by fixed percentages, whatever the indicator, except thresholds. */
const divided = (percent: number, threshold: string): Row => ({
  'both up': `++ AA${percent}`,
  'one down, and back': `++ AA${percent} / +- A- / ++ AA${percent} / -+ -A / ++ AA${percent}`,
  flapping: `++ AA${percent} / +- A- / ++ AA${percent} / +- A- / ++ AA${percent} / -+ -A / ++ AA${percent}`,
  'both down, and back': `++ AA${percent} / -- -- / +- A- / ++ AA${percent} / -- -- / -+ -A / ++ AA${percent}`,
  'a threshold crossed, and recovered': threshold,
})
const asTheKernelDivides = (): Row => ({
  'both up': `++ AA`,
  'one down, and back': `++ AA / +- A- / ++ AA / -+ -A / ++ AA`,
  flapping: `++ AA / +- A- / ++ AA / +- A- / ++ AA`,
  'both down, and back': `++ AA / -- -- / +- A- / ++ AA / -- -- / -+ -A / ++ AA`,
  'a threshold crossed, and recovered': `++ AA / !+ AA / !+ AA / ++ AA`,
})
/** All on non-3GPP access, 3GPP access ready. */
const overTheOther = (threshold: string): Row => ({
  'both up': '++ bA',
  'one down, and back': '++ bA / +- A- / ++ bA / -+ -A / ++ bA',
  flapping: '++ bA / +- A- / ++ bA / +- A- / ++ bA / -+ -A / ++ bA',
  'both down, and back': '++ bA / -- -- / +- A- / ++ bA / -- -- / -+ -A / ++ bA',
  'a threshold crossed, and recovered': threshold,
})

const TABLE: Record<Steering['mode'], [name: string, Steering, Row][]> = {
  'active-standby': [
    [
      'with a standby',
      { mode: 'active-standby', active: 'non-3gpp', standby: '3gpp' },
      overTheOther('++ bA / +! bA / +! bA / +! bA / ++ bA'),
    ],
    [
      'without a standby',
      { mode: 'active-standby', active: '3gpp', standby: undefined },
      {
        'both up': '++ A-',
        'one down, and back': '++ A- / -+ -- / ++ A- / +- A- / ++ A-',
        flapping: '++ A- / -+ -- / ++ A- / -+ -- / ++ A- / +- A- / ++ A-',
        'both down, and back': '++ A- / -- -- / -+ -- / ++ A- / -- -- / +- A- / ++ A-',
        'a threshold crossed, and recovered': '++ A- / !+ A- / !+ A- / !+ A- / ++ A-',
      },
    ],
  ],
  'smallest-delay': [
    [
      'of two alike, whichever carries already',
      { mode: 'smallest-delay' },
      {
        'both up': '++ bA',
        'one down, and back': '++ bA / +- A- / ++ Ab / -+ -A / ++ bA',
        flapping: '++ bA / +- A- / ++ Ab / +- A- / ++ Ab / -+ -A / ++ bA',
        'both down, and back': '++ bA / -- -- / +- A- / ++ Ab / -- -- / -+ -A / ++ bA',
        // The slower one is left within a second; and the other one, once that is the slower.
        'a threshold crossed, and recovered': '++ bA / +! bA / +! Ab / +! Ab / ++ Ab / !+ Ab / !+ bA',
      },
    ],
  ],
  'load-balancing': [
    [
      'fixed percentages',
      { mode: 'load-balancing', percent3gpp: 80 },
      divided(80, '++ AA80 / !+ AA80 / !+ AA80 / ++ AA80'),
    ],
    [
      'fixed percentages with thresholds',
      { mode: 'load-balancing', percent3gpp: 80, thresholds: RTT_AND_LOSS },
      divided(80, '++ AA80 / !+ AA80 / !+ AA8 / !! AA8 / !! AA80 / ++ AA80 / ++ AA80 / ++ AA80'),
    ],
    ['autonomous', { mode: 'load-balancing', percent3gpp: undefined, indicator: 'autonomous' }, asTheKernelDivides()],
    [
      'UE assistance',
      { mode: 'load-balancing', percent3gpp: 30, indicator: 'ue-assistance' },
      divided(30, '++ AA30 / +! AA30 / +! AA30 / ++ AA30'),
    ],
  ],
  'priority-based': [
    [
      'with thresholds',
      { mode: 'priority-based', high: 'non-3gpp', thresholds: RTT_AND_LOSS },
      overTheOther('++ bA / +! bA / +! AA / !! AA / ++ AA / ++ AA / ++ bA / !+ bA / !+ bA'),
    ],
    [
      'without thresholds',
      { mode: 'priority-based', high: 'non-3gpp' },
      overTheOther('++ bA / +! bA / +! AA / !! AA / ++ AA / ++ AA / ++ bA / !+ bA / !+ bA'),
    ],
  ],
  redundant: [
    [
      'refused; as active-standby, where it is to be degraded',
      { mode: 'redundant', thresholds: RTT_AND_LOSS },
      {
        'both up': '++ Ab',
        'one down, and back': '++ Ab / -+ -A / ++ Ab / +- A- / ++ Ab',
        flapping: '++ Ab / -+ -A / ++ Ab / -+ -A / ++ Ab',
        'both down, and back': '++ Ab / -- -- / -+ -A / ++ Ab / -- -- / +- A- / ++ Ab',
        'a threshold crossed, and recovered': '++ Ab / !+ Ab / !+ Ab / ++ Ab',
      },
    ],
  ],
  unknown: [
    [
      'refused; whatever is available, where it is to be degraded',
      { mode: 'unknown', code: 9, information: new Uint8Array() },
      asTheKernelDivides(),
    ],
  ],
}

describe.each(Object.entries(TABLE))('%s', (_mode, rows) => {
  describe.each(rows)('%s', (_name, steering, row) => {
    test.each(Object.entries(SITUATIONS))('%s', (situation, interval) => {
      let memory: SteeringMemory = {}
      for (const [index, step] of row[situation as keyof Row].split(' / ').entries()) {
        const now = index * interval
        const [is = '', wanted] = step.split(' ')
        const accesses = { '3gpp': access(is[0], now), 'non-3gpp': access(is[1], now) }
        const decision = decide(steering, accesses, memory, now)
        expect(`${index}: ${is} ${shown(decision)}`, decision.why).toBe(`${index}: ${is} ${wanted}`)
        memory = decision.memory
      }
    })
  })
})

function access(is: string | undefined, now: number): AccessState {
  const bad = is === '!'
  return {
    available: is !== '-',
    suspected: false,
    why: is === '-' ? 'no carrier' : 'up',
    lostAt: Number.NEGATIVE_INFINITY,
    rttMs: bad ? 200 : 20,
    rttAt: now,
    lossPermille: bad ? 50 : 0,
    receiveRttMs: undefined,
    receiveRttAt: Number.NEGATIVE_INFINITY,
    receiveLossPermille: undefined,
    bytesPerSecond: 0,
  }
}

function shown({ uses, percent3gpp }: ReturnType<typeof decide>): string {
  const letter = { active: 'A', backup: 'b', none: '-' }
  return `${letter[uses['3gpp']]}${letter[uses['non-3gpp']]}${percent3gpp ?? ''}`
}
