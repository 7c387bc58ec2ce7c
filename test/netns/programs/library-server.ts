/**
 * Servers for libraries. To each request they answer with the number of the connection that it came on. HTTP, HTTPS with
 * WebSockets, HTTP/2, MQTT (aedes) and gRPC are what their libraries speak; Redis (RESP 2) and PostgreSQL (protocol 3.0) are
 * spoken here, as far as their clients ask.
 */
import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import net from 'node:net'
import { Server as GrpcServer, ServerCredentials } from '@grpc/grpc-js'
import { Aedes } from 'aedes'
import { WebSocketServer } from 'ws'
import { cert, key } from '../../support/certificate.js'

const numbers = new WeakMap<object, number>()
let last = 0
const numberOf = (socket: object) => {
  if (!numbers.has(socket)) numbers.set(socket, ++last)
  return `connection ${numbers.get(socket)}`
}

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

/** RESP 2: an array of bulk strings; GET and QUIT, and "OK" to all that clients say of themselves. */
function redis(socket: net.Socket): void {
  let rest = ''
  socket.setEncoding('latin1').on('error', () => {})
  socket.on('data', (chunk: string) => {
    rest += chunk
    for (;;) {
      const words = takeWords()
      if (!words) return
      const word = words[0]!.toUpperCase()
      const text = numberOf(socket)
      if (word === 'GET') socket.write(`$${text.length}\r\n${text}\r\n`)
      else if (word === 'INFO') socket.write('$23\r\nredis_version:7.0.0\r\n\r\n\r\n')
      else socket.write('+OK\r\n')
      if (word === 'QUIT') socket.end()
    }
  })
  function takeWords(): string[] | undefined {
    const lines = rest.split('\r\n')
    const count = Number(/^\*(\d+)$/.exec(lines[0] ?? '')?.[1])
    if (!(count > 0) || lines.length < 2 * count + 2) return undefined
    rest = lines.slice(2 * count + 1).join('\r\n')
    return Array.from({ length: count }, (_, index) => lines[2 * index + 2]!)
  }
}

/** PostgreSQL's frontend/backend protocol 3.0: no password, simple queries, one row of one text column. */
function postgres(socket: net.Socket): void {
  const message = (type: string, ...parts: (Buffer | string)[]) => {
    const body = Buffer.concat(parts.map(part => Buffer.from(part as string)))
    const head = Buffer.alloc(5)
    head.write(type)
    head.writeInt32BE(body.length + 4, 1)
    return Buffer.concat([head, body])
  }
  const int16 = (value: number) => Buffer.from([value >> 8, value & 255])
  const int32 = (value: number) => Buffer.from([value >> 24, value >> 16, value >> 8, value])
  const ready = message('Z', 'I')
  let rest = Buffer.alloc(0)
  let started = false
  socket.on('error', () => {})
  socket.on('data', chunk => {
    rest = Buffer.concat([rest, chunk as Buffer])
    for (;;) {
      const at = started ? 1 : 0
      if (rest.length < at + 4 || rest.length < at + rest.readInt32BE(at)) return
      const type = started ? String.fromCharCode(rest[0]!) : 'startup'
      rest = rest.subarray(at + rest.readInt32BE(at))
      if (type === 'startup') {
        started = true
        socket.write(Buffer.concat([message('R', int32(0)), ready]))
      } else if (type === 'Q') {
        const text = numberOf(socket)
        const column = [int32(0), int16(0), int32(25), int16(-1), int32(-1), int16(0)]
        socket.write(
          Buffer.concat([
            message('T', int16(1), 'connection\0', ...column),
            message('D', int16(1), int32(text.length), text),
            message('C', 'SELECT 1\0'),
            ready,
          ]),
        )
      } else if (type === 'X') socket.end()
    }
  })
}
