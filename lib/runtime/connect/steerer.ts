/** What a session decides of a connection that is being made, and hears of one that is there. */
import type { Candidate } from '../../policy/connect/candidates.js'

export interface Destination {
  /** What the application asked for. */
  host: string
  /** What it has been resolved to. */
  addresses: readonly string[]
  port: number
}

export interface Route {
  /**
   * For each of the destination's addresses, in their order, the interfaces for the first subflow, best first; undefined leaves
   * it to the routing table. None: the rules do not let this address be connected to.
   */
  interfaces: readonly (readonly (string | undefined)[])[]
}

export interface Steerer {
  /** Whether a destination, once it is resolved, is Node's to connect to, by plain TCP. */
  leaves?(addresses: readonly { address: string; family: number }[]): boolean
  /** Rejects when the rules do not let the connection be. Without it the options say which interface. */
  route?(destination: Destination): Promise<Route>
  /** The connection is there, on this descriptor, which its socket's handle owns. */
  opened?(fd: number, way: Candidate): void
  /** Its descriptor is about to be closed. */
  closing?(): void
}
