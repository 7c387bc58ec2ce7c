import { describe, expect, test } from 'vitest'
import { nameOf, prefixIn, translated } from '../../../lib/policy/connect/nat64.js'

describe('addresses of a translator (NAT64)', () => {
  /** RFC 6052 §2.4: 192.0.2.33 with the prefixes of 2001:db8::/32, and with the well-known one. */
  test.each([
    ['2001:db8::', 32, '2001:db8:c000:221::'],
    ['2001:db8:100::', 40, '2001:db8:1c0:2:21::'],
    ['2001:db8:122::', 48, '2001:db8:122:c000:2:2100::'],
    ['2001:db8:122:300::', 56, '2001:db8:122:3c0:0:221::'],
    ['2001:db8:122:344::', 64, '2001:db8:122:344:c0:2:2100:0'],
    ['2001:db8:122:344::', 96, '2001:db8:122:344::c000:221'],
    ['64:ff9b::', 96, '64:ff9b::c000:221'],
  ] as const)('%s/%i: RFC 6052 §2.4', (prefix, length, address) => {
    const of170 = translatedBy(prefix, length, '192.0.0.170')
    const found = prefixIn(['2001:db8::1', of170])!
    expect(nameOf(found)).toBe(`${prefix}/${length}`)
    expect(translated(found, '192.0.2.33')).toBe(address)
  })

  test('the second well-known address shows it as well (RFC 7050 §2.2)', () => {
    expect(nameOf(prefixIn(['64:ff9b::192.0.0.171'])!)).toBe('64:ff9b::/96')
  })

  test('no address of ipv4only.arpa, or one of somebody else: there is no translator', () => {
    expect(prefixIn([])).toBeUndefined()
    expect(prefixIn(['2001:db8::1', '64:ff9b::c000:221', 'nonsense'])).toBeUndefined()
  })

  test('only IPv4 addresses are translated', () => {
    const prefix = prefixIn(['64:ff9b::c000:aa'])!
    expect(translated(prefix, '2001:db8::1')).toBeUndefined()
    expect(translated(prefix, 'converter.example')).toBeUndefined()
  })
})

/** By hand: the bytes of the IPv4 address behind the prefix, and byte 8 zero. */
function translatedBy(prefix: string, length: number, v4: string): string {
  const groups = prefix.replace(/::$/, '').split(':')
  const bytes = [...groups, ...new Array<string>(8 - groups.length).fill('0')].flatMap(group => {
    const value = Number.parseInt(group, 16)
    return [value >> 8, value & 255]
  })
  let at = length / 8
  for (const byte of v4.split('.')) {
    if (at === 8 && length < 96) at++
    bytes[at++] = Number(byte)
  }
  const text = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i]! << 8) | bytes[2 * i + 1]!).toString(16))
  return text.join(':')
}
