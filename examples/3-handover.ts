/**
 * A connection that survives the loss of its access: one HTTP request after the other over the same socket. Switch Wi-Fi off
 * and on while it runs.
 *
 *   npx tsx examples/3-handover.ts <cellular> <wifi> <converter> <host> <port> [seconds]
 *   npx tsx examples/3-handover.ts wwan0 wlan0 192.0.2.1:5124 example.com 80 60
 */
import { Agent, get } from 'node:http'
import { setTimeout as wait } from 'node:timers/promises'
import { MaPduSession } from 'atsss'

const [
  cellular = 'wwan0',
  wifi = 'wlan0',
  converters = '192.0.2.1:5124',
  host = 'example.com',
  port = '80',
  time = '60',
] = process.argv.slice(2)

// `handover`: use Wi-Fi; use cellular while Wi-Fi is unavailable.
const session = new MaPduSession({ accesses: { '3gpp': cellular, 'non-3gpp': wifi }, converters, rules: 'handover' })
session.on('degraded', ({ message }) => console.error(message))
await session.ready
session.on('access', ({ access, available, why }) =>
  console.log(`${access} ${available ? 'is back' : 'is lost'}: ${why}`),
)
session.on('action', ({ action, error }) => console.log(`  ${action.do}: ${action.why}${error ? ` (${error})` : ''}`))

let connections = 0
const agent = new Agent({ keepAlive: true, maxSockets: 1 })
agent.createConnection = () => {
  connections++
  return session.connect({ host, port: Number(port) })
}

let answers = 0
let longest = 0
for (const end = performance.now() + Number(time) * 1000; performance.now() < end; await wait(50)) {
  const asked = performance.now()
  await request()
  answers++
  longest = Math.max(longest, performance.now() - asked)
}
console.log(
  `${answers} answers over ${connections} connection${connections === 1 ? '' : 's'}; the longest wait was ${longest.toFixed(0)} ms`,
)
agent.destroy()
session.close()

function request(): Promise<void> {
  return new Promise((resolve, reject) => {
    get({ host, port, agent, path: '/' }, response => response.resume().on('end', resolve)).on('error', reject)
  })
}
