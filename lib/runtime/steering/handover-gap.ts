/**
 * Follows the stream of one connection from access to access: when all new data goes over the other access, and for how long the
 * stream stood still meanwhile. Values only; changed in place, since there may be a thousand of these in each scan.
 */
import type { AccessType } from '../../policy/rules/rule.js'

/** All new data of a connection goes over another access than before. */
export interface Handover {
  from: AccessType
  to: AccessType
  /**
   * For how many milliseconds the stream stood still: the longest time in which nothing arrived that the application could read, or in
   * which nothing was acknowledged of what it had written, whichever is longer; within about 10 ms, more on a busy machine. Pauses of
   * the peer's application that fall into that time count too. Undefined: the connection was idle, so nothing was interrupted.
   */
  gapMs: number | undefined
}

/** Of a connection's stream. */
export type Direction = 'sent' | 'received'

interface Pending {
  from: AccessType
  to: AccessType
  at: number
  /** Since when the stream goes on over the new access; undefined: it does not yet. */
  goesOnSince: number | undefined
}

export class HandoverGap {
  /** The access that was the last one to get all new data. */
  #carrier: AccessType | undefined
  /** Since when it gets none. */
  #leftAt: number | undefined
  /** When bytes last came over each access, in whatever order, or were acknowledged there. */
  readonly #carriedAt: Record<AccessType, number> = { '3gpp': NEVER, 'non-3gpp': NEVER }
  /** The same of the access that was left, as of then. */
  #carriedBefore = NEVER
  readonly #sent = new Progress()
  readonly #received = new Progress()
  /** Since when something has awaited an acknowledgement, and whether anything did in the sample before. */
  #awaitsSince: number | undefined
  #wasOutstanding = false
  #pending: Pending | undefined

  /** Whether a gap may begin, or be about to end; for so long it is worth looking often. */
  isAwaited(now: number): boolean {
    if (this.#pending) return now - (this.#pending.goesOnSince ?? this.#pending.at) < OFTEN_MS
    return this.#leftAt !== undefined && now - this.#leftAt < OFTEN_MS && this.#isInterrupted
  }

  /** Bytes have come over the access at this time, or were acknowledged there. Of several subflows in any order. */
  carried(access: AccessType, at: number): void {
    this.#carriedAt[access] = Math.max(this.#carriedAt[access], at)
  }

  /**
   * The stream has gone on: bytes have arrived in order, or what was written was acknowledged. To be called after `carried`.
   *
   * @param after when none of these bytes had been seen yet
   * @param last when the last of them came
   */
  wentOn(direction: Direction, after: number, last: number): void {
    const isWatched = this.#leftAt !== undefined || this.#pending !== undefined
    const progress = direction === 'sent' ? this.#sent : this.#received
    // While nothing was written, nothing was awaited.
    const since = direction === 'sent' ? (this.#awaitsSince ?? Math.min(after, last)) : NEVER
    const pending = this.#pending
    const before = (pending && this.#gapMs) ?? 0
    progress.note(since, after, last, isWatched)
    if (!pending || !progress.isInterrupted || !this.#carriesOver(pending.to)) return
    const stoodStill = (this.#gapMs ?? 0) > Math.max(before, STILL_MS)
    if (stoodStill) pending.goesOnSince = last
    else pending.goesOnSince ??= last
  }

  /** To be called after `wentOn`. @param since since when something has awaited an acknowledgement; undefined: nothing does */
  awaits(since: number | undefined): void {
    this.#wasOutstanding = this.#awaitsSince !== undefined
    this.#awaitsSince = since === undefined ? undefined : (this.#awaitsSince ?? since)
  }

  /**
   * To be called after `carried`, `wentOn` and `awaits`, for each sample.
   *
   * @param over3gpp whether new data goes over 3GPP access: it has an established subflow that is not a backup
   * @returns a handover whose gap has ended, if one has
   */
  note(over3gpp: boolean, overOther: boolean, now: number): Handover | undefined {
    const only = over3gpp === overOther ? undefined : over3gpp ? '3gpp' : 'non-3gpp'
    const carrier = this.#carrier
    let given: Handover | undefined
    if (carrier !== undefined) {
      const carries = carrier === '3gpp' ? over3gpp : overOther
      if (carries) this.#leftAt = undefined
      else if (this.#leftAt === undefined) given = this.#leave(carrier, now)
    }
    if (only !== undefined && only !== carrier) {
      this.#carrier = only
      if (carrier !== undefined) given = this.#begin({ from: carrier, to: only, at: now }) ?? given
      this.#leftAt = undefined
    }
    return given ?? this.#end(now)
  }

  /** @returns the handover to this access, if its gap has ended */
  #leave(carrier: AccessType, now: number): Handover | undefined {
    this.#leftAt = now
    const pending = this.#pending
    if (pending && pending.goesOnSince === undefined) {
      // What that handover has interrupted is still interrupted, and the old access may be the new one.
      this.#carriedBefore = Math.max(this.#carriedAt['3gpp'], this.#carriedAt['non-3gpp'])
      return undefined
    }
    const given = pending && this.#outcome(pending)
    this.#pending = undefined
    this.#carriedBefore = this.#carriedAt[carrier]
    this.#sent.interrupt(this.#isOutstanding || this.#wasOutstanding, this.#carriedBefore)
    this.#received.interrupt(this.#received.isStreaming(now), this.#carriedBefore)
    return given
  }

  /** @returns the handover before this one, which has no end; or this one, if it has interrupted nothing */
  #begin(next: Omit<Pending, 'goesOnSince'>): Handover | undefined {
    const before = this.#pending
    this.#pending = undefined
    if (this.#isInterrupted) {
      const goesOn = this.#carriesOver(next.to) && this.#gapMs !== undefined
      this.#pending = { ...next, goesOnSince: goesOn ? next.at : undefined }
    }
    if (before) return this.#outcome(before)
    return this.#pending ? undefined : { from: next.from, to: next.to, gapMs: undefined }
  }

  #end(now: number): Handover | undefined {
    const pending = this.#pending
    if (!pending) return undefined
    const { at, goesOnSince } = pending
    if (goesOnSince === undefined) {
      if (this.#isOutstanding || now - at < MOST_MS) return undefined
    } else {
      const passed = now - goesOnSince
      if (passed < SETTLED_MS || (passed < OFTEN_MS && this.#standsStill(now))) return undefined
    }
    this.#pending = undefined
    return this.#outcome(pending)
  }

  #outcome({ from, to, goesOnSince }: Pending): Handover {
    return { from, to, gapMs: goesOnSince === undefined ? undefined : this.#gapMs }
  }

  get #isInterrupted(): boolean {
    return this.#sent.isInterrupted || this.#received.isInterrupted
  }

  /** The longest of what has ended. */
  get #gapMs(): number | undefined {
    const sent = this.#sent.isInterrupted ? this.#sent.gapMs : undefined
    const received = this.#received.isInterrupted ? this.#received.gapMs : undefined
    return sent === undefined || received === undefined ? (sent ?? received) : Math.max(sent, received)
  }

  /** Whether bytes have come over the new access since those of the old one. */
  #carriesOver(access: AccessType): boolean {
    return this.#carriedAt[access] > this.#carriedBefore
  }

  get #isOutstanding(): boolean {
    return this.#awaitsSince !== undefined
  }

  #standsStill(now: number): boolean {
    return (this.#isOutstanding && this.#sent.standsStill(now)) || this.#received.standsStill(now)
  }
}

/** Of one direction of a stream. */
class Progress {
  /** Whether it was carrying something when the access was left. */
  isInterrupted = false
  /** The longest time without progress that has ended since then, in milliseconds; undefined: none has. */
  gapMs: number | undefined
  #until = NEVER
  /** In how many samples in a row there was progress, with only short pauses. */
  #moves = 0
  /** The longest pause of late, and when it ended. */
  #pauseMs = 0
  #pausedUntil = NEVER

  /**
   * @param since progress was not expected before
   * @param isWatched the access was left, and the gap has not ended
   */
  note(since: number, after: number, last: number, isWatched: boolean): void {
    const from = Math.max(since, this.#until)
    const first = (Math.max(Math.min(after, last), from) + last) / 2
    const ms = from === NEVER ? 0 : Math.max(0, first - from)
    this.#moves = first - this.#until < PAUSE_MS ? this.#moves + 1 : 1
    this.#until = Math.max(last, this.#until)
    if (isWatched) this.gapMs = Math.max(this.gapMs ?? 0, ms)
    if (ms < this.#pauseMs && first - this.#pausedUntil <= LATE_MS) return
    this.#pauseMs = ms
    this.#pausedUntil = first
  }

  /** @param carriedAt when the access that was left has last carried anything: the peer may have left it earlier than this side */
  interrupt(isBusy: boolean, carriedAt: number): void {
    this.isInterrupted = isBusy
    this.gapMs = this.#pausedUntil > carriedAt ? this.#pauseMs : undefined
  }

  isStreaming(now: number): boolean {
    return this.#moves >= STREAMING_MOVES && now - this.#until < PAUSE_MS
  }

  standsStill(now: number): boolean {
    return this.isInterrupted && now - this.#until > STILL_MS
  }
}

const NEVER = Number.NEGATIVE_INFINITY
/** A connection whose last bytes are longer ago, in milliseconds, was not carrying anything unless something was outstanding. */
const PAUSE_MS = 1_000
/** Progress in so many samples in a row is a stream: more is expected. */
const STREAMING_MOVES = 3
/** A peer that has left a lost access by itself has done so within this time, in milliseconds, before this side does. */
const LATE_MS = 2_000
/** How long to look often for the first bytes after a handover, in milliseconds; and for the next ones, if the stream stands still again. */
const OFTEN_MS = 1_000
/** What was lost comes in several bursts: the gap is the longest pause until the stream has gone on for so long, in milliseconds. */
const SETTLED_MS = 250
/** A stream stands still after so many milliseconds without progress. */
const STILL_MS = 50
/** If nothing is outstanding and nothing has come for so long, in milliseconds, the stream had ended. */
const MOST_MS = 10_000
