/**
 * Which connections to sample in a scan. Most are idle most of the time, and with thousands of them, checking each for
 * activity would be most of the cost of steering: so they take turns.
 */
import { SOCKET } from '../kernel/sampler.js'
import type { SteeredConnection } from './connection.js'

/** The subflows of each idle connection are sampled once in this many scans, or at this rate while there is traffic. */
const SCANS_PER_ROUND = 50
const SUBFLOWS_PER_SCAN = 5
/** Idle connections checked per scan while there is traffic: 1,000 connections are each checked every 250 ms, as without traffic. */
const CHECKED_PER_SCAN = 200
/** How many connections that only moved bytes are sampled with their subflows per scan: more than measuring the accesses takes. */
const MOVED_PER_SCAN = 5

/** Selects the connections whose subflows are sampled (`active`), and those that are only checked for activity (`idle`). */
export function selectForSampling(
  connections: ReadonlyMap<number, SteeredConnection>,
  scan: number,
  busy: boolean,
  now: number,
): { active: SteeredConnection[]; idle: SteeredConnection[] } {
  const round = busy ? Math.max(SCANS_PER_ROUND, Math.ceil(connections.size / SUBFLOWS_PER_SCAN)) : SCANS_PER_ROUND
  const turns = busy ? Math.ceil(connections.size / CHECKED_PER_SCAN) : 1
  const active: SteeredConnection[] = []
  const idle: SteeredConnection[] = []
  connections.forEach((connection, token) => {
    // Tokens are random, so about the same number has its turn in each scan.
    const { activity } = connection
    if (!activity.mayBeIdle || token % round === scan % round) active.push(connection)
    else if (token % turns === scan % turns || activity.isStreaming(now)) idle.push(connection)
  })
  return { active, idle }
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

export function activeConnections(connections: ReadonlyMap<number, SteeredConnection>): SteeredConnection[] {
  return [...connections.values()].filter(({ activity }) => !activity.mayBeIdle)
}
