/** What the application in the UE does: streams to and from the server whose every byte is accounted for at the end. */
import type { Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { patternChunk } from '../places.js'
import { decodeReceipt, Giving, LONGEST_RECEIPT, Taking } from './ends.js'
import {
  clock,
  type Delay,
  type Direction,
  type Directions,
  directionsOf,
  type Flow,
  type Opening,
  type Sending,
  type StreamFigures,
} from './tasks.js'

export type Open = () => Promise<Socket>

const chunk = patternChunk()

/** One stream. */
export class Stream {
  readonly #socket: Socket
  readonly #giving: Giving
  readonly #taking: Taking
  readonly #opening: Opening
  readonly #ended: Promise<void>
  /** The last bytes that have come, which may be the receipt. */
  #kept: Buffer[] = []
  #keptBytes = 0
  #awaited: { bytes: number; resolve: () => void } | undefined

  constructor(socket: Socket, opening: Opening) {
    this.#socket = socket
    this.#opening = opening
    this.#giving = new Giving(socket)
    this.#taking = new Taking(opening.down)
    this.#ended = new Promise(resolve => socket.once('end', resolve))
    socket.on('data', data => this.#take(data))
    socket.write(`${JSON.stringify(opening)}\n`)
  }

  /** What the opening has announced; all of it, or until it is stopped. */
  async run(stop: AbortSignal): Promise<void> {
    if (this.#opening.up) await this.#giving.give(this.#opening.up, stop)
    const { up, down } = this.#opening
    if (up && down?.kind === 'amount') this.#socket.end()
    if (down?.kind === 'amount') await this.#ended
    else if (!up) await until(stop)
  }

  write(bytes: Uint8Array): boolean {
    return this.#giving.write(bytes)
  }

  /** One of the messages of a paced opening, at a time that the caller chooses. */
  writeMessage(bytes: Uint8Array): boolean {
    return this.#giving.writeMessage(bytes)
  }

  /** Resolves when this many bytes have arrived. */
  received(bytes: number): Promise<void> {
    if (this.#taking.arrived >= bytes) return Promise.resolve()
    return new Promise(resolve => {
      this.#awaited = { bytes, resolve }
    })
  }

  /** Throws if what one end has received is not what the other has sent. */
  async finish(): Promise<StreamFigures> {
    this.#socket.end()
    await this.#ended
    const end = Buffer.concat(this.#kept)
    const { receipt, before } = decodeReceipt(end)
    this.#taking.count(end.subarray(0, before))
    const figures: StreamFigures = {}
    for (const [direction, given, taken] of [
      ['up', this.#giving.report, receipt.taken],
      ['down', receipt.given, this.#taking.report],
    ] as const) {
      const { sha256, arrivals, ...rest } = taken
      if (taken.bytes !== given.bytes || sha256 !== given.sha256)
        throw new Error(`${direction}: ${taken.bytes} bytes have arrived of ${given.bytes}, or others`)
      const delays = given.writes.flatMap((at, i): Delay[] => (i < arrivals.length ? [[at, arrivals[i]! - at]] : []))
      if (this.#opening[direction]) figures[direction] = { ...rest, delays }
    }
    return figures
  }

  #take(data: Buffer): void {
    this.#taking.note(data.length)
    this.#kept.push(data)
    this.#keptBytes += data.length
    while (this.#keptBytes - this.#kept[0]!.length >= LONGEST_RECEIPT) {
      const first = this.#kept.shift()!
      this.#keptBytes -= first.length
      this.#taking.count(first)
    }
    if (this.#awaited && this.#taking.arrived >= this.#awaited.bytes) this.#awaited.resolve()
  }
}

/** Goes on until it is stopped. @returns the figures of its streams */
export async function run(flow: Flow, open: Open, stop: AbortSignal): Promise<StreamFigures[]> {
  if (flow.kind === 'requests') return [await requests(flow, open, stop)]
  const { directions = 'up' } = flow
  if (flow.kind === 'short') {
    const all: StreamFigures[] = []
    while (!stop.aborted) {
      all.push(await one({ kind: 'amount', bytes: flow.bytes }, directions, open, stop))
      await delay(flow.pauseMs, undefined, { signal: stop }).catch(() => {})
    }
    return all
  }
  return [await one(flow.kind === 'bulk' ? { kind: 'bulk' } : pacedOf(flow), directions, open, stop)]
}

/** So many bytes each way. @returns Mbit/s, as they arrive */
export async function transfer(
  open: Open,
  directions: Directions,
  bytes: number,
): Promise<Partial<Record<Direction, number>>> {
  const figures = await one({ kind: 'amount', bytes }, directions, open, new AbortController().signal)
  const mbps: Partial<Record<Direction, number>> = {}
  for (const direction of directionsOf(directions)) {
    const { firstAt, lastAt } = figures[direction]!
    mbps[direction] = (bytes * 8) / (lastAt - firstAt) / 1000
  }
  return mbps
}

async function one(sending: Sending, directions: Directions, open: Open, stop: AbortSignal): Promise<StreamFigures> {
  const opening: Opening = {}
  for (const direction of directionsOf(directions)) opening[direction] = sending
  const socket = await open()
  // As http and ws do: otherwise Nagle's algorithm holds a message back until the one before is acknowledged.
  socket.setNoDelay(sending.kind === 'paced')
  const stream = new Stream(socket, opening)
  await stream.run(stop)
  return stream.finish()
}

function pacedOf({ bytes, everyMs }: { bytes: number; everyMs: number }): Sending {
  return { kind: 'paced', bytes, everyMs }
}

async function requests(
  { bytes, answer, thinkMs, pauseMs }: Extract<Flow, { kind: 'requests' }>,
  open: Open,
  stop: AbortSignal,
): Promise<StreamFigures> {
  const down: Sending = { kind: 'answers', request: bytes, bytes: answer, thinkMs }
  const stream = new Stream(await open(), { up: { kind: 'bulk' }, down })
  const delays: Delay[] = []
  for (let asked = 1; !stop.aborted; asked++) {
    const at = clock()
    stream.write(chunk.subarray(0, bytes))
    await stream.received(asked * answer)
    delays.push([at, clock() - at])
    await delay(pauseMs, undefined, { signal: stop }).catch(() => {})
  }
  const { up, down: got } = await stream.finish()
  return { up: up!, down: { ...got!, delays } }
}

function until(stop: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    if (stop.aborted) resolve()
    else stop.addEventListener('abort', () => resolve(), { once: true })
  })
}
