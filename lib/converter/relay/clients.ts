/** What each client uses of the converter, and what it may still use. RFC 8803 §6.2.5, §9.3. `now` is an argument. */

import type { ClientLimits } from '../options/settings.js'
import { ClientTurns } from './turns.js'

interface Held {
  connections: number
  turns: ClientTurns
  pending: number
  /** The second in which `errors` were counted. */
  second: number
  errors: number
}

/** One connection of a client, as it is counted. Calling either function again does nothing. */
export interface Admission {
  /** The request has been answered, or given up: it is not pending any more. */
  settle(): void
  /** The connection is over. */
  close(): void
  /** For what it relays. */
  readonly turns: ClientTurns
}

/** What one process of a converter holds of a client: connections, and those of them that have not been answered. */
export type Share = readonly [client: string, connections: number, pending: number]

type Excess = 'connections' | 'connections of this client' | 'pending requests of this client'

export class Clients {
  readonly #limits: ClientLimits
  readonly #held = new Map<string, Held>()
  #connections = 0
  /** What the other processes hold. */
  readonly #elsewhere = new Map<string, Share>()
  #connectionsElsewhere = 0
  /** Clients whose shares have changed; `undefined`: there are no other processes. */
  #changed: Set<string> | undefined
  #noteChange = (): void => {}

  constructor(limits: ClientLimits) {
    this.#limits = limits
  }

  get connections(): number {
    return this.#connections
  }

  /** How many clients are remembered. */
  get size(): number {
    return this.#held.size
  }

  /** Counts a connection in, as pending; or returns the limit that it would exceed, and counts nothing. */
  admit(client: string): Admission | Excess {
    const held = this.#of(client)
    const [, connections, pending] = this.#elsewhere.get(client) ?? NOTHING
    const limits = this.#limits
    if (this.#connections + this.#connectionsElsewhere >= limits.maxConnections) return 'connections'
    if (held.connections + connections >= limits.maxPerClient) return 'connections of this client'
    // RFC 8803 §9.3: "the Transport Converter SHOULD rate-limit the number of pending requests for a given Client."
    if (held.pending + pending >= limits.maxPendingPerClient) return 'pending requests of this client'
    this.#connections++
    held.connections++
    held.pending++
    this.#hasChanged(client)
    let state: 'pending' | 'settled' | 'closed' = 'pending'
    const settle = () => {
      if (state !== 'pending') return
      state = 'settled'
      held.pending--
      this.#hasChanged(client)
    }
    const close = () => {
      settle()
      if (state === 'closed') return
      state = 'closed'
      this.#connections--
      held.connections--
      this.#hasChanged(client)
      if (held.connections === 0 && held.errors === 0) this.#held.delete(client)
    }
    return { settle, close, turns: held.turns }
  }

  /**
   * Whether one more error reply may go to this client now.
   * RFC 8803 §6.2.5: "error messages sent to a Client SHOULD be rate-limited."
   */
  mayAnswerError(client: string, now: number): boolean {
    const held = this.#of(client)
    const second = Math.floor(now / 1000)
    if (held.second !== second) [held.second, held.errors] = [second, 0]
    if (held.errors >= this.#limits.errorsPerSecond) return false
    held.errors++
    return true
  }

  /**
   * Begins to share the limits with other processes.
   *
   * @param changed called at the first change after this, and after each `takeChanges`
   */
  share(changed: () => void): void {
    this.#changed = new Set()
    this.#noteChange = changed
  }

  /** What this process holds now of the clients whose shares have changed. */
  takeChanges(): Share[] {
    const clients = [...(this.#changed ?? [])]
    this.#changed?.clear()
    return clients.map(client => {
      const { connections = 0, pending = 0 } = this.#held.get(client) ?? {}
      return [client, connections, pending]
    })
  }

  /** What the other processes hold now of these clients. */
  heldElsewhere(shares: readonly Share[]): void {
    for (const share of shares) {
      const [client, connections] = share
      this.#connectionsElsewhere += connections - (this.#elsewhere.get(client)?.[1] ?? 0)
      if (connections > 0) this.#elsewhere.set(client, share)
      else this.#elsewhere.delete(client)
    }
  }

  /** Forgets the clients that have no connection and were sent no error within this second. */
  sweep(now: number): void {
    const second = Math.floor(now / 1000)
    for (const [client, held] of this.#held)
      if (held.connections === 0 && held.second !== second) this.#held.delete(client)
  }

  #hasChanged(client: string): void {
    if (!this.#changed || this.#changed.has(client)) return
    this.#changed.add(client)
    if (this.#changed.size === 1) this.#noteChange()
  }

  #of(client: string): Held {
    const known = this.#held.get(client)
    if (known) return known
    const held: Held = { connections: 0, turns: new ClientTurns(), pending: 0, second: 0, errors: 0 }
    this.#held.set(client, held)
    return held
  }
}

const NOTHING: Share = ['', 0, 0]
/** Milliseconds. Sweeping visits every client. */
export const SWEEP_INTERVAL = 10_000
