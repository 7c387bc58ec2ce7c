/** Mappings over two accesses: PCP servers that answer by the codec, links that come and go, and a clock moved by hand. */
import { EventEmitter } from 'node:events'
import { isIPv4 } from 'node:net'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { ExternalAddress, type ExternalAddressOptions } from '../../../lib/runtime/incoming/external-address.js'
import type { openTransport, Receiver } from '../../../lib/runtime/incoming/pcp-transport.js'
import type { Link, NetworkState } from '../../../lib/runtime/network/network-state.js'
import {
  decodePcpRequest,
  encodePcpError,
  encodePcpResponse,
  type MapOperation,
  type PcpRequest,
  RESULTS,
} from '../../../lib/wire/pcp/index.js'

/** The network: whoever sends reaches the server of the test; whoever hears announcements is noted. */
const network = vi.hoisted(() => ({
  sent: (_from: string, _to: { address: string; port: number }, _bytes: Uint8Array, _receive: Receiver) => {},
  open: new Set<string>(),
  hearing: [] as { interfaces: readonly { name: string; address: string | undefined }[]; open: boolean }[],
  announce: undefined as Receiver | undefined,
  failing: undefined as Error | undefined,
}))

vi.mock('../../../lib/runtime/incoming/pcp-transport.js', () => ({
  openTransport: vi.fn<typeof openTransport>((server, local, receive) => {
    if (network.failing) throw network.failing
    const name = `${local.interface} ${local.address} ${server.address}`
    network.open.add(name)
    return {
      send: bytes => network.sent(local.address, server, bytes, receive),
      close: () => void network.open.delete(name),
    }
  }),
  listenForAnnouncements: (interfaces: readonly { name: string; address: string | undefined }[], receive: Receiver) => {
    const each = { interfaces, open: true }
    network.hearing.push(each)
    network.announce = receive
    return {
      close: () => {
        each.open = false
      },
    }
  },
}))

const CONVERTER = '192.0.2.1'
const WIFI = link(3, 'wifi', '10.1.0.2')
const CELL = link(4, 'cell', '10.2.0.2')
const HOUR = 3_600_000

function link(index: number, name: string, ...addresses: string[]): Link {
  return {
    ...{ index, name, up: true, carrier: true, operstate: 'up', flags: 0x11043, mtu: 1500 },
    addresses: addresses.map(address => ({
      ...{ family: isIPv4(address) ? 4 : 6, address, prefixLength: 24, scope: 'global' },
      ...{ tentative: false, deprecated: false, label: undefined, flags: 0 },
    })),
  }
}

function state(links: Link[], routers: [index: number, gateway: string][] = []): NetworkState {
  return {
    links: new Map(links.map(each => [each.index, each])),
    defaultRoutes: routers.map(([interfaceIndex, gateway]) => ({
      ...{ family: isIPv4(gateway) ? 4 : 6, interfaceIndex, gateway, metric: 100, table: 254 },
    })),
  }
}

class Links extends EventEmitter {
  state: NetworkState
  constructor(first: NetworkState) {
    super()
    this.state = first
  }
  become(next: NetworkState): void {
    const before = this.state
    this.state = next
    this.emit('change', before, next, [])
  }
}

interface Asked {
  /** The address of ours. */
  from: string
  server: string
  request: PcpRequest
  map: MapOperation
}

class Rig {
  readonly asked: Asked[] = []
  readonly heard: unknown[][] = []
  readonly links: Links
  readonly external: ExternalAddress
  preferred: 'non-3gpp' | '3gpp' | undefined = 'non-3gpp'
  /** What a server assigns; `undefined`: it is silent; a number: it refuses. */
  assign: (asked: Asked) => { address: string; port: number } | number | undefined = ({ from }) => ({
    address: isIPv4(from) ? CONVERTER : '2001:db8:c::1',
    port: 20000,
  })
  /** Each server's, seconds. */
  epoch = 1000
  readonly #startedAt = performance.now()
  readonly #ways = new Map<string, (bytes: Uint8Array) => void>()

  constructor(first: NetworkState, change: Partial<ExternalAddressOptions> = {}) {
    network.sent = (from, to, bytes, receive) => {
      const request = decodePcpRequest(bytes)
      const asked = { from, server: to.address, request, map: request.operation as MapOperation }
      this.asked.push(asked)
      this.#ways.set(from, bytes => receive(bytes, to))
      const answer = this.#answer(asked, bytes)
      if (answer) setTimeout(() => receive(answer, to), 20)
    }
    this.links = new Links(first)
    this.external = new ExternalAddress({
      accesses: { '3gpp': { interface: 'cell' }, 'non-3gpp': { interface: 'wifi' } },
      links: this.links as unknown as ExternalAddressOptions['links'],
      servers: { configured: [], converters: [CONVERTER, '2001:db8:c::1'] },
      wish: {
        ...{ protocol: 6, internalPort: 8080, lifetime: 7200, required: false, filters: [] },
        external: { address: undefined, port: 8080 },
      },
      preferred: () => this.preferred,
      ...change,
    })
    const note = (each: { address: string; port: number }) => `${each.address} ${each.port}`
    this.external.on('made', (now, { access }) => this.heard.push(['made', note(now), access]))
    this.external.on('changed', (now, before) => this.heard.push(['changed', note(now), note(before)]))
    this.external.on('lost', (before, why) => this.heard.push(['lost', note(before), why]))
    this.external.on('problem', error => this.heard.push(['problem', (error as NodeJS.ErrnoException).code]))
    this.external.on('ignored', why => this.heard.push(['ignored', why]))
  }

  /** Our addresses that have asked, in their order, since then. */
  from(since = 0): string[] {
    return this.asked.slice(since).map(({ from }) => from)
  }

  /** The server tells one of our addresses, unasked, where its mapping is now. RFC 6887 §14.2. */
  update(from: string): void {
    const asked = this.asked.findLast(each => each.from === from)!
    this.#ways.get(from)!(this.#answer(asked, new Uint8Array(0))!)
  }

  get now(): number {
    return this.epoch + Math.floor((performance.now() - this.#startedAt) / 1000)
  }

  #answer(asked: Asked, bytes: Uint8Array): Uint8Array | undefined {
    const assigned = this.assign(asked)
    if (assigned === undefined) return undefined
    if (typeof assigned === 'number')
      return encodePcpError(bytes, { result: assigned, lifetime: 100, epoch: this.now, parsed: true })
    const operation = { ...asked.map, externalAddress: assigned.address, externalPort: assigned.port }
    const { lifetime, options } = asked.request
    return encodePcpResponse({ result: 0, lifetime, epoch: this.now, operation, options })
  }
}

const rigs: Rig[] = []
async function open(...args: ConstructorParameters<typeof Rig>): Promise<Rig> {
  const rig = new Rig(...args)
  rigs.push(rig)
  await pass(100)
  return rig
}

const pass = (milliseconds: number) => vi.advanceTimersByTimeAsync(milliseconds)

beforeEach(() => {
  vi.useFakeTimers()
  Object.assign(network, { hearing: [], announce: undefined, failing: undefined })
})
afterEach(async () => {
  const closed = rigs.splice(0).map(rig => rig.external.close())
  await pass(2_000)
  await Promise.all(closed)
  vi.useRealTimers()
  expect([...network.open]).toEqual([])
  expect(network.hearing.filter(each => each.open)).toEqual([])
})

test('one external address over two accesses: reported once; one nonce for the server, an internal address for each access', async () => {
  const rig = await open(state([WIFI, CELL]))
  expect(rig.heard).toEqual([['made', '192.0.2.1 20000', expect.any(String)]])
  expect(rig.external.externals).toEqual([{ address: CONVERTER, port: 20000 }])
  expect(rig.external.mappings.map(({ access, internal }) => [access, internal.address]).sort()).toEqual([
    ['3gpp', '10.2.0.2'],
    ['non-3gpp', '10.1.0.2'],
  ])
  const nonces = new Set(rig.asked.map(({ map }) => Buffer.from(map.nonce).toString('hex')))
  expect(nonces.size).toBe(1)
  expect([...nonces][0]).not.toBe('00'.repeat(12))
  for (const { from, request, map } of rig.asked) {
    expect(request.clientAddress).toBe(from)
    expect(map).toMatchObject({ protocol: 6, internalPort: 8080 })
  }
  expect([...network.open].sort()).toEqual(['cell 10.2.0.2 192.0.2.1', 'wifi 10.1.0.2 192.0.2.1'])
})

test('both families: each address asks the server of its family, with another nonce', async () => {
  const rig = await open(state([link(3, 'wifi', '10.1.0.2', '2001:db8:1::2'), CELL]))
  expect(rig.heard.map(([what, where]) => `${what} ${where}`).sort()).toEqual([
    'made 192.0.2.1 20000',
    'made 2001:db8:c::1 20000',
  ])
  const six = rig.asked.filter(({ from }) => from === '2001:db8:1::2')
  const four = rig.asked.filter(({ from }) => from !== '2001:db8:1::2')
  expect(new Set(six.map(({ server }) => server))).toEqual(new Set(['2001:db8:c::1']))
  expect(new Set(four.map(({ server }) => server))).toEqual(new Set([CONVERTER]))
  expect(Buffer.compare(six[0]!.map.nonce, four[0]!.map.nonce)).not.toBe(0)
})

test('an address that is wished for is suggested to servers of its family only', async () => {
  const external = { address: '192.0.2.9', port: 443 }
  const wish = { protocol: 6, internalPort: 8080, lifetime: 600, required: false, filters: [], external }
  const rig = await open(state([link(3, 'wifi', '10.1.0.2', '2001:db8:1::2')]), { wish })
  expect(rig.asked[0]!.map).toMatchObject({ externalAddress: '192.0.2.9', externalPort: 443 })
  const six = rig.asked.find(({ from }) => from === '2001:db8:1::2')!
  expect(six.map).toMatchObject({ externalAddress: '::', externalPort: 443 })
})

for (const preferred of ['3gpp', 'non-3gpp'] as const)
  test(`the address that asks last is that of the preferred access: ${preferred}`, async () => {
    const rig = new Rig(state([WIFI, CELL]))
    rigs.push(rig)
    rig.preferred = preferred
    await pass(200)
    expect(rig.from().at(-1)).toBe(preferred === '3gpp' ? '10.2.0.2' : '10.1.0.2')
    // And that is the end of it: they do not ask in turn for ever.
    const { length } = rig.asked
    expect(length).toBe(2)
    await pass(HOUR)
    expect(rig.asked).toHaveLength(length)
    await pass(HOUR)
    expect(rig.from().at(-1)).toBe(preferred === '3gpp' ? '10.2.0.2' : '10.1.0.2')
  })

test('the preferred access waits for the others no longer than 250 ms', async () => {
  const rig = new Rig(state([WIFI, CELL]))
  rigs.push(rig)
  rig.assign = ({ from }) => (from === '10.1.0.2' ? { address: CONVERTER, port: 20000 } : undefined)
  await pass(240)
  expect(rig.from()).toEqual(['10.2.0.2'])
  await pass(100)
  expect(rig.from()).toEqual(['10.2.0.2', '10.1.0.2'])
  expect(rig.heard).toEqual([['made', '192.0.2.1 20000', 'non-3gpp']])
})

test('and not at all for one that is refused, or alone', async () => {
  const rig = new Rig(state([WIFI, CELL]))
  rigs.push(rig)
  rig.assign = ({ from }) => (from === '10.1.0.2' ? { address: CONVERTER, port: 20000 } : RESULTS['user-ex-quota'])
  await pass(100)
  expect(rig.from()).toEqual(['10.2.0.2', '10.1.0.2'])
  const alone = await open(state([WIFI]))
  expect(alone.from()).toEqual(['10.1.0.2'])
})

test('no server is asked for the same twice within four seconds (RFC 6887 §11.2.1), whatever the accesses do', async () => {
  const rig = await open(state([WIFI, CELL]))
  const at = new Map<string, number>()
  const gaps: number[] = []
  const { assign } = rig
  rig.assign = asked => {
    const last = at.get(asked.from)
    if (last !== undefined) gaps.push(performance.now() - last)
    at.set(asked.from, performance.now())
    return assign(asked)
  }
  for (let i = 0; i < 40; i++) {
    rig.preferred = i % 2 === 0 ? '3gpp' : 'non-3gpp'
    rig.links.become(state([WIFI, { ...CELL, carrier: i % 3 !== 0 }]))
    await pass(700)
  }
  expect(gaps.length).toBeGreaterThan(2)
  expect(gaps.filter(gap => gap < 4_000)).toEqual([])
})

test('the preferred access is refused: it is not asked again when the others are renewed (§8.3)', async () => {
  const rig = new Rig(state([WIFI, CELL]))
  rigs.push(rig)
  rig.assign = ({ from }) => (from === '10.1.0.2' ? RESULTS['not-authorized'] : { address: CONVERTER, port: 20000 })
  await pass(5_000)
  rig.links.become(state([WIFI, { ...CELL, carrier: false }]))
  await pass(5_000)
  rig.links.become(state([WIFI, CELL]))
  await pass(89_000)
  expect(rig.from()).toEqual(['10.2.0.2', '10.1.0.2', '10.2.0.2'])
})

test('the preferred access loses its carrier: the other asks at once, without an event; when it is back, it asks last again', async () => {
  const rig = await open(state([WIFI, CELL]))
  await pass(5_000)
  let since = rig.asked.length
  rig.links.become(state([{ ...WIFI, carrier: false }, CELL]))
  await pass(100)
  expect(rig.from(since)).toEqual(['10.2.0.2'])
  expect(rig.external.mappings.find(({ access }) => access === 'non-3gpp')).toMatchObject({
    usable: false,
    external: { port: 20000 },
  })
  since = rig.asked.length
  rig.links.become(state([WIFI, CELL]))
  await pass(100)
  expect(rig.from(since).at(-1)).toBe('10.1.0.2')
  expect(rig.heard).toHaveLength(1)
})

test('the only address disappears: lost, not deleted; when it is back, its former external address is suggested', async () => {
  const rig = await open(state([WIFI]))
  rig.links.become(state([link(3, 'wifi')]))
  await pass(100)
  expect(rig.heard.at(-1)).toEqual(['lost', '192.0.2.1 20000', 'this host no longer has the address 10.1.0.2'])
  expect(rig.external.externals).toEqual([])
  expect(rig.asked.filter(({ request }) => request.lifetime === 0)).toEqual([])
  expect([...network.open]).toEqual([])
  rig.links.become(state([WIFI]))
  await pass(100)
  expect(rig.asked.at(-1)!.map).toMatchObject({ externalAddress: CONVERTER, externalPort: 20000 })
  expect(rig.heard.at(-1)).toEqual(['made', '192.0.2.1 20000', 'non-3gpp'])
})

test('one of two addresses disappears: peers still reach us, so there is no event', async () => {
  const rig = await open(state([WIFI, CELL]))
  rig.links.become(state([CELL]))
  await pass(100)
  expect(rig.heard).toHaveLength(1)
  expect(rig.external.mappings.map(({ access }) => access)).toEqual(['3gpp'])
})

test('another address on the same interface: the mapping moves with it', async () => {
  const rig = await open(state([WIFI]))
  rig.assign = () => ({ address: CONVERTER, port: 20001 })
  rig.links.become(state([link(3, 'wifi', '10.1.0.77')]))
  await pass(100)
  expect(rig.from().at(-1)).toBe('10.1.0.77')
  expect(rig.heard.slice(1)).toEqual([
    ['lost', '192.0.2.1 20000', 'this host no longer has the address 10.1.0.2'],
    ['made', '192.0.2.1 20001', 'non-3gpp'],
  ])
})

test('the server moves it at its renewal: changed', async () => {
  const rig = await open(state([WIFI]))
  rig.assign = () => ({ address: CONVERTER, port: 20005 })
  await pass(1.9 * HOUR)
  expect(rig.heard.slice(1)).toEqual([['changed', '192.0.2.1 20005', '192.0.2.1 20000']])
  expect(rig.external.externals).toEqual([{ address: CONVERTER, port: 20005 }])
})

test('the server moves it, and says so to each of our addresses (§14.2): changed, once', async () => {
  const rig = await open(state([WIFI, CELL]))
  await pass(HOUR / 2)
  rig.assign = () => ({ address: CONVERTER, port: 20005 })
  for (const _ of [1, 2, 3]) {
    rig.update('10.2.0.2')
    rig.update('10.1.0.2')
    await pass(500)
  }
  expect(rig.heard.slice(1)).toEqual([['changed', '192.0.2.1 20005', '192.0.2.1 20000']])
  expect(rig.external.mappings.map(({ external }) => external?.port)).toEqual([20005, 20005])
})

test('the server notifies only one of our addresses: the other asks, and there is no other event', async () => {
  const rig = await open(state([WIFI, CELL]))
  await pass(HOUR / 2)
  const since = rig.asked.length
  rig.assign = () => ({ address: CONVERTER, port: 20005 })
  rig.update('10.2.0.2')
  await pass(1_000)
  expect(rig.from(since)).toEqual(['10.1.0.2'])
  expect(rig.asked.at(-1)!.map).toMatchObject({ externalAddress: CONVERTER, externalPort: 20005 })
  expect(rig.heard.slice(1)).toEqual([['changed', '192.0.2.1 20005', '192.0.2.1 20000']])
})

test('what two servers have given the same name moves at one of them only', async () => {
  const routers: [number, string][] = [
    [3, '10.1.0.1'],
    [4, '10.2.0.1'],
  ]
  const servers = { configured: [], converters: [] }
  const rig = await open(state([WIFI, CELL], routers), { servers })
  await pass(HOUR / 2)
  rig.assign = () => ({ address: CONVERTER, port: 20005 })
  rig.update('10.2.0.2')
  await pass(1_000)
  expect(rig.external.externals.map(({ port }) => port).sort()).toEqual([20000, 20005])
  expect(rig.heard.slice(1)).toEqual([['made', '192.0.2.1 20005', '3gpp']])
})

test('a port is required: back, the address that there was is suggested, and given up when it is no more', async () => {
  const rig = await open(state([WIFI]), {
    wish: {
      ...{ protocol: 6, internalPort: 8080, lifetime: 7200, required: true, filters: [] },
      external: { address: undefined, port: 20000 },
    },
  })
  rig.links.become(state([link(3, 'wifi')]))
  await pass(5_000)
  rig.assign = ({ map }) =>
    map.externalAddress === CONVERTER ? RESULTS['cannot-provide-external'] : { address: '192.0.2.9', port: 20000 }
  const since = rig.asked.length
  rig.links.become(state([WIFI]))
  await pass(1_000)
  expect(rig.asked.slice(since).map(({ map }) => map.externalAddress)).toEqual([CONVERTER, '0.0.0.0'])
  expect(rig.heard.slice(-1)).toEqual([['made', '192.0.2.9 20000', 'non-3gpp']])
})

test('two routers as servers: a mapping from each, and the end of each is reported', async () => {
  const routers: [number, string][] = [
    [3, '10.1.0.1'],
    [4, '10.2.0.1'],
  ]
  const rig = new Rig(state([WIFI, CELL], routers), { servers: { configured: [], converters: [] } })
  rigs.push(rig)
  rig.assign = ({ server }) => ({ address: '192.0.2.1', port: server === '10.1.0.1' ? 20001 : 20002 })
  await pass(100)
  expect(rig.asked.map(({ from, server }) => `${from} ${server}`).sort()).toEqual(
    expect.arrayContaining(['10.1.0.2 10.1.0.1', '10.2.0.2 10.2.0.1']),
  )
  // Each server is asked by the addresses of its own interface only.
  expect(rig.asked.filter(({ from, server }) => from.slice(0, 4) !== server.slice(0, 4))).toEqual([])
  expect(rig.external.externals).toHaveLength(2)
  rig.links.become(state([CELL], routers.slice(1)))
  await pass(100)
  expect(rig.heard.at(-1)).toEqual(['lost', '192.0.2.1 20001', 'this host no longer has the address 10.1.0.2'])
  expect(rig.external.externals).toEqual([{ address: '192.0.2.1', port: 20002 }])
})

test('no server: reported once; and again if there was one in between', async () => {
  const rig = await open(state([WIFI]), { servers: { configured: [], converters: [] } })
  const code = 'ERR_PCP_NO_SERVER'
  expect(rig.heard).toEqual([['problem', code]])
  rig.links.become(state([WIFI, CELL]))
  await pass(100)
  expect(rig.heard).toEqual([['problem', code]])
  rig.links.become(state([WIFI, CELL], [[3, '10.1.0.1']]))
  await pass(100)
  expect(rig.heard.at(-1)![0]).toBe('made')
  rig.links.become(state([WIFI, CELL]))
  await pass(100)
  expect(rig.heard.slice(-2).map(([what]) => what)).toEqual(['lost', 'problem'])
})

test('no address at all is not a problem to report', async () => {
  const rig = await open(state([]))
  expect(rig.heard).toEqual([])
  rig.links.become(state([WIFI]))
  await pass(100)
  expect(rig.heard.map(([what]) => what)).toEqual(['made'])
})

test('a refusal is a problem; the other access’s mapping is there all the same', async () => {
  const rig = new Rig(state([WIFI, CELL]))
  rigs.push(rig)
  rig.assign = ({ from }) => (from === '10.1.0.2' ? RESULTS['not-authorized'] : { address: CONVERTER, port: 20000 })
  await pass(100)
  expect(rig.heard).toContainEqual(['problem', 'ERR_PCP_NOT_AUTHORIZED'])
  expect(rig.heard).toContainEqual(['made', '192.0.2.1 20000', '3gpp'])
  expect(rig.external.externals).toEqual([{ address: CONVERTER, port: 20000 }])
})

test('an interface that disappears while its socket is opened: a problem, and tried again when links change', async () => {
  network.failing = Object.assign(new Error('bind ENODEV'), { code: 'ENODEV' })
  const rig = await open(state([WIFI]))
  expect(rig.heard).toEqual([['problem', 'ENODEV']])
  network.failing = undefined
  rig.links.become(state([WIFI, link(9, 'other', '10.9.0.2')]))
  await pass(100)
  expect(rig.heard.at(-1)![0]).toBe('made')
})

test('a socket that could not be opened is opened a second later, though no link changes', async () => {
  network.failing = Object.assign(new Error('too many open files'), { code: 'EMFILE' })
  const rig = await open(state([WIFI]))
  await pass(3_000)
  // Reported once, however often it is tried.
  expect(rig.heard).toEqual([['problem', 'EMFILE']])
  network.failing = undefined
  await pass(1_100)
  expect(rig.heard.slice(1)).toEqual([['made', '192.0.2.1 20000', 'non-3gpp']])
})

test('a socket that could not be opened is not tried again after the end', async () => {
  network.failing = Object.assign(new Error('too many open files'), { code: 'EMFILE' })
  const rig = await open(state([WIFI]))
  await rig.external.close()
  network.failing = undefined
  await pass(5_000)
  expect(network.open).toEqual(new Set())
  expect(rig.heard).toEqual([['problem', 'EMFILE']])
})

test('a restart counts only if the server itself announces it; then all mappings are requested again', async () => {
  const rig = await open(state([WIFI, CELL]))
  await pass(60_000)
  const since = rig.asked.length
  const operation = { type: 'announce' as const }
  const restarted = encodePcpResponse({ result: 0, lifetime: 0, epoch: 0, operation, options: [] })
  network.announce!(restarted, { address: '192.0.2.66', port: 5351 })
  await pass(6_000)
  expect(rig.asked).toHaveLength(since)
  rig.epoch = -60
  network.announce!(restarted, { address: CONVERTER, port: 5351 })
  await pass(6_000)
  expect(new Set(rig.from(since))).toEqual(new Set(['10.1.0.2', '10.2.0.2']))
  expect(rig.heard).toHaveLength(1)
})

test('announcements are received on the existing interfaces', async () => {
  const rig = await open(state([WIFI]))
  expect(network.hearing.at(-1)!.interfaces).toEqual([{ name: 'wifi', address: '10.1.0.2' }])
  const { length } = network.hearing
  rig.links.become(state([{ ...WIFI, mtu: 1400 }]))
  expect(network.hearing).toHaveLength(length)
  rig.links.become(state([WIFI, CELL]))
  expect(network.hearing.filter(each => each.open).map(({ interfaces }) => interfaces.map(({ name }) => name))).toEqual(
    [['cell', 'wifi']],
  )
})

test('this host was suspended: each mapping is requested again, though its renewal is not due', async () => {
  const rig = await open(state([WIFI, CELL]))
  await pass(5_000)
  const since = rig.asked.length
  // While its clock stood still, the server's went on.
  rig.epoch += 10 * 3_600
  rig.assign = () => ({ address: CONVERTER, port: 20001 })
  rig.external.requestAgain()
  await pass(200)
  expect(rig.from(since).sort()).toEqual(['10.1.0.2', '10.2.0.2'])
  expect(rig.heard.at(-1)).toEqual(['changed', '192.0.2.1 20001', '192.0.2.1 20000'])
  await pass(60_000)
  // An epoch that jumps is a restart (RFC 6887 §8.5): each once more, and then in peace.
  expect(rig.asked.length - since).toBeLessThanOrEqual(6)
})

test('closed: deleted over each access, and links that change are no longer looked at', async () => {
  const rig = await open(state([WIFI, CELL]))
  const since = rig.asked.length
  const closed = rig.external.close()
  rig.links.become(state([WIFI]))
  await pass(100)
  await closed
  const deletions = rig.asked.slice(since)
  expect(deletions.map(({ from }) => from).sort()).toEqual(['10.1.0.2', '10.2.0.2'])
  for (const { request } of deletions) expect(request.lifetime).toBe(0)
  expect(rig.links.listenerCount('change')).toBe(0)
})

test('closed while a server is silent: within a second', async () => {
  const rig = await open(state([WIFI]))
  rig.assign = () => undefined
  let done = false
  void rig.external.close().then(() => (done = true))
  await pass(900)
  expect(done).toBe(false)
  await pass(200)
  expect(done).toBe(true)
})
