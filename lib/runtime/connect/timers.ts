/** What is to be done, and when. */
export type Step = [milliseconds: number, act: () => void]

/** Timers that end together. What keeps the event loop alive is somebody else. */
export class Timers {
  readonly #running = new Set<NodeJS.Timeout>()

  after(milliseconds: number, act: () => void): void {
    const timer = setTimeout(() => {
      this.#running.delete(timer)
      act()
    }, milliseconds)
    timer.unref()
    this.#running.add(timer)
  }

  /** Each step at its time from now, for as long as it matters; by one timer after the other, since few see the second. */
  inTurn([step, ...later]: Step[], matters: () => boolean, began = performance.now()): void {
    if (!step) return
    const [milliseconds, act] = step
    this.after(Math.max(0, began + milliseconds - performance.now()), () => {
      if (!matters()) return
      act()
      this.inTurn(later, matters, began)
    })
  }

  clear(): void {
    for (const timer of this.#running) clearTimeout(timer)
    this.#running.clear()
  }
}
