/**
 * The demo's web server. `GET /` answers with one line, `GET /large` with 20 MB that are the same every time; any `PUT` answers
 * with what has arrived, and when.
 */
import { createCipheriv, createHash } from 'node:crypto'
import { createServer, type IncomingMessage } from 'node:http'

/** What has arrived, as the server sees it. */
export interface Arrival {
  bytes: number
  sha256: string
  /** Times longer than `NOTED_MS` in which nothing arrived: their end (`Date.now()`) and length. */
  gaps: { at: number; ms: number }[]
  longestGapMs: number
}

const LARGE = 20_000_000
const NOTED_MS = 10

const zeros = Buffer.alloc(LARGE)
const large = createCipheriv('aes-128-ctr', Buffer.alloc(16, 'atsss'), Buffer.alloc(16)).update(zeros)

const server = createServer(async (request, response) => {
  if (request.method === 'PUT') response.end(JSON.stringify(await receive(request)))
  else if (request.url === '/large') response.end(large)
  else response.end('hello from the data network\n')
})
server.listen(Number(process.argv[2] ?? 80), () => {
  console.log(JSON.stringify({ sha256: createHash('sha256').update(large).digest('hex'), bytes: LARGE }))
})

async function receive(request: IncomingMessage): Promise<Arrival> {
  const hash = createHash('sha256')
  const gaps: Arrival['gaps'] = []
  let bytes = 0
  let longestGapMs = 0
  let last: number | undefined
  for await (const chunk of request) {
    const now = performance.now()
    const ms = now - (last ?? now)
    last = now
    longestGapMs = Math.max(longestGapMs, ms)
    if (ms > NOTED_MS) gaps.push({ at: Date.now(), ms })
    bytes += chunk.length
    hash.update(chunk)
  }
  return { bytes, sha256: hash.digest('hex'), gaps, longestGapMs }
}
