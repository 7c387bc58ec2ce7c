/** What the kernel reports before it has measured a round trip is no measurement. */
import { describe, expect, test } from 'vitest'
import { measure, UNMEASURED } from '../../../lib/policy/steering/accesses.js'
import { divide } from '../../../lib/policy/steering/load-balance.js'
import { NOTHING_RECEIVED } from '../../../lib/policy/steering/reception.js'
import type { SubflowSample } from '../../../lib/runtime/kernel/sampler.js'
import { loadOf } from '../../../lib/runtime/steering/load.js'
import { type SteeredSubflow, transferSince } from '../../../lib/runtime/steering/subflow.js'

const NOTHING = { bytesAcked: 0, bytesSent: 0, bytesRetrans: 0, bytesReceived: 0, notsentBytes: 0 }
const before = { ...NOTHING, outOfOrder: 0, reception: NOTHING_RECEIVED } as SteeredSubflow
const sample = (changes: Partial<SubflowSample>) =>
  ({ ...NOTHING, rtt: 20_000, minRtt: 15_000, ...changes }) as SubflowSample

test('the smallest round-trip time: the kernel reports 2^32 - 1 µs', () => {
  expect(transferSince('3gpp', before, sample({})).minRttMs).toBe(15)
  expect(transferSince('3gpp', before, sample({ minRtt: 0xffff_ffff })).minRttMs).toBe(0)
})

test('a new subflow without a measurement does not hide that of another on the same access', () => {
  const subflows = [{}, { minRtt: 0xffff_ffff }].map(changes => transferSince('3gpp', before, sample(changes)))
  expect(loadOf(7, subflows).minRttMs).toEqual({ '3gpp': 15, 'non-3gpp': 0 })
})

describe('the smoothed round-trip time: the kernel reports 0', () => {
  const none = { bytesAcked: 1, rtt: 0 }

  test('alone, it leaves the access unmeasured', () => {
    const measured = measure(UNMEASURED, [transferSince('3gpp', before, sample(none))], 50)
    expect(measured).toMatchObject({ rttMs: undefined, rttAt: Number.NEGATIVE_INFINITY })
  })

  test('and it does not count beside others', () => {
    const transfers = [none, { bytesAcked: 1000 }].map(changes => transferSince('3gpp', before, sample(changes)))
    expect(measure(UNMEASURED, transfers, 50).rttMs).toBe(20)
  })
})

test('a bulk connection whose round trips are not measured yet gets a send buffer that fits into an int', () => {
  const bulk = sample({ bytesSent: 200_000, notsentBytes: 100_000, minRtt: 0xffff_ffff })
  const load = loadOf(1, [transferSince('3gpp', before, bulk), transferSince('non-3gpp', before, bulk)])
  let division: ReturnType<typeof divide> | undefined
  for (let now = 0; now < 2000; now += 25) division = divide(division, [load], 20, now)
  expect(division!.connections.get(1)!.sendBuffer).toBe(1_048_576)
})
