/**
 * The demo's web server. `GET /` answers with one line, `GET /large` with 20 MB that are the same every time; `GET /file?bytes=N`
 * with that many, and `GET /live?mbps=N` with a live stream until `GET /stop`: behind both, in a trailer, is their SHA-256. Any `PUT`
 * answers with what has arrived, and when.
 */
import { createCipheriv, createHash } from 'node:crypto'
import { createServer, type ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { file, hashing, live, receive } from './content.js'

const LARGE = 20_000_000

const zeros = Buffer.alloc(LARGE)
const large = createCipheriv('aes-128-ctr', Buffer.alloc(16, 'atsss'), Buffer.alloc(16)).update(zeros)
let streams = new AbortController()

const server = createServer(async (request, response) => {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://localhost')
  if (request.method === 'PUT') response.end(JSON.stringify(await receive(request)))
  else if (pathname === '/large') response.end(large)
  else if (pathname === '/file') send(response, file(Number(searchParams.get('bytes'))))
  else if (pathname === '/live') send(response, live(Number(searchParams.get('mbps')), streams.signal))
  else if (pathname === '/stop') {
    streams.abort()
    streams = new AbortController()
    response.end()
  } else response.end('hello from the data network\n')
})
server.listen(Number(process.argv[2] ?? 80), () => {
  console.log(JSON.stringify({ sha256: createHash('sha256').update(large).digest('hex'), bytes: LARGE }))
})

function send(response: ServerResponse, content: Iterable<Buffer> | AsyncIterable<Buffer>): void {
  response.setHeader('Trailer', 'sha256')
  const hashed = hashing(content, sha256 => response.addTrailers({ sha256 }))
  Readable.from(hashed, { objectMode: false })
    .on('error', () => response.destroy())
    .pipe(response)
}
