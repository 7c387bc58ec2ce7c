import { isIP, SocketAddress } from 'node:net'
import { describe, expect, test } from 'vitest'
import { forbiddenTarget, formatAddress, parseAddress } from '../../../lib/wire/bytes/address.js'
import { hex } from '../../support/hex.js'
import { seeded } from '../../support/random.js'

describe('text and bytes', () => {
  test.each([
    ['192.0.2.1', '0000 0000 0000 0000 0000 ffff c000 0201'],
    ['0.0.0.0', '0000 0000 0000 0000 0000 ffff 0000 0000'],
    ['255.255.255.255', '0000 0000 0000 0000 0000 ffff ffff ffff'],
    ['::', '0000 0000 0000 0000 0000 0000 0000 0000'],
    ['::1', '0000 0000 0000 0000 0000 0000 0000 0001'],
    ['1::', '0001 0000 0000 0000 0000 0000 0000 0000'],
    ['::ffff:0:0:1', '0000 0000 0000 0000 ffff 0000 0000 0001'],
    ['::fffe:c000:201', '0000 0000 0000 0000 0000 fffe c000 0201'],
    ['1::ffff:c000:201', '0001 0000 0000 0000 0000 ffff c000 0201'],
    // RFC 5952 §4
    ['2001:db8::1', '2001 0db8 0000 0000 0000 0000 0000 0001'],
    ['2001:db8::2:1', '2001 0db8 0000 0000 0000 0000 0002 0001'],
    ['2001:db8:0:1:1:1:1:1', '2001 0db8 0000 0001 0001 0001 0001 0001'],
    ['2001:0:0:1::1', '2001 0000 0000 0001 0000 0000 0000 0001'],
    ['2001:db8::1:0:0:1', '2001 0db8 0000 0000 0001 0000 0000 0001'],
    ['2001:db8:aaaa:bbbb:cccc:dddd:eeee:1', '2001 0db8 aaaa bbbb cccc dddd eeee 0001'],
    ['1:2:3:4:5:6::', '0001 0002 0003 0004 0005 0006 0000 0000'],
    ['1:2:3:4:5:6:7:0', '0001 0002 0003 0004 0005 0006 0007 0000'],
  ])('%s', (text, bytes) => {
    expect(formatAddress(hex(bytes), 0)).toBe(text)
    expect(parsed(text)).toStrictEqual(hex(bytes))
  })

  test.each([
    ['2001:0DB8:0000:0000:0000:0000:0000:0001', '2001:db8::1'],
    ['2001:db8:0:0:0:0:2:1', '2001:db8::2:1'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['::2:3:4:5:6:7:8', '0:2:3:4:5:6:7:8'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['0:0:0:0:0:FFFF:c000:0201', '192.0.2.1'],
    ['1:2:3:4:5:6:1.2.3.4', '1:2:3:4:5:6:102:304'],
  ])('%s is %s', (text, canonical) => {
    expect(formatAddress(parsed(text)!, 0)).toBe(canonical)
  })

  test.each([
    '',
    ' ',
    '1',
    '1.2.3',
    '1.2.3.4.5',
    '1.2.3.256',
    '1.2.3.04',
    '01.2.3.4',
    '1.2.3.',
    '.1.2.3',
    '1..2.3',
    ' 1.2.3.4',
    '1.2.3.4 ',
    '0x7f.0.0.1',
    ':',
    ':::',
    ':1',
    '1:',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7:8::',
    '::1:2:3:4:5:6:7:8',
    '12345::',
    'g::',
    '::1.2.3',
    '::1.2.3.4:5',
    '1:2:3:4:5:6:7:1.2.3.4',
    '1.2.3.4::',
    'fe80::1%eth0',
    '[::1]',
    'localhost',
  ])('%j is no address', text => {
    expect(parsed(text)).toBeUndefined()
    expect(forbiddenTarget(text)).toBe('not an IP address')
  })
})

test('10,000 random texts: an address for Node is an address here, with the same canonical text', () => {
  const random = seeded(5952)
  const pick = <T>(from: readonly T[]) => from[Math.floor(random() * from.length)]!
  let addresses = 0
  for (let i = 0; i < 10_000; i++) {
    let text = pick(['', '::', '1.2.', 'ffff:', '::ffff:'])
    for (let n = Math.floor(random() * 9); n > 0; n--)
      text += pick(['0', '0', '1', 'a1', 'FfFf', '255', '12345', '']) + pick([':', ':', ':', '.', '::', ''])
    const family = isIP(text)
    const bytes = parsed(text)
    expect(bytes !== undefined, text).toBe(family !== 0)
    if (bytes === undefined) continue
    addresses++
    const canonical = formatAddress(bytes, 0)
    // Node prints IPv4-mapped and (deprecated) IPv4-compatible addresses with dots behind colons.
    const node = new SocketAddress({ address: text, family: family === 4 ? 'ipv4' : 'ipv6' }).address
    if (!node.includes('.') || family === 4) expect(canonical, text).toBe(node)
    expect(parsed(canonical)).toStrictEqual(bytes)
  }
  expect(addresses).toBeGreaterThan(500)
})

/** RFC 8803 §6.2.5, RFC 6890. */
describe('forbidden targets', () => {
  test.each([
    ['127.0.0.1', 'loopback'],
    ['127.255.255.255', 'loopback'],
    ['::ffff:127.0.0.1', 'loopback'],
    ['::ffff:7f00:1', 'loopback'],
    ['::1', 'loopback'],
    ['0:0:0:0:0:0:0:1', 'loopback'],
    ['224.0.0.0', 'multicast'],
    ['239.255.255.255', 'multicast'],
    ['::ffff:224.0.0.1', 'multicast'],
    ['ff00::', 'multicast'],
    ['ff02::1', 'multicast'],
    ['ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'multicast'],
    ['255.255.255.255', 'broadcast'],
    ['::ffff:255.255.255.255', 'broadcast'],
    ['0.0.0.0', 'unspecified'],
    ['::ffff:0.0.0.0', 'unspecified'],
    ['::', 'unspecified'],
  ])('%s: %s', (address, why) => {
    expect(forbiddenTarget(address)).toBe(why)
  })

  test.each([
    '126.255.255.255',
    '128.0.0.0',
    '223.255.255.255',
    '240.0.0.0',
    '255.255.255.254',
    '0.0.0.1',
    '10.0.0.1',
    '192.0.2.1',
    '::2',
    '1::1',
    'fe80::1',
    'fc00::1',
    'feff::',
    '2001:db8::1',
    '::fffe:7f00:1',
  ])('%s is allowed', address => {
    expect(forbiddenTarget(address)).toBeUndefined()
  })
})

/** In a dirty buffer, and at an offset. */
function parsed(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(24).fill(0xa5)
  if (!parseAddress(text, bytes, 4)) return undefined
  expect([...bytes.subarray(0, 4), ...bytes.subarray(20)]).toEqual(Array(8).fill(0xa5))
  return bytes.slice(4, 20)
}
