/** Echoes what it is sent, for tests in network namespaces: `tsx echo-server.ts 7`. Prints its address as one JSON line. */
import { createServer } from 'node:net'

const server = createServer({ allowHalfOpen: true, noDelay: true }, socket => {
  socket.on('error', () => {})
  socket.pipe(socket)
})
server.listen(Number(process.argv[2] ?? 0), '::', () => process.stdout.write(`${JSON.stringify(server.address())}\n`))
