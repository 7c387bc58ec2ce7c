/**
 * Divides the turns of the event loop among clients. In one turn a socket may yield 2 MiB, and of a client with a thousand busy
 * connections all other clients would wait for each. So a client relays at most 1 MiB in a turn, and what is beyond waits for the
 * next one.
 */
export class ClientTurns {
  #turn = -1
  #taken = 0
  /** What lets each of its waiting connections go on, in their order. */
  readonly #waiting: (() => void)[] = []

  /**
   * A connection of the client has relayed so many bytes.
   *
   * @param goOn called in a later turn, if this one is used up
   * @returns whether the connection may go on in this turn
   */
  take(bytes: number, goOn: () => void): boolean {
    if (bytes < MESSAGE && this.#waiting.length === 0) return true
    beginTurn()
    if (this.#turn !== turn) [this.#turn, this.#taken] = [turn, 0]
    this.#taken += bytes
    // While others wait, each relays one piece and waits again: they take turns.
    if (this.#taken <= PIECES * PIECE && this.#waiting.length === 0) return true
    this.#waiting.push(goOn)
    waiting.add(this)
    return false
  }

  /** @internal at the beginning of a turn. @returns whether some still wait */
  next(): boolean {
    for (const goOn of this.#waiting.splice(0, PIECES)) goOn()
    return this.#waiting.length > 0
  }
}

/** How many full pieces of one client are relayed in a turn: it takes some milliseconds then. */
const PIECES = 16
/** What Node reads at once, in bytes. */
const PIECE = 65_536
/** Less than this, in bytes, is no bulk data, and not counted: counting turns costs a system call in each. */
const MESSAGE = 4_096

/** All turns are counted in one place. */
let turn = 0
let hasBegun = false
const waiting = new Set<ClientTurns>()

function beginTurn(): void {
  if (hasBegun) return
  hasBegun = true
  setImmediate(() => {
    hasBegun = false
    turn++
    for (const client of waiting) if (!client.next()) waiting.delete(client)
    if (waiting.size > 0) beginTurn()
  })
}
