/** Code of the application that throws: listeners, callbacks, hooks, stores. The process learns of it as with stock Node, and nothing is lost. */
import diagnostics from 'node:diagnostics_channel'
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import { text } from 'node:stream/consumers'
import tls from 'node:tls'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { connectTls } from '../../lib/agents/tls.js'
import { connector } from '../../lib/agents/undici.js'
import { resolveOptions } from '../../lib/input/options.js'
import { preload } from '../../lib/preload/preload.js'
import { createServer } from '../../lib/socket/server.js'
import { cert, key } from '../support/certificate.js'
import { echoServer } from '../support/echo-server.js'
import { listening } from '../support/mptcp-server.js'
import { until } from '../support/native-addon.js'
import { leavesNothingOpen, open } from '../support/open-things.js'
import { mptcp } from '../support/probes.js'
import { converterProcess, through } from '../support/reference-converter.js'
import { requires } from '../support/requires.js'
import { ours, sameAsNet, thrownBy } from '../support/same-as-net.js'
import { uncaughtIn } from '../support/uncaught.js'

const mptcpTest = requires('MPTCP', mptcp)

leavesNothingOpen()

const fails = (where: string) => () => {
  throw new Error(`thrown by ${where}`)
}
const uncaughtFrom = (...where: string[]) =>
  where.map(place => ({ origin: 'uncaughtException', message: `thrown by ${place}` }))

/** What a socket is once something of the application's has thrown; then it is closed. */
async function stateAfter(socket: net.Socket, thrown: () => boolean): Promise<object> {
  await until(thrown)
  await new Promise(resolve => setImmediate(() => setImmediate(resolve)))
  const { connecting, pending, destroyed, readyState } = socket
  socket.on('error', () => {})
  const closed = socket.closed || once(socket, 'close')
  socket.destroy()
  await closed
  return { connecting, pending, destroyed, readyState }
}

mptcpTest.describe('as with net.Socket: a connection whose', () => {
  let threw = 0
  const throwing = (where: string) => () => {
    threw++
    fails(where)()
  }
  const ways: Record<string, (socket: net.Socket, where: string) => unknown> = {
    'connect listener': socket => socket.once('connect', throwing('connect listener')),
    'ready listener': socket => socket.once('ready', throwing('ready listener')),
    'data listener': socket => socket.once('data', throwing('data listener')),
    'end listener': socket => socket.resume().once('end', throwing('end listener')),
    'close listener': socket => socket.resume().once('close', throwing('close listener')),
    'write callback': socket => socket.write('more', throwing('write callback')),
    'end callback': socket => socket.end('more', throwing('end callback')),
  }
  for (const [where, arrange] of Object.entries(ways))
    test(`${where} throws`, async () => {
      await using echo = await echoServer()
      const seen = await sameAsNet(async connect => {
        threw = 0
        let state: object | undefined
        const uncaught = await uncaughtIn(async () => {
          const socket = connect({ port: echo.port, host: 'localhost', family: 4 })
          arrange(socket, where)
          if (!socket.writableEnded) socket.end('hello')
          // After data the end of the stream arrives, at once or a little later, and closes the socket. The others stay as they are.
          state = await stateAfter(socket, () => threw > 0 && (where !== 'data listener' || socket.destroyed))
        })
        return { state, uncaught, threw }
      })
      expect(seen.uncaught).toEqual(uncaughtFrom(where))
    })

  test('lookup listener throws: the connection is made all the same, where stock Node leaves it connecting for ever', async () => {
    await using echo = await echoServer()
    let received = ''
    const uncaught = await uncaughtIn(async () => {
      const socket = ours({ port: echo.port, host: 'localhost', family: 4 })
      socket.once('lookup', throwing('lookup listener'))
      received = await text(socket.end('hello'))
    })
    expect({ received, uncaught }).toEqual({ received: 'hello', uncaught: uncaughtFrom('lookup listener') })
  })

  test('connectionListener throws', async () => {
    await using echo = await echoServer()
    const seen = await sameAsNet(async connect => {
      threw = 0
      let state: object | undefined
      const uncaught = await uncaughtIn(async () => {
        const socket = connect({ port: echo.port, host: '127.0.0.1' }, throwing('connectionListener') as never)
        state = await stateAfter(socket, () => threw > 0)
      })
      return { state, uncaught }
    })
    expect(seen.uncaught).toEqual(uncaughtFrom('connectionListener'))
  })

  test('lookup throws at once is not begun', async () => {
    const before = open()
    const seen = await sameAsNet(connect => {
      let socket: net.Socket | undefined
      const lookup = fails('lookup') as never
      const subscriber = (message: unknown) => {
        socket = (message as { socket: net.Socket }).socket
      }
      diagnostics.subscribe('net.client.socket', subscriber)
      const thrown = thrownBy(() => connect({ port: 1, host: 'server.example', lookup }))
      diagnostics.unsubscribe('net.client.socket', subscriber)
      socket?.destroy()
      return thrown
    })
    expect(seen).toMatchObject({ message: 'thrown by lookup' })
    expect(open()).toEqual(before)
  })

  test('lookup throws after it has answered goes on', async () => {
    await using echo = await echoServer()
    const seen = await sameAsNet(async connect => {
      let received = ''
      const uncaught = await uncaughtIn(async () => {
        const lookup = ((_: string, options: { all?: boolean }, done: (...found: unknown[]) => void) =>
          setImmediate(() => {
            if (options.all) done(null, [{ address: '127.0.0.1', family: 4 }])
            else done(null, '127.0.0.1', 4)
            fails('lookup')()
          })) as never
        const socket = connect({ port: echo.port, host: 'server.example', lookup })
        socket.end('hello')
        received = await text(socket)
      })
      return { received, uncaught }
    })
    expect(seen).toEqual({ received: 'hello', uncaught: uncaughtFrom('lookup') })
  })

  test('subscriber of net.client.socket throws goes on', async () => {
    await using echo = await echoServer()
    const seen = await sameAsNet(async connect => {
      let received = ''
      const subscriber = fails('the subscriber')
      const uncaught = await uncaughtIn(async () => {
        diagnostics.subscribe('net.client.socket', subscriber)
        const socket = connect({ port: echo.port, host: '127.0.0.1' })
        diagnostics.unsubscribe('net.client.socket', subscriber)
        socket.end('hello')
        received = await text(socket)
      })
      return { received, uncaught }
    })
    expect(seen).toEqual({ received: 'hello', uncaught: uncaughtFrom('the subscriber') })
  })
})

mptcpTest.describe('through a converter', () => {
  let converter: Awaited<ReturnType<typeof converterProcess>>
  beforeAll(async () => {
    converter = await converterProcess()
  }, 20_000)
  afterAll(() => converter?.stop())

  test('a connection whose write callback throws while it connects goes on', async () => {
    await using echo = await echoServer()
    let received = ''
    let called = 0
    const uncaught = await uncaughtIn(async () => {
      const socket = ours({ port: echo.port, host: '127.0.0.1', ...through(converter.name) })
      socket.on('data', chunk => {
        received += chunk
      })
      socket.write('one ', () => {
        called++
        fails('write')()
      })
      await once(socket, 'connect')
      socket.write('two ')
      await until(() => received === 'one two ')
      socket.destroy()
    })
    expect(called).toBe(1)
    expect(uncaught).toEqual(uncaughtFrom('write'))
  })
})

mptcpTest.describe('a listener', () => {
  test('whose connection listener throws goes on listening', async () => {
    const outcomes = []
    for (const create of [net.createServer, createServer] as (typeof net.createServer)[]) {
      const received: string[] = []
      const uncaught = await uncaughtIn(async () => {
        let first = true
        const server = create(socket => {
          socket.on('error', () => {})
          if (first) {
            first = false
            socket.destroy()
            fails('connection')()
          }
          socket.pipe(socket)
        })
        await once(server.listen(0, '127.0.0.1'), 'listening')
        const { port } = server.address() as net.AddressInfo
        for (let i = 0; i < 2; i++)
          received.push(await text(net.connect(port, '127.0.0.1').end('hello')).catch(() => 'reset'))
        await new Promise(resolve => server.close(resolve))
      })
      outcomes.push({ received, uncaught })
    }
    expect(outcomes[1]).toEqual(outcomes[0])
    expect(outcomes[1]!.uncaught).toEqual(uncaughtFrom('connection'))
  })

  test('whose callback for listen() throws listens', async () => {
    const outcomes = []
    for (const create of [net.createServer, createServer] as (typeof net.createServer)[]) {
      const received: string[] = []
      const uncaught = await uncaughtIn(async () => {
        const server = create(socket => void socket.pipe(socket)).listen(0, '127.0.0.1', fails('listen'))
        await until(() => server.listening)
        await new Promise(resolve => setImmediate(resolve))
        const { port } = server.address() as net.AddressInfo
        received.push(await text(net.connect(port, '127.0.0.1').end('hello')))
        await new Promise(resolve => server.close(resolve))
      })
      outcomes.push({ received, uncaught })
    }
    expect(outcomes[1]).toEqual(outcomes[0])
    expect(outcomes[1]).toEqual({ received: ['hello'], uncaught: uncaughtFrom('listen') })
  })
})

mptcpTest.describe('TLS', () => {
  const server = () => listening(tls.createServer({ cert, key }, socket => void socket.end('hello')))

  test('a store of sessions that throws when it is read: thrown at once, nothing is opened', () => {
    const before = open()
    const sessions = { get: fails('get') as never, set() {} }
    const thrown = thrownBy(() => connectTls({}, { host: 'server.example', port: 1, sessions }))
    expect(thrown).toMatchObject({ message: 'thrown by get' })
    expect(open()).toEqual(before)
  })

  test('a store that throws when it is written: the connection goes on', async () => {
    await using it = await server()
    let received = ''
    const sessions = { get: () => undefined, set: fails('set') as never }
    const uncaught = await uncaughtIn(async () => {
      const options = { host: 'localhost', family: 4, port: it.port, ca: cert, sessions }
      received = await text(connectTls({}, options))
    })
    expect(received).toBe('hello')
    expect(new Set(uncaught.map(({ message }) => message))).toEqual(new Set(['thrown by set']))
    expect(uncaught.every(({ origin }) => origin === 'uncaughtException')).toBe(true)
  })

  test('secureConnectListener throws: as with tls.connect', async () => {
    await using it = await server()
    const options = { host: 'localhost', family: 4, port: it.port, ca: cert }
    const outcomes = []
    for (const connect of [tls.connect, connectTls.bind(undefined, {})] as (typeof tls.connect)[]) {
      let threw = 0
      let state: object | undefined
      const uncaught = await uncaughtIn(async () => {
        const socket = connect(options as tls.ConnectionOptions, () => {
          threw++
          fails('secureConnect')()
        })
        state = await stateAfter(socket, () => threw > 0)
      })
      outcomes.push({ uncaught, state })
    }
    expect(outcomes[1]).toEqual(outcomes[0])
    expect(outcomes[1]!.uncaught).toEqual(uncaughtFrom('secureConnect'))
  })
})

mptcpTest.describe('the connector, whose callback throws', () => {
  for (const [what, host, options] of [
    ['when it gets a socket', '127.0.0.1', {}],
    ['when it gets an error of the connection', '127.0.0.1', { refused: true }],
    ['when it gets an error of the options', '127.0.0.1', { tls: { minVersion: 'TLSv9' } }],
  ] as const)
    test(what, async () => {
      await using web = await listening(http.createServer())
      let called = 0
      let socket: net.Socket | null = null
      const uncaught = await uncaughtIn(async () => {
        const secured = 'tls' in options
        const port = 'refused' in options ? '1' : String(web.port)
        const target = { hostname: host, protocol: secured ? 'https:' : 'http:', port }
        connector({}, secured ? (options as object) : {})(target, (_, made) => {
          called++
          socket = made
          fails('connected')()
        })
        await until(() => called > 0)
      })
      ;(socket as net.Socket | null)?.destroy()
      expect(called).toBe(1)
      expect(uncaught).toEqual(uncaughtFrom('connected'))
    })
})

mptcpTest.describe('the preload, whose function for the session throws', () => {
  test('is thrown by connect(), and the function is called again for the next connection', async () => {
    await using echo = await echoServer()
    let asked = 0
    const session = { explain() {}, on: () => session, off: () => session, steererOf: () => ({}) } as object
    Object.assign(session, { socketSettings: resolveOptions({}) })
    const release = preload(
      (() => {
        if (asked++ === 0) fails('the function')()
        return session
      }) as never,
      { includeLocal: true },
    )
    try {
      expect(thrownBy(() => net.connect(echo.port, '127.0.0.1'))).toMatchObject({ message: 'thrown by the function' })
      expect(await text(net.connect(echo.port, '127.0.0.1').end('hello'))).toBe('hello')
      expect(asked).toBe(2)
    } finally {
      release()
    }
  })
})
