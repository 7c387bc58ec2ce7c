/** Both accesses have the same address: two home routers that give out 192.168.1.5, for example. */
import { expect, test } from 'vitest'
import type { AccessType } from '../../../lib/policy/rules/rule.js'
import { endpointsOfAll } from '../../../lib/runtime/steering/endpoints.js'
import { INDEX, LOCAL, World } from '../../support/controlled-world.js'

const SAME = LOCAL['non-3gpp']
const CELL_FIRST = { mode: 'active-standby', active: '3gpp', standby: 'non-3gpp' } as const

/** The accesses of a connection's subflows, as the loop reports them, and their flags. */
function reported(world: World): unknown[] {
  const report = world.told.findLast(({ event }) => event === 'subflows')
  return report?.event === 'subflows' ? report.subflows.map(({ access, backup }) => [access, backup]) : []
}

test('a subflow is of the access whose interface it is bound to', async () => {
  const world = new World({ rules: [[255, CELL_FIRST]] })
  world.links({ '3gpp': 'same' })
  const connection = world.connect(5, '3gpp')
  const standby = world.connect(6, 'non-3gpp')
  await world.pass(300)
  expect(world.of('create')).toMatchObject([
    { token: connection.token, local: { address: SAME, interfaceIndex: INDEX['non-3gpp'] }, backup: true },
    { token: standby.token, local: { address: SAME, interfaceIndex: INDEX['3gpp'] }, backup: false },
  ])
  expect(reported(world)).toEqual([
    ['non-3gpp', true],
    ['3gpp', false],
  ])
  // Only the address of Wi-Fi has gone: cellular still has it.
  world.links({ '3gpp': 'same', 'non-3gpp': 'renumbered' })
  await world.pass(300)
  const [onCell, onWifi] = [connection.subflows[0], standby.subflows[0]]
  expect(onCell?.addresses.local.address).toBe(SAME)
  expect(world.of('destroy').map(({ token }) => token)).toEqual([connection.token, standby.token])
  expect(onWifi?.addresses.local.address).toBe(SAME)
  expect(world.told.filter(({ event }) => event === 'ambiguous')).toEqual([])
})

test('of a subflow that nothing binds nothing is guessed, and the session is notified, once', async () => {
  const world = new World({ pathManager: false })
  world.links({ '3gpp': 'same' })
  world.connect(5, 'non-3gpp', 255, 0)
  world.connect(6, '3gpp', 255, 0)
  await world.pass(300)
  expect(reported(world)).toEqual([[undefined, false]])
  expect(world.told.filter(({ event }) => event === 'ambiguous')).toEqual([
    { event: 'ambiguous', why: expect.stringMatching(/from 10\.1\.0\.2 .* wifi and cell both have/) },
  ])
})

test('a subflow that the peer has made: the event names its interface, before a sample shows it or after', async () => {
  const world = new World()
  world.links({ '3gpp': 'same' })
  const connection = world.connect(5)
  await world.pass(300)
  for (const isFirst of [true, false]) {
    const { local, remote } = world.subflow(connection, '3gpp').addresses
    const about = { localId: 0, remoteId: 0, local, remote, backup: false, interfaceIndex: INDEX['3gpp'] }
    if (!isFirst) await world.pass(50)
    world.says({ type: 'subflow-established', token: connection.token, ...about })
    await world.pass(50)
    // One of two is enough there. A subflow of neither access would be left alone.
    expect(world.of('destroy')).toHaveLength(isFirst ? 1 : 2)
  }
})

test('joins on both accesses from one address are requested one after the other', async () => {
  const world = new World()
  world.links({ '3gpp': 'same' })
  world.connect(5, 'non-3gpp', 255, 0)
  world.joins = false
  await world.pass(50)
  const first = world.of('create').length
  await world.pass(100)
  expect([first, world.of('create').length]).toEqual([1, 1])
  await world.pass(600)
  const interfaces = world.of('create').map(({ local }) => local.interfaceIndex)
  expect(new Set(interfaces)).toEqual(new Set([INDEX['3gpp'], INDEX['non-3gpp']]))
})

test('at the level `kernel` the access in use gets the one endpoint, and the session is notified', () => {
  const links = { addresses: (access: AccessType) => [{ address: SAME, interfaceIndex: INDEX[access] }] }
  const uses = { '3gpp': 'backup', 'non-3gpp': 'active' } as const
  const { wanted, why } = endpointsOfAll(new Map([[255, { uses, why: '' }]]), [], links)
  expect(wanted).toEqual([{ address: SAME, interfaceIndex: INDEX['non-3gpp'], backup: false }])
  expect(why).toMatch(/^Both accesses have the address 10\.1\.0\.2, .* no handover/)
})
