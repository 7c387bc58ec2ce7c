/** What a session reports of both directions, beside what the links carry. */
import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import { pause } from '../support/native-addon.js'
import { all, mptcp, netns, root } from '../support/probes.js'
import { requires } from '../support/requires.js'
import { RULES, SessionLab, type SessionUe } from '../support/session-lab.js'
import { traffic } from '../support/ue.js'
import { FLOOD } from './programs/server.js'

const labTest = requires('MPTCP in network namespaces', all(root, netns, mptcp))

labTest.describe('figures of a session', () => {
  let rig: SessionLab
  beforeAll(async () => {
    rig = await SessionLab.open()
  })
  afterEach(() => rig?.reset())
  afterAll(() => rig?.close())

  const download = (ue: SessionUe) => ue.stream(FLOOD, { chunk: 10, every: 1000 })

  /** Bits per second of a link, and what the session says of the same second or two. */
  async function beside(ue: SessionUe) {
    const bytes = traffic(rig.lab)
    await ue.call('stats')
    await bytes()
    const began = performance.now()
    await pause(1500)
    const stats = await ue.call('stats')
    const seconds = (performance.now() - began) / 1000
    const { wifi } = await bytes()
    const [connection] = await ue.call('connections')
    const link = { up: (wifi!.uplink * 8) / seconds, down: (wifi!.downlink * 8) / seconds }
    return { link, stats, connection: connection! }
  }

  for (const direction of ['down', 'up'] as const)
    labTest(`one stream ${direction}: rate, share, bytes, round trip; of what does not move, none`, async () => {
      const ue = await rig.ue({ rules: RULES.wifiThenCell })
      const { number } = await (direction === 'down' ? download(ue) : ue.bulk())
      await pause(2500)
      const { link, stats, connection } = await beside(ue)
      const [rate, share, bytes, rtt] =
        direction === 'down'
          ? (['receiveRate', 'receiveShare', 'bytesReceived', 'receiveRttMs'] as const)
          : (['sendRate', 'sendShare', 'bytesSent', 'rttMs'] as const)
      const [wifi, cell] = [stats.accesses['non-3gpp'], stats.accesses['3gpp']]
      const subflow = connection.subflows.find(({ access }) => access === 'non-3gpp')!
      for (const found of [wifi, stats.rules[0]!.carried['non-3gpp'], connection.carried['non-3gpp'], subflow]) {
        // They are means over up to two seconds, on a machine that may be busy; headers are in the links' bytes.
        expect(found[rate]! / link[direction]).toBeGreaterThan(0.6)
        expect(found[rate]! / link[direction]).toBeLessThan(1.4)
        expect(found[share]).toBeGreaterThan(95)
        expect(found[bytes]).toBeGreaterThan(1e6)
      }
      for (const found of [wifi, subflow]) {
        // 20 ms there and back, and a queue of 100 ms at most.
        expect(found[rtt]).toBeGreaterThan(20)
        expect(found[rtt]).toBeLessThan(500)
      }
      if (direction === 'down') {
        // A device that only receives knows the round trip without the queue, too; nothing has come over cellular.
        expect(wifi.rttMs).toBeLessThan(wifi.receiveRttMs!)
        expect(subflow.segmentsReceived).toBeGreaterThan(1000)
        expect(cell.receiveRttMs).toBeUndefined()
        expect(cell.receiveRate).toBe(0)
      }
      await ue.call('destroy', number)
    })

  labTest('loss of what is received', async () => {
    const ue = await rig.ue({ rules: RULES.wifiThenCell })
    await rig.lab.link('wifi').set({ downlink: { lossPercent: 2 } })
    const { number } = await download(ue)
    const seen = async () => (await ue.call('stats')).accesses['non-3gpp'].receiveLossPermille ?? 0
    await expect.poll(seen, { timeout: 15_000, interval: 200 }).toBeGreaterThan(3)
    expect(await seen()).toBeLessThan(100)
    expect((await ue.call('stats')).accesses['3gpp'].receiveLossPermille).toBeUndefined()
    await rig.lab.link('wifi').set({ downlink: { lossPercent: 0 } })
    await ue.call('destroy', number)
  })
})
