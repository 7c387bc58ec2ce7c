/** Steering modes over two accesses that differ; the shares are what the links have carried. */
import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import { pause } from '../support/native-addon.js'
import { all, mptcp, netns, root } from '../support/probes.js'
import { requires } from '../support/requires.js'
import { forPort, RULES, rules, SessionLab } from '../support/session-lab.js'
import { ECHO, SINK } from './programs/server.js'

const labTest = requires('MPTCP in network namespaces', all(root, netns, mptcp))

labTest.describe('a session', () => {
  let rig: SessionLab
  beforeAll(async () => {
    rig = await SessionLab.open()
  })
  afterEach(() => rig?.reset())
  afterAll(() => rig?.close())

  /** Until the links' shares are so; for what takes as long as it takes. */
  const shareOfCell = (milliseconds = 1000) => rig.shares(milliseconds).then(({ cellShare }) => cellShare)
  const settles = (timeout = 15_000) => expect.poll(() => shareOfCell(500), { timeout, interval: 10 })

  labTest('smallest delay: the faster one, and the other one when it has become that', async () => {
    const ue = await rig.ue({ rules: RULES.smallestDelay })
    const { number, interface: first } = await ue.sparse()
    expect(first).toBe('wifi')
    await settles().toBeLessThan(0.05)
    await rig.lab.link('wifi').set({ delayMs: 80 })
    await settles(30_000).toBeGreaterThan(0.95)
    await rig.lab.link('wifi').set({ delayMs: 5 })
    await settles(40_000).toBeLessThan(0.05)
    await ue.whole(number)
  })

  for (const percent of [80, 20])
    labTest(`load-balancing: ${percent} % over 3GPP access, of what is sent at 8 Mbit/s`, async () => {
      const ue = await rig.ue({ rules: RULES.divided(percent) })
      const { number } = await ue.bulk({ chunk: 10_000, every: 10 })
      await pause(4000)
      const share = await shareOfCell(5000)
      console.log(`${percent} % wanted, ${(share * 100).toFixed(1)} % over cell`)
      expect(Math.abs(share * 100 - percent)).toBeLessThan(4)
      await ue.whole(number)
    })

  // With what the percentages allow, in Mbit/s.
  for (const [percent, most] of [
    [20, 62.5],
    [50, 40],
    [80, 25],
  ] as const)
    labTest(`load-balancing: ${percent} % over 3GPP access, of as much as goes`, async () => {
      const ue = await rig.ue({ rules: RULES.divided(percent) })
      const { number } = await ue.bulk()
      await pause(4000)
      const { wifi, cell, cellShare } = await rig.shares(5000)
      const mbps = ((wifi + cell) * 8) / 5 / 1e6
      console.log(
        `${percent} % wanted, ${(cellShare * 100).toFixed(1)} % over cell, ${mbps.toFixed(1)} Mbit/s of ${most}`,
      )
      expect(Math.abs(cellShare * 100 - percent)).toBeLessThan(4)
      expect(mbps).toBeGreaterThan(most / 2)
      await ue.whole(number)
    })

  labTest('load-balancing: of many connections, most of them small, each in one place at a time', async () => {
    const ue = await rig.ue({ rules: RULES.divided(30) })
    const streams: number[] = []
    for (let i = 0; i < 20; i++) {
      const { number } = await ue.bulk({ chunk: i < 3 ? 8_000 : 200 + 100 * i, every: 20 })
      streams.push(number)
    }
    await pause(4000)
    const before = ue.actions('set-backup').length
    const share = await shareOfCell(5000)
    const flags = ue.actions('set-backup').length - before
    console.log(`30 % wanted, ${(share * 100).toFixed(1)} % over cell, ${flags} changes of a flag in 5 s`)
    expect(Math.abs(share * 100 - 30)).toBeLessThan(4)
    expect(flags).toBeLessThan(600)
    for (const number of streams) await ue.whole(number)
  })

  labTest('load-balancing: with one access lost the other carries everything', async () => {
    const ue = await rig.ue({ rules: RULES.divided(50) })
    const { number } = await ue.bulk({ chunk: 5_000, every: 10 })
    await settles().toBeGreaterThan(0.3)
    await rig.lab.link('cell').set({ carrier: false })
    await settles().toBe(0)
    await rig.lab.link('cell').set({ carrier: true })
    await settles().toBeGreaterThan(0.3)
    await ue.whole(number)
  })

  labTest('load-balancing, autonomous: more than either access can carry', async () => {
    const ue = await rig.ue({ rules: RULES.autonomous })
    await rig.lab.link('wifi').set({ rateMbps: 15 })
    await rig.lab.link('cell').set({ rateMbps: 10 })
    const { number } = await ue.bulk()
    await pause(2000)
    const { wifi, cell } = await rig.shares(2000)
    expect(((wifi + cell) * 8) / 2 / 1e6).toBeGreaterThan(17)
    await ue.whole(number)
  })

  labTest('priority-based: the other one too while a threshold is crossed', async () => {
    const mode = {
      steerModeValue: 'PRIORITY_BASED',
      prioAcc: 'NON_3GPP_ACCESS',
      thresValue: { rttThres: 150 },
    } as const
    const ue = await rig.ue({ rules: rules(mode) })
    const { number } = await ue.bulk({ chunk: 5_000, every: 10 })
    await settles().toBeLessThan(0.02)
    await rig.lab.link('wifi').set({ delayMs: 100 })
    await settles().toBeGreaterThan(0.2)
    await rig.lab.link('wifi').set({ delayMs: 10 })
    await settles(20_000).toBeLessThan(0.02)
    await ue.whole(number)
  })

  labTest('smallest delay and priority-based: the access that carries lost, flapping, and back', async () => {
    const priority = rules({ steerModeValue: 'PRIORITY_BASED', prioAcc: 'NON_3GPP_ACCESS' })
    const ue = await rig.ue({ rules: forPort(SINK, 1, RULES.smallestDelay, priority) })
    const one = await ue.bulk({ chunk: 5_000, every: 10 })
    const other = await ue.sparse()
    await settles().toBeLessThan(0.02)
    for (const carrier of [false, true, false, true, false]) {
      await rig.lab.link('wifi').set({ carrier })
      await pause(150)
    }
    await ue.until('non-3gpp', false)
    await settles().toBe(1)
    await rig.lab.link('wifi').set({ carrier: true })
    await settles(30_000).toBeLessThan(0.02)
    expect(await ue.whole(one.number)).toBeGreaterThan(100_000)
    await ue.whole(other.number)
  })

  labTest('what the device wants itself, under a rule with UE assistance', async () => {
    const assisted = rules({ steerModeValue: 'LOAD_BALANCING', '3gLoad': 100, steerModeInd: 'UE_ASSISTANCE' })
    const ue = await rig.ue({ rules: assisted })
    const { number } = await ue.bulk({ chunk: 5_000, every: 10 })
    await settles().toBeGreaterThan(0.98)
    await ue.call('assist', { percent3gpp: 0, why: 'the battery is low' })
    await settles().toBeLessThan(0.02)
    await ue.call('assist', null)
    await settles().toBeGreaterThan(0.98)
    await ue.whole(number)
  })

  labTest('rules updated while bytes flow: the connections follow, and it is said which have moved', async () => {
    const ue = await rig.ue({ rules: RULES.wifiThenCell })
    const { number } = await ue.bulk({ chunk: 5_000, every: 10 })
    const { number: other } = await ue.sparse()
    await settles().toBeLessThan(0.02)
    // The same rule, but for what it wants.
    expect(await ue.call('update', RULES.cellThenWifi)).toMatchObject({ moved: [], problems: [] })
    await settles().toBeGreaterThan(0.98)
    // A new one for one of the two.
    const update = await ue.call('update', forPort(SINK, 7, RULES.wifiOnly, RULES.cellThenWifi))
    expect(update.moved).toEqual([{ stream: number, from: 255, to: 7 }])
    await settles().toBeLessThan(0.2)
    await expect(ue.call('update', [{ precedence: 7 }] as never)).rejects.toMatchObject({ code: 'ERR_ATSSS_RULE' })
    expect((await ue.call('stats')).connections).toEqual([
      [number, 7],
      [other, 255],
    ])
    await ue.whole(number)
    await ue.whole(other)
  })

  labTest('two connections under opposite rules at the same time, each over its own access', async () => {
    const ue = await rig.ue({ rules: forPort(SINK, 1, RULES.cellThenWifi, RULES.wifiThenCell) })
    // 4 Mbit/s and more over cell, a tenth of it over wifi.
    const one = await ue.bulk({ chunk: 5_000, every: 10 })
    const other = await ue.sparse()
    expect([one.interface, other.interface]).toEqual(['cell', 'wifi'])
    await pause(500)
    const { wifi, cell } = await rig.shares(1500)
    expect(cell).toBeGreaterThan(250_000)
    expect(wifi).toBeGreaterThan(15_000)
    expect(wifi).toBeLessThan(150_000)
    // And when the one's access is lost it is on the other's, and comes back.
    await rig.lab.link('cell').set({ carrier: false })
    await settles().toBe(0)
    await rig.lab.link('cell').set({ carrier: true })
    await settles().toBeGreaterThan(0.7)
    expect(await ue.whole(one.number)).toBeGreaterThan(100_000)
    await ue.whole(other.number)
  })

  labTest('the first subflow of a connection is over the access that the rule wants', async () => {
    const ue = await rig.ue({ rules: RULES.cellThenWifi })
    expect(await ue.sparse()).toMatchObject({ interface: 'cell', protocol: 'mptcp', convert: '0rtt' })
    await ue.call('update', RULES.wifiThenCell)
    expect(await ue.sparse()).toMatchObject({ interface: 'wifi' })
    await rig.lab.link('wifi').set({ carrier: false })
    await ue.until('non-3gpp', false)
    expect(await ue.sparse()).toMatchObject({ interface: 'cell' })
    for (const number of [0, 1, 2]) await ue.whole(number)
  })

  labTest('an access that is dead, and not known to be, does not cost the connection', async () => {
    const ue = await rig.ue({ rules: RULES.wifiThenCell })
    await rig.lab.link('wifi').set({ down: true })
    const got = await ue.sparse()
    console.log(`connected over ${got.interface} after ${got.took.toFixed(0)} ms, the first access being dead`)
    expect(got.interface).toBe('cell')
    expect(got.took).toBeLessThan(3000)
    await ue.whole(got.number)
  })

  labTest('what no rule matches goes unsteered, or not at all', async () => {
    const only = forPort(SINK, 1, RULES.cellThenWifi)
    const ue = await rig.ue({ rules: only })
    const { number, interface: none } = await ue.sparse()
    expect(none).toBeUndefined()
    expect((await ue.call('stats')).connections).toEqual([[number, null]])
    await pause(500)
    expect(ue.actions()).toEqual([])
    await ue.whole(number)
    const strict = await rig.ue({ rules: only, unmatched: 'refuse' })
    await expect(strict.sparse()).rejects.toMatchObject({ code: 'ERR_ATSSS_NO_RULE' })
  })

  labTest('a rule that cannot be enforced is refused, or obeyed as far as possible', async () => {
    const redundant = rules({ steerModeValue: 'REDUNDANT' })
    const ue = await rig.ue({ rules: redundant, unenforceable: 'refuse' })
    await expect(ue.sparse()).rejects.toMatchObject({ code: 'ERR_ATSSS_STEERING' })
    const lenient = await rig.ue({ rules: redundant, unenforceable: 'degrade' })
    const { number } = await lenient.sparse()
    expect(lenient.degraded()).toMatchObject([{ what: 'rule', message: expect.stringContaining('redundant') }])
    await lenient.whole(number)
  })

  labTest('over IPv6', async () => {
    const { v6 } = rig.lab.converterAddress
    const ue = await rig.ue({ rules: RULES.wifiThenCell, converters: `[${v6}]:${rig.port}` })
    const { number } = await ue.stream(ECHO, {
      chunk: 400,
      every: 20,
      connect: { host: rig.lab.serverAddress.v6! } as never,
    })
    await settles().toBeLessThan(0.1)
    await rig.lab.link('wifi').set({ carrier: false })
    await settles().toBeGreaterThan(0.9)
    await ue.whole(number)
  })

  labTest('directly, without a converter', async () => {
    const ue = await rig.ue({ rules: RULES.wifiThenCell, converters: [] })
    const { number } = await ue.sparse()
    await settles().toBeLessThan(0.1)
    await rig.lab.link('wifi').set({ carrier: false })
    await settles().toBeGreaterThan(0.9)
    await ue.whole(number)
  })

  labTest('closed: the steering ends, the connections do not', async () => {
    const ue = await rig.ue({ rules: RULES.wifiThenCell })
    const { number } = await ue.sparse()
    await ue.call('close')
    await ue.call('close')
    await pause(200)
    const before = ue.heard.length
    await expect(ue.sparse()).rejects.toMatchObject({ code: 'ERR_ATSSS_CLOSED' })
    await pause(500)
    expect(ue.heard).toHaveLength(before)
    expect(await ue.call('resources')).not.toContain('MessagePort')
    await ue.whole(number)
  })
})
