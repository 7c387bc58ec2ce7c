/** Finds the address at which a client answers: first the one that it last asked from, then the others in parallel. */

import type { Mapping, Path } from '../pcp/mapping.js'
import { type ClientDial, type Dialed, dialClient } from './dial-client.js'

export interface Reached extends Dialed {
  path: Path
}

/** Milliseconds from one address to the next. RFC 8305 §5. */
const ATTEMPT_DELAY = 250
/**
 * Milliseconds for which an address that did not answer is tried last, and one that did not take the data of a SYN gets no
 * such data: so its connections are MPTCP from the second one on.
 */
const MEMORY = { silent: 60_000, noFastOpen: 600_000 }

/** What was learned about clients' addresses, and about this system's Fast Open. */
export class ClientMemory {
  readonly #silent = new Map<string, number>()
  readonly #noFastOpen = new Map<string, number>()
  /** When this system last refused data for a SYN. An administrator may allow it, so it is tried again. */
  #noFastOpenHere = Number.NEGATIVE_INFINITY
  readonly #lacksFastOpen: () => void

  /** @param lacksFastOpen this system sends no data in SYNs; called each time that it is found out, not for each connection */
  constructor(lacksFastOpen: () => void) {
    this.#lacksFastOpen = lacksFastOpen
  }

  /** The paths in the order in which they are tried. */
  order({ paths }: Mapping, now: number): Path[] {
    const isSilent = ({ address }: Path) =>
      now - (this.#silent.get(address) ?? Number.NEGATIVE_INFINITY) < MEMORY.silent
    const newest = [...paths].sort((a, b) => b.askedAt - a.askedAt)
    return [...newest.filter(path => !isSilent(path)), ...newest.filter(isSilent)]
  }

  takesSynData({ address }: Path, now: number): boolean {
    if (now - this.#noFastOpenHere < MEMORY.noFastOpen) return false
    return now - (this.#noFastOpen.get(address) ?? Number.NEGATIVE_INFINITY) >= MEMORY.noFastOpen
  }

  silent({ address }: Path, now: number): void {
    this.#silent.set(address, now)
  }

  answered({ address }: Path): void {
    this.#silent.delete(address)
  }

  noFastOpen({ address }: Path, now: number): void {
    this.#noFastOpen.set(address, now)
  }

  noFastOpenHere(now: number): void {
    const isNews = now - this.#noFastOpenHere >= MEMORY.noFastOpen
    this.#noFastOpenHere = now
    if (isNews) this.#lacksFastOpen()
  }

  sweep(now: number): void {
    for (const [address, at] of this.#silent) if (now - at >= MEMORY.silent) this.#silent.delete(address)
    for (const [address, at] of this.#noFastOpen) if (now - at >= MEMORY.noFastOpen) this.#noFastOpen.delete(address)
  }
}

/** `done` as in `dialClient`. The first address that answers wins; the others are reset before their handshake. */
export function reachClient(
  mapping: Mapping,
  dial: Omit<ClientDial, 'to' | 'from' | 'zeroRtt'>,
  memory: ClientMemory,
  now: () => number,
  done: (error: NodeJS.ErrnoException | undefined, reached?: Reached) => void,
): () => void {
  const waiting = memory.order(mapping, now())
  const running = new Map<Path, () => void>()
  let next: NodeJS.Timeout | undefined
  const stop = () => {
    clearTimeout(next)
    for (const cancel of running.values()) cancel()
    running.clear()
  }
  const start = (path: Path) => {
    const zeroRtt = memory.takesSynData(path, now())
    const to = { address: path.address, port: mapping.internalPort }
    running.set(
      path,
      dialClient({ ...dial, to, from: path.server, zeroRtt }, (error, dialed) => {
        running.delete(path)
        if (dialed) {
          memory.answered(path)
          if (dialed.noFastOpenHere) memory.noFastOpenHere(now())
          else if (zeroRtt && !dialed.zeroRtt) memory.noFastOpen(path, now())
          for (const silent of running.keys()) memory.silent(silent, now())
          stop()
          return done(undefined, { ...dialed, path })
        }
        memory.silent(path, now())
        if (running.size > 0 || waiting.length > 0) return advance()
        stop()
        done(error)
      }),
    )
  }
  const advance = () => {
    clearTimeout(next)
    const path = waiting.shift()
    if (!path) return
    start(path)
    if (waiting.length > 0) next = setTimeout(advance, ATTEMPT_DELAY)
  }
  advance()
  return stop
}
