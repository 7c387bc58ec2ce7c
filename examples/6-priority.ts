/**
 * Priority with thresholds: everything over Wi-Fi; also over cellular while Wi-Fi's round-trip time is above 100 ms or more than
 * 5 % of its packets are lost. Prints what is done to the subflows, and why. On a good Wi-Fi nothing happens: the topology
 * below makes it slow for some seconds.
 *
 *   npx tsx examples/6-priority.ts <cellular> <wifi> <converter> <host> <port> [seconds]
 *   sudo npx atsss lab --topology examples/crowded-wifi.json -- \
 *     npx tsx examples/6-priority.ts cell wifi 192.0.2.1:5124 198.51.100.2 80 20
 */
import { request } from 'node:http'
import { setInterval as every } from 'node:timers/promises'
import { MaPduSession } from 'atsss'

const [
  cellular = 'wwan0',
  wifi = 'wlan0',
  converters = '192.0.2.1:5124',
  host = 'example.com',
  port = '80',
  time = '60',
] = process.argv.slice(2)

const session = new MaPduSession({
  accesses: { '3gpp': cellular, 'non-3gpp': wifi },
  converters,
  rules: [
    {
      precedence: 255,
      trafficDescriptor: { matchAll: true },
      steeringMode: {
        steerModeValue: 'PRIORITY_BASED',
        prioAcc: 'NON_3GPP_ACCESS',
        thresValue: { rttThres: 100, plrThres: 50 }, // milliseconds; tenths of a percent
      },
    },
  ],
})
session.on('degraded', ({ message }) => console.error(message))
session.on('action', ({ action, error }) => console.log(`  ${action.do}: ${action.why}${error ? ` (${error})` : ''}`))
await session.ready

const { createConnection } = session
const upload = request({ host, port, path: '/echo', method: 'POST', createConnection }, response => response.resume())
upload.on('error', error => console.error(error.message))

const began = performance.now()
let seconds = 0
for await (const _ of every(20)) {
  if (upload.destroyed) break
  upload.write(Buffer.alloc(12_500)) // 5 Mbit/s
  if (performance.now() < began + 1000 * (seconds + 1)) continue
  seconds++
  const { '3gpp': one, 'non-3gpp': other } = session.stats().accesses
  const [up, down] = [other.rttMs, other.receiveRttMs].map(rtt => rtt?.toFixed(0) ?? '?')
  const bytes = one.bytesSent + one.bytesReceived
  console.log(`${seconds} s: Wi-Fi's round-trip time ${up} ms up, ${down} ms down; ${bytes} bytes over cellular so far`)
  if (seconds >= Number(time)) break
}
upload.destroy()
session.close()
