import { describe, expect, test } from 'vitest'
import { SOCKET, type SocketSample } from '../../../lib/runtime/kernel/sampler.js'
import { Activity } from '../../../lib/runtime/steering/activity.js'
import type { SteeredConnection } from '../../../lib/runtime/steering/connection.js'
import { Turns, wokenUp } from '../../../lib/runtime/steering/polling.js'

const COUNTED = { bytesSent: 500, bytesReceived: 70, bytesAcked: 400, bytesRetrans: 100, retransmits: 1 }
const sample = (changes = {}) => ({ token: 7, ...COUNTED, outstanding: 0, ...changes }) as SocketSample

/** As the native call writes it. */
function record(changes: Partial<Record<keyof typeof SOCKET, number>> = {}): Float64Array {
  const doubles = new Float64Array(SOCKET.length)
  for (const [name, value] of Object.entries({ token: 7, ...COUNTED, ...changes }))
    doubles[SOCKET[name as keyof typeof SOCKET]] = value
  return doubles
}

function resting(): Activity {
  const activity = new Activity(7)
  activity.note(sample(), { idle: true, mayBeIdle: true }, 1000)
  return activity
}

describe('since it was followed', () => {
  test.each([
    ['nothing', {}, 'idle'],
    ['bytes have been sent, and all have arrived', { bytesSent: 600, bytesAcked: 500 }, 'moved'],
    ['bytes have come in', { bytesReceived: 71 }, 'moved'],
    ['bytes are on their way', { bytesSent: 600, outstanding: 100 }, 'active'],
    ['bytes were sent again on another subflow', { bytesRetrans: 200 }, 'active'],
    ['and how often', { retransmits: 2 }, 'active'],
    ['its descriptor is another connection’s', { token: 8 }, 'active'],
    ['its descriptor is closed', { errno: 9 }, 'active'],
    ['this kernel does not count', { bytesRetrans: Number.NaN }, 'active'],
  ])('%s', (_name, changes, has) => expect(resting().check(record(changes), 0, 1050)).toBe(has))

  test('something is in flight', () => {
    const activity = new Activity(7)
    activity.note(sample(), { idle: false, mayBeIdle: false }, 1000)
    expect(activity.check(record(), 0, 1050)).toBe('active')
  })

  test('it has moved, and is not followed for it: from then on it rests', () => {
    const activity = resting()
    const moved = record({ bytesSent: 600, bytesAcked: 500 })
    activity.skip(moved, 0, 1050)
    expect(activity.check(moved, 0, 1100)).toBe('idle')
    expect(activity.idleAt).toBe(1100)
  })
})

test('a connection that moves bytes in three scans, with short pauses, is followed; after a longer pause no longer', () => {
  const activity = resting()
  const moves = [1050, 1100, 1150].map(now => {
    activity.note(sample(), { idle: false, mayBeIdle: true }, now)
    return activity.isStreaming(now)
  })
  expect(moves).toEqual([false, false, true])
  expect([1399, 1400].map(now => activity.isStreaming(now))).toEqual([true, false])
  activity.skip(record(), 0, 1500)
  expect(activity.isStreaming(1500)).toBe(false)
})

describe('of many that have moved', () => {
  const asked = () => Array.from({ length: 15 }, (_, fd) => ({ fd, activity: resting() }) as SteeredConnection)
  const moved = record({ bytesReceived: 100 })
  const records = Float64Array.from(Array.from({ length: 15 }, () => [...moved]).flat())

  test('five are followed, the others later; all that become active are followed', () => {
    const connections = asked()
    const one = records.slice()
    one[14 * SOCKET.length + SOCKET.outstanding] = 1
    const found = wokenUp(connections, one, 1050, () => true)
    expect(found.map(({ fd }) => fd)).toEqual([0, 1, 2, 3, 4, 14])
    // Those that were followed would have noted it.
    expect(wokenUp(connections.slice(5, 14), records, 1100, () => true)).toEqual([])
  })

  test('all are followed if their traffic has to be counted', () => {
    expect(wokenUp(asked(), records, 1050, ({ fd }) => fd === 12)).toHaveLength(14)
  })
})

describe('turns', () => {
  const rest = (count: number) => {
    const turns = new Turns()
    const all = Array.from({ length: count }, (_, fd) => ({ fd, activity: resting() }) as SteeredConnection)
    for (const connection of all) turns.add(connection)
    return { turns, all }
  }
  const fds = (connections: readonly SteeredConnection[]) => connections.map(({ fd }) => fd)

  test.each([
    [1, true, 1],
    [150, true, 1],
    [1_000, true, 5],
    [10_000, true, 50],
    [2_000, false, 1],
    [10_000, false, 5],
  ])('%i at rest, busy %s: all are checked within %i scans, each once', (count, busy, scans) => {
    const { turns } = rest(count)
    const seen = Array.from({ length: scans }, () => turns.select(busy, 1050)).flatMap(({ active, idle }) => [
      ...fds(active),
      ...fds(idle),
    ])
    expect(new Set(seen).size).toBe(count)
    expect(seen.length).toBeLessThan(count * 1.1)
  })

  test.each([
    [10, true, 50],
    [250, true, 50],
    [10_000, true, 2_000],
    [1_000, false, 50],
    [10_000, false, 400],
  ])('%i at rest, busy %s: the subflows of each are sampled once in %i scans', (count, busy, scans) => {
    const { turns } = rest(count)
    const seen = Array.from({ length: scans }, () => turns.select(busy, 1050)).flatMap(({ active }) => fds(active))
    expect(new Set(seen).size).toBe(count)
    expect(seen).toHaveLength(count)
  })

  test('those that are awake are sampled in each scan, until a sample shows them at rest', () => {
    const { turns, all } = rest(500)
    const one = all[499]!
    one.activity.mayBeIdle = false
    turns.wake(one)
    for (let scan = 0; scan < 3; scan++) expect(turns.select(true, 1050).active).toContain(one)
    one.activity.note(sample(), { idle: true, mayBeIdle: true }, 1050)
    turns.sampled(one, 1050)
    expect([turns.awake, turns.select(true, 1050).active]).toEqual([[], expect.not.arrayContaining([one])])
  })

  test('those that stream are checked in each scan, as long as they do', () => {
    const { turns, all } = rest(1_000)
    const one = all[999]!
    for (const now of [1050, 1100, 1150]) one.activity.note(sample(), { idle: false, mayBeIdle: true }, now)
    turns.sampled(one, 1150)
    expect([1200, 1250].map(now => turns.select(true, now).idle.includes(one))).toEqual([true, true])
    expect(turns.select(true, 1500).idle).not.toContain(one)
  })

  test('one that has ended has no turn any more, and the others keep theirs', () => {
    const { turns, all } = rest(300)
    for (const connection of all.slice(0, 200)) turns.delete(connection)
    turns.delete(all[0]!)
    turns.wake(all[0]!)
    const { active, idle } = turns.select(true, 1050)
    expect([...fds(active), ...fds(idle)].sort((a, b) => a - b)).toEqual(fds(all.slice(200)))
  })
})
