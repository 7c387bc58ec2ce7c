/** New subflows on kernels that drop their interface and backup flag (Linux 5.19 to 6.8), and on those that do not. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { INDEX, LOCAL, World } from '../../support/controlled-world.js'

// Passes of the loop happen at the times of the test's own clock.
beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
afterEach(() => void vi.useRealTimers())

class OldKernel extends World {
  override dropsInterface = true
}

const calls = (world: World) => world.calls.map(({ call }) => call)
const degraded = (world: World) => world.told.filter(({ event }) => event === 'unbound')
const cellOf = (connection: ReturnType<World['connect']>) =>
  connection.subflows.find(({ addresses }) => addresses.local.address === LOCAL['3gpp'])!
const portOf = (connection: ReturnType<World['connect']>) => cellOf(connection).addresses.local.port

describe('a kernel that keeps both', () => {
  test('no address is announced', async () => {
    const world = new World()
    for (const fd of [5, 6]) world.connect(fd)
    await world.pass(500)
    expect(calls(world)).toEqual(['create', 'create'])
    expect(degraded(world)).toEqual([])
  })

  test('no address is announced even if no probe can show this, since events show the interface', async () => {
    const world = new World()
    world.admitsDropping = false
    for (const fd of [5, 6, 7, 8, 9]) world.connect(fd)
    await world.pass(500)
    expect(calls(world)).toEqual(Array(5).fill('create'))
  })
})

describe('a kernel that drops both', () => {
  test('the address is announced with them, under the id of the subflow, and before it', async () => {
    const world = new OldKernel()
    const connection = world.connect(5)
    await world.pass(500)
    const { token } = connection
    const local = { address: LOCAL['3gpp'], interfaceIndex: INDEX['3gpp'] }
    expect(world.calls).toMatchObject([
      { call: 'announce', token, localId: 1, ...local, backup: true },
      { call: 'create', token, localId: 1, local, backup: true },
    ])
    expect(world.flags.get(portOf(connection))).toBe(true)
    expect(degraded(world)).toEqual([])
  })

  test('the next connections need no probe, and are announced as well', async () => {
    const world = new OldKernel()
    const connections = [5, 6, 7].map(fd => world.connect(fd))
    await world.pass(500)
    expect(world.of('announce')).toHaveLength(3)
    expect(connections.map(connection => world.flags.get(portOf(connection)))).toEqual([true, true, true])
  })

  test('only an event shows it: the subflow is made again, announced', async () => {
    const world = new OldKernel()
    world.admitsDropping = false
    const connection = world.connect(5)
    await world.pass(500)
    expect(calls(world).filter(call => call !== 'remove')).toEqual([
      'create',
      'destroy',
      'announce',
      'announce',
      'create',
    ])
    const [made] = world.told.flatMap(event =>
      event.event === 'action' && event.action.do === 'destroy' ? [event.action] : [],
    )
    expect(made?.why).toBe('the kernel has not bound it to the interface of 3gpp')
    expect(connection.subflows).toHaveLength(2)
    expect(world.flags.get(portOf(connection))).toBe(true)
    expect(degraded(world)).toEqual([])
  })

  test('the events of several connections at once: each of them is made again once', async () => {
    const world = new OldKernel()
    world.admitsDropping = false
    const connections = [5, 6, 7].map(fd => world.connect(fd))
    await world.pass(1000)
    expect(world.of('destroy')).toHaveLength(3)
    expect(world.of('create')).toHaveLength(6)
    expect(connections.map(connection => world.flags.get(portOf(connection)))).toEqual([true, true, true])
    expect(degraded(world)).toEqual([])
  })

  test('handover and back: the lost address is withdrawn, and announced again with what it is then', async () => {
    const world = new OldKernel()
    const connection = world.connect(5)
    await world.pass(500)
    world.links({ 'non-3gpp': false })
    await world.pass(500)
    world.links({})
    await world.pass(500)
    const wifi = world.of('announce').filter(({ address }) => address === LOCAL['non-3gpp'])
    expect(wifi).toMatchObject([{ localId: 2, interfaceIndex: INDEX['non-3gpp'], backup: false }])
    world.links({ '3gpp': false })
    await world.pass(500)
    expect(calls(world).slice(-3)).toEqual(['destroy', 'announce', 'remove'])
    world.links({})
    await world.pass(500)
    expect(world.of('announce').at(-1)).toMatchObject({ address: LOCAL['3gpp'], localId: 1, backup: true })
    expect(world.flags.get(portOf(connection))).toBe(true)
    expect(degraded(world)).toEqual([])
  })

  test('a subflow that the peer ends: the kernel still has its address as it was, so that is taken back first', async () => {
    const world = new OldKernel()
    const connection = world.connect(5)
    await world.pass(500)
    world.controller.setRules([[255, { mode: 'active-standby', active: '3gpp', standby: 'non-3gpp' }]])
    connection.subflows.splice(connection.subflows.indexOf(cellOf(connection)), 1)
    await world.pass(1000)
    expect(
      calls(world)
        .filter(call => call !== 'set-backup')
        .slice(2),
    ).toEqual(['remove', 'announce', 'create'])
    expect(world.of('announce').at(-1)).toMatchObject({ localId: 1, backup: false })
    expect(world.flags.get(portOf(connection))).toBe(false)
  })

  test('an interface that has come back under another index is announced with that', async () => {
    const world = new OldKernel()
    const connection = world.connect(5)
    await world.pass(500)
    connection.subflows.splice(connection.subflows.indexOf(cellOf(connection)), 1)
    world.index('3gpp', 9)
    await world.pass(1000)
    expect(calls(world).slice(2)).toEqual(['remove', 'announce', 'create'])
    expect(world.of('create').at(-1)!.local.interfaceIndex).toBe(9)
    expect(degraded(world)).toEqual([])
  })

  test('an address that the device has lost is withdrawn, though its subflow had ended before', async () => {
    const world = new OldKernel()
    world.connect(5)
    await world.pass(500)
    const [connection] = world.connections
    world.joins = false
    connection!.subflows.splice(1)
    await world.pass(50)
    world.links({ '3gpp': 'renumbered' })
    await world.settled()
    expect(world.of('remove')).toMatchObject([{ localId: 1 }])
  })

  test('a subflow that the kernel refuses: its address is withdrawn', async () => {
    const world = new OldKernel()
    world.refuses = { create: 'ENETUNREACH' }
    world.connect(5)
    await world.settled()
    expect(calls(world)).toEqual(['announce', 'create', 'announce', 'remove'])
  })

  test('a subflow that the kernel refuses because the connection is too young: its address stays announced', async () => {
    const world = new OldKernel()
    world.refuses = { create: 'ENOTCONN' }
    world.connect(5)
    await world.settled()
    expect(calls(world)).toEqual(['announce', 'create'])
  })

  test('a connection that has ended is no refusal: nothing is withdrawn, and the next one is announced as before', async () => {
    const world = new OldKernel()
    world.refuses = { announce: 'EINVAL', create: 'EINVAL' }
    world.words = 'invalid token'
    world.connect(5)
    await world.settled()
    expect(calls(world)).toEqual(['announce', 'create'])
    expect(world.errors()).toEqual([])
    world.refuses = {}
    world.connect(6)
    await world.pass(1000)
    expect(world.of('announce')).toContainEqual(expect.objectContaining({ token: 1006 }))
    expect(degraded(world)).toEqual([])
  })

  test('a flag that the kernel does not have is set when the subflow is there', async () => {
    const world = new OldKernel()
    world.refuses = { announce: 'EINVAL' }
    const connection = world.connect(5)
    await world.pass(500)
    expect(world.of('set-backup')).toMatchObject([{ backup: true, local: { address: LOCAL['3gpp'] } }])
    expect(world.flags.get(portOf(connection))).toBe(true)
  })

  test('the announcement is refused, and the routes lead elsewhere: it is reported once, with what to do', async () => {
    const world = new OldKernel()
    world.refuses = { announce: 'EINVAL' }
    for (const fd of [5, 6]) world.connect(fd)
    await world.pass(2000)
    expect(world.of('create')).toHaveLength(2)
    expect(degraded(world)).toEqual([{ event: 'unbound', access: '3gpp', why: expect.any(String) }])
    const { why } = degraded(world)[0] as { why: string }
    expect(why).toContain('Subflows of 3gpp leave by wifi, not cell')
    expect(why).toContain('mptcp_pm announce EINVAL')
    expect(why).toContain(`ip rule add from ${LOCAL['3gpp']} table 1003`)
  })

  test('the announcement is refused, but routing rules lead by the right interface: nothing is wrong', async () => {
    const world = new OldKernel()
    world.refuses = { announce: 'EINVAL' }
    world.leavesBy = INDEX['3gpp']
    world.connect(5)
    await world.pass(2000)
    expect(degraded(world)).toEqual([])
    expect(world.of('create')).toHaveLength(1)
  })

  test('the kernel takes the announcement and forgets it all the same: reported, and not tried for ever', async () => {
    const world = new OldKernel()
    world.forgetsAnnouncements = true
    world.connect(5)
    await world.pass(3000)
    expect(world.of('create')).toHaveLength(1)
    expect(degraded(world)).toHaveLength(1)
    expect(world.of('set-backup')).toMatchObject([{ backup: true }])
  })
})

test('withdrawing and joining use the id that the kernel has given the address', async () => {
  const world = new World()
  const connection = world.connect(5)
  await world.pass(100)
  const { local, remote } = cellOf(connection).addresses
  const made = { type: 'subflow-established', token: connection.token, local, remote, localId: 7 }
  world.says({ ...made, interfaceIndex: INDEX['3gpp'] })
  world.links({ '3gpp': false })
  await world.pass(100)
  expect(world.of('remove')).toMatchObject([{ localId: 7 }])
  world.links({})
  await world.pass(100)
  expect(world.of('create').at(-1)).toMatchObject({ localId: 7 })
})
