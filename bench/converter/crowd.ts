/** Ten thousand connections through the converter: memory, processor time, delays, fairness. */
import { setTimeout as delay } from 'node:timers/promises'
import type { LabMeasure } from '../in-lab.js'
import { percentile, summary } from '../statistics.js'
import { spread, table } from '../steering/table.js'
import type { Delays } from './driver.js'
import { cpuPercent, resident, tcpMemory } from './processes.js'
import { type ConverterSite, DESCRIPTORS, type Driver, type Relay } from './site.js'

/** Two descriptors each, in the converter, and some for itself. */
const CONNECTIONS = { full: Math.min(10_000, Math.floor((DESCRIPTORS - 400) / 2)), quick: 200 }
/** So that no client has more than its limit. */
const ADDRESSES = 50
const SECONDS = { full: 5, quick: 1 }
const SETTLE_MS = 2_000
/** One client's streams beside another client's single one. */
const GREEDY = { full: 1_000, quick: 20 }
const [GREEDY_CLIENT, MODEST_CLIENT] = ['127.2.0.1', '127.2.0.2']
const WORKERS = [1, 2]
/** For each of the four sockets of a stream, in bytes: a thousand streams with the usual 4 to 32 MB are beyond net.ipv4.tcp_mem. */
const BUFFER = 262_144
/** Patient, since ten thousand connections at once keep a small machine busy for seconds. */
const LIMITS = ['--max-connections', '30000', '--message-timeout', '60000', '--connect-timeout', '60000']

/** Of one round. Memory in MB, delays in ms, processor time in percent of one core. */
type Figures = Record<keyof typeof TITLES, number>

const TITLES = {
  memoryBefore: 'MB resident before',
  memoryEach: 'kB resident for each connection',
  openMs: 'ms until all are open',
  idleCpu: 'CPU %, idle',
  trickleCpu: 'CPU %, each 100 bytes a second both ways',
  trickleP50: 'echo of these, p50 ms',
  trickleP99: 'the same, p99 ms',
  newP50: 'a new connection among them, p50 ms',
  newP99: 'the same, p99 ms',
  greedyMbps: "one client's bulk streams: Mbit/s together",
  greedySpread: 'least of these / median',
  modestShare: "another client's only stream / their median",
  pingP50: "another client's echo meanwhile, p50 ms",
  pingP99: 'the same, p99 ms',
  slowEach: 'kB resident for each stream that its client stops reading',
  slowKernelEach: 'kB of buffers in the kernel for each of them, both sides',
} as const

export const crowd: LabMeasure<ConverterSite> = {
  name: 'crowd',
  async run(site, { quick, rounds = 1, progress }) {
    const extent = quick ? 'quick' : 'full'
    const figures: Record<number, Figures[]> = {}
    const drivers = [site.driver(), site.driver()] as const
    const restoreBuffers = await site.limitBuffers(BUFFER)
    for (let round = 0; round < rounds; round++)
      for (const workers of WORKERS) {
        progress(`round ${round + 1} of ${rounds}: ${workers} workers`)
        figures[workers] ??= []
        figures[workers].push({
          ...(await many(site, drivers, workers, extent)),
          ...(await greedy(site, drivers, workers, extent)),
        })
      }
    await Promise.all(drivers.map(driver => driver.stop()))
    await restoreBuffers()
    const keys = Object.keys(TITLES) as (keyof typeof TITLES)[]
    return {
      figures,
      text: table(
        `${CONNECTIONS[extent]} MPTCP connections of ${ADDRESSES} clients through the converter, on loopback`,
        WORKERS.map(workers => (workers === 1 ? 'one process' : `${workers} workers`)),
        keys.map(key => ({
          name: TITLES[key],
          cells: WORKERS.map(workers => spread(summary(figures[workers]!.map(one => one[key])), 1)),
        })),
      ),
      judgements: [],
    }
  },
}

type Many = Pick<
  Figures,
  | 'memoryBefore'
  | 'memoryEach'
  | 'openMs'
  | 'idleCpu'
  | 'trickleCpu'
  | 'trickleP50'
  | 'trickleP99'
  | 'newP50'
  | 'newP99'
>

type Drivers = readonly [crowd: Driver, other: Driver]

async function many(
  site: ConverterSite,
  [crowd, other]: Drivers,
  workers: number,
  extent: 'full' | 'quick',
): Promise<Many> {
  const count = CONNECTIONS[extent]
  const seconds = SECONDS[extent]
  return withConverter(site, workers, [crowd, other], async relay => {
    await crowd.call('open', ADDRESSES, ADDRESSES) // code is compiled, lists have their size
    const pids = relay.pids()
    const memoryBefore = resident(pids)
    const openMs = await crowd.call('open', count - ADDRESSES, ADDRESSES)
    await delay(SETTLE_MS)
    const memoryEach = (resident(pids) - memoryBefore) / (count - ADDRESSES)
    const idleCpu = await cpuPercent(pids, seconds)
    const [trickle, trickleCpu, fresh] = await Promise.all([
      crowd.call('trickle', seconds),
      cpuPercent(pids, seconds),
      other.call('probe', 50, MODEST_CLIENT),
    ])
    if (trickle.echoed < (count * seconds) / 2)
      throw new Error(`only ${trickle.echoed} messages of ${count * seconds} have come back`)
    return {
      memoryBefore: memoryBefore / 1e6,
      memoryEach: memoryEach / 1e3,
      ...{ openMs, idleCpu, trickleCpu },
      ...named('trickle', trickle),
      ...named('new', fresh),
    }
  })
}

type Greedy = Pick<
  Figures,
  'greedyMbps' | 'greedySpread' | 'modestShare' | 'pingP50' | 'pingP99' | 'slowEach' | 'slowKernelEach'
>

async function greedy(
  site: ConverterSite,
  [crowd, other]: Drivers,
  workers: number,
  extent: 'full' | 'quick',
): Promise<Greedy> {
  const seconds = SECONDS[extent]
  return withConverter(site, workers, [crowd, other], async relay => {
    await other.call('probe', 20, MODEST_CLIENT)
    const pids = relay.pids()
    const before = resident(pids)
    await crowd.call('bulk', GREEDY[extent], GREEDY_CLIENT)
    await other.call('bulk', 1, MODEST_CLIENT)
    await delay(SETTLE_MS)
    const [received, [only]] = await Promise.all([crowd.call('bulkBytes', seconds), other.call('bulkBytes', seconds)])
    const ping = await other.call('ping', seconds, MODEST_CLIENT)
    const middle = percentile(received, 50)
    await other.call('drop')
    await crowd.call('bulkRead', false)
    await delay(SETTLE_MS)
    const slowEach = (resident(pids) - before) / GREEDY[extent]
    return {
      greedyMbps: (received.reduce((sum, bytes) => sum + bytes, 0) * 8) / seconds / 1e6,
      greedySpread: Math.min(...received) / middle,
      modestShare: only! / middle,
      ...named('ping', ping),
      slowEach: slowEach / 1e3,
      slowKernelEach: tcpMemory() / GREEDY[extent] / 1e3,
    }
  })
}

async function withConverter<T>(
  site: ConverterSite,
  workers: number,
  drivers: Drivers,
  measure: (relay: Relay) => Promise<T>,
): Promise<T> {
  const relay = await site.converter('--workers', String(workers), ...LIMITS)
  const figures = await measure(relay)
  for (const driver of drivers) await driver.call('drop')
  await relay.stop()
  return figures
}

function named<Name extends string>(name: Name, { p50, p99 }: Delays): Record<`${Name}P50` | `${Name}P99`, number> {
  return { [`${name}P50`]: p50, [`${name}P99`]: p99 } as Record<`${Name}P50` | `${Name}P99`, number>
}
