import { endianness } from 'node:os'
import { describe, expect, test } from 'vitest'
import { interfaceFor, sourceRouting } from '../../../lib/runtime/network/source-routing.js'
import { hex } from '../../support/hex.js'
import { acknowledge, fakeKernel, part } from '../../support/netlink-kernel.js'

const asCaptured = describe.runIf(endianness() === 'LE')

asCaptured('the interface for packets that no socket binds', () => {
  // rtmsg: family, lengths, TOS, table, protocol, scope, type (unicast), flags; RTA_OIF 3.
  const route = (type: string) => hex(`02202000 fe0000${type} 00000000 08000400 03000000`)

  test('is the one of the route that the kernel answers', async () => {
    const kernel = fakeKernel(request => [part(request, route('01'), 24), acknowledge(request)])
    expect(await interfaceFor('10.2.0.2', '192.0.2.1', { open: kernel.open })).toBe(3)
    const [asked] = kernel.requests
    expect(asked!.type).toBe(26)
    expect(new Uint8Array(asked!.payload)).toEqual(
      hex('02202000 00000000 00000000 08000100 c0000201 08000200 0a020002'),
    )
    expect(kernel.connections).toMatchObject([{ protocol: 0, open: false }])
  })

  test('is none where the route leads nowhere', async () => {
    const kernel = fakeKernel(request => [part(request, route('06'), 24), acknowledge(request)])
    expect(await interfaceFor('10.2.0.2', '192.0.2.1', { open: kernel.open })).toBe(undefined)
  })

  test('a refusal is an error, and the socket is closed', async () => {
    const kernel = fakeKernel(request => [acknowledge(request, 101)])
    await expect(interfaceFor('10.2.0.2', '192.0.2.1', { open: kernel.open })).rejects.toMatchObject({
      code: 'ENETUNREACH',
    })
    expect(kernel.connections[0]!.open).toBe(false)
  })
})

test('this kernel leads from the loopback address to itself', async () => {
  // Local routes are no way out.
  expect(await interfaceFor('127.0.0.1', '127.0.0.1')).toBe(undefined)
})

test('the rules for an address: a table with the default route of its interface', () => {
  const links = new Map([[3, { name: 'wwan0' }]]) as never
  const route = { interfaceIndex: 3, metric: 0, table: 254 }
  const defaultRoutes = [
    { ...route, interfaceIndex: 2, family: 4 as const, gateway: '10.1.0.1' },
    { ...route, family: 4 as const, gateway: '10.2.0.1' },
    { ...route, family: 6 as const, gateway: undefined },
  ]
  expect(sourceRouting({ links, defaultRoutes }, 3, '10.2.0.2')).toEqual([
    'ip route replace default via 10.2.0.1 dev wwan0 table 1003',
    'ip rule add from 10.2.0.2 table 1003',
  ])
  expect(sourceRouting({ links, defaultRoutes }, 3, '2001:db8::2')).toEqual([
    'ip -6 route replace default dev wwan0 table 1003',
    'ip -6 rule add from 2001:db8::2 table 1003',
  ])
})
