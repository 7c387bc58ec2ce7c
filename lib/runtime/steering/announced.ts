/** Where peers have announced that they listen (ADD_ADDR with a port, RFC 8684 §3.4.1). */
import type { AddressPort, MptcpEvent } from '../network/path-manager.js'
import type { Steered } from './connection.js'

type AnnouncedEvent = Extract<MptcpEvent, { type: 'announced' }>

/** Connections of which this is remembered: an announcement may come before its connection is known here. */
const MOST = 4_096

export class Announced {
  readonly #places = new Map<string, AddressPort>()

  /** An address without a port is one to which this side cannot connect: it is the peer that has made the connection. */
  note(
    { token, address, port, family }: AnnouncedEvent,
    connection: Pick<Steered, 'remote' | 'family'> | undefined,
  ): void {
    if (port === undefined) return
    if (connection?.family === family) connection.remote ??= { address, port }
    this.#places.set(`${token} ${family}`, { address, port })
    const [oldest] = this.#places.keys()
    if (this.#places.size > MOST && oldest !== undefined) this.#places.delete(oldest)
  }

  /** With what was announced, where it has none of its own. */
  completed(steered: Steered): Steered {
    return { ...steered, remote: steered.remote ?? this.#places.get(`${steered.token} ${steered.family}`) }
  }
}
