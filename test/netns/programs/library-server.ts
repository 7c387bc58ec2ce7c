/**
 * Servers for libraries. To each request they answer with the number of the connection that it came on. HTTP, HTTPS with
 * WebSockets, HTTP/2, MQTT (aedes) and gRPC are what their libraries speak; Redis and PostgreSQL are
 * scripted.
 */
import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import net from 'node:net'
import { Server as GrpcServer, ServerCredentials } from '@grpc/grpc-js'
import { Aedes } from 'aedes'
import { WebSocketServer } from 'ws'
import { cert, key } from '../../support/certificate.js'
import { numberOf, postgres, redis } from '../../support/scripted-servers.js'

const listen = (server: net.Server, port: number) => new Promise<void>(resolve => server.listen(port, '::', resolve))
const answer: http.RequestListener = (request, response) => response.end(numberOf(request.socket))

await listen(http.createServer({ keepAliveTimeout: 60_000 }, answer), 80)

const secure = https.createServer({ cert, key, keepAliveTimeout: 60_000 }, answer)
new WebSocketServer({ server: secure }).on('connection', (socket, { socket: below }) =>
  socket.on('message', () => socket.send(numberOf(below))),
)
await listen(secure, 443)

const two = http2.createSecureServer({ cert, key }, (_, response) => response.end(numberOf(response.stream.session!)))
await listen(two, 8443)

const broker = await Aedes.createBroker()
broker.on('publish', (packet, client) => {
  if (packet.topic !== 'questions' || !client) return
  const payload = numberOf(client.conn)
  broker.publish({ cmd: 'publish', topic: 'answers', payload, qos: 0, dup: false, retain: false }, () => {})
})
await listen(net.createServer(broker.handle), 1883)

await listen(net.createServer(redis), 6379)
await listen(net.createServer(postgres), 5432)

const grpc = new GrpcServer()
const plain = { requestStream: false, responseStream: false }
const bytes = { requestSerialize: raw, requestDeserialize: raw, responseSerialize: raw, responseDeserialize: raw }
grpc.addService(
  { ask: { path: '/Service/Ask', ...plain, ...bytes } },
  {
    ask: (call: { getPeer(): string }, done: (error: null, answer: Buffer) => void) =>
      done(null, Buffer.from(call.getPeer())),
  },
)
await new Promise<void>((resolve, reject) =>
  grpc.bindAsync('[::]:50051', ServerCredentials.createInsecure(), error => (error ? reject(error) : resolve())),
)
process.stdout.write('{"event":"ready"}\n')

function raw(value: Buffer): Buffer {
  return value
}
