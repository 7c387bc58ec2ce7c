/**
 * The servers of the soak: `server.ts ADDRESS KEEP_ALIVE_MS`. HTTP, HTTPS, HTTP/2, WebSockets, MQTT (aedes) and gRPC are what their
 * libraries speak; Redis and PostgreSQL are scripted; port 7 takes a stream both ways. Prints its receipt of each upload.
 *
 * `GET /?seed=S&bytes=N` gives that content. `PUT` checks it and answers with a receipt.
 */
import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import net from 'node:net'
import { pipeline, Readable } from 'node:stream'
import { Server as GrpcServer, ServerCredentials } from '@grpc/grpc-js'
import { Aedes } from 'aedes'
import { WebSocketServer } from 'ws'
import { cert, key } from '../../test/support/certificate.js'
import { postgres, redis } from '../../test/support/scripted-servers.js'
import { chunksOf, Receiving } from './content.js'
import { PORTS } from './ports.js'

const [address, keepAlive] = process.argv.slice(2) as [string, string]
const http1 = { keepAliveTimeout: Number(keepAlive) }

const listen = (server: net.Server, port: number) =>
  new Promise<void>(resolve => server.listen(port, address, () => resolve()))

const answer = (request: http.IncomingMessage | http2.Http2ServerRequest, response: http.ServerResponse) => {
  const query = new URL(request.url!, 'http://server').searchParams
  const [seed, bytes] = [Number(query.get('seed')), Number(query.get('bytes'))]
  if (request.method === 'GET') {
    response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': bytes })
    pipeline(Readable.from(chunksOf(seed, bytes)), response, () => {})
    return
  }
  const receiving = new Receiving(seed)
  request.on('error', () => {})
  request.on('data', (chunk: Buffer) => {
    try {
      receiving.take(chunk)
    } catch (error) {
      console.error(String(error))
      request.destroy()
    }
  })
  request.on('end', () => response.end(JSON.stringify(receiving.receipt)))
}

await listen(http.createServer(http1, answer), PORTS.http)
const secure = https.createServer({ cert, key, ...http1 }, answer)
new WebSocketServer({ server: secure }).on('connection', socket => {
  socket.on('error', () => {})
  socket.on('message', data => socket.send(data))
})
await listen(secure, PORTS.https)
await listen(
  http2.createSecureServer({ cert, key }, (request, response) => answer(request, response as never)),
  PORTS.http2,
)

// A client gets what it has published under a topic to which it has subscribed.
const broker = await Aedes.createBroker()
await listen(net.createServer(broker.handle), PORTS.mqtt)

await listen(
  net.createServer(socket => redis(socket, key => key)),
  PORTS.redis,
)
await listen(
  net.createServer(socket => postgres(socket, query => /'([^']*)'/.exec(query)?.[1] ?? '')),
  PORTS.postgres,
)

// A stream both ways: a line with the seeds and lengths, then the contents, then a line with the receipt.
await listen(
  net.createServer({ allowHalfOpen: true, noDelay: true }, socket => {
    socket.on('error', () => {})
    let head = ''
    const opening = (chunk: Buffer) => {
      head += chunk.toString('latin1')
      const end = head.indexOf('\n')
      if (end < 0) return
      socket.off('data', opening)
      const { up, down } = JSON.parse(head.slice(0, end)) as Record<'up' | 'down', { seed: number; bytes: number }>
      const receiving = new Receiving(up.seed)
      const take = (data: Buffer) => {
        try {
          receiving.take(data)
        } catch (error) {
          console.error(String(error))
          socket.destroy()
        }
      }
      socket.on('data', take)
      take(Buffer.from(head.slice(end + 1), 'latin1'))
      const ended = new Promise<void>(resolve => socket.once('end', resolve))
      const given = new Promise<void>(resolve => {
        const content = Readable.from(chunksOf(down.seed, down.bytes))
        content.once('end', resolve)
        content.pipe(socket, { end: false })
      })
      void Promise.all([ended, given]).then(() => socket.end(JSON.stringify(receiving.receipt)))
    }
    socket.on('data', opening)
  }),
  PORTS.stream,
)

const grpc = new GrpcServer()
const raw = (value: Buffer) => value
const bytes = { requestSerialize: raw, requestDeserialize: raw, responseSerialize: raw, responseDeserialize: raw }
grpc.addService(
  { echo: { path: '/Service/Echo', requestStream: false, responseStream: false, ...bytes } },
  {
    echo: (call: { request: Buffer }, done: (error: null, answer: Buffer) => void) => done(null, call.request),
  },
)
await new Promise<void>((resolve, reject) =>
  grpc.bindAsync(`${address}:${PORTS.grpc}`, ServerCredentials.createInsecure(), error =>
    error ? reject(error) : resolve(),
  ),
)
console.log('ready')
