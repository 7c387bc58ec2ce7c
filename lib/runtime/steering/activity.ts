/** Whether a connection is idle, as far as its own counters show it, without those of its subflows. */
import { SOCKET, type SocketSample } from '../kernel/sampler.js'

/**
 * A connection that was seen transferring in this many scans, each at most this many milliseconds after the one before, is
 * streaming. A single message can show up in two scans.
 */
const STREAMING_SCANS = 3
const STREAMING_GAP_MS = 250

/** `moved`: bytes were transferred, and all have arrived: its subflows can be sampled later. `active`: anything else. */
export type Change = 'idle' | 'moved' | 'active'

export class Activity {
  readonly #token: number
  readonly #counters = { bytesSent: 0, bytesReceived: 0, bytesAcked: 0, bytesRetrans: 0, retransmits: 0 }
  #movedAt = Number.NEGATIVE_INFINITY
  #moves = 0
  /** Whether nothing is outstanding or expected, as far as is known. */
  mayBeIdle = false
  /** When it was last seen with nothing outstanding. */
  idleAt = Number.NEGATIVE_INFINITY

  constructor(token: number) {
    this.#token = token
  }

  /** Notes a sample with the subflows. */
  note(sample: SocketSample, { idle, mayBeIdle }: { idle: boolean; mayBeIdle: boolean }, now: number): void {
    if (!idle) this.#noteMove(now)
    this.mayBeIdle = mayBeIdle
    if (!mayBeIdle) return
    // Older kernels have no such counters. NaN differs from everything, so their connections are always sampled with subflows.
    this.#counters.bytesSent = sample.bytesSent ?? Number.NaN
    this.#counters.bytesReceived = sample.bytesReceived ?? Number.NaN
    this.#counters.bytesAcked = sample.bytesAcked ?? Number.NaN
    this.#counters.bytesRetrans = sample.bytesRetrans ?? Number.NaN
    this.#counters.retransmits = sample.retransmits ?? Number.NaN
  }

  /**
   * What has changed since the last sample.
   *
   * @param records of `SOCKET`; that of this connection begins at `at`
   */
  check(records: Float64Array, at: number, now: number): Change {
    if (!this.mayBeIdle || records[at + SOCKET.errno] !== 0 || records[at + SOCKET.token] !== this.#token)
      return 'active'
    if (records[at + SOCKET.outstanding] !== 0) return 'active'
    const before = this.#counters
    if (records[at + SOCKET.bytesRetrans] !== before.bytesRetrans) return 'active'
    if (records[at + SOCKET.retransmits] !== before.retransmits) return 'active'
    const isUnchanged =
      records[at + SOCKET.bytesSent] === before.bytesSent &&
      records[at + SOCKET.bytesReceived] === before.bytesReceived &&
      records[at + SOCKET.bytesAcked] === before.bytesAcked
    if (!isUnchanged) return 'moved'
    this.idleAt = now
    return 'idle'
  }

  /** Notes a record of a connection that has moved bytes, and whose subflows are not sampled now. */
  skip(records: Float64Array, at: number, now: number): void {
    this.#counters.bytesSent = records[at + SOCKET.bytesSent]!
    this.#counters.bytesReceived = records[at + SOCKET.bytesReceived]!
    this.#counters.bytesAcked = records[at + SOCKET.bytesAcked]!
    this.idleAt = now
    this.#noteMove(now)
  }

  /** Whether it transfers bytes again and again, with only short pauses. */
  isStreaming(now: number): boolean {
    return this.#moves >= STREAMING_SCANS && now - this.#movedAt < STREAMING_GAP_MS
  }

  #noteMove(now: number): void {
    this.#moves = now - this.#movedAt < STREAMING_GAP_MS ? this.#moves + 1 : 1
    this.#movedAt = now
  }
}
