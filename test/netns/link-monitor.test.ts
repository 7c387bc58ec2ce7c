/** The link monitor in a UE whose links come and go. */
import { afterAll, beforeAll, expect } from 'vitest'
import { type Lab, openLab } from '../../lib/lab/index.js'
import type { ChangeReason } from '../../lib/runtime/network/link-monitor.js'
import { pause } from '../support/native-addon.js'
import { all, netns, root } from '../support/probes.js'
import { requires } from '../support/requires.js'
import { Ue } from '../support/ue.js'

const monitorTest = requires('network namespaces', all(root, netns))

monitorTest.describe('the link monitor', () => {
  let lab: Lab
  let ue: Ue
  beforeAll(async () => {
    lab = await openLab()
    // Nothing in it needs a privilege.
    ue = await Ue.start(lab.ue, ['setpriv', '--bounding-set=-all', '--inh-caps=-all'])
  })
  afterAll(() => lab?.close())

  const ip = async (...words: string[]) => {
    const { code, stderr } = await lab.ue.run('ip', words)
    if (code !== 0) throw new Error(stderr)
  }

  /** What was heard since the `from`th line, in a short form. */
  function reasons(from: number): string[] {
    const changes = ue.heard.slice(from).filter(({ event }) => event === 'change')
    return changes.flatMap(({ reasons }) =>
      (reasons as ChangeReason[]).map(({ type, interface: name, ...rest }) =>
        [type, name, 'address' in rest ? rest.address : ''].join(' ').trim(),
      ),
    )
  }

  /** Does something, and waits until all of these have been heard. */
  async function hears(act: () => Promise<unknown>, ...wanted: string[]): Promise<void> {
    const from = ue.heard.length
    await act()
    await eventually(() => wanted.every(reason => reasons(from).includes(reason)))
    expect(reasons(from)).toEqual(expect.arrayContaining(wanted))
  }

  const link = async (name: string) => (await ue.call('network')).links.find(link => link.name === name)

  monitorTest('knows links, addresses and default routes', async () => {
    const { links, defaultRoutes } = await ue.call('network')
    expect(links.map(({ name }) => name)).toEqual(['lo', 'wifi', 'cell'])
    const wifi = links.find(({ name }) => name === 'wifi')!
    expect(wifi).toMatchObject({ up: true, carrier: true, mtu: 1500 })
    expect(wifi.addresses).toContainEqual(expect.objectContaining({ address: '10.1.0.2', prefixLength: 24 }))
    expect(wifi.addresses).toContainEqual(expect.objectContaining({ address: '2001:db8:1::2', tentative: false }))
    expect(defaultRoutes.map(({ family, gateway, metric, table }) => [family, gateway, metric, table])).toEqual([
      [4, '10.1.0.1', 100, 254],
      [6, '2001:db8:1::1', 100, 254],
      [4, '10.2.0.1', 200, 254],
      [6, '2001:db8:2::1', 200, 254],
    ])
  })

  // More often than once a second, all links of this machine counted, the kernel itself does not announce it.
  for (const [title, spacing, interfaces] of [
    ['a moment after it was gained', 100, undefined],
    ['at any time, when the links are watched', 1200, undefined],
    ['at any time, when only two of them are', 1200, ['wifi', 'cell']],
  ] as const)
    monitorTest(`a lost carrier is noticed within milliseconds ${title}`, async () => {
      if (spacing > 1000) await ue.call('watch', 10, interfaces && [...interfaces])
      const delays: number[] = []
      for (let i = 0; i < 5; i++) {
        const from = ue.heard.length
        const before = process.hrtime.bigint()
        await lab.link('wifi').set({ carrier: false })
        await eventually(() => reasons(from).includes('carrier-lost wifi'))
        const heard = ue.heard.slice(from).find(({ event }) => event === 'change')!
        delays.push(Number(BigInt(heard.at as string) - before) / 1e6)
        expect(await link('wifi')).toMatchObject({ up: true, carrier: false })
        await pause(spacing)
        await hears(() => lab.link('wifi').set({ carrier: true }), 'carrier-gained wifi')
        await pause(spacing)
      }
      delays.sort((a, b) => a - b)
      // From before the emulator was told. The kernel alone takes up to a second; machines that run tests are busy.
      expect(delays[2]).toBeLessThan(150)
    })

  monitorTest('a link set down and up, an address removed and added', async () => {
    await hears(() => ip('link', 'set', 'cell', 'down'), 'link-down cell', 'route-removed cell')
    await hears(() => ip('link', 'set', 'cell', 'up'), 'link-up cell')
    await hears(() => ip('addr', 'del', '10.1.0.2/24', 'dev', 'wifi'), 'address-removed wifi 10.1.0.2')
    expect((await ue.call('network')).defaultRoutes.some(({ gateway }) => gateway === '10.1.0.1')).toBe(false)
    await hears(() => ip('addr', 'add', '10.1.0.2/24', 'dev', 'wifi'), 'address-added wifi 10.1.0.2')
  })

  monitorTest('routes: their loss, another metric', async () => {
    await hears(() => ip('route', 'add', 'default', 'via', '10.1.0.1', 'metric', '50'), 'route-added wifi')
    await hears(() => ip('route', 'del', 'default', 'metric', '50'), 'route-removed wifi')
  })

  monitorTest('duplicate address detection, deprecation', async () => {
    await ip('link', 'add', 'usb', 'type', 'veth', 'peer', 'name', 'hub')
    await ip('link', 'set', 'hub', 'up')
    await ip('link', 'set', 'usb', 'up')
    const address = ['2001:db8:9::2/64', 'dev', 'usb']
    await hears(
      () => ip('addr', 'add', ...address),
      'address-added usb 2001:db8:9::2',
      'address-usable usb 2001:db8:9::2',
    )
    await hears(
      () => ip('addr', 'change', ...address, 'preferred_lft', '0', 'valid_lft', '300'),
      'address-changed usb 2001:db8:9::2',
    )
    expect((await link('usb'))!.addresses).toContainEqual(
      expect.objectContaining({ address: '2001:db8:9::2', deprecated: true }),
    )
    await ip('link', 'del', 'usb')
  })

  monitorTest('an interface that comes, is renamed, and vanishes', async () => {
    await hears(() => ip('link', 'add', 'usb', 'type', 'veth', 'peer', 'name', 'hub'), 'link-added usb')
    await hears(() => ip('link', 'set', 'usb', 'name', 'modem'), 'link-renamed modem')
    await hears(() => ip('link', 'set', 'hub', 'up'), 'link-up hub')
    await hears(() => ip('link', 'set', 'modem', 'up'), 'link-up modem', 'carrier-gained modem')
    await hears(() => ip('addr', 'add', '10.9.0.2/24', 'dev', 'modem'), 'address-added modem 10.9.0.2')
    await hears(() => ip('link', 'del', 'modem'), 'link-removed modem', 'address-removed modem 10.9.0.2')
    expect((await ue.call('network')).links.map(({ name }) => name)).toEqual(['lo', 'wifi', 'cell'])
  })

  monitorTest('more events than the kernel keeps, while nothing can be read', async () => {
    const busy = await Ue.start(lab.ue)
    const lines = ['link add usb type veth peer name hub']
    for (let i = 0; i < 3000; i++) lines.push(`link set usb mtu ${1000 + (i % 500)}`)
    lines.push('link set usb mtu 1234')
    await busy.call('ipWhileBusy', lines, 100)
    const mtu = async () => (await busy.call('network')).links.find(({ name }) => name === 'usb')?.mtu
    await eventually(async () => (await mtu()) === 1234)
    expect(await mtu()).toBe(1234)
    await ip('link', 'del', 'usb')
    await eventually(async () => (await mtu()) === undefined)
    expect(await mtu()).toBeUndefined()
  })
})

/** Waits, at most five seconds; who waits looks for itself whether it is so. */
async function eventually(is: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + 5000
  while (!(await is()) && Date.now() < end) await pause(5)
}
