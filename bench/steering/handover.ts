/** The access in use is lost: for how long nothing arrives at the server. */
import { setTimeout as delay } from 'node:timers/promises'
import { summary } from '../statistics.js'
import type { SteeringMeasure } from './measure.js'
import { ACCESSES, type Fault, type SteeringSite } from './site.js'
import { spread, table } from './table.js'
import { clock, type Flow, type Way } from './tasks.js'

const FAULTS: Record<Fault, string> = {
  carrier: 'carrier lost',
  address: 'address removed',
  blackhole: 'silent black hole',
}
const FLOWS: Record<string, Flow> = {
  bulk: { kind: 'bulk' },
  sparse: { kind: 'paced', bytes: 200, everyMs: 50 },
}
/** Asleep (ue.ts): a busy loop would take a core from the emulated links and the peer, and the measure would be of that. */
const BLOCK_MS = 500
/** A blocked application has only the bulk flow: of a sparse one nothing would arrive for all that time anyway. */
const CONTENDERS: { name: string; way: Way; blockMs: number; flows: string[] }[] = [
  { name: 'kernel alone', way: { interface: 'wifi' }, blockMs: 0, flows: ['bulk', 'sparse'] },
  { name: 'atsss', way: { rules: 'handover' }, blockMs: 0, flows: ['bulk', 'sparse'] },
  { name: 'atsss, app blocked', way: { rules: 'handover' }, blockMs: BLOCK_MS, flows: ['bulk'] },
]
const ROUNDS = 2
/** Until the standby is there and the flow is steady, and for how long it is watched then, in milliseconds. */
const CALM_MS = { full: 1500, quick: 500 }
const WATCH_MS = { full: 1500, quick: 800 }
/** The handover's gap begins so soon after the loss is done, in milliseconds; later ones are the congestion control's on the standby. */
const HANDOVER_MS = 300
/** A connection begun over the standby, for comparison: as long as the standby is watched after a handover. */
const ALONE: Way = { interface: 'cell' }

/** Of the access that takes over. */
const RTT_MS = 2 * ACCESSES.cell.link.delayMs
const LIMITS: Record<Fault, { atMost: number; reason: string }> = {
  carrier: { atMost: 20 + RTT_MS, reason: '20 ms + 1 RTT of the standby; bulk: asked first what has arrived, 1.5 RTT' },
  address: { atMost: 20 + RTT_MS, reason: 'As a lost carrier' },
  blackhole: { atMost: 3 * RTT_MS + 100, reason: '3 RTT of the standby + 100 ms: found by silence alone' },
}

interface Trial {
  contender: string
  fault: Fault
  flow: string
  /** Milliseconds. */
  gap: number
  /** The longest that began later. */
  later: number
  /** The same of the last second before. */
  before: number
}

export const handover: SteeringMeasure = {
  name: 'handover',
  async run(site, { quick, rounds = ROUNDS, progress }) {
    const trials: Trial[] = []
    const cases = quick ? QUICK_CASES : ALL_CASES
    for (let round = 0; round < rounds; round++)
      for (const { fault, flow } of cases)
        for (const contender of CONTENDERS.filter(({ flows }) => flows.includes(flow))) {
          progress(`round ${round + 1} of ${rounds}: ${FAULTS[fault]}, ${flow}, ${contender.name}`)
          trials.push({ fault, flow, contender: contender.name, ...(await trial(site, contender, fault, flow, quick)) })
        }
    const alone: number[] = []
    for (let round = 0; round < rounds; round++) {
      progress(`round ${round + 1} of ${rounds}: a connection of its own over cell`)
      alone.push(await onItsOwn(site, quick))
    }
    const of = (fault: Fault, flow: string, contender: string) =>
      trials.filter(trial => trial.fault === fault && trial.flow === flow && trial.contender === contender)
    const gaps = (found: Trial[]) => (found.length > 0 ? spread(summary(found.map(({ gap }) => gap)), 0) : '')
    const rows = cases.map(({ fault, flow }) => ({
      name: `${FAULTS[fault]}, ${flow}`,
      cells: CONTENDERS.map(({ name }) => gaps(of(fault, flow, name))),
    }))
    const calm = (flow: string) => summary(trials.filter(trial => trial.flow === flow).map(({ before }) => before))
    const later = (flow: string, contender: string) =>
      summary(trials.filter(trial => trial.flow === flow && trial.contender === contender).map(one => one.later))
    const undisturbed = Object.keys(FLOWS).map(flow => `${flow} ${spread(calm(flow), 0)}`)
    return {
      figures: { trials, alone },
      text: [
        table(
          'wifi (RTT 20 ms) is lost, cell (RTT 60 ms) stands by: the gap at the server, ms; lost bytes: none',
          CONTENDERS.map(({ name }) => name),
          rows,
        ),
        `  The second before: ${undisturbed.join(', ')} ms\n`,
        `  Later, while the standby's window finds its size, bulk: ${CONTENDERS.map(({ name }) => `${name} ${spread(later('bulk', name), 0)}`).join(', ')} ms;\n`,
        `  a connection of its own over cell, from its beginning: ${spread(summary(alone), 0)} ms\n`,
      ].join(''),
      judgements: cases.flatMap(({ fault, flow }) =>
        CONTENDERS.slice(1).flatMap(({ name, blockMs }) => {
          const found = of(fault, flow, name)
          if (found.length === 0) return []
          const measured = summary(found.map(({ gap }) => gap))
          const { atMost, reason } = LIMITS[fault]
          const what = `Gap, ms: ${FAULTS[fault]}, ${flow}${blockMs > 0 ? ', app blocked' : ''}`
          return [{ what, ratio: 'atsss', measured, atMost, met: measured.median <= atMost, reason }]
        }),
      ),
    }
  },
}

const ALL_CASES = (Object.keys(FAULTS) as Fault[]).flatMap(fault => Object.keys(FLOWS).map(flow => ({ fault, flow })))
const QUICK_CASES = [{ fault: 'carrier', flow: 'bulk' } as const, { fault: 'blackhole', flow: 'sparse' } as const]

async function trial(
  site: SteeringSite,
  { way, blockMs }: { way: Way; blockMs: number },
  fault: Fault,
  flow: string,
  quick: boolean,
): Promise<{ gap: number; later: number; before: number }> {
  const running = await site.begin({ do: 'flows', way, flows: [FLOWS[flow]!], blockMs })
  await delay(quick ? CALM_MS.quick : CALM_MS.full)
  const lostAt = clock()
  await site.lose(fault)
  const doneAt = clock()
  await delay(quick ? WATCH_MS.quick : WATCH_MS.full)
  const until = clock()
  running.stop()
  const { gaps } = await running.figures
  await site.restore(fault)
  const lengths = (from: number, to: number) =>
    gaps.filter(([start, end]) => end > from && start < to).map(([start, end]) => end - start)
  const began = (from: number, to: number) =>
    gaps.filter(([start, end]) => start >= from && start < to && end > lostAt).map(([start, end]) => end - start)
  return {
    // What spans the loss is its too.
    gap: Math.max(...lengths(lostAt, lostAt + 1), ...began(lostAt, doneAt + HANDOVER_MS)),
    later: Math.max(0, ...began(doneAt + HANDOVER_MS, until)),
    before: Math.max(0, ...lengths(lostAt - 1000, lostAt - 100)),
  }
}

/** The longest gap of a bulk flow from its beginning. */
async function onItsOwn(site: SteeringSite, quick: boolean): Promise<number> {
  const running = await site.begin({ do: 'flows', way: ALONE, flows: [FLOWS.bulk!] }, { alone: true })
  await delay(quick ? WATCH_MS.quick : WATCH_MS.full)
  const until = clock()
  running.stop()
  const { gaps } = await running.figures
  return Math.max(0, ...gaps.filter(([start]) => start < until).map(([start, end]) => end - start))
}
