/** When this process did not run: on a busy machine what looks like a stall may be that. */
const PERIOD_MS = 20
/** What is longer than this. */
const LEAST_MS = 100
const KEPT = 1_000

export class Pauses {
  readonly #pauses: { from: number; to: number }[] = []
  #last = Date.now()

  constructor() {
    setInterval(() => {
      const now = Date.now()
      if (now - this.#last > LEAST_MS) this.#pauses.push({ from: this.#last, to: now })
      if (this.#pauses.length > KEPT) this.#pauses.shift()
      this.#last = now
    }, PERIOD_MS).unref()
  }

  /** How long that was between two times, in milliseconds since 1970. */
  between(from: number, to: number): number {
    const until = Date.now()
    const all = until - this.#last > LEAST_MS ? [...this.#pauses, { from: this.#last, to: until }] : this.#pauses
    const shared = all.map(pause => Math.max(0, Math.min(to, pause.to) - Math.max(from, pause.from)))
    return shared.reduce((sum, ms) => sum + ms, 0)
  }
}
