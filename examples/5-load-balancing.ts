/**
 * Load balancing: 20 % of the bytes over cellular and 80 % over Wi-Fi; after half the time, the other way round. Sends 5 Mbit/s,
 * which come back, and prints each second how they were divided: all of them, those sent, those received.
 *
 *   npx tsx examples/5-load-balancing.ts <cellular> <wifi> <converter> <host> <port> [seconds]
 *   sudo npx atsss lab -- npx tsx examples/5-load-balancing.ts cell wifi 192.0.2.1:5124 198.51.100.2 80 20
 */
import { request } from 'node:http'
import { setInterval as every } from 'node:timers/promises'
import { type AtsssRule, MaPduSession } from 'atsss'

const [
  cellular = 'wwan0',
  wifi = 'wlan0',
  converters = '192.0.2.1:5124',
  host = 'example.com',
  port = '80',
  time = '20',
] = process.argv.slice(2)

const session = new MaPduSession({ accesses: { '3gpp': cellular, 'non-3gpp': wifi }, converters, rules: divided(20) })
session.on('degraded', ({ message }) => console.error(message))
await session.ready

const { createConnection } = session
const upload = request({ host, port, path: '/echo', method: 'POST', createConnection }, response => response.resume())
upload.on('error', error => console.error(error.message))

const began = performance.now()
let seconds = 0
let before = carried()
for await (const _ of every(20)) {
  if (upload.destroyed) break
  upload.write(Buffer.alloc(12_500))
  if (performance.now() < began + 1000 * (seconds + 1)) continue
  seconds++
  const now = carried()
  const share = (of: (bytes: Bytes) => number) => {
    const [one, other] = [of(now.cellular) - of(before.cellular), of(now.wifi) - of(before.wifi)]
    return `${((100 * one) / (one + other || 1)).toFixed(0)} %`
  }
  const all = share(({ bytesSent, bytesReceived }) => bytesSent + bytesReceived)
  const [up, down] = [share(bytes => bytes.bytesSent), share(bytes => bytes.bytesReceived)]
  console.log(`${seconds} s: ${all} over ${cellular}, not ${wifi}: ${up} of what is sent, ${down} of what is received`)
  before = now
  if (seconds * 2 === Number(time)) session.update(divided(80)) // the connection stays
  if (seconds >= Number(time)) break
}
upload.destroy()
session.close()

function divided(percent: number): AtsssRule[] {
  const steeringMode = { steerModeValue: 'LOAD_BALANCING', '3gLoad': percent } as const
  return [{ precedence: 255, trafficDescriptor: { matchAll: true }, steeringMode }]
}

interface Bytes {
  bytesSent: number
  bytesReceived: number
}

function carried(): Record<'cellular' | 'wifi', Bytes> {
  const { '3gpp': cellular, 'non-3gpp': wifi } = session.stats().accesses
  return { cellular, wifi }
}
