/** What the application in the UE does: streams to the server whose every byte is accounted for at the end. */
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { patternChunk } from '../places.js'
import type { Flow, Receipt } from './tasks.js'

export type Open = () => Promise<Socket>

const chunk = patternChunk()

/** One stream to the server. */
export class Upload {
  readonly #socket: Socket
  readonly #hash = createHash('sha256')
  readonly #answer: Buffer[] = []
  #sent = 0

  constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', data => this.#answer.push(data))
    socket.write('up\n')
  }

  /** Resolves when there is room for more. */
  async write(bytes: Uint8Array): Promise<void> {
    this.#hash.update(bytes)
    this.#sent += bytes.length
    if (!this.#socket.write(bytes)) await once(this.#socket, 'drain')
  }

  /** Throws when what the server has got is not what was written. */
  async finish(): Promise<Receipt> {
    const ended = once(this.#socket, 'end')
    this.#socket.end()
    await ended
    const receipt = JSON.parse(Buffer.concat(this.#answer).toString()) as Receipt
    if (receipt.bytes !== this.#sent || receipt.sha256 !== this.#hash.digest('hex'))
      throw new Error(`the server has got ${receipt.bytes} bytes of ${this.#sent}, or others`)
    return receipt
  }
}

/** Writes until it is told to stop; the receipts of its connections. */
export async function run(flow: Flow, open: Open, stop: AbortSignal): Promise<Receipt[]> {
  if (flow.kind === 'short') return shortOnes(flow, open, stop)
  const upload = new Upload(await open())
  const began = performance.now()
  for (let turn = 1; !stop.aborted; turn++) {
    if (flow.kind === 'bulk') await upload.write(chunk)
    else {
      await upload.write(chunk.subarray(0, flow.bytes))
      await delay(Math.max(0, began + turn * flow.everyMs - performance.now()))
    }
  }
  return [await upload.finish()]
}

async function shortOnes(
  { bytes, pauseMs }: { bytes: number; pauseMs: number },
  open: Open,
  stop: AbortSignal,
): Promise<Receipt[]> {
  const receipts: Receipt[] = []
  while (!stop.aborted) {
    const upload = new Upload(await open())
    await upload.write(chunk.subarray(0, bytes))
    receipts.push(await upload.finish())
    await delay(pauseMs)
  }
  return receipts
}

/** So many bytes to the server: Mbit/s, as they arrive there. */
export async function sendPattern(open: Open, bytes: number): Promise<number> {
  const upload = new Upload(await open())
  for (let sent = 0; sent < bytes; sent += chunk.length)
    await upload.write(chunk.subarray(0, Math.min(chunk.length, bytes - sent)))
  const { firstAt, lastAt } = await upload.finish()
  return (bytes * 8) / (lastAt - firstAt) / 1000
}

/** So many bytes from the server: Mbit/s, as they arrive here. */
export async function fetchPattern(open: Open, bytes: number): Promise<number> {
  const socket = await open()
  const got = createHash('sha256')
  const wanted = createHash('sha256')
  let received = 0
  let firstAt = 0
  let lastAt = 0
  socket.on('data', data => {
    lastAt = performance.now()
    firstAt ||= lastAt
    received += data.length
    got.update(data)
  })
  socket.write(`down ${bytes}\n`)
  await once(socket, 'end')
  for (let made = 0; made < bytes; made += chunk.length)
    wanted.update(chunk.subarray(0, Math.min(chunk.length, bytes - made)))
  if (received !== bytes || got.digest('hex') !== wanted.digest('hex'))
    throw new Error(`${received} bytes of ${bytes} have come, or others`)
  return (bytes * 8) / (lastAt - firstAt) / 1000
}
