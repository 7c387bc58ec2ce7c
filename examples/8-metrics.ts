/**
 * Metrics for Prometheus: serves the counters of a session at http://127.0.0.1:9464/metrics, while it fetches a page once a second.
 *
 *   npx tsx examples/8-metrics.ts <cellular> <wifi> <converter> <host> <port> [port of the metrics]
 *   sudo npx atsss lab -- npx tsx examples/8-metrics.ts cell wifi 192.0.2.1:5124 198.51.100.2 80
 */
import { createServer, get } from 'node:http'
import { MaPduSession } from 'atsss'
import { HttpAgent } from 'atsss/http'
import { contentType, metrics } from 'atsss/prometheus'

const [
  cellular = 'wwan0',
  wifi = 'wlan0',
  converters = '192.0.2.1:5124',
  host = 'example.com',
  port = '80',
  at = '9464',
] = process.argv.slice(2)

const session = new MaPduSession({ accesses: { '3gpp': cellular, 'non-3gpp': wifi }, converters })

createServer((_, response) => {
  response.setHeader('content-type', contentType).end(metrics(session))
}).listen(Number(at), '127.0.0.1', () => console.log(`http://127.0.0.1:${at}/metrics`))

const agent = new HttpAgent(session, { keepAlive: true })
setInterval(() => {
  get({ host, port, agent }, response => response.resume()).on('error', error => console.error(error.message))
}, 1000)
