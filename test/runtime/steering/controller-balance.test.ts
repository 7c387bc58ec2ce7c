/** How the steering loop carries out a load balance: flags for each connection, and send buffers. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { AccessType } from '../../../lib/policy/rules/rule.js'
import { type Connection, LOCAL, WIFI_THEN_CELL, World } from '../../support/controlled-world.js'

// The test starts the scans itself, and sets the clock.
beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
afterEach(() => void vi.useRealTimers())

const divided = (percent3gpp: number) => ({ mode: 'load-balancing', percent3gpp }) as const
const world = (percent3gpp: number) => new World({ rules: [[255, divided(percent3gpp)]] })

/** Where the kernel would put the next byte: on a subflow that is no backup, as we have asked. */
function usable(of: World, connection: Connection): AccessType[] {
  return connection.subflows
    .filter(({ addresses }) => {
      const flag = of.of('set-backup').findLast(call => call.local.port === addresses.local.port)
      const made = of.of('create').find(call => call.token === connection.token)
      const asMade = addresses.local.address === made?.local.address && made.backup
      return !(flag?.backup ?? asMade)
    })
    .map(({ addresses }) => (addresses.local.address === LOCAL['3gpp'] ? '3gpp' : 'non-3gpp'))
}

/** Each connection sends this much every 50 ms, where it may. Returns how much each access has carried. */
async function send(of: World, connections: readonly Connection[], bytes: number, looks: number) {
  const carried = { '3gpp': 0, 'non-3gpp': 0 }
  for (let look = 0; look < looks; look++) {
    for (const connection of connections) {
      const [access] = usable(of, connection)
      const on = connection.subflows.find(({ addresses }) => addresses.local.address === LOCAL[access!])
      of.carry(on!, bytes)
      carried[access!] += bytes
    }
    await of.pass(50)
  }
  return carried
}

describe('the bytes of a rule are divided', () => {
  test.each([10, 25, 50, 80])('%d %% of one connection', async percent => {
    const one = world(percent)
    const connection = one.connect(5)
    const carried = await send(one, [connection], 10_000, 200)
    expect(Math.abs((100 * carried['3gpp']) / 2_000_000 - percent)).toBeLessThan(1.5)
    expect(one.errors()).toEqual([])
  })

  test('several connections: each has its own flags, and few are changed', async () => {
    const one = world(50)
    const connections = [5, 6, 7, 8].map(fd => one.connect(fd))
    await send(one, connections, 10_000, 20)
    expect(connections.map(connection => usable(one, connection).join()).sort()).toEqual([
      '3gpp',
      '3gpp',
      'non-3gpp',
      'non-3gpp',
    ])
    const before = one.of('set-backup').length
    const carried = await send(one, connections, 10_000, 100)
    expect(carried['3gpp']).toBe(carried['non-3gpp'])
    expect(one.of('set-backup')).toHaveLength(before)
  })

  test('a connection at rest returns to its place', async () => {
    const one = world(50)
    const [busy, other] = [one.connect(5), one.connect(6)]
    await send(one, [busy, other], 10_000, 20)
    const places = [usable(one, busy), usable(one, other)]
    await one.pass(10_000)
    const asked = one.calls.length
    await one.pass(2_000)
    expect(one.calls).toHaveLength(asked)
    expect([usable(one, busy), usable(one, other)]).toEqual(places)
  })

  test('an access is lost: everything uses the other; it returns, and gets its share again', async () => {
    const one = world(50)
    const connections = [5, 6].map(fd => one.connect(fd))
    await send(one, connections, 10_000, 20)
    one.links({ 'non-3gpp': false })
    await one.pass(300)
    expect(connections.map(connection => usable(one, connection))).toEqual([['3gpp'], ['3gpp']])
    await send(one, connections, 10_000, 20)
    one.links({})
    await one.pass(500)
    const carried = await send(one, connections, 10_000, 200)
    expect(carried['3gpp'] / (carried['3gpp'] + carried['non-3gpp'])).toBeCloseTo(0.5, 1)
  })

  test('reports on which access the next connections should begin', async () => {
    const one = world(80)
    await one.pass(1000)
    expect(one.told).toContainEqual(expect.objectContaining({ event: 'accesses', newOver3gpp: { 255: 80 } }))
    one.controller.setRules([[255, WIFI_THEN_CELL]])
    await one.pass(1000)
    expect(one.told.findLast(({ event }) => event === 'accesses')).toMatchObject({ newOver3gpp: {} })
  })
})

describe('send buffers', () => {
  const bulk = async (one: World, connection: Connection) => {
    for (const { sample } of connection.subflows) sample.notsentBytes = 200_000
    await send(one, [connection], 50_000, 20)
  }

  test('of connections with little traffic are left alone', async () => {
    const one = world(50)
    await send(one, [one.connect(5)], 10_000, 40)
    expect(one.buffers).toEqual([])
  })

  test('of bulk senders are limited, once, and no longer after a change of rule', async () => {
    const one = world(50)
    const connection = one.connect(5)
    await one.pass(200)
    await bulk(one, connection)
    expect(one.buffers.length).toBeGreaterThan(0)
    expect(one.buffers.length).toBeLessThan(4)
    expect(one.buffers[0]).toMatchObject({ fd: 5, token: connection.token })
    const limited = one.buffers.at(-1)!.bytes
    one.controller.setRules([[255, WIFI_THEN_CELL]])
    await send(one, [connection], 50_000, 4)
    expect(one.buffers.at(-1)!.bytes).toBeGreaterThan(limited)
    const set = one.buffers.length
    await send(one, [connection], 50_000, 20)
    expect(one.buffers).toHaveLength(set)
  })
})
