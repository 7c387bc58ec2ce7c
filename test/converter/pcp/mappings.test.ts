/** The table of a PCP server's mappings, as RFC 6887 §11.3 and §15 describe it, on a clock that is a number. */
import { beforeEach, describe, expect, test } from 'vitest'
import { type MapAnswer, Mappings, type MapRequest } from '../../../lib/converter/pcp/mappings.js'
import type { MapOperation, PcpOption } from '../../../lib/wire/pcp/index.js'

const NOW = 1_000_000_000
const LIMITS = {
  external: ['192.0.2.1', '192.0.2.2', '2001:db8:c::1'],
  ports: [
    [443, 443],
    [20000, 20003],
  ] as [number, number][],
  ...{ quota: 3, minLifetime: 120, maxLifetime: 3600, maxFilters: 2, reuseDelay: 120 },
}
const nonce = (octet: number) => new Uint8Array(12).fill(octet)

let table: Mappings

beforeEach(() => {
  table = new Mappings(LIMITS, () => 0)
})

interface Asked extends Partial<Omit<MapOperation, 'type'>> {
  from?: string
  lifetime?: number
  options?: PcpOption[]
  at?: number
}

function ask({ from = '10.1.0.2', lifetime = 600, options = [], at = NOW, ...operation }: Asked = {}): MapAnswer {
  const request: MapRequest = {
    operation: {
      ...{
        type: 'map',
        nonce: nonce(Number.parseInt(from.split(/[.:]/).at(-1)!, 10)),
        protocol: 6,
        internalPort: 8080,
        externalPort: 0,
      },
      ...{ externalAddress: '0.0.0.0', ...operation },
    },
    ...{ options, lifetime, internalAddress: from, client: { address: from, port: 40000 }, server: '192.0.2.1' },
  }
  return table.map(request, at)
}

/** `address:port`, or the result. */
function given(answer: MapAnswer): string {
  return answer.result === 'success' ? `${answer.external.address}:${answer.external.port}` : answer.result
}

const preferFailure: PcpOption = { type: 'prefer-failure' }
const filter = (address: string, port = 0): PcpOption => ({ type: 'filter', address, prefixLength: 32, port })

describe('assigning', () => {
  test('the suggestion, where it is free; else the internal port; else any', () => {
    expect(given(ask({ externalPort: 20002 }))).toBe('192.0.2.1:20002')
    expect(given(ask({ from: '10.1.0.3', externalPort: 20002, internalPort: 443 }))).toBe('192.0.2.2:20002')
    expect(given(ask({ from: '10.1.0.4', externalPort: 20002, internalPort: 443 }))).toBe('192.0.2.1:443')
    expect(given(ask({ from: '10.1.0.6', externalPort: 20002, internalPort: 443 }))).toBe('192.0.2.1:20000')
    expect(given(ask({ from: '10.1.0.5', externalAddress: '192.0.2.2', externalPort: 20003 }))).toBe('192.0.2.2:20003')
  })

  test('a suggestion that cannot be does no harm (§11.3)', () => {
    for (const [from, externalAddress, externalPort] of [
      ['10.1.0.2', '127.0.0.1', 20001],
      ['10.1.0.3', '203.0.113.1', 20001],
      ['10.1.0.4', '192.0.2.1', 80],
    ] as const)
      expect(ask({ from, externalAddress, externalPort })).toMatchObject({ result: 'success' })
  })

  test('IPv6 where an IPv6 address is suggested', () => {
    expect(given(ask({ externalAddress: '::' }))).toBe('2001:db8:c::1:443')
    expect(given(ask({ from: '10.1.0.3', externalAddress: '0.0.0.0' }))).toBe('192.0.2.1:443')
  })

  test('all mappings of a client on one address (RFC 8803 §4.4)', () => {
    ask({ externalAddress: '192.0.2.2', externalPort: 20000 })
    expect(given(ask({ internalPort: 8081 }))).toBe('192.0.2.2:443')
    expect(given(ask({ from: '10.1.0.3' }))).toBe('192.0.2.1:443')
  })

  test('until no port is left', () => {
    // Five ports on each of two IPv4 addresses and one IPv6 address.
    const assigned = Array.from({ length: 15 }, (_, i) => given(ask({ from: `10.1.0.${i + 2}`, nonce: nonce(i + 2) })))
    const places = LIMITS.external.flatMap(address =>
      [443, 20000, 20001, 20002, 20003].map(port => `${address}:${port}`),
    )
    expect(assigned).toEqual(places)
    expect(ask({ from: '10.1.0.99' })).toEqual({ result: 'no-resources', lifetime: 30 })
  })

  test.each<[string, Asked]>([
    ['any IPv6 address', { externalAddress: '::' }],
    ['an IPv6 address and a port', { externalAddress: '2001:db8:c::1', externalPort: 20003 }],
  ])('a suggestion of the other family does no harm (§11.3): %s', (_, asked) => {
    table = new Mappings({ ...LIMITS, external: ['192.0.2.1'] }, () => 0)
    expect(given(ask(asked))).toBe('192.0.2.1:443')
    expect(given(ask({ ...asked, from: '10.1.0.3' }))).toBe('192.0.2.1:20000')
  })

  test('but with PREFER_FAILURE it is refused', () => {
    table = new Mappings({ ...LIMITS, external: ['192.0.2.1'] }, () => 0)
    const asked = { externalAddress: '::', externalPort: 20000, options: [preferFailure] }
    expect(ask(asked)).toMatchObject({ result: 'cannot-provide-external' })
  })

  test('what cannot be listened on is not given away', () => {
    table.exclude({ address: '192.0.2.1', port: 443 })
    expect(given(ask({ externalAddress: '192.0.2.1', externalPort: 443 }))).toBe('192.0.2.1:20000')
  })
})

describe('a mapping that is there', () => {
  test('is extended, whatever is suggested', () => {
    ask({ externalPort: 20000 })
    expect(ask({ externalPort: 20001, at: NOW + 60_000 })).toMatchObject({
      ...{ result: 'success', lifetime: 600, isNew: false, external: { address: '192.0.2.1', port: 20000 } },
    })
    expect(table.expire(NOW + 659_000)).toEqual([])
    expect(table.expire(NOW + 660_000)).toHaveLength(1)
    expect(table.all).toEqual([])
  })

  test('is the one that a client gets which now suggests the other family', () => {
    expect(given(ask({ externalAddress: '0.0.0.0' }))).toBe('192.0.2.1:443')
    expect(given(ask({ externalAddress: '::' }))).toBe('192.0.2.1:443')
    expect(table.all).toHaveLength(1)
  })

  test('is not for another nonce: not authorized for as long as it lasts', () => {
    ask()
    expect(ask({ nonce: nonce(9), at: NOW + 60_500 })).toEqual({ result: 'not-authorized', lifetime: 540 })
    expect(ask({ nonce: nonce(9), lifetime: 0 })).toEqual({ result: 'not-authorized', lifetime: 600 })
    expect(table.all).toHaveLength(1)
  })

  test('with PREFER_FAILURE and another suggestion: cannot provide', () => {
    ask({ externalPort: 20000 })
    expect(ask({ externalPort: 20001, options: [preferFailure] })).toMatchObject({ result: 'cannot-provide-external' })
    expect(given(ask({ externalPort: 20000, options: [preferFailure] }))).toBe('192.0.2.1:20000')
  })

  test('ends in time, one by one', () => {
    ask({ lifetime: 200 })
    ask({ from: '10.1.0.3', lifetime: 300 })
    expect(table.nextExpiry).toBe(NOW + 200_000)
    expect(table.expire(NOW + 200_000).map(({ paths }) => paths)).toEqual([[]])
    expect(table.nextExpiry).toBe(NOW + 300_000)
  })
})

describe('lifetimes', () => {
  test.each([
    [1, 120],
    [600, 600],
    [0xffff_ffff, 3600],
  ])('of %d seconds asked for, %d', (lifetime, granted) => {
    expect(ask({ lifetime })).toMatchObject({ result: 'success', lifetime: granted })
  })
})

describe('deleting (§15.1)', () => {
  test('the answer repeats the suggestion, the mapping is deleted, and deleting it again succeeds', () => {
    ask({ externalPort: 20000 })
    for (let i = 0; i < 2; i++)
      expect(ask({ lifetime: 0, externalAddress: '::' })).toMatchObject({
        ...{ result: 'success', lifetime: 0, external: { address: '::', port: 0 } },
      })
    expect(table.all).toEqual([])
  })

  test('with options that make no sense', () => {
    for (const option of [preferFailure, filter('198.51.100.2'), { type: 'clear-filters' } as const])
      expect(ask({ lifetime: 0, options: [option] })).toEqual({ result: 'malformed-option', lifetime: 1800 })
  })

  test('all ports, or all protocols, without any mapping', () => {
    expect(ask({ lifetime: 0, internalPort: 0 })).toMatchObject({ result: 'success' })
    expect(ask({ lifetime: 0, internalPort: 0, protocol: 0 })).toMatchObject({ result: 'success' })
  })

  test('other clients cannot get the port for a while (§15), its own client at once', () => {
    ask({ externalPort: 20000 })
    ask({ lifetime: 0 })
    expect(
      given(
        ask({
          from: '10.1.0.3',
          nonce: nonce(9),
          externalAddress: '192.0.2.1',
          externalPort: 20000,
          at: NOW + 119_000,
        }),
      ),
    ).toBe('192.0.2.1:443')
    expect(given(ask({ externalPort: 20000, at: NOW + 119_000 }))).toBe('192.0.2.1:20000')
    ask({ lifetime: 0, at: NOW + 119_000 })
    expect(given(ask({ from: '10.1.0.4', externalPort: 20000, at: NOW + 239_000 }))).toBe('192.0.2.1:20000')
  })
})

describe('refusals', () => {
  test.each<[string, Asked, string]>([
    ['a port of all protocols', { protocol: 0 }, 'malformed-request'],
    ['all protocols', { protocol: 0, internalPort: 0 }, 'unsupp-protocol'],
    ['UDP', { protocol: 17 }, 'unsupp-protocol'],
    ['all ports', { internalPort: 0 }, 'unsupp-protocol'],
    ['PREFER_FAILURE of any port', { options: [preferFailure] }, 'malformed-option'],
    [
      'PREFER_FAILURE of another address',
      { options: [preferFailure], externalAddress: '203.0.113.1', externalPort: 20000 },
      'cannot-provide-external',
    ],
    ['PREFER_FAILURE of another port', { options: [preferFailure], externalPort: 80 }, 'cannot-provide-external'],
    ['three filters', { options: ['1', '2', '3'].map(n => filter(`198.51.100.${n}`)) }, 'excessive-remote-peers'],
  ])('%s', (_, asked, result) => {
    expect(given(ask(asked))).toBe(result)
    expect(table.all).toEqual([])
  })

  test('PREFER_FAILURE of a port that another has: for as long, and the time after', () => {
    ask({ externalPort: 20000 })
    const asked = { from: '10.1.0.3', nonce: nonce(9), externalPort: 20000, options: [preferFailure] }
    expect(ask({ ...asked, externalPort: 80 })).toEqual({ result: 'cannot-provide-external', lifetime: 30 })
    expect(ask({ ...asked, externalAddress: '192.0.2.1' })).toEqual({
      result: 'cannot-provide-external',
      lifetime: 720,
    })
  })

  test('more than the quota, of an IPv4 address or an IPv6 /64', () => {
    for (let i = 0; i < 3; i++) expect(ask({ internalPort: 8080 + i })).toMatchObject({ result: 'success' })
    expect(ask({ internalPort: 8090 })).toEqual({ result: 'user-ex-quota', lifetime: 30 })
    expect(ask({ internalPort: 8080 })).toMatchObject({ result: 'success' })
    for (let i = 0; i < 3; i++)
      expect(ask({ from: `2001:db8:1::${i + 2}`, externalAddress: '::' })).toMatchObject({ result: 'success' })
    expect(given(ask({ from: '2001:db8:1::9', externalAddress: '::', nonce: nonce(3) }))).toBe('user-ex-quota')
  })
})

describe('filters (§13.3)', () => {
  const filters = () => table.all[0]!.filters.map(({ address, port }) => `${address}:${port}`)

  test('are added, are not repeated, and are cleared', () => {
    ask({ options: [filter('198.51.100.2')] })
    ask({ options: [filter('198.51.100.2'), filter('198.51.100.3', 80)] })
    expect(filters()).toEqual(['198.51.100.2:0', '198.51.100.3:80'])
    expect(given(ask({ options: [filter('198.51.100.4')] }))).toBe('excessive-remote-peers')
    expect(filters()).toHaveLength(2)
    ask({ options: [{ type: 'clear-filters' }, filter('198.51.100.4')] })
    expect(filters()).toEqual(['198.51.100.4:0'])
    ask({ options: [] })
    expect(filters()).toEqual(['198.51.100.4:0'])
    ask({ options: [{ type: 'clear-filters' }] })
    expect(filters()).toEqual([])
  })
})

describe('several addresses of one client: known by the nonce', () => {
  test('share the mapping, the one that asked last first; it ends with the last of them', () => {
    expect(given(ask({ externalPort: 20000 }))).toBe('192.0.2.1:20000')
    expect(ask({ from: '10.2.0.2', nonce: nonce(2), lifetime: 1200, at: NOW + 1 })).toMatchObject({
      ...{ result: 'success', isNew: false, external: { address: '192.0.2.1', port: 20000 } },
    })
    expect(table.all[0]!.paths.map(({ address }) => address)).toEqual(['10.2.0.2', '10.1.0.2'])
    ask({ at: NOW + 2 })
    expect(table.all[0]!.paths.map(({ address }) => address)).toEqual(['10.1.0.2', '10.2.0.2'])
    expect(table.expire(NOW + 700_000)).toEqual([])
    expect(table.all[0]!.paths.map(({ address }) => address)).toEqual(['10.2.0.2'])
    expect(ask({ from: '10.2.0.2', nonce: nonce(2), lifetime: 0, at: NOW + 700_000 })).toMatchObject({
      result: 'success',
    })
    expect(table.all).toEqual([])
  })

  test('not with another nonce, port or family', () => {
    ask({ externalPort: 20000 })
    expect(given(ask({ from: '10.2.0.2', nonce: nonce(9) }))).toBe('192.0.2.1:443')
    expect(given(ask({ from: '10.2.0.2', nonce: nonce(2), internalPort: 8081 }))).toBe('192.0.2.1:20001')
    expect(given(ask({ from: '2001:db8:2::2', externalAddress: '::' }))).toBe('2001:db8:c::1:443')
  })
})

describe('moving what cannot be restored (§14.2)', () => {
  /** One that had this before, in a table that gives away these. */
  function move(change: Asked, limits: Partial<typeof LIMITS>, before?: (table: Mappings) => void) {
    ask(change)
    const [mapping] = table.all
    const again = new Mappings({ ...LIMITS, ...limits }, () => 0)
    before?.(again)
    expect(again.restore(mapping!)).toBe(false)
    const refusal = again.move(mapping!, NOW + 1)
    return refusal ?? given({ result: 'success', external: again.all.at(-1)!.external } as MapAnswer)
  }
  const ports = (...each: number[]) => each.map((port): [number, number] => [port, port])

  test.each<[string, Asked, Partial<typeof LIMITS>, string]>([
    ['its port is no more', { externalPort: 20000 }, { ports: ports(443, 20003) }, '192.0.2.1:443'],
    [
      'nor is it the first address that it is of',
      { externalPort: 20000, externalAddress: '192.0.2.2' },
      { ports: ports(443) },
      '192.0.2.2:443',
    ],
    ['its address is no more: the same port', { externalPort: 20000 }, { external: ['192.0.2.2'] }, '192.0.2.2:20000'],
    ['nor is there one of its family', { externalPort: 20000 }, { external: ['2001:db8:c::1'] }, 'network-failure'],
    [
      'it wants no other',
      { externalPort: 20000, options: [preferFailure] },
      { ports: ports(443) },
      'cannot-provide-external',
    ],
  ])('%s', (_, change, limits, expected) => expect(move(change, limits)).toBe(expected))

  test('what others have stays theirs', () => {
    const taken = (again: Mappings) => {
      ask({ from: '10.1.0.3', externalPort: 443, externalAddress: '192.0.2.1' })
      expect(again.restore(table.all.find(({ external }) => external.port === 443)!)).toBe(true)
    }
    expect(move({ externalPort: 20000 }, { ports: ports(443), external: ['192.0.2.1'] }, taken)).toBe('no-resources')
  })

  test('the client is known as before', () => {
    move({ externalPort: 20000, options: [filter('198.51.100.2')] }, { ports: ports(443) })
    const [mapping] = table.all
    expect(mapping).toMatchObject({ external: { port: 443 }, nonce: nonce(2), filters: [{ address: '198.51.100.2' }] })
    expect(mapping!.paths).toMatchObject([{ address: '10.1.0.2', expiresAt: NOW + 600_000, required: false }])
  })
})

test('restoring what is still available', () => {
  ask({ externalPort: 20000 })
  const [mapping] = table.all
  const again = new Mappings(LIMITS)
  expect(again.restore(mapping!)).toBe(true)
  expect(again.restore(mapping!)).toBe(false)
  expect(new Mappings({ ...LIMITS, ports: [[443, 443]] }).restore(mapping!)).toBe(false)
  expect(new Mappings({ ...LIMITS, external: ['192.0.2.2'] }).restore(mapping!)).toBe(false)
})
