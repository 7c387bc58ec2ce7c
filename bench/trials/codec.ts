/** The Convert message of an ordinary connection, there and back. */
import { decode, encode } from '../shipped.js'
import { median } from '../statistics.js'
import type { Trial } from './trial.js'

/** A median over batches, so that what else the process does at a time does not count as the codec's. */
const BATCHES = 20

export const codec: Trial = async ({ size }) => {
  const perBatch = Math.ceil(size / BATCHES)
  run(perBatch)
  return { both: median(Array.from({ length: BATCHES }, () => run(perBatch) / perBatch)) }
}

/** @returns microseconds of CPU, so that other processes do not count either */
function run(count: number): number {
  let ports = 0
  const before = process.cpuUsage()
  for (let port = 1; port <= count; port++) {
    const bytes = encode([{ type: 'connect', address: '198.51.100.2', port: port & 0xffff || 1, tcpOptions: [] }])
    const tlv = decode(bytes)?.tlvs[0]
    if (tlv?.type !== 'connect' || tlv.address !== '198.51.100.2') throw new Error('decoded to something else')
    ports += tlv.port
  }
  const { user, system } = process.cpuUsage(before)
  if (ports === 0) throw new Error('nothing was decoded')
  return user + system
}
