/**
 * How many connections may try a second way only to find out whether the first one is silent, at each converter. A few show as
 * much as a thousand would, and a thousand would keep a busy converter from answering at all.
 */
export class Hedges {
  readonly #running = new Map<string, number>()

  /**
   * @param converter its address and port, as text
   * @returns to be called when the second way is over; undefined: there are enough of them
   */
  begin(converter: string): (() => void) | undefined {
    const others = this.#running.get(converter) ?? 0
    if (others >= MOST_HEDGES) return undefined
    this.#running.set(converter, others + 1)
    return () => this.#end(converter)
  }

  #end(converter: string): void {
    const left = (this.#running.get(converter) ?? 1) - 1
    if (left === 0) this.#running.delete(converter)
    else this.#running.set(converter, left)
  }
}

const MOST_HEDGES = 8
