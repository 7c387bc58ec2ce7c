/** What this library notes about objects of the application stays right, whatever the application's listeners do. */
import { once } from 'node:events'
import http from 'node:http'
import https from 'node:https'
import net from 'node:net'
import tls from 'node:tls'
import type { Worker } from 'node:worker_threads'
import { afterEach, describe, expect, onTestFinished } from 'vitest'
import { HttpAgent, HttpsAgent } from '../../lib/agents/http.js'
import { connectTls } from '../../lib/agents/tls.js'
import { connector } from '../../lib/agents/undici.js'
import { MaPduSession, type SessionOptions } from '../../lib/index.js'
import { encode } from '../../lib/wire/convert/index.js'
import { cert, key } from '../support/certificate.js'
import { echoServer } from '../support/echo-server.js'
import { listening } from '../support/mptcp-server.js'
import { leavesNothingOpen } from '../support/open-things.js'
import { all, mptcp, root } from '../support/probes.js'
import { requires } from '../support/requires.js'
import { uncaughtIn } from '../support/uncaught.js'

leavesNothingOpen()

const mptcpTest = requires('MPTCP', mptcp)
/** `lo` is no usable access, so a pool keeps a connection over it only where it could be moved. */
const steeredTest = requires('MPTCP, root', all(mptcp, root))

const ACCESSES = { '3gpp': 'nowhere0', 'non-3gpp': 'lo' }
const sessions: MaPduSession[] = []
const remotes: net.Socket[] = []
afterEach(() => {
  for (const made of sessions.splice(0)) made.close()
  for (const remote of remotes.splice(0)) remote.destroy()
})

function session(options: Partial<SessionOptions> = {}): MaPduSession {
  const made = new MaPduSession({ accesses: ACCESSES, allowLoopback: true, controller: 'inline', ...options })
  sessions.push(made)
  return made
}

/** Nothing that was registered before is called: the worst that an application can do. */
const SPOILERS: Record<string, (emitter: net.Socket) => unknown> = {
  'an earlier listener throws': emitter =>
    emitter.prependListener('close', () => {
      throw new Error('close')
    }),
  'all listeners are removed': emitter => emitter.removeAllListeners('close'),
}
/** What uncaught exceptions to expect. */
const thrown = (spoiler: string, times: number) =>
  spoiler.endsWith('throws') ? Array(times).fill(expect.objectContaining({ message: 'close' })) : []

for (const [title, spoil] of Object.entries(SPOILERS)) {
  mptcpTest(`the steering of a connection ends with it, although ${title}`, async () => {
    await using echo = await echoServer()
    const commands: { command: string; token?: number; steered?: { token: number } }[] = []
    process.once('worker', (worker: Worker) => {
      const { postMessage } = worker
      worker.postMessage = (message, ...more) => {
        commands.push(message)
        postMessage.call(worker, message, ...(more as []))
      }
    })
    // The thread is in dist/.
    const { MaPduSession } = await import('atsss')
    const made = new MaPduSession({ accesses: ACCESSES })
    sessions.push(made as never)
    await made.ready
    const uncaught = await uncaughtIn(async () => {
      const socket = made.connect({ host: '127.0.0.1', port: echo.port })
      await once(socket, 'connect')
      spoil(socket)
      socket.destroy()
      await expect.poll(() => socket.closed).toBe(true)
    })
    expect(uncaught).toEqual(thrown(title, 1))
    const added = commands.find(({ command }) => command === 'add')!.steered!.token
    expect(commands.filter(({ command }) => command === 'remove')).toEqual([{ command: 'remove', token: added }])
    expect(made.stats().connections).toEqual([])
  })

  mptcpTest(`a server notices the end of a connection, although ${title}`, async () => {
    const server = session({ converters: '127.0.0.1:5124' }).createServer({ pcpServers: ['127.0.0.1:9'] })
    await new Promise<void>(resolve => server.listen(0, resolve))
    const uncaught = await uncaughtIn(async () => {
      const [[socket]] = await Promise.all([
        once(server, 'connection') as Promise<[net.Socket]>,
        bring(server.address()!.port),
      ])
      spoil(socket)
      const closed = new Promise(resolve => server.close(resolve))
      socket.destroy()
      await closed
    })
    expect(uncaught).toEqual(thrown(title, 1))
    expect(await new Promise(resolve => server.getConnections((_, count) => resolve(count)))).toBe(0)
  })

  for (const secure of [false, true])
    for (const client of ['agent', 'undici'] as const)
      steeredTest(
        `a pool (${client}, ${secure ? 'https' : 'http'}) forgets a closed connection, although ${title}`,
        async () => {
          const answer: http.RequestListener = (_, response) => response.end('x')
          await using server = await listening(
            secure ? https.createServer({ cert, key }, answer) : http.createServer(answer),
          )
          const made = session()
          const listeners = () => made.ownEvents.listenerCount('access') + made.ownEvents.listenerCount('update')
          const before = listeners()
          const sockets: net.Socket[] = []
          const uncaught = await uncaughtIn(async () => {
            await (client === 'agent' ? withAgent : withUndici)(made, secure, server.port, sockets)
            await expect.poll(listeners).toBe(before + 2)
            spoil(sockets[0]!)
            sockets[0]!.destroy()
            await expect.poll(() => sockets[0]!.closed).toBe(true)
          })
          expect(uncaught).toEqual(thrown(title, 1))
          expect(listeners()).toBe(before)
        },
      )
}

async function withAgent(made: MaPduSession, secure: boolean, port: number, sockets: net.Socket[]): Promise<void> {
  const agent = secure ? new HttpsAgent(made, { ca: cert }) : new HttpAgent(made)
  onTestFinished(() => agent.destroy())
  const request = (secure ? https : http).get({ host: '127.0.0.1', port, agent, servername: 'localhost' } as object)
  request.on('socket', socket => sockets.push(socket))
  const [response] = (await once(request, 'response')) as [http.IncomingMessage]
  await once(response.resume(), 'end')
}

async function withUndici(made: MaPduSession, secure: boolean, port: number, sockets: net.Socket[]): Promise<void> {
  const { Agent, request } = await import('undici7')
  const connect = connector(made, { tls: { ca: cert, servername: 'localhost' } })
  const dispatcher = new Agent({
    connect: ((target: never, connected: (error: Error | null, socket: net.Socket | null) => void) =>
      connect(target, (error, socket) => {
        if (socket) sockets.push(socket)
        connected(error, socket)
      })) as never,
  })
  // It does not learn of the end of a connection whose listeners are spoiled.
  onTestFinished(() => void dispatcher.destroy())
  const { body } = await request(`${secure ? 'https' : 'http'}://127.0.0.1:${port}/`, { dispatcher })
  await body.text()
}

const REFUSED = { unmatched: 'refuse' } as const

describe('changes of a session', () => {
  mptcpTest('close idle connections in pools, although an earlier listener throws', async () => {
    await using server = await listening(http.createServer((_, response) => response.end('x')))
    const made = session(REFUSED)
    made.on('update', () => {
      throw new Error('update')
    })
    const sockets: net.Socket[] = []
    const uncaught = await uncaughtIn(async () => {
      await withAgent(made, false, server.port, sockets)
      await new Promise(resolve => setTimeout(resolve, 20))
      made.update([])
      await expect.poll(() => sockets[0]!.destroyed).toBe(true)
    })
    expect(uncaught).toEqual([expect.objectContaining({ message: 'update' })])
  })

  mptcpTest('close idle connections in pools, although the application has removed all listeners', async () => {
    await using server = await listening(http.createServer((_, response) => response.end('x')))
    const made = session(REFUSED)
    const sockets: net.Socket[] = []
    await withAgent(made, false, server.port, sockets)
    made.removeAllListeners()
    made.update([])
    await expect.poll(() => sockets[0]!.destroyed).toBe(true)
  })
})

describe('the end of a server', () => {
  const server = async () => {
    const made = session({ converters: '127.0.0.1:5124' }).createServer({ pcpServers: ['127.0.0.1:9'] })
    const abort = new AbortController()
    await new Promise<void>(resolve => made.listen({ port: 0, signal: abort.signal }, resolve))
    return { made, abort }
  }

  mptcpTest("is reached by `await using`, although a 'close' listener throws", async () => {
    const { made } = await server()
    made.on('close', () => {
      throw new Error('close')
    })
    expect(await uncaughtIn(() => made[Symbol.asyncDispose]())).toEqual([expect.objectContaining({ message: 'close' })])
    expect(made.listening).toBe(false)
  })

  mptcpTest('comes with its signal, although an earlier listener has stopped that, as with net.Server', async () => {
    const stop = (event: Event) => event.stopImmediatePropagation()
    const abort = new AbortController()
    abort.signal.addEventListener('abort', stop)
    const nodes = net.createServer()
    await new Promise<void>(resolve => nodes.listen({ port: 0, signal: abort.signal }, resolve))
    const made = session({ converters: '127.0.0.1:5124' }).createServer({ pcpServers: ['127.0.0.1:9'] })
    await new Promise<void>(resolve => made.listen({ port: 0, signal: abort.signal }, resolve))
    const closed = Promise.all([once(nodes, 'close'), once(made, 'close')])
    abort.abort()
    await closed
    expect(made.listening).toBe(false)
  })
})

describe('session.reuseBlockedBy() of a TLSSocket is about the connection below it', () => {
  const make: Record<string, (made: MaPduSession, port: number) => tls.TLSSocket> = {
    'connectTls()': (made, port) => connectTls(made, { host: '127.0.0.1', port, ca: cert }),
    'tls.connect() over a socket of the session': (made, port) =>
      tls.connect({ socket: made.connect({ host: '127.0.0.1', port }), ca: cert, servername: 'localhost' }),
  }
  for (const [title, connect] of Object.entries(make))
    steeredTest(title, async () => {
      await using server = await listening(tls.createServer({ cert, key }, socket => socket.resume()))
      const made = session(REFUSED)
      const secure = connect(made, server.port)
      await once(secure, 'secureConnect')
      expect(made.reuseBlockedBy(secure)).toBeUndefined()
      made.update([])
      expect(made.reuseBlockedBy(secure)).toMatch(/rule/)
      secure.destroy()
      await once(secure, 'close')
    })
})

/** Connects as a converter does, for the remote host 198.51.100.7. */
async function bring(port: number): Promise<void> {
  const socket = net.connect(port, '127.0.0.1').on('error', () => {})
  remotes.push(socket)
  await once(socket, 'connect')
  socket.write(encode([{ type: 'connect', address: '198.51.100.7', port: 80, tcpOptions: [] }]))
}
