/** Accesses as links show them; the links are values. */
import { describe, expect, test } from 'vitest'
import { AccessLinks } from '../../../lib/runtime/network/access-links.js'
import type { Link, LinkAddress, NetworkState } from '../../../lib/runtime/network/link-monitor.js'

const CONFIG = { '3gpp': { interface: 'wwan0' }, 'non-3gpp': { interface: 'wlan0' } }

const address = (text: string, changes: Partial<LinkAddress> = {}) =>
  ({
    ...{ address: text, family: text.includes(':') ? 6 : 4, prefixLength: 24, scope: 'global' },
    ...{ tentative: false, deprecated: false, ...changes },
  }) as LinkAddress

function linksOf(...addresses: LinkAddress[]): AccessLinks {
  return linksWith({ addresses })
}

function linksWith(changes: Partial<Link>): AccessLinks {
  const link = { index: 7, name: 'wlan0', up: true, carrier: true, operstate: 'up', addresses: [], ...changes } as Link
  return new AccessLinks(CONFIG, { links: new Map([[7, link]]), defaultRoutes: [] })
}

describe('whether an access can be used', () => {
  test.each<[string, Partial<Link>, boolean, string]>([
    ['with an address', { addresses: [address('192.0.2.7')] }, true, 'wlan0 is up'],
    ['of another name', { name: 'eth0', addresses: [address('192.0.2.7')] }, false, 'there is no interface wlan0'],
    ['down', { up: false }, false, 'wlan0 is down'],
    ['without carrier', { carrier: false }, false, 'wlan0 has no carrier'],
    ['held back by what is below it', { operstate: 'lowerlayerdown' }, false, 'wlan0 is not ready: what is below it'],
    ['before 802.1X', { operstate: 'dormant' }, false, 'wlan0 is not ready: it waits, mostly for its authentication'],
    ['of an alternative name', { name: 'wlp2s0', altnames: ['wlan0'], addresses: [address('192.0.2.7')] }, true, 'up'],
    ['without an address', {}, false, 'wlan0 has no address'],
    ['with one of the link only', { addresses: [address('fe80::1', { scope: 'link' })] }, false, 'has no address'],
    ['with a tentative one', { addresses: [address('2001:db8::7', { tentative: true })] }, false, 'has no address'],
  ])('%s', (_name, changes, usable, why) => {
    expect(linksWith(changes).facts['non-3gpp']).toEqual({ usable, why: expect.stringContaining(why) })
  })
})

describe('what a new subflow leaves from', () => {
  const chosen = (family: 4 | 6, ...addresses: LinkAddress[]) =>
    linksOf(...addresses).address('non-3gpp', family)?.address

  test('the first address of its family', () => {
    const addresses = [address('2001:db8::7'), address('192.0.2.7'), address('192.0.2.8')]
    expect(chosen(4, ...addresses)).toBe('192.0.2.7')
    expect(chosen(6, ...addresses)).toBe('2001:db8::7')
    expect(chosen(6, address('192.0.2.7'))).toBeUndefined()
    expect(linksOf(...addresses).address('3gpp', 4)).toBeUndefined()
  })

  /** RFC 4862 §5.5.4: "A deprecated address SHOULD continue to be used as a source address in existing communications". */
  test('one that is deprecated only when there is no other', () => {
    const old = address('2001:db8::1', { deprecated: true })
    expect(chosen(6, old, address('2001:db8::2'))).toBe('2001:db8::2')
    expect(chosen(6, old)).toBe('2001:db8::1')
  })

  test('a unique local one for want of others only (RFC 6887 §8.4)', () => {
    expect(chosen(6, address('fd00::2'), address('fc00::3'), address('2001:db8::3'))).toBe('2001:db8::3')
    expect(chosen(6, address('fd00::2'))).toBe('fd00::2')
  })

  test('neither link-local nor tentative', () => {
    const useless = [address('fe80::1', { scope: 'link' }), address('2001:db8::2', { tentative: true })]
    expect(chosen(6, ...useless)).toBeUndefined()
  })
})

test('whose address it is, mapped or not', () => {
  const links = linksOf(address('192.0.2.7'), address('2001:db8::7'))
  expect(links.accessOf({ address: '::ffff:192.0.2.7', interfaceIndex: 0 })).toBe('non-3gpp')
  expect(links.accessOf({ address: '2001:db8::7', interfaceIndex: 0 })).toBe('non-3gpp')
  expect(links.accessOf({ address: '192.0.2.8', interfaceIndex: 0 })).toBeUndefined()
})

test('two names of one interface are one access', () => {
  const link = {
    ...{ index: 7, name: 'wlan0', altnames: ['wwan0'], up: true, carrier: true, operstate: 'up' },
    addresses: [address('192.0.2.7')],
  } as unknown as Link
  const links = new AccessLinks(CONFIG, { links: new Map([[7, link]]), defaultRoutes: [] })
  expect(links.facts).toEqual({
    '3gpp': { usable: true, why: 'wwan0 is up' },
    'non-3gpp': { usable: false, why: 'wlan0 is another name of wwan0, the 3gpp access' },
  })
  expect(links.addresses('non-3gpp')).toEqual([])
  expect(links.accessOf({ address: '192.0.2.7', interfaceIndex: 0 })).toBe('3gpp')
})

describe('an address that is back before its default route', () => {
  const state = (addresses: LinkAddress[], hasRoute: boolean): NetworkState => ({
    links: new Map([[7, { index: 7, name: 'wlan0', up: true, carrier: true, operstate: 'up', addresses } as never]]),
    defaultRoutes: hasRoute ? [{ family: 4, interfaceIndex: 7, gateway: '192.0.2.1', metric: 100, table: 254 }] : [],
  })
  const old = address('192.0.2.7')
  const fresh = address('192.0.2.8')

  test('is not used until the route is there', () => {
    const links = new AccessLinks(CONFIG, state([old], true), () => 0)
    for (const [addresses, hasRoute, awaits] of [
      [[old], true, false],
      [[], false, true],
      [[fresh], false, true],
      [[fresh], true, false],
    ] as const) {
      links.update(state([...addresses], hasRoute))
      expect(links.awaitsRoute('non-3gpp', 4)).toBe(awaits)
    }
    expect(links.awaitsRoute('non-3gpp', 6)).toBe(false)
    expect(links.awaitsRoute('3gpp', 4)).toBe(false)
  })

  test('but for two seconds at most: the peer may be reached without', () => {
    let now = 0
    const links = new AccessLinks(CONFIG, state([old], true), () => now)
    links.update(state([], false))
    now = 60_000 // roaming may take its time
    expect(links.awaitsRoute('non-3gpp', 4)).toBe(false)
    links.update(state([fresh], false))
    now += 1_999
    expect(links.awaitsRoute('non-3gpp', 4)).toBe(true)
    now += 1
    expect(links.awaitsRoute('non-3gpp', 4)).toBe(false)
  })

  test('where there never was a default route, none is awaited', () => {
    const links = new AccessLinks(CONFIG, state([old], false), () => 0)
    links.update(state([], false))
    links.update(state([fresh], false))
    expect(links.awaitsRoute('non-3gpp', 4)).toBe(false)
  })
})
