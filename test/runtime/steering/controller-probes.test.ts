import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type Connection, LOCAL, World } from '../../support/controlled-world.js'

// The test starts the scans itself, and sets the clock.
beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
afterEach(() => void vi.useRealTimers())

const probes = (world: World) =>
  world.told.flatMap(event =>
    event.event === 'action' && event.action.do === 'create' && event.action.isProbe ? [event.action] : [],
  )
const changes = (world: World) =>
  world.told.flatMap(event => (event.event === 'access' ? [`${event.access} ${event.available}`] : []))
const destroyedPorts = (world: World) => world.of('destroy').map(({ local }) => local.port)
const portOver = ({ subflows }: Connection, local: string) =>
  subflows.find(({ addresses }) => addresses.local.address === local)?.addresses.local.port

describe('a download', () => {
  /** Half a second of it, over wifi. */
  async function downloading() {
    const world = new World()
    const connection = world.connect(5)
    await world.settled()
    const wifi = connection.subflows[0]!
    await world.wait(500, { each: () => world.receive(wifi) })
    world.told.length = 0
    return { world, connection, wifi, carrying: wifi.addresses.local.port }
  }

  test('is not probed while it comes', async () => {
    const { world, wifi } = await downloading()
    await world.wait(2000, { each: () => world.receive(wifi) })
    expect(probes(world)).toEqual([])
  })

  test('that moves to a standby which a NAT has forgotten: another subflow takes its place within some 150 ms', async () => {
    const { world, connection } = await downloading()
    const standby = portOver(connection, LOCAL['3gpp'])
    world.links({ 'non-3gpp': false })
    await world.wait(150)
    expect(world.of('create').at(-1)).toMatchObject({ local: { address: LOCAL['3gpp'] }, backup: false })
    expect(destroyedPorts(world)).toContain(standby)
    const fresh = connection.subflows.find(({ addresses }) => addresses.local.address === LOCAL['3gpp'])!
    const made = world.of('create').length
    await world.wait(3_000, { each: () => world.receive(fresh) })
    expect(world.of('create')).toHaveLength(made)
  })

  test('that goes on over the standby: none is made', async () => {
    const { world, connection } = await downloading()
    const standby = connection.subflows.find(({ addresses }) => addresses.local.address === LOCAL['3gpp'])!
    const made = world.of('create').length
    world.links({ 'non-3gpp': false })
    await world.wait(80)
    await world.wait(3_000, { each: () => world.receive(standby) })
    expect(world.of('create')).toHaveLength(made)
  })

  test('that had ended before the handover: none is made', async () => {
    const { world } = await downloading()
    await world.wait(3_000)
    const made = world.of('create').length
    world.links({ 'non-3gpp': false })
    await world.wait(3_000)
    expect(world.of('create')).toHaveLength(made)
  })

  test('that becomes quiet is probed once, by a backup on its access', async () => {
    const { world } = await downloading()
    await world.wait(5000)
    expect(probes(world)).toMatchObject([{ access: 'non-3gpp', backup: true }])
  })

  test('of which the probe is answered stays where it is: only the probe is ended', async () => {
    const { world, connection, carrying, wifi } = await downloading()
    await world.wait(3000)
    expect(changes(world)).toEqual([])
    expect(world.of('destroy')).toHaveLength(1)
    expect(destroyedPorts(world)).not.toContain(carrying)
    expect(connection.subflows).toContain(wifi)
    expect(world.of('set-backup')).toEqual([])
  })

  test('whose server says something again after each probe is probed again, and stays', async () => {
    const { world, carrying, wifi } = await downloading()
    for (let i = 1; i <= 3; i++) {
      await world.wait(1400)
      await world.wait(500, { each: () => world.receive(wifi) })
      expect(probes(world)).toHaveLength(i)
    }
    expect(changes(world)).toEqual([])
    expect(destroyedPorts(world)).not.toContain(carrying)
  })

  test('of which the probe is not answered moves to the standby: 1.5 round trips and 40 ms later', async () => {
    const { world, connection, carrying } = await downloading()
    world.deadAccess = 'non-3gpp'
    // Quiet after 50 ms, unanswered after 70 more.
    await world.wait(110)
    expect(changes(world)).toEqual([])
    await world.wait(40)
    expect(changes(world)).toEqual(['non-3gpp false'])
    expect(destroyedPorts(world)).toContain(carrying)
    await world.wait(160, {
      each: () => {
        for (const subflow of connection.subflows) world.receive(subflow)
      },
    })
    expect(world.of('set-backup')).toMatchObject([
      { backup: false, local: { port: portOver(connection, LOCAL['3gpp']) } },
    ])
  })

  test('of which the kernel refuses the probe: nothing is lost', async () => {
    const { world, carrying } = await downloading()
    world.refuses = { create: 'ENOMEM' }
    await world.wait(3000)
    expect(changes(world)).toEqual([])
    expect(destroyedPorts(world)).not.toContain(carrying)
  })

  test('that is quiet beside another one that is not: that one shows that the access works', async () => {
    const { world } = await downloading()
    const other = world.connect(6)
    await world.settled()
    await world.wait(1000, { each: () => world.receive(other.subflows[0]!) })
    expect(probes(world)).toEqual([])
  })
})

describe('idle connections', () => {
  async function idle({ count = 3, ...options }: { count?: number; idleProbeMs?: number } = {}) {
    const world = new World({ idleProbeMs: 1000, ...options })
    const connections = Array.from({ length: count }, (_, index) => world.connect(5 + index))
    await world.settled()
    await world.wait(500, { period: 50 })
    world.told.length = 0
    return { world, connections, carrying: connections.map(({ subflows }) => subflows[0]!.addresses.local.port) }
  }

  test('are probed by one of them when nothing was received for so long, and then again', async () => {
    const { world, carrying } = await idle()
    await world.wait(300, { period: 50 })
    expect(probes(world)).toEqual([])
    await world.wait(300, { period: 50 })
    expect(probes(world)).toMatchObject([{ access: 'non-3gpp', backup: true }])
    await world.wait(10_000, { period: 50 })
    const made = probes(world).length
    expect(made).toBeGreaterThanOrEqual(9)
    expect(made).toBeLessThanOrEqual(11)
    expect(changes(world)).toEqual([])
    for (const port of carrying) expect(destroyedPorts(world)).not.toContain(port)
  })

  test('all move when two probes in a row are not answered, and the loss is reported once', async () => {
    const { world, connections, carrying } = await idle({ count: 20 })
    world.deadAccess = 'non-3gpp'
    await world.wait(900, { period: 50 })
    expect(changes(world)).toEqual(['non-3gpp false'])
    expect(destroyedPorts(world)).toEqual(expect.arrayContaining(carrying))
    await world.wait(300, { period: 50 })
    const moved = world.of('set-backup').filter(({ backup }) => !backup)
    expect(new Set(moved.map(({ token }) => token))).toEqual(new Set(connections.map(({ token }) => token)))
    await world.wait(5000, { period: 250 })
    expect(changes(world)).toEqual(['non-3gpp false'])
  })

  test('are never probed if that is off', async () => {
    const { world } = await idle({ idleProbeMs: Number.POSITIVE_INFINITY })
    await world.wait(3_600_000, { period: 60_000 })
    expect(probes(world)).toEqual([])
  })

  test('a standby that nothing relies on is not probed', async () => {
    const { world } = await idle()
    await world.wait(5000, { period: 50 })
    expect(probes(world).map(({ access }) => access)).not.toContain('3gpp')
  })
})
