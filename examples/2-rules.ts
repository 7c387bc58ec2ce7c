/**
 * ATSSS rules: which access a connection uses, and which one takes over. They are written as in 3GPP's own JSON (TS 29.512).
 *
 *   npx tsx examples/2-rules.ts <cellular> <wifi> <converter> <host> <port>
 *   npx tsx examples/2-rules.ts wwan0 wlan0 192.0.2.1:5124 example.com 80
 */
import { type AtsssRule, MaPduSession } from 'atsss'

const [cellular = 'wwan0', wifi = 'wlan0', converters = '192.0.2.1:5124', host = 'example.com', port = '80'] =
  process.argv.slice(2)

// Rules are tried in the order of their precedence; the first that matches applies.
const rules: AtsssRule[] = [
  {
    ruleId: 'video',
    precedence: 10,
    trafficDescriptor: { fqdns: ['*.video.example'] },
    steeringMode: { steerModeValue: 'LOAD_BALANCING', '3gLoad': 20 }, // 20 % over cellular
  },
  {
    ruleId: 'ssh',
    precedence: 20,
    trafficDescriptor: { remotePorts: [22] },
    steeringMode: { steerModeValue: 'SMALLEST_DELAY' },
  },
  {
    ruleId: 'updates',
    precedence: 30,
    trafficDescriptor: { remoteAddresses: ['203.0.113.0/24'] },
    steeringMode: { steerModeValue: 'ACTIVE_STANDBY', active: 'NON_3GPP_ACCESS' }, // no standby, so never over cellular
  },
  {
    ruleId: 'everything else',
    precedence: 255,
    trafficDescriptor: { matchAll: true },
    steeringMode: { steerModeValue: 'ACTIVE_STANDBY', active: 'NON_3GPP_ACCESS', standby: '3GPP_ACCESS' },
  },
]

const session = new MaPduSession({ accesses: { '3gpp': cellular, 'non-3gpp': wifi }, converters, rules })
session.on('degraded', ({ message }) => console.error(message))
const { level } = await session.ready
console.log(`steering level: ${level}`)

// Which rule a connection would follow, and why. Nothing is sent.
const destinations: [string, number][] = [
  ['eu.video.example', 443],
  ['host.example', 22],
  ['203.0.113.7', 443],
  [host, Number(port)],
]
for (const [name, port] of destinations) {
  const { why, accesses, steering } = session.explain(name, port)
  console.log(`${name}:${port}\n  ${why}\n  first over ${accesses.join(', then ')}; ${steering}`)
}

const socket = session.connect(Number(port), host, () => {
  const { rule } = session.stats().connections.find(connection => connection.socket === socket) ?? {}
  console.log(`connected over ${socket.mptcp.interface} (${socket.mptcp.protocol}), rule "${rule?.id ?? 'none'}"`)
  // This replaces all rules at once; live connections follow.
  const { moved } = session.update('interactive')
  console.log(`rules replaced: ${moved.length} live connection moved to "${moved[0]?.to?.steering.mode ?? 'none'}"`)
  socket.end()
})
socket.on('error', error => {
  console.error(error.message)
  process.exitCode = 1
})
socket.on('close', () => session.close())
socket.resume()
