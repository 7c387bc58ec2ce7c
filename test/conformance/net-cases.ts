/**
 * What a program may see of a socket, as a table: each case is run with net's sockets and with ours, and gives the same.
 * A case leaves nothing open, and gives plain values: what happened in which order, with which errors and properties.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import diagnostics from 'node:diagnostics_channel'
import { once } from 'node:events'
import net from 'node:net'
import { type Connect, diary, errorOf, plain, thrownBy } from '../support/same-as-net.js'

export interface Kit {
  connect: Connect
  /** `new net.Socket`, or ours. */
  create(options?: object): net.Socket
}

/** A case gets a port where `peer` is served, on 127.0.0.1; 0 without one. */
export type Case = [name: string, run: (kit: Kit, port: number) => unknown, peer?: (socket: net.Socket) => void]

const closed = (socket: net.Socket) => new Promise<void>(resolve => socket.once('close', () => setImmediate(resolve)))
const echo = (socket: net.Socket) => void socket.pipe(socket)
const greet = (socket: net.Socket) => void socket.resume().end('hello')
const silent = (socket: net.Socket) => void socket.resume().on('end', () => socket.end())
const never = (() => {}) as never

/** All that says how far a socket is. */
function state(socket: net.Socket): object {
  const { connecting, pending, readyState, destroyed, closed, errored, bytesRead, bytesWritten } = socket
  const { readableEnded, writableFinished, writableLength, allowHalfOpen, timeout } = socket
  const remote = [socket.remoteAddress, socket.remoteFamily, typeof socket.remotePort]
  const local = [socket.localAddress, socket.localFamily, typeof socket.localPort]
  const stages = { connecting, pending, readyState, destroyed, closed, errored: errored?.message }
  return {
    ...stages,
    bytesRead,
    bytesWritten,
    readableEnded,
    writableFinished,
    writableLength,
    allowHalfOpen,
    timeout,
    remote,
    local,
  }
}

/** The state at once, and at each of these events. */
function states(socket: net.Socket, ...events: string[]): Promise<object[]> {
  const seen: object[] = [{ at: 'once', ...state(socket) }]
  for (const event of [...events, 'close']) socket.once(event, () => seen.push({ at: event, ...state(socket) }))
  socket.on('error', error => seen.push({ error: code(error) }))
  return closed(socket).then(() => seen)
}

const code = (error: unknown) => (error as NodeJS.ErrnoException)?.code

const byLookup = (answer: (callback: (...args: unknown[]) => void) => void) =>
  ((_: string, __: object, callback: (...args: unknown[]) => void) => answer(callback)) as never

export const cases: Case[] = [
  // States, step by step.
  [
    'states: connected, ended',
    ({ connect }, port) => {
      const socket = connect(port, '127.0.0.1')
      socket.resume().end('hello')
      return states(socket, 'connect', 'ready', 'end')
    },
    echo,
  ],
  [
    'states: destroyed in the same turn',
    ({ connect }, port) => {
      const socket = connect(port, '127.0.0.1')
      const seen = states(socket, 'connect')
      socket.destroy()
      return seen
    },
    silent,
  ],
  [
    'states: destroyed with an error',
    ({ connect }, port) => {
      const socket = connect(port, '127.0.0.1')
      socket.on('connect', () => socket.destroy(new Error('enough')))
      return states(socket, 'connect')
    },
    silent,
  ],
  ['states: refused', ({ connect }) => states(connect(1, '127.0.0.1'), 'connect')],
  ['states: never connected', ({ create }) => state(create())],
  [
    'states: before and after a look-up that fails',
    ({ connect }) =>
      states(connect({ port: 9, host: 'x.example', lookup: byLookup(done => done(new Error('no'))) }), 'lookup'),
  ],

  // The order of events.
  ...(['end()', 'write, end()', 'destroySoon()', 'destroySoon() with bytes', 'cork()'] as const).map(
    (how): Case => [
      `events: ${how}`,
      ({ connect }, port) => {
        const socket = connect({ port, host: '127.0.0.1' })
        socket.resume()
        const entries = diary(socket)
        const soon = socket as net.Socket & { destroySoon(): void }
        if (how === 'end()') socket.end()
        if (how === 'write, end()') {
          socket.write('a')
          socket.end('b')
        }
        if (how === 'destroySoon()') soon.destroySoon()
        if (how === 'destroySoon() with bytes') {
          socket.write('hello')
          soon.destroySoon()
        }
        if (how === 'cork()') {
          socket.cork()
          socket.write('a')
          socket.write('b')
          socket.uncork()
          socket.end()
        }
        return entries
      },
      silent,
    ],
  ),
  ['events: the peer ends at once', ({ connect }, port) => diary(connect(port, '127.0.0.1').resume()), greet],
  [
    'events: the peer ends at once, half-open',
    async ({ connect }, port) => {
      const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true }).resume()
      const entries = diary(socket)
      await once(socket, 'end')
      const between = state(socket)
      socket.end('late')
      return [await entries, between]
    },
    greet,
  ],
  [
    'events: two look-up addresses',
    ({ connect }, port) => {
      const lookup = byLookup(done =>
        done(null, [
          { address: '127.0.0.1', family: 4 },
          { address: '127.0.0.2', family: 4 },
        ]),
      )
      const socket = connect({ port, host: 'x.example', lookup, autoSelectFamily: true }).resume()
      socket.on('connect', () => socket.end())
      return diary(socket)
    },
    silent,
  ],
  [
    'events: the first address refuses, autoSelectFamily',
    ({ connect }, port) => {
      const lookup = byLookup(done =>
        done(null, [
          { address: '::1', family: 6 },
          { address: '127.0.0.1', family: 4 },
        ]),
      )
      const socket = connect({ port, host: 'x.example', lookup, autoSelectFamily: true }).resume()
      socket.on('connect', () => socket.end())
      return diary(socket)
    },
    silent,
  ],
  [
    'autoSelectFamilyAttemptedAddresses',
    async ({ connect }, port) => {
      const lookup = byLookup(done =>
        done(null, [
          { address: '::1', family: 6 },
          { address: '127.0.0.1', family: 4 },
        ]),
      )
      const socket = connect({ port, host: 'x.example', lookup, autoSelectFamily: true })
      await once(socket, 'connect')
      const attempted = socket.autoSelectFamilyAttemptedAddresses
      socket.destroy()
      await closed(socket)
      return attempted
    },
    silent,
  ],

  // Bad answers of a look-up.
  ...(
    [
      ['an error', done => done(Object.assign(new Error('no'), { code: 'EOWN' }))],
      ['undefined', done => done(null, undefined)],
      ['an address that is none', done => done(null, 'x', 4)],
      ['a family that is none', done => done(null, '127.0.0.1', 7)],
      [
        'a list with nothing usable',
        done =>
          done(null, [
            { address: 'x', family: 4 },
            { address: 'y', family: 6 },
          ]),
      ],
    ] as [string, (done: (...args: unknown[]) => void) => void][]
  )
    .flatMap(([name, answer]) => [true, false].map(autoSelectFamily => ({ name, answer, autoSelectFamily })))
    // Node itself crashes there.
    .filter(({ name, autoSelectFamily }) => !(name === 'undefined' && autoSelectFamily))
    .map(
      ({ name, answer, autoSelectFamily }): Case => [
        `lookup: ${name}, autoSelectFamily: ${autoSelectFamily}`,
        async ({ connect }) => {
          const lookup = byLookup(done => setImmediate(answer, done))
          let socket: net.Socket | undefined
          const thrown = thrownBy(() => {
            socket = connect({ port: 9, host: 'x.example', lookup, autoSelectFamily })
          })
          return thrown ?? (await errorOf(socket!))
        },
      ],
    ),

  // Options that cannot be.
  ...(
    [
      { port: -1 },
      { port: 65_536 },
      { port: 'x' },
      { port: 1.5 },
      { port: NaN },
      { port: null },
      { port: {} },
      // Node 20 itself crashes on it.
      ...(Number.parseInt(process.versions.node, 10) > 20 ? [{ port: 9, host: ['127.0.0.1'] }] : []),
      { port: 9, lookup: 'x' },
      { port: 9, localAddress: 'x' },
      { port: 9, localPort: 'x' },
      { port: 9, hints: -1 },
      { port: 9, host: 'x.example', family: 5 },
      { port: 9, autoSelectFamily: 'x' },
      { port: 9, autoSelectFamily: true, autoSelectFamilyAttemptTimeout: -1 },
      { port: 9, autoSelectFamilyAttemptTimeout: 'x' },
      { port: 9, timeout: 'x' },
      { port: 9, timeout: -1 },
      { port: 9, signal: 'x' },
      { port: 9, onread: 'x' },
      { port: 9, blockList: 'x' },
      { port: 9, objectMode: true },
      { port: 9, fd: -1 },
      { port: 9, fd: 'x' },
      { port: 9, keepAlive: 'x' },
      { path: 5 },
      { path: '' },
      {},
      { port: 9, readableHighWaterMark: 'x' },
      { port: 9, highWaterMark: -1 },
    ] as object[]
  ).map(
    (options): Case => [
      `options: ${JSON.stringify(options)}`,
      async ({ connect }) => {
        let socket: net.Socket | undefined
        const thrown = thrownBy(() => {
          socket = connect({ host: '127.0.0.1', ...options } as never)
        })
        return thrown ?? (await errorOf(socket!)) // nobody listens there
      },
    ],
  ),

  // Constructor, and connect() on what there is.
  [
    'new Socket({ signal }), aborted before',
    async ({ create }) => {
      const socket = create({ signal: AbortSignal.abort() })
      return [await errorOf(socket), state(socket)]
    },
  ],
  [
    'new Socket({ signal }), aborted after',
    async ({ create }) => {
      const controller = new AbortController()
      const socket = create({ signal: controller.signal })
      controller.abort()
      return [await errorOf(socket), state(socket)]
    },
  ],
  [
    'connect() with an array that is not Node’s own',
    ({ create }, port) => thrownBy(() => create().connect([{ port }, never] as never)),
    silent,
  ],
  ['connect() without anything', ({ create }) => thrownBy(() => create().connect(undefined as never))],
  [
    'connect() again after close',
    async ({ connect }, port) => {
      const socket = connect(port, '127.0.0.1')
      const all = []
      for (let i = 0; i < 3; i++) {
        if (i > 0) socket.connect(port, '127.0.0.1')
        socket.resume().end(`${i}`)
        all.push(await states(socket, 'connect', 'end'))
      }
      return all
    },
    echo,
  ],
  [
    'connect() again in the close listener, after a refusal',
    async ({ connect }, port) => {
      const socket = connect(1, '127.0.0.1')
      const error = await errorOf(socket)
      socket.connect(port, '127.0.0.1')
      socket.resume().end('x')
      return [error, await states(socket, 'connect')]
    },
    echo,
  ],
  [
    'write() after end(), after destroy()',
    async ({ connect }, port) => {
      const socket = connect(port, '127.0.0.1')
      const errors: unknown[] = []
      socket.on('error', error => errors.push(plain(error)))
      socket.end()
      socket.write('x', error => errors.push(plain(error)))
      await closed(socket)
      socket.write('y', error => errors.push(plain(error)))
      await new Promise(setImmediate)
      return errors
    },
    silent,
  ],
  [
    'write() of what cannot be written',
    ({ connect }, port) => {
      const socket = connect(port, '127.0.0.1')
      const thrown = [null, 5, {}, [], undefined].map(value => thrownBy(() => socket.write(value as never)))
      socket.destroy()
      return thrown
    },
    silent,
  ],
  [
    'setTimeout() of what is no time',
    ({ create }) => [-1, Number.NaN, 'x', {}].map(value => thrownBy(() => create().setTimeout(value as never))),
  ],
  [
    'methods give the socket',
    ({ create }) => {
      const socket = create()
      return [
        socket.setNoDelay(),
        socket.setKeepAlive(true, 1_000),
        socket.setTimeout(0),
        socket.ref(),
        socket.unref(),
      ].map(result => result === socket)
    },
  ],
  [
    'address() before, while and after',
    async ({ connect }, port) => {
      const socket = connect(port, '127.0.0.1')
      const all: unknown[] = [Object.keys(socket.address())]
      await once(socket, 'connect')
      all.push({ ...socket.address(), port: 0 })
      socket.destroy()
      await closed(socket)
      all.push(Object.keys(socket.address()))
      return all
    },
    silent,
  ],
  [
    'localAddress and localPort',
    async ({ connect }, port) => {
      const socket = connect({ port, host: '127.0.0.1', localAddress: '127.0.0.9' })
      await once(socket, 'connect')
      const { localAddress } = socket
      socket.destroy()
      await closed(socket)
      return localAddress
    },
    silent,
  ],
  [
    'localAddress of the other family',
    ({ connect }) => errorOf(connect({ port: 9, host: '127.0.0.1', localAddress: '::1' })),
  ],
  [
    'localAddress of somebody else',
    ({ connect }) => errorOf(connect({ port: 9, host: '127.0.0.1', localAddress: '192.0.2.1' })),
  ],

  [
    'a listener that is there only after the promises of the turn',
    async ({ connect }, port) => {
      await new Promise(setImmediate) // so that the turn is not the module's own
      const socket = connect(port, '127.0.0.1')
      await null
      await null
      const before = state(socket)
      await once(socket, 'connect')
      socket.destroy()
      await closed(socket)
      return before
    },
    silent,
  ],

  // Bytes and their flow.
  [
    'bytesWritten and writableLength, before and after',
    async ({ connect }, port) => {
      const socket = connect(port, '127.0.0.1')
      const at = () => [socket.bytesWritten, socket.writableLength, socket.writableNeedDrain]
      const all = [at()]
      for (const chunk of ['four', Buffer.alloc(10), new Uint8Array(3), 'é']) all.push([socket.write(chunk), ...at()])
      socket.resume().end()
      await closed(socket)
      return [...all, at(), socket.bytesRead]
    },
    echo,
  ],
  [
    'pause() before connect(), resume() later',
    async ({ connect }, port) => {
      const socket = connect(port, '127.0.0.1').pause()
      const entries = diary(socket)
      await once(socket, 'connect')
      await new Promise(resolve => setTimeout(resolve, 20))
      const { bytesRead, readableFlowing } = socket
      socket.resume()
      return [await entries, bytesRead, readableFlowing]
    },
    greet,
  ],
  [
    'setEncoding, async iteration',
    async ({ connect }, port) => {
      let text = ''
      for await (const chunk of connect(port, '127.0.0.1').setEncoding('utf8')) text += chunk
      return text
    },
    greet,
  ],
  [
    'onread into one buffer',
    async ({ connect }, port) => {
      const heard: string[] = []
      const callback = (length: number, bytes: Uint8Array) =>
        heard.push(Buffer.from(bytes.subarray(0, length)).toString()) > 0
      const socket = connect({ port, host: '127.0.0.1', onread: { buffer: Buffer.alloc(3), callback } } as never)
      await closed(socket)
      return [heard.join(''), heard.every(each => each.length <= 3), socket.bytesRead]
    },
    greet,
  ],
  [
    'timeout, and the connection goes on',
    async ({ connect }, port) => {
      const socket = connect({ port, host: '127.0.0.1', timeout: 30 })
      const entries = diary(socket)
      await once(socket, 'timeout')
      socket.setTimeout(0).resume().end()
      return entries
    },
    silent,
  ],

  // Limits and contexts.
  [
    'blockList',
    ({ connect }) => {
      const blockList = new net.BlockList()
      blockList.addAddress('127.0.0.1')
      if (!('isBlockList' in net.BlockList)) return 'Node has no blockList option'
      return errorOf(connect({ port: 9, host: '127.0.0.1', blockList } as never))
    },
  ],
  ...([['the first'], ['the last'], ['the first', 'the last']] as const).map(
    (which): Case => [
      `blockList, of two addresses ${which.join(' and ')}`,
      ({ connect }, port) => {
        if (!('isBlockList' in net.BlockList)) return 'Node has no blockList option'
        const blockList = new net.BlockList()
        if (which[0] === 'the first') blockList.addAddress('::1', 'ipv6')
        if (which.at(-1) === 'the last') blockList.addAddress('127.0.0.1')
        const lookup = byLookup(done =>
          done(null, [
            { address: '::1', family: 6 },
            { address: '127.0.0.1', family: 4 },
          ]),
        )
        const socket = connect({ port, host: 'x.example', lookup, autoSelectFamily: true, blockList } as never).resume()
        const error = new Promise(resolve => socket.on('error', why => resolve(plain(why))))
        socket.on('connect', () => socket.end())
        return Promise.all([diary(socket), Promise.race([error, closed(socket)])])
      },
      silent,
    ],
  ),
  [
    'AsyncLocalStorage in every listener',
    async ({ connect }, port) => {
      const storage = new AsyncLocalStorage<string>()
      const seen = new Set<unknown>()
      const socket = storage.run('inside', () => connect(port, '127.0.0.1', () => seen.add(storage.getStore())))
      storage.run('inside', () => {
        for (const event of ['connectionAttempt', 'ready', 'end', 'close'])
          socket.on(event, () => seen.add(storage.getStore()))
      })
      socket.resume().end()
      await closed(socket)
      return [...seen]
    },
    silent,
  ],
  [
    'diagnostics channel net.client.socket',
    async ({ connect }, port) => {
      let told = 0
      const hear = () => told++
      diagnostics.subscribe('net.client.socket', hear)
      const socket = connect(port, '127.0.0.1')
      diagnostics.unsubscribe('net.client.socket', hear)
      socket.destroy()
      await closed(socket)
      return told
    },
    silent,
  ],
  [
    'resetAndDestroy()',
    async ({ connect }, port) => {
      const socket = connect(port, '127.0.0.1')
      await once(socket, 'connect')
      const entries = diary(socket)
      socket.resetAndDestroy()
      return entries
    },
    silent,
  ],
  [
    'the peer resets',
    async ({ connect }, port) => {
      const socket = connect(port, '127.0.0.1')
      const error = errorOf(socket)
      await once(socket, 'connect')
      socket.write('reset')
      return error
    },
    socket => void socket.once('data', () => socket.resetAndDestroy()),
  ],
  [
    'the peer ends, then resets; read only afterwards',
    async ({ connect }, port) => {
      const socket = connect(port, '127.0.0.1').pause()
      const entries = diary(socket)
      await once(socket, 'connect')
      socket.write('unread')
      await new Promise(resolve => setTimeout(resolve, 100))
      socket.resume()
      return entries
    },
    socket => {
      socket.pause().write('hello')
      setTimeout(() => socket.end(), 20)
      setTimeout(() => socket.destroy(), 60)
    },
  ],
  // The type of service, where Node has it; the last value is the kernel's.
  ...(
    [
      ['given to connect()', kit => kit.connect({ ...kit.to, typeOfService: 0x10 } as never)],
      ['given to the constructor', kit => kit.create({ typeOfService: 0x10 }).connect(kit.to)],
      ['set before connect()', kit => settingTypeOfService(kit.create(), 0x10).connect(kit.to)],
      [
        'set while connecting',
        kit => {
          const socket = kit.connect(kit.to)
          // Before that Node has no descriptor either.
          process.nextTick(() => process.nextTick(() => settingTypeOfService(socket, 0x10)))
          return socket
        },
      ],
      [
        'set when connected',
        kit => {
          const socket = kit.connect(kit.to)
          return socket.on('connect', () => settingTypeOfService(socket, 0x10))
        },
      ],
    ] as [string, (kit: Kit & { to: net.TcpNetConnectOpts }) => WithTypeOfService][]
  ).map(
    ([how, make]): Case => [
      `type of service: ${how}`,
      async (kit, port) => {
        const socket = make({ ...kit, to: { port, host: '127.0.0.1' } })
        await once(socket, 'connect')
        const connected = socket.getTypeOfService?.()
        const wrong = [256, -1, 'x', Number.NaN].map(value => thrownBy(() => settingTypeOfService(socket, value)))
        socket.destroy()
        await closed(socket)
        return [typeof socket.setTypeOfService, connected, wrong, thrownBy(() => socket.getTypeOfService?.())]
      },
      silent,
    ],
  ),
  [
    'type of service: options that cannot be',
    ({ create }) => [256, -1, 'x'].map(typeOfService => thrownBy(() => create({ typeOfService }))),
  ],
]

type WithTypeOfService = net.Socket & { setTypeOfService?(value: unknown): unknown; getTypeOfService?(): number }

function settingTypeOfService(socket: WithTypeOfService, value: unknown): WithTypeOfService {
  socket.setTypeOfService?.(value)
  return socket
}
