/** Where a trial finds its servers: plain values, handed from the process that starts them to those that measure. */

/** What a server does with a connection; each has a port of its own. */
export const ROLES = ['goodbye', 'hello', 'echo', 'source', 'sink'] as const

/**
 * - `goodbye`: sends the one byte and ends
 * - `hello`: sends the one byte and stays
 * - `echo`: sends back what comes
 * - `source`: reads a line with a number, and sends this many bytes of the pattern
 * - `sink`: reads such a line, then this many bytes of the pattern, and confirms with the one byte
 */
export type Role = (typeof ROLES)[number]

export interface Place {
  /** The server's address. */
  address: string
  ports: Record<'tcp' | 'mptcp', Record<Role, number>>
  converter: string
  /** Whether the converter can take the data of a SYN. */
  zeroRtt: boolean
  socks: { host: string; port: number } | undefined
  /** An HTTPS server over TCP, which answers with the address that it sees. */
  https: number
  /** An HTTP proxy that takes CONNECT. */
  httpProxy: { host: string; port: number } | undefined
  /** Where the converter lets the data network reach an echo of the UE. */
  incoming?: { address: string; port: number }
}

export const ONE_BYTE = 0x21

/** The byte of the stream at an offset is `offset % 251`: what is lost or out of order shows. */
export const PATTERN_PERIOD = 251

/** A chunk that begins with the pattern's first byte and ends with its last one: 64 KiB, as nearly as that can be. */
export function patternChunk(): Buffer {
  const chunk = Buffer.alloc(PATTERN_PERIOD * 261)
  for (let offset = 0; offset < chunk.length; offset++) chunk[offset] = offset % PATTERN_PERIOD
  return chunk
}

/** Counts the bytes of a stream, and compares the ends of each chunk with the pattern. */
export class PatternCheck {
  received = 0

  /** Throws when the stream is not the pattern. */
  take(chunk: Uint8Array): void {
    const first = this.received % PATTERN_PERIOD
    this.received += chunk.length
    const last = (this.received - 1) % PATTERN_PERIOD
    if (chunk[0] !== first || chunk.at(-1) !== last)
      throw new Error(`bytes were lost or reordered near offset ${this.received}`)
  }
}
