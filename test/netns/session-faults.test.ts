/** Accesses that fail at random, in every way there is, under many streams. */
import { afterAll, beforeAll, expect } from 'vitest'
import type { LinkChange } from '../../lib/lab/index.js'
import { pause } from '../support/native-addon.js'
import { all, mptcp, netns, root } from '../support/probes.js'
import { seeded } from '../support/random.js'
import { requires } from '../support/requires.js'
import { forPort, RULES, SessionLab } from '../support/session-lab.js'
import { SINK } from './programs/server.js'

const labTest = requires('MPTCP in network namespaces', all(root, netns, mptcp))
const FAULTS = 200
const STREAMS = 20

labTest.describe('faults', () => {
  let rig: SessionLab
  beforeAll(async () => {
    rig = await SessionLab.open()
  })
  afterAll(() => rig?.close())

  labTest(
    `${FAULTS} of them at random against ${STREAMS} streams: not a byte is lost, moved or doubled`,
    async () => {
      const ue = await rig.ue({ rules: forPort(SINK, 1, RULES.divided(50), RULES.wifiThenCell) })
      const streams: number[] = []
      for (let i = 0; i < STREAMS; i++)
        streams.push((await (i % 2 ? ue.bulk({ chunk: 2_000, every: 20 }) : ue.sparse())).number)
      const random = seeded(7)
      const any = <T>(of: readonly T[]): T => of[Math.floor(random() * of.length)]!
      const changes: LinkChange[] = [
        { carrier: false },
        { carrier: true },
        { carrier: true, down: false },
        { down: true },
        { down: false },
        { carrier: true, down: false, lossPercent: 0 },
        { lossPercent: 3 },
        { delayMs: 40 },
        { delayMs: 5 },
        { uplink: { down: true } },
        { uplink: { down: false } },
        { downlink: { down: true } },
        { downlink: { down: false } },
      ]
      for (let i = 0; i < FAULTS; i++) {
        await rig.lab.link(any(['wifi', 'cell'])).set(any(changes))
        await pause(random() * 300)
      }
      await rig.mend()
      const mended = performance.now()
      const sent = await Promise.all(streams.map(number => ue.whole(number)))
      console.log(`everything has come ${((performance.now() - mended) / 1000).toFixed(1)} s after the last fault`)
      const gone = ue.actions('destroy').length
      console.log(
        `${sent.reduce((a, b) => a + b) / 1e6} MB whole; ${gone} subflows ended, ${ue.actions('create').length} made`,
      )
      expect(gone).toBeGreaterThan(STREAMS)
      await rig.reset()
    },
    180_000,
  )
})
