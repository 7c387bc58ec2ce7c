/** Timers that do not hold it against the peer when this process is late. */

/**
 * Calls `act` after `milliseconds`, unless something has arrived by then. The event loop runs timers first: when it was held
 * up, what has arrived meanwhile is delivered only after them. So this lets the loop deliver once, and as long as something is
 * still on its way to us, waits on, up to `GRACE_MS`. It does not keep the event loop alive.
 *
 * @param hasArrived whether the kernel has something for us that has not been delivered yet
 * @returns cancels it
 */
export function afterHearing(milliseconds: number, hasArrived: () => boolean, act: () => void): () => void {
  let cancel = () => {}
  const due = performance.now() + milliseconds
  const look = () => {
    if (performance.now() < due + GRACE_MS && hasArrived()) wait(LOOK_AGAIN_MS)
    else act()
  }
  const wait = (pause: number) => {
    const timer = setTimeout(() => {
      const immediate = setImmediate(look) // not unref'ed: then the loop would sleep before it
      cancel = () => clearImmediate(immediate)
    }, pause).unref()
    cancel = () => clearTimeout(timer)
  }
  wait(milliseconds)
  return () => cancel()
}

/** What has arrived is with us within milliseconds, except on a machine that is very busy. */
const GRACE_MS = 2_000
const LOOK_AGAIN_MS = 20

/** What to do, and when. */
export type Step = [milliseconds: number, act: () => void]

/** Such timers of one subject, which end together. */
export class Timers {
  readonly #hasArrived: () => boolean
  readonly #running = new Set<() => void>()

  constructor(hasArrived: () => boolean) {
    this.#hasArrived = hasArrived
  }

  after(milliseconds: number, act: () => void): void {
    const cancel = afterHearing(milliseconds, this.#hasArrived, () => {
      this.#running.delete(cancel)
      act()
    })
    this.#running.add(cancel)
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
    for (const cancel of this.#running) cancel()
    this.#running.clear()
  }
}
