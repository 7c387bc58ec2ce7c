import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Steering } from '../../../lib/policy/rules/rule.js'
import { INDEX, LOCAL, REMOTE, WIFI_THEN_CELL, World } from '../../support/controlled-world.js'
import { uncaughtIn } from '../../support/uncaught.js'

// The test starts the scans itself, and sets the clock.
beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
afterEach(() => void vi.useRealTimers())

describe('active-standby', () => {
  test('the standby gets a backup subflow over its interface, with its own id', async () => {
    const world = new World()
    const { token } = world.connect(5)
    await world.settled()
    expect(world.calls).toEqual([
      {
        call: 'create',
        token,
        localId: 1,
        local: { address: LOCAL['3gpp'], interfaceIndex: INDEX['3gpp'] },
        remote: REMOTE,
        backup: true,
      },
    ])
    await world.pass(1000)
    expect(world.calls).toHaveLength(1)
  })

  test('a lost link: the lost subflow is ended, and the standby made active once the peer has sent again what was lost', async () => {
    const world = new World()
    world.connect(5)
    await world.pass(100)
    world.links({ 'non-3gpp': false })
    await world.pass(90)
    expect(world.calls.slice(1).map(({ call }) => call)).toEqual(['destroy', 'remove'])
    await world.pass(100)
    expect(world.calls.slice(1).map(({ call }) => call)).toEqual(['destroy', 'remove', 'set-backup'])
    expect(world.of('set-backup')[0]).toMatchObject({ backup: false, local: { address: LOCAL['3gpp'] } })
    expect(world.of('destroy')[0]).toMatchObject({ local: { address: LOCAL['non-3gpp'] }, remote: REMOTE })
    world.links({})
    await world.settled()
    expect(world.of('create').at(-1)).toMatchObject({ local: { address: LOCAL['non-3gpp'] }, backup: false })
    expect(world.of('set-backup').at(-1)).toMatchObject({ backup: true })
  })

  test('a standby that took over, and is one again before it was made active: nothing is requested', async () => {
    const world = new World()
    world.connect(5)
    await world.pass(100)
    world.links({ 'non-3gpp': false })
    await world.pass(50)
    world.links({})
    await world.pass(1000)
    expect(world.of('set-backup').filter(({ backup }) => !backup)).toEqual([])
  })

  test('a lost link while much is on its way: the peer is asked over the standby, and answers', async () => {
    const { world, token, cell } = await busy()
    world.links({ 'non-3gpp': false })
    await world.settled()
    expect(world.inquiries).toEqual([token])
    expect(world.of('destroy')).toEqual([])
    await world.pass(40, 2)
    expect(world.inquiries).toEqual([token])
    expect(world.of('destroy')).toEqual([])
    cell.sample.lastAckRecv = 1
    await world.pass(2, 2)
    expect(world.of('destroy')).toHaveLength(1)
    await world.pass(200)
    expect(world.of('set-backup')).toHaveLength(1)
  })

  test('the peer does not answer: waits a round trip and a half and 20 ms, no longer', async () => {
    const { world } = await busy()
    world.links({ 'non-3gpp': false })
    await world.pass(48, 2)
    expect(world.of('destroy')).toEqual([])
    await world.pass(4, 2)
    expect(world.of('destroy')).toHaveLength(1)
  })

  test('the kernel cannot ask the peer: it is tried once only', async () => {
    const { world, connection } = await busy()
    world.mayAsk = false
    world.links({ 'non-3gpp': false })
    await world.settled()
    await world.pass(2, 2)
    expect(world.of('destroy')).toHaveLength(1)
    expect(world.inquiries).toHaveLength(1)
    world.links({})
    await world.pass(1200)
    const wifi = connection.subflows.find(({ addresses }) => addresses.local.address === LOCAL['non-3gpp'])!
    wifi.sample.unacked = 200
    world.links({ 'non-3gpp': false })
    await world.pass(50)
    expect(world.of('destroy')).toHaveLength(2)
    expect(world.inquiries).toHaveLength(1)
  })

  /** Two hundred segments on their way over wifi; cell has been quiet for two seconds. */
  async function busy() {
    const world = new World()
    const connection = world.connect(5)
    await world.pass(100)
    const [wifi, cell] = connection.subflows
    for (let i = 0; i < 25; i++) {
      world.carry(wifi!, 1000)
      Object.assign(wifi!.sample, { unacked: 200, lastAckRecv: 40 })
      cell!.sample.lastAckRecv = 2000
      await world.pass(50)
    }
    return { world, connection, token: connection.token, cell: cell! }
  }

  test('another address on the same link: subflows from the old address are lost, and created again', async () => {
    const world = new World()
    world.connect(5)
    await world.pass(100)
    world.links({ 'non-3gpp': 'renumbered' })
    await world.settled()
    expect(world.of('destroy')).toMatchObject([{ local: { address: LOCAL['non-3gpp'] } }])
    expect(world.of('create').at(-1)).toMatchObject({ local: { address: '10.9.0.2' }, backup: false })
    expect(world.told.filter(({ event }) => event === 'access')).toHaveLength(2)
  })

  test('silence begins when something is sent, not at the last scan', async () => {
    const world = new World()
    const connection = world.connect(5)
    await world.pass(3000)
    await world.pass(1, 1)
    const [wifi] = connection.subflows
    Object.assign(wifi!.sample, { unacked: 1, lastDataSent: 2, lastAckRecv: 3000, bytesSent: 500 })
    await world.pass(250, 250)
    expect(world.of('destroy')).toEqual([])
    wifi!.sample.lastDataSent = 102
    await world.pass(99, 99)
    expect(world.of('destroy')).toHaveLength(1)
  })

  test('a join that the peer has not accepted yet replaces nothing: the silent subflow stays until then', async () => {
    const world = new World()
    world.accepts = false
    const connection = world.connect(5)
    await world.pass(100)
    const [wifi, cell] = connection.subflows
    Object.assign(wifi!.sample, { unacked: 1, lastDataSent: 200, lastAckRecv: 3000, bytesSent: 500 })
    await world.pass(300)
    expect(cell!.sample.state).toBe(1)
    expect(world.of('destroy')).toEqual([])
    cell!.sample.segsIn = 2
    await world.pass(50)
    expect(world.of('destroy')).toMatchObject([{ local: { address: LOCAL['non-3gpp'] } }])
  })

  test('a join that the peer refuses is a failure: the next attempt waits', async () => {
    const world = new World()
    world.accepts = false
    const connection = world.connect(5)
    await world.pass(100)
    connection.subflows.splice(1)
    await world.pass(200)
    expect(world.of('create')).toHaveLength(1)
    await world.pass(150)
    expect(world.of('create')).toHaveLength(2)
    expect(world.of('destroy')).toEqual([])
  })

  test('silence while data is out: the same', async () => {
    const world = new World()
    const connection = world.connect(5)
    await world.pass(100)
    const [wifi] = connection.subflows
    world.carry(wifi!, 1000, false)
    for (let i = 0; i < 8; i++) {
      await world.pass(50)
      wifi!.sample.lastAckRecv += 50
    }
    expect(world.told).toContainEqual(
      expect.objectContaining({ event: 'access', access: 'non-3gpp', available: false }),
    )
    expect(world.of('destroy')).toHaveLength(1)
  })
})

describe('what the kernel refuses', () => {
  test('EPERM: reported, and tried again, less and less often', async () => {
    const world = new World()
    world.refuses.create = 'EPERM'
    world.connect(5)
    await world.pass(1000)
    const early = world.calls.length
    expect(early).toBeGreaterThan(1)
    expect(early).toBeLessThan(5)
    expect(world.errors()).toHaveLength(early)
    await world.pass(60_000)
    expect(world.calls.length).toBeLessThan(50)
    delete world.refuses.create
    await world.pass(10_000)
    expect(world.connections[0]!.subflows).toHaveLength(2)
  })

  for (const code of ['ENOENT', 'EINVAL', 'EOPNOTSUPP', 'EADDRNOTAVAIL', 'ENODEV'])
    test(`${code} to a new subflow: the first goes on, and the loop too`, async () => {
      const world = new World()
      world.refuses.create = code
      world.connect(5)
      await world.pass(5000)
      expect(world.errors()[0]).toContain(code)
      expect(world.of('destroy')).toEqual([])
      expect(world.of('create').length).toBeLessThan(8)
    })

  test('ENOTCONN: the connection has carried nothing yet; not reported', async () => {
    const world = new World()
    world.refuses.create = 'ENOTCONN'
    world.connect(5)
    await world.pass(300)
    delete world.refuses.create
    await world.pass(1000)
    expect(world.errors()).toEqual([])
    expect(world.connections[0]!.subflows).toHaveLength(2)
  })

  test('no connection with this token: it has ended meanwhile; not reported', async () => {
    const world = new World()
    world.connect(5)
    await world.pass(100)
    world.refuses = { create: 'EINVAL', destroy: 'EINVAL' }
    world.words = 'invalid token'
    world.connect(6)
    await world.pass(100)
    world.links({ 'non-3gpp': false })
    await world.pass(300)
    expect(world.of('create').map(({ token }) => token)).toContain(1006)
    expect(world.of('destroy').map(({ token }) => token)).toContain(1005)
    expect(world.errors()).toEqual([])
  })

  test('EINVAL to a flag: the handshake is not complete; tried again until it is', async () => {
    const world = new World()
    world.connect(5)
    await world.pass(100)
    world.refuses['set-backup'] = 'EINVAL'
    world.links({ 'non-3gpp': false })
    await world.pass(300)
    expect(world.of('set-backup').length).toBeGreaterThan(1)
    expect(world.errors()).toEqual([])
    delete world.refuses['set-backup']
    await world.pass(50)
    const asked = world.of('set-backup').length
    await world.pass(500)
    expect(world.of('set-backup')).toHaveLength(asked)
  })

  test('ESRCH when a subflow is ended that has ended by itself: ignored', async () => {
    const world = new World()
    world.connect(5)
    await world.pass(100)
    world.refuses.destroy = 'ESRCH'
    world.links({ 'non-3gpp': false })
    await world.pass(1000)
    expect(world.errors()).toEqual([])
    expect(world.of('destroy')).toHaveLength(1)
  })

  test('EPERM when a subflow is ended or gets a flag: nothing changes, and it is tried again, less and less often, until allowed', async () => {
    const world = new World()
    const [wifi] = world.connect(5).subflows
    await world.pass(100)
    wifi!.sample.lastAckRecv = 100_000
    world.refuses = { destroy: 'EPERM', 'set-backup': 'EPERM', remove: 'EPERM' }
    world.links({ 'non-3gpp': false })
    await world.pass(1000)
    for (const kind of ['destroy', 'set-backup'] as const) {
      expect(world.of(kind).length).toBeGreaterThan(1)
      expect(world.of(kind).length).toBeLessThan(5)
    }
    await world.pass(60_000, 250)
    expect(world.of('destroy').length).toBeLessThan(15)
    expect(world.errors().length).toBeLessThan(30)
    expect(world.connections[0]!.subflows).toHaveLength(2)
    world.refuses = {}
    await world.pass(15_000, 250)
    expect(world.connections[0]!.subflows).toMatchObject([{ addresses: { local: { address: LOCAL['3gpp'] } } }])
    expect(world.of('set-backup').at(-1)).toMatchObject({ backup: false, local: { address: LOCAL['3gpp'] } })
    const asked = world.calls.length
    await world.pass(5000, 250)
    expect(world.calls).toHaveLength(asked)
  })

  test('a lost answer: the subflow that was created is recognized by its id', async () => {
    const world = new World()
    world.losesAnswers = true
    world.connect(5)
    await world.pass(2000)
    expect(world.of('create')).toHaveLength(1)
    world.losesAnswers = false
    world.links({ '3gpp': false })
    await world.settled()
    expect(world.of('destroy')).toMatchObject([{ local: { address: LOCAL['3gpp'] } }])
    // The id 0 is the address of the first subflow, which is not to go.
    expect(world.of('remove').map(({ localId }) => localId)).toEqual([1])
    // It was requested as a backup: no MP_PRIO is needed.
    expect(world.of('set-backup')).toEqual([])
  })

  test('EINVAL to the notification of the peer: ignored, since it only saves time', async () => {
    const world = new World()
    world.connect(5)
    await world.pass(100)
    world.refuses.remove = 'EINVAL'
    world.links({ 'non-3gpp': false })
    await world.pass(100)
    expect(world.errors()).toEqual([])
  })
})

describe('a listener', () => {
  test('that throws does not end the loop: the exception is uncaught, and the next scan is due as ever', async () => {
    const world = new World()
    world.listener = () => {
      throw new Error('thrown by a listener')
    }
    const connection = world.connect(5)
    await world.settled()
    Object.assign(connection, { errno: 95, token: 0 })
    const thrown = await uncaughtIn(async () => {
      for (let i = 0; i < 10; i++) {
        world.now += 250
        vi.advanceTimersByTime(250)
        await world.settled()
      }
    })
    expect(world.told).toContainEqual({ event: 'fallback', token: 1005 })
    expect(world.told.filter(({ event }) => event === 'accesses').length).toBeGreaterThan(3)
    expect(new Set(thrown.map(({ origin }) => origin))).toEqual(new Set(['uncaughtException']))
    expect(vi.getTimerCount()).toBe(1)
  })

  test('of an action that throws changes nothing: the kernel has not refused', async () => {
    const world = new World()
    world.listener = ({ event }) => {
      if (event === 'action') throw new Error('thrown by a listener')
    }
    const thrown = await uncaughtIn(async () => {
      world.connect(5)
      await world.pass(500)
    })
    expect(thrown).toEqual([{ origin: 'uncaughtException', message: 'thrown by a listener' }])
    const actions = world.told.filter(({ event }) => event === 'action')
    expect(actions).toEqual([{ event: 'action', token: 1005, action: expect.objectContaining({ do: 'create' }) }])
    world.listener = () => {}
    world.connections[0]!.subflows.splice(1)
    await world.pass(350)
    // The next one counts as the first failure, no later.
    expect(world.of('create')).toHaveLength(2)
  })

  test('may call back: its rules are for the next scan, and the reports keep their order', async () => {
    const world = new World()
    const connection = world.connect(5)
    await world.pass(100)
    world.told.length = 0
    const order: string[] = []
    world.listener = report => {
      if (report.event !== 'access' || report.available) return
      order.push('begin')
      world.controller.setRules([[1, { mode: 'active-standby', active: '3gpp', standby: 'non-3gpp' }]])
      world.controller.assign([[connection.token, 1]])
      world.connections.length = 0
      world.controller.scan()
      order.push('end')
    }
    world.links({ 'non-3gpp': false })
    await world.settled()
    expect(order).toEqual(['begin', 'end'])
    const events = world.told.map(({ event }) => event)
    expect(events.indexOf('access')).toBeLessThan(events.indexOf('gone'))
    expect(world.calls.filter(({ call }) => call === 'destroy')).toHaveLength(1)
  })

  test('may close the session: nothing is scanned or scheduled after that', async () => {
    const world = new World()
    world.connect(5)
    await world.pass(100)
    world.listener = ({ event }) => void (event === 'access' && world.controller.close())
    world.links({ 'non-3gpp': false })
    await world.settled()
    expect(vi.getTimerCount()).toBe(0)
  })
})

test('a loop that takes over knows the ids and backup flags of its predecessor', async () => {
  const world = new World()
  const { token, fd } = world.connect(5, '3gpp')
  await world.pass(100)
  world.links({ 'non-3gpp': 'renumbered' })
  await world.pass(500)
  const report = world.told.findLast(({ event }) => event === 'subflows')
  const past = report?.event === 'subflows' ? report.past : undefined
  expect(past).toMatchObject({
    localIds: [
      [LOCAL['non-3gpp'], 1],
      ['10.9.0.2', 2],
    ],
    subflows: [
      { backup: true, localId: 0 },
      { backup: false, localId: 2 },
    ],
  })
  const next = new World()
  next.links({ 'non-3gpp': 'renumbered' })
  next.connections.push(...world.connections)
  next.controller.add({ token, fd, remote: REMOTE, family: 4, rule: 255, past: past! })
  await next.pass(100)
  expect(next.calls).toEqual([])
  next.links({})
  await next.settled()
  // The address that had an id has it again; the lost one is withdrawn under its own.
  expect(next.of('create')).toMatchObject([{ local: { address: LOCAL['non-3gpp'] }, localId: 1 }])
  expect(next.of('remove')).toEqual([{ call: 'remove', token, localId: 2 }])
})

describe('subflows that end by themselves', () => {
  test('are created again, after longer and longer pauses if they end early', async () => {
    const world = new World()
    const connection = world.connect(5)
    await world.pass(100)
    for (let i = 0; i < 5; i++) {
      connection.subflows.splice(1)
      world.says({ type: 'subflow-closed', token: connection.token })
      await world.pass(3000)
    }
    expect(world.of('create').length).toBeGreaterThan(3)
    expect(world.of('create').length).toBeLessThan(8)
    expect(connection.subflows).toHaveLength(2)
  })

  test('a join without an answer is tried again, after longer and longer pauses', async () => {
    const world = new World()
    world.joins = false
    world.connect(5)
    await world.pass(20_000)
    const made = world.of('create').length
    expect(made).toBeGreaterThan(3)
    expect(made).toBeLessThan(12)
    // The kernel knows every address by one id.
    expect(new Set(world.of('create').map(({ localId }) => localId)).size).toBe(1)
  })
})

test('the first subflow has ended here without the peer knowing: the peer is notified again once it is reachable', async () => {
  const world = new World()
  const connection = world.connect(5)
  await world.pass(100)
  const [wifi, cell] = connection.subflows
  world.links({ 'non-3gpp': false })
  await world.settled()
  expect(world.of('remove')).toHaveLength(1)
  // The kernel keeps it, in FIN_WAIT2.
  connection.subflows.unshift(wifi!)
  wifi!.sample.state = 5
  cell!.sample.lastAckRecv = 5000
  await world.pass(2000)
  expect(world.of('remove')).toHaveLength(1)
  world.carry(cell!, 100)
  await world.pass(50)
  expect(world.of('remove')).toMatchObject([{ localId: 0 }, { localId: 0 }])
  for (let i = 0; i < 100; i++) {
    world.carry(cell!, 100)
    await world.pass(50)
  }
  expect(world.of('remove').length).toBeGreaterThan(2)
  expect(world.of('remove').length).toBeLessThan(7)
  wifi!.sample.state = 7
  const told = world.of('remove').length
  world.carry(cell!, 100)
  await world.pass(5000)
  expect(world.of('remove')).toHaveLength(told)
})

describe('descriptors', () => {
  test('a closed one is forgotten', async () => {
    const world = new World()
    const { token } = world.connect(5)
    world.connections.length = 0
    await world.pass(1500)
    expect(world.told).toContainEqual({ event: 'gone', token, why: 'its socket is closed' })
    expect(world.told.filter(({ event }) => event === 'gone')).toHaveLength(1)
  })

  test('a connection that fell back to TCP is left alone, and reported', async () => {
    const world = new World()
    const connection = world.connect(5)
    await world.pass(100)
    const before = world.calls.length
    Object.assign(connection, { errno: 95, token: 0 })
    await world.pass(1500)
    expect(world.told.filter(({ event }) => event === 'gone' || event === 'fallback')).toEqual([
      { event: 'fallback', token: 1005 },
    ])
    expect(world.calls).toHaveLength(before)
  })

  test('a number that now belongs to another connection is left alone', async () => {
    const world = new World()
    const connection = world.connect(5)
    await world.pass(100)
    const before = world.calls.length
    world.connections[0] = { ...connection, token: 4711 }
    await world.pass(1500)
    world.links({ 'non-3gpp': false })
    await world.pass(500)
    expect(world.told).toContainEqual({ event: 'gone', token: connection.token, why: 'its socket is closed' })
    expect(world.calls).toHaveLength(before)
  })

  test('a connection that fails between its sample and the query of its addresses: the next scan notices', async () => {
    const world = new World()
    world.addressesThrow = true
    world.connect(5)
    await world.pass(100)
    expect(world.told.filter(({ event }) => event === 'gone')).toEqual([])
    world.addressesThrow = false
    await world.pass(1500)
    expect(world.connections[0]!.subflows.length).toBeGreaterThan(1)
  })

  test('the kernel says that a connection has ended', async () => {
    const world = new World()
    const { token } = world.connect(5)
    world.says({ type: 'closed', token })
    expect(world.told).toContainEqual({ event: 'gone', token, why: 'it has ended' })
  })

  test("events of others' connections, and lost ones, are nothing to fear", async () => {
    const world = new World()
    world.connect(5)
    await world.pass(100)
    const before = world.calls.length
    world.says({ type: 'closed', token: 4711 })
    world.says({ type: 'subflow-closed', token: 4711 })
    world.says({ type: 'listener-created' })
    world.overrun()
    await world.settled()
    expect(world.calls).toHaveLength(before)
    expect(world.told.filter(({ event }) => event === 'gone')).toEqual([])
  })
})

describe('rules', () => {
  test('a subflow from an address of neither access is left alone', async () => {
    const world = new World()
    const connection = world.connect(5)
    await world.pass(100)
    const foreign = world.subflow(connection, '3gpp')
    foreign.addresses.local.address = '172.16.0.9'
    world.links({ 'non-3gpp': false })
    await world.pass(500)
    world.links({})
    await world.pass(500)
    const ports = world.calls.flatMap(call => ('local' in call && 'port' in call.local ? [call.local.port] : []))
    expect(ports).not.toContain(foreign.addresses.local.port)
  })

  test('without a standby the other access gets no subflow, whatever happens', async () => {
    const rules = [[255, { mode: 'active-standby', active: 'non-3gpp', standby: undefined }]] as never
    const world = new World({ rules })
    world.connect(5)
    await world.pass(500)
    world.links({ 'non-3gpp': false })
    await world.pass(5000)
    world.links({})
    await world.pass(1000)
    expect(world.of('create').filter(({ local }) => local.address === LOCAL['3gpp'])).toEqual([])
  })

  test('another rule moves the connection; a connection under no rule is left alone', async () => {
    const world = new World({
      rules: [
        [1, { mode: 'active-standby', active: '3gpp', standby: 'non-3gpp' }],
        [255, { mode: 'active-standby', active: 'non-3gpp', standby: '3gpp' }],
      ],
    })
    const connection = world.connect(5)
    world.connect(6, 'non-3gpp', -1)
    await world.pass(100)
    world.controller.assign([[connection.token, 1]])
    await world.pass(100)
    expect(world.of('set-backup')).toMatchObject([
      { token: connection.token, backup: false, local: { address: LOCAL['3gpp'] } },
      { token: connection.token, backup: true, local: { address: LOCAL['non-3gpp'] } },
    ])
    expect(world.calls.every(({ token }) => token === connection.token)).toBe(true)
  })

  test('the percentages of the device, under a rule with UE assistance', async () => {
    const rules = [[255, { mode: 'load-balancing', percent3gpp: 100, indicator: 'ue-assistance' }]] as never
    const world = new World({ rules })
    world.connect(5, '3gpp')
    await world.pass(100)
    expect(world.of('create')).toMatchObject([{ local: { address: LOCAL['non-3gpp'] }, backup: true }])
    const flags = async (wish: Parameters<typeof world.controller.assist>[0]) => {
      const before = world.of('set-backup').length
      world.controller.assist(wish)
      await world.pass(100)
      return world
        .of('set-backup')
        .slice(before)
        .map(({ local, backup }) => [local.address, backup])
    }
    expect(await flags({ percent3gpp: 0, why: 'the battery is low' })).toEqual([
      [LOCAL['non-3gpp'], false],
      [LOCAL['3gpp'], true],
    ])
    expect(await flags(undefined)).toEqual([
      [LOCAL['3gpp'], false],
      [LOCAL['non-3gpp'], true],
    ])
  })

  test('without the right to change anything, nothing is tried, but everything is observed', async () => {
    const world = new World({ pathManager: false })
    world.connect(5)
    await world.pass(1000)
    expect(world.calls).toEqual([])
    expect(world.told.some(({ event }) => event === 'accesses')).toBe(true)
  })

  test('no scan after the end', async () => {
    const world = new World()
    world.controller.close()
    world.connect(5)
    world.links({ 'non-3gpp': false })
    await world.pass(1000)
    expect(world.calls).toEqual([])
    expect(vi.getTimerCount()).toBe(0)
  })
})

test('links are polled often while bytes move, and no longer after a second without any', async () => {
  const world = new World()
  const connection = world.connect(5)
  for (let i = 0; i < 10; i++) {
    world.carry(connection.subflows[0]!, 1000)
    await world.pass(50)
  }
  const often = world.watched.at(-1)
  expect(often).toBeLessThan(50)
  await world.pass(950)
  expect(world.watched.at(-1)).toBe(often)
  await world.pass(100)
  expect(world.watched.at(-1)).toBe(Number.POSITIVE_INFINITY)
})

describe('connections at rest', () => {
  const lost = (world: World) => world.told.filter(told => told.event === 'access' && !told.available)

  test('data that was just sent is no silence, however long the pause before it', async () => {
    const world = new World()
    const connection = world.connect(5)
    await world.pass(5000, 250)
    world.now += 240
    world.carry(connection.subflows[0]!, 1000, false)
    Object.assign(connection.subflows[0]!.sample, { lastDataSent: 10, lastAckRecv: 5250 })
    await world.pass(10, 10)
    expect(lost(world)).toEqual([])
    Object.assign(connection.subflows[0]!.sample, { lastDataSent: 60, lastAckRecv: 5300 })
    await world.pass(50)
    expect(lost(world)).toEqual([])
    Object.assign(connection.subflows[0]!.sample, { lastDataSent: 110, lastAckRecv: 5350 })
    await world.pass(50)
    expect(lost(world)).toHaveLength(1)
  })

  test('events of other connections are no reason to sample them', async () => {
    const { world, one } = await resting()
    world.says({ type: 'subflow-closed', token: one.token })
    expect(world.asked).toBe(0)
    await world.pass(50)
    expect(world.asked).toBeGreaterThan(0)
  })

  test('nor is the silence of another connection, until its access counts as lost', async () => {
    const { world, one } = await resting()
    const [wifi] = one.subflows
    world.carry(wifi!, 1000, false)
    for (const lastDataSent of [40, 90]) {
      Object.assign(wifi!.sample, { lastDataSent, lastAckRecv: 60_000 })
      await world.pass(50)
    }
    world.asked = 0
    // A scan is due when it is silent, which is before the next full scan.
    world.now += 12
    vi.advanceTimersByTime(11)
    expect([world.asked, lost(world)]).toMatchObject([0, [{ access: 'non-3gpp' }]])
    vi.advanceTimersByTime(1)
    expect(world.asked).toBeGreaterThan(0)
  })

  /** Four connections that have just been scanned. */
  async function resting() {
    const world = new World()
    const [one] = [5, 6, 7].map(fd => world.connect(fd))
    // Under no rule: whatever is done to the others, it stays at rest.
    world.connect(8, 'non-3gpp', -1)
    await world.pass(1000)
    for (const { subflows } of world.connections) for (const { sample } of subflows) sample.lastAckRecv = 60_000
    await world.pass(50)
    world.asked = 0
    return { world, one: one! }
  }

  test.each<[string, Steering, lostBefore: boolean, followed: number]>([
    ['some are followed at once', WIFI_THEN_CELL, false, 5],
    ['all are, where bytes are divided', { mode: 'load-balancing', percent3gpp: 50 }, false, 30],
    ['all are, when an access was lost within a minute', WIFI_THEN_CELL, true, 30],
  ])('of many that have only moved bytes %s', async (_name, steering, lostBefore, followed) => {
    const world = new World({ rules: [[255, steering]] })
    // None has its turn in this scan: there have been fewer than 50.
    const connections = Array.from({ length: 30 }, (_, index) => world.connect(50 * index + 49))
    await world.pass(500)
    if (lostBefore) world.links({ 'non-3gpp': false })
    world.links({})
    await world.pass(1000)
    for (const { subflows } of connections) world.carry(subflows.at(-1)!, 1000)
    world.followed = 0
    await world.pass(50)
    expect(world.followed).toBe(followed)
  })

  test('many at rest: each is sampled within a few scans; active ones in every scan', async () => {
    const world = new World()
    const busy = world.connect(5)
    const others = Array.from({ length: 260 }, (_, index) => world.connect(100 + index))
    const move = async (times: number) => {
      for (let i = 0; i < times; i++) {
        world.carry(busy.subflows[0]!, 1000)
        await world.pass(50)
      }
    }
    await move(10)
    world.asked = 0
    await move(10)
    expect(world.asked / 10).toBeLessThan(170)
    expect(world.asked / 10).toBeGreaterThan(90)
    // One of them sends without an answer, and no other one receives anything.
    for (const { subflows } of [busy, ...others]) for (const { sample } of subflows) sample.lastAckRecv = 60_000
    const other = others[130]!
    world.carry(other.subflows[0]!, 1000, false)
    for (let ms = 50; ms <= 300; ms += 50) {
      Object.assign(other.subflows[0]!.sample, { lastDataSent: ms, lastAckRecv: 5000 + ms })
      await world.pass(50)
    }
    expect(lost(world)).toHaveLength(1)
  }, 120_000)
})

test('a lost link: what has something on its way is moved before what rests', async () => {
  const world = new World()
  const connections = Array.from({ length: 40 }, (_, index) => world.connect(100 + index))
  await world.pass(3000)
  const busy = connections[30]!
  world.carry(busy.subflows[0]!, 1000, false)
  world.controller.assign([[busy.token, 255]])
  const before = world.calls.length
  world.links({ 'non-3gpp': false })
  await world.settled()
  const moved = world.calls.slice(before).flatMap(call => (call.call === 'destroy' ? [call.token] : []))
  expect(moved).toHaveLength(40)
  expect(moved[0]).toBe(busy.token)
}, 60_000)

describe('when the way to the path manager is lost for a while', () => {
  test('nothing is asked of it; what has changed meanwhile is done at once when it is back', async () => {
    const world = new World()
    world.connect(5)
    await world.pass(1000)
    world.reach(false)
    const before = world.calls.length
    world.links({ 'non-3gpp': false })
    await world.wait(3000)
    expect(world.calls).toHaveLength(before)
    expect(world.errors()).toEqual([])
    world.reach(true)
    await world.pass(300)
    expect(world.calls.slice(before).map(({ call }) => call)).toEqual(expect.arrayContaining(['set-backup', 'destroy']))
  })

  test('what was refused before is not waited for', async () => {
    const world = new World()
    world.refuses = { create: 'ERR_ATSSS_HELPER' }
    world.connect(5)
    await world.pass(10_000)
    world.reach(false)
    world.refuses = {}
    const before = world.of('create').length
    world.reach(true)
    await world.settled()
    expect(world.of('create')).toHaveLength(before + 1)
  })

  test('it knows the socket of each connection, until that ends', async () => {
    const world = new World()
    const { token } = world.connect(5)
    const other = world.connect(6)
    expect([...world.shown]).toEqual([
      [token, 5],
      [other.token, 6],
    ])
    world.controller.remove(token)
    other.errno = 9
    await world.pass(100)
    expect(world.shown.size).toBe(0)
  })
})
