/** The lab's web server, a separate program: `node web-server.js PORT ADDRESS…`. It prints `ready` once it listens. */

import { once } from 'node:events'
import { createServer } from 'node:http'
import { allowHalfOpenHttp } from '../../runtime/kernel/node-socket.js'

const HELP = `This is the lab's web server.
GET  /bytes/N   N octets
GET  /stream/M  as a film is sent: M megabits per second, for ever
POST /echo      the request's body
POST /upload    takes any body
`
/** The size of each piece of a long answer, in octets. */
const PIECE = Buffer.alloc(65_536, 'The quick brown fox jumps over the lazy dog. ')

const [port, ...addresses] = process.argv.slice(2)
for (const address of addresses) {
  const server = createServer((request, response) => {
    const [, count] = /^\/bytes\/(\d{1,12})$/.exec(request.url ?? '') ?? []
    const [, rate] = /^\/stream\/(\d{1,4})$/.exec(request.url ?? '') ?? []
    if (request.method === 'POST' && request.url === '/echo') return void request.pipe(response)
    if (request.method === 'POST' && request.url === '/upload')
      return void request.resume().on('end', () => response.writeHead(204).end())
    if (count !== undefined) return void send(Number(count), response)
    if (rate !== undefined) return stream(Number(rate), response)
    response.writeHead(request.url === '/' ? 200 : 404, { 'content-type': 'text/plain' }).end(HELP)
  })
  // Node's server otherwise treats a client that has ended its side (`atsss connect` at the end of its input) as disconnected.
  allowHalfOpenHttp(server)
  server.listen(Number(port), address)
  await once(server, 'listening')
}
process.stdout.write('ready\n')

async function send(count: number, response: import('node:http').ServerResponse): Promise<void> {
  response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': count })
  for (let left = count; left > 0 && !response.destroyed; left -= PIECE.length)
    if (!response.write(PIECE.subarray(0, Math.min(left, PIECE.length)))) await drained(response)
  response.end()
}

/** Milliseconds between two pieces of a stream. */
const PACE_MS = 20

/** What cannot be sent in time is left out, and not sent later: after a standstill the stream goes on at its own rate. */
function stream(mbps: number, response: import('node:http').ServerResponse): void {
  response.writeHead(200, { 'content-type': 'application/octet-stream' })
  let at = performance.now()
  const timer = setInterval(() => {
    const now = performance.now()
    const bytes = Math.min(PIECE.length, Math.round((mbps * 1000 * (now - at)) / 8))
    at = now
    if (!response.writableNeedDrain) response.write(PIECE.subarray(0, bytes))
  }, PACE_MS)
  response.on('close', () => clearInterval(timer))
}

/** Until there is room again, or the client has gone. Neither listener stays: a long answer drains thousands of times. */
function drained(response: import('node:http').ServerResponse): Promise<void> {
  return new Promise(resolve => {
    const go = () => {
      response.off('drain', go).off('close', go)
      resolve()
    }
    response.on('drain', go).on('close', go)
  })
}
