/** What the device receives is steered as what it sends: the shares are what the links have carried to it. */
import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import { pause } from '../support/native-addon.js'
import { all, mptcp, netns, root } from '../support/probes.js'
import { requires } from '../support/requires.js'
import { RULES, rules, SessionLab, type SessionUe } from '../support/session-lab.js'
import type { Download } from './programs/download.js'
import type { ToldLine } from './programs/server.js'

const labTest = requires('MPTCP in network namespaces', all(root, netns, mptcp))

const BULK: Download = { chunk: 65_536, every: 0 }
/** 4 Mbit/s. */
const PACED: Download = { chunk: 5_000, every: 10 }
const SPARSE: Download = { chunk: 200, every: 50 }

/** In milliseconds: far more than it takes, for a busy machine. How long that is, `npm run bench` says. */
const LONGEST_GAP = 1_500

/** In milliseconds: no byte can come sooner, since the peer learns of the loss over the standby, whose round trip is 60 ms. */
const LEAST_GAP = 50

/** The id of the subflow that a connection began with. */
const FIRST = 1

labTest.describe('a session and what it receives', () => {
  let rig: SessionLab
  beforeAll(async () => {
    rig = await SessionLab.open()
  })
  afterEach(() => rig?.reset())
  afterAll(() => rig?.close())

  const standbys = (ue: SessionUe) => ue.actions('create').filter(({ action }) => action!.access === '3gpp').length
  const probes = (ue: SessionUe) => ue.actions('create').filter(({ action }) => action!.isProbe)
  const shareOfCell = (milliseconds: number) => rig.shares(milliseconds, 'downlink').then(({ cellShare }) => cellShare)
  const settles = (timeout = 20_000) => expect.poll(() => shareOfCell(500), { timeout, interval: 10 })

  // With what the percentages allow, in Mbit/s.
  for (const [name, download, tolerance, percent, most] of [
    ['paced', PACED, 4, 20, 62.5],
    ['paced', PACED, 4, 50, 40],
    ['paced', PACED, 4, 80, 25],
    ['bulk', BULK, 8, 20, 62.5],
    ['bulk', BULK, 8, 50, 40],
  ] as const)
    labTest(`load-balancing: ${percent} % over 3GPP access, of a ${name} download`, async () => {
      const ue = await rig.ue({ rules: RULES.divided(percent) })
      const { number } = await ue.download(download)
      await expect
        .poll(async () => Math.abs((await shareOfCell(1000)) * 100 - percent), { timeout: 20_000, interval: 10 })
        .toBeLessThan(2 * tolerance)
      const { cellShare, mbps } = await rig.shares(4000, 'downlink')
      console.log(
        `${name}: ${percent} % wanted, ${(cellShare * 100).toFixed(1)} % over cell, ${mbps.toFixed(1)} Mbit/s`,
      )
      expect(Math.abs(cellShare * 100 - percent)).toBeLessThan(tolerance)
      if (download === BULK) expect(mbps).toBeGreaterThan(most / 2)
      await ue.whole(number)
    })

  for (const [name, thresholds] of [
    ['by its threshold', { thresValue: { rttThres: 30 } }],
    ['without a threshold', {}],
  ] as const)
    labTest(`priority-based, ${name}: the other one too while a download congests the preferred one`, async () => {
      const priority = { steerModeValue: 'PRIORITY_BASED', prioAcc: 'NON_3GPP_ACCESS', ...thresholds } as const
      const ue = await rig.ue({ rules: rules(priority) })
      const { number: paced } = await ue.download(PACED)
      await settles().toBeLessThan(0.02)
      const { number: bulk } = await ue.download(BULK)
      await expect
        .poll(
          async () => {
            const { cellShare, mbps } = await rig.shares(2000, 'downlink')
            return cellShare > 0.15 || mbps > 55
          },
          { timeout: 20_000, interval: 10 },
        )
        .toBe(true)
      await ue.whole(bulk)
      await settles(30_000).toBeLessThan(0.02)
      await ue.whole(paced)
    })

  labTest('smallest delay: what is received comes over the faster access, wherever it began', async () => {
    await rig.lab.link('wifi').set({ delayMs: 120 })
    const ue = await rig.ue({ rules: RULES.smallestDelay })
    const { number } = await ue.download(PACED)
    await settles(30_000).toBeGreaterThan(0.95)
    await ue.whole(number)
  })

  for (const [loss, lose] of [
    ['a black hole', { down: true }],
    ['the carrier lost', { carrier: false }],
  ] as const)
    for (const [name, download, overCell] of [
      ['bulk', BULK, 200_000],
      ['paced', PACED, 50_000],
      ['sparse', SPARSE, 1_000],
    ] as const)
      labTest(`${loss}: a ${name} download goes on over the standby`, async () => {
        const ue = await rig.ue({ rules: RULES.wifiThenCell })
        const { number } = await ue.download(download)
        await expect.poll(() => ue.actions('create').length, { timeout: 10_000 }).toBeGreaterThan(0)
        await settles().toBeLessThan(0.1)
        await ue.call('gap', number)
        await rig.lab.link('wifi').set(lose)
        await ue.until('non-3gpp', false)
        await expect
          .poll(async () => (await rig.shares(400, 'downlink')).cell, { timeout: 10_000, interval: 10 })
          .toBeGreaterThan(overCell)
        const { gap } = await ue.call('gap', number)
        console.log(`${loss}, ${name} download: longest gap ${gap.toFixed(0)} ms`)
        expect(gap).toBeLessThan(LONGEST_GAP)
        // What comes over the standby at once is behind what was lost, and cannot be read yet.
        await expect.poll(() => ue.gaps().length, { timeout: 10_000, interval: 10 }).toBeGreaterThan(0)
        const [measured] = ue.gaps()
        console.log(`as the session measures it: ${measured?.toFixed(0)} ms`)
        expect(measured).toBeGreaterThan(LEAST_GAP)
        expect(measured).toBeLessThan(gap + 100)
        // A receiver has nothing outstanding: only a probe can have shown it.
        if ('down' in lose) expect(probes(ue).length).toBeGreaterThan(0)
        await ue.whole(number)
      })

  labTest('a server that pauses for 1 and 5 s is no loss', async () => {
    // Each in a session of its own: what one of them receives would speak for the access of all.
    const pauses = [1_000, 5_000]
    const ues = await Promise.all(pauses.map(() => rig.ue({ rules: RULES.wifiThenCell })))
    const each = <Result>(of: (ue: SessionUe, index: number) => Promise<Result>) => Promise.all(ues.map(of))
    const streams = await each(
      async (ue, index) => (await ue.download({ ...PACED, pause: { after: 1_500, for: pauses[index]! } })).number,
    )
    await each(async (ue, index) => {
      // Asking begins a new gap, so a pause may show as two halves.
      let longest = 0
      const paused = async () => {
        longest = Math.max(longest, (await ue.call('gap', streams[index]!)).gap)
        return longest
      }
      await expect
        .poll(paused, { timeout: 40_000, interval: pauses[index]! + 1_000 })
        .toBeGreaterThan(pauses[index]! * 0.45)
      await expect
        .poll(async () => (await ue.call('gap', streams[index]!)).received, { timeout: 10_000 })
        .toBeGreaterThan(0)
    })
    for (const [index, ue] of ues.entries()) {
      expect([...ue.access('non-3gpp'), ...ue.access('3gpp')]).not.toContain(false)
      expect(await ue.call('stats')).toMatchObject({ handovers: 0 })
      // A probe ends as soon as it is answered.
      expect(ue.actions('destroy').map(({ action }) => action!.subflow)).not.toContain(FIRST)
      console.log(`a pause of ${pauses[index]} ms: ${probes(ue).length} probes`)
    }
    await each((ue, index) => ue.whole(streams[index]!))
  })

  labTest(
    'a hundred idle connections on an access that dies: found out by probes, and moved before the next message',
    async () => {
      const ue = await rig.ue({ rules: RULES.wifiThenCell, idleProbe: 1_000 })
      const streams = await Promise.all(
        Array.from({ length: 100 }, async () => (await ue.download({ chunk: 200, every: 'told' })).number),
      )
      await expect.poll(() => standbys(ue), { timeout: 20_000 }).toBeGreaterThanOrEqual(100)
      await settles().toBeNaN()
      await rig.lab.link('wifi').set({ down: true })
      await ue.until('non-3gpp', false)
      const moved = () => ue.actions('destroy').filter(({ action }) => action!.subflow === FIRST).length
      await expect.poll(moved, { timeout: 10_000 }).toBe(100)
      rig.convert.server.child.stdin.write('\n')
      const { at } = await rig.convert.server.event<ToldLine>('told')
      const longest = async () => {
        const heardAt = await ue.call('heardAt')
        return Math.min(...heardAt) < at ? undefined : Math.max(...heardAt) - at
      }
      await expect.poll(longest, { timeout: 15_000, interval: 10 }).toBeDefined()
      const took = (await longest())!
      console.log(
        `a hundred messages after a silent loss: the last one arrived ${took.toFixed(0)} ms after it was written`,
      )
      expect(took).toBeLessThan(LONGEST_GAP)
      expect(ue.access('non-3gpp').filter(available => !available)).toEqual([false])
      for (const number of streams) await ue.whole(number)
    },
  )

  labTest('idleProbe: false: an idle access is never probed', async () => {
    const ue = await rig.ue({ rules: RULES.wifiThenCell, idleProbe: false })
    const { number } = await ue.download({ chunk: 200, every: 'told' })
    await pause(5_000)
    expect(standbys(ue)).toBe(1)
    expect(probes(ue)).toEqual([])
    await ue.whole(number)
  })
})
