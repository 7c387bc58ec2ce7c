/** A thousand connections steered by an ordinary user's session through the helper, and by one that has the capability: in pairs. */
import { setTimeout as delay } from 'node:timers/promises'
import { asUser, RunningHelper } from '../../test/support/steering-helper.js'
import { endedChildrenMs } from '../converter/processes.js'
import type { LabMeasure } from '../in-lab.js'
import { summary } from '../statistics.js'
import { type Many, manyTable, manyTrial, STEERED, WIDE } from './many.js'
import { SteeringSite } from './site.js'
import { spread } from './table.js'

const CONNECTIONS = { full: 1_000, quick: 100 }
const ROUNDS = 3
const USER = 61_001
/** Within so many milliseconds the helper has noticed that its client has ended. */
const REAPED_MS = 500
/** Of the helper's way, in percent of the capability's. */
const MOST = 1.1

type By = 'capability' | 'helper'
const BOTH: readonly By[] = ['capability', 'helper']

export const byHelper: LabMeasure<SteeringSite> = {
  name: 'steering-helper',
  async run(_, { quick, rounds = ROUNDS, progress }) {
    const extent = quick ? 'quick' : 'full'
    const connections = CONNECTIONS[extent]
    const figures: Record<By, Many[]> = { capability: [], helper: [] }
    const helperMs: number[] = []
    const site = await SteeringSite.open(WIDE, { direct: true })
    const helper = await RunningHelper.start(site.ue)
    try {
      for (let round = 0; round < rounds; round++)
        for (const by of BOTH) {
          progress(`round ${round + 1} of ${rounds}: ${connections} connections by the ${by}`)
          const as = by === 'helper' ? { helper: helper.path, wrapper: asUser(USER) } : {}
          const before = endedChildrenMs(helper.pid)
          figures[by].push(await manyTrial(site, { way: STEERED, connections, extent, as }))
          await delay(REAPED_MS)
          if (by === 'helper') helperMs.push(endedChildrenMs(helper.pid) - before)
        }
    } finally {
      await helper.stop()
      await site.close()
    }
    const ratio = (of: (one: Many) => number) =>
      summary(figures.helper.map((one, round) => of(one) / of(figures.capability[round]!)))
    const text = manyTable(
      `${connections} connections; then the carrier of wifi is lost`,
      BOTH.map(by => ({ name: `by the ${by}`, figures: figures[by] })),
    )
    return {
      figures: { ...figures, helperMs },
      text: `${text}  The helper's own processor time in a round: ${spread(summary(helperMs), 0)} ms\n`,
      judgements: JUDGED.map(({ what, of, reason }) => {
        const measured = ratio(of)
        return {
          what: `Steering by the helper: ${what}`,
          ratio: 'helper / capability',
          measured,
          atMost: MOST,
          met: measured.median <= MOST,
          reason,
        }
      }),
    }
  },
}

const JUDGED: { what: string; of(one: Many): number; reason: string }[] = [
  { what: 'CPU, idle', of: one => one.idle!, reason: 'Nothing is asked of the helper' },
  { what: 'CPU, trickling', of: one => one.trickling!, reason: 'Nothing is asked of the helper' },
  { what: 'delay at a handover, p50', of: one => one.p50, reason: 'Requests leave together, 16 in a datagram' },
  { what: 'delay at a handover, p99', of: one => one.p99, reason: 'Requests leave together, 16 in a datagram' },
  { what: 'CPU of a handover', of: one => one.handoverMs!, reason: 'Requests leave together, 16 in a datagram' },
]
