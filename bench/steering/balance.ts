/** Load balancing by fixed percentages: the share of each access, counted by the links themselves. */
import { setTimeout as delay } from 'node:timers/promises'
import { summary } from '../statistics.js'
import type { SteeringMeasure } from './measure.js'
import { ACCESSES, type SteeringSite } from './site.js'
import { spread, table } from './table.js'
import type { Flow } from './tasks.js'

const SOME = [20, 50, 80]
const ALL = [10, 20, 30, 40, 50, 60, 70, 80, 90]
const MOST_POINTS_OFF = 2

/** 10 Mbit/s. */
const LIMITED: Flow = { kind: 'paced', bytes: 12_500, everyMs: 10 }
const BULK = 'one bulk flow'
const TRAFFIC: Record<string, Flow[]> = {
  [BULK]: [{ kind: 'bulk' }],
  'one of 10 Mbit/s': [LIMITED],
  /** Many are small, few carry most, and half of them come and go. */
  '50 mixed flows': [
    ...many(3, () => ({ kind: 'bulk' })),
    ...many(22, index => ({ kind: 'paced', bytes: 500 + 100 * index, everyMs: 50 })),
    ...many(25, index => ({ kind: 'short', bytes: 8_000 * (index + 1), pauseMs: 20 * index })),
  ],
}

const START_MS = { full: 5000, quick: 500 }
/** Every window of this length, beginning every `STEP_MS`. */
const WINDOW_MS = { full: 5000, quick: 500 }
const STEP_MS = 500
const WATCH_MS = { full: 10_000, quick: 500 }

interface Point {
  traffic: string
  percent: number
  /** Percent over 3GPP access, in each window. */
  shares: number[]
  /** Mbit/s over both. */
  mbps: number
}

export const balance: SteeringMeasure = {
  name: 'balance',
  async run(site, { quick, all, rounds = 1, progress }) {
    const percents = quick ? [50] : all ? ALL : SOME
    const points: Point[] = []
    for (let round = 0; round < rounds; round++)
      for (const percent of percents)
        for (const [traffic, flows] of Object.entries(TRAFFIC)) {
          progress(`round ${round + 1} of ${rounds}: ${percent} %, ${traffic}`)
          points.push({ traffic, percent, ...(await sharesOf(site, percent, flows, quick)) })
        }
    const shares = (traffic: string, percent: number) =>
      points.filter(point => point.traffic === traffic && point.percent === percent).flatMap(point => point.shares)
    const speeds = (percent: number) =>
      points.filter(point => point.traffic === BULK && point.percent === percent).map(({ mbps }) => mbps)
    const speed = {
      name: `Mbit/s of ${BULK}`,
      cells: percents.map(percent => `${spread(summary(speeds(percent)), 1)} of ${allowed(percent).toFixed(1)}`),
    }
    const rows = Object.keys(TRAFFIC).map(name => ({
      name,
      cells: percents.map(percent => spread(summary(shares(name, percent)), 1)),
    }))
    const head = percents.map(percent => `${percent} %`)
    return {
      figures: points,
      text: table('Load balancing, up: percent over 3GPP access in every window of 5 s', head, [...rows, speed]),
      judgements: Object.keys(TRAFFIC).map(traffic => {
        const off = points
          .filter(point => point.traffic === traffic)
          .flatMap(({ percent, shares }) => shares.map(share => Math.abs(share - percent)))
        const measured = summary(off)
        return {
          what: `Points off the percentage: ${traffic}`,
          ratio: 'atsss',
          measured,
          atMost: MOST_POINTS_OFF,
          met: measured.max <= MOST_POINTS_OFF,
          reason: 'In any window of 5 s after the start: the worst one counts',
        }
      }),
    }
  },
}

async function sharesOf(site: SteeringSite, percent: number, flows: Flow[], quick: boolean) {
  const steeringMode = { steerModeValue: 'LOAD_BALANCING', '3gLoad': percent } as const
  const rules = [{ precedence: 1, trafficDescriptor: { matchAll: true as const }, steeringMode }]
  const running = await site.begin({ do: 'flows', way: { rules }, flows })
  const extent = quick ? 'quick' : 'full'
  await delay(START_MS[extent])
  const counts = [await site.uplinkBytes()]
  for (let watched = 0; watched < WATCH_MS[extent]; watched += STEP_MS) {
    await delay(STEP_MS)
    counts.push(await site.uplinkBytes())
  }
  running.stop()
  await running.figures
  const steps = WINDOW_MS[extent] / STEP_MS
  const total = (count: Record<'wifi' | 'cell', number>) => count.wifi + count.cell
  const mbps = ((total(counts.at(-1)!) - total(counts[0]!)) * 8) / WATCH_MS[extent] / 1000
  const shares = counts.slice(steps).map((after, index) => {
    const cell = after.cell - counts[index]!.cell
    const wifi = after.wifi - counts[index]!.wifi
    return (100 * cell) / (cell + wifi)
  })
  return { shares, mbps }
}

/** Mbit/s: the access that is first at its limit decides. */
function allowed(percent3gpp: number): number {
  const of = (name: 'wifi' | 'cell', percent: number) => (100 * ACCESSES[name].link.rateMbps) / percent
  return Math.min(of('cell', percent3gpp), of('wifi', 100 - percent3gpp))
}

function many(count: number, flow: (index: number) => Flow): Flow[] {
  return Array.from({ length: count }, (_, index) => flow(index))
}
