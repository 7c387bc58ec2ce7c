/** What the preload takes, and what it leaves alone. That taken sockets are as Node's: `sameAsNet` in all tests of sockets. */
import { EventEmitter, once } from 'node:events'
import { mkdtempSync } from 'node:fs'
import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import net, { connect as connectByName, createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import tls from 'node:tls'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type MptcpOptions, resolveOptions } from '../../lib/input/options.js'
import { type PreloadOptions, preload } from '../../lib/preload/preload.js'
import type { MptcpReport } from '../../lib/runtime/connect/report.js'
import { MptcpSocket } from '../../lib/socket/socket.js'
import { cert, key } from '../support/certificate.js'
import { echoServer, server as serve } from '../support/echo-server.js'
import { listening } from '../support/mptcp-server.js'
import { pause, until } from '../support/native-addon.js'
import { leavesNothingOpen } from '../support/open-things.js'
import { mptcp } from '../support/probes.js'
import { converterProcess, through } from '../support/reference-converter.js'
import { requires } from '../support/requires.js'

const mptcpTest = requires('MPTCP', mptcp)

leavesNothingOpen()

let release = () => {}
afterEach(() => release())
const taking = (via: MptcpOptions = {}, options: PreloadOptions = { includeLocal: true }) => {
  release = preload(via, options)
}

const reportOf = (socket: net.Socket) => (socket as net.Socket & { mptcp?: MptcpReport }).mptcp

async function text(stream: NodeJS.ReadableStream): Promise<string> {
  let all = ''
  for await (const chunk of stream) all += chunk
  return all
}

/** The sockets that are connected while `during` runs. */
async function connected<T>(during: () => Promise<T>): Promise<[T, net.Socket[]]> {
  const sockets: net.Socket[] = []
  const above = net.Socket.prototype.connect
  net.Socket.prototype.connect = function (this: net.Socket, ...args: unknown[]) {
    sockets.push(this)
    return Reflect.apply(above as never, this, args)
  } as typeof above
  try {
    return [await during(), sockets]
  } finally {
    net.Socket.prototype.connect = above
  }
}

const answer: http.RequestListener = (request, response) => response.end(`${request.method} ${request.url}`)

mptcpTest.describe('what is taken', () => {
  const plain: Record<string, (port: number) => net.Socket> = {
    'net.connect(port, host)': port => net.connect(port, '127.0.0.1'),
    'net.connect(options)': port => net.connect({ port, host: '127.0.0.1' }),
    'net.createConnection': port => net.createConnection({ port, host: 'localhost', family: 4 }),
    'an imported connect': port => connectByName(port, '127.0.0.1'),
    'an imported createConnection': port => createConnection(port, '127.0.0.1'),
    'new net.Socket().connect': port => new net.Socket().connect(port, '127.0.0.1'),
    'a subclass of net.Socket': port => new (class extends net.Socket {})().connect(port, '127.0.0.1'),
  }
  for (const [name, make] of Object.entries(plain))
    test(name, async () => {
      taking()
      await using server = await echoServer()
      const socket = make(server.port)
      socket.end('hello')
      await once(socket, 'connect')
      expect(reportOf(socket)).toMatchObject({ protocol: 'mptcp', attempts: 1 })
      expect(await text(socket)).toBe('hello')
    })

  test('tls.connect, with what is written at once', async () => {
    taking()
    await using server = await listening(tls.createServer({ cert, key }, socket => socket.pipe(socket)))
    const socket = tls.connect({ port: server.port, host: 'localhost', ca: cert })
    socket.end('hello')
    await once(socket, 'secureConnect')
    expect(reportOf(socket)?.protocol).toBe('mptcp')
    expect(await text(socket)).toBe('hello')
  })

  test('http.get and https.get, with their agents', async () => {
    taking()
    await using plainServer = await listening(http.createServer(answer))
    await using secureServer = await listening(https.createServer({ cert, key }, answer))
    const agent = new https.Agent({ ca: cert })
    for (const [url, options] of [
      [`http://127.0.0.1:${plainServer.port}/a`, { agent: false }],
      [`https://localhost:${secureServer.port}/a`, { agent, family: 4 }],
    ] as const) {
      const [response] = (await once(
        (url.startsWith('https') ? https : http).get(url, options as object),
        'response',
      )) as [http.IncomingMessage]
      expect(reportOf(response.socket)?.protocol).toBe('mptcp')
      expect(await text(response)).toBe('GET /a')
    }
    agent.destroy()
  })

  test('fetch', async () => {
    taking()
    await using server = await listening(http.createServer(answer))
    const [body, [socket]] = await connected(async () =>
      (await fetch(`http://127.0.0.1:${server.port}/f`, { headers: { connection: 'close' } })).text(),
    )
    expect(body).toBe('GET /f')
    expect(reportOf(socket!)).toMatchObject({ attempts: 1 })
  })

  test('http2.connect', async () => {
    taking()
    const http2Server = http2.createServer((request, response) => response.end(`${request.method} ${request.url}`))
    await using server = await listening(http2Server as unknown as net.Server)
    const [body, [socket]] = await connected(async () => {
      const session = http2.connect(`http://127.0.0.1:${server.port}`)
      const all = await text(session.request({ ':path': '/two' }))
      session.close()
      await once(session, 'close')
      return all
    })
    expect(body).toBe('GET /two')
    expect(reportOf(socket!)).toMatchObject({ attempts: 1 })
  })
})

mptcpTest.describe('through a converter', () => {
  // In a process of its own: it would come through itself.
  let converter: Awaited<ReturnType<typeof converterProcess>>
  beforeAll(async () => {
    converter = await converterProcess()
  }, 20_000)
  afterAll(() => converter?.stop())

  test('what is written at once is pipelined, and counted as Node counts', async () => {
    await using server = await echoServer()
    taking(through(converter.name))
    const socket = net.connect(server.port, '127.0.0.1')
    socket.write('hello, ')
    socket.end('world')
    expect(socket.bytesWritten).toBe(12)
    expect(await text(socket)).toBe('hello, world')
    expect(reportOf(socket)).toMatchObject({ converter: { name: converter.name }, answer: [] })
    expect(reportOf(socket)!.pipelinedBytes).toBeGreaterThan(0)
    expect(socket.bytesWritten).toBe(12)
    expect(socket.remotePort ?? server.port).toBe(server.port)
  })

  test('what is written at once to a TLSSocket does not leave before it is encrypted', async () => {
    await using server = await listening(tls.createServer({ cert, key }, socket => socket.pipe(socket)))
    taking(through(converter.name))
    const socket = tls.connect({ port: server.port, host: 'localhost', family: 4, ca: cert } as tls.ConnectionOptions)
    socket.end('a secret')
    await once(socket, 'secureConnect')
    expect(reportOf(socket)).toMatchObject({ protocol: 'mptcp' })
    // The ClientHello, and nothing else.
    expect(reportOf(socket)!.pipelinedBytes).toBeGreaterThan(100)
    expect(await text(socket)).toBe('a secret')
  })

  test('a subclass’s own _write is called', async () => {
    await using server = await echoServer()
    taking(through(converter.name))
    class Loud extends net.Socket {
      override _write(chunk: Buffer, _: BufferEncoding, done: () => void) {
        super._write(Buffer.from(String(chunk).toUpperCase()), 'buffer' as BufferEncoding, done)
      }
      override _writev = undefined as never
    }
    const socket = new Loud().connect(server.port, '127.0.0.1')
    socket.end('hello')
    expect(await text(socket)).toBe('HELLO')
  })

  test('a socket that connects a second time', async () => {
    await using server = await echoServer()
    taking(through(converter.name))
    const socket = new net.Socket()
    for (const round of ['one', 'two']) {
      socket.connect(server.port, '127.0.0.1').end(round)
      let all = ''
      socket.on('data', chunk => (all += chunk))
      await once(socket, 'close')
      expect(all).toBe(round)
      expect(reportOf(socket)).toMatchObject({ converter: { name: converter.name } })
      socket.removeAllListeners('data')
    }
  })

  test('destroyed while it connects, it asks no more', async () => {
    let asked = 0
    await using silent = await serve(() => asked++)
    taking({ converters: `127.0.0.1:${silent.port}`, allowLoopback: true })
    const socket = net.connect(80, '127.0.0.1')
    await until(() => asked > 0)
    socket.destroy()
    await once(socket, 'close')
    expect(reportOf(socket)?.protocol).toBeUndefined()
    const then = asked
    await pause(1_000) // longer than until the next SYN
    expect(asked).toBe(then)
  })
})

/** As a session looks to the preload; its connections fit until it is told otherwise. */
class StubSession extends EventEmitter {
  readonly ownEvents = this
  fits = true
  readonly socketSettings = resolveOptions({})
  steererOf = () => ({})
  explain() {}
  reuseBlockedBy(socket: net.Socket): string | undefined {
    expect(reportOf(socket)?.protocol).toBeDefined()
    return this.fits ? undefined : 'its access is lost'
  }
  get listening(): number {
    return this.listenerCount('access') + this.listenerCount('update')
  }
}

mptcpTest.describe('connections of a session, at rest in a pool', () => {
  const agents = () => [new http.Agent({ keepAlive: true }), new https.Agent({ keepAlive: true, ca: cert })]
  const got = async (url: string, agent: http.Agent) => {
    const request = (url.startsWith('https') ? https : http).get(url, { agent, servername: 'localhost' } as object)
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    return text(response)
  }
  const clients: Record<string, { secure: boolean; open(): { ask(url: string): Promise<string>; close(): void } }> = {
    'http.Agent': { secure: false, open: () => clientOf(agents()[0]!) },
    'https.Agent': { secure: true, open: () => clientOf(agents()[1]!) },
    fetch: { secure: false, open: () => ({ ask: async url => (await fetch(url)).text(), close() {} }) },
  }
  const clientOf = (agent: http.Agent) => ({
    ask: (url: string) => got(url, agent),
    close: () => agent.destroy(),
  })

  for (const [name, { secure, open }] of Object.entries(clients))
    test(`${name}: closed when it no longer fits, and else kept`, async () => {
      const session = new StubSession()
      release = preload(session as never, { includeLocal: true })
      const numbers = new Map<object, number>()
      let finish = () => {}
      const answer: http.RequestListener = (request, response) => {
        if (!numbers.has(request.socket)) numbers.set(request.socket, numbers.size + 1)
        const end = () => response.end(String(numbers.get(request.socket)))
        if (request.url === '/slow') finish = end
        else end()
      }
      let closed = 0
      const web = secure ? https.createServer({ cert, key }, answer) : http.createServer(answer)
      web.on('connection', socket => socket.on('close', () => closed++))
      await using server = await listening(web)
      const url = `${secure ? 'https' : 'http'}://127.0.0.1:${server.port}`
      const client = open()

      const ask = async () => {
        const number = await client.ask(url)
        await pause(20) // the pool takes the connection back in a later turn
        return number
      }

      expect([await ask(), await ask()]).toEqual(['1', '1'])
      session.emit('access')
      expect(await ask()).toBe('1')

      session.fits = false
      session.emit('update')
      await until(() => closed === 1)
      session.fits = true
      expect(await ask()).toBe('2')

      // One that is busy is left to finish.
      const slow = client.ask(`${url}/slow`)
      await pause(20)
      session.fits = false
      session.emit('access')
      await pause(20)
      expect(closed).toBe(1)
      finish()
      expect(await slow).toBe('2')
      await until(() => closed === 2)
      expect(session.listening).toBe(0)
      client.close()
    })

  test('a connection that the application itself unrefs is not treated as idle', async () => {
    const session = new StubSession()
    release = preload(session as never, { includeLocal: true })
    await using server = await echoServer()
    const socket = net.connect(server.port, '127.0.0.1').unref()
    await once(socket, 'connect')
    session.fits = false
    session.emit('access')
    await pause(20)
    expect(socket.destroyed).toBe(false)
    socket.end('hello')
    expect(await text(socket)).toBe('hello')
  })
})

describe('what is left alone', () => {
  /** Own properties, and where methods are from, are those of a socket that nobody has touched. */
  const untouched = (socket: net.Socket) => {
    expect('mptcp' in socket).toBe(false)
    for (const name of ['_write', '_writev', '_destroy', 'ref', 'unref', '_bytesDispatched'])
      expect(Object.hasOwn(socket, name), name).toBe(false)
  }
  const echoes = async (socket: net.Socket) => {
    socket.write('hello, ')
    socket.end('world')
    expect(await text(socket)).toBe('hello, world')
    untouched(socket)
  }
  const nowhere = { converters: '192.0.2.1:5124', mptcp: 'require' } as const

  test.each([
    ['127.0.0.1', 4],
    ['::1', 6],
    ['::ffff:127.0.0.1', 4],
    ['localhost', 4],
  ] as const)('%s, by default', async (host, family) => {
    await using server = await echoServer({ protocol: 'tcp', family })
    taking(nowhere, {})
    await echoes(net.connect(server.port, host))
  })

  test('link-local addresses, by default', async () => {
    taking(nowhere, {})
    for (const host of ['169.254.1.1', 'fe80::1%lo']) {
      const socket = net.connect({ port: 9, host })
      socket.on('error', () => {})
      untouched(socket)
      socket.destroy()
      await once(socket, 'close')
    }
  })

  const lookup =
    (...addresses: string[]) =>
    (_: string, options: { all?: boolean }, done: (...args: unknown[]) => void) => {
      const all = addresses.map(address => ({ address, family: net.isIP(address) }))
      if (options.all) setImmediate(done, null, all)
      else setImmediate(done, null, all[0]!.address, all[0]!.family)
    }

  test.each([
    ['by an address', ['127.0.0.1'], '127.0.0.1'],
    ['by a prefix', ['127.0.0.0/8'], '127.0.0.1'],
    ['by its name', ['Server.example.'], 'server.EXAMPLE'],
    ['by the name above', ['*.example'], 'a.server.example'],
    ['by its name in Unicode', ['bücher.example'], 'xn--bcher-kva.EXAMPLE'],
    ['by its name in ASCII', ['*.xn--bcher-kva.example'], 'a.Bücher.example'],
    ['by the address of its name', ['127.0.0.1'], 'server.example'],
    ['by one of the addresses of its name', ['198.51.100.1'], 'both.example'],
  ])('what is excluded %s', async (_, exclude, host) => {
    await using server = await echoServer({ protocol: 'tcp' })
    taking(nowhere, { includeLocal: true, exclude })
    const addresses = host === 'both.example' ? ['127.0.0.1', '198.51.100.1'] : ['127.0.0.1']
    await echoes(net.connect({ port: server.port, host, lookup: lookup(...addresses) as never }))
    if (addresses.length === 1)
      await echoes(
        net.connect({ port: server.port, host, lookup: lookup(...addresses) as never, autoSelectFamily: false }),
      )
  })

  test('what is beside what is excluded is taken', () => {
    taking(nowhere, { exclude: ['*.example', 'server.test', '203.0.113.0/24'] })
    for (const host of ['example', 'notexample', 'a.server.test', '203.0.114.1']) {
      const socket = net.connect({ port: 80, host, lookup: () => {} })
      expect('mptcp' in socket, host).toBe(true)
      socket.destroy()
    }
  })

  test('pipes, servers, and the connections that servers accept', async () => {
    taking(nowhere)
    const path = join(mkdtempSync(join(tmpdir(), 'atsss-test-')), 'pipe')
    const accepted: net.Socket[] = []
    const server = net.createServer(socket => {
      accepted.push(socket)
      socket.pipe(socket)
    })
    await once(server.listen(path), 'listening')
    await echoes(net.connect(path))
    await echoes(net.connect({ path }))
    for (const socket of accepted) untouched(socket)
    server.close()
  })

  test('sockets of atsss, which have options of their own', async () => {
    await using server = await echoServer()
    taking(nowhere)
    const socket = new MptcpSocket().connect(server.port, '127.0.0.1')
    socket.end('hello')
    expect(await text(socket)).toBe('hello')
    expect(socket.mptcp.converter).toBeUndefined()
  })

  test('everything, once it has ended', async () => {
    await using server = await echoServer()
    const before = net.Socket.prototype.connect
    taking(nowhere)
    release()
    expect(net.Socket.prototype.connect).toBe(before)
    await echoes(net.connect(server.port, '127.0.0.1'))
  })

  test('what Node complains of', () => {
    taking(nowhere)
    for (const options of [{}, { port: 70_000 }, { port: 80, host: 7 }, { port: 80, lookup: 7 }] as object[]) {
      let theirs: unknown
      release()
      try {
        net.connect(options as never)
      } catch (error) {
        theirs = error
      }
      taking(nowhere)
      expect(() => net.connect(options as never)).toThrow(theirs as Error)
    }
  })
})

test('options and exclusions are checked at once', () => {
  expect(() => preload({ converter: '192.0.2.1:5124' } as never)).toThrow('should be "converters"')
  expect(() => preload({}, { exclude: ['10.0.0.0/8', 'not a name'] })).toThrow('Option "exclude[1]" must be an address')
})

mptcpTest.describe('two preloads', () => {
  const [first, second] = [{ mptcp: 'require' }, { mptcp: 'off' }] as const
  const protocol = async (port: number) => {
    const socket = net.connect(port, '127.0.0.1')
    socket.end('hello')
    expect(await text(socket)).toBe('hello')
    return reportOf(socket)?.protocol
  }

  for (const order of ['the first ends first', 'the second ends first'])
    test(`the later one takes connections while it lasts; ${order}`, async () => {
      await using server = await echoServer()
      const before = net.Socket.prototype.connect
      const releases = [first, second].map(options => preload(options, { includeLocal: true }))
      release = () => releases.forEach(each => void each())
      expect(await protocol(server.port)).toBe('tcp')
      const isFirst = order.startsWith('the first')
      releases[isFirst ? 0 : 1]!()
      expect(await protocol(server.port)).toBe(isFirst ? 'tcp' : 'mptcp')
      releases[isFirst ? 1 : 0]!()
      expect(await protocol(server.port)).toBeUndefined()
      net.Socket.prototype.connect = before
    })
})
