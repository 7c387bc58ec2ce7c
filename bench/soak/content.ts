/** Bytes that look random and that both ends know: each seed has a content of its own, so no two exchanges can be taken for one another. */
import { type Cipher, createCipheriv, createHash } from 'node:crypto'

const ZEROS = Buffer.alloc(65_536)

/** The content of a seed, from its first byte on. */
export class Content {
  readonly #cipher: Cipher

  constructor(seed: number) {
    const key = Buffer.alloc(16)
    key.writeUInt32LE(seed >>> 0)
    this.#cipher = createCipheriv('aes-128-ctr', key, Buffer.alloc(16))
  }

  next(length: number): Buffer {
    return this.#cipher.update(length <= ZEROS.length ? ZEROS.subarray(0, length) : Buffer.alloc(length))
  }
}

export function* chunksOf(seed: number, bytes: number): Generator<Buffer> {
  const content = new Content(seed)
  for (let left = bytes; left > 0; left -= ZEROS.length) yield content.next(Math.min(left, ZEROS.length))
}

export function hashOf(seed: number, bytes: number): string {
  const hash = createHash('sha256')
  for (const chunk of chunksOf(seed, bytes)) hash.update(chunk)
  return hash.digest('hex')
}

/** What the end that receives has seen. */
export interface Receipt {
  bytes: number
  sha256: string
  /** Milliseconds: the longest time between two pieces, and when it ended (milliseconds since 1970). */
  gapMs: number
  gapEndedAt: number
}

/** Checks what arrives, byte by byte, and measures how long nothing came. */
export class Receiving {
  readonly #expected: Content
  readonly #hash = createHash('sha256')
  #bytes = 0
  #last = Date.now()
  #gapMs = 0
  #gapEndedAt = 0

  /** Time counts from now on. */
  constructor(seed: number) {
    this.#expected = new Content(seed)
  }

  /** Throws at the first wrong byte. */
  take(chunk: Uint8Array): void {
    const now = Date.now()
    if (now - this.#last > this.#gapMs) {
      this.#gapMs = now - this.#last
      this.#gapEndedAt = now
    }
    this.#last = now
    const expected = this.#expected.next(chunk.length)
    if (!expected.equals(chunk)) {
      const at = expected.findIndex((byte, index) => byte !== chunk[index])
      throw new WrongBytes(`byte ${this.#bytes + at} is wrong: ${chunk[at]} where ${expected[at]} was sent`)
    }
    this.#hash.update(chunk)
    this.#bytes += chunk.length
  }

  get bytes(): number {
    return this.#bytes
  }

  get receipt(): Receipt {
    const { gapMs, gapEndedAt } = { gapMs: this.#gapMs, gapEndedAt: this.#gapEndedAt }
    return { bytes: this.#bytes, sha256: this.#hash.copy().digest('hex'), gapMs, gapEndedAt }
  }
}

/** Bytes were lost, doubled or moved: the one thing that must never happen. */
export class WrongBytes extends Error {
  readonly code = 'WRONG_BYTES'
}
