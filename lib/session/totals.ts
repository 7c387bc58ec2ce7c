/** What a session has counted since it was made: connections by outcome, handovers, and what was degraded. */
import type { AccessType } from '../policy/rules/rule.js'
import type { Handover } from '../runtime/steering/handover-gap.js'
import type { SessionEvents } from './events.js'

/** The latest handover whose gap is known, or that interrupted nothing. */
export interface LastHandover extends Handover {
  /** Milliseconds since 1970: when its first bytes had come. */
  at: number
}

/** Since the session was made: these only grow. */
export interface SessionTotals {
  /** Established connections, incoming ones included, by what they were at first. */
  connected: { mptcp: number; tcp: number }
  /** Outgoing connections that were not established, by the `code` of the error; `closed`: the application gave them up. */
  failed: Readonly<Record<string, number>>
  /** Handovers by the access that they led to. Those that keep a rule's percentages do not count. */
  handovers: Readonly<Record<AccessType, number>>
  handoverGaps: GapHistogram
  /** Events `degraded`, by their `what`. */
  degraded: Readonly<Record<string, number>>
}

/** The gaps of handovers that interrupted something. */
export interface GapHistogram {
  count: number
  /** Of all gaps, in milliseconds. */
  sumMs: number
  /** How many gaps were at most this long: cumulative, as Prometheus has it. */
  buckets: readonly { atMostMs: number; count: number }[]
}

export class Totals {
  readonly #connected = { mptcp: 0, tcp: 0 }
  readonly #failed = new Map<string, number>()
  readonly #handovers = { '3gpp': 0, 'non-3gpp': 0 }
  readonly #degraded = new Map<string, number>()
  readonly #buckets = BUCKETS_MS.map(atMostMs => ({ atMostMs, count: 0 }))
  #gaps = 0
  #sumMs = 0

  connected(protocol: 'mptcp' | 'tcp'): void {
    this.#connected[protocol]++
  }

  failed(error: Error | undefined): void {
    count(this.#failed, error ? ((error as NodeJS.ErrnoException).code ?? error.name) : 'closed')
  }

  handedOver({ to, gapMs }: Handover): void {
    this.#handovers[to]++
    if (gapMs === undefined) return
    this.#gaps++
    this.#sumMs += gapMs
    for (const bucket of this.#buckets) if (gapMs <= bucket.atMostMs) bucket.count++
  }

  degraded({ what }: SessionEvents['degraded'][0]): void {
    count(this.#degraded, what)
  }

  read(): SessionTotals {
    return {
      connected: { ...this.#connected },
      failed: Object.fromEntries(this.#failed),
      handovers: { ...this.#handovers },
      handoverGaps: {
        count: this.#gaps,
        sumMs: this.#sumMs,
        buckets: this.#buckets.map(bucket => ({ ...bucket })),
      },
      degraded: Object.fromEntries(this.#degraded),
    }
  }
}

/** From less than a round trip to a tunnel, in milliseconds. */
const BUCKETS_MS = [10, 25, 50, 100, 150, 250, 500, 1_000, 2_500, 5_000, 10_000]

/** So many different codes are counted by themselves: an application may destroy its sockets with any error. */
const MOST_KINDS = 50

function count(counters: Map<string, number>, name: string): void {
  const key = counters.has(name) || counters.size < MOST_KINDS ? name : 'other'
  counters.set(key, (counters.get(key) ?? 0) + 1)
}
