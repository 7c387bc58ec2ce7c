/** Thousands of steered connections of one process: the steering threads, memory, and a handover of all of them. */
import { setTimeout as delay } from 'node:timers/promises'
import type { LabMeasure } from '../in-lab.js'
import type { Judgement } from '../report.js'
import { percentile, summary } from '../statistics.js'
import { SteeringSite } from './site.js'
import { spread, table } from './table.js'
import { clock, type ManyFigures, type Way } from './tasks.js'

const CONNECTIONS = { full: [1_000, 10_000], quick: [100] }
const SECONDS = { full: 5, quick: 0.5 }
/** For so long the handover is watched, in milliseconds. */
const WATCH_MS = { full: 5_000, quick: 1_500 }
/** Percent of one core. */
const MOST = { idle: { 1000: 5, 10000: 5 }, trickling: { 1000: 5, 10000: 25 } } as const
/** What each connection says twice over fits: what is measured is the loop. */
export const WIDE = { wifi: { rateMbps: 200, delayMs: 10 }, cell: { rateMbps: 200, delayMs: 30 } }
export const STEERED: Way = { rules: 'handover' }
const PLAIN: Way = { interface: 'wifi' }

/** Of one trial. Times in milliseconds, memory in bytes. */
export type Many = Omit<ManyFigures, 'delays'> & { p50: number; p99: number; longest: number }

/** @param isLost whether `wifi` is lost, and comes back at the end */
export async function manyTrial(
  site: SteeringSite,
  { way, connections, extent, as }: { way: Way; connections: number; extent: 'full' | 'quick'; as?: As },
): Promise<Many> {
  const task = { do: 'many', way, connections, seconds: SECONDS[extent] } as const
  const running = await site.begin(task, as)
  const lostAt = clock()
  if ('rules' in way) {
    await site.lose('carrier')
    await delay(WATCH_MS[extent])
  }
  running.stop(JSON.stringify({ lostAt }))
  const { delays, ...figures } = await running.figures
  if ('rules' in way) await site.restore('carrier')
  return { ...figures, p50: percentile(delays, 50), p99: percentile(delays, 99), longest: Math.max(...delays) }
}
type As = Parameters<SteeringSite['begin']>[1]

const COLUMNS: { title: string; of(one: Many): number; digits: number }[] = [
  { title: 'idle, CPU %', of: one => one.idle!, digits: 1 },
  { title: '100 bytes/s each, CPU %', of: one => one.trickling!, digits: 1 },
  { title: 'kB resident each', of: one => one.memoryEach / 1e3, digits: 1 },
  { title: 'handover: delay p50, ms', of: one => one.p50, digits: 0 },
  { title: 'p99, ms', of: one => one.p99, digits: 0 },
  { title: 'longest, ms', of: one => one.longest, digits: 0 },
  { title: 'CPU of it, ms', of: one => one.handoverMs!, digits: 0 },
  { title: 'netlink overruns', of: one => one.overruns, digits: 0 },
]

export function manyTable(title: string, rows: readonly { name: string; figures: readonly Many[] }[]): string {
  return table(
    title,
    COLUMNS.map(column => column.title),
    rows.map(({ name, figures }) => ({
      name,
      cells: COLUMNS.map(({ of, digits }) => {
        const values = figures.map(of).filter(value => value !== undefined && !Number.isNaN(value))
        return values.length > 0 ? spread(summary(values), digits) : ''
      }),
    })),
  )
}

export const many: LabMeasure<SteeringSite> = {
  name: 'steering-many',
  async run(_, { quick, rounds = 1, progress }) {
    const extent = quick ? 'quick' : 'full'
    const steered: Record<number, Many[]> = {}
    const plain: Record<number, Many[]> = {}
    const site = await SteeringSite.open(WIDE, { direct: true })
    try {
      for (let round = 0; round < rounds; round++)
        for (const connections of CONNECTIONS[extent])
          for (const [way, into] of [
            [PLAIN, plain],
            [STEERED, steered],
          ] as const) {
            progress(`round ${round + 1} of ${rounds}: ${connections} connections`)
            into[connections] ??= []
            into[connections].push(await manyTrial(site, { way, connections, extent, as: { alone: way === PLAIN } }))
          }
    } finally {
      await site.close()
    }
    const rows = CONNECTIONS[extent].flatMap(connections => [
      { name: `${connections} steered`, figures: steered[connections]! },
      { name: `${connections} without a session`, figures: plain[connections]!.map(withoutHandover) },
    ])
    const judgements = (['idle', 'trickling'] as const).flatMap(key =>
      CONNECTIONS.full.flatMap((connections): Judgement[] => {
        const figures = steered[connections]
        if (!figures) return []
        const measured = summary(figures.map(one => one[key]!))
        const atMost = MOST[key][connections as 1_000]
        const what = `CPU percent of the steering threads, ${connections} connections, ${key}`
        const reason = 'Connections at rest are looked at in turn, as many at each look however many there are'
        return [{ what, ratio: 'atsss', measured, atMost, met: measured.median <= atMost, reason }]
      }),
    )
    const title =
      'Many connections to an MPTCP server; then the carrier of wifi is lost, and each has a message on its way within a second'
    return { figures: { steered, plain }, text: `${manyTable(title, rows)}  Lost bytes: none\n`, judgements }
  },
}

function withoutHandover(one: Many): Many {
  return { ...one, p50: Number.NaN, p99: Number.NaN, longest: Number.NaN }
}
