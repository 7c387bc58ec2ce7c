import { describe, expect, test } from 'vitest'
import type { Steering } from '../../../lib/policy/rules/rule.js'
import { allowedAccesses, decide, firstAccesses, type SteeringMemory } from '../../../lib/policy/steering/modes.js'
import type { Accesses, AccessState } from '../../../lib/policy/steering/snapshot.js'

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
const rtt = (rttMs: number): AccessState => ({ ...UP, rttMs, rttAt: 0 })
const loss = (lossPermille: number): AccessState => ({ ...rtt(20), lossPermille })

const at = (cellular: AccessState, other: AccessState): Accesses => ({ '3gpp': cellular, 'non-3gpp': other })

/** The use of 3GPP and of non-3GPP access in letters, the share to keep, and what else is wanted. */
function shown(decision: ReturnType<typeof decide>): string {
  const letter = { active: 'A', backup: 'b', none: '-' }
  const { uses, percent3gpp, measure } = decision
  const share = percent3gpp === undefined ? '' : ` ${percent3gpp}%`
  return `${letter[uses['3gpp']]}${letter[uses['non-3gpp']]}${share}${measure ? ` measure ${measure}` : ''}`
}

/** At a time in milliseconds: the state of both accesses from then on, and what is wanted. Measured again at each step. */
type Step = [at: number, accesses: [cellular: AccessState, other: AccessState], wanted: string]

function run(steering: Steering, steps: readonly Step[]): void {
  let memory: SteeringMemory = {}
  for (const [now, [cellular, other], wanted] of steps) {
    const fresh = (access: AccessState) => (access.rttMs === undefined ? access : { ...access, rttAt: now })
    const decision = decide(steering, at(fresh(cellular), fresh(other)), memory, now)
    expect(`${now}: ${shown(decision)}`, decision.why).toBe(`${now}: ${wanted}`)
    memory = decision.memory
  }
}

const both: [AccessState, AccessState] = [UP, UP]
const cellularDown: [AccessState, AccessState] = [DOWN, UP]
const otherDown: [AccessState, AccessState] = [UP, DOWN]
const neither: [AccessState, AccessState] = [DOWN, DOWN]

const withStandby: Steering = { mode: 'active-standby', active: 'non-3gpp', standby: '3gpp' }
const withoutStandby: Steering = { mode: 'active-standby', active: '3gpp', standby: undefined }

describe('active-standby', () => {
  test.each<[string, Steering, Step[]]>([
    ['both up: the standby is ready', withStandby, [[0, both, 'bA']]],
    [
      'the active access lost, and back',
      withStandby,
      [
        [0, both, 'bA'],
        [1, otherDown, 'A-'],
        [2, both, 'bA'],
      ],
    ],
    [
      'the standby lost, and back',
      withStandby,
      [
        [0, both, 'bA'],
        [1, cellularDown, '-A'],
        [2, both, 'bA'],
      ],
    ],
    [
      'both lost, the standby back first',
      withStandby,
      [
        [0, neither, '--'],
        [1, otherDown, 'A-'],
        [2, both, 'bA'],
      ],
    ],
    [
      'both lost, the active access back first',
      withStandby,
      [
        [0, neither, '--'],
        [1, cellularDown, '-A'],
        [2, both, 'bA'],
      ],
    ],
    [
      'flapping: an unavailable access is not used, however fast it changes',
      withStandby,
      [
        [0, both, 'bA'],
        [10, otherDown, 'A-'],
        [20, both, 'bA'],
        [30, otherDown, 'A-'],
        [40, both, 'bA'],
      ],
    ],
    ['without a standby: the other access is not used', withoutStandby, [[0, both, 'A-']]],
    [
      'without a standby, the active access lost: nothing until it is back',
      withoutStandby,
      [
        [0, both, 'A-'],
        [1, cellularDown, '--'],
        [60_000, cellularDown, '--'],
        [60_001, both, 'A-'],
      ],
    ],
    [
      'without a standby, the other access does not matter',
      withoutStandby,
      [
        [0, otherDown, 'A-'],
        [1, neither, '--'],
      ],
    ],
  ])('%s', (_name, steering, steps) => run(steering, steps))

  test('says why', () => {
    const why = (steering: Steering, accesses: [AccessState, AccessState]) =>
      decide(steering, at(...accesses), {}, 0).why
    expect(why(withStandby, both)).toBe('non-3gpp is the active access')
    expect(why(withStandby, otherDown)).toBe('non-3gpp is not available: no carrier; 3gpp is its standby')
    expect(why(withStandby, neither)).toBe('non-3gpp is not available: no carrier; 3gpp is not available: no carrier')
    expect(why(withoutStandby, cellularDown)).toBe('3gpp is not available: no carrier; there is no standby')
  })
})

describe('load-balancing', () => {
  const fixed = (percent3gpp: number, thresholds?: { rttMs?: number; lossPermille?: number }): Steering =>
    thresholds ? { mode: 'load-balancing', percent3gpp, thresholds } : { mode: 'load-balancing', percent3gpp }
  const autonomous: Steering = { mode: 'load-balancing', percent3gpp: undefined, indicator: 'autonomous' }
  const rttMs = { rttMs: 100 }

  test.each<[string, Steering, Step[]]>([
    ['fixed: both are used', fixed(80), [[0, both, 'AA 80%']]],
    [
      'all over 3GPP: the other one is ready',
      fixed(100),
      [
        [0, both, 'Ab 100%'],
        [1, cellularDown, '-A'],
        [2, both, 'Ab 100%'],
      ],
    ],
    [
      'all over non-3GPP',
      fixed(0),
      [
        [0, both, 'bA 0%'],
        [1, otherDown, 'A-'],
        [2, both, 'bA 0%'],
      ],
    ],
    [
      'one lost: the other carries everything',
      fixed(80),
      [
        [0, both, 'AA 80%'],
        [1, cellularDown, '-A'],
        [2, both, 'AA 80%'],
      ],
    ],
    [
      'both lost, and back one by one',
      fixed(80),
      [
        [0, neither, '--'],
        [1, otherDown, 'A-'],
        [2, both, 'AA 80%'],
      ],
    ],
    [
      'flapping',
      fixed(20),
      [
        [0, both, 'AA 20%'],
        [1, otherDown, 'A-'],
        [2, both, 'AA 20%'],
        [3, otherDown, 'A-'],
      ],
    ],
    [
      'autonomous: as the kernel divides',
      autonomous,
      [
        [0, both, 'AA'],
        [1, otherDown, 'A-'],
        [2, neither, '--'],
        [3, both, 'AA'],
      ],
    ],
    ['autonomous: the percentages may be ignored', { ...autonomous, percent3gpp: 80 }, [[0, both, 'AA']]],
    [
      'a threshold crossed: the other access takes most; after two seconds under it, as before',
      fixed(50, rttMs),
      [
        [0, [rtt(90), rtt(20)], 'AA 50%'],
        [1000, [rtt(101), rtt(20)], 'AA 50%'],
        [1200, [rtt(101), rtt(20)], 'AA 5%'],
        [1300, [rtt(79), rtt(20)], 'AA 5%'],
        [3200, [rtt(79), rtt(20)], 'AA 5%'],
        [3300, [rtt(79), rtt(20)], 'AA 50%'],
      ],
    ],
    [
      'crossed for a moment: nothing',
      fixed(50, rttMs),
      [
        [0, [rtt(101), rtt(20)], 'AA 50%'],
        [150, [rtt(99), rtt(20)], 'AA 50%'],
        [250, [rtt(101), rtt(20)], 'AA 50%'],
      ],
    ],
    [
      'just under the threshold is not recovered',
      fixed(50, rttMs),
      [
        [0, [rtt(20), rtt(101)], 'AA 50%'],
        [200, [rtt(20), rtt(101)], 'AA 95%'],
        [5000, [rtt(20), rtt(85)], 'AA 95%'],
        [9000, [rtt(20), rtt(85)], 'AA 95%'],
      ],
    ],
    [
      'over on both: the percentages',
      fixed(50, rttMs),
      [
        [0, [rtt(101), rtt(101)], 'AA 50%'],
        [200, [rtt(101), rtt(101)], 'AA 50%'],
      ],
    ],
    [
      'a loss threshold',
      fixed(40, { lossPermille: 10 }),
      [
        [0, [loss(11), loss(0)], 'AA 40%'],
        [200, [loss(11), loss(0)], 'AA 4%'],
        [300, [loss(7), loss(0)], 'AA 4%'],
        [2300, [loss(7), loss(0)], 'AA 40%'],
      ],
    ],
    [
      'not measured: not over',
      fixed(40, { ...rttMs, lossPermille: 10 }),
      [
        [0, both, 'AA 40%'],
        [200, both, 'AA 40%'],
      ],
    ],
    [
      'over, then not measured for long: as the percentages say, so that it is measured',
      fixed(50, rttMs),
      [
        [0, [rtt(101), rtt(20)], 'AA 50%'],
        [200, [rtt(101), rtt(20)], 'AA 5%'],
        [20_000, [UP, rtt(20)], 'AA 5%'],
        [22_000, [UP, rtt(20)], 'AA 50%'],
      ],
    ],
    [
      'over a threshold, and lost',
      fixed(50, rttMs),
      [
        [0, [rtt(101), rtt(20)], 'AA 50%'],
        [200, [rtt(101), rtt(20)], 'AA 5%'],
        [300, [DOWN, rtt(20)], '-A'],
        [400, [rtt(30), rtt(20)], 'AA 50%'],
      ],
    ],
  ])('%s', (_name, steering, steps) => run(steering, steps))

  test('UE assistance: the percentages of the rule, unless the device has a reason for others', () => {
    const assisted: Steering = { mode: 'load-balancing', percent3gpp: 70, indicator: 'ue-assistance' }
    const battery = { percent3gpp: 10, why: 'the battery is low' }
    const wanted = (steering: Steering, accesses = both) => shown(decide(steering, at(...accesses), {}, 0, battery))
    expect(shown(decide(assisted, at(...both), {}, 0))).toBe('AA 70%')
    expect(wanted(assisted)).toBe('AA 10%')
    expect(wanted(assisted, otherDown)).toBe('A-')
    expect(wanted(fixed(70)), 'not without the indicator').toBe('AA 70%')
    expect(decide(assisted, at(...both), {}, 0, battery).why).toBe(
      '10 % over 3gpp, as the device wants: the battery is low',
    )
  })

  test('says why', () => {
    const memory = {
      congestion: { '3gpp': { over: true, otherwiseSince: undefined, minRttMs: 20, longer: undefined } },
    }
    expect(decide(fixed(80), at(...both), {}, 0).why).toBe('80 % over 3gpp, as the rule says')
    expect(decide(fixed(80, rttMs), at(rtt(101), rtt(1)), memory, 0).why).toBe(
      '8 % over 3gpp, 3gpp is over a threshold',
    )
  })
})

test('redundant: active-standby instead, where the session allows the rule', () => {
  run({ mode: 'redundant' }, [
    [0, both, 'Ab'],
    [1, cellularDown, '-A'],
    [2, both, 'Ab'],
    [3, neither, '--'],
  ])
  run({ mode: 'redundant', primary: 'non-3gpp' }, [
    [0, both, 'bA'],
    [1, otherDown, 'A-'],
  ])
})

test('unknown: all available accesses, where the session allows the rule', () => {
  const unknown: Steering = { mode: 'unknown', code: 9, information: new Uint8Array() }
  run(unknown, [
    [0, both, 'AA'],
    [1, cellularDown, '-A'],
    [2, neither, '--'],
    [3, both, 'AA'],
  ])
})

describe('the first subflow', () => {
  test.each<[string, Steering, [AccessState, AccessState], string]>([
    ['active-standby', withStandby, both, 'non-3gpp 3gpp'],
    ['active-standby, the active access lost', withStandby, otherDown, '3gpp non-3gpp'],
    ['no standby', withoutStandby, both, '3gpp'],
    ['no standby, the active access lost', withoutStandby, cellularDown, '3gpp'],
    ['smallest delay', { mode: 'smallest-delay' }, [rtt(10), rtt(50)], '3gpp non-3gpp'],
    ['load-balancing', { mode: 'load-balancing', percent3gpp: 50 }, both, 'non-3gpp 3gpp'],
    ['load-balancing, all over 3GPP', { mode: 'load-balancing', percent3gpp: 100 }, both, '3gpp non-3gpp'],
    ['priority-based', { mode: 'priority-based', high: '3gpp' }, both, '3gpp non-3gpp'],
    ['neither is there', { mode: 'priority-based', high: '3gpp' }, neither, 'non-3gpp 3gpp'],
  ])('%s', (_name, steering, accesses, order) => {
    expect(firstAccesses(steering, decide(steering, at(...accesses), {}, 0)).join(' ')).toBe(order)
  })

  test('of a load balance begins on the access that lacks most', () => {
    const steering: Steering = { mode: 'load-balancing', percent3gpp: 80 }
    const order = (accesses: [AccessState, AccessState]) =>
      firstAccesses(steering, decide(steering, at(...accesses), {}, 0), '3gpp').join(' ')
    expect(order(both)).toBe('3gpp non-3gpp')
    expect(order(cellularDown)).toBe('non-3gpp 3gpp')
  })

  test('only on an access that the rule allows', () => {
    expect(allowedAccesses(withoutStandby)).toEqual(['3gpp'])
    expect(allowedAccesses(withStandby)).toEqual(['3gpp', 'non-3gpp'])
    expect(allowedAccesses({ mode: 'smallest-delay' })).toEqual(['3gpp', 'non-3gpp'])
  })
})
