/** What the kernel has refused to do with single subflows: it is asked for again, ever less often. */
import { nextRetry, type Retry } from '../../policy/steering/plan.js'

export class RefusedActions {
  readonly #retries = new Map<number, Retry>()

  /** Whether anything is still to be asked for again. */
  get any(): boolean {
    return this.#retries.size > 0
  }

  note(subflow: number, now: number, random: () => number): void {
    this.#retries.set(subflow, nextRetry(this.#retries.get(subflow), now, random()))
  }

  /** It has been obeyed, or the subflow is no more. */
  forget(subflow: number): void {
    this.#retries.delete(subflow)
  }

  /** Whether it is too early to ask again. */
  isFresh(subflow: number, now: number): boolean {
    return now < (this.#retries.get(subflow)?.notBefore ?? now)
  }
}
