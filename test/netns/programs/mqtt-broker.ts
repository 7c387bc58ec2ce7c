/** An MQTT broker; it prints each report that a device publishes. */
import net from 'node:net'
import { Aedes } from 'aedes'

const broker = await Aedes.createBroker()
broker.on('publish', ({ topic, payload }) => {
  if (topic.startsWith('devices/')) process.stdout.write(`${String(payload)}\n`)
})
net.createServer(broker.handle).listen(1883, '::', () => process.stdout.write('{"event":"ready"}\n'))
