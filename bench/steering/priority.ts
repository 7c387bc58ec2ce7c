/** Priority-based steering: what does not fit on the preferred access goes over the other one too, in each direction. */

import type { LabMeasure } from '../in-lab.js'
import { summary } from '../statistics.js'
import { ACCESSES, type SteeringSite } from './site.js'
import { spread, table } from './table.js'
import { type Directions, directionsOf } from './tasks.js'
import { TRAFFIC, type TrafficName } from './traffic.js'
import { type Division, division } from './trials.js'

const ALL_DIRECTIONS: Directions[] = ['up', 'down', 'both']
/** The rule's RTT threshold, in milliseconds; undefined: it has none. */
const THRESHOLDS = [undefined, 30]
/** What fills the preferred access, and what does not. */
const KINDS: Partial<Record<TrafficName, string>> = { bulk: 'one bulk flow', paced: 'one of 10 Mbit/s' }
const START_MS = { full: 5000, quick: 500 }
const WATCH_MS = { full: 10_000, quick: 500 }
/** Of the sum of both accesses; what a single flow at rest may leave on the other access, in percent. */
const LIMITS = { speed: 0.9, share: 2 }

interface Point extends Pick<Division, 'share' | 'mbps'> {
  traffic: TrafficName
  threshold: number | undefined
  column: string
}

export const priority: LabMeasure<SteeringSite> = {
  name: 'priority',
  async run(site, { quick, rounds = 1, progress }) {
    const extent = quick ? 'quick' : 'full'
    const names = Object.keys(KINDS) as TrafficName[]
    const points: Point[] = []
    for (let round = 0; round < rounds; round++)
      for (const threshold of THRESHOLDS)
        for (const traffic of names)
          for (const directions of ALL_DIRECTIONS) {
            progress(`round ${round + 1} of ${rounds}: ${inWords(threshold)}, ${KINDS[traffic]}, ${directions}`)
            const found = await division(site, {
              way: { rules: rulesWith(threshold) },
              flows: TRAFFIC[traffic](directions),
              startMs: START_MS[extent],
              watchMs: WATCH_MS[extent],
            })
            for (const direction of directionsOf(directions)) {
              const { share, mbps } = found[direction]
              const column = directions === 'both' ? `${direction}, both at once` : direction
              points.push({ traffic, threshold, column, share, mbps })
            }
          }
    const columns = [...new Set(points.map(({ column }) => column))]
    const cases = THRESHOLDS.flatMap(threshold => names.map(traffic => ({ threshold, traffic })))
    const of = (column: string, traffic: TrafficName, threshold: number | undefined) =>
      points.filter(one => one.column === column && one.traffic === traffic && one.threshold === threshold)
    return {
      figures: points,
      text: table(
        'Priority-based, non-3GPP access first: Mbit/s over both; percent over 3GPP access',
        columns,
        cases.map(({ threshold, traffic }) => ({
          name: `${inWords(threshold)}, ${KINDS[traffic]}`,
          cells: columns.map(column => {
            const found = of(column, traffic, threshold)
            const mbps = spread(summary(found.map(one => one.mbps)), 1)
            return `${mbps}; ${summary(found.map(({ share }) => share)).median.toFixed(0)} %`
          }),
        })),
      ),
      judgements: columns.flatMap(column =>
        cases.map(({ threshold, traffic }) => {
          const found = of(column, traffic, threshold)
          const about = `${inWords(threshold)}, ${column}`
          if (traffic === 'bulk') {
            const measured = summary(found.map(({ mbps }) => mbps / BOTH_MBPS))
            return {
              what: `Priority-based, speed: ${about}`,
              ratio: 'atsss / both links',
              measured,
              atLeast: LIMITS.speed,
              met: measured.median >= LIMITS.speed,
              reason: 'What congests the preferred access spills over to the other one',
            }
          }
          const measured = summary(found.map(({ share }) => share))
          return {
            what: `Priority-based, percent over the other access, uncongested: ${about}`,
            ratio: 'atsss',
            measured,
            atMost: LIMITS.share,
            met: measured.median <= LIMITS.share,
            reason: 'What fits on the preferred access stays there',
          }
        }),
      ),
    }
  },
}

const BOTH_MBPS = ACCESSES.wifi.link.rateMbps + ACCESSES.cell.link.rateMbps

function rulesWith(threshold: number | undefined) {
  const thresValue = threshold === undefined ? {} : { thresValue: { rttThres: threshold } }
  const steeringMode = { steerModeValue: 'PRIORITY_BASED', prioAcc: 'NON_3GPP_ACCESS', ...thresValue } as const
  return [{ precedence: 1, trafficDescriptor: { matchAll: true as const }, steeringMode }]
}

function inWords(threshold: number | undefined): string {
  return threshold === undefined ? 'no threshold' : `RTT threshold ${threshold} ms`
}
