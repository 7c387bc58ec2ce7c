import { expect, test } from 'vitest'
import {
  type ChangeReason,
  changesBetween,
  isUsable,
  type Link,
  linkNamed,
  type NetworkState,
} from '../../../lib/runtime/network/network-state.js'

const ADDRESS = {
  family: 4,
  address: '10.1.0.2',
  prefixLength: 24,
  scope: 'global',
  tentative: false,
  deprecated: false,
  label: 'wifi',
  flags: 0x80,
} as const
const WIFI: Link = {
  index: 3,
  name: 'wifi',
  up: true,
  carrier: true,
  operstate: 'up',
  flags: 0x11043,
  mtu: 1500,
  addresses: [ADDRESS],
}
const ROUTE = { family: 4, interfaceIndex: 3, gateway: '10.1.0.1', metric: 100, table: 254 } as const

function state(links: Link[], defaultRoutes: NetworkState['defaultRoutes'] = []): NetworkState {
  return { links: new Map(links.map(link => [link.index, link])), defaultRoutes }
}

const about = { interface: 'wifi', index: 3 }
const onAddress = { ...about, address: '10.1.0.2' }

const CHANGES: [string, NetworkState, NetworkState, ChangeReason[]][] = [
  ['nothing', state([WIFI], [ROUTE]), state([{ ...WIFI }], [{ ...ROUTE }]), []],
  [
    'a link has come, with an address',
    state([]),
    state([WIFI]),
    [
      { type: 'link-added', ...about },
      { type: 'address-added', ...onAddress },
    ],
  ],
  [
    'a link has vanished, with its address and route',
    state([WIFI], [ROUTE]),
    state([]),
    [
      { type: 'link-removed', ...about },
      { type: 'address-removed', ...onAddress },
      { type: 'route-removed', ...about, family: 4 },
    ],
  ],
  [
    'carrier lost: the rest of the link tells the same',
    state([WIFI]),
    state([{ ...WIFI, carrier: false, operstate: 'lowerlayerdown', flags: 0x1003 }]),
    [{ type: 'carrier-lost', ...about }],
  ],
  ['carrier back', state([{ ...WIFI, carrier: false }]), state([WIFI]), [{ type: 'carrier-gained', ...about }]],
  [
    'set down: that costs the carrier too',
    state([WIFI]),
    state([{ ...WIFI, up: false, carrier: false }]),
    [
      { type: 'link-down', ...about },
      { type: 'carrier-lost', ...about },
    ],
  ],
  ['set up', state([{ ...WIFI, up: false }]), state([WIFI]), [{ type: 'link-up', ...about }]],
  ['renamed', state([{ ...WIFI, name: 'wlan0' }]), state([WIFI]), [{ type: 'link-renamed', ...about }]],
  [
    'an alternative name',
    state([WIFI]),
    state([{ ...WIFI, altnames: ['wlp2s0'] }]),
    [{ type: 'link-changed', ...about }],
  ],
  ['another MTU', state([WIFI]), state([{ ...WIFI, mtu: 1400 }]), [{ type: 'link-changed', ...about }]],
  ['dormant', state([WIFI]), state([{ ...WIFI, operstate: 'dormant' }]), [{ type: 'link-changed', ...about }]],
  [
    'another address',
    state([WIFI]),
    state([{ ...WIFI, addresses: [{ ...ADDRESS, address: '10.1.0.3' }] }]),
    [
      { type: 'address-removed', ...onAddress },
      { type: 'address-added', ...about, address: '10.1.0.3' },
    ],
  ],
  [
    'duplicate address detection is done',
    state([{ ...WIFI, addresses: [{ ...ADDRESS, tentative: true }] }]),
    state([WIFI]),
    [{ type: 'address-usable', ...onAddress }],
  ],
  [
    'deprecated',
    state([WIFI]),
    state([{ ...WIFI, addresses: [{ ...ADDRESS, deprecated: true }] }]),
    [{ type: 'address-changed', ...onAddress }],
  ],
  [
    'another metric: another route',
    state([WIFI], [ROUTE]),
    state([WIFI], [{ ...ROUTE, metric: 50 }]),
    [
      { type: 'route-removed', ...about, family: 4 },
      { type: 'route-added', ...about, family: 4 },
    ],
  ],
]

test.each(CHANGES)('changes: %s', (_name, before, now, reasons) => {
  expect(changesBetween(before, now)).toEqual(reasons)
})

test.each([
  [true, {}],
  [true, { operstate: 'unknown' }],
  [false, { up: false }],
  [false, { carrier: false }],
  [false, { operstate: 'dormant' }],
] as const)('usable: %s with %o', (usable, part) => {
  expect(isUsable({ ...WIFI, ...part })).toBe(usable)
})

test('a link by its name, or else by an alternative name', () => {
  const other = { ...WIFI, index: 4, name: 'wlp2s0', altnames: ['wifi', 'radio'] }
  const network = state([other, WIFI])
  expect(linkNamed(network, 'wifi')).toBe(WIFI)
  expect(linkNamed(network, 'radio')).toBe(other)
  expect(linkNamed(network, 'eth0')).toBeUndefined()
})
