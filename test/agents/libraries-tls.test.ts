/**
 * Libraries over TLS, through a converter: those of docs/libraries.md whose recipes speak in the clear, and protocols that begin in
 * the clear and turn to TLS (STARTTLS, PostgreSQL, MySQL). Each with a socket of ours, and under the preload.
 */
import { once } from 'node:events'
import net from 'node:net'
import tls from 'node:tls'
import { credentials, Client as GrpcClient, Server as GrpcServer, ServerCredentials } from '@grpc/grpc-js'
import { Aedes } from 'aedes'
import { Redis } from 'ioredis'
import { MqttClient, connect as mqttConnect } from 'mqtt'
import { createConnection } from 'mysql2/promise'
import { createTransport } from 'nodemailer'
import pg from 'pg'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { connectTls } from '../../lib/agents/tls.js'
import type { MptcpOptions } from '../../lib/input/options.js'
import { preload } from '../../lib/preload/preload.js'
import { connect } from '../../lib/socket/connect.js'
import { MptcpSocket } from '../../lib/socket/socket.js'
import { cert, key } from '../support/certificate.js'
import { listening } from '../support/mptcp-server.js'
import { leavesNothingOpen } from '../support/open-things.js'
import { mptcp } from '../support/probes.js'
import { converterProcess } from '../support/reference-converter.js'
import { requires } from '../support/requires.js'
import { mysql, postgres, redis, smtp } from '../support/scripted-servers.js'

const mptcpTest = requires('MPTCP', mptcp)
vi.setConfig({ testTimeout: 60_000 })
leavesNothingOpen()

let converter: Awaited<ReturnType<typeof converterProcess>>
let through: MptcpOptions
beforeAll(async () => {
  converter = await converterProcess()
  through = { converters: converter.name, allowLoopback: true, fallback: 'fail' }
}, 60_000)
afterAll(() => converter?.stop())

const host = '127.0.0.1'
const trusted = { ca: cert, servername: 'localhost' }

interface Library {
  server(): net.Server | Promise<net.Server>
  /** Asks once and leaves; whether the answer is right is checked here. With `ours`, over a socket of ours. */
  ask(port: number, ours: boolean): Promise<void>
}

const LIBRARIES: Record<string, Library> = {
  'pg, after an SSLRequest': {
    server: () => net.createServer(postgres),
    async ask(port, ours) {
      const stream = ours ? { stream: () => new MptcpSocket(through) } : {}
      const client = new pg.Client({ host, port, user: 'me', database: 'mine', ssl: trusted, ...stream })
      await client.connect()
      expect((await client.query('SELECT connection')).rows[0].connection).toMatch(/^connection/)
      await client.end()
    },
  },
  'mysql2, after an SSLRequest': {
    server: () => net.createServer(mysql),
    async ask(port, ours) {
      const stream = ours ? { stream: () => connect({ host, port, ...through }) } : {}
      const ssl = { ca: cert, verifyIdentity: false }
      const connection = await createConnection({ host, port, user: 'me', password: 'x', ssl, ...stream })
      await connection.ping()
      await connection.end()
    },
  },
  'nodemailer, after STARTTLS': {
    server: () => net.createServer(socket => smtp(socket)),
    async ask(port, ours) {
      const getSocket = async (_: object, done: (error: Error | null, given?: object) => void) => {
        const connection = connect({ host, port, ...through })
        await once(connection, 'connect')
        done(null, { connection })
      }
      const transport = createTransport({
        ...{ host, port, secure: false, requireTLS: true, tls: trusted },
        ...(ours && { getSocket: getSocket as never }),
      })
      const message = { from: 'a@example.com', to: 'b@example.com', subject: 'hello', text: 'hello' }
      expect((await transport.sendMail(message)).response).toMatch(/^250 connection/)
      transport.close()
    },
  },
  'mqtt (mqtts)': {
    async server() {
      const broker = await Aedes.createBroker()
      const server = tls.createServer({ cert, key }, broker.handle)
      return server.on('close', () => broker.close())
    },
    async ask(port, ours) {
      const client = ours
        ? new MqttClient(() => connectTls(through, { host, port, ...trusted }), { reconnectPeriod: 0 })
        : mqttConnect({ protocol: 'mqtts', host, port, reconnectPeriod: 0, ...trusted })
      await new Promise<void>(resolve => client.once('connect', () => resolve()))
      await client.subscribeAsync('news')
      const heard = new Promise<string>(resolve => client.once('message', (_, payload) => resolve(String(payload))))
      await client.publishAsync('news', 'hello', { qos: 1 })
      expect(await heard).toBe('hello')
      await client.endAsync()
    },
  },
  'ioredis (rediss)': {
    server: () => tls.createServer({ cert, key }, redis),
    async ask(port, ours) {
      class Connector {
        #socket: tls.TLSSocket | undefined
        check(): boolean {
          return true
        }
        async connect(): Promise<tls.TLSSocket> {
          this.#socket = connectTls(through, { host, port, ...trusted })
          await once(this.#socket, 'secureConnect')
          return this.#socket
        }
        disconnect(): void {
          this.#socket?.end()
        }
      }
      const client = ours
        ? new Redis({ Connector: Connector as never, lazyConnect: true })
        : new Redis({ host, port, tls: trusted, lazyConnect: true })
      await client.connect()
      expect(await client.get('connection')).toMatch(/^connection/)
      await client.quit()
    },
  },
}

for (const [name, { server, ask }] of Object.entries(LIBRARIES))
  mptcpTest.describe(name, () => {
    for (const ours of [true, false])
      test(ours ? 'over a socket of ours' : 'under the preload', async () => {
        const made = await server()
        const listener = await listening(made)
        const before = converter.established()
        const release = ours ? () => {} : preload(through, { includeLocal: true })
        try {
          await ask(listener.port, ours)
        } finally {
          release()
        }
        await expect.poll(() => converter.established()).toBeGreaterThan(before)
        await listener[Symbol.asyncDispose]()
      })
  })

mptcpTest('gRPC over TLS, under the preload', async () => {
  const server = new GrpcServer()
  const bytes = (value: Buffer) => value
  const method = { path: '/Service/Ask', requestStream: false, responseStream: false } as const
  const serialization = {
    requestSerialize: bytes,
    requestDeserialize: bytes,
    responseSerialize: bytes,
    responseDeserialize: bytes,
  }
  server.addService(
    { ask: { ...method, ...serialization } },
    { ask: (call: { request: Buffer }, done: (error: null, answer: Buffer) => void) => done(null, call.request) },
  )
  const pair = { cert_chain: Buffer.from(cert), private_key: Buffer.from(key) }
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createSsl(null, [pair]), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  )
  const before = converter.established()
  const release = preload(through, { includeLocal: true })
  // Node 26 refuses an address as the TLS server name, which grpc-js would set.
  const client = new GrpcClient(`127.0.0.1:${port}`, credentials.createSsl(Buffer.from(cert)), {
    'grpc.ssl_target_name_override': 'localhost',
  })
  const answer = await new Promise<Buffer>((resolve, reject) =>
    client.makeUnaryRequest('/Service/Ask', bytes, bytes, Buffer.from('hello'), (error, value) =>
      error ? reject(error) : resolve(value!),
    ),
  )
  release()
  expect(String(answer)).toBe('hello')
  await expect.poll(() => converter.established()).toBeGreaterThan(before)
  client.close()
  server.forceShutdown()
})
