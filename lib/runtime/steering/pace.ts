/** When the steering loop looks next: at everything, or only at what something is awaited of. */
import { periodMs } from './period.js'

/** What happens to single connections causes so many percent of a core at most: a busy loop lets them wait for each other. */
const HASTE_PERCENT = 10
/** A look at everything that is due so soon is had at once, in milliseconds: timers are no more exact than that. */
const EARLY_MS = 2

/** What a look has shown. */
export interface Looked {
  /** When it began. */
  at: number
  whole: boolean
  /** What it has seen concerns those, too, at which it has not looked. */
  urgent: boolean
  /** Nothing has moved for a while. */
  idle: boolean
  /** Bytes are divided by percentages. */
  divides: boolean
  /** In how many milliseconds something awaited is due. */
  again: number
}

export class Pace {
  readonly #now: () => number
  readonly #look: (whole: boolean) => void
  #timer: NodeJS.Timeout | undefined
  #dueAt = Number.POSITIVE_INFINITY
  /** When it last looked at everything, and for how many milliseconds; and when that is due again. */
  #whole = { at: Number.NEGATIVE_INFINITY, took: 0, dueAt: Number.NEGATIVE_INFINITY }
  /** Until then nothing but a link is worth another look. */
  #restUntil = Number.NEGATIVE_INFINITY
  #closed = false

  constructor(now: () => number, look: (whole: boolean) => void) {
    this.#now = now
    this.#look = look
  }

  /** The look is over. */
  looked({ at, whole, urgent, idle, divides, again }: Looked): void {
    const took = this.#now() - at
    if (whole) this.#whole = { ...this.#whole, at, took }
    this.#whole.dueAt = urgent && !whole ? at : this.#whole.at + periodMs(idle, divides, this.#whole.took)
    this.#restUntil = at + (took * 100) / HASTE_PERCENT
    this.#schedule(Math.min(this.#whole.dueAt - at, Math.max(again, took * 2)), at)
  }

  /** At what does not rest: at once, unless looking is all that is done. */
  lookSoon(): void {
    const now = this.#now()
    if (this.#restUntil <= now) this.#lookAt(now)
    else if (this.#dueAt > this.#restUntil) this.#schedule(this.#restUntil - now, now)
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
  }

  #schedule(ms: number, now: number): void {
    if (this.#closed) return
    clearTimeout(this.#timer)
    this.#dueAt = now + ms
    // Overdue already, where something has begun to move in a long pause.
    this.#timer = setTimeout(() => this.#lookAt(this.#now()), Math.max(ms, 0)).unref()
  }

  #lookAt(now: number): void {
    this.#look(now >= this.#whole.dueAt - EARLY_MS)
  }
}
