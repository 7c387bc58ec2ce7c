/** A PCP client against servers that are slow, silent, restart, lie, refuse; on a clock that is moved by hand. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { PcpClient } from '../../../lib/runtime/incoming/pcp-client.js'
import { meaningOf } from '../../../lib/runtime/incoming/pcp-error.js'
import type { External, MappingWish } from '../../../lib/runtime/incoming/pcp-mapping.js'
import type { Receiver } from '../../../lib/runtime/incoming/pcp-transport.js'
import {
  decodePcpRequest,
  encodePcpError,
  encodePcpRequest,
  encodePcpResponse,
  type MapOperation,
  type PcpRequest,
  RESULTS,
} from '../../../lib/wire/pcp/index.js'
import { hex } from '../../support/hex.js'
import { seeded } from '../../support/random.js'

const SERVER = { address: '192.0.2.1', port: 5351 }
const OURS = '10.1.0.2'
const HOUR = 3_600_000
const WISH: MappingWish = {
  protocol: 6,
  internalPort: 8080,
  nonce: hex('01 23 45 67 89 ab cd ef 10 32 54 76'),
  lifetime: 7200,
  external: { address: undefined, port: 0 },
  former: undefined,
  required: false,
  filters: [],
}

beforeEach(
  () =>
    void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'] }),
)
afterEach(() => void vi.useRealTimers())

/** A server as a function of the request; and a client of it. */
class Rig {
  readonly requests: { at: number; bytes: Uint8Array; request: PcpRequest }[] = []
  readonly heard: unknown[][] = []
  readonly client: PcpClient
  receive!: Receiver
  closed = false
  /** Seconds since the server's start. */
  startedAt = performance.now() - 1_000_000
  answer: (request: PcpRequest, bytes: Uint8Array) => Uint8Array | undefined
  delay = 20

  constructor(answer: Rig['answer'] = request => this.grant(request)) {
    this.answer = answer
    this.client = new PcpClient({
      server: SERVER,
      clientAddress: OURS,
      random: () => 0.5,
      open: receive => {
        this.receive = receive
        return { send: bytes => this.#asked(bytes), close: () => this.#close() }
      },
    })
    this.client.on('restarted', () => this.heard.push(['restarted']))
    this.client.on('ignored', why => this.heard.push(['ignored', why]))
  }

  map(change: Partial<MappingWish> = {}) {
    const mapping = this.client.map({ ...WISH, ...change })
    const note = (external: External) => `${external.address}:${external.port}`
    mapping.on('made', external => this.heard.push(['made', note(external)]))
    mapping.on('changed', (external, before) => this.heard.push(['changed', note(external), note(before)]))
    mapping.on('lost', (before, why) => this.heard.push(['lost', note(before), why]))
    mapping.on('refused', ({ code, retryAfter }) => this.heard.push(['refused', code, retryAfter]))
    return mapping
  }

  get epoch(): number {
    return Math.floor((performance.now() - this.startedAt) / 1000)
  }

  /** What is deleted has no lifetime, and the external address of the request (§15.1). */
  grant({ operation, options, ...asked }: PcpRequest, change: Partial<MapOperation> = {}, most = 7200): Uint8Array {
    const isDeletion = asked.lifetime === 0
    const lifetime = isDeletion && most === 7200 ? 0 : most
    const assigned = isDeletion ? {} : { externalAddress: '192.0.2.1', externalPort: 20000 }
    const granted = { ...(operation as MapOperation), ...assigned, ...change }
    return encodePcpResponse({ result: 0, lifetime, epoch: this.epoch, operation: granted, options })
  }

  refuse(bytes: Uint8Array, result: number, lifetime: number): Uint8Array {
    return encodePcpError(bytes, { result, lifetime, epoch: this.epoch, parsed: true })
  }

  announce(epoch = this.epoch, from = SERVER): void {
    const operation = { type: 'announce' as const }
    this.receive(encodePcpResponse({ result: 0, lifetime: 0, epoch, operation, options: [] }), from)
  }

  get times(): number[] {
    return this.requests.map(({ at }) => at)
  }

  #close(): void {
    this.closed = true
  }

  #asked(bytes: Uint8Array): void {
    const request = decodePcpRequest(bytes)
    this.requests.push({ at: performance.now(), bytes, request })
    const answer = this.answer(request, bytes)
    if (answer) setTimeout(() => this.receive(answer, SERVER), this.delay)
  }
}

const pass = (milliseconds: number) => vi.advanceTimersByTimeAsync(milliseconds)

describe('a server that does as it should', () => {
  test('the request, the mapping, and its renewal with what was assigned', async () => {
    const rig = new Rig()
    const mapping = rig.map()
    await pass(100)
    expect(rig.heard).toEqual([['made', '192.0.2.1:20000']])
    expect(mapping.external).toEqual({ address: '192.0.2.1', port: 20000 })
    expect(rig.requests[0]!.request).toMatchObject({
      lifetime: 7200,
      clientAddress: OURS,
      operation: { type: 'map', protocol: 6, internalPort: 8080, externalPort: 0, externalAddress: '0.0.0.0' },
      options: [],
    })
    await pass(2 * 24 * HOUR)
    // 9/16 of two hours each.
    expect(rig.requests).toHaveLength(1 + Math.floor((48 * HOUR) / (1.125 * HOUR)))
    for (const { request } of rig.requests.slice(1))
      expect(request.operation).toMatchObject({ externalPort: 20000, externalAddress: '192.0.2.1', nonce: WISH.nonce })
    expect(rig.heard).toHaveLength(1)
  })

  test('a filter is sent each time as the only one; a port that is required, with PREFER_FAILURE', async () => {
    const rig: Rig = new Rig(request => rig.grant(request, { externalPort: 443 }))
    rig.map({
      filters: [
        { address: '198.51.100.0', prefixLength: 24 },
        { address: '2001:db8::1', port: 80 },
      ],
      external: { address: '192.0.2.1', port: 443 },
      required: true,
    })
    await pass(2 * HOUR)
    expect(rig.requests).toHaveLength(2)
    for (const { request } of rig.requests)
      expect(request.options).toEqual([
        { type: 'prefer-failure' },
        { type: 'clear-filters' },
        { type: 'filter', address: '198.51.100.0', prefixLength: 24, port: 0 },
        { type: 'filter', address: '2001:db8::1', prefixLength: 128, port: 80 },
      ])
  })

  test('gets deletions with the same nonce, again after 300 ms, for a second at most', async () => {
    const rig = new Rig()
    rig.map()
    await pass(100)
    rig.requests.length = 0
    rig.answer = () => undefined
    const closing = rig.client.close()
    await pass(700)
    expect(rig.requests.map(({ request: { lifetime, operation } }) => ({ lifetime, ...operation }))).toEqual(
      Array.from({ length: 3 }, () => ({
        ...{ type: 'map', lifetime: 0, nonce: WISH.nonce, protocol: 6, internalPort: 8080 },
        ...{ externalPort: 0, externalAddress: '0.0.0.0' },
      })),
    )
    expect(rig.closed).toBe(false)
    await pass(300)
    await closing
    expect(rig.closed).toBe(true)
    await pass(24 * HOUR)
    expect(rig.requests).toHaveLength(4)
  })

  test('answers a request to map while one to delete is lost: that is sent again', async () => {
    const rig: Rig = new Rig(request => (request.lifetime === 0 ? undefined : rig.grant(request)))
    rig.map()
    await pass(10)
    const closing = rig.client.close()
    await pass(500)
    // The answer to the first request came 20 ms after it; to the deletion there was none.
    expect(rig.requests.map(({ request }) => request.lifetime)).toEqual([7200, 0, 0])
    expect(rig.closed).toBe(false)
    await pass(500)
    await closing
  })

  test.each([
    ['gone', {}, 0],
    ['gone, under its external port', { externalPort: 20000 }, 0],
    ['there until traffic has ceased (§15)', { externalPort: 0 }, 90],
  ])('answers the deletion: it is %s', async (_, change, lifetime) => {
    const rig: Rig = new Rig()
    rig.map()
    await pass(100)
    rig.answer = request => rig.grant(request, { externalPort: 0, ...change }, lifetime)
    await Promise.all([rig.client.close(), pass(100)])
    expect(rig.requests).toHaveLength(2)
    expect(rig.closed).toBe(true)
  })

  test('answers the deletion: closed at once', async () => {
    const rig = new Rig()
    rig.map()
    rig.map({ internalPort: 8081 })
    await pass(100)
    const before = performance.now()
    await Promise.all([rig.client.close(), pass(1000)])
    expect(rig.closed).toBe(true)
    expect(rig.requests).toHaveLength(4)
    expect(performance.now()).toBeGreaterThanOrEqual(before)
  })
})

describe('a server that is silent, or slow', () => {
  test('requests after 3, 6, 12 … seconds, up to 1024; reported after the second retransmission', async () => {
    const rig: Rig = new Rig(() => undefined)
    const start = performance.now()
    rig.map()
    await pass(24 * HOUR)
    expect(rig.times.slice(0, 6).map(at => at - start)).toEqual([0, 3_000, 9_000, 21_000, 45_000, 93_000])
    expect(rig.times.at(-1)! - rig.times.at(-2)!).toBe(1_024_000)
    expect(rig.heard).toEqual([['refused', 'ERR_PCP_TIMEOUT', undefined]])
    // §8.1.1: "The retransmissions MUST use the same Mapping Nonce value".
    expect(new Set(rig.requests.map(({ bytes }) => Buffer.from(bytes).toString('hex'))).size).toBe(1)
  })

  test('answers after the request was repeated, twice: one mapping', async () => {
    const rig = new Rig()
    rig.delay = 4_000
    rig.map()
    await pass(20_000)
    expect(rig.requests).toHaveLength(2)
    expect(rig.heard).toEqual([['made', '192.0.2.1:20000']])
  })

  test('falls silent: the mapping is lost at its end, and made again when it speaks', async () => {
    const rig = new Rig()
    const mapping = rig.map()
    await pass(100)
    rig.answer = () => undefined
    await pass(7_200_000)
    expect(mapping.external).toBeUndefined()
    expect(rig.heard.map(([what]) => what)).toEqual(['made', 'refused', 'lost'])
    rig.answer = request => rig.grant(request)
    await pass(30_000)
    expect(rig.heard.map(([what]) => what)).toEqual(['made', 'refused', 'lost', 'made'])
  })
})

describe('a server that was not there', () => {
  test('announces itself: asked within 5 seconds, and not after the 17 minutes of patience', async () => {
    const rig: Rig = new Rig(() => undefined)
    const mapping = rig.map()
    await pass(HOUR)
    rig.requests.length = 0
    rig.answer = request => rig.grant(request)
    rig.startedAt = performance.now()
    rig.announce()
    await pass(2_600)
    expect(rig.requests).toHaveLength(1)
    expect(mapping.external).toBeDefined()
    rig.announce()
    await pass(10_000)
    expect(rig.requests).toHaveLength(1)
  })
})

describe('a server that restarts', () => {
  test('announces it: mappings are requested again within 5 seconds, with their former addresses', async () => {
    const rig = new Rig()
    rig.map()
    rig.map({ internalPort: 8081, nonce: new Uint8Array(12) })
    await pass(100)
    await pass(60_000)
    rig.requests.length = 0
    rig.startedAt = performance.now()
    rig.announce()
    expect(rig.heard.at(-1)).toEqual(['restarted'])
    await pass(2_499)
    expect(rig.requests).toHaveLength(0)
    await pass(1)
    expect(rig.requests.map(({ request }) => request.operation)).toMatchObject([
      { internalPort: 8080, externalPort: 20000, externalAddress: '192.0.2.1' },
      { internalPort: 8081, externalPort: 20000, externalAddress: '192.0.2.1' },
    ])
    // Announced up to ten times (§14.1.3): one restart.
    rig.announce()
    await pass(60_000)
    expect(rig.requests).toHaveLength(2)
  })

  test('an announcement with the epoch that it should have changes nothing', async () => {
    const rig = new Rig()
    rig.map()
    await pass(60_000)
    rig.announce()
    await pass(60_000)
    expect(rig.requests).toHaveLength(1)
  })

  test('is found out by an answer about another mapping', async () => {
    const rig = new Rig()
    rig.map()
    await pass(60_000)
    rig.startedAt = performance.now()
    rig.map({ internalPort: 8081 })
    await pass(100)
    expect(rig.heard.at(-1)).toEqual(['made', '192.0.2.1:20000'])
    expect(rig.requests.map(({ request }) => (request.operation as MapOperation).internalPort)).toEqual([
      8080, 8081, 8080,
    ])
  })

  test('comes back with another address: the mapping has moved', async () => {
    const rig = new Rig()
    rig.map()
    await pass(60_000)
    rig.startedAt = performance.now()
    rig.answer = request => rig.grant(request, { externalAddress: '192.0.2.9', externalPort: 30000 })
    rig.announce()
    await pass(10_000)
    expect(rig.heard.at(-1)).toEqual(['changed', '192.0.2.9:30000', '192.0.2.1:20000'])
  })
})

describe('a server that updates a mapping without being asked (§14.2)', () => {
  test('another port', async () => {
    const rig = new Rig()
    rig.map()
    await pass(1000)
    rig.receive(rig.grant(rig.requests[0]!.request, { externalPort: 20007 }), SERVER)
    expect(rig.heard.at(-1)).toEqual(['changed', '192.0.2.1:20007', '192.0.2.1:20000'])
  })

  test('its lifetime counts from then on; three notifications are one change', async () => {
    const rig = new Rig()
    const mapping = rig.map()
    await pass(HOUR)
    for (const wait of [250, 500, 0]) {
      rig.receive(rig.grant(rig.requests[0]!.request, { externalPort: 20007 }, 120), SERVER)
      await pass(wait)
    }
    expect(rig.heard.slice(1)).toEqual([['changed', '192.0.2.1:20007', '192.0.2.1:20000']])
    rig.answer = request => rig.grant(request, { externalPort: 20007 })
    await pass(75_000)
    expect(rig.requests.slice(1).map(({ request }) => request.operation)).toMatchObject([{ externalPort: 20007 }])
    expect(mapping.external).toEqual({ address: '192.0.2.1', port: 20007 })
  })

  test('it has ended', async () => {
    const rig = new Rig()
    rig.map()
    await pass(1000)
    rig.receive(rig.grant(rig.requests[0]!.request, {}, 0), SERVER)
    expect(rig.heard.at(-1)).toEqual(['lost', '192.0.2.1:20000', 'the server has deleted it'])
  })

  test('renumbered, with a reset epoch (§8.5): accepted after a request confirms it', async () => {
    const rig = new Rig()
    rig.map()
    await pass(60_000)
    rig.startedAt = performance.now()
    rig.answer = request => rig.grant(request, { externalAddress: '192.0.2.9' })
    rig.receive(rig.grant(rig.requests[0]!.request, { externalAddress: '192.0.2.9' }), SERVER)
    await pass(100)
    expect(rig.requests).toHaveLength(2)
    expect(rig.heard.at(-1)).toEqual(['changed', '192.0.2.9:20000', '192.0.2.1:20000'])
  })

  const forged: [string, (rig: Rig, request: PcpRequest) => void][] = [
    ['another nonce', (rig, request) => rig.receive(moved(rig, request, { nonce: new Uint8Array(12) }), SERVER)],
    ['another protocol', (rig, request) => rig.receive(moved(rig, request, { protocol: 17 }), SERVER)],
    ['another internal port', (rig, request) => rig.receive(moved(rig, request, { internalPort: 81 }), SERVER)],
    ['another server', (rig, request) => rig.receive(moved(rig, request), { ...SERVER, address: '192.0.2.2' })],
    ["another port of the server's", (rig, request) => rig.receive(moved(rig, request), { ...SERVER, port: 5352 })],
    ['a PEER', (rig, request) => rig.receive(peerAnswer(rig, request), SERVER)],
  ]

  test.each(forged)('or %s: ignored', async (_, forge) => {
    const rig = new Rig()
    const mapping = rig.map()
    await pass(1000)
    forge(rig, rig.requests[0]!.request)
    await pass(10_000)
    expect(mapping.external).toEqual({ address: '192.0.2.1', port: 20000 })
    expect(rig.heard.slice(1)).toEqual([['ignored', expect.any(String)]])
    expect(rig.requests).toHaveLength(1)
  })

  test('an earlier answer sent again, epoch and all, is not believed; the server is asked', async () => {
    const rig = new Rig()
    const mapping = rig.map()
    await pass(1000)
    const first = rig.grant(rig.requests[0]!.request)
    await pass(60_000)
    rig.answer = request => rig.grant(request, { externalPort: 20007 })
    rig.receive(moved(rig, rig.requests[0]!.request), SERVER)
    await pass(60_000)
    for (let i = 0; i < 3; i++) rig.receive(first, SERVER)
    await pass(20)
    expect(mapping.external).toEqual({ address: '192.0.2.1', port: 20007 })
    expect(rig.requests).toHaveLength(2)
    await pass(60_000)
    expect(mapping.external).toEqual({ address: '192.0.2.1', port: 20007 })
    expect(rig.heard.filter(([what]) => what === 'changed')).toHaveLength(1)
  })

  test('an earlier answer that was overtaken is ignored, without a request', async () => {
    const rig = new Rig()
    const mapping = rig.map()
    await pass(60_000)
    const held = rig.grant(rig.requests[0]!.request)
    await pass(1_000)
    rig.receive(moved(rig, rig.requests[0]!.request), SERVER)
    rig.receive(held, SERVER)
    await pass(10_000)
    expect(mapping.external).toEqual({ address: '192.0.2.1', port: 20007 })
    expect(rig.requests).toHaveLength(1)
  })

  test('no longer authorized', async () => {
    const rig = new Rig()
    rig.map()
    await pass(1000)
    rig.receive(rig.refuse(rig.requests[0]!.bytes, RESULTS['not-authorized'], 600), SERVER)
    expect(rig.heard.slice(1).map(([what]) => what)).toEqual(['lost', 'refused'])
    await pass(599_000)
    expect(rig.requests).toHaveLength(1)
    await pass(2_000)
    expect(rig.requests).toHaveLength(2)
  })
})

describe('false answers are ignored', () => {
  const lies: [string, (rig: Rig, request: PcpRequest, bytes: Uint8Array) => void][] = [
    ['another address', (rig, request) => rig.receive(rig.grant(request), { ...SERVER, address: '192.0.2.2' })],
    ['another port', (rig, request) => rig.receive(rig.grant(request), { ...SERVER, port: 5352 })],
    ['another nonce', (rig, request) => rig.receive(rig.grant(request, { nonce: new Uint8Array(12) }), SERVER)],
    ['another protocol', (rig, request) => rig.receive(rig.grant(request, { protocol: 17 }), SERVER)],
    ['another internal port', (rig, request) => rig.receive(rig.grant(request, { internalPort: 81 }), SERVER)],
    ['a PEER', (rig, request) => rig.receive(peerAnswer(rig, request), SERVER)],
    ['the external port 0', (rig, request) => rig.receive(rig.grant(request, { externalPort: 0 }), SERVER)],
    ['no address', (rig, request) => rig.receive(rig.grant(request, { externalAddress: '0.0.0.0' }), SERVER)],
    ['no IPv6 address', (rig, request) => rig.receive(rig.grant(request, { externalAddress: '::' }), SERVER)],
    ['an opcode that was not asked', (rig, request) => rig.receive(changed(rig.grant(request), 1, 0x85), SERVER)],
    ['a request', (rig, _, bytes) => rig.receive(bytes, SERVER)],
    ['another version', (rig, request) => rig.receive(changed(rig.grant(request), 0, 1), SERVER)],
    ['bytes cut short', (rig, request) => rig.receive(rig.grant(request).subarray(0, 40), SERVER)],
    ['nothing', rig => rig.receive(new Uint8Array(0), SERVER)],
    ['a restart, from elsewhere', rig => rig.announce(0, { address: '192.0.2.2', port: 5351 })],
  ]

  test.each(lies)('%s', async (_, lie) => {
    const rig: Rig = new Rig((request, bytes) => void lie(rig, request, bytes))
    const mapping = rig.map()
    await pass(1000)
    expect(mapping.external).toBeUndefined()
    expect(rig.heard).toEqual([['ignored', expect.any(String)]])
    // And the truth is heard after it.
    rig.answer = request => rig.grant(request)
    await pass(5_000)
    expect(mapping.external).toEqual({ address: '192.0.2.1', port: 20000 })
  })

  test.each([
    ['the port', { address: undefined, port: 443 }, false],
    ['the address', { address: '192.0.2.9', port: 20000 }, false],
    ['neither', { address: '192.0.2.1', port: 20000 }, true],
    ['neither, of any address', { address: undefined, port: 20000 }, true],
  ])('a success that is not what was required (§13.2): %s is another', async (_, external, isBelieved) => {
    const rig = new Rig()
    const mapping = rig.map({ external, required: true })
    await pass(1000)
    expect(mapping.external !== undefined).toBe(isBelieved)
    expect(rig.heard.map(([what]) => what)).toEqual([isBelieved ? 'made' : 'ignored'])
  })

  test('an announcement that is an error (§14.1.3)', async () => {
    const rig = new Rig()
    rig.map()
    await pass(60_000)
    rig.startedAt = performance.now()
    const operation = { type: 'announce' as const }
    rig.receive(encodePcpResponse({ result: 3, lifetime: 0, epoch: 0, operation, options: [] }), SERVER)
    await pass(60_000)
    expect(rig.requests).toHaveLength(1)
  })

  test('UNSUPP_VERSION when nothing was asked', async () => {
    const rig = new Rig()
    const mapping = rig.map()
    await pass(1000)
    rig.receive(hex('00 81 00 01 00 00 00 00'), SERVER)
    expect(mapping.external).toBeDefined()
    expect(rig.heard.at(-1)![0]).toBe('ignored')
  })
})

test('a flood of forged answers and announcements, for hours: the mapping is renewed in time, and the server is asked every few seconds at most', async () => {
  const rig = new Rig()
  const mapping = rig.map()
  await pass(1_000)
  const { request } = rig.requests[0]!
  const { requests } = rig
  const random = seeded(6887)
  // As from one that can send with the server's address, but does not see what we send: it does not know the nonce.
  const nonce = () => Uint8Array.from({ length: 12 }, () => random() * 256)
  const guess = () => ({ ...request, operation: { ...(request.operation as MapOperation), nonce: nonce() } })
  const flood = [
    () => moved(rig, request, { nonce: nonce() }),
    () => rig.refuse(encodePcpRequest(guess()), 1 + Math.floor(random() * 13), 1e9),
    () => hex('00 81 00 01 00 00 00 00'), // UNSUPP_VERSION has no nonce
    () => Uint8Array.from({ length: Math.floor(random() * 1_200) }, () => random() * 256),
  ]
  const pour = () => {
    for (const forge of flood) rig.receive(forge(), SERVER)
    rig.announce(Math.floor(random() * 2 ** 32))
  }
  // It comes before the server's answer, too.
  rig.answer = request => {
    setTimeout(pour, 10)
    return rig.grant(request)
  }
  const SECONDS = 3 * 3_600
  for (let second = 0; second < SECONDS; second++) {
    pour()
    await pass(1_000)
  }
  expect(mapping.external).toEqual({ address: '192.0.2.1', port: 20000 })
  expect(rig.heard.filter(([what]) => what === 'lost' || what === 'changed')).toEqual([])
  expect(requests.length).toBeLessThan(SECONDS / 2)
})

describe('what is required, and what there was', () => {
  const REQUIRED = { external: { address: undefined, port: 443 }, required: true }
  const suggested = (rig: Rig) =>
    rig.requests.map(({ request: { operation, options } }) => {
      const { externalAddress, externalPort } = operation as MapOperation
      return [externalAddress, externalPort, ...options.map(({ type }) => type)].join(' ')
    })
  /** The port is to be had, of one address; where it is to be that of another one, none is. */
  const only = (rig: Rig, address: string) => (request: PcpRequest, bytes: Uint8Array) => {
    const { externalAddress } = request.operation as MapOperation
    return ['0.0.0.0', address].includes(externalAddress)
      ? rig.grant(request, { externalAddress: address, externalPort: 443 })
      : rig.refuse(bytes, RESULTS['cannot-provide-external'], 1800)
  }

  test('a port at any address: the present address when renewed; another one at once if that is lost', async () => {
    const rig: Rig = new Rig((request, bytes) => only(rig, '192.0.2.1')(request, bytes))
    const mapping = rig.map(REQUIRED)
    await pass(2 * HOUR)
    rig.startedAt = performance.now()
    rig.answer = only(rig, '192.0.2.9')
    rig.announce()
    await pass(5_000)
    expect(suggested(rig)).toEqual([
      '0.0.0.0 443 prefer-failure',
      '192.0.2.1 443 prefer-failure',
      '192.0.2.1 443 prefer-failure',
      '0.0.0.0 443 prefer-failure',
    ])
    expect(mapping.external).toEqual({ address: '192.0.2.9', port: 443 })
    expect(rig.heard.slice(1)).toEqual([
      ['restarted'],
      ['lost', '192.0.2.1:443', 'the server can no longer provide it'],
      ['made', '192.0.2.9:443'],
    ])
  })

  test('the former address is no longer available after an outage: the required one is requested at once', async () => {
    const rig: Rig = new Rig((request, bytes) => only(rig, '192.0.2.9')(request, bytes))
    const mapping = rig.map({ ...REQUIRED, former: { address: '192.0.2.1', port: 443 } })
    await pass(100)
    expect(suggested(rig)).toEqual(['192.0.2.1 443 prefer-failure', '0.0.0.0 443 prefer-failure'])
    expect(mapping.external).toEqual({ address: '192.0.2.9', port: 443 })
    expect(rig.heard).toEqual([['made', '192.0.2.9:443']])
  })

  test('an address and a port: refused is refused, once', async () => {
    const rig: Rig = new Rig((request, bytes) => only(rig, '192.0.2.1')(request, bytes))
    rig.map({ external: { address: '192.0.2.1', port: 443 }, required: true })
    await pass(1000)
    rig.receive(rig.refuse(rig.requests[0]!.bytes, RESULTS['cannot-provide-external'], 1800), SERVER)
    await pass(1_799_000)
    expect(rig.heard.map(([what]) => what)).toEqual(['made', 'lost', 'refused'])
    expect(rig.requests).toHaveLength(1)
  })

  test('refused under any address: asked once more only, then as the server says', async () => {
    const rig: Rig = new Rig((_, bytes) => rig.refuse(bytes, RESULTS['cannot-provide-external'], 1800))
    rig.map({ ...REQUIRED, former: { address: '192.0.2.1', port: 443 } })
    await pass(1_799_000)
    expect(rig.requests).toHaveLength(2)
    expect(rig.heard).toEqual([['refused', 'ERR_PCP_CANNOT_PROVIDE_EXTERNAL', 1_800_000]])
  })

  test('an update (§14.2) to another address, as far as that is not required', async () => {
    const rig: Rig = new Rig(request => rig.grant(request, { externalPort: 443 }))
    const mapping = rig.map(REQUIRED)
    await pass(1000)
    rig.receive(rig.grant(rig.requests[0]!.request, { externalAddress: '192.0.2.9', externalPort: 443 }), SERVER)
    expect(mapping.external).toEqual({ address: '192.0.2.9', port: 443 })
    expect(rig.heard.at(-1)).toEqual(['changed', '192.0.2.9:443', '192.0.2.1:443'])
  })

  test('an update to another port is ignored, but a request asks the server', async () => {
    const rig: Rig = new Rig(request => rig.grant(request, { externalPort: 443 }))
    rig.map(REQUIRED)
    await pass(1000)
    rig.answer = (_, bytes) => rig.refuse(bytes, RESULTS['cannot-provide-external'], 1800)
    rig.receive(moved(rig, rig.requests[0]!.request), SERVER)
    await pass(60_000)
    expect(rig.heard.map(([what]) => what)).toEqual(['made', 'ignored', 'lost', 'refused'])
    expect(suggested(rig).slice(1)).toEqual(['192.0.2.1 443 prefer-failure', '0.0.0.0 443 prefer-failure'])
  })

  test('without a requirement, what was lost is suggested again', async () => {
    const rig = new Rig()
    rig.map()
    await pass(100)
    rig.client.pause()
    await pass(3 * HOUR)
    rig.client.resume()
    await pass(100)
    expect(suggested(rig)).toEqual(['0.0.0.0 0', '192.0.2.1 20000'])
  })
})

describe('a server that refuses', () => {
  test('the message: the name in RFC 6887, and what it means', () => {
    expect(meaningOf(RESULTS['address-mismatch'])).toBe(
      'ADDRESS_MISMATCH, something on the path to the server translates addresses (NAT)',
    )
    expect(meaningOf(99)).toBe('result 99, which RFC 6887 does not list')
  })

  const codes = Object.entries(RESULTS).filter(([, code]) => code !== 0)

  test.each(codes)('%s (%d)', async (name, code) => {
    const rig: Rig = new Rig((_, bytes) => rig.refuse(bytes, code, 100))
    rig.map()
    await pass(99_000)
    const expected = `ERR_PCP_${name.replaceAll('-', '_').toUpperCase()}`
    expect(rig.heard).toEqual([['refused', expected, 100_000]])
    expect(rig.requests).toHaveLength(1)
    await pass(2_000)
    expect(rig.requests).toHaveLength(2)
  })

  test('a result that RFC 6887 does not list', async () => {
    const rig: Rig = new Rig((_, bytes) => rig.refuse(bytes, 99, 100))
    rig.map()
    await pass(1_000)
    expect(rig.heard).toEqual([['refused', 'ERR_PCP_UNKNOWN', 100_000]])
  })

  // RFC 6886 §3.5.
  test('a NAT-PMP server: asked again after 30 minutes', async () => {
    const rig: Rig = new Rig(() => hex('00 81 00 01 00 01 e2 40'))
    rig.map()
    await pass(1_000)
    expect(rig.heard).toEqual([['refused', 'ERR_PCP_UNSUPP_VERSION', 1_800_000]])
    await pass(1_790_000)
    expect(rig.requests).toHaveLength(1)
    await pass(20_000)
    expect(rig.requests).toHaveLength(2)
  })

  test('no resources: new mappings wait, too (§11.4)', async () => {
    const rig: Rig = new Rig((_, bytes) => rig.refuse(bytes, RESULTS['no-resources'], 30))
    rig.map()
    await pass(1_000)
    rig.map({ internalPort: 8081 })
    await pass(28_000)
    expect(rig.requests).toHaveLength(1)
    await pass(2_000)
    expect(rig.requests).toHaveLength(3)
  })

  test('no resources for 136 years: a day (§15)', async () => {
    const rig: Rig = new Rig((_, bytes) => rig.refuse(bytes, RESULTS['no-resources'], 0xffff_ffff))
    rig.map()
    await pass(1_000)
    rig.map({ internalPort: 8081 })
    await pass(24 * HOUR)
    expect(rig.requests.length).toBeGreaterThan(1)
  })

  test('a renewal for now: the mapping stays until its end', async () => {
    const rig = new Rig()
    rig.map()
    await pass(100)
    rig.answer = (_, bytes) => rig.refuse(bytes, RESULTS['network-failure'], 30)
    await pass(1.9 * HOUR)
    expect(rig.heard.filter(([what]) => what === 'lost')).toEqual([])
    await pass(0.2 * HOUR)
    expect(rig.heard.filter(([what]) => what === 'lost')).toHaveLength(1)
  })
})

describe('an access that goes down', () => {
  test('nothing is sent; back, the mapping is asked for at once', async () => {
    const rig = new Rig()
    const mapping = rig.map()
    await pass(100)
    rig.client.pause()
    await pass(1.5 * HOUR)
    expect(rig.requests).toHaveLength(1)
    expect(mapping.external).toBeDefined()
    rig.client.resume()
    await pass(10)
    expect(rig.requests).toHaveLength(2)
  })

  test('for longer than the lifetime: lost, and made again', async () => {
    const rig = new Rig()
    rig.map()
    await pass(100)
    rig.client.pause()
    await pass(3 * HOUR)
    rig.client.resume()
    await pass(100)
    expect(rig.heard.map(([what]) => what)).toEqual(['made', 'lost', 'made'])
    expect(rig.requests).toHaveLength(2)
  })

  test('closed without deleting: not a word', async () => {
    const rig = new Rig()
    rig.map()
    await pass(100)
    await rig.client.close({ deleting: false })
    expect(rig.requests).toHaveLength(1)
    expect(rig.closed).toBe(true)
  })
})

function changed(bytes: Uint8Array, at: number, octet: number): Uint8Array {
  const copy = bytes.slice()
  copy[at] = octet
  return copy
}

/** What the server says when it has moved the mapping. */
function moved(rig: Rig, request: PcpRequest, change: Partial<MapOperation> = {}): Uint8Array {
  return rig.grant(request, { externalPort: 20007, ...change })
}

function peerAnswer(rig: Rig, { operation }: PcpRequest): Uint8Array {
  const { type: _, ...map } = operation as MapOperation
  const peer = { type: 'peer' as const, ...map, remotePort: 80, remoteAddress: '198.51.100.2' }
  return encodePcpResponse({ result: 0, lifetime: 60, epoch: rig.epoch, operation: peer, options: [] })
}
