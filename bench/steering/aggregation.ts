/** Both accesses at once against the sum of what each carries alone. */

import type { LabMeasure } from '../in-lab.js'
import { summary } from '../statistics.js'
import { ACCESSES, type SteeringSite } from './site.js'
import { spread, table } from './table.js'
import { type Direction, type Directions, directionsOf, type Way } from './tasks.js'

const { wifi, cell } = ACCESSES
/** Each for about the same time: with the bytes that its rate carries in it. */
const CONTENDERS: { name: string; way: Way; rateMbps: number }[] = [
  { name: 'wifi alone', way: { interface: 'wifi' }, rateMbps: wifi.link.rateMbps },
  { name: 'cell alone', way: { interface: 'cell' }, rateMbps: cell.link.rateMbps },
  { name: 'both: preset aggregate', way: { rules: 'aggregate' }, rateMbps: wifi.link.rateMbps + cell.link.rateMbps },
]
const SECONDS = { full: 6, quick: 1 }
const ROUNDS = 2
/** Of each direction; of both at once, where the acknowledgements of one share the link with the data of the other. */
const LEAST = { alone: 0.95, shared: 0.9 }

export const aggregation: LabMeasure<SteeringSite> = {
  name: 'aggregation',
  async run(site, { quick, rounds = ROUNDS, progress }) {
    const all: Directions[] = ['up', 'down', 'both']
    const seconds = quick ? SECONDS.quick : SECONDS.full
    const figures: Record<string, Record<string, number[]>> = {}
    for (const directions of all)
      for (let round = 0; round < rounds; round++)
        for (const { name, way, rateMbps } of CONTENDERS) {
          progress(`${directions}, round ${round + 1} of ${rounds}: ${name}`)
          const bytes = Math.round((seconds * rateMbps * 1e6) / 8)
          // The kernel's path manager would add the other access.
          const running = await site.begin({ do: 'transfer', way, directions, bytes }, { alone: 'interface' in way })
          const { mbps } = await running.figures
          for (const direction of directionsOf(directions)) {
            const column = columnOf(directions, direction)
            figures[column] ??= {}
            figures[column][name] ??= []
            figures[column][name].push(mbps[direction]!)
          }
        }
    const columns = Object.keys(figures)
    const rows = CONTENDERS.map(({ name }) => ({
      name,
      cells: columns.map(column => spread(summary(figures[column]![name]!), 1)),
    }))
    const ratios = (column: string) => {
      const [first, second, both] = CONTENDERS.map(({ name }) => figures[column]![name]!)
      return both!.map((value, round) => value / (first![round]! + second![round]!))
    }
    return {
      figures,
      text: table('Mbit/s at the receiver: wifi 50 Mbit/s, 10 ms; cell 20 Mbit/s, 30 ms', columns, rows),
      judgements: columns.map(column => {
        const measured = summary(ratios(column))
        const atLeast = column.includes('once') ? LEAST.shared : LEAST.alone
        return {
          what: `Both accesses at once, ${column}`,
          ratio: 'both / sum alone',
          measured,
          atLeast,
          met: measured.median >= atLeast,
          reason: 'Each link is kept full; what is missing is the slow start of the second subflow',
        }
      }),
    }
  },
}

function columnOf(directions: Directions, direction: Direction): string {
  return directions === 'both' ? `${direction}, both at once` : direction
}
