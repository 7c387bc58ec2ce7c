/** Where less can be done than the rules want, what is not ours, and interfaces that vanish. */
import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import { pause } from '../support/native-addon.js'
import { all, mptcp, netns, root } from '../support/probes.js'
import { requires } from '../support/requires.js'
import { RULES, SessionLab } from '../support/session-lab.js'
import { Ue } from '../support/ue.js'
import { ECHO } from './programs/server.js'

const labTest = requires('MPTCP in network namespaces', all(root, netns, mptcp))

labTest.describe('a session', () => {
  let rig: SessionLab
  beforeAll(async () => {
    rig = await SessionLab.open()
  })
  afterEach(() => rig?.reset())
  afterAll(() => rig?.close())

  labTest('where MPTCP is switched off: TCP, which stays on its access, and says so', async () => {
    await rig.lab.ue.sysctl('net.mptcp.enabled', 0)
    try {
      const ue = await rig.ue({ rules: RULES.wifiThenCell })
      const { number, ...got } = await ue.sparse()
      expect(got).toMatchObject({ protocol: 'tcp', interface: 'wifi', fallback: expect.any(String) })
      const why = expect.stringContaining('sysctl -w net.mptcp.enabled=1')
      expect(await ue.call('ready')).toMatchObject({ level: 'none', why })
      await expect
        .poll(() => ue.degraded())
        .toMatchObject([
          { what: 'level', message: why },
          { what: 'fallback', message: why },
        ])
      await ue.whole(number)
    } finally {
      await rig.lab.ue.sysctl('net.mptcp.enabled', 1)
    }
  })

  labTest('without CAP_NET_ADMIN: the first access is chosen, and no more', async () => {
    const ue = await rig.ue({ rules: RULES.cellThenWifi }, ['setpriv', '--bounding-set=-net_admin'])
    expect(await ue.call('ready')).toMatchObject({ level: 'none', why: expect.stringContaining('CAP_NET_ADMIN') })
    expect(ue.degraded()).toMatchObject([{ what: 'level', message: expect.stringContaining('CAP_NET_ADMIN') }])
    const { number, interface: first } = await ue.sparse()
    expect(first).toBe('cell')
    await pause(500)
    expect(ue.actions()).toEqual([])
    await ue.whole(number)
  })

  labTest("under the kernel's path manager: its endpoints, for all connections", async () => {
    await rig.lab.ue.sysctl('net.mptcp.pm_type', 0)
    try {
      const ue = await rig.ue({ rules: RULES.wifiThenCell })
      expect(await ue.call('ready')).toMatchObject({
        level: 'kernel',
        why: expect.stringMatching(/sysctl -w net.mptcp.(pm_type=1|path_manager=userspace)/),
      })
      expect(ue.degraded()[0]).toMatchObject({ what: 'level' })
      const { number } = await ue.sparse()
      await expect.poll(async () => (await rig.shares(500)).cellShare, { timeout: 10_000 }).toBeLessThan(0.1)
      await ue.whole(number)
    } finally {
      await rig.lab.ue.sysctl('net.mptcp.pm_type', 1)
      await rig.lab.ue.run('ip', ['mptcp', 'endpoint', 'flush'])
    }
  })

  labTest(
    "under the kernel's path manager, closed: its endpoints go when its connections have, which need them",
    async () => {
      await rig.lab.ue.sysctl('net.mptcp.pm_type', 0)
      try {
        const ue = await rig.ue({ rules: RULES.wifiThenCell })
        const { number } = await ue.sparse()
        const addresses = async () => (await ue.call('endpoints')).map(({ address }) => address)
        // And IPv6 ones, where the system has them.
        const made = expect.arrayContaining(['10.1.0.2', '10.2.0.2'])
        await expect.poll(addresses).toEqual(made)
        await ue.call('close')
        await pause(500)
        expect(await addresses()).toEqual(made)
        await ue.whole(number)
        await expect.poll(addresses, { timeout: 10_000 }).toEqual([])
      } finally {
        await rig.lab.ue.sysctl('net.mptcp.pm_type', 1)
        await rig.lab.ue.run('ip', ['mptcp', 'endpoint', 'flush'])
      }
    },
  )

  labTest("endpoints of others, and other programs' connections, are left alone", async () => {
    await rig.lab.ue.run('ip', ['mptcp', 'endpoint', 'add', '10.2.0.2', 'id', '77', 'dev', 'cell', 'subflow'])
    const other = await Ue.start(rig.lab.ue)
    // Not the converter: it gives up those who say nothing.
    const { fd } = await other.call('connect', rig.lab.serverAddress.v4, ECHO, 'cell')
    const ue = await rig.ue({ rules: RULES.wifiThenCell })
    const { number } = await ue.sparse()
    await pause(500)
    await rig.lab.link('wifi').set({ carrier: false })
    await pause(500)
    await rig.lab.link('wifi').set({ carrier: true })
    await ue.until('non-3gpp', true)
    await pause(1000)
    await ue.whole(number)
    await ue.call('close')
    await pause(300)
    expect(await other.subflows(fd)).toMatchObject([{ state: 1, local: { address: '10.2.0.2' } }])
    expect(await ue.call('endpoints')).toMatchObject([{ id: 77, address: '10.2.0.2', flags: ['subflow'] }])
    await rig.lab.ue.run('ip', ['mptcp', 'endpoint', 'flush'])
    await other.call('close', fd)
  })

  labTest('an interface is not there at first, comes, vanishes, and is another one of that name', async () => {
    // The emulator's ends cannot be made again: a link of its own to the network, named like an access.
    const make = async () => {
      const { ue, converter } = rig.lab
      await ue.run('ip', ['link', 'add', 'usb', 'type', 'veth', 'peer', 'name', 'usb', 'netns', converter.name])
      await converter.run('ip', ['addr', 'add', '10.9.0.1/24', 'dev', 'usb'])
      await converter.run('ip', ['link', 'set', 'usb', 'up'])
      await ue.run('ip', ['addr', 'add', '10.9.0.2/24', 'dev', 'usb'])
      await ue.run('ip', ['link', 'set', 'usb', 'up'])
      await ue.run('ip', ['route', 'add', 'default', 'via', '10.9.0.1', 'dev', 'usb', 'metric', '900'])
    }
    const bytesOverUsb = async () => {
      const { stdout } = await rig.lab.ue.run('cat', ['/sys/class/net/usb/statistics/tx_bytes'])
      return Number(stdout)
    }
    const ue = await rig.ue({ rules: RULES.wifiThenCell, accesses: { '3gpp': 'cell', 'non-3gpp': 'usb' } })
    const { number, interface: first } = await ue.sparse()
    expect(first).toBe('cell')
    for (const _ of [1, 2]) {
      await make()
      await ue.until('non-3gpp', true)
      await expect.poll(bytesOverUsb, { timeout: 10_000 }).toBeGreaterThan(10_000)
      await expect.poll(async () => (await rig.shares(500)).cell, { timeout: 10_000 }).toBeLessThan(3_000)
      await rig.lab.ue.run('ip', ['link', 'del', 'usb'])
      await ue.until('non-3gpp', false)
      await expect.poll(async () => (await rig.shares(500)).cell, { timeout: 10_000 }).toBeGreaterThan(2_000)
    }
    await ue.whole(number)
  })

  labTest('a server without the second address: what it refuses is tried again, ever less often', async () => {
    await rig.lab.link('cell').set({ mangle: [{ action: 'drop', match: 'mp-join' }] })
    const ue = await rig.ue({ rules: RULES.wifiThenCell })
    const { number } = await ue.sparse()
    await pause(6000)
    const tried = ue.actions('create').length
    expect(tried).toBeGreaterThan(1)
    expect(tried).toBeLessThan(6)
    // The SYN under way is repeated, or another one asked for.
    const joins = async () => (await rig.convert.counters(rig.lab.converter))['MPTcpExt.MPJoinAckRx']!
    const before = await joins()
    await rig.lab.link('cell').set({ mangle: [] })
    await expect.poll(joins, { timeout: 30_000 }).toBeGreaterThan(before)
    await rig.lab.link('wifi').set({ carrier: false })
    await expect.poll(async () => (await rig.shares(500)).cell, { timeout: 10_000 }).toBeGreaterThan(2_000)
    await ue.whole(number)
  })
})
