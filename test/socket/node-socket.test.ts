/**
 * Node's private parts: only one file touches them; and each of them is taken away, as a Node that has renamed it would.
 * Each such test loads the library again, with another name in `NAMES`.
 */
import { EventEmitter, once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import tls from 'node:tls'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { cert, key } from '../support/certificate.js'
import { echoServer } from '../support/echo-server.js'
import { listening } from '../support/mptcp-server.js'
import { mptcp } from '../support/probes.js'
import { requires } from '../support/requires.js'

const mptcpTest = requires('MPTCP', mptcp)

const THE_FILE = 'runtime/kernel/node-socket.ts'

describe('no other file in lib/ touches what is private in Node', () => {
  const files = readdirSync('lib', { recursive: true, encoding: 'utf8' }).filter(
    file => file.endsWith('.ts') && file !== THE_FILE,
  )
  /** What subclasses of streams implement is documented; then the name of a service in the DNS; then suffixes of OpenMetrics. */
  const PUBLIC = /\b(?:_write|_writev|_final|_destroy|_convert|_tcp)\b|'_(?:total|info|bucket|count|sum)'/g
  const UNUSED_PARAMETER = /(?<=[([])_[a-z]\w*(?=[,:)\]])|(?<=\{ .*\w: )_[a-z]\w*(?=[, ])/gi
  const COMMENT = /\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gm
  const PRIVATE: Record<string, RegExp> = {
    'a private field': /(?<![\w#$/-])_[a-z]\w*/i,
    'symbols by description': /getOwnPropertySymbols/,
    'what Node alone writes': /\.(?:connecting|autoSelectFamilyAttemptedAddresses)\s*=[^=]/,
    'a hidden option or field': /httpAllowHalfOpen|resetAndClosing/,
  }
  const found = (source: string) => {
    const code = source.replaceAll(COMMENT, '').replaceAll(PUBLIC, '').replaceAll(UNUSED_PARAMETER, '')
    return Object.entries(PRIVATE).flatMap(([what, pattern]) => {
      const [match] = pattern.exec(code) ?? []
      return match === undefined ? [] : [`${what}: ${match}`]
    })
  }

  test.each(files)('lib/%s', file => {
    expect(found(readFileSync(join('lib', file), 'utf8'))).toEqual([])
  })

  test('what the patterns find', () => {
    for (const source of [
      'socket._handle.fd',
      "socket['_handle']",
      'const { _handle } = socket',
      'interface Inside { _handle: object }',
      'socket.connecting = false',
      '  _listen2(...args) {',
      'Object.getOwnPropertySymbols(socket)',
    ])
      expect(found(source), source).toHaveLength(1)
    for (const source of ['super._write(chunk)', 'socket.connecting === false', 'this.#fd', 'route: (_, found) => 1'])
      expect(found(source), source).toEqual([])
  })
})

type Inside = typeof import('../../lib/runtime/kernel/node-socket.js')
type Names = Inside['NAMES']

/** The library as it is on a Node that calls one of its private parts otherwise. */
async function without(...names: (keyof Names)[]) {
  vi.resetModules()
  const inside: Inside = await import('../../lib/runtime/kernel/node-socket.js')
  for (const name of names) inside.NAMES[name] = `${inside.NAMES[name]}Renamed`
  const { connect } = await import('../../lib/socket/connect.js')
  const { createServer } = await import('../../lib/socket/server.js')
  const { preload } = await import('../../lib/preload/preload.js')
  const { connector } = await import('../../lib/agents/undici.js')
  const { connectTls } = await import('../../lib/agents/tls.js')
  return { inside, connect, createServer, preload, connector, connectTls }
}

let warnings: (Error & { code?: string })[]
const onWarning = (warning: Error) => {
  if (warning.name === 'AtsssWarning') warnings.push(warning)
}
beforeEach(() => {
  warnings = []
  process.on('warning', onWarning)
})
afterEach(() => {
  process.off('warning', onWarning)
})
/** Warnings come in a later tick. */
async function warned(): Promise<string[]> {
  await new Promise(setImmediate)
  for (const { code } of warnings) expect(code).toBe('ATSSS_NODE_INSIDE')
  return warnings.map(({ message }) => message)
}

describe('this Node', () => {
  test('has everything', async () => {
    const { inside } = await without()
    expect(inside.missingInsides()).toEqual([])
    await new Promise(setImmediate)
  })

  mptcpTest('gives no warning', async () => {
    const { connect, createServer } = await without()
    const server = createServer(socket => socket.pipe(socket)).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const socket = connect({ port: (server.address() as net.AddressInfo).port, host: '127.0.0.1' })
    socket.end('hello')
    expect(await text(socket)).toBe('hello')
    await new Promise(resolve => server.close(resolve))
    expect(await warned()).toEqual([])
  })
})

/** What a connection still does without each part, and what it says is lost. */
const LESS: [keyof Names, named: string, lost: string][] = [
  ['host', '_host', 'SNI'],
  ['peerName', '_peername', 'remoteAddress'],
  ['localName', '_sockname', 'localAddress'],
  ['restartTimer', '_unrefTimer', 'setTimeout()'],
  ['bytesDispatched', '_bytesDispatched', 'bytesWritten'],
  ['readableState', '_readableState.ended', 'kept for up to a minute'],
  ['ended', '_readableState.ended', 'kept for up to a minute'],
  ['resetting', 'resetAndClosing', 'resetAndDestroy()'],
  ['parent', '_parent', 'TLSSocket'],
  ['noDelay', 'kSetNoDelay', 'noDelay'],
  ['keepAlive', 'kSetKeepAlive', 'keepAlive'],
  ['keepAliveInitialDelay', 'kSetKeepAlive', 'keepAlive'],
]
if ('setTypeOfService' in net.Socket.prototype) LESS.push(['typeOfService', 'kSetTOS', 'typeOfService'])

mptcpTest.describe('without a part, a connection is made, and one warning says what is lost', () => {
  test.each(LESS)('%s', async (name, named, lost) => {
    const { inside, connect } = await without(name)
    await using echo = await echoServer()
    for (const round of ['one', 'two']) {
      const socket = connect({ port: echo.port, host: '127.0.0.1' }).setNoDelay().setTimeout(60_000)
      socket.end(round)
      await once(socket, 'connect')
      expect(socket.mptcp.protocol).toBe('mptcp')
      expect(await text(socket)).toBe(round)
    }
    const messages = await warned()
    expect(messages).toHaveLength(1)
    expect(messages[0]).toContain(`does not have ${named}`)
    expect(messages[0]).toContain(lost)
    expect(inside.missingInsides()).toEqual([
      { name: expect.stringContaining(named), essential: false, lost: expect.stringContaining(lost) },
    ])
    await new Promise(setImmediate)
  })
})

for (const name of ['start', 'write', 'handleBelow'] as const)
  mptcpTest(`without ${name}, TLS begins after 'connect'`, async () => {
    const { inside, connectTls } = await without(name)
    const server = await listening(tls.createServer({ cert, key }, socket => socket.pipe(socket)))
    for (let round = 0; round < 2; round++) {
      const socket = connectTls({}, { port: server.port, host: '127.0.0.1', servername: 'localhost', ca: cert })
      socket.end('hello')
      expect(await text(socket)).toBe('hello')
    }
    const messages = await warned()
    expect(messages).toHaveLength(1)
    expect(messages[0]).toContain("TLS begins after 'connect'")
    expect(inside.missingInsides()).toHaveLength(1)
    await server[Symbol.asyncDispose]()
  })

mptcpTest.describe('without what is essential, a connection is an error with a code', () => {
  const ESSENTIAL: [keyof Names, named: string][] = [
    ['handle', '_handle'],
    ['connecting', 'a writable "connecting"'],
  ]
  test.each(ESSENTIAL)('%s', async (name, named) => {
    const { inside, connect } = await without(name)
    await using echo = await echoServer()
    for (let i = 0; i < 2; i++) {
      const socket = connect({ port: echo.port, host: '127.0.0.1' })
      socket.write('hello')
      const [error] = await once(socket, 'error')
      expect(error).toMatchObject({ name: 'AtsssError', code: 'ERR_ATSSS_NODE' })
      expect(error.message).toContain(`does not have ${named}`)
      if (!socket.closed) await once(socket, 'close')
    }
    expect(await warned()).toContainEqual(expect.stringContaining('connections cannot be made over MPTCP'))
    expect(inside.missingInsides()).toContainEqual(expect.objectContaining({ essential: true }))
    await new Promise(setImmediate)
  })

  test('also where the preload has taken it', async () => {
    const { preload } = await without('handle')
    await using echo = await echoServer()
    const release = preload({}, { includeLocal: true })
    const socket = net.connect(echo.port, '127.0.0.1')
    release()
    const [error] = await once(socket, 'error')
    expect(error).toMatchObject({ code: 'ERR_ATSSS_NODE' })
    await warned()
  })
})

mptcpTest.describe('a listener without', () => {
  for (const name of ['listen', 'handle'] as const) {
    test(`${name}: speaks TCP, and says why`, async () => {
      const { connect, createServer } = await without(name)
      const server = createServer(socket => socket.pipe(socket)).listen(0, '127.0.0.1')
      await once(server, 'listening')
      expect(server.mptcp).toEqual({ protocol: 'tcp', fallback: expect.stringContaining('does not have net.Server') })
      if (name === 'listen') {
        const socket = connect({ port: (server.address() as net.AddressInfo).port, host: '127.0.0.1' })
        socket.end('hello')
        expect(await text(socket)).toBe('hello')
      }
      await new Promise(resolve => server.close(resolve))
      expect(await warned()).toContainEqual(expect.stringContaining('listeners cannot be opened with MPTCP'))
    })

    test(`${name}: fails where MPTCP is required`, async () => {
      const { createServer } = await without(name)
      const server = createServer({ mptcp: 'require' }).listen(0, '127.0.0.1')
      const [error] = await once(server, 'error')
      expect(error).toMatchObject({ code: 'ERR_ATSSS_NODE' })
      expect(server.listening).toBe(false)
      await warned()
    })
  }

  test('server: warns, and listens', async () => {
    const { createServer } = await without('server')
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    expect(server.mptcp.protocol).toBe('mptcp')
    await new Promise(resolve => server.close(resolve))
    expect(await warned()).toEqual([expect.stringContaining('does not have _server')])
  })
})

mptcpTest.describe('marks of pools', () => {
  const pooling = (source: object) => Object.assign(source, { explain() {}, ownEvents: new EventEmitter() })
  const session = async () => {
    const { resolveOptions } = await import('../../lib/input/options.js')
    return pooling({ socketSettings: resolveOptions({}), steererOf: () => ({}), reuseBlockedBy: () => 'lost' }) as never
  }

  test('request: a warning, and idle connections of http.Agent are left open', async () => {
    const { preload } = await without('request')
    await using server = await listening(http.createServer((_, response) => response.end('x')))
    const release = preload(await session(), { includeLocal: true })
    const agent = new http.Agent({ keepAlive: true })
    for (let i = 0; i < 2; i++) {
      const [response] = await once(http.get(`http://127.0.0.1:${server.port}`, { agent }), 'response')
      await text(response)
      await new Promise(resolve => setTimeout(resolve, 20))
    }
    release()
    expect(Object.values(agent.freeSockets)).toHaveLength(1)
    agent.destroy()
    expect(await warned()).toEqual([expect.stringContaining('does not have _httpMessage')])
  })

  test('undiciIdle: a warning', async () => {
    const { connector } = await without('undiciIdle')
    const { Agent, request } = await import('undici7')
    await using server = await listening(http.createServer((_, response) => response.end('x')))
    const made = pooling({
      connect: (await import('../../lib/socket/connect.js')).connect,
      reuseBlockedBy: () => 'lost',
    })
    const dispatcher = new Agent({ connect: connector(made as never) as never })
    for (let i = 0; i < 2; i++) {
      const { body } = await request(`http://127.0.0.1:${server.port}`, { dispatcher })
      expect(await body.text()).toBe('x')
      await new Promise(resolve => setTimeout(resolve, 20))
    }
    await dispatcher.close()
    expect(await warned()).toEqual([expect.stringContaining("does not have undici's symbol 'no ref'")])
  })

  test('normalizedArgs: a warning, where the preload sees what net.connect hands on', async () => {
    const { preload } = await without('normalizedArgs')
    await using echo = await echoServer()
    const release = preload({}, { includeLocal: true })
    const socket = net.connect(echo.port, '127.0.0.1')
    release()
    socket.end('hello')
    expect(await text(socket)).toBe('hello')
    expect(await warned()).toEqual([expect.stringContaining('does not have the symbol normalizedArgs')])
  })
})
