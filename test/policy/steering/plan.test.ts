import { describe, expect, test } from 'vitest'
import type { AccessType } from '../../../lib/policy/rules/rule.js'
import { type Action, NO_RETRIES, plan, type Retries, retryAfter } from '../../../lib/policy/steering/plan.js'
import { NOTHING_RECEIVED } from '../../../lib/policy/steering/reception.js'
import type { Accesses, AccessState, SubflowState, Use } from '../../../lib/policy/steering/snapshot.js'

const NEVER = Number.NEGATIVE_INFINITY
const NOW = 10_000

const UP: AccessState = {
  available: true,
  suspected: false,
  why: 'up',
  lostAt: NEVER,
  rttMs: 20,
  rttAt: NOW,
  lossPermille: undefined,
  receiveRttMs: undefined,
  receiveRttAt: Number.NEGATIVE_INFINITY,
  receiveLossPermille: undefined,
  bytesPerSecond: 0,
}
const LOST: AccessState = { ...UP, available: false, why: 'no carrier', lostAt: NOW }
const SUSPECTED: AccessState = { ...UP, available: false, suspected: true, why: 'silent', lostAt: NOW }
/** It was lost a second ago, and is there again. */
const BACK: AccessState = { ...UP, lostAt: NOW - 1000 }

/** By default created and last received from long ago; nothing in flight. */
const subflow = (id: number, access: AccessType | undefined, changes: Partial<SubflowState> = {}): SubflowState => ({
  id,
  access,
  state: 'established',
  backup: false,
  createdAt: 1000,
  receivedAt: 1100,
  progressAt: NOW,
  outstanding: false,
  unacked: 0,
  window: 10,
  askedAt: NEVER,
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
const cellular = (id: number, changes: Partial<SubflowState> = {}) => subflow(id, '3gpp', changes)
const other = (id: number, changes: Partial<SubflowState> = {}) => subflow(id, 'non-3gpp', changes)

const backup = { backup: true }
const closed = { state: 'closed' as const }
const fresh = { createdAt: NOW - 50, receivedAt: NOW - 10 }
const joining = { state: 'joining' as const, createdAt: NOW - 50, receivedAt: NEVER }
const silent = { outstanding: true, progressAt: NOW - 200, receivedAt: NOW - 200 }

/** 3GPP, non-3GPP: A active, b backup, - none. */
const uses = (letters: string) => {
  const use = (letter: string | undefined): Use => (letter === 'A' ? 'active' : letter === 'b' ? 'backup' : 'none')
  return { '3gpp': use(letters[0]), 'non-3gpp': use(letters[1]) }
}
const shown = (action: Action): string => {
  if (action.do === 'create') return `create ${action.access}${action.backup ? ' backup' : ''}`
  if (action.do === 'destroy' || action.do === 'ask') return `${action.do} ${action.subflow}`
  return `${action.subflow} ${action.backup ? 'backup' : 'active'}`
}

type Row = [name: string, wanted: string, accesses: [AccessState, AccessState], SubflowState[], actions: string[]]

function check(
  rows: readonly Row[],
  allowed: readonly AccessType[] = ['3gpp', 'non-3gpp'],
  retries: Retries = NO_RETRIES,
) {
  test.each(rows)('%s', (_name, wanted, [one, two], subflows, actions) => {
    const accesses: Accesses = { '3gpp': one, 'non-3gpp': two }
    const wish = { uses: uses(wanted), allowed, why: 'the rule', mayAsk: true }
    const planned = plan(wish, subflows, accesses, retries, NOW)
    expect(planned.map(shown)).toEqual(actions)
    expect(planned.every(action => action.why !== '')).toBe(true)
  })
}

describe('nothing to do', () =>
  check([
    ['both as wanted', 'AA', [UP, UP], [cellular(1), other(2)], []],
    ['active and standby', 'bA', [UP, UP], [cellular(1, backup), other(2)], []],
    ['one is under way', 'bA', [UP, UP], [cellular(1, joining), other(2)], []],
    ['foreign subflows are left alone', 'AA', [UP, UP], [cellular(1), other(2), subflow(3, undefined, silent)], []],
    ['neither access is there: the last subflow is kept', '--', [LOST, LOST], [cellular(1)], []],
    ['nor are two taken away', '--', [LOST, LOST], [cellular(1), other(2)], []],
  ]))

describe('a subflow is missing', () =>
  check([
    ['an active one', 'AA', [UP, UP], [cellular(1)], ['create non-3gpp']],
    ['a standby', 'bA', [UP, UP], [other(1)], ['create 3gpp backup']],
    ['both', 'bA', [UP, UP], [], ['create 3gpp backup', 'create non-3gpp']],
    ['it closed by itself', 'bA', [UP, UP], [cellular(1, closed), other(2)], ['create 3gpp backup']],
    ['not on an access that is not there', 'A-', [UP, LOST], [cellular(1)], []],
    ['not one that is not wanted', '-A', [UP, UP], [other(1)], []],
  ]))

/** It was put to use 200 ms ago, and nothing has come over it. */
const overdue = { flaggedAt: NOW - 200, dueAt: NOW - 50 }

describe('nothing arrives over the standby that has taken over: a NAT may have forgotten it', () =>
  check([
    ['another one is made beside it', 'A-', [UP, LOST], [cellular(1, overdue)], ['create 3gpp']],
    [
      'the same when the other access is silent',
      'A-',
      [UP, SUSPECTED],
      [cellular(1, overdue), other(2, closed)],
      ['create 3gpp', 'create non-3gpp backup'],
    ],
    ['not before it is due', 'A-', [UP, LOST], [cellular(1, { ...overdue, dueAt: NOW + 1 })], []],
    ['not when the peer has had no more for long', 'A-', [UP, LOST], [cellular(1, { dueAt: NOW - 5_000 })], []],
    ['not while one is under way', 'A-', [UP, LOST], [cellular(1, overdue), cellular(2, joining)], []],
    ['not while the other access may bring it', 'AA', [UP, UP], [cellular(1, overdue), other(2)], []],
    ['what is outstanding shows by itself', 'A-', [UP, LOST], [cellular(1, { ...overdue, outstanding: true })], []],
    ['the new one stays', 'A-', [UP, LOST], [cellular(1, overdue), cellular(2, fresh)], ['destroy 1']],
  ]))

describe('flags', () =>
  check([
    [
      'the roles change: the active one first',
      'Ab',
      [UP, UP],
      [cellular(1, backup), other(2)],
      ['1 active', '2 backup'],
    ],
    ['held back', 'bA', [UP, UP], [cellular(1), other(2)], ['1 backup']],
    ['let go', 'AA', [UP, UP], [cellular(1, backup), other(2)], ['1 active']],
    ['a joining one has none yet', 'AA', [UP, UP], [cellular(1), other(2, { ...joining, backup: true })], []],
    [
      'a subflow on an access that should not be used',
      '-A',
      [{ ...UP, available: false }, UP],
      [cellular(1), other(2)],
      ['1 backup'],
    ],
  ]))

describe('the active access is lost', () =>
  check([
    [
      'the lost one is destroyed, so that what it held is sent again first, and the standby made active',
      '-A',
      [LOST, UP],
      [cellular(1), other(2, backup)],
      ['destroy 1', '2 active'],
    ],
    ['the standby is usable', 'A-', [UP, LOST], [cellular(1), other(2)], ['destroy 2']],
    [
      'there is no standby yet: one is made, the lost one waits for it',
      '-A',
      [LOST, UP],
      [cellular(1)],
      ['create non-3gpp'],
    ],
    ['it is under way', '-A', [LOST, UP], [cellular(1), other(2, joining)], []],
    ['it is there', '-A', [LOST, UP], [cellular(1), other(2, fresh)], ['destroy 1']],
    [
      'what was under way on the lost access is given up',
      'A-',
      [UP, LOST],
      [cellular(1), other(2, { ...joining, createdAt: NOW - 1 })],
      ['destroy 2'],
    ],
    [
      'several on it',
      '-A',
      [LOST, UP],
      [cellular(1), cellular(2), other(3, backup)],
      ['destroy 1', 'destroy 2', '3 active'],
    ],
  ]))

describe('much was in flight on the lost access: the peer is asked over the standby what has arrived', () => {
  const much = { outstanding: true, unacked: 61 }
  const standby = { ...backup, receivedAt: NOW - 1050 }
  const asked = { ...standby, askedAt: NOW - 40 }
  const begun = { outstanding: true, unacked: 10, progressAt: NOW - 5 }
  check([
    ['at first', '-A', [LOST, UP], [cellular(1, much), other(2, standby)], ['ask 2']],
    ['nothing else is done meanwhile', '-A', [LOST, UP], [cellular(1, much), other(2, asked)], []],
    [
      'the answer is there',
      '-A',
      [LOST, UP],
      [cellular(1, much), other(2, { ...asked, receivedAt: NOW - 1 })],
      ['destroy 1', '2 active'],
    ],
    [
      'no answer in a round trip and a half and 20 ms',
      '-A',
      [LOST, UP],
      [cellular(1, much), other(2, { ...asked, askedAt: NOW - 50 })],
      ['destroy 1', '2 active'],
    ],
    [
      'not when it fits into what the standby sends within a round trip',
      '-A',
      [LOST, UP],
      [cellular(1, { ...much, unacked: 60 }), other(2, standby)],
      ['destroy 1', '2 active'],
    ],
    [
      'nor where its window is larger',
      '-A',
      [LOST, UP],
      [cellular(1, much), other(2, { ...standby, window: 21 })],
      ['destroy 1', '2 active'],
    ],
    [
      'only the address has disappeared: everything may have arrived',
      '-A',
      [LOST, UP],
      [cellular(1, { ...much, unacked: 31, addressGone: true }), other(2, standby)],
      ['ask 2'],
    ],
    [
      'not over a subflow that received something in the last second: Linux would not ask',
      '-A',
      [LOST, UP],
      [cellular(1, much), other(2, { ...backup, receivedAt: NOW - 1049 })],
      ['destroy 1', '2 active'],
    ],
    [
      'the kernel has begun by itself to send again: the acknowledgement of that is waited for as an answer',
      '-A',
      [LOST, UP],
      [cellular(1, much), other(2, { ...asked, ...begun })],
      [],
    ],
    [
      'it has begun before the peer was asked',
      '-A',
      [LOST, UP],
      [cellular(1, much), other(2, { ...standby, ...begun })],
      ['ask 2'],
    ],
    [
      'what it has sent is acknowledged',
      '-A',
      [LOST, UP],
      [cellular(1, much), other(2, { ...asked, ...begun, receivedAt: NOW - 1 })],
      ['destroy 1', '2 active'],
    ],
    [
      'not over a subflow that carries data: it gets acknowledgements all the time',
      '-A',
      [LOST, UP],
      [cellular(1, much), other(2, { outstanding: true, unacked: 10, receivedAt: NOW - 5 })],
      ['destroy 1'],
    ],
    [
      'when a subflow is doubtful: the answer should be there once it counts as silent',
      'Ab',
      [UP, UP],
      [cellular(1, { ...much, progressAt: NOW - 51 }), other(2, standby)],
      ['ask 2'],
    ],
    ['not before', 'Ab', [UP, UP], [cellular(1, { ...much, progressAt: NOW - 50 }), other(2, standby)], []],
    [
      'a false alarm, and another one soon after: the peer is not asked again',
      'Ab',
      [UP, UP],
      [cellular(1, { ...much, progressAt: NOW - 60 }), other(2, { ...asked, askedAt: NOW - 990 })],
      [],
    ],
  ])

  test('where the kernel cannot ask, all is sent again at once', () => {
    const wish = { uses: uses('-A'), allowed: ['3gpp', 'non-3gpp'] as const, why: 'x', mayAsk: false }
    const subflows = [cellular(1, much), other(2, standby)]
    expect(plan(wish, subflows, { '3gpp': LOST, 'non-3gpp': UP }, NO_RETRIES, NOW).map(shown)).toEqual([
      'destroy 1',
      '2 active',
    ])
  })
})

describe('the address of a subflow has disappeared, but its access has another one', () =>
  check([
    [
      'the standby carries',
      'bA',
      [UP, UP],
      [cellular(1, backup), other(2, { addressGone: true })],
      ['destroy 2', 'create non-3gpp'],
    ],
    ['the last one is kept', '-A', [LOST, UP], [other(2, { addressGone: true })], ['create non-3gpp']],
  ]))

describe('both lost, and back', () =>
  check([
    ['both are lost', '--', [LOST, LOST], [other(2)], []],
    [
      'one access is back: a new subflow is created, and the old one stays until it is there',
      'A-',
      [BACK, LOST],
      [cellular(1), other(2)],
      ['create 3gpp'],
    ],
    [
      'it is there: what the old ones held is sent on it',
      'A-',
      [BACK, LOST],
      [cellular(1), other(2), cellular(3, fresh)],
      ['destroy 1', 'destroy 2'],
    ],
    [
      'the kernel was faster: the old subflow receives again',
      'A-',
      [BACK, LOST],
      [cellular(1, fresh), other(2)],
      ['destroy 2'],
    ],
    ['switching back', 'bA', [UP, BACK], [cellular(1), other(2)], ['destroy 2', 'create non-3gpp', '1 backup']],
    ['switched back', 'bA', [UP, BACK], [cellular(1, backup), other(3, fresh)], []],
  ]))

describe('silence', () =>
  check([
    [
      'of an access: moved, and tried',
      '-A',
      [SUSPECTED, UP],
      [cellular(1, silent), other(2, backup)],
      ['destroy 1', '2 active', 'create 3gpp backup'],
    ],
    ['the trial is under way', '-A', [SUSPECTED, UP], [other(2), cellular(3, { ...joining, createdAt: NOW + 1 })], []],
    [
      'of the only access there is: tried, and the old one kept',
      '--',
      [SUSPECTED, LOST],
      [cellular(1, silent)],
      ['create 3gpp backup'],
    ],
    [
      'of both',
      '--',
      [SUSPECTED, SUSPECTED],
      [cellular(1, silent), other(2, silent)],
      ['create 3gpp backup', 'create non-3gpp backup'],
    ],
    [
      'the trial has come to be: it carries, as wanted',
      'A-',
      [BACK, LOST],
      [cellular(1, silent), cellular(3, { ...fresh, ...backup })],
      ['destroy 1', '3 active'],
    ],
    [
      'of one subflow: replaced on an access that is well',
      'bA',
      [UP, UP],
      [cellular(1, backup), other(2, silent)],
      ['destroy 2', 'create non-3gpp'],
    ],
    ['of one subflow alone: kept until it is replaced', '-A', [LOST, UP], [other(2, silent)], ['create non-3gpp']],
  ]))

describe('joins without an answer', () =>
  check([
    ['are waited for', 'AA', [UP, UP], [cellular(1), other(2, { ...joining, createdAt: NOW - 1899 })], []],
    ['are given up', 'AA', [UP, UP], [cellular(1), other(2, { ...joining, createdAt: NOW - 1900 })], ['destroy 2']],
  ]))

describe('more than one on an access', () =>
  check([
    [
      'the youngest stays',
      'bA',
      [UP, UP],
      [cellular(1, backup), cellular(2, { ...fresh, ...backup }), other(3)],
      ['destroy 1'],
    ],
    [
      'unless an older one has something on its way',
      'AA',
      [UP, UP],
      [cellular(1, { outstanding: true }), cellular(2, fresh), other(3)],
      ['destroy 2'],
    ],
    [
      "the one on the access's better interface stays",
      'AA',
      [UP, UP],
      [cellular(1), other(2, { superseded: true, outstanding: true }), other(3, { createdAt: 1 })],
      ['destroy 2'],
    ],
    ['one that is under way does not count', 'AA', [UP, UP], [cellular(1), cellular(2, joining), other(3)], []],
  ]))

describe('its access uses a better interface now', () =>
  check([
    [
      'a subflow is made there, beside the one before',
      'bA',
      [UP, UP],
      [cellular(1, backup), other(2, { superseded: true })],
      ['create non-3gpp'],
    ],
    ['one at a time', 'bA', [UP, UP], [cellular(1, backup), other(2, { superseded: true }), other(3, joining)], []],
    [
      'a standby too',
      'Ab',
      [UP, UP],
      [cellular(1), other(2, { superseded: true, ...backup })],
      ['create non-3gpp backup'],
    ],
    [
      'not while the access is lost',
      'Ab',
      [UP, LOST],
      [cellular(1), other(2, { superseded: true, ...backup })],
      ['destroy 2'],
    ],
  ]))

describe('the machine was suspended: NATs may have forgotten its subflows', () =>
  check([
    [
      'one more is made on each access',
      'Ab',
      [UP, UP],
      [cellular(1, { outdated: true }), other(2, { outdated: true, ...backup })],
      ['create 3gpp', 'create non-3gpp backup'],
    ],
    [
      'which then takes the place of the one before, whatever that carries',
      'Ab',
      [UP, UP],
      [cellular(1, { outdated: true, outstanding: true }), cellular(3), other(2, { outdated: true, ...backup })],
      ['create non-3gpp backup', 'destroy 1'],
    ],
    [
      'not on an access that is not to be used',
      'An',
      [UP, UP],
      [cellular(1), other(2, { outdated: true, ...backup })],
      [],
    ],
  ]))

describe('the rule does not let it use the other access', () => {
  const only = ['3gpp'] as const
  describe('and attempts on the allowed access have not failed', () =>
    check(
      [
        ['nothing is made there', 'A-', [UP, UP], [cellular(1)], []],
        ['not even when all is lost', '--', [LOST, UP], [cellular(1)], []],
        ['nor tried', '--', [LOST, SUSPECTED], [cellular(1)], []],
        ['what is there has to go', 'A-', [UP, UP], [cellular(1), other(2)], ['2 backup', 'destroy 2']],
        ['once it can be replaced', 'A-', [UP, UP], [other(2)], ['create 3gpp', '2 backup']],
        ['has been replaced', 'A-', [UP, UP], [cellular(1, fresh), other(2, backup)], ['destroy 2']],
        ['at once when the allowed access is not there', '--', [LOST, UP], [other(2)], ['2 backup', 'destroy 2']],
        [
          'its own access silent: tried, and nothing else',
          '--',
          [SUSPECTED, UP],
          [cellular(1, silent)],
          ['create 3gpp backup'],
        ],
      ],
      only,
    ))
  const failed = { ...NO_RETRIES, '3gpp': { failures: 1, notBefore: NOW + 100 } }
  describe('and the last attempt on the allowed access has failed', () =>
    check([['at once', 'A-', [UP, UP], [other(2, backup)], ['destroy 2']]], only, failed))
})

describe('retries', () => {
  const wait = { ...NO_RETRIES, '3gpp': { failures: 2, notBefore: NOW + 1 } }
  const due = { ...NO_RETRIES, '3gpp': { failures: 2, notBefore: NOW } }
  const rows = (create: string[]): Row[] => [
    ['a missing one', 'bA', [UP, UP], [other(1)], create],
    ['a trial', '-A', [SUSPECTED, UP], [other(1)], create],
  ]
  describe('not yet', () => check(rows([]), undefined, wait))
  describe('now', () => check(rows(['create 3gpp backup']), undefined, due))

  test('a quarter of a second, doubling to eight', () => {
    expect([1, 2, 3, 6, 7, 2000].map(failures => retryAfter(failures, 0.5))).toEqual([250, 500, 1000, 8000, 8000, 8000])
    expect([retryAfter(1, 0), retryAfter(1, 1)]).toEqual([187.5, 312.5])
  })
})

describe('measuring the standby', () => {
  const measured = (subflows: SubflowState[], one = UP) =>
    plan(
      { uses: uses('bA'), allowed: ['3gpp', 'non-3gpp'], why: 'x', measure: '3gpp', mayAsk: true },
      subflows,
      { '3gpp': one, 'non-3gpp': UP },
      NO_RETRIES,
      NOW,
    )
  test('by a second one', () => {
    expect(measured([cellular(1, backup), other(2)])).toEqual([
      { do: 'create', access: '3gpp', backup: true, why: 'to measure 3gpp' },
    ])
  })
  test.each<[string, SubflowState[], AccessState]>([
    ['a second one is under way', [cellular(1, backup), cellular(3, joining), other(2)], UP],
    ['the access is lost', [other(2)], LOST],
  ])('not when %s', (_name, subflows, one) => expect(measured(subflows, one)).toEqual([]))
})

test('says why', () => {
  const why = (
    wanted: string,
    accesses: Accesses,
    subflows: SubflowState[],
    allowed: AccessType[] = ['3gpp', 'non-3gpp'],
  ) =>
    plan({ uses: uses(wanted), allowed, why: 'the rule', mayAsk: true }, subflows, accesses, NO_RETRIES, NOW).map(
      action => action.why,
    )
  expect(why('bA', { '3gpp': UP, 'non-3gpp': UP }, [cellular(1)])).toEqual(['the rule', 'the rule'])
  expect(why('-A', { '3gpp': LOST, 'non-3gpp': UP }, [cellular(1), other(2)])).toEqual([
    '3gpp is not available: no carrier',
  ])
  expect(why('-A', { '3gpp': SUSPECTED, 'non-3gpp': UP }, [other(2)])).toEqual(['probing 3gpp again (silent)'])
  expect(why('bA', { '3gpp': UP, 'non-3gpp': BACK }, [cellular(1, backup), other(2), other(3, fresh)])).toEqual([
    'non-3gpp was lost since it was created',
  ])
  expect(why('AA', { '3gpp': UP, 'non-3gpp': UP }, [cellular(1), other(2, silent), other(3, fresh)])).toEqual([
    'no acknowledgements',
  ])
  expect(why('AA', { '3gpp': UP, 'non-3gpp': UP }, [cellular(1), other(2), other(3, fresh)])).toEqual([
    'there is another one on non-3gpp',
  ])
  expect(why('AA', { '3gpp': UP, 'non-3gpp': UP }, [cellular(1), other(2, { ...joining, createdAt: 0 })])).toEqual([
    'non-3gpp does not answer',
  ])
  expect(why('A-', { '3gpp': UP, 'non-3gpp': UP }, [cellular(1), other(2, backup)], ['3gpp'])).toEqual([
    'the rule does not allow non-3gpp',
  ])
})
