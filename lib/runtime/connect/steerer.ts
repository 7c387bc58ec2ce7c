/** The callbacks by which a session routes new connections and learns about established ones. */
import type { LookupFunction } from 'node:net'
import type { SocketTuning } from '../../input/socket-tuning.js'
import type { Candidate } from '../../policy/connect/candidates.js'

export interface Destination {
  /** The host that the application asked for. */
  host: string
  /** The addresses that it resolved to. */
  addresses: readonly string[]
  port: number
}

export interface Route {
  /**
   * For each of the destination's addresses, in order, the interfaces for the first subflow, best first; undefined: the routing
   * table decides. An empty list: the rules do not allow connections to this address.
   */
  interfaces: readonly (readonly (string | undefined)[])[]
  /** For each address, why it is reached by plain TCP and without a converter; undefined: as the options say. */
  plain: readonly (string | undefined)[]
  /** For each address, what its rule says of the socket, in place of the options. */
  tuning?: readonly (SocketTuning | undefined)[]
  /**
   * By interface: when it last became available, as of `performance.now()`. What was learned over it before is about another
   * network. An interface that is not named has not changed.
   */
  since?: ReadonlyMap<string, number>
}

export interface Steerer {
  /** The session, for what is published of its connections. */
  readonly session?: object
  /** Whether to leave a resolved destination to Node, which connects by plain TCP. */
  leaves?(addresses: readonly { address: string; family: number }[]): boolean
  /** In place of dns.lookup, for names of destinations and of converters. */
  lookup?: LookupFunction
  /** Rejects when the rules do not allow the connection. Without it, the options name the interface. */
  route?(destination: Destination): Promise<Route>
  /** Whether a connection of this family may begin on the interface; false: it has no such address. */
  mayHaveAddress?(name: string, family: 4 | 6): boolean
  /** See `AttemptPlan`. */
  translate?(address: string, name: string): string | undefined
  /**
   * The connection is established on this descriptor, which the socket's handle owns.
   *
   * @param isDual whether subflows of the other family may be added
   */
  opened?(fd: number, way: Candidate, isDual: boolean): void
  /** The connection is the application's from now on: `'connect'` comes next. */
  connected?(protocol: 'mptcp' | 'tcp'): void
  /**
   * The socket is closed, and was never connected.
   *
   * @param error undefined: the application has closed it
   */
  failed?(error: Error | undefined): void
  /** Its descriptor is about to be closed. */
  closing?(): void
  /** Its descriptor has been closed; no listener of `'close'` has been called yet. */
  closed?(): void
}
