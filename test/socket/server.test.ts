import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, describe, expect, test } from 'vitest'
import { native } from '../../lib/runtime/kernel/native.js'
import { connect } from '../../lib/socket/connect.js'
import { AcceptedSocket, createServer, MptcpServer } from '../../lib/socket/server.js'
import { MptcpSocket } from '../../lib/socket/socket.js'
import * as certificate from '../support/certificate.js'
import { compiled } from '../support/compiled.js'
import { serve, TCP } from '../support/native-addon.js'
import { leavesNothingOpen } from '../support/open-things.js'
import { mptcp } from '../support/probes.js'
import { requires } from '../support/requires.js'
import { plain, thrownBy } from '../support/same-as-net.js'

const mptcpTest = requires('MPTCP', mptcp)

leavesNothingOpen()

type Create = (options?: object, listener?: (socket: net.Socket) => void) => net.Server
const creators: Create[] = [net.createServer as Create, createServer as Create]

/** Runs `scenario` with both, and compares what it gives. */
async function sameServer<T>(scenario: (create: Create) => T | Promise<T>): Promise<T> {
  const [theirs, ours] = [await scenario(creators[0]!), await scenario(creators[1]!)]
  expect(ours).toEqual(theirs)
  return ours
}

const portOf = (server: net.Server) => (server.address() as net.AddressInfo).port
const closed = (server: net.Server) => new Promise(resolve => server.close(resolve))

/** The backlog that listen(2) was given last: tcpi_sacked of a listening socket, include/uapi/linux/tcp.h. */
function backlogOf(server: net.Server): number {
  const { fd } = (server as unknown as { _handle: { fd: number } })._handle
  return native().getsockopt(fd, 6, 11, 512).readUInt32LE(28)
}

/** What listen() comes to: 'listening' or an error, and in which state the server is then and right after the call. */
async function outcome(server: net.Server, listen: () => unknown): Promise<object> {
  const thrown = thrownBy(listen)
  if (thrown) return { thrown }
  const atOnce = { listening: server.listening, address: shown(server) }
  const event = await Promise.race([
    once(server, 'listening').then(() => 'listening'),
    once(server, 'error').then(([error]) => plain(error)),
  ]).catch(plain)
  const later = { listening: server.listening, address: shown(server) }
  const { _connectionKey: key } = server as unknown as { _connectionKey?: string }
  const backlog = later.listening && typeof server.address() === 'object' ? backlogOf(server) : undefined
  if (server.listening) await closed(server)
  return { atOnce, event, later, key, backlog }
}

function shown(server: net.Server): unknown {
  const address = server.address()
  return address && typeof address === 'object' ? { ...address, port: address.port > 0 } : address
}

const folder = mkdtempSync(join(tmpdir(), 'atsss-server-'))
afterAll(() => rmSync(folder, { recursive: true }))

mptcpTest.describe('the forms of listen() are those of net.Server', () => {
  const path = join(folder, 'pipe')
  const forms: [string, (server: net.Server) => unknown][] = [
    ['()', server => server.listen()],
    ['(listener)', server => server.listen(() => {})],
    ['(null)', server => server.listen(null as never)],
    ['(port)', server => server.listen(0)],
    ['(port, listener)', server => server.listen(0, () => {})],
    ['(port as text)', server => server.listen('0' as never)],
    ['(port, backlog)', server => server.listen(0, 5)],
    ['(port, host)', server => server.listen(0, '127.0.0.1')],
    ['(port, IPv6)', server => server.listen(0, '::1')],
    ['(port, name)', server => server.listen(0, 'localhost')],
    ['(port, host, backlog)', server => server.listen(0, '127.0.0.1', 7)],
    ['(port, host, backlog, listener)', server => server.listen(0, '127.0.0.1', 7, () => {})],
    ['({ port })', server => server.listen({ port: 0 })],
    ['({ port: undefined })', server => server.listen({ port: undefined })],
    ['({ port, host, backlog })', server => server.listen({ port: 0, host: '127.0.0.1', backlog: 9 })],
    ['({ port, host, exclusive })', server => server.listen({ port: 0, host: '127.0.0.1', exclusive: true })],
    ['({ ipv6Only })', server => server.listen({ port: 0, host: '::', ipv6Only: true })],
    ['({ ipv6Only } without a host)', server => server.listen({ port: 0, ipv6Only: true })],
    ['(path)', server => server.listen(path)],
    ['({ path })', server => server.listen({ path, readableAll: true })],
    ['({ signal })', server => server.listen({ port: 0, signal: new AbortController().signal })],
    ['a port that cannot be', server => server.listen(65_536)],
    ['a port that is no number', server => server.listen({ port: 'x' as never })],
    ['neither port nor path', server => server.listen({} as never)],
    ['null for all', server => server.listen({ port: null as never, path: null as never })],
    ['a wrong signal', server => server.listen({ port: 0, signal: 'x' as never })],
    ['an address of somebody else', server => server.listen(0, '192.0.2.1')],
    ['an address and port of somebody else', server => server.listen(9, '192.0.2.1')],
    ['an IPv6 address of somebody else', server => server.listen(9, '2001:db8::1')],
    ['a name that does not exist', server => server.listen(0, 'no.such.name.invalid')],
    ['a descriptor that is none', server => server.listen({ fd: 9_999 })],
  ]
  for (const [name, listen] of forms)
    test(name, () =>
      sameServer(create => {
        const server = create()
        return outcome(server, () => listen(server))
      }),
    )

  for (const host of [undefined, '127.0.0.1', '::1'])
    test(`a port in use, on ${host ?? 'every address'}`, async () => {
      const other = net.createServer().listen(0, host)
      await once(other, 'listening')
      const port = portOf(other)
      const { event } = (await sameServer(create => {
        const server = create()
        return outcome(server, () => server.listen(port, host))
      })) as { event: object }
      expect(event).toMatchObject({ code: 'EADDRINUSE', port })
      await closed(other)
    })

  test('twice', () =>
    sameServer(async create => {
      const server = create().listen(0)
      await once(server, 'listening')
      const thrown = thrownBy(() => server.listen(0))
      await closed(server)
      return thrown
    }))

  test('again after close(), and after an error', () =>
    sameServer(async create => {
      const server = create()
      const outcomes = []
      for (const port of [0, -1, 0]) outcomes.push(await outcome(server, () => server.listen(port)))
      outcomes.push(await outcome(server, () => server.listen(9, '192.0.2.1')))
      outcomes.push(await outcome(server, () => server.listen(0, '127.0.0.1')))
      return outcomes
    }))

  test('a descriptor that is open already, and what another listens on', () =>
    sameServer(async create => {
      const fd = native().socket(4, TCP)
      native().bind(fd, '127.0.0.1', 0)
      native().release(fd)
      const first = create().listen({ fd })
      await once(first, 'listening')
      const second = create().listen(first)
      await once(second, 'listening')
      const same = portOf(first) === portOf(second)
      await Promise.all([closed(first), closed(second)])
      return { same }
    }))

  test('a signal ends it', () =>
    sameServer(async create => {
      const controller = new AbortController()
      const server = create().listen({ port: 0, signal: controller.signal })
      const events: string[] = []
      for (const event of ['listening', 'close']) server.on(event, () => events.push(event))
      await once(server, 'listening')
      controller.abort()
      await once(server, 'close')
      return events
    }))

  test('closed at once', () =>
    sameServer(async create => {
      const server = create().listen(0)
      const events: string[] = []
      for (const event of ['listening', 'error', 'close']) server.on(event, () => events.push(event))
      await closed(server)
      return { events, again: await new Promise(resolve => server.close(error => resolve(plain(error)))) }
    }))

  test('a privileged port, to a user without privilege', async () => {
    const child = fork(compiled('test/support/listen-unprivileged.ts'))
    const [outcomes] = (await once(child, 'message')) as [{ code: string }[][]]
    await once(child, 'exit')
    expect(outcomes[1]).toEqual(outcomes[0])
    if (process.getuid?.() === 0) expect(outcomes[0]![0]).toMatchObject({ code: 'EACCES' })
  })
})

mptcpTest.describe('what it accepts is as from net.Server', () => {
  /** Connects, sends 'hello', ends; what the server saw of it. */
  const visit = (options: object) =>
    sameServer(async create => {
      const seen: unknown[] = []
      const server = create({ ...options }, socket => {
        const { allowHalfOpen, writableHighWaterMark, remoteFamily, remoteAddress, localAddress } = socket
        const state = { connecting: socket.connecting, pending: socket.pending, readyState: socket.readyState }
        seen.push({ allowHalfOpen, writableHighWaterMark, remoteFamily, remoteAddress, localAddress, ...state })
        seen.push(socket.isPaused(), socket instanceof net.Socket, server.listeners('connection').length)
        socket.setEncoding('utf8')
        for (const event of ['data', 'end', 'finish', 'close']) socket.on(event, what => seen.push([event, what]))
        socket.resume()
        socket.on('end', () => socket.end('bye'))
      }).listen(0, '127.0.0.1')
      await once(server, 'listening')
      const client = net.connect(portOf(server), '127.0.0.1')
      client.end('hello')
      seen.push(String((await once(client, 'data'))[0]))
      await Promise.all([once(client, 'close'), closed(server)])
      return seen
    })

  for (const options of [
    {},
    { allowHalfOpen: true },
    { pauseOnConnect: true },
    { highWaterMark: 1_000 },
    { noDelay: true },
    { keepAlive: true, keepAliveInitialDelay: 5_000 },
  ])
    test(JSON.stringify(options), () => visit(options))

  test('noDelay and keepAlive reach the socket', async () => {
    const server = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: 7_000 }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const client = connect(portOf(server), '127.0.0.1')
    const [socket] = await once(server, 'connection')
    const option = (level: number, name: number) => native().getsockopt(socket._handle.fd, level, name, 4).readInt32LE()
    expect([option(6, 1), option(1, 9), option(6, 4)]).toEqual([1, 1, 7]) // TCP_NODELAY, SO_KEEPALIVE, TCP_KEEPIDLE
    client.destroy()
    socket.destroy()
    await closed(server)
  })

  test('maxConnections, and what is dropped', () =>
    sameServer(async create => {
      const server = create({}, socket => socket.resume().on('end', () => socket.end()))
      server.maxConnections = 1
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      const first = net.connect(portOf(server), '127.0.0.1')
      await once(server, 'connection')
      const dropped = once(server, 'drop')
      const second = net.connect(portOf(server), '127.0.0.1').on('error', () => {})
      const [{ localAddress, remoteFamily }] = await dropped
      const count = await new Promise(resolve => server.getConnections((_, count) => resolve(count)))
      first.end()
      await Promise.all([closed(server), second.destroyed || once(second, 'close')])
      return { localAddress, remoteFamily, count }
    }))

  test('a peer that resets', () =>
    sameServer(async create => {
      const server = create().listen(0, '127.0.0.1')
      await once(server, 'listening')
      const client = net.connect(portOf(server), '127.0.0.1')
      const [socket] = await once(server, 'connection')
      await once(client, 'connect')
      client.resetAndDestroy()
      const [error] = await once(socket.resume(), 'error')
      await closed(server)
      return plain(error)
    }))

  test('options that cannot be', () =>
    sameServer(create => [
      thrownBy(() => create('x' as never)),
      thrownBy(() => create({ highWaterMark: 'x' })),
      thrownBy(() => create(undefined, undefined).close()),
    ]))

  test('destroyed while the peer sends, it resets the peer', () =>
    sameServer(async create => {
      const server = create({}, socket => socket.once('data', () => socket.destroy())).listen(0, '127.0.0.1')
      await once(server, 'listening')
      const client = connect(portOf(server), '127.0.0.1')
      const events: unknown[] = []
      for (const event of ['end', 'finish', 'error', 'close']) client.on(event, () => events.push(event))
      const chunk = Buffer.alloc(65_536)
      const more = () => client.destroyed || client.write(chunk, () => setImmediate(more))
      client.on('connect', more)
      await Promise.all([new Promise(resolve => client.on('close', resolve)), once(server, 'connection')])
      await closed(server)
      return events
    }))
})

mptcpTest.describe('MPTCP', () => {
  test('server and accepted sockets say what they speak', async () => {
    const server = createServer().listen(0)
    expect(server).toBeInstanceOf(MptcpServer)
    expect(server).toBeInstanceOf(net.Server)
    expect(server.mptcp).toEqual({ protocol: 'mptcp', fallback: undefined })
    const reports = []
    for (const open of [connect, net.connect]) {
      const socket = open(portOf(server), '127.0.0.1')
      const both = await Promise.all([once(server, 'connection'), once(socket, 'connect')])
      const [[accepted]] = both as unknown as [[AcceptedSocket]]
      expect(accepted).toBeInstanceOf(AcceptedSocket)
      reports.push(accepted.mptcp)
      if (socket instanceof MptcpSocket) expect(socket.mptcp.protocol).toBe('mptcp')
      socket.destroy()
      accepted.destroy()
      await once(accepted, 'close')
      expect(accepted.mptcp.protocol).toBeUndefined()
    }
    expect(reports).toEqual([
      { protocol: 'mptcp', fallback: undefined },
      { protocol: 'tcp', fallback: expect.stringContaining('does not speak MPTCP') },
    ])
    await closed(server)
  })

  test("'off' is TCP", async () => {
    const server = createServer({ mptcp: 'off' }).listen(0)
    expect(server.mptcp).toEqual({ protocol: 'tcp', fallback: undefined })
    const client = connect(portOf(server), '127.0.0.1')
    const [accepted] = await once(server, 'connection')
    expect(accepted.mptcp).toEqual({ protocol: 'tcp', fallback: undefined })
    client.destroy()
    accepted.destroy()
    await closed(server)
  })

  test('a descriptor: what it is', async () => {
    await using tcp = await serve(native(), { protocol: TCP })
    await using multipath = await serve(native(), {})
    const reports = []
    for (const fd of [tcp.fd, multipath.fd]) {
      const copy = native().duplicate(fd)
      native().release(copy)
      const server = createServer().listen({ fd: copy })
      await once(server, 'listening')
      reports.push(server.mptcp)
      await closed(server)
    }
    expect(reports[0]).toMatchObject({ protocol: 'tcp', fallback: expect.stringContaining('TCP') })
    expect(reports[1]).toEqual({ protocol: 'mptcp', fallback: undefined })
  })

  test("'require' with a TCP descriptor", async () => {
    await using tcp = await serve(native(), { protocol: TCP })
    const copy = native().duplicate(tcp.fd)
    const server = createServer({ mptcp: 'require' }).listen({ fd: copy })
    expect((await once(server, 'error'))[0]).toMatchObject({ code: 'ERR_MPTCP_UNSUPPORTED' })
    expect(server.listening).toBe(false)
    native().close(copy)
  })

  test('several on one port, with reusePort', async () => {
    const first = createServer(socket => socket.end('1')).listen({ port: 0, host: '127.0.0.1', reusePort: true })
    await once(first, 'listening')
    const port = portOf(first)
    const second = createServer(socket => socket.end('2')).listen({ port, host: '127.0.0.1', reusePort: true })
    await once(second, 'listening')
    const heard = new Set<string>()
    for (let i = 0; i < 100 && heard.size < 2; i++) {
      const client = connect(port, '127.0.0.1')
      heard.add(String((await once(client, 'data'))[0]))
      await once(client, 'close')
    }
    expect(heard).toEqual(new Set(['1', '2']))
    await Promise.all([closed(first), closed(second)])
  })
})

describe('options', () => {
  test.each([
    [{ mptcp: 'yes' }, /"mptcp" must be/],
    [{ mtpcp: 'off' }, /should be "mptcp"/],
  ])('%o', (options, message) => {
    expect(() => createServer(options as object)).toThrow(message)
    expect(thrownBy(() => createServer(options as object))).toMatchObject({ code: 'ERR_ATSSS_OPTION' })
  })
})

mptcpTest.describe('Node’s own servers on top', () => {
  const handler = (request: http.IncomingMessage, response: http.ServerResponse) => {
    const { socket } = request as unknown as { socket: AcceptedSocket & { _parent?: AcceptedSocket } }
    response.end(`${request.url} ${(socket._parent ?? socket).mptcp?.protocol}`)
  }
  const over = async (server: { emit(event: 'connection', socket: net.Socket): unknown }) => {
    const listener = createServer(socket => server.emit('connection', socket)).listen(0, '127.0.0.1')
    await once(listener, 'listening')
    return listener
  }

  test('http', async () => {
    const listener = await over(http.createServer(handler))
    const port = portOf(listener)
    const request = http.get({ port, path: '/x', createConnection: () => connect(port, '127.0.0.1') })
    const [response] = await once(request, 'response')
    expect(await text(response)).toBe('/x mptcp')
    await closed(listener)
  })

  test('https', async () => {
    const listener = await over(https.createServer(certificate, handler))
    const port = portOf(listener)
    const socket = connect(port, '127.0.0.1')
    const request = https.get({ port, path: '/x', agent: false, socket, rejectUnauthorized: false } as object)
    const [response] = await once(request, 'response')
    expect(await text(response)).toBe('/x mptcp')
    await closed(listener)
  })

  test('http2', async () => {
    const listener = await over(http2.createServer((_, response) => response.end('two')))
    const port = portOf(listener)
    const session = http2.connect(`http://127.0.0.1:${port}`, { createConnection: () => connect(port, '127.0.0.1') })
    const stream = session.request({ ':path': '/' })
    expect(String((await once(stream, 'data'))[0])).toBe('two')
    session.close()
    await once(session, 'close')
    await closed(listener)
  })
})

mptcpTest.describe('listen() and close(), again and again', () => {
  /** How many listeners there are for each event. */
  const listeners = (server: net.Server) =>
    Object.fromEntries(server.eventNames().map(name => [String(name), server.listenerCount(name)]))

  test('an abort signal of an earlier listen() does not close the next one', () =>
    sameServer(async create => {
      const server = create()
      const abort = new AbortController()
      await once(server.listen({ port: 0, signal: abort.signal }), 'listening')
      await closed(server)
      await once(server.listen({ port: 0 }), 'listening')
      abort.abort()
      await new Promise(resolve => setTimeout(resolve, 20))
      const { listening } = server
      await closed(server)
      return { listening, listeners: listeners(server) }
    }))

  test('an abort signal closes the listener that it was given to', () =>
    sameServer(async create => {
      const server = create()
      const abort = new AbortController()
      await once(server.listen({ port: 0, signal: abort.signal }), 'listening')
      abort.abort()
      await once(server, 'close')
      return { listening: server.listening, listeners: listeners(server) }
    }))

  test('no listeners are left behind', () =>
    sameServer(async create => {
      const server = create({}, () => {})
      const signals = [1, 2, 3].map(() => new AbortController().signal)
      for (const signal of signals) {
        await once(
          server.listen({ port: 0, signal }, () => {}),
          'listening',
        )
        await closed(server)
      }
      return listeners(server)
    }))

  test('nor by a listen() that fails', () =>
    sameServer(async create => {
      const other = net.createServer()
      await once(other.listen(0), 'listening')
      const server = create({}, () => {})
      for (let i = 0; i < 3; i++) {
        server.listen(portOf(other), () => {})
        await once(server, 'error')
      }
      await closed(other)
      const before = listeners(server)
      await once(server.listen(0), 'listening')
      await closed(server)
      return [before, listeners(server)]
    }))
})
