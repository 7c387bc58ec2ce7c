/** Load balancing by fixed percentages: the share of each access, counted by the links themselves, in each direction. */

import type { LabMeasure } from '../in-lab.js'
import { summary } from '../statistics.js'
import { ACCESSES, type AccessName, type SteeringSite } from './site.js'
import { spread, table } from './table.js'
import { type Direction, type Directions, directionsOf } from './tasks.js'
import { TRAFFIC, type TrafficName } from './traffic.js'
import { type Division, division, WINDOW_MS } from './trials.js'

const SOME = [20, 50, 80]
const ALL = [10, 20, 30, 40, 50, 60, 70, 80, 90]
const ALL_DIRECTIONS: Directions[] = ['up', 'down', 'both']
/** Where many short ones carry most, more than elsewhere. */
const MOST_POINTS_OFF = { usual: 2, mixed: 4 }
/** The column of what goes both ways at once, counted together. */
const TOGETHER = 'both at once, together'
/** Of what the percentages allow. */
const LEAST_SPEED = 0.9

const KINDS: Partial<Record<TrafficName, string>> = {
  bulk: 'one bulk flow',
  paced: 'one of 10 Mbit/s',
  mixed: '50 mixed flows',
}

const START_MS = { full: 5000, quick: 500 }
const WINDOW = { full: WINDOW_MS, quick: 500 }
const WATCH_MS = { full: 10_000, quick: 500 }

/** Of one direction in one trial. */
interface Point extends Pick<Division, 'share' | 'windows' | 'mbps'> {
  traffic: TrafficName
  percent: number
  column: string
}

export const balance: LabMeasure<SteeringSite> = {
  name: 'balance',
  async run(site, { quick, all, rounds = 1, progress }) {
    const percents = quick ? [50] : all ? ALL : SOME
    const extent = quick ? 'quick' : 'full'
    const names = Object.keys(KINDS) as TrafficName[]
    const points: Point[] = []
    for (let round = 0; round < rounds; round++)
      for (const percent of percents)
        for (const traffic of names)
          for (const directions of ALL_DIRECTIONS) {
            progress(`round ${round + 1} of ${rounds}: ${percent} %, ${KINDS[traffic]}, ${directions}`)
            const steeringMode = { steerModeValue: 'LOAD_BALANCING', '3gLoad': percent } as const
            const rules = [{ precedence: 1, trafficDescriptor: { matchAll: true as const }, steeringMode }]
            const found = await division(site, {
              way: { rules },
              flows: TRAFFIC[traffic](directions),
              startMs: START_MS[extent],
              watchMs: WATCH_MS[extent],
              windowMs: WINDOW[extent],
            })
            // The percentages are of all bytes, whichever way they go.
            const ways = [...directionsOf(directions), ...(directions === 'both' ? (['all'] as const) : [])]
            for (const direction of ways) {
              const { share, windows, mbps } = found[direction]
              points.push({ traffic, percent, column: columnOf(directions, direction), share, windows, mbps })
            }
          }
    const columns = [...new Set(points.map(({ column }) => column))]
    const of = (traffic: TrafficName, column: string, percent?: number) =>
      points.filter(
        point =>
          point.traffic === traffic && point.column === column && (percent === undefined || point.percent === percent),
      )
    const tables = columns.map(column => {
      const rows = names.map(traffic => ({
        name: KINDS[traffic]!,
        cells: percents.map(percent => spread(summary(of(traffic, column, percent).flatMap(one => one.windows)), 1)),
      }))
      const speed = {
        name: `Mbit/s of ${KINDS.bulk}`,
        cells: percents.map(percent => {
          const speeds = summary(of('bulk', column, percent).map(({ mbps }) => mbps))
          return `${spread(speeds, 1)} of ${allowed(percent).toFixed(1)}`
        }),
      }
      const head = percents.map(percent => `${percent} %`)
      const all = column === TOGETHER ? rows : [...rows, speed]
      return table(`Load balancing, ${column}: percent over 3GPP access in every window of 5 s`, head, all)
    })
    return {
      figures: points,
      text: tables.join('\n'),
      judgements: columns.flatMap(column => [
        ...names.map(traffic => {
          const off = of(traffic, column).flatMap(({ percent, windows }) =>
            windows.map(share => Math.abs(share - percent)),
          )
          const measured = summary(off)
          const atMost = traffic === 'mixed' ? MOST_POINTS_OFF.mixed : MOST_POINTS_OFF.usual
          return {
            what: `Points off the percentage: ${KINDS[traffic]}, ${column}`,
            ratio: 'atsss',
            measured,
            atMost,
            met: measured.max <= atMost,
            reason: 'In any window of 5 s after the start: the worst one counts',
          }
        }),
        ...(column === TOGETHER
          ? []
          : [
              judgeSpeed(
                column,
                of('bulk', column).map(({ mbps, percent }) => mbps / allowed(percent)),
              ),
            ]),
      ]),
    }
  },
}

function judgeSpeed(column: string, ratios: number[]) {
  const measured = summary(ratios)
  return {
    what: `Speed of ${KINDS.bulk}, ${column}`,
    ratio: 'atsss / allowed',
    measured,
    atLeast: LEAST_SPEED,
    met: measured.median >= LEAST_SPEED,
    reason: 'The access that is first at its limit decides what the percentages allow',
  }
}

/** Mbit/s: the access that is first at its limit decides. */
function allowed(percent3gpp: number): number {
  const of = (name: AccessName, percent: number) => (100 * ACCESSES[name].link.rateMbps) / percent
  return Math.min(of('cell', percent3gpp), of('wifi', 100 - percent3gpp))
}

function columnOf(directions: Directions, direction: Direction | 'all'): string {
  if (direction === 'all') return TOGETHER
  return directions === 'both' ? `${direction}, both at once` : direction
}
