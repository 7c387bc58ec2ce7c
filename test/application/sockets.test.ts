/**
 * Sockets whose listeners and callbacks throw, each in turn: an uncaught exception, as with net.connect; never a rejection, and
 * nothing else is lost for it.
 */
import net from 'node:net'
import { MaPduSession } from 'atsss' // the steering loop's thread is in dist/
import { describe, expect, test } from 'vitest'
import { connect, type MptcpConnectOptions } from '../../lib/index.js'
import { decodeContainer } from '../../lib/wire/index.js'
import { echoServer } from '../support/echo-server.js'
import { refusingPort } from '../support/native-addon.js'
import { leavesNothingOpen, open, settles } from '../support/open-things.js'
import { mptcp } from '../support/probes.js'
import { referenceConverter, through } from '../support/reference-converter.js'
import { requires } from '../support/requires.js'
import { type Uncaught, uncaughtIn } from '../support/uncaught.js'
import { SOCKET_EVENTS } from './events.js'

const mptcpTest = requires('MPTCP', mptcp)

type Connect = (options: MptcpConnectOptions, listener?: () => void) => net.Socket
const throws = (message: string) => () => {
  throw new Error(message)
}
const uncaught = (message: string): Uncaught => ({ origin: 'uncaughtException', message })
const named = ((_: string, __: object, done: (...found: unknown[]) => void) =>
  setImmediate(done, null, [{ address: '127.0.0.1', family: 4 }])) as unknown as net.LookupFunction

interface Course {
  uncaught: Uncaught[]
  /** What has come back, and whether the socket closed. */
  text: string
  closed: boolean
}

/** A connection that says something and ends, while `spoil` makes it throw. */
async function course(socket: () => net.Socket, spoil: (socket: net.Socket) => void): Promise<Course> {
  let text = ''
  let closed = false
  const seen = await uncaughtIn(async () => {
    const one = socket()
    one.on('data', chunk => {
      text += chunk
    })
    spoil(one)
    const over = new Promise<void>(resolve => one.once('close', () => resolve()))
    if (one.listenerCount('error') === 0) one.on('error', () => {})
    if (!one.writableEnded) one.end('hello')
    // A close listener that throws comes before ours: the end of it is seen otherwise.
    await Promise.race([over, waitUntil(() => one.closed, 1_000)])
    closed = one.closed
    one.destroy()
  })
  return { uncaught: seen, text, closed }
}

/** Gives up silently after `most` milliseconds. */
async function waitUntil(condition: () => boolean, most: number): Promise<void> {
  for (const end = Date.now() + most; Date.now() < end && !condition(); ) await new Promise(go => setTimeout(go, 5))
}

mptcpTest.describe('a connection', () => {
  leavesNothingOpen()

  /** In the order in which they come. */
  const events = ['lookup', 'connectionAttempt', 'connect', 'ready', 'data', 'end', 'finish', 'close'] as const

  const ways: [string, (port: number) => Promise<{ connect: Connect; close: () => unknown }>][] = [
    ['direct', async () => ({ connect: connect as Connect, close: () => {} })],
    [
      'through a converter',
      async () => {
        const running = await referenceConverter()
        const options = { ...through(running), convert: '1rtt' as const }
        return {
          connect: (given, listener) => connect({ ...options, ...given }, listener),
          close: () => running.converter.close(),
        }
      },
    ],
    ...(['inline', 'worker'] as const).map((controller): (typeof ways)[number] => [
      `of a session, controller ${controller}`,
      async () => {
        const before = open()
        const session = new MaPduSession({ accesses: { '3gpp': 'nowhere0', 'non-3gpp': 'lo' }, controller })
        await session.ready
        return {
          connect: session.connect as Connect,
          close: async () => {
            session.close()
            await settles(before)
          },
        }
      },
    ]),
  ]
  for (const [title, prepare] of ways)
    describe(title, () => {
      for (const event of events)
        test(`'${event}'`, async () => {
          await using echo = await echoServer()
          const { connect, close } = await prepare(echo.port)
          const options = { host: 'name.example', port: echo.port, lookup: named }
          const result = await course(
            () => connect(options),
            socket => socket.prependListener(event, throws(event)),
          )
          await close()
          expect(result.uncaught).toEqual([uncaught(event)])
          // As with Node, the listeners behind the one that throws are not called. Node's own are among them: without 'connect'
          // it does not read, and without 'end' it does not close.
          if (event !== 'connect' && event !== 'end') expect(result.closed).toBe(true)
          if (event !== 'connect' && event !== 'data') expect(result.text).toBe('hello')
        })

      test('what the codec throws in a listener of the application is not an answer of the converter', async () => {
        await using echo = await echoServer()
        const { connect, close } = await prepare(echo.port)
        const result = await course(
          () => connect({ host: '127.0.0.1', port: echo.port }),
          socket => socket.once('ready', () => decodeContainer(Uint8Array.of(1, 0, 9))),
        )
        await close()
        expect(result).toMatchObject({ closed: true, text: 'hello' })
        expect(result.uncaught).toMatchObject([{ origin: 'uncaughtException' }])
      })

      test('callbacks of write() and end(), and a listener for what comes between them', async () => {
        await using echo = await echoServer()
        const { connect, close } = await prepare(echo.port)
        const result = await course(
          () => connect({ host: '127.0.0.1', port: echo.port }),
          socket => {
            socket.once('ready', throws('ready'))
            socket.write('oh, ', throws('write'))
            socket.end('and', throws('end'))
          },
        )
        await close()
        const messages = result.uncaught.map(({ origin, message }) => `${origin} ${message}`)
        // Directly, as with net.connect, the callback of the write is called among the listeners of 'connect'. So there is no 'ready',
        // and Node does not read.
        const early = title === 'through a converter'
        const expected = early ? ['end', 'ready', 'write'] : ['end', 'write']
        expect(messages.sort()).toEqual(expected.map(name => `uncaughtException ${name}`))
        if (early) expect(result.text).toBe('oh, and')
      })
    })

  test("with net.connect, nothing of 'connect' and 'ready' is emitted behind a listener that throws", async () => {
    await using echo = await echoServer({ protocol: 'tcp' })
    const emitted = async (make: Connect, event: string) => {
      const seen: string[] = []
      await course(
        () => make({ host: '127.0.0.1', port: echo.port }),
        socket => {
          for (const name of ['connect', 'ready']) socket.on(name, () => seen.push(name))
          socket.prependListener(event, throws(event))
          setTimeout(() => socket.destroy(), 100)
        },
      )
      return seen
    }
    for (const [event, seen] of [
      ['connect', []],
      ['ready', ['connect']],
    ] as const) {
      expect(await emitted(net.connect, event)).toEqual(seen)
      expect(await emitted(connect as Connect, event)).toEqual(seen)
    }
  })

  test.each(events)(
    'with net.connect, an exception in %s is reported the same way',
    async event => {
      await using echo = await echoServer({ protocol: 'tcp' })
      const options = { host: 'name.example', port: echo.port, lookup: named }
      const spoil = (socket: net.Socket) => void socket.prependListener(event, throws(event))
      const theirs = await course(() => net.connect(options), spoil)
      const result = await course(() => connect(options), spoil)
      expect(result.uncaught).toEqual(theirs.uncaught)
      if (theirs.closed) expect(result).toEqual(theirs)
    },
    30_000,
  )
})

describe('a connection that fails', () => {
  leavesNothingOpen()

  test.each(['connectionAttemptFailed', 'error', 'close'])("'%s'", async event => {
    const port = await refusingPort()
    const spoil = (socket: net.Socket) => void socket.prependListener(event, throws(event))
    const result = await course(() => connect({ host: '127.0.0.1', port }), spoil)
    expect(result).toEqual({ uncaught: [uncaught(event)], text: '', closed: true })
    expect((await course(() => net.connect({ host: '127.0.0.1', port }), spoil)).uncaught).toEqual(result.uncaught)
  })

  mptcpTest("'connectionAttemptTimeout', and the next address is tried", async () => {
    await using silent = await listenerWithFullQueue()
    const lookup = ((_: string, __: object, done: (...found: unknown[]) => void) =>
      process.nextTick(done, null, [
        { address: '127.0.0.1', family: 4 },
        { address: '127.0.0.2', family: 4 },
      ])) as unknown as net.LookupFunction
    const result = await course(
      () => connect({ host: 'two.example', port: silent.port, lookup, attemptDelay: 20, connectTimeout: 300 }),
      socket => socket.on('connectionAttemptTimeout', throws('timeout')),
    )
    expect(result).toEqual({ uncaught: [uncaught('timeout')], text: '', closed: true })
  })
})

describe('functions and objects that the application gives', () => {
  leavesNothingOpen()

  test('a lookup that throws: connect() throws it, as with net.connect', () => {
    const options = { host: 'name.example', port: 1, lookup: throws('lookup') as never }
    expect(() => net.connect(options)).toThrow('lookup')
    expect(() => connect(options)).toThrow('lookup')
  })

  mptcpTest('a lookup that answers from a promise: what listeners throw is no rejection', async () => {
    await using echo = await echoServer()
    const lookup = ((_: string, __: object, done: (...found: unknown[]) => void) =>
      void Promise.resolve([{ address: '127.0.0.1', family: 4 }]).then(found => done(null, found))) as unknown as never
    const result = await course(
      () => connect({ host: 'name.example', port: echo.port, lookup }),
      socket => socket.on('lookup', throws('lookup')).on('connectionAttempt', throws('attempt')),
    )
    expect(result).toEqual({ uncaught: [uncaught('lookup'), uncaught('attempt')], text: 'hello', closed: true })
  })

  mptcpTest('a lookup that answers twice is heard once', async () => {
    await using echo = await echoServer()
    const lookup = ((_: string, __: object, done: (...found: unknown[]) => void) => {
      for (let i = 0; i < 2; i++) process.nextTick(done, null, [{ address: '127.0.0.1', family: 4 }])
    }) as unknown as net.LookupFunction
    const attempts: string[] = []
    const result = await course(
      () => connect({ host: 'name.example', port: echo.port, lookup }),
      socket => socket.on('connectionAttempt', address => attempts.push(address)),
    )
    expect(result).toEqual({ uncaught: [], text: 'hello', closed: true })
    expect(attempts).toEqual(['127.0.0.1'])
  })

  mptcpTest('a store of cookies that throws: the connection goes on without a cookie', async () => {
    await using echo = await echoServer()
    await using converter = await referenceConverter({ cookies: { secret: new Uint8Array(32).fill(7) } })
    for (const method of ['get', 'set', 'delete'] as const) {
      const store = new Map<string, Uint8Array>()
      store[method] = throws(method) as never
      const cookies = method === 'delete' ? withWrongCookie(store) : store
      const options = { ...through(converter.name), convert: '1rtt' as const, cookies }
      const result = await course(
        () => connect({ host: '127.0.0.1', port: echo.port, ...options }),
        () => {},
      )
      expect(result).toMatchObject({ closed: true, text: 'hello' })
      expect(new Set(result.uncaught.map(({ origin, message }) => `${origin} ${message}`))).toEqual(
        new Set([`uncaughtException ${method}`]),
      )
    }
  })

  mptcpTest('a store of cookies that returns something else is an error', async () => {
    const cookies = { get: () => 'no bytes' as never, set: () => {}, delete: () => {} }
    const options = { host: '192.0.2.1', port: 9, converters: '127.0.0.1:9', cookies }
    const code = await new Promise(resolve =>
      connect(options).once('error', error => resolve((error as NodeJS.ErrnoException).code)),
    )
    expect(code).toBe('ERR_ATSSS_OPTION')
  })

  mptcpTest('a block list that throws blocks', async () => {
    await using echo = await echoServer()
    const blockList = Object.assign(new net.BlockList(), { check: throws('check') })
    const errors: unknown[] = []
    const result = await course(
      () => connect({ host: '127.0.0.1', port: echo.port, blockList } as never),
      socket => socket.on('error', error => errors.push((error as NodeJS.ErrnoException).code)),
    )
    expect(errors).toEqual(['ERR_IP_BLOCKED'])
    expect(result).toMatchObject({ text: '', closed: true })
    expect(new Set(result.uncaught.map(({ message }) => message))).toEqual(new Set(['check']))
  })

  mptcpTest('onread', async () => {
    await using echo = await echoServer()
    const onread = { buffer: Buffer.alloc(100), callback: throws('onread') as never }
    for (const make of [net.connect, connect as Connect]) {
      const result = await course(
        () => make({ host: '127.0.0.1', port: echo.port, onread }),
        () => {},
      )
      expect(result).toEqual({ uncaught: [uncaught('onread')], text: '', closed: true })
    }
  })

  mptcpTest('setTimeout() and a signal', async () => {
    await using silent = await listenerWithFullQueue()
    const abort = new AbortController()
    abort.signal.addEventListener('abort', throws('abort'))
    const result = await course(
      () => connect({ host: '127.0.0.1', port: silent.port, signal: abort.signal } as never),
      socket => {
        socket.setTimeout(20, throws('timeout'))
        setTimeout(() => abort.abort(), 60)
      },
    )
    expect(result).toEqual({ uncaught: [uncaught('timeout'), uncaught('abort')], text: '', closed: true })
  })
})

test('every event of a socket that this library emits has a case above', () => {
  expect(SOCKET_EVENTS).toEqual(new Set(EVENTS_WITH_CASES))
})

const EVENTS_WITH_CASES = [
  ...['lookup', 'connectionAttempt', 'connectionAttemptFailed', 'connectionAttemptTimeout', 'connect', 'ready'],
]

/** Its cookie is refused, and then deleted. */
function withWrongCookie(store: Map<string, Uint8Array>): Map<string, Uint8Array> {
  let asked = 0
  store.get = () => (asked++ === 0 ? new Uint8Array(8).fill(1) : undefined)
  return store
}

/** SYNs are not answered. */
async function listenerWithFullQueue(): Promise<{ port: number } & AsyncDisposable> {
  const { native } = await import('../../lib/runtime/kernel/native.js')
  const { MPTCP } = await import('../support/native-addon.js')
  const listener = native().socket(4, MPTCP)
  native().bind(listener, '0.0.0.0', 0)
  native().listen(listener, 0)
  const { port } = native().getsockname(listener)
  const fillers = Array.from({ length: 4 }, () => native().socket(4, 6))
  for (const filler of fillers) native().connect(filler, '127.0.0.1', port)
  await new Promise(resolve => setTimeout(resolve, 20))
  return {
    port,
    async [Symbol.asyncDispose]() {
      for (const fd of [...fillers, listener]) native().close(fd)
    },
  }
}
