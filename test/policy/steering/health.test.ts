import { describe, expect, test } from 'vitest'
import {
  type Evidence,
  evidenceOf,
  type Health,
  health,
  isDoubtful,
  isLost,
  isSilent,
  scanAgainIn,
  UNKNOWN_HEALTH,
} from '../../../lib/policy/steering/health.js'
import { NOTHING_RECEIVED } from '../../../lib/policy/steering/reception.js'
import type { SubflowState } from '../../../lib/policy/steering/snapshot.js'

const subflow = (changes: Partial<SubflowState>): SubflowState => ({
  id: 1,
  access: '3gpp',
  state: 'established',
  backup: false,
  createdAt: 0,
  receivedAt: 1000,
  progressAt: 1000,
  outstanding: true,
  unacked: 1,
  window: 10,
  askedAt: Number.NEGATIVE_INFINITY,
  superseded: false,
  outdated: false,
  addressGone: false,
  rttMs: 20,
  reception: NOTHING_RECEIVED,
  flaggedAt: Number.NEGATIVE_INFINITY,
  dueAt: Number.POSITIVE_INFINITY,
  isProbe: false,
  ...changes,
})

const NEVER = Number.NEGATIVE_INFINITY
const UNMEASURED = {
  rttMs: undefined as number | undefined,
  rttAt: NEVER,
  receiveRttMs: undefined as number | undefined,
  receiveRttAt: NEVER,
}

describe('silence of a subflow', () => {
  test.each<[string, Partial<SubflowState>, now: number, boolean]>([
    ['a hundred milliseconds without an acknowledgement', {}, 1100, false],
    ['more than that', {}, 1101, true],
    ['three round trips, where they are longer', { rttMs: 60 }, 1180, false],
    ['more than three round trips', { rttMs: 60 }, 1181, true],
    ['a second, before a round trip is measured', { rttMs: 0 }, 2000, false],
    ['more than that', { rttMs: 0 }, 2001, true],
    ['nothing is on its way', { outstanding: false }, 9000, false],
    ['not established', { state: 'joining' }, 9000, false],
    ['closed', { state: 'closed' }, 9000, false],
  ])('%s: %o', (_name, changes, now, silent) => expect(isSilent(subflow(changes), now)).toBe(silent))
})

test('half-way to silence, a subflow is doubtful', () => {
  expect([1050, 1051].map(now => isDoubtful(subflow({}), now))).toEqual([false, true])
  expect([1090, 1091].map(now => isDoubtful(subflow({ rttMs: 60 }), now))).toEqual([false, true])
  expect(isDoubtful(subflow({ outstanding: false }), 9000)).toBe(false)
})

describe('when to scan again', () => {
  const never = Number.POSITIVE_INFINITY
  test.each<[string, Partial<SubflowState>[], now: number, inMs: number]>([
    ['no subflows', [], 1000, never],
    ['nothing is on its way', [{ outstanding: false }], 1000, never],
    ['no answer to its handshake', [{ state: 'joining', receivedAt: Number.NEGATIVE_INFINITY }], 1000, never],
    ['its join was answered, but may still be refused', [{ state: 'joining' }], 1049, 2],
    ['nothing has been received since the join', [{ state: 'joining' }], 1050, never],
    ['when it would be doubtful', [{ unacked: 4 }], 1010, 41],
    ['too little is in flight for doubt to cause a question', [{ unacked: 3 }], 1010, 91],
    ['when it would be silent', [{}], 1060, 41],
    ['silent already', [{}], 1101, never],
    ['the earliest of several', [{ progressAt: 990 }, {}], 1000, 91],
    ['an answer is awaited', [{ outstanding: false, askedAt: 1100, receivedAt: 10 }], 1110, 2],
    ['the answer has arrived', [{ outstanding: false, askedAt: 1100, receivedAt: 1105 }], 1110, never],
    ['the answer is too late', [{ outstanding: false, askedAt: 1100, receivedAt: 10 }], 1150, never],
  ])('%s', (_name, subflows, now, inMs) => expect(scanAgainIn(subflows.map(subflow), now)).toBe(inMs))
})

describe('a subflow is lost', () => {
  test.each<[string, Partial<SubflowState>, lostAt: number, boolean]>([
    ['its access has never been lost', {}, Number.NEGATIVE_INFINITY, false],
    ['its access has been lost since', { receivedAt: 1000 }, 1001, true],
    ['something was received since', { receivedAt: 1022 }, 1001, false],
    [
      'something was received at the time of the loss, which is known to a few milliseconds',
      { receivedAt: 1021 },
      1001,
      true,
    ],
    ['its address has disappeared', { addressGone: true, receivedAt: 1040 }, Number.NEGATIVE_INFINITY, true],
    [
      'created since, and nothing received yet',
      { state: 'joining', createdAt: 1002, receivedAt: Number.NEGATIVE_INFINITY },
      1001,
      false,
    ],
    ['silent on a working access', { createdAt: 900, progressAt: 940 }, 800, true],
  ])('%s', (_name, changes, lostAt, lost) =>
    expect(isLost(subflow(changes), { ...UNMEASURED, lostAt }, 1050)).toBe(lost),
  )

  // Its own round trip is 20 ms: it was at rest while others filled the queue.
  test.each<[string, Partial<typeof UNMEASURED>, silentMs: number, boolean]>([
    ['what others send waits 120 ms', { rttMs: 120, rttAt: 1000 }, 350, false],
    ['and has been answered long ago', { rttMs: 120, rttAt: 1000 }, 370, true],
    ['what others receive waits 120 ms', { receiveRttMs: 120, receiveRttAt: 1000 }, 350, false],
    ['what others have received earlier', { receiveRttMs: 120, receiveRttAt: 1000 - 2_000 }, 350, true],
  ])('silent on a working access: %s', (_name, measured, silentMs, lost) => {
    const at = 1050
    const silent = subflow({ rttMs: 20, createdAt: 0, progressAt: at - silentMs })
    expect(isLost(silent, { ...UNMEASURED, ...measured, lostAt: NEVER }, at)).toBe(lost)
  })
})

describe('silence of an access', () => {
  const silent = subflow({ progressAt: 1000, receivedAt: 1000 })
  test.each<[string, SubflowState[], Evidence]>([
    ['no subflows', [], { silent: false, receivedAt: Number.NEGATIVE_INFINITY }],
    ['the only one is silent', [silent], { silent: true, receivedAt: 1000 }],
    [
      'idle subflows are no evidence',
      [silent, subflow({ outstanding: false, receivedAt: 400 })],
      { silent: true, receivedAt: 1000 },
    ],
    [
      'another subflow receives data: only one server is silent',
      [silent, subflow({ receivedAt: 1090, progressAt: 1090 })],
      { silent: false, receivedAt: 1090 },
    ],
    [
      'all are silent, each since a different time',
      [silent, subflow({ progressAt: 1040, receivedAt: 1040 })],
      { silent: true, receivedAt: 1040 },
    ],
    [
      'one of them waits less long',
      [silent, subflow({ progressAt: 1090, receivedAt: 995 })],
      { silent: true, receivedAt: 1000 },
    ],
    [
      'its own time is known to some milliseconds only',
      [subflow({ progressAt: 1000, receivedAt: 1004 })],
      { silent: true, receivedAt: 1004 },
    ],
    [
      'something comes in, but no acknowledgement',
      [subflow({ progressAt: 1000, receivedAt: 1090 })],
      { silent: false, receivedAt: 1090 },
    ],
  ])('%s', (_name, subflows, heard) => expect(evidenceOf(subflows, { lostAt: NEVER }, 1150)).toEqual(heard))

  test.each<[string, Partial<SubflowState>, silent: boolean]>([
    ['left behind when the access went', { createdAt: 100, receivedAt: 900 }, false],
    ['its address has disappeared', { createdAt: 950, receivedAt: 1000, addressGone: true }, false],
    ['made since', { createdAt: 950, receivedAt: 1000 }, true],
    ['something was received since', { createdAt: 100, receivedAt: 1000 }, true],
  ])('the access is back, and what is silent was %s', (_name, changes, found) =>
    expect(evidenceOf([subflow({ progressAt: 1000, ...changes })], { lostAt: 920 }, 1150).silent).toBe(found),
  )
})

/** At a time in milliseconds: the link (up, down), what was received (silent, or when), and the state of the access then. */
type Step = [at: number, link: 'up' | 'down', heard: 'silent' | number, is: 'well' | 'away' | 'suspected' | 'settling']

/** Of 3GPP access; the other one is well all the time, or away. */
function run(steps: readonly Step[], other: 'well' | 'away' = 'well'): Record<'3gpp' | 'non-3gpp', Health> {
  const otherLink = { usable: other === 'well', why: 'other' }
  let state: ReturnType<typeof health> = {
    '3gpp': UNKNOWN_HEALTH,
    'non-3gpp': { ...UNKNOWN_HEALTH, available: other === 'well' },
  }
  for (const [now, link, heard, is] of steps) {
    const links = { '3gpp': { usable: link === 'up', why: `carrier ${link}` }, 'non-3gpp': otherLink }
    const said = heard === 'silent' ? { silent: true, receivedAt: now - 100 } : { silent: false, receivedAt: heard }
    state = health(state, links, { '3gpp': said, 'non-3gpp': { silent: false, receivedAt: 0 } }, now)
    const { available, suspected, why } = state['3gpp']
    const shown = available ? 'well' : suspected ? 'suspected' : why.startsWith('it was lost') ? 'settling' : 'away'
    expect(`${now}: ${shown}`, why).toBe(`${now}: ${is}`)
  }
  return state
}

describe('link', () => {
  test.each<[string, Step[]]>([
    ['there from the beginning', [[0, 'up', 0, 'well']]],
    [
      'not there from the beginning',
      [
        [0, 'down', 0, 'away'],
        [1, 'up', 0, 'well'],
      ],
    ],
    [
      'lost, and back: relied upon at once',
      [
        [0, 'up', 0, 'well'],
        [1, 'down', 0, 'away'],
        [2, 'up', 0, 'well'],
      ],
    ],
    [
      'flapping: waits half a second the second time, a second the third time',
      [
        [0, 'up', 0, 'well'],
        [10, 'down', 0, 'away'],
        [20, 'up', 0, 'well'],
        [30, 'down', 0, 'away'],
        [40, 'up', 0, 'settling'],
        [539, 'up', 0, 'settling'],
        [540, 'up', 0, 'well'],
        [550, 'down', 0, 'away'],
        [1540, 'up', 0, 'settling'],
        [2539, 'up', 0, 'settling'],
        [2540, 'up', 0, 'well'],
      ],
    ],
    [
      'lost again while it settles: from the beginning',
      [
        [0, 'up', 0, 'well'],
        [10, 'down', 0, 'away'],
        [20, 'up', 0, 'well'],
        [30, 'down', 0, 'away'],
        [500, 'up', 0, 'settling'],
        [510, 'down', 0, 'away'],
        [520, 'up', 0, 'settling'],
        [1519, 'up', 0, 'settling'],
        [1520, 'up', 0, 'well'],
      ],
    ],
    [
      'after a minute it is forgotten',
      [
        [0, 'up', 0, 'well'],
        [10, 'down', 0, 'away'],
        [20, 'up', 0, 'well'],
        [60_011, 'down', 0, 'away'],
        [60_012, 'up', 0, 'well'],
      ],
    ],
  ])('%s', (_name, steps) => void run(steps))

  test('waits two seconds at most', () => {
    const flaps = Array.from({ length: 20 }, (_, i): Step[] => [
      [20 * i, 'up', 0, i < 2 ? 'well' : 'settling'],
      [20 * i + 10, 'down', 0, 'away'],
    ])
    const steps: Step[] = [
      ...flaps.flat(),
      [400, 'up', 0, 'settling'],
      [2_399, 'up', 0, 'settling'],
      [2_400, 'up', 0, 'well'],
    ]
    // The second time it is back it settles already; the first two are the beginning, and the first return.
    run(steps)
  })

  test('after silences sixteen seconds at most', () => {
    const silences = Array.from({ length: 10 }, (_, i): Step[] => [
      [20 * i, 'up', 20 * i, i < 2 ? 'well' : 'settling'],
      [20 * i + 10, 'up', 'silent', 'suspected'],
    ])
    run([
      ...silences.flat(),
      [400, 'up', 400, 'settling'],
      [16_399, 'up', 400, 'settling'],
      [16_400, 'up', 400, 'well'],
    ])
  })

  test('the only access left does not have to wait', () => {
    run(
      [
        [0, 'up', 0, 'well'],
        [10, 'down', 0, 'away'],
        [20, 'up', 0, 'well'],
        [30, 'down', 0, 'away'],
        [40, 'up', 0, 'well'],
      ],
      'away',
    )
  })

  test('an access that is still settling is used once the other one is lost', () => {
    const state = run([
      [0, 'up', 0, 'well'],
      [10, 'down', 0, 'away'],
      [20, 'up', 0, 'well'],
      [30, 'down', 0, 'away'],
      [40, 'up', 0, 'settling'],
    ])
    const nothing = { silent: false, receivedAt: 0 }
    const heard = { '3gpp': nothing, 'non-3gpp': nothing }
    const after = health(
      state,
      { '3gpp': { usable: true, why: '' }, 'non-3gpp': { usable: false, why: '' } },
      heard,
      50,
    )
    expect(after['3gpp'].available).toBe(true)
    expect(after['non-3gpp'].available).toBe(false)
  })
})

describe('silence', () => {
  test.each<[string, Step[]]>([
    [
      'is a loss',
      [
        [0, 'up', 0, 'well'],
        [1000, 'up', 'silent', 'suspected'],
      ],
    ],
    [
      'lasts until something comes in',
      [
        [0, 'up', 0, 'well'],
        [1000, 'up', 'silent', 'suspected'],
        [9000, 'up', 900, 'suspected'],
        [9001, 'up', 1000, 'suspected'],
        [9002, 'up', 9001, 'well'],
      ],
    ],
    [
      'is over when the link has been down: it is another one',
      [
        [0, 'up', 0, 'well'],
        [1000, 'up', 'silent', 'suspected'],
        [2000, 'down', 900, 'away'],
        [3000, 'up', 900, 'settling'],
        [3500, 'up', 900, 'well'],
      ],
    ],
    [
      'again and again: waits, as with a link that flaps',
      [
        [0, 'up', 0, 'well'],
        [1000, 'up', 'silent', 'suspected'],
        [1100, 'up', 1090, 'well'],
        [1300, 'up', 'silent', 'suspected'],
        [1400, 'up', 1390, 'settling'],
        [1899, 'up', 1790, 'settling'],
        [1900, 'up', 1790, 'well'],
      ],
    ],
  ])('%s', (_name, steps) => void run(steps))
})

test('says why, and since when', () => {
  const link = (usable: boolean) => ({ usable, why: usable ? 'wlan0 is up' : 'wlan0 has no carrier' })
  const step = (before: Health, usable: boolean, heard: Evidence, now: number) =>
    health(
      { '3gpp': before, 'non-3gpp': UNKNOWN_HEALTH },
      { '3gpp': link(usable), 'non-3gpp': link(true) },
      { '3gpp': heard, 'non-3gpp': heard },
      now,
    )['3gpp']
  const up = step(UNKNOWN_HEALTH, true, { silent: false, receivedAt: 0 }, 100)
  expect(up).toMatchObject({ available: true, why: 'wlan0 is up', lostAt: Number.NEGATIVE_INFINITY })
  const down = step(up, false, { silent: false, receivedAt: 0 }, 200)
  expect(down).toMatchObject({ available: false, why: 'wlan0 has no carrier', lostAt: 200 })
  expect(step(down, false, { silent: false, receivedAt: 0 }, 300)).toMatchObject({ lostAt: 200 })
  const silent = step(up, true, { silent: true, receivedAt: 90 }, 400)
  expect(silent).toMatchObject({ available: false, why: 'no acknowledgements', lostAt: 400 })
  expect(step(silent, true, { silent: true, receivedAt: 90 }, 500)).toMatchObject({ lostAt: 400 })
})
