/**
 * What is between a device and its converter: joins that are dropped or lose their options on one access only, a strict reverse path
 * filter, NATs that forget connections, paths that swallow large packets, networks that allow port 443 only.
 */
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import { compiled } from '../support/compiled.js'
import { CONVERTER, type Laptop, openLaptop, SERVER } from '../support/laptop.js'
import { pause } from '../support/native-addon.js'
import { all, mptcp, netns, root } from '../support/probes.js'
import { requires } from '../support/requires.js'
import { RULES, SessionLab, SessionUe } from '../support/session-lab.js'

const labTest = requires('MPTCP in network namespaces', all(root, netns, mptcp))

labTest.describe('middleboxes on one of the accesses', () => {
  let rig: SessionLab
  const folder = mkdtempSync(join(tmpdir(), 'atsss-'))
  beforeAll(async () => {
    rig = await SessionLab.open()
  })
  afterEach(() => rig?.reset())
  afterAll(async () => {
    await rig?.close()
    rmSync(folder, { recursive: true })
  })

  for (const [what, mangling] of [
    ['joins are dropped', { action: 'drop', match: 'mp-join' }],
    ['joins lose their options, so that the peer refuses them', { action: 'strip-mptcp', match: 'mp-join' }],
  ] as const)
    labTest(`${what} on the standby: the stream goes on, the session says so, and joins once it can`, async () => {
      await rig.lab.link('cell').set({ mangle: [mangling] })
      const ue = await rig.ue({ rules: RULES.wifiThenCell })
      const { number, ...got } = await ue.sparse()
      expect(got).toMatchObject({ interface: 'wifi', protocol: 'mptcp' })
      await expect.poll(() => ue.degraded(), { timeout: 20_000 }).toMatchObject([{ what: 'peer' }])
      expect(ue.degraded()[0]!.message).toMatch(/No handover to 3gpp .*MPTCP's joins/)
      expect(await ue.call('unjoined', number)).toBe(ue.degraded()[0]!.message)
      await rig.lab.link('cell').set({ mangle: [] })
      await expect.poll(() => ue.call('unjoined', number), { timeout: 20_000 }).toBeUndefined()
      await rig.lab.link('wifi').set({ carrier: false })
      await expect.poll(async () => (await rig.shares(300)).cell, { timeout: 10_000 }).toBeGreaterThan(2_000)
      await ue.whole(number)
    })

  labTest(
    'a strict reverse path filter: what arrives over the access that the routes do not prefer is dropped',
    async () => {
      await rig.lab.ue.sysctl('net.ipv4.conf.cell.rp_filter', 1)
      try {
        const ue = await rig.ue({ rules: RULES.wifiThenCell })
        const { number } = await ue.sparse()
        await expect.poll(() => ue.degraded(), { timeout: 20_000 }).toMatchObject([{ what: 'peer' }])
        expect(ue.degraded()[0]!.message).toContain('reverse path filter')
        await ue.whole(number)
      } finally {
        await rig.lab.ue.sysctl('net.ipv4.conf.cell.rp_filter', 0)
      }
    },
  )

  labTest('setKeepAlive() keeps the standby open too: NATs see its packets', async () => {
    const ue = await rig.ue({ rules: RULES.wifiThenCell })
    const { number } = await ue.sparse({ connect: { keepAlive: true, keepAliveInitialDelay: 1_000 } as never })
    await pause(1_000)
    const capture = await rig.lab.link('cell').capture(join(folder, 'cell.pcap'))
    await pause(3_500)
    const probes = (await capture.packets()).filter(({ tcp }) => tcp && !tcp.flags.syn && tcp.payload.length <= 1)
    await capture.stop()
    expect(probes.length).toBeGreaterThanOrEqual(2)
    await ue.whole(number)
  })
})

labTest.describe('routers on the way', () => {
  let laptop: Laptop
  const ues: SessionUe[] = []
  /** As a rig, as far as a session needs one. */
  const rig = {
    get lab() {
      return {
        ue: { spawn: (command: string, args: string[]) => laptop.spawn('laptop', command, ...args) },
        serverAddress: { v4: SERVER },
      }
    },
    convert: { at: (port: number) => `${CONVERTER}:${port}` },
    port: 5124,
  } as unknown as SessionLab
  const session = async (options: Parameters<typeof SessionUe.start>[1] = {}, wrapper?: string[]) => {
    const accesses = { '3gpp': 'usb0', 'non-3gpp': 'wlan0' }
    const ue = await SessionUe.start(rig, { accesses, rules: RULES.wifiThenCell, ...options }, wrapper)
    ues.push(ue)
    return ue
  }

  beforeAll(async () => {
    laptop = openLaptop()
    await laptop.run('laptop', 'sysctl', '-w', 'net.mptcp.pm_type=1')
    await laptop.run('internet', 'ip', 'mptcp', 'limits', 'set', 'subflows', '8')
    const server = laptop.spawn('internet', process.execPath, compiled('test/netns/programs/server.ts'), 'run')
    const main = compiled('lib/cli/main.ts')
    const listen = ['--listen', `${CONVERTER}:5124`, '--listen', `${CONVERTER}:443`, '--allow', '0.0.0.0/0']
    const converter = laptop.spawn('internet', process.execPath, main, 'converter', ...listen)
    await Promise.all([once(server.stdout, 'data'), once(converter.stdout, 'data')])
  })
  afterEach(() => Promise.all(ues.splice(0).map(ue => ue.stop())))
  afterAll(() => laptop?.[Symbol.asyncDispose]())

  /** Bytes that an interface of the laptop has sent. */
  const sent = async (name: string) =>
    Number((await laptop.run('laptop', 'cat', `/sys/class/net/${name}/statistics/tx_bytes`)).stdout)
  /** The local ports of the subflows on an interface. */
  const portsOn = async (address: string) => {
    const { stdout } = await laptop.run('laptop', 'ss', '-tnH', 'state', 'established')
    const ports = Array.from(stdout.matchAll(new RegExp(`${address}\\]?(?:%\\w+)?:(\\d+)\\s`, 'g')), ([, port]) => port)
    if (ports.length === 0) throw new Error(`no subflow from ${address}: ${stdout}`)
    return ports
  }
  const tbf = async (action: 'add' | 'del') => {
    // A packet that is larger than the bucket never passes, and no ICMP says so.
    const how = action === 'add' ? ['tbf', 'rate', '100mbit', 'burst', '1300', 'latency', '50ms'] : []
    for (const name of ['lan', 'wan']) await laptop.run('home', 'tc', 'qdisc', action, 'dev', name, 'root', ...how)
  }

  labTest('a path of 1280 bytes without ICMP, on Wi-Fi: nothing is lost, and cellular carries it', async () => {
    await tbf('add')
    try {
      const ue = await session()
      const before = await sent('usb0')
      const { number, ...got } = await ue.bulk()
      expect(got).toMatchObject({ interface: 'wlan0', protocol: 'mptcp' })
      await pause(3_000)
      const bytes = await ue.whole(number)
      expect((await sent('usb0')) - before).toBeGreaterThan(bytes * 0.5)
      expect(ue.access('non-3gpp')).toContain(false)
    } finally {
      await tbf('del')
    }
  })

  /** As a NAT that gives these connections other ports from now on: nothing of them gets through. */
  const forget = async (router: 'home' | 'mobile', address: string) => {
    for (const port of await portsOn(address)) {
      laptop.ip(router, `rule add ipproto tcp from ${address} sport ${port} blackhole`)
      laptop.ip(router, `rule add ipproto tcp to ${address} dport ${port} blackhole`)
    }
  }

  labTest('a NAT forgets the connection on Wi-Fi: another subflow takes over', async () => {
    const ue = await session()
    const { number } = await ue.sparse()
    await pause(700)
    await ue.call('gap', number)
    await forget('home', '10.1.0.2')
    await pause(3_000)
    const rebound = await ue.call('gap', number)
    console.log(`longest gap, the NAT of Wi-Fi has forgotten: ${rebound.gap.toFixed(0)} ms`)
    expect(rebound.gap).toBeLessThan(3_000)
    await ue.whole(number)
  })

  labTest('a NAT has forgotten the idle standby when Wi-Fi is lost: another subflow takes its place', async () => {
    const ue = await session()
    const sending = await ue.sparse()
    const receiving = await ue.download({ chunk: 1_000, every: 10 })
    for (const { number } of [sending, receiving]) await expect.poll(() => ue.call('subflows', number)).toBe(2)
    await pause(300)
    await forget('mobile', '10.2.0.2')
    await pause(500)
    for (const { number } of [sending, receiving]) await ue.call('gap', number)
    laptop.ip('laptop', 'link set wlan0 down')
    try {
      await pause(2_500)
      for (const [what, { number }] of Object.entries({ sending, receiving })) {
        const { gap } = await ue.call('gap', number)
        console.log(`longest gap, the NAT has forgotten the standby, ${what}: ${gap.toFixed(0)} ms`)
        // Retransmission alone, or the probe of an idle access, would take longer.
        expect(gap).toBeLessThan(2_000)
      }
    } finally {
      laptop.ip('laptop', 'link set wlan0 up', 'route replace default via 10.1.0.1 dev wlan0 metric 100')
    }
    for (const { number } of [sending, receiving]) await ue.whole(number)
  })

  labTest('suspended, and both NATs have forgotten everything: what the peer pushes arrives again', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'atsss-'))
    // What a machine says of its clocks: it has been up for longer than its monotonic clock has run.
    const uptime = join(folder, 'uptime')
    writeFileSync(uptime, '100000.00 0.00\n')
    try {
      const ue = await session({}, ['sh', '-c', `mount --bind ${uptime} /proc/uptime && exec "$@"`, 'sh'])
      const { number } = await ue.download({ chunk: 1_000, every: 700 })
      await expect.poll(() => ue.call('subflows', number)).toBe(2)
      const old = [...(await portsOn('10.1.0.2')), ...(await portsOn('10.2.0.2'))]
      await forget('home', '10.1.0.2')
      await forget('mobile', '10.2.0.2')
      await pause(300)
      const before = (await ue.call('gap', number)).received
      await pause(1_500)
      expect((await ue.call('gap', number)).received).toBe(before)
      const file = openSync(uptime, 'r+')
      writeSync(file, '200000.00 0.00\n')
      closeSync(file)
      await expect
        .poll(async () => (await ue.call('gap', number)).received, { timeout: 20_000, interval: 50 })
        .toBeGreaterThan(before)
      const now = [...(await portsOn('10.1.0.2')), ...(await portsOn('10.2.0.2'))]
      expect(now.filter(port => old.includes(port))).toEqual([])
      expect(ue.degraded()).toEqual([])
      await ue.whole(number)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  requires(
    'MPTCP in network namespaces, and nft',
    () => all(root, netns, mptcp)() ?? (spawnSync('nft', ['--version']).error ? 'nft is not installed' : undefined),
  )('both routers give out the same address: the standby takes over as usual, and Wi-Fi is used again', async () => {
    const same = [
      'addr flush dev usb0',
      'addr add 10.1.0.2/24 dev usb0',
      'route add default via 10.1.0.1 dev usb0 metric 200',
    ]
    laptop.ip('laptop', ...same)
    laptop.ip('mobile', 'addr add 10.1.0.1/24 dev ran')
    const nat =
      'add table ip n; add chain ip n c { type nat hook postrouting priority 100; }; add rule ip n c oifname wan masquerade'
    await laptop.run('mobile', 'nft', nat)
    try {
      const ue = await session()
      const { number } = await ue.sparse()
      await expect.poll(() => ue.call('subflows', number)).toBe(2)
      await ue.call('gap', number)
      laptop.ip('laptop', 'link set wlan0 down')
      await pause(1_500)
      expect((await ue.call('gap', number)).gap).toBeLessThan(1_000)
      const before = await sent('wlan0')
      laptop.ip('laptop', 'link set wlan0 up', 'route replace default via 10.1.0.1 dev wlan0 metric 100')
      await expect.poll(async () => (await sent('wlan0')) - before, { timeout: 10_000 }).toBeGreaterThan(5_000)
      const carried = (await ue.call('connections'))[0]!.carried
      expect(carried['3gpp'].bytesSent).toBeGreaterThan(5_000)
      expect(carried['non-3gpp'].bytesSent).toBeGreaterThan(5_000)
      expect(ue.degraded()).toEqual([])
      await ue.whole(number)
    } finally {
      await laptop.run('mobile', 'nft', 'delete table ip n')
      laptop.ip('mobile', 'addr del 10.1.0.1/24 dev ran')
      const apart = [
        'addr flush dev usb0',
        'addr add 10.2.0.2/24 dev usb0',
        'route add default via 10.2.0.1 dev usb0 metric 200',
      ]
      laptop.ip('laptop', ...apart)
    }
  })

  labTest('only port 443 is let out: the converter there is found, and at once the next time', async () => {
    for (const router of ['home', 'mobile'] as const)
      laptop.ip(router, 'rule add ipproto tcp dport 5124 blackhole priority 10')
    try {
      const ue = await session({ converters: [`${CONVERTER}:5124`, `${CONVERTER}:443`] })
      const first = await ue.sparse()
      const second = await ue.sparse()
      expect([first, second]).toMatchObject([{ protocol: 'mptcp' }, { protocol: 'mptcp', interface: 'wlan0' }])
      expect(second.took).toBeLessThan(first.took)
      for (const { number } of [first, second]) await ue.whole(number)
    } finally {
      for (const router of ['home', 'mobile'] as const) laptop.ip(router, 'rule del priority 10')
    }
  })
})
