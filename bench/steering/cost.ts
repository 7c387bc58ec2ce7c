/** What the steering loop costs. */

import type { LabMeasure } from '../in-lab.js'
import { summary } from '../statistics.js'
import type { SteeringSite } from './site.js'
import { spread, table } from './table.js'
import type { Outcome } from './tasks.js'

const CONNECTIONS = { full: [10, 100, 1000], quick: [10] }
const SECONDS = { full: 5, quick: 0.5 }
const MOST_PERCENT = 5

export const cost: LabMeasure<SteeringSite> = {
  name: 'steering-cost',
  async run(site, { quick, rounds = 1, progress }) {
    const extent = quick ? 'quick' : 'full'
    const figures: Record<number, Outcome['cost'][]> = {}
    for (let round = 0; round < rounds; round++)
      for (const connections of CONNECTIONS[extent]) {
        progress(`round ${round + 1} of ${rounds}: ${connections} connections`)
        const task = { do: 'cost', way: { rules: 'handover' }, connections, seconds: SECONDS[extent] } as const
        figures[connections] ??= []
        figures[connections].push(await (await site.begin(task)).figures)
      }
    const rows = CONNECTIONS[extent].map(connections => ({
      name: `${connections} connections`,
      cells: (['idle', 'trickling'] as const).map(key =>
        spread(summary(figures[connections]!.map(one => one[key])), 1),
      ),
    }))
    const most = CONNECTIONS[extent].at(-1)!
    return {
      figures,
      text: table('CPU of the steering threads, percent of one core', ['idle', '100 bytes a second each'], rows),
      judgements: (['idle', 'trickling'] as const).map(key => {
        const measured = summary(figures[most]!.map(one => one[key]))
        return {
          what: `CPU percent with ${most} connections, ${key}`,
          ratio: 'atsss',
          measured,
          atMost: MOST_PERCENT,
          met: measured.median <= MOST_PERCENT,
          reason: 'The loop looks every 50 ms: at those that move bytes, and at others in turn',
        }
      }),
    }
  },
}
