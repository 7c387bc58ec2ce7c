/** An echo of the UE that a session makes reachable: `incoming-service.ts JSON`. Prints where, once it is. */
import { once } from 'node:events'
import { MaPduSession } from './shipped.js'

const { converter, interface: name, port } = JSON.parse(process.argv[2]!)
// The other access is not there.
const session = new MaPduSession({
  accesses: { 'non-3gpp': name, '3gpp': `${name}-none` },
  converters: converter,
  rules: 'handover',
})
await session.ready
const server = session.createServer(socket => {
  if (socket.mptcp.protocol !== 'mptcp' || socket.mptcp.convert !== '0rtt') fail('a connection is not 0-RTT over MPTCP')
  socket.on('error', () => {}).on('data', data => socket.write(data))
})
server.on('problem', ({ message }) => fail(message))
server.on('refused', ({ why }) => fail(`refused: ${why}`))
server.listen(port)
const [{ external }] = await once(server, 'mapping')
console.log(JSON.stringify(external))

function fail(message: string): void {
  console.error(message)
  process.exit(1)
}
