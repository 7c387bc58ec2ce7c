/**
 * A UE that offers services through its converters: an echo, a web page (and a large one) and the same over TLS, that say who asks. Its argument
 * is `{ session, servers: { echo?, http?, https? }, options, rules? }` as JSON, `rules` being octets in hexadecimal. It says what happens as
 * a line of JSON each; a line on its standard input is asked of it: `stats`, `close`, `update OCTETS`.
 */
import { createServer as createHttp, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createHttps } from 'node:https'
import { createInterface } from 'node:readline'
import { MaPduSession, type MptcpSocket, type SessionServer } from 'atsss'
import { cert, key } from '../../support/certificate.js'
import { LARGE_PAGE } from '../../support/large-page.js'

const { session: given, servers: ports, options, rules } = JSON.parse(process.argv[2]!)
const start = performance.now()

function say(event: string, about: object = {}): void {
  process.stdout.write(`${JSON.stringify({ event, at: Math.round(performance.now() - start), ...about })}\n`)
}

const session = new MaPduSession(rules ? { ...given, rules: Buffer.from(rules, 'hex') } : given)
session.on('access', ({ access, available }) => say('access', { access, available }))
session.on('action', ({ action, error }) => say('action', { action, error }))
session.on('degraded', ({ what, message }) => say('degraded', { what, message }))

function page(request: IncomingMessage, response: ServerResponse): void {
  const socket = request.socket as MptcpSocket & { _parent?: MptcpSocket }
  const { remoteAddress, remotePort, remoteFamily } = socket
  const { mptcp } = socket._parent ?? socket
  say('request', { url: request.url, remoteAddress, remotePort })
  if (request.url === '/large') return void response.end(LARGE_PAGE)
  response.end(JSON.stringify({ remoteAddress, remotePort, remoteFamily, mptcp }))
}

const web = { http: createHttp(page), https: createHttps({ cert, key }, page) }
const takers: Record<string, (socket: MptcpSocket) => void> = {
  echo: socket => socket.pipe(socket),
  http: socket => web.http.emit('connection', socket),
  https: socket => web.https.emit('connection', socket),
}

await session.ready
const servers: Record<string, SessionServer> = {}
for (const [name, port] of Object.entries(ports as Record<string, number>)) {
  const server = session.createServer({ allowHalfOpen: name === 'echo', ...options }, socket => {
    socket.on('error', ({ message }) => say('socket-error', { name, message }))
    takers[name]!(socket)
  })
  servers[name] = server
  server.on('mapping', change => say('mapping', { name, ...change }))
  server.on('refused', refused => say('refused', { name, ...refused }))
  server.on('problem', error =>
    say('problem', { name, code: (error as { code?: string }).code, message: error.message }),
  )
  server.on('error', error => say('error', { name, message: error.message }))
  server.listen(port, () => say('listening', { name, address: server.address() }))
}

createInterface(process.stdin).on('line', async line => {
  if (line === 'stats')
    say('stats', {
      externals: Object.fromEntries(Object.entries(servers).map(([name, each]) => [name, each.externalAddresses()])),
      refusals: Object.fromEntries(Object.entries(servers).map(([name, each]) => [name, each.refusals])),
      handovers: session.stats().handovers,
      connections: session.stats().connections.length,
    })
  if (line.startsWith('update ')) session.update(Buffer.from(line.slice('update '.length), 'hex'))
  if (line !== 'close') return
  for (const each of Object.values(web)) each.closeAllConnections()
  for (const { socket } of session.stats().connections) socket.destroy()
  await Promise.all(Object.values(servers).map(server => new Promise(resolve => server.close(resolve))))
  say('closed')
  session.close()
  process.exit()
})
