/**
 * A server for tests in network namespaces: `tsx echo-server.ts 7`. Prints its address as one JSON line. To who connects it
 * echoes what it hears, or as a second argument says, sends a reset, or says "early" and ends.
 */
import { createServer } from 'node:net'

const [port = '0', what = 'echo'] = process.argv.slice(2)
const server = createServer({ allowHalfOpen: true, noDelay: true }, socket => {
  socket.on('error', () => {})
  if (what === 'reset') socket.resetAndDestroy()
  else if (what === 'say') socket.end('early')
  else socket.pipe(socket)
})
server.listen(Number(port), '::', () => process.stdout.write(`${JSON.stringify(server.address())}\n`))
