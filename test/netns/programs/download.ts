/**
 * A download that the client asks for in its first line, as JSON. The server sends the pattern until the client ends its side,
 * and then a receipt of both directions, which is always of the same length.
 */
import { createHash, type Hash } from 'node:crypto'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { pattern } from './pattern.js'

export interface Download {
  /** How many bytes are sent at a time. */
  chunk: number
  /** Every this many milliseconds; 0: as fast as they leave; `told`: once at the beginning, and with each call of `tell`. */
  every: number | 'told'
  /** The server sends nothing for so long, once, after this many milliseconds. */
  pause?: { after: number; for: number }
}

interface Count {
  bytes: number
  sha256: string
}

/** What the server has sent, and what it has received after the first line. */
export interface Receipt {
  given: Count
  taken: Count
}

export const RECEIPT_BYTES = 512

/** The same in all processes of the machine: CLOCK_MONOTONIC, in milliseconds. */
export function clock(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

class Counted {
  bytes = 0
  readonly #hash: Hash = createHash('sha256')

  add(data: Uint8Array): void {
    this.bytes += data.length
    this.#hash.update(data)
  }

  get count(): Count {
    return { bytes: this.bytes, sha256: this.#hash.copy().digest('hex') }
  }
}

const told = new Set<() => void>()

/** Every download that waits for it sends its next bytes now. */
export function tell(): void {
  for (const send of told) send()
}

export function serveDownload(socket: Socket): void {
  const taken = new Counted()
  const stop = new AbortController()
  socket.on('end', () => stop.abort()).on('close', () => stop.abort())
  let line: string | undefined = ''
  socket.on('data', (data: Buffer) => {
    if (line === undefined) return taken.add(data)
    const end = data.indexOf('\n')
    line += data.toString('latin1', 0, end < 0 ? data.length : end)
    if (end < 0) return
    const download = JSON.parse(line) as Download
    line = undefined
    taken.add(data.subarray(end + 1))
    void give(socket, download, stop.signal).then(given => {
      const receipt: Receipt = { given, taken: taken.count }
      if (!socket.destroyed) socket.end(JSON.stringify(receipt).padEnd(RECEIPT_BYTES))
    })
  })
}

/** Until it is stopped. */
async function give(socket: Socket, { chunk, every, pause }: Download, stop: AbortSignal): Promise<Count> {
  const given = new Counted()
  const stopped = new Promise<void>(resolve => stop.addEventListener('abort', () => resolve()))
  const send = () => {
    const bytes = pattern(given.bytes, chunk)
    given.add(bytes)
    return socket.write(bytes)
  }
  const wait = (milliseconds: number) => sleep(milliseconds, undefined, { signal: stop }).catch(() => {})
  if (every === 'told') {
    send()
    told.add(send)
    await stopped
    told.delete(send)
    return given.count
  }
  const began = clock()
  let paused = false
  let due = began
  while (!stop.aborted && !socket.destroyed) {
    if (pause && !paused && clock() - began >= pause.after) {
      paused = true
      await wait(pause.for)
      due = clock()
      continue
    }
    const room = send()
    due += every || 0
    if (every > 0) await wait(Math.max(0, due - clock()))
    else if (!room) await Promise.race([new Promise<void>(resolve => socket.once('drain', resolve)), stopped])
  }
  return given.count
}

/** The client's side: tells the bytes of the download from its receipt. */
export class Downloaded {
  readonly #counted = new Counted()
  #last = Buffer.alloc(0)

  add(data: Buffer): void {
    const all = Buffer.concat([this.#last, data])
    const before = Math.max(0, all.length - RECEIPT_BYTES)
    this.#counted.add(all.subarray(0, before))
    this.#last = all.subarray(before)
  }

  /** To be called at the end. @param sent what the client has sent after its first line */
  isWhole(sent: Count): boolean {
    if (this.#last.length < RECEIPT_BYTES) return false
    const expected: Receipt = { given: this.#counted.count, taken: sent }
    return this.#last.toString('latin1') === JSON.stringify(expected).padEnd(RECEIPT_BYTES)
  }
}
