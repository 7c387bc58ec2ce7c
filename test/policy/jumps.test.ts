/** Ten hours between two calls of a policy: a process that was stopped, a frozen control group. What was before is old, and nothing is caught up on. */
import { expect, test } from 'vitest'
import { ConverterMemory } from '../../lib/policy/connect/converter-memory.js'
import { begin, granted, isHeld, sent, wakeAt } from '../../lib/policy/pcp/schedule.js'
import type { AccessType } from '../../lib/policy/rules/rule.js'
import { measure, UNMEASURED } from '../../lib/policy/steering/accesses.js'
import { type Health, health, UNKNOWN_HEALTH } from '../../lib/policy/steering/health.js'
import { type ConnectionLoad, type Division, divide } from '../../lib/policy/steering/load-balance.js'

const TEN_HOURS = 36_000_000
const START = begin(0)

test('a load balance keeps its rates, and moves no connection', () => {
  const load = (token: number, access: AccessType, bytes: number): ConnectionLoad => ({
    token,
    assigned: { '3gpp': 0, 'non-3gpp': 0, [access]: bytes },
    received: { '3gpp': 0, 'non-3gpp': 0 },
    queued: { '3gpp': 0, 'non-3gpp': 0 },
    minRttMs: { '3gpp': 60, 'non-3gpp': 20 },
    movable: true,
  })
  let division: Division | undefined
  let now = 0
  const scan = (milliseconds: number, bytes: number) => {
    now += milliseconds
    division = divide(division, [load(1, '3gpp', bytes), load(2, 'non-3gpp', bytes)], 50, now)
    return division
  }
  for (let i = 0; i < 400; i++) scan(25, 25_000)
  const placed = (of: Division) => [1, 2].map(token => of.connections.get(token)!.on)
  const before = placed(division!)
  for (const of of [scan(TEN_HOURS, 25_000), scan(25, 25_000), scan(25, 25_000)]) {
    expect(placed(of)).toEqual(before)
    for (const { rate } of of.connections.values()) expect(rate).toBeGreaterThanOrEqual(0)
    expect(of.newOver3gpp).toBeGreaterThan(20)
    expect(of.newOver3gpp).toBeLessThan(80)
  }
})

test('what was measured has faded, and is measured again at once', () => {
  const transfer = {
    ...{ rttMs: 20, acked: 100_000, sent: 100_000, retransmitted: 20_000, received: 100_000 },
    ...{ receiveRttMs: 20, segments: 100, outOfOrder: 1 },
  }
  const before = measure(UNMEASURED, [transfer], 1_000)
  const after = measure(before, [], 1_000 + TEN_HOURS)
  expect(after).toMatchObject({ bytesPerSecond: 0, lossPermille: undefined, receiveLossPermille: undefined })
  expect(measure(before, [{ ...transfer, rttMs: 50 }], 1_000 + TEN_HOURS).rttMs).toBe(50)
})

test('an access that was lost five times before is used at once when it is back', () => {
  const losses = Array.from({ length: 5 }, (_, i) => ({ at: 1_000 + i, silent: true }))
  const up: Health = { ...UNKNOWN_HEALTH, available: true, linkUsable: true, backAt: 0, why: '' }
  const away: Health = { ...up, available: false, linkUsable: false, losses, lostAt: 1_004 }
  const link = { usable: true, why: 'there' }
  const evidence = { silent: false, receivedAt: 0 }
  const judge = (now: number) =>
    health(
      { '3gpp': up, 'non-3gpp': away },
      { '3gpp': link, 'non-3gpp': link },
      { '3gpp': evidence, 'non-3gpp': evidence },
      now,
    )['non-3gpp']
  expect(judge(1_010)).toMatchObject({ available: false })
  expect(judge(1_010 + TEN_HOURS)).toMatchObject({ available: true, losses: [] })
})

test('a lease that has expired meanwhile is asked for once, as if for the first time', () => {
  const held = granted(sent({ ...granted(START, 7_200, 0, 0.5), sentAt: 0 }, 3_600_000, 0.5), 7_200, 3_600_000, 0.5)
  expect(isHeld(held, TEN_HOURS)).toBe(false)
  expect(wakeAt(held, TEN_HOURS)).toBeLessThanOrEqual(TEN_HOURS)
  // The renewal that is overdue; the next one a moment later is for a new mapping, and then after the usual pauses.
  const first = sent(held, TEN_HOURS, 0.5)
  expect(first).toMatchObject({ pace: 'ask', sentAt: TEN_HOURS })
  expect(first.dueAt - TEN_HOURS).toBeGreaterThanOrEqual(3_000)
  const second = sent(first, first.dueAt, 0.5)
  expect(second.dueAt - first.dueAt).toBeLessThanOrEqual(6_600)
})

test('what converters have done over an access does not count any more', () => {
  const memory = new ConverterMemory()
  const path = { converter: '192.0.2.1:5124', access: 'wlan0' }
  memory.learn(path, { learn: 'back-off', seconds: 3_600, code: 64 }, 0)
  memory.learn(path, { learn: 'trouble', trouble: 'silent' }, 0)
  memory.learn(path, { learn: 'one-rtt', why: 'no-fast-open-here' }, 0)
  memory.learn(path, { learn: 'no-pipelining' }, 0)
  const known = (now: number) => [
    memory.backOff(path, now)?.code,
    memory.trouble(path, now),
    memory.oneRtt(path, now),
    memory.takesPipelining(path, now),
  ]
  expect(known(1_000)).toEqual([64, 'silent', 'no-fast-open-here', false])
  expect(known(TEN_HOURS)).toEqual([undefined, undefined, undefined, true])
})
