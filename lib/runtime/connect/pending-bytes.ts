/** What the application has written before `'connect'`, kept until one attempt has delivered it. */

/** Bytes beyond this many wait for `'connect'`, and are not kept here. */
export const PIPELINE_LIMIT = 65_536

export class PendingBytes {
  #chunks: Uint8Array[] = []
  #length = 0

  get length(): number {
    return this.#length
  }

  /** False when the limit is reached: these bytes have to wait for `'connect'`. */
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

  /** Forgets them: they have left, or Node has them. */
  clear(): void {
    this.#chunks = []
    this.#length = 0
  }
}
