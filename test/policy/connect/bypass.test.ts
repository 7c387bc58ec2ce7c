/** Servers that need no converter. RFC 8803 §3 and §6.2.6. */
import { expect, test } from 'vitest'
import { resolveOptions } from '../../../lib/input/options.js'
import { bypasses, MptcpServers } from '../../../lib/policy/connect/bypass.js'
import type { Endpoint } from '../../../lib/policy/connect/candidates.js'
import type { Tlv } from '../../../lib/wire/convert/index.js'
import { hex } from '../../support/hex.js'

const NOW = 1_000_000
const MINUTE = 60_000
const server = { address: '192.0.2.1', port: 443, access: 'wlan0' }
/** The answer with a server's SYN+ACK: MSS 1460, and MP_CAPABLE of version 1 (RFC 8684 §3.1) or not. */
const WITH: Tlv[] = [{ type: 'extended-tcp-header', options: hex('02 04 05 b4 1e 04 01 01') }]
const WITHOUT: Tlv[] = [{ type: 'extended-tcp-header', options: hex('02 04 05 b4') }]

test('a server that has answered with MPTCP is known for ten minutes, over that access', () => {
  const servers = new MptcpServers()
  expect(servers.has(server, NOW)).toBe(false)
  servers.learn(server, WITH, NOW)
  expect(servers.has(server, NOW)).toBe(true)
  expect(servers.has(server, NOW + 10 * MINUTE - 1)).toBe(true)
  expect(servers.has(server, NOW + 10 * MINUTE)).toBe(false)
  expect(servers.has({ ...server, access: 'wwan0' }, NOW)).toBe(false)
  expect(servers.has({ ...server, port: 80 }, NOW)).toBe(false)
  expect(servers.has({ ...server, address: '192.0.2.2' }, NOW)).toBe(false)
})

test.each<[string, Tlv[], boolean]>([
  ['without MPTCP', WITHOUT, false],
  ['with options cut short', [{ type: 'extended-tcp-header', options: hex('02 04 05 b4 1e') }], false],
  ['without the TLV, which says nothing', [], true],
])('an answer %s', (_name, answer, still) => {
  const servers = new MptcpServers()
  servers.learn(server, answer, NOW)
  expect(servers.has(server, NOW)).toBe(false)
  servers.learn(server, WITH, NOW)
  servers.learn(server, answer, NOW)
  expect(servers.has(server, NOW)).toBe(still)
})

test('what did not work directly is not tried again for ten minutes, whatever the converter says', () => {
  const servers = new MptcpServers()
  servers.learn(server, WITH, NOW)
  servers.avoid(server, NOW)
  servers.learn(server, WITH, NOW + 1)
  servers.learn(server, WITHOUT, NOW + 2)
  servers.learn(server, WITH, NOW + 10 * MINUTE - 1)
  expect(servers.has(server, NOW + 10 * MINUTE - 1)).toBe(false)
  servers.learn(server, WITH, NOW + 10 * MINUTE)
  expect(servers.has(server, NOW + 10 * MINUTE)).toBe(true)
})

test('1,000 servers are known; the ones learned longest ago are dropped', () => {
  const servers = new MptcpServers()
  for (let port = 1; port <= 1_001; port++) {
    if (port === 1_001) servers.learn({ ...server, port: 2 }, WITH, NOW) // learned again
    servers.learn({ ...server, port }, WITH, NOW)
  }
  const known = [1, 2, 3, 1_001].map(port => servers.has({ ...server, port }, NOW))
  expect(known).toEqual([false, true, true, true])
})

test('ways past the converters: over the best access only, and only for servers that are known', () => {
  const a: Endpoint = { address: '192.0.2.1', family: 4, port: 443 }
  const b: Endpoint = { address: '192.0.2.2', family: 4, port: 443 }
  const ways = bypasses(
    [
      { to: a, interfaces: ['wlan0', 'wwan0'] },
      { to: b, interfaces: ['wwan0', 'wlan0'] },
      { to: b, interfaces: [] },
    ],
    (_to, device) => device === 'wlan0',
  )
  expect(
    ways.map(({ destination, via, interface: device, bypass, tcp }) => [destination, via, device, bypass, tcp]),
  ).toEqual([[a, undefined, 'wlan0', true, false]])
})

test('the option asks the converter for MPTCP towards the server, once', () => {
  const mptcp = { kind: 30, value: new Uint8Array(0) }
  expect(resolveOptions({})).toMatchObject({ bypass: 'never', tcpOptions: [] })
  expect(resolveOptions({ bypass: 'learned' })).toMatchObject({ bypass: 'learned', tcpOptions: [mptcp] })
  expect(
    resolveOptions({ bypass: 'learned', tcpOptions: [{ kind: 30, value: new Uint8Array(0) }] }).tcpOptions,
  ).toEqual([mptcp])
  expect(resolveOptions({ bypass: 'learned', mptcp: 'off' })).toMatchObject({ bypass: 'never', tcpOptions: [] })
  expect(() => resolveOptions({ bypass: 'always' as never })).toThrow("must be 'never' or 'learned'")
})
