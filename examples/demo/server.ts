/** The demo's web server: `/` answers with a line, `/large` with 20 MB that are the same every time. */
import { createCipheriv, createHash } from 'node:crypto'
import { createServer } from 'node:http'

const LARGE = 20_000_000
const zeros = Buffer.alloc(LARGE)
const large = createCipheriv('aes-128-ctr', Buffer.alloc(16, 'atsss'), Buffer.alloc(16)).update(zeros)

const server = createServer((request, response) => {
  if (request.url === '/large') response.end(large)
  else response.end('hello from the data network\n')
})
server.listen(Number(process.argv[2] ?? 80), () => {
  console.log(JSON.stringify({ sha256: createHash('sha256').update(large).digest('hex'), bytes: LARGE }))
})
