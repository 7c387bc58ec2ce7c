/** Accesses that fail at random, in every way there is, under many streams; and a network that changes faster than it can be read. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished } from 'vitest'
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

  labTest(
    'thousands of addresses, routes and interfaces come and go: a lost carrier is noticed meanwhile',
    async () => {
      const folder = mkdtempSync(join(tmpdir(), 'atsss-flood-'))
      onTestFinished(() => rmSync(folder, { recursive: true }))
      const many = (count: number, line: (i: number) => string) => Array.from({ length: count }, (_, i) => line(i))
      const place = (i: number) => `${i >> 8}.${i & 255}`
      writeFileSync(
        join(folder, 'flood'),
        [
          'link add flood type veth peer name drain',
          'link set flood up',
          'link set drain up',
          ...many(1_500, i => `addr add 10.77.${place(i)}/32 dev flood`),
          ...many(5_000, i => `route add 10.88.${place(i)} dev flood`),
          ...many(100, i => `link add veth${i} type veth peer name vpeer${i}`),
          ...many(100, i => `link del veth${i}`),
          'link del flood',
        ].join('\n'),
      )
      const ue = await rig.ue({ rules: RULES.wifiThenCell })
      const streams = await Promise.all(many(5, String).map(() => ue.sparse()))
      const before = ue.degraded().length
      const flood = rig.lab.ue.run('ip', ['-batch', join(folder, 'flood')])
      await rig.lab.link('wifi').set({ carrier: false })
      await ue.until('non-3gpp', false)
      expect(await flood).toMatchObject({ code: 0, stderr: '' })
      await rig.lab.link('wifi').set({ carrier: true })
      await ue.until('non-3gpp', true)
      await Promise.all(streams.map(({ number }) => ue.whole(number)))
      expect(ue.degraded().slice(before)).toEqual([])
      await rig.reset()
    },
  )
})
