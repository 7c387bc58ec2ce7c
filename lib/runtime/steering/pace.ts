/** Schedules the next scan: a full one of all connections, or a partial one of the active connections only. */

/** The interval of full scans while bytes move, and while none do, in milliseconds. */
const PERIOD_MS = 50
const IDLE_PERIOD_MS = 250
/** Bytes count as moving for so long after the last ones, in milliseconds: longer than the pauses of a sparse flow. */
export const QUIET_MS = 1_000
/** The interval while bytes are divided by percentages, in milliseconds: a short one keeps closer to them, and costs less throughput. */
const DIVIDING_PERIOD_MS = 25
/** …as long as full scans then use at most this percentage of one core. */
const DIVIDING_PERCENT = 4
/** Partial scans may use at most this percentage of one core. */
const PARTIAL_PERCENT = 10
/** A full scan that is due within this many milliseconds runs now: timers are not more exact than that. */
const EARLY_MS = 2

export interface ScanResult {
  /** When the scan began. */
  at: number
  /** All connections, not only the active ones. */
  full: boolean
  /** What it has found concerns all connections. */
  urgent: boolean
  /** No bytes have moved for a while. */
  idle: boolean
  /** Bytes are divided by percentages. */
  divides: boolean
  /** In how many milliseconds something is due; `Infinity`: nothing is. */
  nextIn: number
}

export class Pace {
  readonly #now: () => number
  readonly #scan: (full: boolean) => void
  #timer: NodeJS.Timeout | undefined
  #dueAt = Number.POSITIVE_INFINITY
  /** The last full scan: when it began, and how many milliseconds it took; and when the next one is due. */
  #full = { at: Number.NEGATIVE_INFINITY, took: 0, dueAt: Number.NEGATIVE_INFINITY }
  /** No partial scan before this time, unless something is due. */
  #pauseUntil = Number.NEGATIVE_INFINITY
  #closed = false

  constructor(now: () => number, scan: (full: boolean) => void) {
    this.#now = now
    this.#scan = scan
  }

  /** A scan is over. */
  scanned({ at, full, urgent, idle, divides, nextIn }: ScanResult): void {
    const took = this.#now() - at
    if (full) this.#full = { ...this.#full, at, took }
    this.#full.dueAt = urgent && !full ? at : this.#full.at + periodMs(idle, divides, this.#full.took)
    this.#pauseUntil = at + (took * 100) / PARTIAL_PERCENT
    this.#schedule(Math.min(this.#full.dueAt - at, Math.max(nextIn, took * 2)), at)
  }

  /** Scans the active connections: now, or when partial scans may use the core again. */
  scanSoon(): void {
    const now = this.#now()
    if (this.#pauseUntil <= now) this.#scanAt(now)
    else if (this.#dueAt > this.#pauseUntil) this.#schedule(this.#pauseUntil - now, now)
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
  }

  #schedule(ms: number, now: number): void {
    if (this.#closed) return
    clearTimeout(this.#timer)
    this.#dueAt = now + ms
    // The time has passed already when bytes begin to move late in an idle period.
    this.#timer = setTimeout(() => this.#scanAt(this.#now()), Math.max(ms, 0)).unref()
  }

  #scanAt(now: number): void {
    this.#scan(now >= this.#full.dueAt - EARLY_MS)
  }
}

/** @param took how many milliseconds the last full scan took */
function periodMs(idle: boolean, divides: boolean, took: number): number {
  if (idle) return IDLE_PERIOD_MS
  // It counts from the end of the scan: ten thousand connections that are all awake take half of one core.
  if (!divides) return Math.max(PERIOD_MS, took)
  return Math.min(Math.max(DIVIDING_PERIOD_MS, (took * 100) / DIVIDING_PERCENT), PERIOD_MS)
}
