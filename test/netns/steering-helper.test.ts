/** Ordinary users steer live connections through the steering helper: as with the capability, and only their own. */
import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import { all, mptcp, netns, root } from '../support/probes.js'
import { requires } from '../support/requires.js'
import { RULES, SessionLab } from '../support/session-lab.js'
import { asUser, RunningHelper } from '../support/steering-helper.js'

const labTest = requires('MPTCP in network namespaces', all(root, netns, mptcp))

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

  labTest('a lost carrier: the connection goes on over the other access, and back', async () => {
    const ue = await rig.ue({ rules: RULES.wifiThenCell, helper: helper.path }, asUser(61_001))
    expect(await ue.call('ready')).toEqual({ level: 'userspace', helper: helper.path })
    const { number } = await ue.sparse()
    await expect.poll(() => ue.actions('create').length).toBe(1)
    await ue.call('gap', number)
    await rig.lab.link('wifi').set({ carrier: false })
    await ue.until('non-3gpp', false)
    await expect.poll(async () => (await rig.shares(300)).cell).toBeGreaterThan(2_000)
    expect((await ue.call('gap', number)).gap).toBeLessThan(1_000)
    await ue.whole(number)
  })
})
