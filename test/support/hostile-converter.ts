/**
 * A converter that does what it is told, right or wrong: a list of steps for each connection. Its bytes are laid by hand, in
 * hexadecimal, so that no mistake of the codec's is made on both sides. The steps are plain values, and travel as JSON.
 */
import net from 'node:net'
import {
  IPPROTO_MPTCP,
  IPPROTO_TCP,
  int,
  SOL_TCP,
  TCP_FASTOPEN,
  TCP_FASTOPEN_NO_COOKIE,
} from '../../lib/runtime/kernel/constants.js'
import { native } from '../../lib/runtime/kernel/native.js'
import { hex } from './hex.js'

export type Step =
  /** Waits for a whole Convert message, as its Total Length says. */
  | { expect: 'message' }
  /** Waits until this many bytes have come behind the message. */
  | { expect: 'bytes'; count: number }
  /** Waits for the client's end of the stream. */
  | { expect: 'end' }
  /** Hexadecimal, in one segment. */
  | { send: string }
  /** Hexadecimal, byte by byte, with this many milliseconds between them. */
  | { drip: string; gap: number }
  /** So many bytes of zeros, as fast as they are taken. */
  | { flood: number }
  | { pause: number }
  /** Sends back what comes behind the message. */
  | { echo: true }
  | { end: true }
  | { reset: true }

export const message: Step = { expect: 'message' }
export const clientEnd: Step = { expect: 'end' }
export const echo: Step = { echo: true }
export const end: Step = { end: true }
export const reset: Step = { reset: true }
export const behind = (count: number): Step => ({ expect: 'bytes', count })
export const send = (bytes: string): Step => ({ send: bytes })
export const drip = (bytes: string, gap = 2): Step => ({ drip: bytes, gap })
export const pause = (milliseconds: number): Step => ({ pause: milliseconds })

/** Version 1, Total Length 1, magic: "connected". */
export const SUCCESS = '01 01 22 63'

/** A message with the TLVs given: RFC 8803 §6.1. */
export function answer(...tlvs: string[]): string {
  const bytes = tlvs.reduce((sum, tlv) => sum + hex(tlv).length, 4)
  return `01 ${byte(bytes / 4)} 22 63 ${tlvs.join(' ')}`
}

/** An Error TLV, zero-padded: type 30, length in words, code, value (§6.2.8). */
export function errorTlv(code: number, value = ''): string {
  const length = 3 + hex(value).length
  const words = Math.ceil(length / 4)
  return `1e ${byte(words)} ${byte(code)} ${value} ${'00'.repeat(words * 4 - length)}`
}

export function byte(value: number): string {
  return value.toString(16).padStart(2, '0')
}

/** What came over one connection, and how it ended. */
export interface Heard {
  /** Everything, the Convert message included. */
  bytes: Buffer
  /** How it ended: a reset, or the client's FIN; undefined while it has not. */
  ended: 'reset' | 'fin' | undefined
  /** Milliseconds since the epoch. */
  acceptedAt: number
}

export interface HostileConverter extends AsyncDisposable {
  address: string
  port: number
  /** `address:port`, or `[address]:port`. */
  name: string
  /** One for each connection accepted, in their order. */
  heard: Heard[]
  /** Resolves once the connection number `index`, from 0, has ended, and says how. */
  ended(index: number): Promise<Heard['ended']>
  close(): Promise<void>
}

export interface HostileOptions {
  address?: string
  port?: number
  mptcp?: boolean
  /** Whether to take the data of SYNs. The system has to allow it, too. */
  fastOpen?: boolean
}

/** @param scripts for the first connection, the second…; the last one serves all that follow */
export async function hostileConverter(scripts: Step[][], options: HostileOptions = {}): Promise<HostileConverter> {
  const { address = '127.0.0.1', mptcp = true, fastOpen = false } = options
  const addon = native()
  const fd = addon.socket(net.isIPv6(address) ? 6 : 4, mptcp ? IPPROTO_MPTCP : IPPROTO_TCP)
  addon.setsockopt(fd, 1, 2, int(1)) // SO_REUSEADDR
  addon.bind(fd, address, options.port ?? 0)
  if (fastOpen) {
    addon.setsockopt(fd, SOL_TCP, TCP_FASTOPEN, int(100))
    addon.setsockopt(fd, SOL_TCP, TCP_FASTOPEN_NO_COOKIE, int(1))
  }
  addon.listen(fd, 100)
  addon.release(fd)

  const heard: Heard[] = []
  const endings: Promise<Heard['ended']>[] = []
  const sockets = new Set<net.Socket>()
  const server = net.createServer({ allowHalfOpen: true, noDelay: true }, socket => {
    const connection = new Connection(socket)
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    const script = scripts[heard.length] ?? scripts.at(-1) ?? []
    heard.push(connection.heard)
    endings.push(connection.ended)
    void connection.play(script)
  })
  await new Promise<void>(resolve => server.listen({ fd }, resolve))
  const { port } = server.address() as net.AddressInfo
  const close = async () => {
    const closed = new Promise(resolve => server.close(resolve))
    for (const socket of sockets) socket.destroy()
    await closed
  }
  return {
    address,
    port,
    name: net.isIPv6(address) ? `[${address}]:${port}` : `${address}:${port}`,
    heard,
    async ended(index) {
      while (endings.length <= index) await new Promise(resolve => setTimeout(resolve, 2))
      return endings[index]
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}

class Connection {
  readonly heard: Heard = { bytes: Buffer.alloc(0), ended: undefined, acceptedAt: Date.now() }
  readonly ended: Promise<Heard['ended']>
  readonly #socket: net.Socket
  #changed = () => {}

  constructor(socket: net.Socket) {
    this.#socket = socket
    socket.on('data', chunk => {
      this.heard.bytes = Buffer.concat([this.heard.bytes, chunk])
      this.#changed()
    })
    this.ended = new Promise(resolve => {
      const over = (how: Heard['ended']) => {
        this.heard.ended ??= how
        this.#changed()
        resolve(this.heard.ended)
      }
      socket.on('end', () => over('fin'))
      socket.on('error', error => over((error as NodeJS.ErrnoException).code === 'ECONNRESET' ? 'reset' : undefined))
      socket.on('close', () => over(undefined))
    })
  }

  async play(script: Step[]): Promise<void> {
    for (const step of script) {
      if (this.#socket.destroyed) return
      await this.#do(step)
    }
  }

  async #do(step: Step): Promise<void> {
    const socket = this.#socket
    if ('send' in step) socket.write(hex(step.send))
    else if ('drip' in step)
      for (const one of hex(step.drip)) {
        socket.write(Uint8Array.of(one))
        await sleep(step.gap)
      }
    else if ('flood' in step) await this.#flood(step.flood)
    else if ('pause' in step) await sleep(step.pause)
    else if ('echo' in step) {
      socket.write(this.heard.bytes.subarray(this.#messageLength()))
      socket.on('data', chunk => socket.write(chunk))
    } else if ('end' in step) socket.end()
    else if ('reset' in step) socket.resetAndDestroy()
    else await this.#until(() => this.#isThere(step))
  }

  #isThere(step: Extract<Step, { expect: string }>): boolean {
    if (this.#socket.destroyed || this.heard.ended) return true
    if (step.expect === 'end') return false
    const { length } = this.heard.bytes
    return length >= 4 && length >= this.#messageLength() + (step.expect === 'bytes' ? step.count : 0)
  }

  /** Total Length, in words, is the second byte. */
  #messageLength(): number {
    return (this.heard.bytes[1] ?? 0) * 4
  }

  async #flood(count: number): Promise<void> {
    for (let left = count; left > 0 && !this.#socket.destroyed; left -= 65_536)
      if (!this.#socket.write(Buffer.alloc(Math.min(left, 65_536))))
        await new Promise<void>(resolve => {
          this.#socket.once('drain', resolve)
          this.#socket.once('close', () => resolve())
        })
  }

  async #until(there: () => boolean): Promise<void> {
    while (!there())
      await new Promise<void>(resolve => {
        this.#changed = resolve
      })
  }
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, milliseconds))
}
