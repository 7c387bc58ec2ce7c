/** Each library of the soak as what it can do: fetch a content, send one, or have one sent back. */
import { type EventEmitter, once } from 'node:events'
import http2 from 'node:http2'
import { Readable } from 'node:stream'
import { credentials, Client as GrpcClient } from '@grpc/grpc-js'
import axios from 'axios'
import got from 'got'
import { Redis } from 'ioredis'
import { MqttClient } from 'mqtt'
import pg from 'pg'
import { Agent, request } from 'undici7'
import { WebSocket } from 'ws'
import type { MaPduSession, MptcpSocket } from '../../lib/index.js'
import { cert } from '../../test/support/certificate.js'
import { connector, connectTls, HttpAgent, HttpsAgent, preload } from '../shipped.js'
import { Content, chunksOf, type Receipt, Receiving } from './content.js'
import { PORTS } from './ports.js'

export interface Place {
  session: MaPduSession
  host: string
  /** Milliseconds, for the libraries' own time limits: none may end what is only slow. */
  patience: number
}

/** A content. `progress` is called for each piece that has come or could be sent. */
export interface Exchange {
  seed: number
  bytes: number
  signal: AbortSignal
  progress: () => void
}

/** A client of a library, with connections of its own. */
export interface Client {
  /** The server sends. Checks each byte. */
  down?(exchange: Exchange): Promise<Receipt>
  /** The server receives, checks each byte, and gives the receipt. */
  up?(exchange: Exchange): Promise<Receipt>
  /** The server sends back what it gets, in messages of some kilobytes. Checks each byte. */
  echo?(exchange: Exchange): Promise<Receipt>
  close(): Promise<void>
}

export type Library = (place: Place) => Promise<Client> | Client

const TLS = { ca: cert, servername: 'localhost' }
const MESSAGE = 65_536
const GLOBAL_POOL: unique symbol = Symbol.for('undici.globalDispatcher.1') as never
const path = ({ seed, bytes }: Exchange) => `/?seed=${seed}&bytes=${bytes}`

export const LIBRARIES: Readonly<Record<string, Library>> = {
  undici({ session, host, patience }) {
    const limits = { headersTimeout: patience, bodyTimeout: patience }
    const dispatcher = new Agent({ connect: connector(session, { tls: TLS, timeout: patience }), ...limits })
    const at = `https://${host}`
    return {
      async down(exchange) {
        const { body } = await request(at + path(exchange), { dispatcher, signal: exchange.signal })
        return take(body, exchange)
      },
      async up(exchange) {
        const { signal } = exchange
        const options = { dispatcher, signal, method: 'PUT' as const, headers: length(exchange), body: sent(exchange) }
        return (await (await request(at + path(exchange), options)).body.json()) as Receipt
      },
      close: () => dispatcher.close(),
    }
  },

  axios({ session, host }) {
    const httpAgent = new HttpAgent(session, { keepAlive: true })
    const client = axios.create({ httpAgent, proxy: false, maxRedirects: 0, baseURL: `http://${host}` })
    return {
      async down(exchange) {
        const { data } = await client.get(path(exchange), { responseType: 'stream', signal: exchange.signal })
        return take(data, exchange)
      },
      async up(exchange) {
        const options = { headers: length(exchange), maxBodyLength: Number.POSITIVE_INFINITY, signal: exchange.signal }
        return (await client.put(path(exchange), sent(exchange), options)).data
      },
      close: async () => httpAgent.destroy(),
    }
  },

  got({ session, host }) {
    const agent = { https: new HttpsAgent(session, { keepAlive: true, ...TLS }) }
    const client = got.extend({ agent, retry: { limit: 0 }, prefixUrl: `https://${host}` })
    const at = (exchange: Exchange) => path(exchange).slice(1)
    return {
      down: exchange => take(client.stream(at(exchange), { signal: exchange.signal }), exchange),
      up: exchange =>
        client
          .put(at(exchange), { body: sent(exchange), headers: length(exchange), signal: exchange.signal })
          .json<Receipt>(),
      close: async () => agent.https.destroy(),
    }
  },

  fetch({ session, host }) {
    const release = preload(session)
    return {
      async down(exchange) {
        const { body } = await fetch(`http://${host}${path(exchange)}`, { signal: exchange.signal })
        return take(body!, exchange)
      },
      async up(exchange) {
        const body = Readable.toWeb(sent(exchange)) as ReadableStream
        const options = { method: 'PUT', body, duplex: 'half', signal: exchange.signal } as RequestInit
        return (await (await fetch(`http://${host}${path(exchange)}`, options)).json()) as Receipt
      },
      async close() {
        // The pool is the process's. It keeps connections as long as the server says: another one takes its place.
        const pools = globalThis as { [GLOBAL_POOL]?: Agent }
        const pool = pools[GLOBAL_POOL]
        if (pool) pools[GLOBAL_POOL] = new (pool.constructor as typeof Agent)()
        await pool?.close()
        release()
      },
    }
  },

  async http2({ session, host }) {
    const client = http2.connect(`https://${host}:${PORTS.http2}`, {
      createConnection: () => connectTls(session, { host, port: PORTS.http2, ALPNProtocols: ['h2'], ...TLS }),
    })
    client.on('error', () => {}) // each of its requests has the error
    await once(client, 'connect')
    const open = (exchange: Exchange, headers: http2.OutgoingHttpHeaders) =>
      client.request({ ':path': path(exchange), ...headers }, { signal: exchange.signal })
    return {
      down: exchange => take(open(exchange, {}), exchange),
      async up(exchange) {
        const stream = open(exchange, { ':method': 'PUT', ...length(exchange) })
        sent(exchange).pipe(stream)
        let text = ''
        for await (const piece of stream) text += piece
        return JSON.parse(text) as Receipt
      },
      close: () => new Promise(resolve => client.close(resolve)),
    }
  },

  async ws({ session, host }) {
    const agent = new HttpsAgent(session, TLS)
    const socket = new WebSocket(`wss://${host}/`, { agent, perMessageDeflate: false })
    socket.on('error', () => {}) // 'close' follows
    await once(socket, 'open')
    return {
      echo: exchange =>
        echoed(exchange, async message => {
          socket.send(message)
          return (await firstOf(socket, 'message', 'close', exchange.signal)) as Buffer
        }),
      async close() {
        socket.close()
        if (socket.readyState !== WebSocket.CLOSED) await once(socket, 'close')
        agent.destroy()
      },
    }
  },

  async mqtt({ session, host, patience }) {
    const limits = { reconnectPeriod: 0, connectTimeout: patience, keepalive: 0 }
    const client = new MqttClient(() => session.connect(PORTS.mqtt, host), limits)
    const events = client as unknown as EventEmitter
    await once(events, 'connect')
    const topic = `echo/${Math.random()}`
    await client.subscribeAsync(topic, { qos: 1 })
    return {
      echo: exchange =>
        echoed(exchange, async message => {
          const answer = firstOf(events, 'message', 'close', exchange.signal, 1)
          await client.publishAsync(topic, message, { qos: 1 })
          return (await answer) as Buffer
        }),
      close: () => client.endAsync(),
    }
  },

  grpc({ session, host }) {
    const release = preload(session)
    const client = new GrpcClient(`${host}:${PORTS.grpc}`, credentials.createInsecure())
    const raw = (value: Buffer) => value
    return {
      echo: exchange =>
        echoed(
          exchange,
          message =>
            new Promise((resolve, reject) => {
              client.makeUnaryRequest('/Service/Echo', raw, raw, message, (error, answer) =>
                error ? reject(error) : resolve(answer!),
              )
            }),
        ),
      async close() {
        client.close()
        release()
      },
    }
  },

  async ioredis({ session, host, patience }) {
    const client = new Redis({
      Connector: connectorOf(session, host) as never,
      ...{ lazyConnect: true, retryStrategy: () => null, connectTimeout: patience },
    })
    client.on('error', () => {}) // each command has the error
    await client.connect()
    return {
      echo: exchange =>
        echoed(exchange, async message => Buffer.from((await client.get(message.toString('base64')))!, 'base64')),
      async close() {
        await client.quit()
      },
    }
  },

  async pg({ session, host }) {
    const options = { host, port: PORTS.postgres, user: 'me', database: 'mine' }
    const client = new pg.Client({ ...options, stream: () => session.createSocket() })
    client.on('error', () => {}) // each query has the error
    await client.connect()
    return {
      echo: exchange =>
        echoed(exchange, async message => {
          const { rows } = await client.query(`SELECT '${message.toString('base64')}'`)
          return Buffer.from(rows[0].connection, 'base64')
        }),
      close: () => client.end(),
    }
  },
}

/** A socket of the session itself, with a content each way at the same time. */
export async function stream(
  { session, host }: Place,
  up: Exchange,
  down: Exchange,
): Promise<[sent: Receipt, received: Receipt]> {
  const socket = session.connect({ host, port: PORTS.stream, allowHalfOpen: true })
  const abort = () => socket.destroy(new Error('it did not end'))
  up.signal.addEventListener('abort', abort)
  try {
    const only = ({ seed, bytes }: Exchange) => ({ seed, bytes })
    socket.write(`${JSON.stringify({ up: only(up), down: only(down) })}\n`)
    const given = (async () => {
      for (const chunk of chunksOf(up.seed, up.bytes)) {
        if (!socket.write(chunk)) await once(socket, 'drain', { signal: up.signal })
        up.progress()
      }
      socket.end()
    })()
    given.catch(() => {}) // the socket has the error
    const receiving = new Receiving(down.seed)
    let text = ''
    for await (const piece of socket as AsyncIterable<Buffer>) {
      const content = piece.subarray(0, down.bytes - receiving.bytes)
      if (content.length > 0) receiving.take(content)
      text += piece.subarray(content.length).toString()
      down.progress()
    }
    await given
    return [JSON.parse(text) as Receipt, receiving.receipt]
  } finally {
    up.signal.removeEventListener('abort', abort)
    socket.destroy()
  }
}

function length({ bytes }: Exchange): { 'content-length': string } {
  return { 'content-length': String(bytes) }
}

function sent({ seed, bytes, progress }: Exchange): Readable {
  const chunks = (function* () {
    for (const chunk of chunksOf(seed, bytes)) {
      progress()
      yield chunk
    }
  })()
  return Readable.from(chunks, { objectMode: false })
}

async function take(body: AsyncIterable<Uint8Array>, { seed, progress }: Exchange): Promise<Receipt> {
  const receiving = new Receiving(seed)
  for await (const chunk of body) {
    receiving.take(chunk)
    progress()
  }
  return receiving.receipt
}

/** In turn: a message, its answer. */
async function echoed(exchange: Exchange, ask: (message: Buffer) => Promise<Buffer>): Promise<Receipt> {
  const content = new Content(exchange.seed)
  const receiving = new Receiving(exchange.seed)
  while (receiving.bytes < exchange.bytes) {
    receiving.take(await ask(content.next(Math.min(MESSAGE, exchange.bytes - receiving.bytes))))
    exchange.progress()
  }
  return receiving.receipt
}

/** The argument number `index` of an event; rejects at the event `end`. */
async function firstOf(
  emitter: EventEmitter,
  event: string,
  end: string,
  signal: AbortSignal,
  index = 0,
): Promise<unknown> {
  const over = new AbortController()
  try {
    return await Promise.race([
      once(emitter, event, { signal: AbortSignal.any([signal, over.signal]) }).then(args => args[index]),
      once(emitter, end, { signal: AbortSignal.any([signal, over.signal]) }).then(() => {
        throw new Error(`'${end}' before '${event}'`)
      }),
    ])
  } finally {
    over.abort()
  }
}

function connectorOf(session: MaPduSession, host: string) {
  return class {
    #socket: MptcpSocket | undefined

    check(): boolean {
      return true
    }

    async connect(): Promise<MptcpSocket> {
      this.#socket = session.connect(PORTS.redis, host)
      await once(this.#socket, 'connect')
      return this.#socket
    }

    disconnect(): void {
      this.#socket?.end()
    }
  }
}
