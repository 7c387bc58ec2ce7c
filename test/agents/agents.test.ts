/** `atsss/http`, `atsss/undici`, `atsss/tls`, with options and with a session that says which connections no longer fit. */
import { EventEmitter, once } from 'node:events'
import http from 'node:http'
import https from 'node:https'
import net from 'node:net'
import tls from 'node:tls'
import { describe, expect, test } from 'vitest'
import { HttpAgent, HttpsAgent } from '../../lib/agents/http.js'
import type { ConnectionSource } from '../../lib/agents/source.js'
import { connectTls } from '../../lib/agents/tls.js'
import { connector } from '../../lib/agents/undici.js'
import { lowestSocket } from '../../lib/runtime/kernel/node-socket.js'
import { connect } from '../../lib/socket/connect.js'
import type { MptcpSocket } from '../../lib/socket/socket.js'
import { cert, key } from '../support/certificate.js'
import { listening } from '../support/mptcp-server.js'
import { until } from '../support/native-addon.js'
import { leavesNothingOpen } from '../support/open-things.js'
import { mptcp } from '../support/probes.js'
import { requires } from '../support/requires.js'

const mptcpTest = requires('MPTCP', mptcp)

leavesNothingOpen()

/** As a session looks to the seams; what it has made fits until it is told otherwise. */
class StubSession extends EventEmitter {
  readonly ownEvents = this
  readonly made: MptcpSocket[] = []
  fits = true
  connect = ((...args: Parameters<typeof connect>) => {
    const socket = connect(...args)
    this.made.push(socket)
    return socket
  }) as typeof connect
  explain() {}
  reuseBlockedBy(socket: net.Socket): string | undefined {
    expect(this.made).toContain(lowestSocket(socket))
    return this.fits ? undefined : 'its access is lost'
  }
  get source(): ConnectionSource {
    return this as unknown as ConnectionSource
  }
}

/** Answers with the number of the connection; `/slow` when it is told to. */
function counting() {
  const numbers = new Map<object, number>()
  let finish = () => {}
  const answer: http.RequestListener = (request, response) => {
    if (!numbers.has(request.socket)) numbers.set(request.socket, numbers.size + 1)
    const end = () => response.end(String(numbers.get(request.socket)))
    if (request.url === '/slow') finish = end
    else end()
  }
  return { answer, finish: () => finish(), begun: () => numbers.size }
}

const trusted = { ca: cert, servername: 'localhost' }

type Ask = (url: string) => Promise<string>
interface Client {
  secure: boolean
  open(source: ConnectionSource): Promise<{ ask: Ask; close(): unknown }>
}

const agent = (secure: boolean): Client => ({
  secure,
  open: async source => {
    const made = secure ? new HttpsAgent(source, trusted) : new HttpAgent(source)
    const ask: Ask = async url => {
      const request = (secure ? https : http).get(url, { agent: made as https.Agent })
      const [response] = (await once(request, 'response')) as [http.IncomingMessage]
      let all = ''
      for await (const chunk of response) all += chunk
      return all
    }
    return { ask, close: () => made.destroy() }
  },
})

interface Undici {
  Agent: new (options: object) => { close(): Promise<void> }
  request(url: string, options: object): Promise<{ body: { text(): Promise<string> } }>
}

const undici = (name: string, secure: boolean): Client => ({
  secure,
  open: async source => {
    const { Agent, request } = (await import(name)) as Undici
    const dispatcher = new Agent({ connections: 1, connect: connector(source, { tls: trusted }) })
    const ask: Ask = async url => (await request(url, { dispatcher })).body.text()
    return { ask, close: () => dispatcher.close() }
  },
})

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
/** undici 8 is for Node from 22.19 on. */
const undicis = ['undici6', 'undici7', ...(major > 22 || (major === 22 && minor >= 19) ? ['undici'] : [])]

const CLIENTS: Record<string, Client> = {
  HttpAgent: agent(false),
  HttpsAgent: agent(true),
  ...Object.fromEntries(
    undicis.flatMap(name => [
      [name, undici(name, false)],
      [`${name}, https`, undici(name, true)],
    ]),
  ),
}

for (const [name, { secure, open }] of Object.entries(CLIENTS))
  mptcpTest.describe(name, () => {
    async function opened(source: ConnectionSource) {
      const { answer, ...control } = counting()
      const server = await listening(secure ? https.createServer({ cert, key }, answer) : http.createServer(answer))
      const client = await open(source)
      const url = `${secure ? 'https' : 'http'}://127.0.0.1:${server.port}`
      return { ...control, ask: (path: string) => client.ask(url + path), client, server }
    }
    const done = async ({ client, server }: Awaited<ReturnType<typeof opened>>) => {
      await client.close()
      await server[Symbol.asyncDispose]()
    }

    test('keeps a connection, over MPTCP', async () => {
      const session = new StubSession()
      const it = await opened(session.source)
      expect([await it.ask('/'), await it.ask('/'), await it.ask('/')]).toEqual(['1', '1', '1'])
      expect(session.made.map(socket => socket.mptcp.protocol)).toEqual(['mptcp'])
      await done(it)
    })

    test('with plain options', async () => {
      const it = await opened({ mptcp: 'require' })
      expect([await it.ask('/'), await it.ask('/')]).toEqual(['1', '1'])
      await done(it)
    })

    test('an idle connection that no longer fits is closed at once', async () => {
      for (const event of ['access', 'update']) {
        const session = new StubSession()
        const it = await opened(session.source)
        expect(await it.ask('/')).toBe('1')
        session.emit(event)
        await new Promise(resolve => setTimeout(resolve, 20))
        expect(session.made[0]!.destroyed).toBe(false)
        session.fits = false
        session.emit(event)
        await until(() => session.made[0]!.destroyed)
        session.fits = true
        expect(await it.ask('/')).toBe('2')
        await done(it)
      }
    })

    test('a busy one is left to finish, and not kept', async () => {
      const session = new StubSession()
      const it = await opened(session.source)
      const slow = it.ask('/slow')
      await until(() => it.begun() === 1)
      session.fits = false
      session.emit('access')
      await new Promise(resolve => setTimeout(resolve, 20))
      expect(session.made[0]!.destroyed).toBe(false)
      it.finish()
      expect(await slow).toBe('1')
      await until(() => session.made[0]!.destroyed)
      session.fits = true
      expect(await it.ask('/')).toBe('2')
      await done(it)
    })

    test('what is refused is an error of the request', async () => {
      const client = await open({})
      const error = await client.ask(`${secure ? 'https' : 'http'}://127.0.0.1:1/`).catch(error => error)
      expect(error).toMatchObject({ code: 'ECONNREFUSED' })
      await client.close()
    })

    test('listens to a session no longer than it has to', async () => {
      const session = new StubSession()
      const it = await opened(session.source)
      await it.ask('/')
      await done(it)
      await until(() => session.listenerCount('access') + session.listenerCount('update') === 0)
    })
  })

describe('wrong options', () => {
  test('are refused when it is made', () => {
    const wrong = { converter: '192.0.2.1:5124' } as ConnectionSource
    for (const make of [() => new HttpAgent(wrong), () => new HttpsAgent(wrong), () => connector(wrong)])
      expect(make).toThrow('should be "converters"')
    expect(() => connector({}, { timeout: -1 })).toThrow('"timeout"')
  })
})

mptcpTest.describe('the connector', () => {
  test('gives up a handshake that takes too long, with the code of undici', async () => {
    await using server = await listening(net.createServer(() => {}))
    const target = { hostname: '127.0.0.1', protocol: 'https:', port: String(server.port) }
    const [error] = await new Promise<unknown[]>(resolve =>
      connector({}, { timeout: 100 })(target, (...result) => resolve(result)),
    )
    expect(error).toMatchObject({ code: 'UND_ERR_CONNECT_TIMEOUT', name: 'ConnectTimeoutError' })
  })
})

mptcpTest.describe('the connector, where the application calls unref() itself', () => {
  for (const name of undicis)
    test(`${name}: a busy connection is left to finish, and closed once it is idle`, async () => {
      const session = new StubSession()
      const { answer, ...control } = counting()
      await using server = await listening(http.createServer(answer))
      const { Agent, request } = (await import(name)) as Undici
      const ours = connector(session.source)
      const dispatcher = new Agent({
        connections: 1,
        connect: ((target, connected) =>
          ours(target, (error, socket) => {
            socket?.unref()
            connected(error as never, socket as never)
          })) as typeof ours,
      })
      const ask = async (path: string) =>
        (await request(`http://127.0.0.1:${server.port}${path}`, { dispatcher })).body.text()
      const slow = ask('/slow')
      await until(() => control.begun() === 1)
      session.fits = false
      session.emit('access')
      await new Promise(resolve => setTimeout(resolve, 20))
      expect(session.made[0]!.destroyed).toBe(false)
      control.finish()
      expect(await slow).toBe('1')
      await until(() => session.made[0]!.destroyed)
      session.fits = true
      expect(await ask('/')).toBe('2')
      await dispatcher.close()
    })
})

mptcpTest.describe('connectTls', () => {
  const server = () =>
    listening(
      tls.createServer({ cert, key, ALPNProtocols: ['h2', 'http/1.1'] }, socket =>
        socket.end(JSON.stringify([socket.servername, socket.alpnProtocol, socket.isSessionReused()])),
      ),
    )
  async function heard(socket: tls.TLSSocket): Promise<unknown> {
    let all = ''
    for await (const chunk of socket) all += chunk
    return JSON.parse(all)
  }

  test('sends the name, agrees upon a protocol, and resumes sessions', async () => {
    await using it = await server()
    const sessions = new Map<string, Buffer>()
    const options = { host: 'localhost', family: 4, port: it.port, ca: cert, ALPNProtocols: ['h2'], sessions } as const
    expect(await heard(connectTls({ mptcp: 'require' }, options))).toEqual(['localhost', 'h2', false])
    expect([...sessions.keys()]).toEqual([`localhost:${it.port}`])
    expect(await heard(connectTls({}, options))).toEqual(['localhost', 'h2', true])
  })

  test('sends no name for an address, and checks it', async () => {
    await using it = await server()
    const options = { host: '127.0.0.1', port: it.port, ca: cert }
    expect(await heard(connectTls({}, options))).toEqual([false, false, false])
    const wrong = connectTls({}, { ...options, servername: 'other.example' })
    const [error] = await once(wrong, 'error').catch(error => [error])
    expect(error).toMatchObject({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' })
  })

  test('HttpsAgent resumes sessions too', async () => {
    const reused: boolean[] = []
    const answer: http.RequestListener = (request, response) => {
      reused.push((request.socket as tls.TLSSocket).isSessionReused())
      response.end()
    }
    await using it = await listening(https.createServer({ cert, key }, answer))
    const agent = new HttpsAgent({}, { ...trusted, keepAlive: false })
    for (let i = 0; i < 2; i++) {
      const [response] = await once(https.get(`https://127.0.0.1:${it.port}/`, { agent }), 'response')
      await once(response.resume(), 'close')
    }
    agent.destroy()
    expect(reused).toEqual([false, true])
  })
})
