/**
 * TLS that begins before `'connect'` behaves as Node's own: each case runs with stock Node, with `connectTls`, and with
 * tls.connect under the preload, directly and through a converter, with TLS 1.2 and 1.3, and must come out the same.
 */
import { once } from 'node:events'
import https from 'node:https'
import net from 'node:net'
import tls from 'node:tls'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { connectTls } from '../../lib/agents/tls.js'
import type { MptcpOptions } from '../../lib/input/options.js'
import { preload } from '../../lib/preload/preload.js'
import { MptcpSocket } from '../../lib/socket/socket.js'
import { cert, key } from '../support/certificate.js'
import {
  answer,
  behind,
  end,
  errorTlv,
  hostileConverter,
  message,
  pause,
  reset,
  type Step,
  send,
} from '../support/hostile-converter.js'
import { listening } from '../support/mptcp-server.js'
import { leavesNothingOpen } from '../support/open-things.js'
import { mptcp } from '../support/probes.js'
import { converterProcess } from '../support/reference-converter.js'
import { requires } from '../support/requires.js'

const mptcpTest = requires('MPTCP', mptcp)
vi.setConfig({ testTimeout: 60_000 })
leavesNothingOpen()

type Options = tls.ConnectionOptions & { host: string; port: number; signal?: AbortSignal }
type Connect = (options: Options) => tls.TLSSocket

interface Case {
  /** The server's options; or a server that speaks no TLS; or none, which refuses. */
  server?: tls.TlsOptions | ((socket: net.Socket) => void) | 'none'
  options?: Partial<Options> | (() => Partial<Options>)
  /** What is done with the socket. */
  act?: (socket: tls.TLSSocket, connect: (more?: object) => tls.TLSSocket) => unknown
  versions?: ('TLSv1.2' | 'TLSv1.3')[]
}

const trusted = { ca: cert, servername: 'localhost' }
const echo = (socket: tls.TLSSocket) => void socket.on('error', () => {}).pipe(socket)
const ask = (socket: tls.TLSSocket) => {
  socket.write('hello')
  socket.once('data', () => socket.end())
}

/** Resumes the session of a first connection. */
async function resume(socket: tls.TLSSocket, connect: (more?: object) => tls.TLSSocket) {
  socket.on('error', () => {})
  const kept: Buffer[] = []
  socket.on('session', made => kept.push(made))
  socket.write('hello')
  await once(socket, 'data')
  socket.end()
  await once(socket, 'close')
  const second = connect({ session: kept.at(-1) })
  second.write('hello')
  await once(second, 'data')
  const reused = second.isSessionReused()
  second.end()
  await once(second, 'close')
  return { reused, sessions: kept.length }
}

const CASES: Record<string, Case> = {
  'a question and its answer': { act: ask },
  'a session is resumed': { act: resume },
  ALPN: { server: { ALPNProtocols: ['h2', 'http/1.1'] }, options: { ALPNProtocols: ['http/1.1'] }, act: ask },
  'no common ALPN': { server: { ALPNProtocols: ['h2'] }, options: { ALPNProtocols: ['x'] }, act: ask },
  'no SNI': { options: { servername: '' }, act: ask },
  'SNI that is set behind the call': {
    act: socket => {
      ;(socket as unknown as Undescribed).setServername('other.example')
      ask(socket)
    },
  },
  'a client certificate': { server: { requestCert: true, ca: cert }, options: { cert, key }, act: ask },
  'no client certificate': { server: { requestCert: true, rejectUnauthorized: true, ca: cert }, act: ask },
  'an unknown authority': { options: { ca: [] }, act: ask },
  'an unknown authority, allowed': { options: { ca: [], rejectUnauthorized: false }, act: ask },
  'another name': { options: { servername: 'other.example' }, act: ask },
  'checkServerIdentity refuses': { options: { checkServerIdentity: () => new Error('not this one') }, act: ask },
  'no version is left': { options: { minVersion: 'TLSv1.3', maxVersion: 'TLSv1.2' }, versions: ['TLSv1.2'], act: ask },
  'the server has another version: an alert': {
    server: { minVersion: 'TLSv1.3' },
    options: { maxVersion: 'TLSv1.2' },
    versions: ['TLSv1.2'],
    act: ask,
  },
  'no common cipher': {
    server: { ciphers: 'ECDHE-ECDSA-AES256-GCM-SHA384' },
    options: { ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' },
    versions: ['TLSv1.2'],
    act: ask,
  },
  'a ClientHello of 50 KB': {
    options: { ALPNProtocols: Array.from({ length: 200 }, (_, n) => String(n).padEnd(250, 'x')) },
    act: ask,
  },
  refused: { server: 'none', act: ask },
  'reset before it answers': { server: socket => void setTimeout(() => socket.resetAndDestroy(), 30), act: ask },
  'reset by the ClientHello': { server: socket => void socket.once('data', () => socket.resetAndDestroy()), act: ask },
  'ended at once': { server: socket => void socket.resume().end(), act: ask },
  'ended by the ClientHello': { server: socket => void socket.once('data', () => socket.end()), act: ask },
  'no TLS': { server: socket => void socket.resume().end('220 smtp.example at your service\r\n'), act: ask },
  'no answer, setTimeout()': {
    server: socket => void socket.resume(),
    act: socket => socket.setTimeout(1000, () => socket.destroy(new Error('too slow'))),
  },
  'destroyed at once': { act: socket => socket.destroy() },
  'destroyed with an error at once': { act: socket => socket.destroy(new Error('not wanted')) },
  'destroyed in a tick': { act: socket => process.nextTick(() => socket.destroy()) },
  'destroyed in the next turn': { act: socket => socket.once('connect', () => setImmediate(() => socket.destroy())) },
  "destroyed at 'connect'": { act: socket => socket.once('connect', () => socket.destroy(new Error('not wanted'))) },
  "destroyed at 'secureConnect'": { act: socket => socket.once('secureConnect', () => socket.destroy()) },
  'aborted in a tick': {
    options: () => {
      const controller = new AbortController()
      process.nextTick(() => controller.abort())
      return { signal: controller.signal }
    },
  },
  "aborted at 'connect'": {
    act: socket => {
      const controller = new AbortController()
      socket.once('connect', () => controller.abort())
      controller.signal.addEventListener('abort', () => socket.destroy(new Error('aborted')))
    },
  },
  "ended at once, with ''": { act: socket => void socket.resume().end('') },
  'ended at once, with empty chunks': {
    act(socket) {
      socket.cork()
      socket.write('')
      socket.write(Buffer.alloc(0))
      socket.resume().end()
    },
  },
  "'' written at once, then destroyed": {
    act(socket) {
      socket.write('')
      socket.destroy()
    },
  },
  'ended at once, with data': { act: socket => void socket.resume().end('bye') },
  'ended at once, without': { act: socket => void socket.resume().end() },
  'unref and ref, noDelay and keepAlive, before': {
    act: socket => ask(socket.unref().ref().setNoDelay(true).setKeepAlive(true, 1000) as tls.TLSSocket),
  },
  'a large upload': {
    act: socket => {
      socket.end(Buffer.alloc(2_000_000))
      socket.resume()
    },
  },
}

/** What Node's types leave out. */
interface Undescribed {
  readonly secureConnecting: boolean
  setServername(name: string): void
}

let through: MptcpOptions
let stopConverter: () => void
beforeAll(async () => {
  const { name, stop } = await converterProcess()
  through = { converters: name, allowLoopback: true }
  stopConverter = stop
}, 60_000)
afterAll(() => stopConverter?.())

/** Everything that a user may see of a connection, in its order. */
async function outcome(connect: Connect, { server, options, act }: Case, version: string) {
  const seen: string[] = []
  const atServer: unknown[] = []
  const stopped: (() => unknown)[] = []
  let port: number
  if (server === 'none' || typeof server === 'function') {
    const plain = await listening(
      net.createServer(socket => (server === 'none' ? socket.destroy() : server(socket.on('error', () => {})))),
    )
    ;({ port } = plain)
    if (server === 'none') await plain[Symbol.asyncDispose]()
    else stopped.push(() => plain[Symbol.asyncDispose]())
  } else {
    const secure = tls.createServer({ cert, key, ...server }, socket => {
      const { servername, alpnProtocol, authorized } = socket
      atServer.push({ servername, alpnProtocol, authorized, reused: socket.isSessionReused() })
      echo(socket)
    })
    const listener = await listening(secure.on('tlsClientError', () => {}))
    ;({ port } = listener)
    stopped.push(() => listener[Symbol.asyncDispose]())
  }
  const given = typeof options === 'function' ? options() : options
  const limits = { minVersion: version, maxVersion: version } as tls.ConnectionOptions
  const connected = (more: object = {}) =>
    connect({ host: '127.0.0.1', port, ...limits, ...trusted, ...given, ...more } as Options)
  const socket = connected()
  const state = () =>
    `${socket.connecting}/${(socket as unknown as Undescribed).secureConnecting}/${socket.authorized}/${socket.encrypted}`
  // The order of the events of the stream itself is another test's.
  for (const event of ['connect', 'secureConnect', 'timeout', 'end'])
    socket.on(event, () => seen.push(`${event} ${state()}`))
  const details: unknown[] = [socket.localAddress, socket.remoteAddress, socket.getProtocol()]
  socket.on('secureConnect', () => {
    const { alpnProtocol, authorizationError, remoteAddress, localAddress, remotePort } = socket
    details.push(alpnProtocol, String(authorizationError), remoteAddress, localAddress, remotePort === port)
    details.push(socket.getProtocol(), socket.getCipher().name, socket.getPeerCertificate().fingerprint256)
  })
  socket.on('error', (error: NodeJS.ErrnoException) =>
    seen.push(`error ${error.code} ${error.message.replaceAll(String(port), 'PORT').replace(/^\w{16,}:/, '')}`),
  )
  socket.on('close', hadError => seen.push(`close ${hadError}`))
  const closed = socket.closed ? Promise.resolve() : new Promise(resolve => socket.once('close', resolve))
  const result = await act?.(socket, connected)
  await closed
  await new Promise(setImmediate)
  for (const stop of stopped) await stop()
  const plainResult = typeof result === 'object' && result !== null && 'reused' in result ? result : undefined
  return { seen, details, atServer, result: plainResult }
}

mptcpTest.describe('as stock Node', () => {
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const)
    for (const [name, each] of Object.entries(CASES)) {
      if (each.versions && !each.versions.includes(version)) continue
      test(`${version}: ${name}`, async () => {
        // Over a socket that is being connected, Node itself differs in details from a TLSSocket that connects.
        const stockAbove = await outcome(
          options => tls.connect({ ...options, socket: net.connect(options.port, options.host) }),
          each,
          version,
        )
        for (const [way, source] of Object.entries({ directly: {}, 'through a converter': through }))
          expect(await outcome(options => connectTls(source, options), each, version), way).toEqual(stockAbove)

        const stock = await outcome(tls.connect, each, version)
        for (const [way, source] of Object.entries({ directly: {}, 'through a converter': through })) {
          const release = preload(source, { includeLocal: true })
          try {
            expect(await outcome(tls.connect, each, version), `preload, ${way}`).toEqual(stock)
          } finally {
            release()
          }
        }
      })
    }
})

mptcpTest.describe(
  'a converter that fails after the ClientHello has left: it is repeated at the next one, and nothing else',
  () => {
    const FAILURES: Record<string, Step[]> = {
      reset: [reset],
      end: [end],
      garbage: [send('16 03 01 00 01 00 00 00')],
      'an error about itself': [send(answer(errorTlv(0x20)))],
      silence: [pause(5000)],
    }
    for (const [name, failure] of Object.entries(FAILURES))
      test(name, async () => {
        const server = await listening(tls.createServer({ cert, key }, echo))
        const first = await hostileConverter([[message, behind(300), ...failure]])
        const { converters } = through as { converters: string }
        const options = { allowLoopback: true, convert: '1rtt', converterTimeout: 300, attemptDelay: 5000 } as const
        const to = { ...trusted, host: '127.0.0.1', port: server.port }
        const socket = connectTls({ ...options, converters: [first.name, converters] }, to)
        socket.write('a secret')
        expect(String((await once(socket, 'data'))[0])).toBe('a secret')
        expect(socket.authorized).toBe(true)
        socket.end()
        await once(socket, 'close')
        const { bytes } = first.heard[0]!
        const records = bytes.subarray(bytes[1]! * 4)
        expect(records.toString('hex', 0, 2)).toBe('1603') // a handshake record: the ClientHello, and nothing behind it
        expect(records.length).toBe(5 + records.readUInt16BE(3))
        await first.close()
        await server[Symbol.asyncDispose]()
      })
  },
)

mptcpTest("a ClientHello that the kernel does not take at once follows, and 'connect' waits for it", async () => {
  const server = await listening(tls.createServer({ cert, key }, echo))
  const ALPNProtocols = Array.from({ length: 250 }, (_, n) => String(n).padEnd(250, 'x'))
  const socket = connectTls({}, { ...trusted, host: '127.0.0.1', port: server.port, ALPNProtocols })
  ask(socket)
  await once(socket, 'close')
  expect(socket.authorized).toBe(true)
  await server[Symbol.asyncDispose]()
})

mptcpTest('protocols that begin in the clear (STARTTLS) are not touched: the server speaks first', async () => {
  const received: string[] = []
  const server = await listening(
    net.createServer(socket => {
      socket.on('error', () => {})
      socket.write('220 ready\r\n')
      socket.once('data', data => {
        received.push(String(data))
        socket.write('220 go ahead\r\n')
        const secure = new tls.TLSSocket(socket, { isServer: true, cert, key })
        echo(secure)
      })
    }),
  )
  for (const how of ['MptcpSocket', 'preload']) {
    const release = how === 'preload' ? preload(through, { includeLocal: true }) : () => {}
    const socket =
      how === 'preload'
        ? net.connect(server.port, '127.0.0.1')
        : new MptcpSocket(through).connect(server.port, '127.0.0.1')
    release()
    expect(String((await once(socket, 'data'))[0])).toBe('220 ready\r\n')
    socket.write('STARTTLS\r\n')
    expect(String((await once(socket, 'data'))[0])).toBe('220 go ahead\r\n')
    const secure = tls.connect({ socket, ...trusted })
    secure.write('hello')
    expect(String((await once(secure, 'data'))[0])).toBe('hello')
    secure.end()
    await once(secure, 'close')
  }
  expect(received).toEqual(['STARTTLS\r\n', 'STARTTLS\r\n'])
  await server[Symbol.asyncDispose]()
})

/** Many are for a quiet machine: ATSSS_TLS_CONNECTIONS=10000 takes minutes. */
const CONNECTIONS = Number(process.env.ATSSS_TLS_CONNECTIONS ?? 200)

mptcpTest(
  `${CONNECTIONS} connections leave no descriptor, no stand-in, no wait and no socket in memory`,
  async () => {
    const server = await listening(https.createServer({ cert, key }, (_, response) => response.end('hello')))
    const sockets: WeakRef<tls.TLSSocket>[] = []
    const one = async (n: number) => {
      const socket = connectTls(n % 2 ? through : {}, { ...trusted, host: '127.0.0.1', port: server.port })
      sockets.push(new WeakRef(socket))
      socket.on('error', () => {})
      if (n % 5 === 0) setImmediate(() => socket.destroy())
      else socket.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
      socket.resume()
      await once(socket, 'close')
    }
    for (let round = 0; round < CONNECTIONS / 20; round++)
      await Promise.all(Array.from({ length: 20 }, (_, n) => one(n)))
    await server[Symbol.asyncDispose]()
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const left = () => {
      collect()
      return sockets.filter(socket => socket.deref()).length
    }
    // A few may be held by what ran last.
    await expect.poll(left, { timeout: 10_000 }).toBeLessThan(CONNECTIONS / 20)
  },
  3_600_000,
)
