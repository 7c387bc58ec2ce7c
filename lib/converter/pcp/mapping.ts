/** One mapping: where remote hosts reach it, and over which addresses the client is reached. */
import type { FilterOption } from '../../wire/pcp/index.js'

export interface Place {
  address: string
  port: number
}

export interface Path {
  /** The client's. */
  address: string
  expiresAt: number
  /** When it was last requested: the newest is the first choice. */
  askedAt: number
  /** Where the client asks from, and the address that it asked: answers and connections come from that address. */
  client: Place
  server: string
  /** Whether it accepts no other external address and port (PREFER_FAILURE). */
  required: boolean
}

export interface Mapping {
  external: Place
  protocol: number
  internalPort: number
  nonce: Uint8Array
  filters: FilterOption[]
  paths: Path[]
}

export function pathOf({ paths }: Mapping, address: string): Path | undefined {
  return paths.find(path => path.address === address)
}

/** Seconds, rounded up. */
export function remaining({ expiresAt }: Path, now: number): number {
  return Math.max(Math.ceil((expiresAt - now) / 1000), 0)
}

export function keyOf({ address, port }: Place): string {
  return `${address} ${port}`
}
