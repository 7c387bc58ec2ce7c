/**
 * Which connections to sample in a scan. Most are idle most of the time, and with thousands of them, checking each for
 * activity would be most of the cost of steering: so they take turns.
 */
import { SOCKET } from '../kernel/sampler.js'
import type { SteeredConnection } from './connection.js'

/** The subflows of each resting connection are sampled once in this many scans, or, of many, so many at each scan. */
const SCANS_PER_ROUND = 50
const SUBFLOWS_PER_SCAN = { busy: 5, quiet: 25 }
/**
 * Resting connections checked per scan. While there is traffic, 1,000 connections are each checked every 250 ms; without traffic, up
 * to 2,000 are, and 10,000 every 1.25 s.
 */
const CHECKED_PER_SCAN = { busy: 200, quiet: 2_000 }
/** How many connections that only moved bytes are sampled with their subflows per scan: more than measuring the accesses takes. */
const MOVED_PER_SCAN = 5

/** All connections: those that are awake, and the turns of the others, so that a scan costs the same however many rest. */
export class Turns {
  readonly #all: SteeredConnection[] = []
  readonly #places = new Map<SteeredConnection, number>()
  readonly #awake = new Set<SteeredConnection>()
  /** Resting ones that move bytes again and again: they are checked in each scan. */
  readonly #streaming = new Set<SteeredConnection>()
  /** Whose turn is next. */
  readonly #next = { check: 0, subflows: 0 }
  /** How many samples are due, with the part of one that is left over from the scan before. */
  #due = 0

  add(connection: SteeredConnection): void {
    this.#places.set(connection, this.#all.push(connection) - 1)
    if (!connection.activity.mayBeIdle) this.#awake.add(connection)
  }

  delete(connection: SteeredConnection): void {
    const place = this.#places.get(connection)
    if (place === undefined) return
    this.#places.delete(connection)
    this.#awake.delete(connection)
    this.#streaming.delete(connection)
    const last = this.#all.pop()!
    if (last === connection) return
    this.#all[place] = last
    this.#places.set(last, place)
  }

  wake(connection: SteeredConnection): void {
    if (this.#places.has(connection)) this.#awake.add(connection)
  }

  /** It was sampled with its subflows: whether it is awake is known again. */
  sampled(connection: SteeredConnection, now: number): void {
    if (connection.activity.mayBeIdle) this.#awake.delete(connection)
    else this.wake(connection)
    this.checked(connection, now)
  }

  /** It was checked, or sampled. */
  checked(connection: SteeredConnection, now: number): void {
    if (connection.activity.isStreaming(now) && this.#places.has(connection)) this.#streaming.add(connection)
  }

  get awake(): SteeredConnection[] {
    return [...this.#awake]
  }

  /**
   * Selects the connections whose subflows are sampled (`active`), and those that are only checked for activity (`idle`).
   *
   * @param busy whether bytes moved lately: scans are frequent then
   */
  select(busy: boolean, now: number): { active: SteeredConnection[]; idle: SteeredConnection[] } {
    const pace = busy ? 'busy' : 'quiet'
    const count = this.#all.length
    const active = new Set(this.#awake)
    this.#due += Math.min(count / SCANS_PER_ROUND, SUBFLOWS_PER_SCAN[pace])
    const samples = Math.floor(this.#due)
    this.#due -= samples
    for (const connection of this.#inTurn('subflows', samples)) active.add(connection)
    const idle = new Set<SteeredConnection>()
    // All of them in as few scans as may be, and as many in each.
    const scans = Math.ceil(count / CHECKED_PER_SCAN[pace])
    for (const connection of this.#inTurn('check', Math.ceil(count / scans)))
      if (!active.has(connection)) idle.add(connection)
    for (const connection of this.#streaming) {
      if (!connection.activity.isStreaming(now)) this.#streaming.delete(connection)
      else if (!active.has(connection)) idle.add(connection)
    }
    return { active: [...active], idle: [...idle] }
  }

  /** The next ones. @param most not more than there are */
  *#inTurn(what: 'check' | 'subflows', most: number): Generator<SteeredConnection> {
    const count = this.#all.length
    for (let left = count === 0 ? 0 : most; left > 0; left--) {
      if (this.#next[what] >= count) this.#next[what] = 0
      yield this.#all[this.#next[what]++]!
    }
  }
}

/**
 * Which of the connections that were checked are not idle any more. Of many that have moved bytes which have all arrived, only
 * some are returned: the others are counted the next time that they are sampled.
 *
 * @param records what the kernel has reported, in the order of `checked`
 * @param mayWait whether the bytes of a connection may be counted that late
 */
export function wokenUp(
  checked: readonly SteeredConnection[],
  records: Float64Array,
  now: number,
  mayWait: (connection: SteeredConnection) => boolean,
): SteeredConnection[] {
  const found: SteeredConnection[] = []
  let moved = 0
  for (let i = 0; i < checked.length; i++) {
    const connection = checked[i]!
    const at = i * SOCKET.length
    const change = connection.activity.check(records, at, now)
    if (change === 'idle') continue
    if (change === 'moved' && ++moved > MOVED_PER_SCAN && mayWait(connection))
      connection.activity.skip(records, at, now)
    else found.push(connection)
  }
  return found
}
