/** Whether a connection still is as it was when it was last looked at: its counters tell, without its subflows. */
import { SOCKET, type SocketSample } from '../kernel/sampler.js'

/** Who has moved bytes at so many looks, each so shortly after the one before, in milliseconds, goes on: one message is seen at two. */
const MOVES = 3
const MOVES_MS = 250

/** `moved`: bytes, all of which have arrived; what they have told of its subflows can be had later. `stirs`: anything else. */
export type Glance = 'rests' | 'moved' | 'stirs'

export class Stillness {
  readonly #token: number
  readonly #counters = { bytesSent: 0, bytesReceived: 0, bytesAcked: 0, bytesRetrans: 0, retransmits: 0 }
  #movedAt = Number.NEGATIVE_INFINITY
  #moves = 0
  /** Whether nothing is under way, as far as is known. */
  mayRest = false
  /** When it was last seen to have nothing under way. */
  restedAt = Number.NEGATIVE_INFINITY

  constructor(token: number) {
    this.#token = token
  }

  /** It has been followed. */
  note(sample: SocketSample, { idle, mayRest }: { idle: boolean; mayRest: boolean }, now: number): void {
    if (!idle) this.#noteMove(now)
    this.mayRest = mayRest
    if (!mayRest) return
    // Older kernels do not count: nothing is as before, and nothing is known of a connection without its subflows.
    this.#counters.bytesSent = sample.bytesSent ?? Number.NaN
    this.#counters.bytesReceived = sample.bytesReceived ?? Number.NaN
    this.#counters.bytesAcked = sample.bytesAcked ?? Number.NaN
    this.#counters.bytesRetrans = sample.bytesRetrans ?? Number.NaN
    this.#counters.retransmits = sample.retransmits ?? Number.NaN
  }

  /**
   * @param records of `SOCKET`, its own at `at`
   */
  glance(records: Float64Array, at: number, now: number): Glance {
    if (!this.mayRest || records[at + SOCKET.errno] !== 0 || records[at + SOCKET.token] !== this.#token) return 'stirs'
    if (records[at + SOCKET.outstanding] !== 0) return 'stirs'
    const before = this.#counters
    if (records[at + SOCKET.bytesRetrans] !== before.bytesRetrans) return 'stirs'
    if (records[at + SOCKET.retransmits] !== before.retransmits) return 'stirs'
    const isAsBefore =
      records[at + SOCKET.bytesSent] === before.bytesSent &&
      records[at + SOCKET.bytesReceived] === before.bytesReceived &&
      records[at + SOCKET.bytesAcked] === before.bytesAcked
    if (!isAsBefore) return 'moved'
    this.restedAt = now
    return 'rests'
  }

  /** It has moved, and is not followed for it. */
  skip(records: Float64Array, at: number, now: number): void {
    this.#counters.bytesSent = records[at + SOCKET.bytesSent]!
    this.#counters.bytesReceived = records[at + SOCKET.bytesReceived]!
    this.#counters.bytesAcked = records[at + SOCKET.bytesAcked]!
    this.restedAt = now
    this.#noteMove(now)
  }

  /** Whether it moves bytes again and again, with pauses that are no rest. */
  moves(now: number): boolean {
    return this.#moves >= MOVES && now - this.#movedAt < MOVES_MS
  }

  #noteMove(now: number): void {
    this.#moves = now - this.#movedAt < MOVES_MS ? this.#moves + 1 : 1
    this.#movedAt = now
  }
}
