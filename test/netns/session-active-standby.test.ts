/** Active-Standby over two accesses that come and go; what each carries is counted by the links. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import { MPTCP_SUBTYPE } from '../../lib/lab/index.js'
import { pause } from '../support/native-addon.js'
import { all, mptcp, netns, root } from '../support/probes.js'
import { requires } from '../support/requires.js'
import { RULES, SessionLab } from '../support/session-lab.js'

const labTest = requires('MPTCP in network namespaces', all(root, netns, mptcp))
/** In milliseconds: far more than it takes. How long that is, `npm run bench` says. */
const BOUND = 2000

labTest.describe('active-standby', () => {
  let rig: SessionLab
  beforeAll(async () => {
    rig = await SessionLab.open()
  })
  afterEach(() => rig?.reset())
  afterAll(() => rig?.close())

  /** Session with both accesses in use by one stream that comes back. */
  async function steered(rules = RULES.wifiThenCell, options = {}) {
    const ue = await rig.ue({ rules, ...options })
    const { number, ...got } = await ue.sparse()
    await pause(700)
    await ue.call('gap', number)
    return { ue, number, got }
  }
  /** Of what both links carry, once it is so: what waited in a queue may still come. */
  const shareOfCell = () =>
    expect.poll(async () => (await rig.shares(400)).cellShare, { timeout: 10_000, interval: 10 })
  const recorded = (what: string, { gap }: { gap: number }) => console.log(`longest gap, ${what}: ${gap.toFixed(0)} ms`)

  for (const controller of ['worker', 'inline'] as const)
    labTest(`the carrier is lost, and comes back; the loop runs ${controller}`, async () => {
      const { ue, number, got } = await steered(RULES.wifiThenCell, { controller })
      expect(got).toMatchObject({ interface: 'wifi', protocol: 'mptcp' })
      await shareOfCell().toBeLessThan(0.02)
      await ue.call('gap', number)

      await rig.lab.link('wifi').set({ carrier: false })
      await ue.until('non-3gpp', false)
      await pause(500)
      const lost = await ue.call('gap', number)
      recorded('carrier lost', lost)
      expect(lost.gap).toBeLessThan(BOUND)
      // The round trip of the standby is 60 ms.
      await expect.poll(() => ue.gaps().length, { timeout: 10_000, interval: 10 }).toBeGreaterThan(0)
      const [gap, ...others] = ue.gaps()
      recorded('carrier lost, as the session measures it', { gap: gap! })
      expect(others).toEqual([])
      expect(gap).toBeGreaterThan(50)
      expect(gap).toBeLessThan(lost.gap + 100)
      const during = await rig.shares(500)
      expect(during.wifi).toBe(0)
      expect(during.cell).toBeGreaterThan(2_000)

      await rig.lab.link('wifi').set({ carrier: true })
      await ue.until('non-3gpp', true)
      await shareOfCell().toBeLessThan(0.02)
      recorded('carrier back', await ue.call('gap', number))
      await ue.whole(number)
    })

  labTest('the address is removed, and given again', async () => {
    const { ue, number } = await steered()
    const address = `${rig.lab.accesses.wifi!.address.v4}/24`
    await rig.lab.ue.run('ip', ['addr', 'del', address, 'dev', 'wifi'])
    await ue.until('non-3gpp', true)
    await expect.poll(() => ue.actions('destroy').length, { timeout: 5000 }).toBeGreaterThan(0)
    await pause(500)
    const { gap } = await ue.call('gap', number)
    recorded('address removed', { gap })
    expect(gap).toBeLessThan(BOUND)
    await shareOfCell().toBeGreaterThan(0.95)
    await rig.lab.ue.run('ip', ['addr', 'add', address, 'dev', 'wifi'])
    await shareOfCell().toBeLessThan(0.02)
    await ue.whole(number)
  })

  labTest('a black hole without any notification, and its end', async () => {
    const { ue, number } = await steered()
    await rig.lab.link('wifi').set({ down: true })
    await ue.until('non-3gpp', false)
    await pause(700)
    const lost = await ue.call('gap', number)
    recorded('black hole', lost)
    expect(lost.gap).toBeLessThan(BOUND)
    expect((await rig.shares(500)).cell).toBeGreaterThan(2_000)
    await rig.lab.link('wifi').set({ down: false })
    await ue.until('non-3gpp', true)
    await shareOfCell().toBeLessThan(0.02)
    await ue.whole(number)
  })

  labTest(
    'a flood of interfaces, addresses and routes, more than a netlink socket holds; then the carrier is lost',
    async () => {
      const { ue, number } = await steered(RULES.wifiThenCell, { controller: 'inline' })
      const lines = (verb: 'add' | 'del') => [
        ...Array.from(
          { length: 100 },
          (_, i) => `link ${verb} flood${i}${verb === 'add' ? ` type veth peer end${i}` : ''}`,
        ),
        ...Array.from({ length: 1_500 }, (_, i) => `addr ${verb} 10.9.${i >> 8}.${i & 255}/32 dev lo`),
        ...Array.from({ length: 1_500 }, (_, i) => `route ${verb} 10.8.${i >> 8}.${i & 255}/32 dev cell`),
      ]
      const batch = async (verb: 'add' | 'del') => {
        const { stderr } = await rig.lab.ue.run('ip', ['-force', '-batch', '-'], { input: lines(verb).join('\n') })
        return stderr
      }
      // The loop is blocked meanwhile: what its sockets cannot hold is lost.
      const busy = ue.call('block', 500, 1)
      const errors = (await batch('add')) + (await batch('del'))
      await busy
      expect(errors).toBe('')
      await ue.call('gap', number)
      await rig.lab.link('wifi').set({ carrier: false })
      await ue.until('non-3gpp', false)
      await pause(500)
      const lost = await ue.call('gap', number)
      recorded('carrier lost after a flood', lost)
      expect(lost.gap).toBeLessThan(BOUND)
      expect(ue.degraded()).toEqual([])
      await ue.whole(number)
    },
  )

  labTest('stats() counts what the links carry, over a handover and beyond the end', async () => {
    const ue = await rig.ue({ rules: RULES.wifiThenCell })
    const before = await rig.carried()
    const { number } = await ue.bulk()
    await pause(1000)
    await rig.lab.link('wifi').set({ carrier: false })
    await pause(1000)
    const during = await ue.call('stats')
    await rig.lab.link('wifi').set({ carrier: true })
    expect(during).toMatchObject({ level: 'userspace', handovers: 1, fallbacks: 0, rules: [{ connections: 1 }] })
    await ue.whole(number)
    const after = await rig.carried()
    const { accesses, rules, connections, handovers } = await ue.call('stats')
    expect(connections).toEqual([])
    expect(handovers).toBeGreaterThanOrEqual(1)
    for (const [access, link] of [
      ['non-3gpp', 'wifi'],
      ['3gpp', 'cell'],
    ] as const) {
      const onLink = after[link] - before[link]
      const { bytesSent } = accesses[access]
      // The link counts headers too, 5 % at most of full segments; what was under way when the carrier went is on neither.
      expect(bytesSent / onLink).toBeGreaterThan(0.9)
      expect(bytesSent / onLink).toBeLessThan(1.1)
      expect(rules[0]!.carried[access].bytesSent).toBe(bytesSent)
    }
  })

  labTest('a bulk upload and its bytes in flight, over a lost carrier and a black hole', async () => {
    const ue = await rig.ue({ rules: RULES.wifiThenCell })
    const { number } = await ue.bulk()
    // Linux asks over a subflow that has been quiet for a second.
    await pause(1700)
    const directory = await mkdtemp(join(tmpdir(), 'atsss-'))
    const capture = await rig.lab.link('cell').capture(join(directory, 'cell.pcap'))
    await rig.lab.link('wifi').set({ carrier: false })
    await pause(1500)
    const first = (await capture.packets()).slice(0, 2)
    await capture.stop()
    await rm(directory, { recursive: true })
    // Before anything is sent again, the peer is asked over the standby what has arrived, and answers.
    const { v4: local } = rig.lab.accesses.cell!.address
    expect(first.map(({ source }) => source)).toEqual([local, rig.lab.converterAddress.v4])
    for (const { tcp } of first) expect(tcp).toMatchObject({ flags: { syn: false }, payload: { length: 0 } })
    expect(first[1]!.tcp!.mptcp?.subtype).toBe(MPTCP_SUBTYPE.DSS)
    expect(ue.actions().findIndex(({ action }) => action!.do === 'ask')).toBeGreaterThanOrEqual(0)
    const bulkOverCell = () =>
      expect.poll(async () => (await rig.shares(500)).cell, { timeout: 10_000, interval: 10 }).toBeGreaterThan(500_000)
    await bulkOverCell()
    await rig.lab.link('wifi').set({ carrier: true })
    await shareOfCell().toBeLessThan(0.05)
    await rig.lab.link('wifi').set({ down: true })
    await ue.until('non-3gpp', false)
    await bulkOverCell()
    await rig.lab.link('wifi').set({ down: false })
    await shareOfCell().toBeLessThan(0.05)
    expect(await ue.whole(number)).toBeGreaterThan(5_000_000)
  })

  for (const [name, lose] of [
    ['carriers', { carrier: false }],
    ['black holes', { down: true }],
  ] as const)
    labTest(`both accesses lost (${name}), one back within a minute: the connection lives`, async () => {
      const { ue, number } = await steered()
      await rig.lab.link('wifi').set(lose)
      await rig.lab.link('cell').set(lose)
      await ue.until('non-3gpp', false)
      await ue.until('3gpp', false)
      await pause(2000)
      await rig.lab.link('cell').set({ carrier: true, down: false })
      await ue.until('3gpp', true)
      await expect.poll(async () => (await rig.shares(400)).cell, { timeout: 20_000 }).toBeGreaterThan(2_000)
      expect((await ue.call('gap', number)).gap).toBeGreaterThan(1500)
      await rig.lab.link('wifi').set({ carrier: true, down: false })
      await ue.until('non-3gpp', true)
      await shareOfCell().toBeLessThan(0.02)
      await ue.whole(number)
    })

  labTest('without a standby, never a byte on the other access; the connection waits for its own', async () => {
    const { ue, number } = await steered(RULES.wifiOnly)
    // What a test before has left may still say its last word there.
    await expect.poll(async () => (await rig.shares(500)).cell, { timeout: 10_000 }).toBe(0)
    await rig.lab.link('wifi').set({ carrier: false })
    await ue.until('non-3gpp', false)
    const { cell } = await rig.shares(3000)
    await rig.lab.link('wifi').set({ carrier: true })
    await ue.until('non-3gpp', true)
    expect(cell).toBe(0)
    await expect.poll(async () => (await rig.shares(400)).wifi, { timeout: 10_000 }).toBeGreaterThan(2_000)
    await ue.whole(number)
  })

  labTest('an application that is busy for three seconds at a time delays no handover', async () => {
    const ue = await rig.ue({ rules: RULES.wifiThenCell })
    // Slow, so that the kernel has still something to send when the application has written nothing for a while.
    await rig.lab.link('wifi').set({ rateMbps: 10 })
    const { number } = await ue.bulk({ chunk: 4_000_000 })
    await pause(700)
    let idle = false
    const busy = ue.call('block', 3000, 1).then(() => {
      idle = true
    })
    await pause(100)
    await rig.lab.link('wifi').set({ carrier: false })
    const lostAt = performance.now()
    // Over cell from when the loop has moved it.
    let moved = 0
    while (!idle && moved < 20_000) moved += (await rig.shares(20)).cell
    console.log(
      `busy application: 20 kB over cell ${(performance.now() - lostAt).toFixed(0)} ms after the carrier was lost`,
    )
    expect({ idle, moved }).toMatchObject({ idle: false })
    await busy
    await rig.lab.link('wifi').set({ carrier: true })
    await ue.whole(number)
  })
})
