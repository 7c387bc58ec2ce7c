/**
 * The demo's device as a server: a page of 8 MB that hosts in the data network fetch through the converter. Its first line
 * has its external address and the page's size and hash; then it writes a line for each request and each change of an access.
 */
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { MaPduSession, type SessionOptions } from 'atsss'

/** Its arguments. */
export interface ServiceStart {
  port: number
  session: SessionOptions
}

/** Its first line. */
export interface Service {
  external: { address: string; port: number }
  bytes: number
  sha256: string
}

/** What it logs about a request. */
export interface Visit {
  method: string
  path: string
  remoteAddress: string
  remotePort: number
}

const SIZE = 8_000_000

const { port, session: options }: ServiceStart = JSON.parse(process.argv[2] ?? '{}')
const large = randomBytes(SIZE)
const session = new MaPduSession(options)
session.on('degraded', ({ message }) => console.error(message))
await session.ready

const web = createServer(({ method = '', url: path = '', socket }, response) => {
  const { remoteAddress = '', remotePort = 0 } = socket
  say({ visit: { method, path, remoteAddress, remotePort } satisfies Visit })
  response.end(large)
})
const server = session.createServer(socket => web.emit('connection', socket))
server.on('problem', ({ message }) => console.error(message))
server.listen(port)
const [{ external }] = await once(server, 'mapping')
const sha256 = createHash('sha256').update(large).digest('hex')
say({ external, bytes: SIZE, sha256 } satisfies Service)
session.on('access', ({ access, available, why }) =>
  say({ at: Date.now(), text: `${access} ${available ? 'available' : 'lost'}: ${why}` }),
)

function say(line: object): void {
  console.log(JSON.stringify(line))
}
