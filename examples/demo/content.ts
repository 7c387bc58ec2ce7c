/** What the demo transfers, in either direction, and what is seen of it where it arrives. */
import { createHash, randomBytes } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'

/** Up: from the device to the server. */
export type Direction = 'up' | 'down'

/** What has arrived, as its receiver sees it. */
export interface Arrival {
  bytes: number
  sha256: string
  /** Times longer than `NOTED_MS` in which nothing arrived: their end (`Date.now()`) and length. */
  gaps: { at: number; ms: number }[]
  longestGapMs: number
}

const NOTED_MS = 10
const CHUNK = 64 * 1024
const TICK_MS = 10

/** Random bytes, at full speed. */
export function* file(bytes: number): Iterable<Buffer> {
  const content = randomBytes(bytes)
  for (let at = 0; at < bytes; at += CHUNK) yield content.subarray(at, at + CHUNK)
}

/** Like a camera: `mbps` megabits each second, until it is stopped. */
export async function* live(mbps: number, stop: AbortSignal): AsyncIterable<Buffer> {
  const begun = performance.now()
  for (let sent = 0; !stop.aborted; await wait(TICK_MS)) {
    const due = Math.floor(((performance.now() - begun) * mbps * 1000) / 8) - sent
    yield randomBytes(due)
    sent += due
  }
}

/** Passes the content on, and hashes it. @param hashed called at its end */
export async function* hashing(
  content: Iterable<Buffer> | AsyncIterable<Buffer>,
  hashed: (sha256: string) => void,
): AsyncIterable<Buffer> {
  const hash = createHash('sha256')
  for await (const chunk of content) {
    hash.update(chunk)
    yield chunk
  }
  hashed(hash.digest('hex'))
}

export async function receive(stream: AsyncIterable<Buffer>): Promise<Arrival> {
  const hash = createHash('sha256')
  const gaps: Arrival['gaps'] = []
  let bytes = 0
  let longestGapMs = 0
  let last: number | undefined
  for await (const chunk of stream) {
    const now = performance.now()
    const ms = now - (last ?? now)
    last = now
    longestGapMs = Math.max(longestGapMs, ms)
    if (ms > NOTED_MS) gaps.push({ at: Date.now(), ms })
    bytes += chunk.length
    hash.update(chunk)
  }
  return { bytes, sha256: hash.digest('hex'), gaps, longestGapMs }
}
