import { endianness } from 'node:os'
import { describe, expect, test } from 'vitest'
import {
  type ChangeReason,
  changesBetween,
  isUsable,
  type Link,
  LinkMonitor,
  type NetworkState,
  openLinkMonitor,
} from '../../lib/runtime/link-monitor.js'
import { native } from '../../lib/runtime/native.js'
import { decodeMessages, type NetlinkMessage } from '../../lib/wire/netlink.js'
import { pause, until } from '../support/native-addon.js'
import { acknowledge, done, type FakeKernel, fakeKernel, part } from '../support/netlink-kernel.js'
import { addon } from '../support/probes.js'
import { requires } from '../support/requires.js'
import { CAPTURED } from '../wire/rtnetlink.vectors.js'

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

const captured = (name: string) => decodeMessages(CAPTURED.find(one => one.name === name)!.bytes)[0]!
const LO = captured('a link in a dump')
const NO_CARRIER = captured('carrier lost')
const IPV4 = captured('an IPv4 address with a label')
const DEFAULT = captured('an IPv4 default route')

/** A kernel that dumps what is in `messages`, and the monitor of it. */
function monitored(messages: NetlinkMessage[], refuse?: () => number) {
  const dumped = new Map([
    [18, 16],
    [22, 20],
    [26, 24],
  ])
  const kernel = fakeKernel(request => {
    const errno = refuse?.() ?? 0
    if (errno !== 0) return [acknowledge(request, errno)]
    const mine = messages.filter(({ type }) => type === dumped.get(request.type))
    return [...mine.map(({ type, payload }) => part(request, payload, type)), done(request)]
  })
  return { kernel, messages, opened: openLinkMonitor({ open: kernel.open }) }
}

const ring = (kernel: FakeKernel) => kernel.connections[1]!.receiver.message(Uint8Array.of(0))
/** Three dumps are one reading. */
const readings = (kernel: FakeKernel) => kernel.requests.length / 3

const asCaptured = describe.runIf(endianness() === 'LE')

asCaptured('the monitor', () => {
  test('reads links, addresses and routes when it is opened', async () => {
    const { kernel, opened } = monitored([LO, NO_CARRIER, IPV4, DEFAULT])
    const { state } = await opened
    expect([...state.links.values()]).toMatchObject([
      { index: 1, name: 'lo', carrier: true, addresses: [] },
      { index: 3, name: 'wifi', carrier: false, addresses: [{ address: '10.1.0.2', prefixLength: 24 }] },
    ])
    expect(state.defaultRoutes).toEqual([ROUTE])
    expect(kernel.connections).toMatchObject([
      { protocol: 0, groups: undefined },
      { protocol: 0, groups: { bitmap: 0x551 } },
    ])
  })

  test('rung, reads again at once, and says what has changed', async () => {
    const { kernel, messages, opened } = monitored([LO, NO_CARRIER, IPV4])
    const monitor = await opened
    const changes: unknown[] = []
    monitor.on('change', (before, now, reasons) => changes.push([before.links.size, now.links.size, reasons]))
    await pause(5)
    messages.splice(1) // the interface has vanished
    ring(kernel)
    for (let i = 0; i < 30; i++) await Promise.resolve() // no timer has had its turn
    expect(changes).toEqual([
      [
        2,
        1,
        [
          { type: 'link-removed', ...about },
          { type: 'address-removed', ...onAddress },
        ],
      ],
    ])
    expect(monitor.state.links.size).toBe(1)
  })

  test('rung many times, reads once; rung while it reads, once more', async () => {
    const { kernel, opened } = monitored([LO])
    await opened
    await pause(5)
    for (let i = 0; i < 100; i++) ring(kernel)
    await pause(0)
    expect(readings(kernel)).toBe(2)
    for (let i = 0; i < 100; i++) ring(kernel)
    await pause(10)
    expect(readings(kernel)).toBe(3)
  })

  test('says nothing when nothing has changed', async () => {
    const { kernel, opened } = monitored([LO])
    const monitor = await opened
    const before = monitor.state
    monitor.on('change', () => expect.unreachable())
    ring(kernel)
    await pause(10)
    expect(readings(kernel)).toBe(2)
    expect(await monitor.refresh()).toBe(before)
  })

  test('an overrun is a ring', async () => {
    const { kernel, opened } = monitored([LO])
    await opened
    await pause(5)
    kernel.connections[1]!.receiver.overrun()
    await pause(0)
    expect(readings(kernel)).toBe(2)
  })

  test('an address of a link that is not known yet is left out', async () => {
    const { opened } = monitored([LO, IPV4])
    expect([...(await opened).state.links.values()]).toMatchObject([{ name: 'lo', addresses: [] }])
  })

  test('refresh resolves after the change', async () => {
    const { messages, opened } = monitored([LO])
    const monitor = await opened
    const order: string[] = []
    monitor.on('change', () => order.push('change'))
    messages.push(NO_CARRIER)
    await monitor.refresh().then(() => order.push('refreshed'))
    expect(order).toEqual(['change', 'refreshed'])
  })

  test('that cannot read says so, and keeps what it has', async () => {
    let errno = 0
    const { kernel, opened } = monitored([LO], () => errno)
    const monitor = await opened
    const errors: unknown[] = []
    monitor.on('error', error => errors.push(error))
    errno = 12
    ring(kernel)
    await pause(10)
    expect(errors).toMatchObject([{ code: 'ENOMEM', syscall: 'rtnetlink dump' }])
    expect(monitor.state.links.size).toBe(1)
    await expect(monitor.refresh()).rejects.toMatchObject({ code: 'ENOMEM' })
    // A ring is heard before the second attempt is due.
    errno = 0
    const before = readings(kernel)
    ring(kernel)
    await pause(10)
    expect(readings(kernel)).toBeGreaterThan(before)
    monitor.close()
  })

  test('that cannot read at all is not opened', async () => {
    const { kernel, opened } = monitored([LO], () => 1)
    await expect(opened).rejects.toMatchObject({ code: 'EPERM' })
    expect(kernel.connections.every(({ open }) => !open)).toBe(true)
  })

  test('closed, is silent', async () => {
    const { kernel, messages, opened } = monitored([LO])
    const monitor = await opened
    monitor.on('change', () => expect.unreachable()).on('error', () => expect.unreachable())
    messages.push(NO_CARRIER)
    ring(kernel)
    monitor.close()
    monitor.close()
    await pause(10)
    expect(kernel.connections.every(({ open }) => !open)).toBe(true)
  })
})

requires('the addon', addon)('this system has a loopback link, and needs no privilege to say so', async () => {
  const before = native().counts()
  const monitor = await openLinkMonitor()
  expect(monitor).toBeInstanceOf(LinkMonitor)
  const lo = () => [...monitor.state.links.values()].find(({ name }) => name === 'lo')
  await until(lo)
  expect(lo()).toMatchObject({ index: 1, mtu: expect.any(Number) })
  monitor.close()
  expect(native().counts()).toEqual(before)
})
