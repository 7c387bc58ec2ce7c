/** The access in use is lost: for how long nothing arrives, at the server and in the UE. */
import { setTimeout as delay } from 'node:timers/promises'
import type { LabMeasure } from '../in-lab.js'
import { summary } from '../statistics.js'
import { ACCESSES, type Fault, type SteeringSite } from './site.js'
import { spread, table } from './table.js'
import { clock, type Directions, directionsOf, type Flow, type Way } from './tasks.js'
import { TRAFFIC } from './traffic.js'
import { type Loss, loss } from './trials.js'

type Lost = Exclude<Fault, 'downlink'>

const FAULTS: Record<Lost, string> = {
  carrier: 'carrier lost',
  address: 'address removed',
  blackhole: 'silent black hole',
}
const FLOWS = ['bulk', 'sparse', 'idle'] as const
type FlowName = (typeof FLOWS)[number]
const ALL_DIRECTIONS: Directions[] = ['up', 'down', 'both']
/** Asleep (ue.ts): a busy loop would take a core from the emulated links and the peer, and the measure would be of that. */
const BLOCK_MS = 500
/** A blocked application has only the bulk upload: otherwise the gap would be that of its own sleep. */
const CONTENDERS: { name: string; way: Way; blockMs: number; has(flow: FlowName, directions: Directions): boolean }[] =
  [
    { name: 'kernel alone', way: { interface: 'wifi' }, blockMs: 0, has: () => true },
    { name: 'atsss', way: { rules: 'handover' }, blockMs: 0, has: () => true },
    {
      name: 'atsss, app blocked',
      way: { rules: 'handover' },
      blockMs: BLOCK_MS,
      has: (flow, directions) => flow === 'bulk' && directions === 'up',
    },
  ]
const ROUNDS = 2
/** Until the standby is there and the flow is steady, and for how long it is watched then, in milliseconds. */
const CALM_MS = { full: 1500, quick: 500 }
const WATCH_MS = { full: 1500, quick: 800 }
/** A message that is due every 3 s is not written until 1.5 s after the loss. */
const IDLE_MS = 2000
/** The least: what waits for a message alone is found by this probe, and its period is what a device pays for. */
const IDLE_PROBE_MS = 1000
/** A connection begun over the standby, for comparison: as long as the standby is watched after a handover. */
const ALONE: Way = { interface: 'cell' }

/** Of the access that takes over. */
const RTT_MS = 2 * ACCESSES.cell.link.delayMs
const LIMITS: Record<Lost, { atMost: number; reason: string }> = {
  carrier: {
    atMost: 20 + 1.5 * RTT_MS,
    reason: '20 ms + 1.5 RTT of the standby: what was in flight is sent again over it',
  },
  address: { atMost: 20 + 1.5 * RTT_MS, reason: 'As a lost carrier' },
  blackhole: { atMost: 3 * RTT_MS + 100, reason: '3 RTT of the standby + 100 ms: found by silence alone' },
}
/** Nothing is in flight: less than with a bulk flow. */
const SPARSE_CARRIER_MS = 20 + RTT_MS
/** The news of the loss needs half an RTT, what was lost another half, and the loss comes at any time between two messages. */
const SPARSE_DOWN_MS = 20 + RTT_MS + 25
/** It waits for one RTT more, in which the peer is asked what of the upload has arrived. */
const BULK_DOWN_BESIDE_UP_MS = 30 + 2 * RTT_MS

function limit({ fault, flow, column }: Pick<Trial, 'fault' | 'flow' | 'column'>): number {
  if (fault === 'blackhole') return LIMITS.blackhole.atMost
  if (flow === 'bulk') return column === 'down, both at once' ? BULK_DOWN_BESIDE_UP_MS : LIMITS[fault].atMost
  return flow === 'sparse' && column.startsWith('down') ? SPARSE_DOWN_MS : SPARSE_CARRIER_MS
}

interface Case {
  fault: Lost
  flow: FlowName
  directions: Directions
}

interface Trial extends Case, Loss {
  contender: string
  /** `down`; `down, both at once`. */
  column: string
}

export const handover: LabMeasure<SteeringSite> = {
  name: 'handover',
  async run(site, { quick, rounds = ROUNDS, progress }) {
    const trials: Trial[] = []
    const extent = quick ? 'quick' : 'full'
    const cases = quick ? QUICK_CASES : ALL_CASES
    for (let round = 0; round < rounds; round++)
      for (const { fault, flow, directions } of cases)
        for (const { name, way, blockMs } of CONTENDERS.filter(contender => contender.has(flow, directions))) {
          progress(`round ${round + 1} of ${rounds}: ${FAULTS[fault]}, ${flow}, ${directions}, ${name}`)
          const found = await loss(site, {
            way: 'rules' in way && flow === 'idle' ? { ...way, idleProbe: IDLE_PROBE_MS } : way,
            flow: TRAFFIC[flow](directions)[0]!,
            fault,
            blockMs,
            calmMs: CALM_MS[extent],
            watchMs: WATCH_MS[extent] + (flow === 'idle' ? IDLE_MS : 0),
          })
          for (const direction of directionsOf(directions)) {
            const column = directions === 'both' ? `${direction}, both at once` : direction
            trials.push({ contender: name, fault, flow, directions, column, ...found[direction]! })
          }
        }
    const alone: number[] = []
    for (let round = 0; round < rounds; round++) {
      progress(`round ${round + 1} of ${rounds}: a connection of its own over cell`)
      alone.push(await onItsOwn(site, WATCH_MS[extent]))
    }
    const columns = [...new Set(trials.map(({ column }) => column))]
    const losses = [...new Map(cases.map(({ fault, flow }) => [`${fault} ${flow}`, { fault, flow }])).values()]
    const of = (column: string, contender: string, fault?: Lost, flow?: FlowName) =>
      trials.filter(
        trial =>
          trial.column === column &&
          trial.contender === contender &&
          (!fault || trial.fault === fault) &&
          (!flow || trial.flow === flow),
      )
    const tables = columns.map(column =>
      table(
        `wifi (RTT 20 ms) is lost, cell (RTT 60 ms) stands by, ${column}: the gap at the receiver, of idle ones the delay of the next message, ms`,
        CONTENDERS.map(({ name }) => name),
        losses.map(({ fault, flow }) => ({
          name: `${FAULTS[fault]}, ${flow}`,
          cells: CONTENDERS.map(({ name }) => {
            const found = of(column, name, fault, flow).map(costOf)
            return found.length > 0 ? spread(summary(found), 0) : ''
          }),
        })),
      ),
    )
    const calm = (flow: FlowName) => summary(trials.filter(trial => trial.flow === flow).map(({ before }) => before))
    const later = columns.flatMap(column => {
      const found = of(column, 'atsss', undefined, 'bulk').map(one => one.later)
      return found.length > 0 ? [`${column} ${spread(summary(found), 0)}`] : []
    })
    return {
      figures: { trials, alone },
      text: [
        tables.join('\n'),
        '  Lost bytes: none\n',
        `  The second before: bulk ${spread(calm('bulk'), 0)}, sparse ${spread(calm('sparse'), 0)} ms\n`,
        `  Later, while the standby's window finds its size, bulk: ${later.join('; ')} ms;\n`,
        `  a connection of its own over cell, from its beginning: ${spread(summary(alone), 0)} ms\n`,
      ].join(''),
      judgements: columns.flatMap(column =>
        losses.flatMap(({ fault, flow }) =>
          CONTENDERS.slice(1).flatMap(({ name, blockMs }) => {
            const found = of(column, name, fault, flow)
            if (found.length === 0) return []
            const measured = summary(found.map(costOf))
            const { reason } = LIMITS[fault]
            const most = limit({ fault, flow, column })
            const what = `${flow === 'idle' ? 'Delay' : 'Gap'}, ms: ${FAULTS[fault]}, ${flow}, ${column}${blockMs > 0 ? ', app blocked' : ''}`
            return [{ what, ratio: 'atsss', measured, atMost: most, met: measured.median <= most, reason }]
          }),
        ),
      ),
    }
  },
}

const ALL_CASES: Case[] = (Object.keys(FAULTS) as Lost[]).flatMap(fault =>
  FLOWS.flatMap(flow => ALL_DIRECTIONS.map(directions => ({ fault, flow, directions }))),
)
const QUICK_CASES: Case[] = [
  { fault: 'carrier', flow: 'bulk', directions: 'up' },
  { fault: 'carrier', flow: 'bulk', directions: 'down' },
  { fault: 'blackhole', flow: 'sparse', directions: 'both' },
]

/** An idle flow has gaps anyway: what counts is when its next message arrives. */
function costOf({ flow, gap, longestDelay }: Trial): number {
  return flow === 'idle' ? (longestDelay ?? Number.NaN) : gap
}

/** The longest gap of a bulk flow from its beginning. */
async function onItsOwn(site: SteeringSite, watchMs: number): Promise<number> {
  const flow: Flow = { kind: 'bulk' }
  const running = await site.begin({ do: 'flows', way: ALONE, flows: [flow] }, { alone: true })
  await delay(watchMs)
  const until = clock()
  running.stop()
  const { first } = await running.figures
  return Math.max(0, ...first.up!.gaps.filter(([start]) => start < until).map(([start, end]) => end - start))
}
