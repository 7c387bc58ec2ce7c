/** What each client uses of the converter, and what it may still use. RFC 8803 §6.2.5, §9.3. `now` is an argument. */

import type { ClientLimits } from '../options/settings.js'

interface Held {
  connections: number
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
}

type Excess = 'connections' | 'connections of this client' | 'pending requests of this client'

export class Clients {
  readonly #limits: ClientLimits
  readonly #held = new Map<string, Held>()
  #connections = 0

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
    if (this.#connections >= this.#limits.maxConnections) return 'connections'
    if (held.connections >= this.#limits.maxPerClient) return 'connections of this client'
    // RFC 8803 §9.3: "the Transport Converter SHOULD rate-limit the number of pending requests for a given Client."
    if (held.pending >= this.#limits.maxPendingPerClient) return 'pending requests of this client'
    this.#connections++
    held.connections++
    held.pending++
    let state: 'pending' | 'settled' | 'closed' = 'pending'
    const settle = () => {
      if (state !== 'pending') return
      state = 'settled'
      held.pending--
    }
    const close = () => {
      settle()
      if (state === 'closed') return
      state = 'closed'
      this.#connections--
      held.connections--
      if (held.connections === 0 && held.errors === 0) this.#held.delete(client)
    }
    return { settle, close }
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

  /** Forgets the clients that have no connection and were sent no error within this second. */
  sweep(now: number): void {
    const second = Math.floor(now / 1000)
    for (const [client, held] of this.#held)
      if (held.connections === 0 && held.second !== second) this.#held.delete(client)
  }

  #of(client: string): Held {
    const held = this.#held.get(client) ?? { connections: 0, pending: 0, second: 0, errors: 0 }
    this.#held.set(client, held)
    return held
  }
}
