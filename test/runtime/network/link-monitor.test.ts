import { endianness } from 'node:os'
import { describe, expect, test } from 'vitest'
import { native } from '../../../lib/runtime/kernel/native.js'
import { LinkMonitor, openLinkMonitor } from '../../../lib/runtime/network/link-monitor.js'
import { decodeMessages, type NetlinkMessage } from '../../../lib/wire/netlink/message.js'
import { pause, until } from '../../support/native-addon.js'
import { acknowledge, done, type FakeKernel, fakeKernel, part } from '../../support/netlink-kernel.js'
import { addon } from '../../support/probes.js'
import { requires } from '../../support/requires.js'
import { uncaughtIn } from '../../support/uncaught.js'
import { CAPTURED } from '../../wire/netlink/route.vectors.js'

const about = { interface: 'wifi', index: 3 }
const onAddress = { ...about, address: '10.1.0.2' }
const ROUTE = { family: 4, interfaceIndex: 3, gateway: '10.1.0.1', metric: 100, table: 254 }

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
const dumps = (kernel: FakeKernel, wanted: number) => kernel.requests.filter(({ type }) => type === wanted).length
/** Routes are read with everything else. */
const readings = (kernel: FakeKernel) => dumps(kernel, 26)
/** Links also by themselves. */
const looks = (kernel: FakeKernel) => dumps(kernel, 18)

const asCaptured = describe.runIf(endianness() === 'LE')

/** A dump that ends with NLM_F_DUMP_INTR, errno 0. */
const interrupted = (request: NetlinkMessage) => done(request, 0, 0x12)

asCaptured('a flood of interfaces, in which every dump is interrupted', () => {
  function flooded() {
    let isFlooded = false
    const kernel = fakeKernel(request => [
      ...(request.type === 18 ? [part(request, NO_CARRIER.payload, 16)] : []),
      isFlooded ? interrupted(request) : done(request),
    ])
    const flood = (on: boolean) => {
      isFlooded = on
    }
    return { kernel, opened: openLinkMonitor({ open: kernel.open }), flood }
  }

  test('is no error; what is known stays, and is read again by itself', async () => {
    const { kernel, opened, flood } = flooded()
    const monitor = await opened
    const errors: Error[] = []
    monitor.on('error', error => errors.push(error))
    flood(true)
    ring(kernel)
    await pause(1500)
    expect(monitor.state.links.size).toBe(1)
    const before = readings(kernel)
    flood(false)
    await until(() => readings(kernel) > before)
    await pause(100)
    const after = readings(kernel)
    await pause(300)
    expect(readings(kernel)).toBe(after)
    expect(errors).toEqual([])
    monitor.close()
  })

  test('does not keep a monitor from being opened', async () => {
    const { opened, flood } = flooded()
    flood(true)
    setTimeout(flood, 600, false)
    const monitor = await opened
    expect(monitor.state.links.size).toBe(1)
    monitor.close()
  })
})

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

  test('after a message, reads again at once, and reports what has changed', async () => {
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

  test('reports nothing if nothing has changed', async () => {
    const { kernel, opened } = monitored([LO])
    const monitor = await opened
    const before = monitor.state
    monitor.on('change', () => expect.unreachable())
    ring(kernel)
    await pause(10)
    expect(readings(kernel)).toBe(2)
    expect(await monitor.refresh()).toBe(before)
  })

  test('after a carrier change the links are polled for a second', async () => {
    const { kernel, messages, opened } = monitored([LO, NO_CARRIER])
    const monitor = await opened
    const heard: string[] = []
    monitor.on('change', (_before, _now, reasons) => heard.push(...reasons.map(({ type }) => type)))
    const carrier = { ...NO_CARRIER, payload: NO_CARRIER.payload.slice() }
    const at = Buffer.from(carrier.payload).indexOf(Buffer.from('0500210000', 'hex')) // IFLA_CARRIER
    carrier.payload[at + 4] = 1
    messages[1] = carrier
    ring(kernel)
    await pause(20)
    messages[1] = NO_CARRIER // nobody rings
    await pause(50)
    expect(heard).toEqual(['carrier-gained', 'carrier-lost'])
    expect(readings(kernel)).toBe(3)
    await pause(1200)
    const quiet = looks(kernel)
    expect(quiet).toBeGreaterThan(20)
    await pause(50)
    expect(looks(kernel)).toBe(quiet)
  })

  test('or for as long as it is told to', async () => {
    const { kernel, messages, opened } = monitored([LO, NO_CARRIER])
    const monitor = await opened
    const heard: string[] = []
    monitor.on('change', (_before, _now, reasons) => heard.push(...reasons.map(({ type }) => type)))
    monitor.watch(5)
    await pause(100)
    expect(looks(kernel)).toBeGreaterThan(3)
    expect(readings(kernel)).toBe(1)
    messages.pop()
    await pause(50)
    expect(heard).toEqual(['link-removed'])
    monitor.watch(Number.POSITIVE_INFINITY)
    const before = looks(kernel)
    await pause(50)
    expect(looks(kernel)).toBeLessThanOrEqual(before + 1)
  })

  test('at some of them only: the kernel is asked for each, and for nothing more', async () => {
    const { kernel, messages, opened } = monitored([LO, NO_CARRIER])
    const monitor = await opened
    const heard: string[] = []
    monitor.on('change', (_before, _now, reasons) => heard.push(...reasons.map(({ type }) => type)))
    kernel.requests.length = 0
    monitor.watch(5, ['wifi', 'none such'])
    await pause(100)
    expect(kernel.requests.length).toBeGreaterThan(3)
    for (const { type, flags, payload } of kernel.requests) {
      expect([type, flags]).toEqual([18, 0x1]) // RTM_GETLINK, NLM_F_REQUEST: no dump
      expect(new DataView(payload.buffer, payload.byteOffset).getInt32(4, true)).toBe(3)
    }
    expect(kernel.connections[2]).toMatchObject({ groups: { onlyAnswers: true } })
    messages.pop() // the kernel answers for others only
    await pause(50)
    expect(heard).toEqual(['link-removed'])
    monitor.close()
    expect(kernel.connections.every(({ open }) => !open)).toBe(true)
  })

  test('an answer that cannot be read is no answer: the links are read with everything else', async () => {
    const { kernel, opened } = monitored([LO, NO_CARRIER])
    const monitor = await opened
    monitor.watch(5, ['wifi'])
    await pause(20)
    const poll = kernel.connections[2]!
    const before = readings(kernel)
    kernel.cutOff = true
    await pause(30)
    expect(readings(kernel)).toBeGreaterThan(before)
    kernel.cutOff = false
    expect(poll.open).toBe(true)
    monitor.close()
  })

  test('what a listener throws is its own: the state is up to date, and the next change is reported', async () => {
    const { kernel, messages, opened } = monitored([LO])
    const monitor = await opened
    let changes = 0
    monitor.on('change', () => {
      changes++
      throw new Error('thrown by a listener')
    })
    const thrown = await uncaughtIn(async () => {
      messages.push(NO_CARRIER)
      await monitor.refresh()
      messages.pop()
      ring(kernel)
      await pause(10)
    })
    expect(thrown).toEqual(Array(2).fill({ origin: 'uncaughtException', message: 'thrown by a listener' }))
    expect(changes).toBe(2)
    expect(monitor.state.links.size).toBe(1)
    monitor.close()
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

  test('that cannot read reports it, and keeps the last state', async () => {
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
