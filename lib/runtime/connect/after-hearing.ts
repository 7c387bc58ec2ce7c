/** Timers that do not hold it against the peer when this process is late. */

/**
 * Calls `act` after `milliseconds`, unless something has arrived by then. The event loop runs timers first: when it was held
 * up, what has arrived meanwhile is delivered only after them. So this lets the loop deliver once, and as long as something is
 * still on its way to us, waits on, up to `GRACE_MS`. It does not keep the event loop alive.
 *
 * @param hasArrived whether the kernel has something for us that has not been delivered yet
 */
export function afterHearing(milliseconds: number, hasArrived: () => boolean, act: () => void): HearingTimer {
  return new HearingTimer(milliseconds, hasArrived, act)
}

/** Each connection has some, of which few expire. */
export class HearingTimer {
  readonly #hasArrived: () => boolean
  readonly #act: () => void
  readonly #latest: number
  #timer: NodeJS.Timeout | undefined
  #immediate: NodeJS.Immediate | undefined

  constructor(milliseconds: number, hasArrived: () => boolean, act: () => void) {
    this.#hasArrived = hasArrived
    this.#act = act
    this.#latest = performance.now() + milliseconds + GRACE_MS
    this.#wait(milliseconds)
  }

  cancel(): void {
    clearTimeout(this.#timer)
    if (this.#immediate) clearImmediate(this.#immediate)
  }

  #wait(milliseconds: number): void {
    this.#timer = setTimeout(HearingTimer.#expired, milliseconds, this).unref()
  }

  static #expired(this: void, timer: HearingTimer): void {
    timer.#immediate = setImmediate(() => timer.#look()) // not unref'ed: then the loop would sleep before it
  }

  #look(): void {
    if (performance.now() < this.#latest && this.#hasArrived()) this.#wait(LOOK_AGAIN_MS)
    else this.#act()
  }
}

/** What has arrived is with us within milliseconds, except on a machine that is very busy. */
const GRACE_MS = 2_000
const LOOK_AGAIN_MS = 20

/** What to do, and when. */
export type Step = [milliseconds: number, act: () => void]

/** Such timers of one subject, which end together. */
export class Timers {
  readonly #hasArrived: () => boolean
  readonly #running = new Set<HearingTimer>()

  constructor(hasArrived: () => boolean) {
    this.#hasArrived = hasArrived
  }

  after(milliseconds: number, act: () => void): void {
    const timer = afterHearing(milliseconds, this.#hasArrived, () => {
      this.#running.delete(timer)
      act()
    })
    this.#running.add(timer)
  }

  /** Takes each step at its time from now, until `matters` is false. One timer runs at a time: few attempts need the second. */
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
    for (const timer of this.#running) timer.cancel()
    this.#running.clear()
  }
}
