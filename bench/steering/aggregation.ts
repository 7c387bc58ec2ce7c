/** Both accesses at once against the sum of what each carries alone. */
import { summary } from '../statistics.js'
import type { SteeringMeasure } from './measure.js'
import { ACCESSES } from './site.js'
import { spread, table } from './table.js'
import type { Way } from './tasks.js'

const { wifi, cell } = ACCESSES
/** Each for about the same time: with the bytes that its rate carries in it. */
const CONTENDERS: { name: string; way: Way; rateMbps: number }[] = [
  { name: 'wifi alone', way: { interface: 'wifi' }, rateMbps: wifi.link.rateMbps },
  { name: 'cell alone', way: { interface: 'cell' }, rateMbps: cell.link.rateMbps },
  { name: 'both: preset aggregate', way: { rules: 'aggregate' }, rateMbps: wifi.link.rateMbps + cell.link.rateMbps },
]
const SECONDS = { full: 6, quick: 1 }
const ROUNDS = 2

export const aggregation: SteeringMeasure = {
  name: 'aggregation',
  async run(site, { quick, rounds = ROUNDS, progress }) {
    const directions = quick ? (['up'] as const) : (['up', 'down'] as const)
    const seconds = quick ? SECONDS.quick : SECONDS.full
    const figures: Record<string, Record<string, number[]>> = {}
    for (const direction of directions)
      for (let round = 0; round < rounds; round++)
        for (const { name, way, rateMbps } of CONTENDERS) {
          progress(`${direction}, round ${round + 1} of ${rounds}: ${name}`)
          const bytes = Math.round((seconds * rateMbps * 1e6) / 8)
          // The kernel's path manager would add the other access.
          const running = await site.begin({ do: 'transfer', way, direction, bytes }, { alone: 'interface' in way })
          const { mbps } = await running.figures
          figures[direction] ??= {}
          figures[direction][name] ??= []
          figures[direction][name].push(mbps)
        }
    const rows = CONTENDERS.map(({ name }) => ({
      name,
      cells: directions.map(direction => spread(summary(figures[direction]![name]!), 1)),
    }))
    const head = directions.map(direction => `${direction}, Mbit/s`)
    const ratios = (direction: string) => {
      const [first, second, both] = CONTENDERS.map(({ name }) => figures[direction]![name]!)
      return both!.map((value, round) => value / (first![round]! + second![round]!))
    }
    return {
      figures,
      text: table('Throughput at the receiver: wifi 50 Mbit/s, 10 ms; cell 20 Mbit/s, 30 ms', head, rows),
      judgements: directions.map(direction => {
        const measured = summary(ratios(direction))
        return {
          what: `Both accesses at once, ${direction}`,
          ratio: 'both / sum alone',
          measured,
          atLeast: 0.95,
          met: measured.median >= 0.95,
          reason: 'Each link is kept full; what is missing is the slow start of the second subflow',
        }
      }),
    }
  },
}
