import { afterAll, beforeAll, expect } from 'vitest'
import { type Lab, openLab } from '../../lib/lab/index.js'
import { result, start, udpEcho, udpPing } from '../support/lab-programs.js'
import { all, netns, root } from '../support/probes.js'
import { requires } from '../support/requires.js'

const labTest = requires('network namespaces', all(root, netns))
labTest.describe('the default lab', () => {
  let lab: Lab
  beforeAll(async () => {
    lab = await openLab()
    await start(lab.converter, udpEcho)
    await start(lab.server, udpEcho)
  })
  afterAll(() => lab?.close())

  labTest('has the hosts, accesses and addresses it says', async () => {
    expect(Object.keys(lab.accesses)).toEqual(['wifi', 'cell'])
    expect(lab.accesses.wifi).toMatchObject({ access: 'non-3gpp', interface: 'wifi', address: { v4: '10.1.0.2' } })
    expect(lab.accesses.cell).toMatchObject({ access: '3gpp', interface: 'cell', address: { v4: '10.2.0.2' } })
    const { stdout } = await lab.ue.run('ip', ['-br', 'addr'])
    for (const { v4, v6 } of Object.values(lab.ue.addresses)) {
      expect(stdout).toContain(v4)
      expect(stdout).toContain(v6)
    }
    expect(() => lab.link('wlan')).toThrow(/wifi, cell, data/)
  })

  const targets: [string, string, number][] = [
    ['wifi', '10.1.0.1', 20],
    ['cell', '10.2.0.1', 60],
    ['wifi, IPv6', '2001:db8:1::1', 20],
    ['cell, IPv6', '2001:db8:2::1', 60],
    ['the converter by the preferred access', '192.0.2.1', 20],
    ['the server behind it', '198.51.100.2', 20],
    ['the server behind it, IPv6', '2001:db8:d::2', 20],
  ]
  for (const [title, address, expected] of targets)
    labTest(`${title}: the round trip takes twice the delay`, async () => {
      const times = await result<number[]>(lab.ue, udpPing(address))
      expect(times).toHaveLength(20)
      expect(times[0]).toBeGreaterThanOrEqual(expected)
      // Two Node processes are in it, on a machine that may be busy; the links alone are measured in lab-links.test.ts.
      expect(times[0]).toBeLessThan(expected + 10)
    })

  labTest('leaves the UE at the kernel’s defaults, and lets the converter take SYN data', async () => {
    expect(await lab.ue.sysctl('net.ipv4.tcp_fastopen')).toBe('1')
    expect(Number(await lab.converter.sysctl('net.ipv4.tcp_fastopen')) & 2).toBe(2)
    expect(await lab.ue.sysctl('net.ipv4.tcp_syn_retries', 3)).toBe('3')
    await expect(lab.ue.sysctl('kernel.hostname')).rejects.toMatchObject({ code: 'ERR_ATSSS_OPTION' })
    await expect(lab.ue.sysctl('net.ipv4.nonsense')).rejects.toMatchObject({ code: 'ERR_LAB_FAILED' })
  })
})

labTest.describe('the lab’s options', () => {
  labTest('other accesses, an MTU, no IPv6, and a data network over veth', async () => {
    const link = { delayMs: 5 }
    await using lab = await openLab({
      accesses: [{ name: 'nr', access: '3gpp', link, mtu: 1400 }],
      dataNetwork: 'veth',
      ipv6: false,
    })
    expect(lab.serverAddress).toEqual({ v4: '198.51.100.2' })
    expect((await lab.ue.run('ip', ['link', 'show', 'nr'])).stdout).toContain('mtu 1400')
    expect((await lab.ue.run('ip', ['-6', 'addr'])).stdout).toBe('')
    expect(() => lab.link('data')).toThrow(/nr/)
    await lab.server.sysctl('net.ipv6.conf.all.disable_ipv6', 0)
    await start(lab.server, udpEcho)
    const times = await result<number[]>(lab.ue, udpPing(lab.serverAddress.v4))
    expect(times[0]).toBeGreaterThanOrEqual(10)
    expect(times[0]).toBeLessThan(20)
  })

  labTest('source routing sends packets by the interface of their source address', async () => {
    await using lab = await openLab({ sourceRouting: true })
    const route = async (...words: string[]) => (await lab.ue.run('ip', ['route', 'get', ...words])).stdout
    expect(await route('192.0.2.1')).toContain('dev wifi')
    expect(await route('192.0.2.1', 'from', '10.2.0.2')).toContain('dev cell')
    expect(await route('2001:db8:c::1', 'from', '2001:db8:2::2')).toContain('dev cell')
  })

  labTest('several labs stand side by side', async () => {
    const near = { accesses: [{ name: 'wifi', access: 'non-3gpp' as const, link: { delayMs: 2 } }] }
    const [first, second] = await Promise.all([openLab(), openLab(near)])
    await using one = first
    await using other = second
    expect(one.ue.name).not.toBe(other.ue.name)
    for (const lab of [one, other]) await start(lab.converter, udpEcho)
    expect((await result<number[]>(one.ue, udpPing('10.1.0.1')))[0]).toBeGreaterThan(20)
    expect((await result<number[]>(other.ue, udpPing('10.1.0.1')))[0]).toBeLessThan(15)
  })

  labTest('an impossible topology is refused before anything is created', async () => {
    const link = {}
    const refused: [object, RegExp][] = [
      [{ accesses: [] }, /1 to 200/],
      [{ accesses: [{ name: 'data', access: '3gpp', link }] }, /"data"/],
      [{ accesses: [{ name: 'wi fi', access: '3gpp', link }] }, /"wi fi"/],
      [{ accesses: [{ name: 'wifi', access: '5g', link }] }, /access/],
      [{ accesses: [{ name: 'wifi', access: '3gpp', link: { rate: 5 } }] }, /rateMbps/],
      [{ dataNetwork: { lossPercent: 101 } }, /lossPercent/],
    ]
    for (const [options, message] of refused) await expect(openLab(options)).rejects.toThrow(message)
  })
})
