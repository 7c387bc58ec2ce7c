/**
 * A server for tests in network namespaces: `tsx echo-server.ts 7`. Prints its address as one JSON line. Echoes what it
 * hears; or, as a second argument says, resets whoever connects (`reset`), resets at the first byte that it hears (`reset-at-byte`),
 * or says "early" and ends (`say`).
 */
import { createServer } from 'node:net'

const [port = '0', what = 'echo'] = process.argv.slice(2)
const server = createServer({ allowHalfOpen: true, noDelay: true }, socket => {
  socket.on('error', () => {})
  if (what === 'reset') socket.resetAndDestroy()
  else if (what === 'reset-at-byte') socket.once('data', () => socket.resetAndDestroy())
  else if (what === 'say') socket.end('early')
  else socket.pipe(socket)
})
server.listen(Number(port), '::', () => process.stdout.write(`${JSON.stringify(server.address())}\n`))
