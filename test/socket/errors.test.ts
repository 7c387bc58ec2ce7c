import { once } from 'node:events'
import net, { type LookupFunction } from 'node:net'
import { describe, expect, test } from 'vitest'
import { echoServer } from '../support/echo-server.js'
import { refusingPort } from '../support/native-addon.js'
import { leavesNothingOpen } from '../support/open-things.js'
import { mptcp } from '../support/probes.js'
import { requires } from '../support/requires.js'
import { type Connect, errorOf, ours, sameAsNet } from '../support/same-as-net.js'

const mptcpTest = requires('MPTCP', mptcp)

leavesNothingOpen()

/** A lookup that gives back what it is told, in a later turn. */
function answering(...results: unknown[]): LookupFunction {
  return ((_: string, __: object, done: (...results: unknown[]) => void) => setImmediate(done, ...results)) as never
}

const v4 = (address: string) => ({ address, family: 4 })

describe('a connection that fails has the error of net.connect, field by field', () => {
  test('refused', async () => {
    const port = await refusingPort()
    const error = await sameAsNet(connect => errorOf(connect(port, '127.0.0.1')))
    expect(error).toMatchObject({ code: 'ECONNREFUSED', address: '127.0.0.1', port, syscall: 'connect' })
  })

  test.each<[string, net.TcpNetConnectOpts]>([
    ['refused over IPv6', { port: 1, host: '::1' }],
    ['refused at an IPv4-mapped address', { port: 1, host: '::ffff:127.0.0.1' }],
    ['refused by name', { port: 1, host: 'localhost', family: 4, autoSelectFamily: false }],
    ['port 0', { port: 0, host: '127.0.0.1' }],
    ['refused, with a local address', { port: 1, host: '127.0.0.1', localAddress: '127.0.0.3' }],
    [
      'refused, with a local address and port',
      { port: 1, host: '127.0.0.1', localAddress: '127.0.0.3', localPort: 23_803 },
    ],
    ['a local address that is not here', { port: 1, host: '127.0.0.1', localAddress: '192.0.2.77' }],
    ['a local address of the other family', { port: 1, host: '127.0.0.1', localAddress: '::1' }],
    ['a local address of the other family, the other way', { port: 1, host: '::1', localAddress: '127.0.0.1' }],
    ['the broadcast address', { port: 1, host: '255.255.255.255' }],
    ['a multicast address', { port: 1, host: '224.0.0.1' }],
  ])('%s', async (_, options) => {
    expect(await sameAsNet(connect => errorOf(connect(options)))).toBeDefined()
  })

  test('a local port that is taken', async () => {
    const server = net.createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as net.AddressInfo
    const options = { port: 1, host: '127.0.0.1', localAddress: '127.0.0.1', localPort: port }
    const error = await sameAsNet(connect => errorOf(connect(options)))
    expect(error).toMatchObject({ code: 'EADDRINUSE' })
    server.close()
  })

  test('several addresses refuse: an AggregateError', async () => {
    const lookup = answering(null, [v4('127.0.0.1'), v4('127.0.0.2'), { address: '::1', family: 6 }])
    const error = await sameAsNet(connect => errorOf(connect({ port: 1, host: 'several.example', lookup })))
    expect(error).toMatchObject({
      name: 'AggregateError',
      code: 'ECONNREFUSED',
      errors: [{ address: '127.0.0.1' }, { address: '::1' }, { address: '127.0.0.2' }],
    })
  })

  test('an address twice is tried once', async () => {
    const lookup = answering(null, [v4('127.0.0.1'), v4('127.0.0.1')])
    const error = await sameAsNet(connect => errorOf(connect({ port: 1, host: 'several.example', lookup })))
    expect(error).toMatchObject({ name: 'Error', code: 'ECONNREFUSED' })
  })
})

describe('names', () => {
  test.each<[string, LookupFunction]>([
    ['the lookup fails', answering(Object.assign(new Error('no such name'), { code: 'ENOTFOUND', hostname: 'x' }))],
    ['it gives an empty list', answering(null, [])],
    ['it gives an address that is none', answering(null, [{ address: 'rubbish', family: 4 }])],
    ['it gives a family that is none', answering(null, [{ address: '127.0.0.1', family: 5 }])],
    ['it gives objects without addresses', answering(null, [{}])],
  ])('%s', async (_, lookup) => {
    // An empty list crashes stock Node, and some rubbish makes it hang: what matters is that ours ends in an error.
    const error = await errorOf(ours({ port: 1, host: 'name.example', lookup }))
    expect(error).toMatchObject({ code: expect.stringMatching(/^E/) })
  })

  test.each<[string, LookupFunction]>([
    ['the lookup fails', answering(Object.assign(new Error('no such name'), { code: 'ENOTFOUND', hostname: 'x' }))],
    ['it gives an address that is none', answering(null, 'rubbish', 4)],
    ['it gives nothing', answering(null)],
    ['it gives a family that is none', answering(null, '127.0.0.1', 5)],
    ['it gives the family as text', answering(null, '127.0.0.1', 'IPv4')],
  ])('one at a time: %s', async (_, lookup) => {
    const options = { port: 1, host: 'name.example', lookup, autoSelectFamily: false }
    await sameAsNet(connect => errorOf(connect(options)))
  })

  test.each<[string, LookupFunction]>([
    ['an address that is none', answering(null, [{ address: 'rubbish', family: 4 }])],
    ['a family that is none', answering(null, [{ address: '127.0.0.1', family: 5 }])],
    ['objects without addresses', answering(null, [{}])],
  ])('all at once: %s', async (_, lookup) => {
    await sameAsNet(connect => errorOf(connect({ port: 1, host: 'name.example', lookup, autoSelectFamily: true })))
  })

  test('a name that cannot be', async () => {
    const error = await sameAsNet(connect => errorOf(connect(1, 'no.such.name.invalid')))
    expect(error).toMatchObject({ syscall: 'getaddrinfo', hostname: 'no.such.name.invalid' })
  })

  test('what lookup is called with', async () => {
    const given: [string, net.TcpNetConnectOpts][] = [
      ['a', { port: 1 }],
      ['a', { port: 1, family: 6 }],
      ['a', { port: 1, family: 'IPv4' as never }],
      ['a', { port: 1, hints: 1024 }],
      ['a', { port: 1, autoSelectFamily: false }],
      ['a', { port: 1, localAddress: '127.0.0.1' }],
    ]
    for (const [host, options] of given)
      await sameAsNet(async connect => {
        const calls: unknown[] = []
        const lookup = ((...args: [string, object, (error: Error) => void]) => {
          calls.push(args.slice(0, 2))
          args[2](new Error('enough'))
        }) as never
        await errorOf(connect({ ...options, host, lookup }))
        return calls
      })
  })

  mptcpTest('good addresses among bad ones do', async () => {
    await using echo = await echoServer()
    const lookup = answering(null, [
      { address: 'rubbish', family: 4 },
      { address: '127.0.0.1', family: 5 },
      v4('127.0.0.1'),
    ])
    const address = await sameAsNet(async connect => {
      const socket = connect({ port: echo.port, host: 'name.example', lookup })
      await once(socket, 'connect')
      const { remoteAddress } = socket
      socket.destroy()
      return remoteAddress
    })
    expect(address).toBe('127.0.0.1')
  })

  mptcpTest.describe('the next address is tried when the first refuses', () => {
    for (const autoSelectFamily of [true, undefined])
      test(`autoSelectFamily: ${autoSelectFamily}`, async () => {
        await using echo = await echoServer()
        const lookup = answering(null, [v4('127.0.0.9'), { address: '::1', family: 6 }, v4('127.0.0.1')])
        const result = await sameAsNet(async connect => {
          const socket = connect({
            port: echo.port,
            host: 'name.example',
            lookup,
            ...(autoSelectFamily && { autoSelectFamily }),
          })
          const lookups: unknown[] = []
          socket.on('lookup', (_, address) => lookups.push(address))
          await once(socket, 'connect')
          const { remoteAddress, autoSelectFamilyAttemptedAddresses } = socket
          socket.destroy()
          return { remoteAddress, autoSelectFamilyAttemptedAddresses, lookups }
        })
        expect(result.remoteAddress).toBe('127.0.0.1')
      })
  })

  mptcpTest('a dual-stack name reaches a server of either family', async () => {
    for (const family of [4, 6] as const) {
      await using echo = await echoServer({ family })
      const lookup = answering(null, [{ address: '::1', family: 6 }, v4('127.0.0.1')])
      const socket = ours({ port: echo.port, host: 'name.example', lookup })
      await once(socket, 'connect')
      expect(socket.remoteFamily).toBe(`IPv${family}`)
      socket.destroy()
    }
  })
})

describe('a block list', () => {
  const blockList = new net.BlockList()
  blockList.addAddress('127.0.0.1')
  blockList.addAddress('::1', 'ipv6')

  const forms: Record<string, (connect: Connect) => net.Socket> = {
    'an address': connect => connect({ port: 1, host: '127.0.0.1', blockList } as never),
    'an address of IPv6': connect => connect({ port: 1, host: '::1', blockList } as never),
    'a name': connect =>
      connect({ port: 1, host: 'n.example', blockList, lookup: answering(null, [v4('127.0.0.1')]) } as never),
  }
  for (const [name, call] of Object.entries(forms))
    test(`${name} that is on it is not connected to`, async () => {
      expect(await errorOf(call(ours))).toMatchObject({ code: 'ERR_IP_BLOCKED' })
    })

  mptcpTest('an address that is not on it is', async () => {
    await using echo = await echoServer()
    const other = new net.BlockList()
    other.addAddress('127.0.0.9')
    const lookup = answering(null, [v4('127.0.0.9'), v4('127.0.0.1')])
    const socket = ours({ port: echo.port, host: 'n.example', blockList: other, lookup } as never)
    await once(socket, 'connect')
    expect(socket.remoteAddress).toBe('127.0.0.1')
    socket.destroy()
  })
})

mptcpTest('what the kernel says when it has given up a connection is TCP’s error', async () => {
  await using server = await echoServer()
  const socket = ours(server.port, '127.0.0.1')
  await once(socket, 'connect')
  const error = once(socket, 'error')
  const said = Object.assign(new Error('read ENOTCONN'), { code: 'ENOTCONN', errno: -107, syscall: 'read' })
  socket.destroy(said) // as Node does when read(2) has failed
  expect((await error)[0]).toMatchObject({
    ...{ code: 'ETIMEDOUT', syscall: 'read', message: 'read ETIMEDOUT', cause: said },
  })
})
