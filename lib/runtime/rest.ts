/**
 * Most connections rest most of the time. To ask the kernel whether one still does takes some microseconds, which with
 * thousands of them would be most of what steering costs: so they take turns.
 */
import type { SteeredConnection } from './steered-connection.js'

/** Connections at rest are asked for their subflows in turn: each once in so many looks. */
const LOOKS_AROUND = 50
/** So many of them are asked whether they still rest, at each look while bytes move: of a thousand, each every 200 ms. */
const RESTING_PER_LOOK = 250
/** Those whose bytes moved so shortly ago are asked at each, in milliseconds. */
const RECENT_MS = 200

/** Whom to ask at the next look: those awake for their subflows, of those at rest some whether they still are. */
export function whomToAsk(
  connections: ReadonlyMap<number, SteeredConnection>,
  look: number,
  busy: boolean,
  now: number,
): { awake: SteeredConnection[]; resting: SteeredConnection[] } {
  const turns = busy ? Math.ceil(connections.size / RESTING_PER_LOOK) : 1
  const awake: SteeredConnection[] = []
  const resting: SteeredConnection[] = []
  for (const connection of connections.values()) {
    // Tokens are random: as many have their turn at each look.
    const { token, mayRest, movedAt } = connection
    if (!mayRest || token % LOOKS_AROUND === look % LOOKS_AROUND) awake.push(connection)
    else if (token % turns === look % turns || now - movedAt < RECENT_MS) resting.push(connection)
  }
  return { awake, resting }
}
