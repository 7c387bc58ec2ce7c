/**
 * Clients, as many as they are told to be: `driver.ts PLACE`. Each line on standard input is a call of one of `calls`,
 * `{"call":"open","args":[…]}`; its answer is a line. Any failure ends it.
 */
import { Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { contenders } from '../contenders.js'
import type { SocketContender } from '../measures.js'
import type { Place, Role } from '../places.js'
import { encode, IPPROTO_MPTCP, native } from '../shipped.js'
import { percentile } from '../statistics.js'
import { download, upload } from '../trials/stream.js'

const place = JSON.parse(process.argv[2]!) as Place
const IN_FLIGHT = 100
const TRICKLE = Buffer.alloc(100, 0x2e)
const TURNS = 100

export interface Delays {
  p50: number
  p99: number
}

/** Milliseconds from the beginning of all until a connection's first byte. */
export interface Storm extends Delays {
  last: number
  /** How many that were begun later were answered before, at most: in percent of all. */
  overtaken: number
  /** Of this process: microseconds of processor time, and bytes of resident memory. */
  cpuEach: number
  memoryEach: number
}

/** Open connections through the converter, to an echo. */
const open: Client[] = []
/** Of bulk streams. */
const bulk: Client[] = []

const calls = {
  /** That many streams side by side, each of so many bytes. @returns milliseconds */
  async streams(way: SocketContender, direction: 'up' | 'down', streams: number, bytes: number): Promise<number> {
    const run = direction === 'up' ? upload : download
    const began = performance.now()
    await Promise.all(Array.from({ length: streams }, () => run(contenders[way], place, bytes)))
    return performance.now() - began
  },

  /** More connections, of so many addresses. @returns milliseconds */
  async open(count: number, addresses: number): Promise<number> {
    const began = performance.now()
    let next = open.length
    const last = next + count
    const some = async () => {
      while (next < last) {
        const number = next++
        open[number] = await Client.connect('echo', addressOf(number % addresses))
      }
    }
    await Promise.all(Array.from({ length: IN_FLIGHT }, some))
    return performance.now() - began
  },

  /** That many connections, all begun at once, in one turn of the event loop. */
  async storm(way: SocketContender, count: number): Promise<Storm> {
    const kept: Socket[] = []
    await new Promise<void>((resolve, reject) => answered(way, resolve, reject, kept)) // code is loaded, and the way is checked
    const memory = process.memoryUsage.rss()
    const cpu = process.cpuUsage()
    const began = performance.now()
    const times: number[] = []
    let overtaken = 0
    const one = (number: number) =>
      new Promise<void>((resolve, reject) => {
        const done = () => {
          overtaken = Math.max(overtaken, times.length - number)
          times.push(performance.now() - began)
          resolve()
        }
        answered(way, done, reject, kept)
      })
    await Promise.all(Array.from({ length: count }, (_, number) => one(number)))
    const { user, system } = process.cpuUsage(cpu)
    const memoryEach = (process.memoryUsage.rss() - memory) / count
    for (const socket of kept) socket.destroy()
    return {
      p50: percentile(times, 50),
      p99: percentile(times, 99),
      last: times.at(-1)!,
      overtaken: (100 * overtaken) / count,
      cpuEach: (user + system) / count,
      memoryEach,
    }
  },

  /** Ends all connections. */
  async drop(): Promise<null> {
    for (const { socket } of [...open.splice(0), ...bulk.splice(0)]) socket.destroy()
    return null
  },

  /** Each sends 100 bytes a second, and gets them back. @returns what that took, in milliseconds */
  async trickle(seconds: number): Promise<Delays & { echoed: number }> {
    const delays: number[] = []
    for (const client of open) client.onEcho = ms => delays.push(ms)
    for (let turn = 0; turn < seconds * TURNS; turn++) {
      for (let at = turn % TURNS; at < open.length; at += TURNS) open[at]!.send(TRICKLE)
      await delay(1000 / TURNS)
    }
    await delay(1000)
    return { ...delaysOf(delays), echoed: delays.length }
  },

  /** One connection after the other, closed again. @returns milliseconds until it is answered */
  async probe(count: number, from: string): Promise<Delays> {
    const delays: number[] = []
    for (let i = 0; i < count; i++) {
      const began = performance.now()
      const client = await Client.connect('echo', from)
      delays.push(performance.now() - began)
      client.socket.destroy()
    }
    return delaysOf(delays)
  },

  /** Begins downloads that do not end. */
  async bulk(count: number, from: string): Promise<null> {
    let left = count
    const some = async () => {
      while (left-- > 0) {
        const client = await Client.connect('source', from)
        client.socket.write(`${Number.MAX_SAFE_INTEGER}\n`)
        bulk.push(client)
      }
    }
    await Promise.all(Array.from({ length: Math.min(count, IN_FLIGHT) }, some))
    return null
  },

  /** Bytes that each of the bulk streams receives in these seconds. */
  async bulkBytes(seconds: number): Promise<number[]> {
    const before = bulk.map(({ received }) => received)
    await delay(seconds * 1000)
    return bulk.map(({ received }, index) => received - before[index]!)
  },

  /** Stops reading from the bulk streams, or goes on. */
  async bulkRead(isRead: boolean): Promise<null> {
    for (const { socket } of bulk) isRead ? socket.resume() : socket.pause()
    return null
  },

  /** Messages of 100 bytes, each when the one before is back. */
  async ping(seconds: number, from: string): Promise<Delays> {
    const client = await Client.connect('echo', from)
    const delays: number[] = []
    const until = performance.now() + seconds * 1000
    for (let began = performance.now(); began < until; began = performance.now()) {
      const echo = new Promise<number>(resolve => {
        client.onEcho = resolve
      })
      client.send(TRICKLE)
      // One that does not come back in time counts with the time that it has taken until then.
      const ms = await Promise.race([echo, delay(until - began, undefined, { ref: false })])
      delays.push(ms ?? performance.now() - began)
    }
    client.socket.destroy()
    return delaysOf(delays)
  },
}
export type Calls = typeof calls

/** An MPTCP client with the Convert message behind its handshake, and as little else as can be. */
class Client {
  readonly socket: Socket
  received = 0
  onEcho = (_ms: number): void => {}
  #sentAt = 0
  #due = 0

  private constructor(socket: Socket) {
    this.socket = socket
  }

  static connect(role: Role, from: string): Promise<Client> {
    const fd = native().socket(4, IPPROTO_MPTCP)
    native().bind(fd, from, 0)
    native().release(fd)
    const socket = new Socket({ fd, manualStart: true } as { fd: number })
    const client = new Client(socket)
    const [host, port] = place.converter.split(':')
    const began = performance.now()
    socket.on('error', ({ message }) => {
      const state = `${client.received} bytes after the answer, ${Math.round(performance.now() - began)} ms after connect()`
      throw new Error(`a connection to the port ${role} failed: ${message}; ${state}`)
    })
    socket.connect({ host: host!, port: Number(port) })
    const target = { address: place.address, port: place.ports.tcp[role], tcpOptions: [] }
    socket.write(encode([{ type: 'connect', ...target }], { allowLoopback: true }))
    return new Promise(resolve => {
      socket.once('data', answer => {
        if (answer.toString('hex', 0, 4) !== '01012263') throw new Error(`refused: ${answer.toString('hex')}`)
        client.#take(answer.subarray(4))
        socket.on('data', data => client.#take(data))
        resolve(client)
      })
    })
  }

  send(bytes: Buffer): void {
    if (this.#due > 0) return // what is late counts with its whole delay
    this.#due = bytes.length
    this.#sentAt = performance.now()
    this.socket.write(bytes)
  }

  #take(data: Uint8Array): void {
    this.received += data.length
    if (this.#due === 0) return
    this.#due -= data.length
    if (this.#due === 0) this.onEcho(performance.now() - this.#sentAt)
  }
}

/** A connection that stays, once its first byte is there. */
function answered(way: SocketContender, done: () => void, failed: (error: Error) => void, kept: Socket[]): void {
  contenders[way](place, 'hello', {
    failed,
    connected(socket) {
      kept.push(socket as Socket)
      socket.once('data', done)
    },
  })
}

/** Each is another client to the converter. */
function addressOf(number: number): string {
  return `127.1.${number >> 8}.${number & 255}`
}

function delaysOf(delays: number[]): Delays {
  return { p50: percentile(delays, 50), p99: percentile(delays, 99) }
}

for await (const line of createInterface(process.stdin)) {
  const { call, args } = JSON.parse(line) as { call: keyof Calls; args: never[] }
  console.log(JSON.stringify(await (calls[call] as (...args: never[]) => Promise<unknown>)(...args)))
}
