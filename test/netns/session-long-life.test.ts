/**
 * Both accesses away for shorter and longer than the kernel keeps a connection without subflows (net.mptcp.close_timeout, 60 s: here
 * 2 s).
 */
import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import { pause } from '../support/native-addon.js'
import { all, mptcp, netns, root } from '../support/probes.js'
import { requires } from '../support/requires.js'
import { RULES, SessionLab } from '../support/session-lab.js'

const labTest = requires('MPTCP in network namespaces', all(root, netns, mptcp))

const CLOSE_TIMEOUT_S = 2

labTest.describe('outages of both accesses', () => {
  let rig: SessionLab
  beforeAll(async () => {
    rig = await SessionLab.open()
    for (const host of [rig.lab.ue, rig.lab.converter]) await host.sysctl('net.mptcp.close_timeout', CLOSE_TIMEOUT_S)
  })
  afterEach(() => rig?.reset())
  afterAll(() => rig?.close())

  const both = (change: { carrier?: boolean; down?: boolean }) =>
    Promise.all(['wifi', 'cell'].map(name => rig.lab.link(name).set(change)))

  labTest('without carrier for longer than TCP sends again: ETIMEDOUT, as with TCP', async () => {
    await rig.lab.ue.sysctl('net.ipv4.tcp_retries2', 1)
    try {
      const ue = await rig.ue({ rules: RULES.wifiThenCell })
      const { number } = await ue.sparse()
      await pause(700)
      await both({ carrier: false })
      await expect
        .poll(() => ue.call('error', number), { timeout: 20_000, interval: 50 })
        .toEqual({ code: 'ETIMEDOUT', message: 'read ETIMEDOUT' })
    } finally {
      await rig.lab.ue.sysctl('net.ipv4.tcp_retries2', 15)
    }
  })

  for (const [what, away, back] of [
    ['without carrier', { carrier: false }, { carrier: true }],
    ['silent', { down: true }, { down: false }],
  ] as const)
    for (const seconds of [CLOSE_TIMEOUT_S - 0.5, CLOSE_TIMEOUT_S + 2.5])
      labTest(
        `${what} for ${seconds} s of ${CLOSE_TIMEOUT_S}: live connections go on, and nothing is lost`,
        async () => {
          const ue = await rig.ue({ rules: RULES.wifiThenCell })
          const { number } = await ue.sparse()
          // Of this one nothing is on its way meanwhile.
          const { number: idle } = await ue.sparse()
          await ue.call('stop', idle)
          await pause(700)
          await both(away)
          await pause(seconds * 1_000)
          await both(back)
          await ue.call('gap', number)
          await expect
            .poll(async () => (await ue.call('gap', number)).received, { timeout: 20_000, interval: 50 })
            .toBeGreaterThan(0)
          await pause(500)
          await ue.whole(number)
          await ue.whole(idle)
        },
      )
})
