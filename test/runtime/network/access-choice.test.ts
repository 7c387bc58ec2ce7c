/** Which link an access uses, of several that it may use. */
import { describe, expect, test } from 'vitest'
import { type AccessConfigs, AUTO, choicesOf, chosenOf } from '../../../lib/runtime/network/access-choice.js'
import { AccessLinks } from '../../../lib/runtime/network/access-links.js'
import type { InterfaceKind } from '../../../lib/runtime/network/interface-kind.js'
import type { Link, NetworkState } from '../../../lib/runtime/network/network-state.js'

interface Is {
  up?: boolean
  address?: string
  route?: boolean
  altnames?: string[]
}

function state(links: Record<string, Is>): NetworkState {
  const entries = Object.entries(links).map(([name, { up = true, address, altnames }], i): [number, Link] => [
    i + 1,
    {
      index: i + 1,
      name,
      ...(altnames && { altnames }),
      up,
      carrier: up,
      operstate: up ? 'up' : 'down',
      flags: 0,
      mtu: 1500,
      addresses: [
        {
          family: 4,
          address: address ?? `10.0.0.${i + 1}`,
          prefixLength: 24,
          scope: 'global',
          tentative: false,
          deprecated: false,
          label: undefined,
          flags: 0,
        },
      ],
    },
  ])
  const defaultRoutes = entries.flatMap(([interfaceIndex, { name }]) =>
    links[name]!.route === false
      ? []
      : [{ family: 4 as const, interfaceIndex, gateway: undefined, metric: 0, table: 254 }],
  )
  return { links: new Map(entries), defaultRoutes }
}

const LAPTOP: AccessConfigs = {
  '3gpp': { interface: 'wwan*, usb0', choices: ['wwan*', 'usb0'] },
  'non-3gpp': { interface: 'eth0, wlan?', choices: ['eth0', 'wlan?'] },
}
const KINDS: Record<string, InterfaceKind> = {
  eth0: 'ethernet',
  wlan0: 'wifi',
  wwan0: 'wwan',
  usb0: 'usb',
  docker0: 'virtual',
}
const kindOf = (name: string) => KINDS[name] ?? 'virtual'
const chosen = (config: AccessConfigs, links: Record<string, Is>) => {
  const { '3gpp': cellular, 'non-3gpp': other } = chosenOf(choicesOf(config, state(links), kindOf))
  return [other?.name, cellular?.name]
}

describe('names in order of preference', () => {
  test.each<[string, Record<string, Is>, [string | undefined, string | undefined]]>([
    ['docked', { wlan0: {}, eth0: {}, wwan0: {} }, ['eth0', 'wwan0']],
    ['undocked: Ethernet without carrier', { wlan0: {}, eth0: { up: false }, wwan0: {} }, ['wlan0', 'wwan0']],
    [
      'just docked: there is no default route yet',
      { wlan0: {}, eth0: { route: false }, wwan0: {} },
      ['wlan0', 'wwan0'],
    ],
    ['nowhere is a default route', { wlan0: { route: false }, eth0: { route: false } }, ['eth0', undefined]],
    ['nothing works: the first one there', { wlan0: { up: false }, eth0: { up: false } }, ['eth0', undefined]],
    ['a modem and a phone', { usb0: {}, wwan1: {}, wlan0: {} }, ['wlan0', 'wwan1']],
    ['a pattern takes one of its length', { wlan10: {}, wwan0: {} }, [undefined, 'wwan0']],
    ['an alternative name', { enp3s0: { altnames: ['eth0'] }, wwan0: {} }, ['enp3s0', 'wwan0']],
    ['none', {}, [undefined, undefined]],
  ])('%s', (_, links, expected) => {
    expect(chosen(LAPTOP, links)).toEqual(expected)
  })

  test('a name of the one access is not in a pattern of the other, and no link is both', () => {
    const config: AccessConfigs = {
      '3gpp': { interface: '*', choices: ['*'] },
      'non-3gpp': { interface: 'wlan0, x*', choices: ['wlan0', 'x*'] },
    }
    expect(chosen(config, { lo: {}, wlan0: {}, x1: {}, x2: {} })).toEqual(['wlan0', 'x1'])
    expect(chosen(config, { lo: {}, wlan0: { up: false }, x1: {}, x2: {} })).toEqual(['x2', 'x1'])
  })

  test('a point in a name is a point', () => {
    const config = { ...LAPTOP, 'non-3gpp': { interface: 'eth0.*', choices: ['eth0.*'] } }
    expect(chosen(config, { eth01: {}, 'eth0.7': {} })[0]).toBe('eth0.7')
  })
})

test('auto: Ethernet before Wi-Fi, a modem before a phone; nothing that is made of software only', () => {
  expect(chosen(AUTO, { docker0: {}, wlan0: {}, eth0: {}, usb0: {}, wwan0: {} })).toEqual(['eth0', 'wwan0'])
  expect(chosen(AUTO, { docker0: {}, wlan0: {}, usb0: {} })).toEqual(['wlan0', 'usb0'])
  expect(chosen(AUTO, { docker0: {}, lo: {} })).toEqual([undefined, undefined])
})

describe('the links of accesses, as they come and go', () => {
  const docked = state({ wlan0: {}, eth0: {}, wwan0: {} })
  const undocked = state({ wlan0: {}, eth0: { up: false }, wwan0: {} })

  test('an address of an interface that is not used any more belongs to the access while it works', () => {
    const links = new AccessLinks(LAPTOP, undocked)
    expect(links.interfaces['non-3gpp']).toEqual({
      name: 'wlan0',
      why: 'wlan0 is the best of eth0, wlan? that is there',
    })
    expect(links.isSuperseded('non-3gpp', { address: '10.0.0.1', interfaceIndex: 0 })).toBe(false)
    links.update(docked)
    expect(links.interfaces['non-3gpp']?.name).toBe('eth0')
    expect(links.accessOf({ address: '10.0.0.1', interfaceIndex: 0 })).toBe('non-3gpp')
    expect(links.isSuperseded('non-3gpp', { address: '10.0.0.1', interfaceIndex: 0 })).toBe(true)
    expect(links.isSuperseded('non-3gpp', { address: '10.0.0.2', interfaceIndex: 0 })).toBe(false)
    expect(links.address('non-3gpp', 4)).toEqual({ address: '10.0.0.2', interfaceIndex: 2 })
    links.update(undocked)
    // Ethernet has no carrier: what was sent there is lost.
    expect(links.accessOf({ address: '10.0.0.2', interfaceIndex: 0 })).toBeUndefined()
    expect(links.isSuperseded('non-3gpp', { address: '10.0.0.2', interfaceIndex: 0 })).toBe(true)
    expect(links.facts['non-3gpp']).toEqual({ usable: true, why: 'wlan0 is up' })
  })

  test('tunnels are those that no access may use', () => {
    const tunnels = (name: string) => {
      const all = state({ wlan0: {}, eth0: {}, wwan0: {}, wg0: {} })
      for (const link of all.links.values()) if (link.name === name) Object.assign(link, { isTunnel: true })
      return new AccessLinks(LAPTOP, all).tunnels
    }
    expect(tunnels('wg0')).toEqual([{ index: 4, name: 'wg0' }])
    for (const name of ['wlan0', 'eth0', 'wwan0']) expect(tunnels(name)).toEqual([])
  })

  test('none of them is there', () => {
    const links = new AccessLinks(LAPTOP, state({}))
    expect(links.facts['non-3gpp']).toEqual({ usable: false, why: 'there is no interface eth0, wlan?' })
    expect(links.interfaces).toEqual({ '3gpp': undefined, 'non-3gpp': undefined })
  })
})
