/** The converter beside other relays: how fast streams go through each, and what processor time it takes for that. */

import type { LabMeasure } from '../in-lab.js'
import type { SocketContender } from '../measures.js'
import { summary } from '../statistics.js'
import { spread, table } from '../steering/table.js'
import { DIRECTIONS, type Direction } from '../steering/tasks.js'
import { cpuMs } from './processes.js'
import { type ConverterSite, missing, type Relay } from './site.js'

interface Contender {
  name: string
  way: SocketContender
  isHaproxy?: true
  start(site: ConverterSite): Promise<Relay>
  missing?(): string | undefined
}

const CONTENDERS: readonly Contender[] = [
  { name: 'converter', way: 'converter', start: site => site.converter() },
  { name: 'converter, 2 workers', way: 'converter', start: site => site.converter('--workers', '2') },
  {
    name: 'HAProxy, 1 thread',
    way: 'mptcp',
    isHaproxy: true,
    start: site => site.haproxy(1),
    missing: () => missing('haproxy', 'mptcpize'),
  },
  {
    name: 'HAProxy, 2 threads',
    way: 'mptcp',
    isHaproxy: true,
    start: site => site.haproxy(2),
    missing: () => missing('haproxy', 'mptcpize'),
  },
  {
    name: 'microsocks (TCP, SOCKS5)',
    way: 'socks5',
    start: site => site.microsocks(),
    missing: () => missing('microsocks'),
  },
]
const STREAMS = 8
const BYTES = { full: 1 << 28, quick: 1 << 26 }
const ROUNDS = 5

interface Round {
  gbps: number
  /** Processor seconds of the relay for each GiB. */
  cost: number
}

export const relays: LabMeasure<ConverterSite> = {
  name: 'relays',
  async run(site, { quick, rounds = ROUNDS, progress }) {
    const bytes = BYTES[quick ? 'quick' : 'full']
    const absent = new Map(CONTENDERS.map(({ name, missing }) => [name, missing?.()]))
    const figures: Record<string, Record<Direction, Round[]>> = {}
    const [direct, toHaproxy] = [site.driver(), site.driver(true)]
    for (let round = 0; round < rounds; round++)
      for (const { name, way, isHaproxy, start } of CONTENDERS) {
        if (absent.get(name)) continue
        const relay = await start(site)
        const driver = isHaproxy ? toHaproxy : direct
        for (const direction of DIRECTIONS) {
          progress(`round ${round + 1} of ${rounds}: ${name}, ${direction}`)
          await driver.call('streams', way, direction, STREAMS, bytes / 8 / STREAMS)
          const before = cpuMs(relay.pids())
          const took = await driver.call('streams', way, direction, STREAMS, bytes / STREAMS)
          const cost = (cpuMs(relay.pids()) - before) / 1000 / (bytes / 2 ** 30)
          figures[name] ??= { up: [], down: [] }
          figures[name][direction].push({ gbps: (bytes * 8) / took / 1e6, cost })
        }
        await relay.stop()
      }
    await Promise.all([direct.stop(), toHaproxy.stop()])
    const cells = (name: string) =>
      DIRECTIONS.flatMap(direction =>
        (['gbps', 'cost'] as const).map(key =>
          figures[name] ? spread(summary(figures[name][direction].map(one => one[key])), 2) : (absent.get(name) ?? ''),
        ),
      )
    const title = `${STREAMS} streams from MPTCP clients over a relay to TCP servers, on loopback`
    const heads = DIRECTIONS.flatMap(direction => [`${direction}, Gbit/s`, `${direction}, CPU s per GiB`])
    const rows = CONTENDERS.map(({ name }) => ({ name, cells: cells(name) }))
    return { figures, text: `${table(title, heads, rows)}${ratios(figures)}`, judgements: [] }
  },
}

/** Of each round, whose figures were taken after one another. */
function ratios(figures: Record<string, Record<Direction, Round[]>>): string {
  const { converter: ours, 'HAProxy, 1 thread': theirs } = figures
  if (!ours || !theirs) return ''
  const of = (direction: Direction, key: keyof Round) =>
    spread(summary(ours[direction].map((round, index) => round[key] / theirs[direction][index]![key])), 2)
  const each = DIRECTIONS.map(
    direction => `${direction}: throughput ${of(direction, 'gbps')}, CPU per GiB ${of(direction, 'cost')}`,
  )
  return `  converter / HAProxy with 1 thread, ${each.join('; ')}\n`
}
