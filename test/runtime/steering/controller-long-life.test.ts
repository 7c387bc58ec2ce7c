/** Hours between two looks of the steering loop: a suspended machine, a stopped process, a clock that jumps; and long outages. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Translators } from '../../../lib/runtime/steering/translators.js'
import { World } from '../../support/controlled-world.js'

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
afterEach(() => void vi.useRealTimers())

const HOUR = 3_600_000
const lost = (world: World) => world.told.filter(event => event.event === 'access' && !event.available)

test.each([
  ['the kernel has gone on', 0],
  ['the kernel was suspended too', HOUR],
])('nothing for an hour, %s: what was acknowledged meanwhile is no silence', async (_, sinceAck) => {
  const world = new World()
  const connection = world.connect(5)
  await world.pass(200)
  const [wifi] = connection.subflows
  world.carry(wifi!, 10_000, false)
  await world.pass(50)
  world.now += HOUR
  wifi!.sample.bytesAcked = wifi!.sample.bytesSent
  wifi!.sample.unacked = 0
  wifi!.sample.lastAckRecv = sinceAck
  await world.pass(500)
  expect(lost(world)).toEqual([])
  expect(world.of('destroy')).toEqual([])
})

test('stopped for three seconds: what was sent just now is no silence since the last acknowledgement before', async () => {
  const world = new World()
  const [wifi] = world.connect(5).subflows
  await world.pass(200)
  world.carry(wifi!, 10_000, false)
  await world.pass(50)
  // What was on its way was acknowledged at once. Only when it goes on, the process writes again.
  wifi!.sample.bytesAcked = wifi!.sample.bytesSent
  world.carry(wifi!, 400, false)
  Object.assign(wifi!.sample, { lastAckRecv: 2_980, lastDataRecv: 2_980, lastDataSent: 1 })
  world.now += 3_000
  world.controller.scan()
  expect(lost(world)).toEqual([])
  // From now on it counts as before.
  await world.wait(300)
  expect(lost(world)).toHaveLength(1)
})

test('idle for eight hours: nothing is taken for lost, and nothing is sent without a probe', async () => {
  const world = new World()
  world.connect(5)
  await world.pass(500)
  const before = world.calls.length
  for (let hour = 0; hour < 8; hour++) {
    for (const { sample } of world.connections.flatMap(({ subflows }) => subflows)) {
      sample.lastAckRecv += HOUR
      sample.lastDataSent += HOUR
      sample.lastDataRecv += HOUR
    }
    world.now += HOUR
    await world.pass(100)
  }
  expect(lost(world)).toEqual([])
  expect(world.calls).toHaveLength(before)
})

test('both accesses away for an hour: the last subflow is kept, and the other one is made when they are back', async () => {
  const world = new World()
  const connection = world.connect(5)
  await world.pass(500)
  world.links({ 'non-3gpp': false, '3gpp': false })
  await world.pass(500)
  world.now += HOUR
  for (const { sample } of connection.subflows) sample.lastAckRecv = 2 * HOUR
  await world.pass(500)
  expect(connection.subflows.length).toBeGreaterThanOrEqual(1)
  const before = world.calls.length
  world.told.length = 0
  world.links({})
  await world.pass(2_000)
  expect(world.calls.slice(before).some(({ call }) => call === 'create' || call === 'set-backup')).toBe(true)
  const back = world.told.filter(event => event.event === 'access' && event.available)
  expect(back).toHaveLength(2)
})

test('decisions are by the monotonic clock: a wall clock that is set has no effect', () => {
  const files = (folder: string): string[] =>
    readdirSync(folder, { withFileTypes: true }).flatMap(entry =>
      entry.isDirectory() ? files(join(folder, entry.name)) : [join(folder, entry.name)],
    )
  const all = ['policy', 'runtime'].flatMap(room => files(new URL(`../../../lib/${room}`, import.meta.url).pathname))
  const wall = all.filter(file => /Date\.now\(|new Date\(/.test(readFileSync(file, 'utf8')))
  expect(all.length).toBeGreaterThan(50)
  expect(wall.filter(file => !file.includes('/runtime/watch/'))).toEqual([])
})

test('suspended for an hour, in which the clock stood still: each subflow is replaced, once another one is there', async () => {
  const world = new World()
  const connection = world.connect(5)
  await world.pass(1_000)
  const before = connection.subflows.map(({ sample }) => sample.id)
  expect(before).toHaveLength(2)
  world.calls.length = 0
  // A nap that no NAT notices.
  world.suspendedMs += 20_000
  await world.pass(2_000)
  expect(world.calls).toEqual([])

  world.suspendedMs += HOUR
  await world.pass(3_000)
  expect(world.told).toContainEqual({ event: 'resumed', suspendedMs: HOUR })
  expect(world.of('create')).toHaveLength(2)
  expect(world.of('destroy')).toHaveLength(2)
  expect(world.calls.findIndex(({ call }) => call === 'create')).toBeLessThan(
    world.calls.findIndex(({ call }) => call === 'destroy'),
  )
  const after = connection.subflows.map(({ sample }) => sample.id)
  expect(after).toHaveLength(2)
  expect(after.filter(id => before.includes(id))).toEqual([])
  expect(lost(world)).toEqual([])
})

test('suspended, and the peer takes no further subflow: the old ones stay, and it is not asked for ever', async () => {
  const world = new World()
  const connection = world.connect(5)
  await world.pass(1_000)
  world.refuses = { create: 'ENOBUFS' }
  world.calls.length = 0
  world.suspendedMs += HOUR
  await world.pass(60_000)
  expect(world.of('create').length).toBeLessThanOrEqual(2 * 3)
  expect(world.of('destroy')).toEqual([])
  expect(connection.subflows).toHaveLength(2)
})

test('suspended: what translates for an access with IPv6 only is looked for again', async () => {
  const links = new AccessLinksOf6()
  let asked = 0
  const reports: string[] = []
  const effects = {
    findTranslator: async () => {
      asked++
      return undefined
    },
  }
  const translators = new Translators(links as never, effects, report => reports.push(report.state))
  translators.update()
  await Promise.resolve().then(() => {})
  translators.searchAgain()
  translators.searchAgain()
  for (let i = 0; i < 5; i++) await Promise.resolve()
  expect(asked).toBe(3)
  // One chain of searches goes on, not three.
  expect(vi.getTimerCount()).toBe(1)
  await vi.advanceTimersByTimeAsync(10_000)
  expect(asked).toBe(4)
  translators.close()
})

/** 3GPP access has an IPv6 address only. */
class AccessLinksOf6 {
  address(access: string, family: number) {
    return access === '3gpp' && family === 6 ? { address: '2001:db8::2' } : undefined
  }
  setTranslator() {}
}
