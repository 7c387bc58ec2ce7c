import { once } from 'node:events'
import net from 'node:net'
import { expect, test } from 'vitest'
import { MptcpSocket } from '../../lib/socket/socket.js'
import { blackHole } from '../support/black-hole.js'
import { echoServer, server } from '../support/echo-server.js'
import { leavesNothingOpen } from '../support/open-things.js'
import { mptcp } from '../support/probes.js'
import { requires } from '../support/requires.js'
import { type Connect, diary, sameAsNet } from '../support/same-as-net.js'

const mptcpTest = requires('MPTCP', mptcp)

leavesNothingOpen()

const answering = (...addresses: string[]) =>
  ((_: string, __: object, done: (error: null, found: object[]) => void) =>
    setImmediate(
      done,
      null,
      addresses.map(address => ({ address, family: 4 })),
    )) as unknown as net.LookupFunction

/** Each is run with net.connect and with ours, and must read the same. */
const conversations: Record<string, (connect: Connect, port: number) => net.Socket> = {
  'a word there and back': (connect, port) => {
    const socket = connect(port, '127.0.0.1')
    socket.end('hello')
    return socket
  },
  'by name': (connect, port) => {
    const socket = connect({ port, host: 'localhost', family: 4 })
    socket.end('hello')
    return socket
  },
  'by name, one address at a time': (connect, port) => {
    const socket = connect({ port, host: 'localhost', family: 4, autoSelectFamily: false })
    socket.end('hello')
    return socket
  },
  'nothing sent': (connect, port) => connect(port, '127.0.0.1').end().resume() as net.Socket,
  'written in the connect listener': (connect, port) => {
    const socket = connect(port, '127.0.0.1', () => socket.end('hello'))
    return socket
  },
  'text decoded': (connect, port) => {
    const socket = connect(port, '127.0.0.1').setEncoding('hex')
    socket.end('hello')
    return socket
  },
  'ended before it is connected': (connect, port) => {
    const socket = connect(port, '127.0.0.1')
    socket.write('a')
    socket.write('b')
    socket.end('c')
    return socket
  },
  'destroyed at once': (connect, port) => connect(port, '127.0.0.1').destroy(),
  'destroyed with an error at once': (connect, port) =>
    connect(port, '127.0.0.1').destroy(Object.assign(new Error('x'), { code: 'EXAMPLE' })),
  'destroyed in the lookup listener': (connect, port) => {
    const socket = connect({ port, host: 'localhost', lookup: answering('127.0.0.1', '127.0.0.2') })
    return socket.on('lookup', () => socket.destroy())
  },
  'destroyed in the connect listener': (connect, port) => {
    const socket = connect(port, '127.0.0.1', () => socket.destroy())
    return socket
  },
  'destroyed twice in the connect listener, with something written': (connect, port) => {
    const socket = connect(port, '127.0.0.1', () => socket.destroy().destroy())
    socket.write('hello')
    return socket
  },
  destroySoon: (connect, port) => {
    const socket = connect(port, '127.0.0.1')
    socket.write('hello')
    socket.destroySoon()
    return socket
  },
  'paused before it is connected': (connect, port) => {
    const socket = connect(port, '127.0.0.1')
    socket.pause()
    socket.on('end', () => {})
    socket.end('hello')
    setTimeout(() => socket.resume(), 50)
    return socket
  },
  'half-open allowed': (connect, port) => {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    socket.on('end', () => setImmediate(() => socket.destroy()))
    socket.end('hello')
    return socket
  },
  'a timeout': (connect, port) => {
    const socket = connect({ port, host: '127.0.0.1', timeout: 30 })
    socket.on('timeout', () => socket.end())
    return socket
  },
  'an address of IPv4 in IPv6': (connect, port) => {
    const socket = connect({ port, host: '::ffff:127.0.0.1' })
    socket.end('hello')
    return socket
  },
}

for (const [name, talk] of Object.entries(conversations))
  mptcpTest(name, async () => {
    await using echo = await echoServer()
    const entries = await sameAsNet(connect => {
      const socket = talk(connect, echo.port)
      if (name !== 'paused before it is connected') socket.on('data', () => {})
      return diary(socket)
    })
    expect(entries.at(-1)).toMatch(/^close /)
  })

mptcpTest.describe('an address that does not answer', () => {
  const lookup = answering('127.0.0.2', '127.0.0.1')

  test('the next one after autoSelectFamilyAttemptTimeout, and an event', async () => {
    await using echo = await echoServer()
    using _ = blackHole('127.0.0.2', echo.port)
    const entries = await sameAsNet(connect => {
      const options = { lookup, autoSelectFamily: true, autoSelectFamilyAttemptTimeout: 50 }
      const socket = connect({ port: echo.port, host: 'n.example', ...options }).resume()
      return diary(socket.on('connect', () => socket.end()))
    })
    expect(entries.map(entry => entry.split(' ').slice(0, 2).join(' '))).toEqual(
      expect.arrayContaining(['connectionAttemptTimeout 127.0.0.2', 'connectionAttempt 127.0.0.1']),
    )
  })

  test('destroyed in that event, nothing is tried any more', async () => {
    await using echo = await echoServer()
    using _ = blackHole('127.0.0.2', echo.port)
    await sameAsNet(connect => {
      const options = { lookup, autoSelectFamily: true, autoSelectFamilyAttemptTimeout: 20 }
      const socket = connect({ port: echo.port, host: 'n.example', ...options }).resume()
      return diary(socket.on('connectionAttemptTimeout', () => socket.destroy()))
    })
  })

  test('one on the block list is passed over, and holds nothing up', async () => {
    await using echo = await echoServer()
    using _ = blackHole('127.0.0.2', echo.port)
    const blockList = new net.BlockList()
    blockList.addAddress('127.0.0.3')
    const options = { blockList, lookup: answering('127.0.0.2', '127.0.0.3', '127.0.0.1'), attemptDelay: 10 }
    const socket = new MptcpSocket()
    const attempts: string[] = []
    socket.on('connectionAttempt', address => attempts.push(address))
    socket.connect({ port: echo.port, host: 'n.example', synTimeout: 1_900, ...options } as never)
    await once(socket, 'connect')
    // Held up, it would have waited for the second SYN to the first.
    expect(attempts).toEqual(['127.0.0.2', '127.0.0.1'])
    socket.destroy()
  })

  test("Node's name for the delay: less than 10 ms are 10; beside attemptDelay that one counts", async () => {
    await using echo = await echoServer()
    using _ = blackHole('127.0.0.2', echo.port)
    const to = { port: echo.port, host: 'n.example', lookup, autoSelectFamilyAttemptTimeout: 1 }
    const long = 60_000 // more than the test may take
    for (const socket of [
      new MptcpSocket({ attemptDelay: long }).connect(to),
      new MptcpSocket().connect({ ...to, autoSelectFamilyAttemptTimeout: long, attemptDelay: 10 }),
    ]) {
      await once(socket, 'connect')
      expect(socket.remoteAddress).toBe('127.0.0.1')
      socket.destroy()
    }
  })
})

mptcpTest('the peer resets', async () => {
  await using resetting = await server(socket => socket.once('data', () => socket.resetAndDestroy()))
  const entries = await sameAsNet(connect => {
    const socket = connect(resetting.port, '127.0.0.1').resume()
    socket.write('x')
    return diary(socket)
  })
  expect(entries.slice(-2).map(entry => entry.split(' ').slice(0, 2))).toEqual([
    ['error', 'ECONNRESET'],
    ['close', 'true'],
  ])
})

mptcpTest('the peer ends first', async () => {
  await using ending = await server(socket => socket.end('bye'))
  const entries = await sameAsNet(connect => diary(connect(ending.port, '127.0.0.1').on('data', () => {})))
  expect(entries.some(entry => entry.startsWith('data bye'))).toBe(true)
})

test('refused', async () => {
  const entries = await sameAsNet(connect => diary(connect(1, '127.0.0.1')))
  expect(entries.map(entry => entry.split(' ')[0])).toEqual([
    'connectionAttempt',
    'resume',
    'connectionAttemptFailed',
    'error',
    'close',
  ])
})

mptcpTest('::1', async () => {
  await using echo = await echoServer({ family: 6 })
  const result = await sameAsNet(async connect => {
    const socket = connect(echo.port, '::1')
    const entries = diary(socket.on('data', () => {}))
    await once(socket, 'connect')
    const { remoteAddress, remoteFamily, remotePort, localAddress, localFamily } = socket
    socket.end('hello')
    return { entries: await entries, remoteAddress, remoteFamily, remotePort, localAddress, localFamily }
  })
  expect(result).toMatchObject({ remoteAddress: '::1', remoteFamily: 'IPv6', localAddress: '::1' })
})

mptcpTest('connecting, pending and readyState over the life of a socket', async () => {
  await using echo = await echoServer()
  const states = await sameAsNet(async connect => {
    const seen: unknown[] = []
    const look = (when: string) => {
      const { connecting, pending, readyState, destroyed, closed, readable, writable } = socket
      seen.push({ when, connecting, pending, readyState, destroyed, closed, readable, writable })
      seen.push(socket.address())
    }
    const socket = connect({ port: echo.port, host: '127.0.0.1' }).resume()
    look('at once')
    await once(socket, 'connect')
    const { address, family } = socket.address() as net.AddressInfo
    seen.push(address, family, socket.localFamily, socket.remoteFamily)
    socket.end()
    await once(socket, 'close')
    look('closed')
    return seen
  })
  expect(states[0]).toMatchObject({ connecting: true, pending: true, readyState: 'opening' })
})
