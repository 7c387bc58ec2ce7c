/** What the application has written before `'connect'`, kept until one attempt has delivered it. */

/** Bytes beyond this many wait for `'connect'`, and are not kept here. */
export const PIPELINE_LIMIT = 65_536

export class PendingBytes {
  #chunks: Uint8Array[] = []
  #length = 0
  #isHello = false

  /**
   * Whether they are a ClientHello, and nothing else. A server that gets it twice sees two connections of which one is given
   * up: it contains no data of the application, and nothing has been answered. So every attempt may send it.
   */
  get areHello(): boolean {
    return this.#isHello
  }

  get length(): number {
    return this.#length
  }

  /** False when the limit is reached: these bytes have to wait for `'connect'`. */
  push(bytes: Uint8Array): boolean {
    if (this.#isHello || this.#length + bytes.length > PIPELINE_LIMIT) return false
    this.#chunks.push(bytes)
    this.#length += bytes.length
    return true
  }

  /** A ClientHello, in place of everything else. */
  setHello(bytes: Uint8Array): void {
    this.#chunks = [bytes]
    this.#length = bytes.length
    this.#isHello = true
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
