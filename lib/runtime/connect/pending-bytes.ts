/** What the application has written before the connection is there, kept until it is known where it went. */

/** Beyond so many bytes nothing leaves early, and so nothing need be kept. */
export const PIPELINE_LIMIT = 65_536

export class PendingBytes {
  #chunks: Uint8Array[] = []
  #length = 0

  get length(): number {
    return this.#length
  }

  /** False when the limit is reached: these bytes wait for the connection. */
  push(bytes: Uint8Array): boolean {
    if (this.#length + bytes.length > PIPELINE_LIMIT) return false
    this.#chunks.push(bytes)
    this.#length += bytes.length
    return true
  }

  /** The bytes from `offset` on. */
  from(offset: number): Uint8Array {
    return Buffer.concat(this.#chunks).subarray(offset)
  }

  /** They have found their way. */
  clear(): void {
    this.#chunks = []
    this.#length = 0
  }
}
