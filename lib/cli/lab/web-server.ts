/** The lab's web server, a separate program: `node web-server.js PORT ADDRESS…`. It prints `ready` once it listens. */

import { once } from 'node:events'
import { createServer } from 'node:http'
import { allowHalfOpenHttp } from '../../runtime/kernel/node-socket.js'

const HELP = `This is the lab's web server.
GET  /bytes/N   N octets
POST /echo      the request's body
POST /upload    takes any body
`
/** The size of each piece of a long answer, in octets. */
const PIECE = Buffer.alloc(65_536, 'The quick brown fox jumps over the lazy dog. ')

const [port, ...addresses] = process.argv.slice(2)
for (const address of addresses) {
  const server = createServer((request, response) => {
    const [, count] = /^\/bytes\/(\d{1,12})$/.exec(request.url ?? '') ?? []
    if (request.method === 'POST' && request.url === '/echo') return void request.pipe(response)
    if (request.method === 'POST' && request.url === '/upload')
      return void request.resume().on('end', () => response.writeHead(204).end())
    if (count !== undefined) return void send(Number(count), response)
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
