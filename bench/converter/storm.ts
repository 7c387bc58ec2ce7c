/** Thousands of connections that are begun at once: when the last one is answered, beside the kernel's own MPTCP. */

import type { LabMeasure } from '../in-lab.js'
import { type ContenderName, type SocketContender, TITLES } from '../measures.js'
import { summary } from '../statistics.js'
import { spread, table } from '../steering/table.js'
import type { Storm } from './driver.js'
import type { ConverterSite } from './site.js'

const COUNTS = { full: [5_000, 10_000], quick: [300] }
const WAYS: readonly SocketContender[] = ['mptcp', 'atsss', 'converter']
/** Two descriptors for each connection, and each worker has its own. All come from one address. */
const CONVERTER = ['--workers', '2', '--max-connections', '30000', '--max-per-client', '30000']

export const storm: LabMeasure<ConverterSite> = {
  name: 'storm',
  async run(site, { quick, rounds = 1, progress }) {
    const counts = COUNTS[quick ? 'quick' : 'full']
    const figures: Record<string, Storm[]> = {}
    for (let round = 0; round < rounds; round++)
      for (const count of counts)
        for (const way of WAYS) {
          progress(`round ${round + 1} of ${rounds}: ${count} at once, ${TITLES[way]}`)
          const key = `${count} ${way}`
          figures[key] ??= []
          figures[key].push(await one(site, way, count))
        }
    const rows = counts.flatMap(count =>
      WAYS.map(way => ({ name: `${count}: ${TITLES[way]}`, found: figures[`${count} ${way}`]! })),
    )
    const columns = [
      { title: 'p50, ms', of: (found: Storm) => found.p50, digits: 0 },
      { title: 'p99, ms', of: (found: Storm) => found.p99, digits: 0 },
      { title: 'last, ms', of: (found: Storm) => found.last, digits: 0 },
      { title: 'overtaken by, %', of: (found: Storm) => found.overtaken, digits: 0 },
      { title: 'CPU each, µs', of: (found: Storm) => found.cpuEach, digits: 0 },
      { title: 'kB resident each', of: (found: Storm) => found.memoryEach / 1e3, digits: 1 },
    ]
    return {
      figures,
      text: [
        table(
          'Connections begun at once on loopback, from then until the first byte of each',
          columns.map(({ title }) => title),
          rows.map(({ name, found }) => ({
            name,
            cells: columns.map(({ of, digits }) => spread(summary(found.map(of)), digits)),
          })),
        ),
        ...counts.map(count => ratios(count, figures)),
      ].join(''),
      judgements: [],
    }
  },
}

/** In a process of its own. */
async function one(site: ConverterSite, way: ContenderName, count: number): Promise<Storm> {
  const relay = way === 'converter' ? await site.converter(...CONVERTER) : undefined
  const driver = site.driver()
  try {
    return await driver.call('storm', way as SocketContender, count)
  } finally {
    await driver.stop()
    await relay?.stop()
  }
}

/** Of each round, whose figures were taken after one another. */
function ratios(count: number, figures: Record<string, Storm[]>): string {
  const base = figures[`${count} mptcp`]!
  const of = (way: SocketContender) =>
    spread(summary(figures[`${count} ${way}`]!.map(({ last }, round) => last / base[round]!.last)), 2)
  return `  The last of ${count}: ${WAYS.slice(1)
    .map(way => `${TITLES[way]} / ${TITLES.mptcp} ${of(way)}`)
    .join('; ')}\n`
}
