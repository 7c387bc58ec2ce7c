/** Where peers have announced that they listen (ADD_ADDR with a port, RFC 8684 §3.4.1). */
import type { AddressPort, MptcpEvent } from '../network/path-manager.js'
import type { Steered } from './connection.js'

type AnnouncedEvent = Extract<MptcpEvent, { type: 'announced' }>

/** How many announcements are kept: one may come before the session has handed over its connection. */
const MOST = 4_096

export class Announced {
  readonly #endpoints = new Map<string, AddressPort>()

  /** An address without a port is not one to connect to: the peer has made the connection, and does not listen there. */
  note(
    { token, address, port, family }: AnnouncedEvent,
    connection: Pick<Steered, 'remote' | 'family'> | undefined,
  ): void {
    if (port === undefined) return
    if (connection?.family === family) connection.remote ??= { address, port }
    this.#endpoints.set(`${token} ${family}`, { address, port })
    const [oldest] = this.#endpoints.keys()
    if (this.#endpoints.size > MOST && oldest !== undefined) this.#endpoints.delete(oldest)
  }

  /** Adds what was announced to a connection that has no `remote`. */
  completed(steered: Steered): Steered {
    return { ...steered, remote: steered.remote ?? this.#endpoints.get(`${steered.token} ${steered.family}`) }
  }
}
