/** The two ends of a stream: what one gives, the other takes, and at the end every byte is accounted for. */
import { createHash } from 'node:crypto'
import type { Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { patternChunk } from '../places.js'
import { clock, type Gap, type Sending } from './tasks.js'

const GAPS_KEPT = 512
/** The times of messages are kept if they are at least this far apart, and of so many. */
const TIMED_MS = 20
const TIMES_KEPT = 4096

const chunk = patternChunk()

/** What an end has sent. */
export interface GivenReport {
  bytes: number
  sha256: string
  /** When each message was written. */
  writes: number[]
}

export class Giving {
  readonly #socket: Socket
  readonly #hash = createHash('sha256')
  readonly #writes: number[] = []
  #bytes = 0

  constructor(socket: Socket) {
    this.#socket = socket
  }

  get report(): GivenReport {
    return { bytes: this.#bytes, sha256: this.#hash.copy().digest('hex'), writes: this.#writes }
  }

  /** @returns whether there is room for more */
  write(bytes: Uint8Array): boolean {
    this.#hash.update(bytes)
    this.#bytes += bytes.length
    return this.#socket.write(bytes)
  }

  /** One of a paced stream's messages, at a time that the caller chooses. */
  writeMessage(bytes: Uint8Array): boolean {
    if (this.#writes.length < TIMES_KEPT) this.#writes.push(clock())
    return this.write(bytes)
  }

  /** Sends until it is stopped; an amount is always sent whole. Answers are not sent from here: see `answer`. */
  async give(sending: Sending, stop: AbortSignal): Promise<void> {
    if (sending.kind === 'bulk') while (!stop.aborted) await this.#writeAll(chunk, stop)
    if (sending.kind === 'amount')
      for (let left = sending.bytes; left > 0; left -= chunk.length) await this.#writeAll(chunk.subarray(0, left))
    if (sending.kind !== 'paced') return
    const began = performance.now()
    const isTimed = timedBytes(sending) !== undefined
    for (let turn = 1; !stop.aborted && !this.#socket.destroyed; turn++) {
      if (isTimed && this.#writes.length < TIMES_KEPT) this.#writes.push(clock())
      this.write(chunk.subarray(0, sending.bytes))
      await delay(Math.max(0, began + turn * sending.everyMs - performance.now()), undefined, { signal: stop }).catch(
        () => {},
      )
    }
  }

  answer({ bytes }: Extract<Sending, { kind: 'answers' }>): void {
    for (let left = bytes; left > 0; left -= chunk.length) this.write(chunk.subarray(0, left))
  }

  async #writeAll(bytes: Uint8Array, stop?: AbortSignal): Promise<void> {
    const socket = this.#socket
    if (this.write(bytes)) return
    await new Promise<void>(resolve => {
      const go = () => {
        socket.off('drain', go).off('close', go)
        stop?.removeEventListener('abort', go)
        resolve()
      }
      socket.on('drain', go).on('close', go)
      stop?.addEventListener('abort', go)
    })
    if (socket.destroyed) throw new Error('the stream was closed before all was sent')
  }
}

/** What an end has received. */
export interface TakenReport {
  bytes: number
  sha256: string
  firstAt: number
  lastAt: number
  gaps: Gap[]
  /** When each message was there entirely. */
  arrivals: number[]
}

export class Taking {
  /** In messages of this many bytes; undefined: their times are not of interest. */
  readonly #message: number | undefined
  readonly #hash = createHash('sha256')
  readonly #gaps: Gap[] = []
  readonly #arrivals: number[] = []
  #arrived = 0
  #bytes = 0
  #firstAt = 0
  #lastAt = 0

  constructor(sending: Sending | undefined) {
    this.#message = timedBytes(sending)
  }

  get arrived(): number {
    return this.#arrived
  }

  get report(): TakenReport {
    return {
      bytes: this.#bytes,
      sha256: this.#hash.copy().digest('hex'),
      firstAt: this.#firstAt,
      lastAt: this.#lastAt,
      gaps: this.#gaps,
      arrivals: this.#arrivals,
    }
  }

  /** So many bytes have arrived now. */
  note(length: number): void {
    if (length === 0) return
    const now = clock()
    if (this.#arrived === 0) this.#firstAt = now
    else keepLongest(this.#gaps, [this.#lastAt, now])
    this.#lastAt = now
    this.#arrived += length
    if (this.#message === undefined) return
    const whole = Math.min(Math.floor(this.#arrived / this.#message), TIMES_KEPT)
    while (this.#arrivals.length < whole) this.#arrivals.push(now)
  }

  /** These bytes, noted before, belong to the stream. */
  count(bytes: Uint8Array): void {
    this.#hash.update(bytes)
    this.#bytes += bytes.length
  }
}

function timedBytes(sending: Sending | undefined): number | undefined {
  return sending?.kind === 'paced' && sending.everyMs >= TIMED_MS ? sending.bytes : undefined
}

/** The server's last words: what it has taken and given, behind the bytes of the stream. */
export interface Receipt {
  taken: TakenReport
  given: GivenReport
}

const LENGTH_DIGITS = 8
/** Longer than any receipt: what has to be kept back until it is known where the receipt begins. */
export const LONGEST_RECEIPT = 524_288

export function encodeReceipt(receipt: Receipt): string {
  const text = JSON.stringify(receipt)
  return text + text.length.toString(16).padStart(LENGTH_DIGITS, '0')
}

/** @param end the last bytes of what the server has sent. @returns the receipt, and how many of these bytes are the stream's */
export function decodeReceipt(end: Buffer): { receipt: Receipt; before: number } {
  const at = end.length - LENGTH_DIGITS
  const before = at - Number.parseInt(end.subarray(at).toString('latin1'), 16)
  if (!(before >= 0)) throw new Error(`the server has ended without a receipt, after ${end.length} bytes or more`)
  return { receipt: JSON.parse(end.subarray(before, at).toString()) as Receipt, before }
}

/** Longest first. */
function keepLongest(gaps: Gap[], gap: Gap): void {
  const length = ([from, to]: Gap) => to - from
  if (gaps.length === GAPS_KEPT && length(gap) <= length(gaps.at(-1)!)) return
  const at = gaps.findIndex(other => length(other) < length(gap))
  gaps.splice(at < 0 ? gaps.length : at, 0, gap)
  gaps.length = Math.min(gaps.length, GAPS_KEPT)
}
