/**
 * A device that reports to an MQTT broker once a second, for months. When an access is lost the connection moves to the other;
 * when both are lost, mqtt makes a new connection over the first that comes back.
 *
 *   npx tsx examples/9-mqtt-device.ts <cellular> <wifi> <converter> <broker> [port]
 */
import { MaPduSession } from 'atsss'
import { MqttClient } from 'mqtt'

const [cellular = 'wwan0', wifi = 'wlan0', converters = '192.0.2.1:5124', broker = 'broker.example', port = '1883'] =
  process.argv.slice(2)

const session = new MaPduSession({ accesses: { '3gpp': cellular, 'non-3gpp': wifi }, converters, rules: 'handover' })
session.on('degraded', ({ message }) => console.error(message))
session.on('access', ({ access, available, why }) => console.log(`${access} ${available ? 'is back' : 'lost'}: ${why}`))
await session.ready

const client = new MqttClient(() => session.connect({ host: broker, port: Number(port) }), {
  keepalive: 30,
  reconnectPeriod: 1000,
})
client.on('connect', () => console.log(`connected to ${broker}`))
client.on('error', error => console.error(error.message))

let number = 0
const reporting = setInterval(async () => {
  const report = { number: ++number, celsius: 20 + 5 * Math.sin(number / 60) }
  // QoS 1: mqtt keeps it until the broker has acknowledged it, across reconnections.
  await client.publishAsync('devices/17/report', JSON.stringify(report), { qos: 1 })
  console.log(`report ${report.number} is there`)
}, 1000)

for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, async () => {
    clearInterval(reporting)
    await client.endAsync()
    session.close()
  })
