/** Bytes that both ends know: none of them may be lost, doubled or moved unnoticed. */
import { createHash } from 'node:crypto'
import type { Writable } from 'node:stream'
import { seeded } from '../../support/random.js'

const random = seeded(1)
/** Of a prime length, so that blocks of any other size differ. */
const block = Buffer.from(Array.from({ length: 65_537 }, () => Math.floor(random() * 256)))

export async function writePattern(stream: Writable, length: number): Promise<void> {
  for (let left = length; left > 0 && !stream.destroyed; left -= block.length)
    if (!stream.write(left >= block.length ? block : block.subarray(0, left)) && !stream.destroyed)
      await new Promise<void>(resolve => {
        const go = () => {
          stream.off('drain', go).off('close', go)
          resolve()
        }
        stream.on('drain', go).on('close', go)
      })
}

export function patternHash(length: number): string {
  const hash = createHash('sha256')
  for (let left = length; left > 0; left -= block.length)
    hash.update(left >= block.length ? block : block.subarray(0, left))
  return hash.digest('hex')
}

/** `length` bytes of it from `offset` on. */
export function pattern(offset: number, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  for (let at = 0; at < length; ) {
    const from = (offset + at) % block.length
    at += block.copy(bytes, at, from)
  }
  return bytes
}
