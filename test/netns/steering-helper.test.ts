/** Ordinary users steer live connections through the steering helper: as with the capability, and only their own. */
import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import { all, mptcp, netns, root } from '../support/probes.js'
import { requires } from '../support/requires.js'
import { RULES, SessionLab, type SessionUe } from '../support/session-lab.js'
import { asUser, RunningHelper } from '../support/steering-helper.js'

const labTest = requires('MPTCP in network namespaces', all(root, netns, mptcp))
const [ALICE, BOB] = [61_001, 61_002]

labTest.describe('an ordinary user', () => {
  let rig: SessionLab
  let helper: RunningHelper
  beforeAll(async () => {
    rig = await SessionLab.open()
    helper = await RunningHelper.start(rig.lab.ue)
  })
  afterEach(() => rig?.reset())
  afterAll(async () => {
    await helper?.stop()
    await rig?.close()
  })

  const session = (uid: number, options: object = {}) =>
    rig.ue({ rules: RULES.wifiThenCell, helper: helper.path, ...options }, asUser(uid))

  /** The longest pause of a sparse stream around a carrier's loss. */
  async function gapOf(ue: SessionUe): Promise<number> {
    const { number } = await ue.sparse()
    const wifis = () => ue.actions('create').length
    await expect.poll(wifis).toBeGreaterThan(0)
    await new Promise(resolve => setTimeout(resolve, 500))
    await ue.call('gap', number)
    await rig.lab.link('wifi').set({ carrier: false })
    await ue.until('non-3gpp', false)
    await expect.poll(async () => (await rig.shares(300)).cell).toBeGreaterThan(2_000)
    const { gap } = await ue.call('gap', number)
    await rig.lab.link('wifi').set({ carrier: true })
    await ue.until('non-3gpp', true)
    await ue.whole(number)
    return gap
  }

  labTest('handover: a lost carrier, as with the capability', async () => {
    const ue = await session(ALICE)
    expect(await ue.call('ready')).toEqual({ level: 'userspace', helper: helper.path })
    const without = await gapOf(ue)
    expect(ue.degraded()).toEqual([])
    await ue.stop()
    const itself = await rig.ue({ rules: RULES.wifiThenCell, helper: helper.path })
    expect(await itself.call('ready')).toEqual({ level: 'userspace' })
    const privileged = await gapOf(itself)
    console.log(
      `longest gap: ${without.toFixed(0)} ms with the helper, ${privileged.toFixed(0)} ms with the capability`,
    )
    // On a busy machine either may wait for the processor.
    for (const gap of [without, privileged]) expect(gap).toBeLessThan(1_000)
  })

  labTest('load balancing: 30 % over cellular', async () => {
    const ue = await session(ALICE, { rules: RULES.divided(30), controller: 'inline' })
    const { number } = await ue.bulk()
    await new Promise(resolve => setTimeout(resolve, 3_000))
    const { cellShare, mbps } = await rig.shares(4_000)
    console.log(`30 %: ${(cellShare * 100).toFixed(1)} % of ${mbps.toFixed(1)} Mbit/s`)
    expect(cellShare).toBeGreaterThan(0.22)
    expect(cellShare).toBeLessThan(0.38)
    await ue.whole(number)
  })

  labTest(
    'two users at once, and the helper is killed 100 times in the middle of handovers: nothing is lost',
    async () => {
      const [alice, bob] = [await session(ALICE), await session(BOB, { rules: RULES.cellThenWifi })]
      const streams = [await alice.sparse(), await bob.sparse(), await alice.sparse(), await bob.sparse()]
      await expect.poll(() => alice.actions('create').length + bob.actions('create').length).toBe(4)
      const before = helper.log.length
      for (let i = 0; i < 100; i++) {
        // Down, up, down, up; then the other one.
        if (i % 2 === 0) await rig.lab.link(i % 8 < 4 ? 'wifi' : 'cell').set({ carrier: i % 4 === 2 })
        await new Promise(resolve => setTimeout(resolve, (i * 7) % 60))
        await helper.kill()
        if (i % 10 === 0) await new Promise(resolve => setTimeout(resolve, 200))
        await helper.again()
        await new Promise(resolve => setTimeout(resolve, (i * 13) % 90))
      }
      expect(helper.log.slice(before)).not.toMatch(/signal/)
      const last = (ue: SessionUe) => ue.heard.filter(({ what }) => what === 'helper').at(-1)?.event
      for (const ue of [alice, bob]) await expect.poll(() => last(ue)).toBe('restored')
      // It steers as before.
      await rig.mend()
      for (const access of ['3gpp', 'non-3gpp'] as const) await alice.until(access, true)
      await rig.lab.link('wifi').set({ carrier: false })
      await alice.until('non-3gpp', false)
      await expect.poll(async () => (await rig.shares(300)).cell).toBeGreaterThan(8_000)
      await rig.lab.link('wifi').set({ carrier: true })
      for (const [i, { number }] of streams.entries()) await (i % 2 === 0 ? alice : bob).whole(number)
    },
  )

  labTest('an interface that the administrator does not allow', async () => {
    const strict = await RunningHelper.start(rig.lab.ue, '--allow-interface', 'wifi')
    try {
      const ue = await session(ALICE, { helper: strict.path })
      const { number } = await ue.sparse()
      const refused = { what: 'helper', message: expect.stringContaining('(interface)') }
      await expect.poll(() => ue.degraded()).toMatchObject([refused])
      await ue.whole(number)
    } finally {
      await strict.stop()
    }
  })

  labTest('without the group, without a helper: the level none, and what to do', async () => {
    const outside = await rig.ue({ helper: helper.path }, asUser(ALICE, false))
    expect(await outside.call('ready')).toMatchObject({ level: 'none', why: expect.stringContaining('usermod -aG') })
    const unwanted = await rig.ue({ helper: false }, asUser(ALICE))
    expect(await unwanted.call('ready')).toMatchObject({ level: 'none', why: expect.stringContaining('not wanted') })
    const none = await rig.ue({ helper: '/nowhere' }, asUser(ALICE))
    expect(await none.call('ready')).toMatchObject({ level: 'none', why: expect.stringContaining('/nowhere') })
  })

  labTest("the kernel's path manager with NetworkManager's endpoints: the level shared", async () => {
    const { ue: device } = rig.lab
    await device.sysctl('net.mptcp.pm_type', 0)
    for (const [name, address] of [
      ['wifi', '10.1.0.2'],
      ['cell', '10.2.0.2'],
    ] as const)
      await device.run('ip', ['mptcp', 'endpoint', 'add', address, 'dev', name, 'subflow'])
    try {
      const ue = await session(ALICE)
      expect(await ue.call('ready')).toMatchObject({
        level: 'shared',
        why: expect.stringContaining('left to the kernel'),
      })
      const { number } = await ue.sparse()
      await expect.poll(() => ue.call('subflows', number)).toBe(2)
      await rig.lab.link('wifi').set({ carrier: false })
      await expect.poll(async () => (await rig.shares(300)).cell, { timeout: 10_000 }).toBeGreaterThan(2_000)
      await rig.lab.link('wifi').set({ carrier: true })
      await ue.whole(number)
    } finally {
      await device.sysctl('net.mptcp.pm_type', 1)
      await device.run('ip', ['mptcp', 'endpoint', 'flush'])
    }
  })
})
