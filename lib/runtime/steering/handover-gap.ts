/**
 * Follows the bytes of one connection from access to access: when all new ones go over the other access, and for how long none
 * arrived meanwhile. Values only; changed in place, since there may be a thousand of these in each scan.
 */
import type { AccessType } from '../../policy/rules/rule.js'

/** All new data of a connection goes over another access than before. */
export interface Handover {
  from: AccessType
  to: AccessType
  /**
   * Milliseconds between the last bytes that arrived (or were acknowledged) before, and the first ones after it over the new access;
   * within about 10 ms, more on a busy machine. With pauses of the application that fall into that time. Undefined: the connection was idle, so nothing
   * was interrupted.
   */
  gapMs: number | undefined
}

interface Pending {
  from: AccessType
  to: AccessType
  at: number
}

export class HandoverGap {
  /** The access that was the last one to get all new data. */
  #carrier: AccessType | undefined
  /** Since when it gets none, and whether it was carrying something then. */
  #left: { at: number; wasBusy: boolean } | undefined
  /** The access on which bytes were last seen, since when, and until when; and until when they were seen on the other one before. */
  #on: AccessType | undefined
  #since = NEVER
  #until = NEVER
  #untilBefore = NEVER
  /** In how many samples in a row bytes have moved, with only short pauses. */
  #moves = 0
  #wasOutstanding = false
  #pending: Pending | undefined

  /** Whether the first bytes after a handover are awaited; for so long it is worth looking often. */
  isAwaited(now: number): boolean {
    return this.#pending !== undefined && now - this.#pending.at < OFTEN_MS
  }

  /**
   * Bytes have arrived over the access, or were acknowledged.
   *
   * @param after when none of them had been seen yet
   * @param last when the last of them came
   */
  moved(access: AccessType, after: number, last: number): void {
    const first = (Math.max(Math.min(after, last), this.#until) + last) / 2
    this.#moves = first - this.#until < PAUSE_MS ? this.#moves + 1 : 1
    if (access !== this.#on) {
      this.#untilBefore = this.#until
      this.#on = access
      this.#since = first
    }
    this.#until = Math.max(last, this.#until)
  }

  /**
   * To be called after `moved`, for each sample.
   *
   * @param over3gpp whether new data goes over 3GPP access: it has an established subflow that is not a backup
   * @param outstanding whether something awaits an acknowledgement
   * @returns a handover whose gap has ended, if one has
   */
  note(over3gpp: boolean, overOther: boolean, outstanding: boolean, now: number): Handover | undefined {
    const only = over3gpp === overOther ? undefined : over3gpp ? '3gpp' : 'non-3gpp'
    const carrier = this.#carrier
    if (carrier !== undefined) {
      const carries = carrier === '3gpp' ? over3gpp : overOther
      if (carries) this.#left = undefined
      else this.#left ??= { at: now, wasBusy: this.#isBusy(outstanding, now) }
    }
    this.#wasOutstanding = outstanding
    let given: Handover | undefined
    if (only !== undefined && only !== carrier) {
      this.#carrier = only
      if (carrier !== undefined) given = this.#begin({ from: carrier, to: only, at: now })
      this.#left = undefined
    }
    return given ?? this.#end(outstanding, now)
  }

  #begin(next: Pending): Handover | undefined {
    const before = this.#pending
    const wasBusy = before !== undefined || this.#left?.wasBusy === true
    this.#pending = wasBusy ? next : undefined
    if (before) {
      // It has moved again before a byte came: the gap goes on.
      this.#on = undefined
      return { from: before.from, to: before.to, gapMs: undefined }
    }
    return wasBusy ? undefined : { from: next.from, to: next.to, gapMs: undefined }
  }

  #end(outstanding: boolean, now: number): Handover | undefined {
    const pending = this.#pending
    if (!pending) return undefined
    const { from, to, at } = pending
    const hasMoved = this.#on === to && this.#untilBefore !== NEVER
    if (!hasMoved && (outstanding || now - at < MOST_MS)) return undefined
    this.#pending = undefined
    return { from, to, gapMs: hasMoved ? Math.max(0, this.#since - this.#untilBefore) : undefined }
  }

  #isBusy(outstanding: boolean, now: number): boolean {
    return outstanding || this.#wasOutstanding || (this.#moves >= STREAMING_MOVES && now - this.#until < PAUSE_MS)
  }
}

const NEVER = Number.NEGATIVE_INFINITY
/** A connection whose last bytes are longer ago, in milliseconds, was not carrying anything unless something was outstanding. */
const PAUSE_MS = 1_000
/** Bytes in so many samples in a row are a stream: more are expected. */
const STREAMING_MOVES = 3
/** How long to look often for the first bytes after a handover, in milliseconds. */
const OFTEN_MS = 1_000
/** If nothing is outstanding and nothing has come for so long, in milliseconds, the stream had ended. */
const MOST_MS = 10_000
