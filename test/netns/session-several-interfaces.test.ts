/**
 * An access with several interfaces: a laptop that is docked (eth0), undocked (wlan0), and docked again, within non-3GPP access;
 * interfaces that are renamed, made again, and whose address changes, while connections live.
 */
import { once } from 'node:events'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import { all, mptcp, netns, root } from '../support/probes.js'
import { requires } from '../support/requires.js'
import { RULES, SessionLab, type SessionUe } from '../support/session-lab.js'

const labTest = requires('MPTCP in network namespaces', all(root, netns, mptcp))

labTest.describe('an access with several interfaces', () => {
  let rig: SessionLab
  beforeAll(async () => {
    rig = await SessionLab.open({
      accesses: [
        { name: 'wifi', access: 'non-3gpp', link: { rateMbps: 50, delayMs: 10 } },
        { name: 'cell', access: '3gpp', link: { rateMbps: 20, delayMs: 30 } },
        { name: 'eth0', access: 'non-3gpp', link: { rateMbps: 50, delayMs: 5 } },
      ],
    })
  })
  afterEach(async () => {
    await rig?.reset()
    await rig?.lab.link('eth0').set({ carrier: true })
  })
  afterAll(() => rig?.close())

  async function ip(...args: string[]) {
    const { code, stderr } = await rig.lab.ue.run('ip', args)
    if (code !== 0) throw new Error(`ip ${args.join(' ')}: ${stderr}`)
  }
  const carried = async () => {
    const of = async (name: string) => (await rig.lab.link(name).stats()).uplink.bytes
    return { wifi: await of('wifi'), cell: await of('cell'), eth0: await of('eth0') }
  }
  /** What each link takes up in a while, once only this one carries the stream. */
  const onlyOver = (name: 'wifi' | 'cell' | 'eth0') =>
    expect
      .poll(
        async () => {
          const before = await carried()
          await new Promise(resolve => setTimeout(resolve, 300))
          const after = await carried()
          const links = ['wifi', 'cell', 'eth0'] as const
          return links.filter(link => after[link] - before[link] > 1_500)
        },
        { timeout: 15_000, interval: 10 },
      )
      .toEqual([name])
  const used = (ue: SessionUe) =>
    ue.heard.flatMap(line => (line.event === 'interface' && line.access === 'non-3gpp' ? [line.interface] : []))

  labTest('docked, undocked, docked: live connections move, and 3GPP access has nothing to do with it', async () => {
    const accesses = { '3gpp': ['ww*', 'cell'], 'non-3gpp': ['eth0', 'wl*', 'wifi'] }
    const ue = await rig.ue({ rules: RULES.wifiThenCell, accesses })
    const { number, ...got } = await ue.sparse()
    expect(got).toMatchObject({ interface: 'eth0', protocol: 'mptcp' })
    await onlyOver('eth0')
    const before = await carried()
    await ue.call('gap', number)

    await rig.lab.link('eth0').set({ carrier: false })
    await onlyOver('wifi')
    expect((await ue.sparse().then(async one => ({ ...one, end: await ue.whole(one.number) }))).interface).toBe('wifi')
    await rig.lab.link('eth0').set({ carrier: true })
    await onlyOver('eth0')
    const { gap } = await ue.call('gap', number)
    console.log(`longest gap, docked and undocked: ${gap.toFixed(0)} ms`)
    expect(gap).toBeLessThan(2_000)
    expect(used(ue)).toEqual(['eth0', 'wifi', 'eth0'])
    expect(ue.access('non-3gpp')).not.toContain(false)
    // The standby's subflow: handshakes and acknowledgements, no data of the stream.
    expect((await carried()).cell - before.cell).toBeLessThan(20_000)
    expect((await ue.call('stats')).accesses['non-3gpp'].interface).toBe('eth0')
    await ue.whole(number)
    expect(ue.degraded()).toEqual([])
  })

  labTest('renamed, moved to another subnet: the connection stays, over what the access has', async () => {
    const accesses = { '3gpp': 'cell', 'non-3gpp': ['wl*', 'wifi'] }
    const ue = await rig.ue({ rules: RULES.wifiThenCell, accesses })
    const { number } = await ue.sparse()
    await onlyOver('wifi')
    await ip('link', 'set', 'wifi', 'down')
    await ip('link', 'set', 'wifi', 'name', 'wlan0')
    await ip('link', 'set', 'wlan0', 'up')
    const gateway = rig.lab.converter.addresses.wifi!.v4
    await ip('route', 'replace', 'default', 'via', gateway, 'dev', 'wlan0', 'metric', '100')
    await onlyOver('wifi')
    await expect.poll(() => used(ue).at(-1)).toBe('wlan0')

    // Roaming to an access point of another subnet.
    await rig.lab.converter.run('ip', ['addr', 'add', '10.77.0.1/24', 'dev', 'wifi'])
    await ip('addr', 'flush', 'dev', 'wlan0', 'scope', 'global')
    await ip('addr', 'add', '10.77.0.2/24', 'dev', 'wlan0')
    await ip('route', 'replace', 'default', 'via', '10.77.0.1', 'dev', 'wlan0', 'metric', '100')
    await onlyOver('wifi')
    const next = await ue.sparse()
    expect(next).toMatchObject({ interface: 'wlan0', protocol: 'mptcp' })
    expect(next.shown.localAddress).toBe('10.77.0.2')
    await ue.whole(next.number)
    await ue.whole(number)
  })

  labTest("names: what only cellular's name server knows, and while that of Wi-Fi is silent", async () => {
    const folder = `/etc/netns/${rig.lab.ue.name}`
    mkdirSync(folder, { recursive: true })
    const [wifi, cell] = [rig.lab.converter.addresses.wifi!.v4, rig.lab.converter.addresses.cell!.v4]
    const servers = rig.lab.converter.spawn(process.execPath, [
      '-e',
      NAME_SERVERS,
      wifi,
      cell,
      rig.lab.serverAddress.v4,
    ])
    await once(servers.stdout, 'data')
    try {
      writeFileSync(`${folder}/resolv.conf`, `nameserver ${wifi}\nnameserver ${cell}\n`)
      // The lab's links are tun devices: one that is no access would be taken for a VPN.
      const ue = await rig.ue({
        rules: RULES.wifiThenCell,
        accesses: { '3gpp': 'cell', 'non-3gpp': ['wifi', 'wlan0'] },
        vpn: 'bypass',
      })
      const named = { connect: { host: 'only.cellular.test' } as never }
      const split = await ue.sparse(named)
      expect(split.shown.remoteAddress).toBe(rig.lab.serverAddress.v4)
      await ue.whole(split.number)
      await rig.lab.link('wifi').set({ down: true })
      const silent = await ue.sparse(named)
      // The system's resolver waits 5 s for the first server.
      expect(silent.took).toBeLessThan(4_800)
      await ue.whole(silent.number)
    } finally {
      servers.kill('SIGKILL')
      rmSync(folder, { recursive: true })
    }
  })
})

/** Of two networks, each at its address: the first knows no name, the second knows one. */
const NAME_SERVERS = `
  const [wifi, cell, server] = process.argv.slice(1)
  const open = (address, knows) => new Promise(resolve => {
    const socket = require('dgram').createSocket('udp4')
    socket.on('message', (query, from) => {
      const end = query.indexOf(0, 12) + 5
      const isIt = knows && query.readUInt16BE(end - 4) === 1 && query.toString('latin1', 12, end).includes('cellular')
      const data = Buffer.from(server.split('.').map(Number))
      const record = isIt ? Buffer.concat([Buffer.of(0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4), data]) : Buffer.alloc(0)
      const header = Buffer.concat([query.subarray(0, 2), Buffer.of(0x81, knows ? 0x80 : 0x83, 0, 1, 0, isIt ? 1 : 0, 0, 0, 0, 0)])
      socket.send(Buffer.concat([header, query.subarray(12, end), record]), from.port, from.address)
    })
    socket.bind(53, address, resolve)
  })
  Promise.all([open(wifi, false), open(cell, true)]).then(() => console.log('ready'))`
