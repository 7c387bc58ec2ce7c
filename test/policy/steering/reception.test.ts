import { describe, expect, test } from 'vitest'
import {
  isFlowing,
  isQuiet,
  judgeProbes,
  NOT_PROBED,
  NOTHING_RECEIVED,
  type Probing,
  quietIn,
  received,
} from '../../../lib/policy/steering/reception.js'
import type { Reception, SubflowState } from '../../../lib/policy/steering/snapshot.js'

const NEVER = Number.NEGATIVE_INFINITY

/** What samples every 10 ms show of data that arrives at these times, one segment each. */
function follow(arrivals: readonly number[], until: number, rttMs = 0): Reception {
  let reception = NOTHING_RECEIVED
  for (let now = 10; now <= until; now += 10) {
    const seen = arrivals.filter(at => at <= now)
    if (seen.length === 0) continue
    reception = received(reception, { segments: seen.length, sinceMs: now - seen.at(-1)!, rttMs }, now)
  }
  return reception
}

const every = (ms: number, from: number, to: number) =>
  Array.from({ length: Math.floor((to - from) / ms) + 1 }, (_, i) => from + i * ms)

const subflow = (reception: Reception, changes: Partial<SubflowState> = {}): SubflowState => ({
  id: 1,
  access: 'non-3gpp',
  state: 'established',
  backup: false,
  createdAt: 0,
  receivedAt: reception.at,
  progressAt: 0,
  outstanding: false,
  unacked: 0,
  window: 10,
  askedAt: NEVER,
  superseded: false,
  outdated: false,
  addressGone: false,
  rttMs: 20,
  reception,
  flaggedAt: NEVER,
  dueAt: Number.POSITIVE_INFINITY,
  isProbe: false,
  ...changes,
})

test('the round trip of a standby that was idle for 16 s is not 16 s', () => {
  const arrivals = every(10, 20, 6000)
  let reception = NOTHING_RECEIVED
  let estimate = 16_000
  const shown: number[] = []
  for (const [index, now] of arrivals.entries()) {
    // The kernel smooths by an eighth with each round trip of 60 ms.
    if (index % 6 === 5) estimate += (60 - estimate) / 8
    reception = received(reception, { segments: index + 1, sinceMs: 0, rttMs: estimate }, now)
    if (reception.rttMs !== undefined) shown.push(reception.rttMs)
  }
  expect(Math.max(...shown)).toBeLessThan(300)
  expect(shown.at(-1)).toBeCloseTo(60, -1)
})

describe('a flow', () => {
  test.each([
    ['five segments within a moment', [10, 20, 30, 40, 50], 50, true],
    ['three', [10, 20, 30], 50, false],
    ['one a second is none', every(1000, 0, 10_000), 10_000, false],
    ['one in 50 ms is one', every(50, 0, 2000), 2000, true],
    ['until 1.5 s after its last byte', every(10, 0, 500), 1990, true],
    ['and not for longer', every(10, 0, 500), 2010, false],
  ])('%s', (_, arrivals, now, expected) => {
    expect(isFlowing(subflow(follow(arrivals, now)), now)).toBe(expected)
  })

  test('is none while the subflow is not established', () =>
    expect(isFlowing(subflow(follow(every(10, 0, 500), 500), { state: 'joining' }), 500)).toBe(false))
})

describe('quiet', () => {
  test.each([
    ['a bulk flow, after 50 ms', every(1, 0, 500), 551, true],
    ['and not before', every(1, 0, 500), 550, false],
    ['one in 50 ms, after 75', every(50, 0, 1000), 1076, true],
    ['and not before', every(50, 0, 1000), 1070, false],
    [
      'one that has paused for 300 ms before, after about 450',
      [...every(10, 0, 500), ...every(10, 800, 1000)],
      1430,
      false,
    ],
    ['and then', [...every(10, 0, 500), ...every(10, 800, 1000)], 1450, true],
    [
      'one that pauses for long, after a second at the latest',
      [...every(10, 0, 500), ...every(10, 1900, 2400)],
      3410,
      true,
    ],
  ])('%s', (_, arrivals, now, expected) => {
    expect(isQuiet(subflow(follow(arrivals, now - (now % 10))), now)).toBe(expected)
  })

  const bulk = follow(every(1, 0, 500), 600)
  test('not where the peer was asked to send nothing', () =>
    expect(isQuiet(subflow(bulk, { backup: true }), 600)).toBe(false))

  test('not before the peer can know that it may send here again', () => {
    const told = subflow(bulk, { flaggedAt: 580 })
    expect(isQuiet(told, 650)).toBe(false)
    expect(isQuiet(told, 661)).toBe(true)
  })

  test('the next scan comes when a flow would be quiet', () => {
    expect(quietIn([subflow(follow(every(1, 0, 500), 520))], 520)).toBe(31)
    expect(quietIn([subflow(follow(every(1, 0, 500), 520), { backup: true })], 520)).toBe(Number.POSITIVE_INFINITY)
  })
})

describe('the round-trip time of what is received', () => {
  test('the kernel’s, less the longest gap that samples have shown', () => {
    expect(follow(every(1, 0, 500), 500, 60).rttMs).toBe(60)
    expect(follow(every(8, 0, 500), 500, 60).rttMs).toBeGreaterThanOrEqual(52)
    expect(follow(every(8, 0, 500), 500, 60).rttMs).toBeLessThan(60)
  })

  test('absent where the gaps are most of it: the peer had nothing to send', () => {
    expect(follow(every(50, 0, 1000), 1000, 70).rttMs).toBeUndefined()
    expect(follow(every(1, 0, 500), 600, 60).rttMs).toBeUndefined()
  })

  test('absent where the kernel has measured none', () => expect(follow(every(1, 0, 500), 500).rttMs).toBeUndefined())
})

describe('probes', () => {
  const access = (now: number, changes: Partial<Parameters<typeof judgeProbes>[1]> = {}) => {
    const reception = follow(every(1, 0, 500), Math.min(now, 600))
    return {
      subflows: [subflow(reception)],
      receivedAt: reception.at,
      carries: true,
      idleProbeMs: 30_000,
      ...changes,
    }
  }
  const joining = (now: number) => [
    ...access(now).subflows,
    subflow(NOTHING_RECEIVED, { id: 2, state: 'joining', isProbe: true, receivedAt: NEVER, rttMs: 0, createdAt: 551 }),
  ]
  const open: Probing = { at: 551, isOpen: true, unanswered: 0 }

  test('none while a flow is not quiet', () =>
    expect(judgeProbes(NOT_PROBED, access(540), 540)).toEqual({ probing: NOT_PROBED, isDue: false, isSilent: false }))

  test('one when it is', () =>
    expect(judgeProbes(NOT_PROBED, access(551), 551)).toEqual({ probing: open, isDue: true, isSilent: false }))

  test('no other one while its answer is awaited: 1.5 round trips and 40 ms', () =>
    expect(judgeProbes(open, access(621, { subflows: joining(621) }), 621)).toEqual({
      probing: open,
      isDue: false,
      isSilent: false,
    }))

  test('no answer: the access is silent', () => {
    const { probing, isSilent } = judgeProbes(open, access(622, { subflows: joining(622) }), 622)
    expect(isSilent).toBe(true)
    expect(probing).toEqual({ at: 551, isOpen: false, unanswered: 1 })
  })

  test('an answer: the server had no more to say, and no other probe asks the same', () => {
    const answered = judgeProbes(open, access(575, { receivedAt: 572 }), 575)
    expect(answered).toEqual({ probing: { at: 551, isOpen: false, unanswered: 0 }, isDue: false, isSilent: false })
    expect(judgeProbes(answered.probing, access(1500, { receivedAt: 572 }), 1500).isDue).toBe(false)
  })

  test('a probe that the kernel has refused proves nothing, and is made again', () => {
    const { probing, isDue, isSilent } = judgeProbes(open, access(700), 700)
    expect({ isSilent, unanswered: probing.unanswered }).toEqual({ isSilent: false, unanswered: 0 })
    expect(isDue).toBe(false)
  })

  test('a flow that has paused before needs two of them', () => {
    const reception = follow([...every(10, 0, 500), ...every(10, 800, 1000)], 1450)
    const flow = subflow(reception)
    const asking = subflow(NOTHING_RECEIVED, {
      id: 2,
      state: 'joining',
      isProbe: true,
      receivedAt: NEVER,
      createdAt: 1460,
    })
    const paused = { subflows: [flow, asking], receivedAt: reception.at, carries: true, idleProbeMs: 30_000 }
    const first = judgeProbes({ at: 1460, isOpen: true, unanswered: 0 }, paused, 1540)
    expect(first).toEqual({ probing: { at: 1540, isOpen: true, unanswered: 1 }, isDue: true, isSilent: false })
    expect(judgeProbes(first.probing, paused, 1620).isSilent).toBe(true)
  })

  describe('an idle access', () => {
    const idle = {
      subflows: [subflow({ ...NOTHING_RECEIVED, at: 0 })],
      receivedAt: 0,
      carries: true,
      idleProbeMs: 30_000,
    }
    const asking = subflow(NOTHING_RECEIVED, { id: 2, state: 'joining', isProbe: true, receivedAt: NEVER })
    const waits = { ...idle, subflows: [...idle.subflows, asking] }

    test.each([
      ['is probed when nothing was received for so long', {}, 30_000, true],
      ['and not before', {}, 29_999, false],
      ['not if no connection relies on it', { carries: false }, 60_000, false],
      ['not if that is off', { idleProbeMs: Number.POSITIVE_INFINITY }, 86_400_000, false],
    ])('%s', (_, changes, now, isDue) => {
      expect(judgeProbes(NOT_PROBED, { ...idle, ...changes }, now).isDue).toBe(isDue)
    })

    test('two probes without an answer: silent', () => {
      const first = judgeProbes(NOT_PROBED, idle, 30_000)
      const second = judgeProbes(first.probing, waits, 30_100)
      expect(second).toMatchObject({ isDue: true, isSilent: false })
      expect(judgeProbes(second.probing, waits, 30_200)).toMatchObject({ isDue: false, isSilent: true })
    })

    test('an answer to the second: not', () => {
      const first = judgeProbes(NOT_PROBED, idle, 30_000)
      const second = judgeProbes(first.probing, waits, 30_100)
      const after = judgeProbes(second.probing, { ...idle, receivedAt: 30_120 }, 30_130)
      expect(after).toMatchObject({ probing: { unanswered: 0 }, isDue: false, isSilent: false })
    })
  })
})
