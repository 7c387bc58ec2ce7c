/**
 * Metrics for Prometheus: serves the counters of `session.stats()` at http://127.0.0.1:9464/metrics, while it fetches a page once a
 * second.
 *
 *   npx tsx examples/8-metrics.ts <cellular> <wifi> <converter> <host> <port> [port of the metrics]
 *   sudo npx atsss lab -- npx tsx examples/8-metrics.ts cell wifi 192.0.2.1:5124 198.51.100.2 80
 */
import { createServer, get } from 'node:http'
import { MaPduSession } from 'atsss'
import { HttpAgent } from 'atsss/http'
import { Counter, Gauge, register } from 'prom-client'

const [
  cellular = 'wwan0',
  wifi = 'wlan0',
  converters = '192.0.2.1:5124',
  host = 'example.com',
  port = '80',
  at = '9464',
] = process.argv.slice(2)

const session = new MaPduSession({ accesses: { '3gpp': cellular, 'non-3gpp': wifi }, converters })
const accesses = ['3gpp', 'non-3gpp'] as const

const available = new Gauge({
  name: 'atsss_access_available',
  help: '1 while the access is available',
  labelNames: ['access'],
})
const rtt = new Gauge({
  name: 'atsss_access_rtt_seconds',
  help: 'Round-trip time, with the queue of the direction',
  labelNames: ['access', 'direction'],
})
const bytes = new Counter({ name: 'atsss_bytes_total', help: 'TCP payload', labelNames: ['access', 'direction'] })
const handovers = new Counter({ name: 'atsss_handovers_total', help: 'Connections that moved to the other access' })
const fallbacks = new Counter({ name: 'atsss_fallbacks_total', help: 'Connections that became TCP' })

/** The session's counters only grow, as Prometheus requires. Each scrape shows their current values. */
function collect(): void {
  const stats = session.stats()
  for (const counter of [bytes, handovers, fallbacks]) counter.reset()
  for (const access of accesses) {
    const state = stats.accesses[access]
    available.set({ access }, state.available ? 1 : 0)
    set(rtt, { access, direction: 'sent' }, state.rttMs)
    set(rtt, { access, direction: 'received' }, state.receiveRttMs)
    bytes.inc({ access, direction: 'sent' }, state.bytesSent)
    bytes.inc({ access, direction: 'received' }, state.bytesReceived)
  }
  handovers.inc(stats.handovers)
  fallbacks.inc(stats.fallbacks)
}

/** What is not known is absent. */
function set(gauge: Gauge, labels: Record<string, string>, ms: number | undefined): void {
  if (ms === undefined) gauge.remove(labels)
  else gauge.set(labels, ms / 1000)
}

createServer(async (_, response) => {
  collect()
  response.setHeader('content-type', register.contentType).end(await register.metrics())
}).listen(Number(at), '127.0.0.1', () => console.log(`http://127.0.0.1:${at}/metrics`))

const agent = new HttpAgent(session, { keepAlive: true })
setInterval(() => {
  get({ host, port, agent }, response => response.resume()).on('error', error => console.error(error.message))
}, 1000)
