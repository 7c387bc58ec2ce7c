/**
 * A web page on the device that hosts in the data network open through the converter. It shows each visitor its own address.
 * The converter must allow this: `npx atsss converter --listen 192.0.2.1:5124 --pcp`.
 *
 *   npx tsx examples/4-incoming.ts <cellular> <wifi> <converter> [port] [seconds]
 *   npx tsx examples/4-incoming.ts wwan0 wlan0 192.0.2.1:5124 8080 60
 */
import { createServer } from 'node:http'
import { setTimeout as wait } from 'node:timers/promises'
import { MaPduSession } from 'atsss'

const [cellular = 'wwan0', wifi = 'wlan0', converters = '192.0.2.1:5124', port = '8080', time = '60'] =
  process.argv.slice(2)

const session = new MaPduSession({ accesses: { '3gpp': cellular, 'non-3gpp': wifi }, converters, rules: 'handover' })
session.on('degraded', ({ message }) => console.error(message))
session.on('access', ({ access, available, why }) =>
  console.log(`${access} ${available ? 'is back' : 'is lost'}: ${why}`),
)

const web = createServer((request, response) => {
  const { remoteAddress, remotePort } = request.socket
  console.log(`${request.method} ${request.url} from ${remoteAddress} port ${remotePort}`)
  response.end(`hello ${remoteAddress}\n`)
})

const server = session.createServer(socket => web.emit('connection', socket))
server.on('mapping', ({ change, external }) => console.log(`${change}: http://${place(external)}/`))
server.on('problem', ({ message }) => console.error(message))
server.listen(Number(port), () => console.log(`listening on port ${server.address()?.port}`))

await wait(Number(time) * 1000)
await new Promise(resolve => {
  server.close(resolve)
  web.closeAllConnections()
})
session.close()

function place({ address, port }: { address: string; port: number }): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}
