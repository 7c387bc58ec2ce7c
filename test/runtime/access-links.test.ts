/** Which address of an interface is used: what the kernel lists first is not always the one to use. */
import { expect, test } from 'vitest'
import { AccessLinks } from '../../lib/runtime/access-links.js'
import type { Link, LinkAddress, NetworkState } from '../../lib/runtime/link-monitor.js'

const [WIFI, NONE] = ['wlan0', 'wwan0']

function address(text: string, change: Partial<LinkAddress> = {}): LinkAddress {
  return {
    ...{ family: text.includes(':') ? 6 : 4, address: text, prefixLength: 64, scope: 'global' },
    ...{ tentative: false, deprecated: false, label: undefined, flags: 0, ...change },
  }
}

function chosen(...addresses: LinkAddress[]): string | undefined {
  const about = { index: 3, name: WIFI, up: true, carrier: true, operstate: 'up', flags: 0x11043, mtu: 1500 } as const
  const link: Link = { ...about, addresses }
  const state: NetworkState = { links: new Map([[3, link]]), defaultRoutes: [] }
  const links = new AccessLinks({ '3gpp': { interface: NONE }, 'non-3gpp': { interface: WIFI } }, state)
  expect(links.address('3gpp', 6)).toBeUndefined()
  return links.address('non-3gpp', 6)?.address
}

test('the first of those that are equally good', () => {
  expect(chosen(address('192.0.2.9'), address('2001:db8::2'), address('2001:db8::3'))).toBe('2001:db8::2')
})

test('neither link-local nor tentative', () => {
  expect(chosen(address('fe80::1', { scope: 'link' }), address('2001:db8::2', { tentative: true }))).toBeUndefined()
})

test('one that stays before one that is on its way out: its mappings would soon lead nowhere', () => {
  const old = address('2001:db8::2', { deprecated: true })
  expect(chosen(old, address('2001:db8::3'))).toBe('2001:db8::3')
  expect(chosen(old)).toBe('2001:db8::2')
})

test('a unique local one for want of others only (RFC 6887 §8.4)', () => {
  expect(chosen(address('fd00::2'), address('fc00::3'), address('2001:db8::3'))).toBe('2001:db8::3')
  expect(chosen(address('fd00::2'))).toBe('fd00::2')
})
