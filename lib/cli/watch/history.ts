/** Turns successive snapshots into rates over time. Pure. */
import type { AccessType } from '../../policy/rules/rule.js'
import type { Snapshot, WatchedAccess } from '../../runtime/watch/messages.js'
import { openOnes } from './words.js'

/** One value for what is sent, and one for what is received. */
export interface EachWay<T> {
  up: T
  down: T
}

/** The state at one moment. */
interface Moment {
  /** Milliseconds since 1970. */
  at: number
  /** Bits per second, since the moment before. */
  rates: Record<AccessType, EachWay<number>>
  rttMs: Record<AccessType, EachWay<number | undefined>>
}

export interface History {
  /** At most `MOMENTS`, the oldest first. */
  moments: readonly Moment[]
  last: Snapshot | undefined
}

/** The most moments that are kept: two minutes at the default interval. */
export const MOMENTS = 480

export const NO_HISTORY: History = { moments: [], last: undefined }

/** No rate if a counter went back: it is another session's. */
export function next({ moments, last }: History, snapshot: Snapshot): History {
  const seconds = last ? (snapshot.at - last.at) / 1000 : 0
  if (!last || seconds <= 0) return { moments, last: snapshot }
  const { accesses } = snapshot
  const rate = (type: AccessType) => rates(last.accesses[type], accesses[type], seconds)
  const moment: Moment = {
    at: snapshot.at,
    rates: { '3gpp': rate('3gpp'), 'non-3gpp': rate('non-3gpp') },
    rttMs: { '3gpp': rttNow(accesses['3gpp']), 'non-3gpp': rttNow(accesses['non-3gpp']) },
  }
  return {
    moments: [...moments.slice(1 - MOMENTS), moment],
    last: snapshot,
  }
}

/**
 * Describes what has moved to the other access since the previous snapshot. Load balancing by percentages moves connections all the
 * time, so its moves are left out.
 */
export function handoverBetween(before: Snapshot | undefined, now: Snapshot): string | undefined {
  const divides = (rule?: Snapshot['rules'][number]) => rule?.steering?.mode === 'load-balancing'
  const since = (rule: Snapshot['rules'][number]) => {
    const was = before?.rules.find(({ precedence }) => precedence === rule.precedence)
    return divides(rule) || divides(was) ? 0 : rule.handovers - (was?.handovers ?? 0)
  }
  const count = before ? now.rules.reduce((sum, rule) => sum + since(rule), 0) : 0
  if (count <= 0) return undefined
  const had = new Map(before!.connections.map(({ id, handovers }) => [id, handovers]))
  const gone = now.connections.filter(({ id, handovers }) => handovers > (had.get(id) ?? 0))
  const carrying = gone.flatMap(one => openOnes(one).filter(({ backup, state }) => !backup && state === 'established'))
  const [to, ...others] = new Set(carrying.map(({ access }) => access))
  const where = to !== undefined && others.length === 0 ? ` to ${to}` : ''
  return count === 1 ? `handover${where}` : `${count} handovers${where}`
}

/** A lost access has no present measurements, and nothing waits in a queue if nothing is received. */
export function rttNow({
  available,
  rttMs,
  receiveRttMs,
  receiveRate = 0,
}: Pick<WatchedAccess, 'available' | 'rttMs' | 'receiveRttMs' | 'receiveRate'>): EachWay<number | undefined> {
  if (!available) return { up: undefined, down: undefined }
  return { up: rttMs, down: receiveRate > 0 ? receiveRttMs : undefined }
}

interface Counters {
  bytesSent: number
  bytesReceived: number
}

function rates(before: Counters, after: Counters, seconds: number): EachWay<number> {
  const bits = (name: keyof Counters) => Math.max(0, ((after[name] - before[name]) * 8) / seconds)
  return { up: bits('bytesSent'), down: bits('bytesReceived') }
}
