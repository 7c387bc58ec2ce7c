/**
 * Most connections rest most of the time. To ask the kernel whether one still does takes some microseconds, which with
 * thousands of them would be most of what steering costs: so they take turns.
 */
import { SOCKET } from '../kernel/sampler.js'
import type { SteeredConnection } from './connection.js'

/** Connections at rest are asked for their subflows in turn: each once in so many looks; while bytes move, so many at each. */
const LOOKS_AROUND = 50
const IN_TURN_PER_LOOK = 5
/** So many of them are asked whether they still rest, at each look while bytes move: of a thousand, each every 250 ms, as while none do. */
const RESTING_PER_LOOK = 200
/** So many that have only moved bytes are followed at each look: more than it takes to measure the accesses. */
const MOVED_PER_LOOK = 5

/** Whom to ask at the next look: those awake for their subflows, of those at rest some whether they still are. */
export function whomToAsk(
  connections: ReadonlyMap<number, SteeredConnection>,
  look: number,
  busy: boolean,
  now: number,
): { awake: SteeredConnection[]; resting: SteeredConnection[] } {
  const around = busy ? Math.max(LOOKS_AROUND, Math.ceil(connections.size / IN_TURN_PER_LOOK)) : LOOKS_AROUND
  const turns = busy ? Math.ceil(connections.size / RESTING_PER_LOOK) : 1
  const awake: SteeredConnection[] = []
  const resting: SteeredConnection[] = []
  connections.forEach((connection, token) => {
    // Tokens are random: as many have their turn at each look.
    const { stillness } = connection
    if (!stillness.mayRest || token % around === look % around) awake.push(connection)
    else if (token % turns === look % turns || stillness.moves(now)) resting.push(connection)
  })
  return { awake, resting }
}

/**
 * Of those that were asked whether they still rest, whom to follow. Where many have moved bytes which have all arrived, that is
 * some of them: the others' are counted when they are followed again.
 *
 * @param records what they have said
 * @param mayWait whether its bytes may be counted so late
 */
export function whoStirs(
  asked: readonly SteeredConnection[],
  records: Float64Array,
  now: number,
  mayWait: (connection: SteeredConnection) => boolean,
): SteeredConnection[] {
  const found: SteeredConnection[] = []
  let moved = 0
  for (let i = 0; i < asked.length; i++) {
    const connection = asked[i]!
    const at = i * SOCKET.length
    const has = connection.stillness.glance(records, at, now)
    if (has === 'rests') continue
    if (has === 'moved' && ++moved > MOVED_PER_LOOK && mayWait(connection)) connection.stillness.skip(records, at, now)
    else found.push(connection)
  }
  return found
}

export function whoDoesNotRest(connections: ReadonlyMap<number, SteeredConnection>): SteeredConnection[] {
  return [...connections.values()].filter(({ stillness }) => !stillness.mayRest)
}
