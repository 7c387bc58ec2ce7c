/** One trial of a way to steer, in either direction or both: what each access carries, and what a loss costs. */
import { setTimeout as delay } from 'node:timers/promises'
import type { AccessName, Fault, SteeringSite } from './site.js'
import { clock, DIRECTIONS, type Direction, type Flow, type Gap, type Taken, type Way } from './tasks.js'

/** Where traffic goes: of the bytes of IP packets that the links deliver. */
export interface Division {
  mbps: number
  /** Percent over 3GPP access. */
  share: number
  /** The same in each window of `WINDOW_MS`, one beginning every `STEP_MS`. */
  windows: number[]
  /** The longest time in which nothing arrived on the first stream, in milliseconds; absent: it received nothing. */
  longestGap?: number
}

/** `all`: of both directions together. */
export type Divisions = Record<Direction | 'all', Division>

export interface DivisionTrial {
  way: Way
  flows: Flow[]
  /** Until it is watched, and for how long, in milliseconds. */
  startMs: number
  watchMs: number
  /** Shorter only where there is no time for a verdict. */
  windowMs?: number
}

export const WINDOW_MS = 5000
const STEP_MS = 500

export async function division(site: SteeringSite, trial: DivisionTrial): Promise<Divisions> {
  const { way, flows, startMs, watchMs, windowMs = WINDOW_MS } = trial
  const running = await site.begin({ do: 'flows', way, flows })
  await delay(startMs)
  const from = clock()
  const counts = [await site.delivered()]
  for (let watched = 0; watched < watchMs; watched += STEP_MS) {
    await delay(STEP_MS)
    counts.push(await site.delivered())
  }
  const to = clock()
  running.stop()
  const { first } = await running.figures
  const steps = Math.round(windowMs / STEP_MS)
  const between = (before: number, after: number, direction: Direction | 'all') => {
    const of = (name: AccessName) =>
      (direction === 'all' ? DIRECTIONS : [direction]).reduce(
        (sum, each) => sum + counts[after]![name][each] - counts[before]![name][each],
        0,
      )
    const [wifi, cell] = [of('wifi'), of('cell')]
    return { bytes: wifi + cell, share: (100 * cell) / (wifi + cell) }
  }
  const last = counts.length - 1
  const divided = (direction: Direction | 'all'): Division => {
    const { bytes, share } = between(0, last, direction)
    const windows = counts.slice(steps).map((_, i) => between(i, i + steps, direction).share)
    const taken = direction === 'all' ? undefined : first[direction]
    return {
      mbps: (bytes * 8) / (to - from) / 1000,
      share,
      windows,
      ...(taken ? { longestGap: longest(taken.gaps, from, to) } : {}),
    }
  }
  return { up: divided('up'), down: divided('down'), all: divided('all') }
}

/** What the loss of `wifi` has cost in one direction, in milliseconds. */
export interface Loss {
  /** The longest gap that begins with the loss, or soon after. */
  gap: number
  /** The longest that begins later. */
  later: number
  /** The longest of the last second before. */
  before: number
  /** The longest way of a message that was on its way at the loss, or was written later; absent: no messages of their own. */
  longestDelay?: number
}

export interface LossTrial {
  way: Way
  flow: Flow
  fault: Fault
  blockMs?: number
  /** Until the standby is there and the flow is steady, and for how long it is watched after the loss, in milliseconds. */
  calmMs: number
  watchMs: number
}

/** A gap after the loss is the handover's if it begins within this many milliseconds; later ones are of the standby's congestion control. */
const HANDOVER_MS = 300

export async function loss(site: SteeringSite, trial: LossTrial): Promise<Partial<Record<Direction, Loss>>> {
  const { way, flow, fault, blockMs = 0, calmMs, watchMs } = trial
  const running = await site.begin({ do: 'flows', way, flows: [flow], blockMs })
  await delay(calmMs)
  const lostAt = clock()
  await site.lose(fault)
  const doneAt = clock()
  await delay(watchMs)
  const until = clock()
  running.stop()
  const { first } = await running.figures
  await site.restore(fault)
  const found: Partial<Record<Direction, Loss>> = {}
  for (const direction of DIRECTIONS)
    if (first[direction]) found[direction] = lossOf(first[direction], { lostAt, doneAt, until })
  return found
}

function lossOf({ gaps, delays }: Taken, times: { lostAt: number; doneAt: number; until: number }): Loss {
  const { lostAt, doneAt, until } = times
  const began = (from: number, to: number) =>
    gaps.filter(([start, end]) => start >= from && start < to && end > lostAt).map(([start, end]) => end - start)
  const after = delays.filter(([at, ms]) => at + ms >= lostAt && at < until).map(([, ms]) => ms)
  return {
    // What spans the loss is its too.
    gap: Math.max(longest(gaps, lostAt, lostAt + 1), ...began(lostAt, doneAt + HANDOVER_MS)),
    later: Math.max(0, ...began(doneAt + HANDOVER_MS, until)),
    before: longest(gaps, lostAt - 1000, lostAt - 100),
    ...(delays.length > 0 ? { longestDelay: Math.max(0, ...after) } : {}),
  }
}

/** Of those that reach into this time. */
function longest(gaps: readonly Gap[], from: number, to: number): number {
  return Math.max(0, ...gaps.filter(([start, end]) => end > from && start < to).map(([start, end]) => end - start))
}
