/** Connections through one converter that are begun at the same time: in rounds, not all at once. */
import { AsyncResource } from 'node:async_hooks'

/**
 * How many connections are being made through one converter at the same time. A thousand at once would wait for each other in the
 * converter until their time is up; so those beyond a window wait here, and their time does not run.
 *
 * The window doubles with each round of answers that come soon, and shrinks when answers take long: then the converter, or
 * this machine, has as much to do as it can.
 */
export class Pacing {
  readonly #converters = new Map<string, Queue>()

  /**
   * Calls `start`, at once if the window allows it.
   *
   * @param converter the connections through the same one wait for each other
   * @returns the place of this connection, to be left when it is made, has failed, or is given up
   */
  enter(converter: string, start: () => void): Place {
    let queue = this.#converters.get(converter)
    if (!queue) {
      queue = new Queue(() => this.#converters.delete(converter))
      this.#converters.set(converter, queue)
    }
    return queue.enter(start)
  }
}

export interface Place {
  /** @param isAnswered whether the converter has answered this connection. May be called again. */
  leave(isAnswered: boolean): void
}

/** One connection: waiting, begun, or (its server is slow) begun and no longer counted. */
interface Entry {
  start: () => void
  beganAt: number
}

class Queue {
  #window = FIRST_WINDOW
  readonly #waiting = new Set<Entry>()
  /** In the order in which they began. */
  readonly #begun = new Set<Entry>()
  #answeredAt = Number.NEGATIVE_INFINITY
  #timer: NodeJS.Timeout | undefined
  #isFilling = false
  readonly #emptied: () => void

  constructor(emptied: () => void) {
    this.#emptied = emptied
  }

  enter(start: () => void): Place {
    const entry: Entry = { start, beganAt: performance.now() }
    if (this.#waiting.size === 0 && this.#begun.size < this.#window) {
      this.#begun.add(entry)
      start()
    } else {
      entry.start = AsyncResource.bind(start)
      this.#waiting.add(entry)
      this.#look()
    }
    return { leave: isAnswered => this.#leave(entry, isAnswered) }
  }

  #leave(entry: Entry, isAnswered: boolean): void {
    this.#waiting.delete(entry)
    const hasBegun = this.#begun.delete(entry)
    if (hasBegun && isAnswered) this.#answered(entry)
    if (this.#waiting.size > 0) this.#fillSoon()
    else if (this.#begun.size === 0) this.#end()
  }

  /** Not at once: the caller is in the middle of something, and what begins may call the application. */
  #fillSoon(): void {
    if (this.#isFilling) return
    this.#isFilling = true
    process.nextTick(() => {
      this.#isFilling = false
      this.#fill()
    })
  }

  #answered({ beganAt }: Entry): void {
    const now = performance.now()
    this.#answeredAt = now
    if (now - beganAt < SOON_MS) this.#window++
    else this.#window = Math.max(LEAST_WINDOW, this.#window >> 1)
    // The converter has answered one that began later: what these wait for is their server.
    this.#discount(begunAt => begunAt < beganAt && now - begunAt > SOON_MS)
  }

  /** The oldest ones are no longer counted, as long as `isSlow`. */
  #discount(isSlow: (beganAt: number) => boolean): void {
    for (const entry of this.#begun) {
      if (!isSlow(entry.beganAt)) return
      this.#begun.delete(entry)
    }
  }

  #fill(): void {
    while (this.#begun.size < this.#window) {
      const [next] = this.#waiting
      if (!next) break
      this.#waiting.delete(next)
      next.beganAt = performance.now()
      this.#begun.add(next)
      next.start()
    }
    if (this.#waiting.size === 0 && this.#begun.size === 0) this.#end()
  }

  /** If none is answered any more, the others are begun nevertheless: one of them may be. */
  #look(): void {
    this.#timer ??= setInterval(() => {
      const now = performance.now()
      if (now - this.#answeredAt < SILENCE_MS) return
      this.#discount(beganAt => now - beganAt > SILENCE_MS)
      this.#fill()
    }, SILENCE_MS / 2).unref()
  }

  #end(): void {
    clearInterval(this.#timer)
    this.#emptied()
  }
}

/** Of these, the last one is answered within the default `converterTimeout` by a converter that manages 10 a second. */
const FIRST_WINDOW = 128
const LEAST_WINDOW = 32
/** Milliseconds. */
const SOON_MS = 1_000
const SILENCE_MS = 5_000

/** Of this thread: all sockets and sessions of it use the same converters. */
export const pacing = new Pacing()
