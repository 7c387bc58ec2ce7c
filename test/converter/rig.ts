/** Converters, servers and hand-laid clients on loopback. What a test opens is closed behind it; leaks are failures. */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, isIPv4, type Server, Socket } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import { afterEach, expect } from 'vitest'
import {
  type ConnectionInfo,
  type Converter,
  type ConverterOptions,
  createConverter,
} from '../../lib/converter/index.js'
import { unreadError } from '../../lib/converter/relay/kernel.js'
import { systemError } from '../../lib/errors.js'
import { IPPROTO_MPTCP } from '../../lib/runtime/kernel/constants.js'
import { native } from '../../lib/runtime/kernel/native.js'
import { reactor } from '../../lib/runtime/kernel/reactor.js'
import { hex } from '../support/hex.js'
import { addon } from '../support/probes.js'

const opened: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close()
  await until(() => !process.getActiveResourcesInfo().some(name => name.startsWith('TCP')))
  if (addon() === undefined) expect(native().counts()).toEqual({ descriptors: 0, waits: 0 })
})

const UNTIL_MS = 30_000

/** Looks every other millisecond. The limit is for what never comes true: a busy machine needs seconds for 64 MB. */
export async function until(condition: () => unknown): Promise<void> {
  const deadline = performance.now() + UNTIL_MS
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`not within ${UNTIL_MS} ms: ${condition}`)
    await setTimeout(2)
  }
}

/** Closed after the test. */
export function closing(close: () => Promise<unknown> | unknown): void {
  opened.push(async () => close())
}

export interface Rig {
  converter: Converter
  port: number
  /** The events that ended with this connection's `closed`, in order. */
  events: [name: string, info: ConnectionInfo, ...rest: unknown[]][]
  /** What the machine is said to lack. */
  degraded: string[]
  /** The next `closed`, or the first one that has been. */
  closed(): Promise<ConnectionInfo>
  /** @param from an address of this machine's */
  client(bytes?: Uint8Array, from?: string): Client
  mptcpClient(bytes?: Uint8Array): Promise<Client>
}

export async function rig(options: ConverterOptions = {}): Promise<Rig> {
  const converter = createConverter({ allowLoopback: true, lingerTimeout: 300, ...options })
  closing(() => converter.close())
  const events: Rig['events'] = []
  for (const name of ['connection', 'established', 'refused', 'client-error', 'closed'] as const)
    converter.on(name, (info: ConnectionInfo, ...rest: unknown[]) => events.push([name, info, ...rest]))
  const degraded: string[] = []
  converter.on('degraded', ({ what }) => degraded.push(what))
  const [{ port }] = (await converter.listen()) as [AddressInfo]
  return {
    converter,
    port,
    events,
    degraded,
    closed: async () => {
      await until(() => events.some(([name]) => name === 'closed'))
      return events.find(([name]) => name === 'closed')![1]
    },
    client: (bytes, from = '127.0.0.1') => {
      const host = isIPv4(from) ? '127.0.0.1' : '::1'
      return new Client(connect({ port, host, localAddress: from, allowHalfOpen: true, noDelay: true }), bytes)
    },
    mptcpClient: async bytes => new Client(await connectMptcp(port), bytes),
  }
}

/** A client that says what it is told to, and keeps what it hears. */
export class Client {
  readonly socket: Socket
  received = Buffer.alloc(0)
  ended = false
  error: NodeJS.ErrnoException | undefined

  constructor(socket: Socket, bytes?: Uint8Array) {
    this.socket = socket
    this.socket.on('data', chunk => {
      this.received = Buffer.concat([this.received, chunk])
    })
    this.socket.on('end', () => {
      this.ended = true
      // libuv takes a reset right behind data for an end.
      const errno = unreadError(socket)
      if (errno !== 0) this.error ??= systemError(errno, 'read')
    })
    this.socket.on('error', error => {
      this.error = error
    })
    closing(() => this.socket.destroy())
    if (bytes) this.socket.write(bytes)
  }

  get hex(): string {
    return this.received.toString('hex')
  }

  /** All that it hears, once that is `length` bytes or more. */
  async hears(length: number): Promise<string> {
    await until(() => this.received.length >= length)
    return this.hex
  }

  /** All that it heard, once the converter has sent its FIN. */
  async hearsAll(): Promise<string> {
    await until(() => this.ended || this.error)
    if (this.error) throw this.error
    return this.hex
  }

  /** The code of the error that ended it. */
  async fails(): Promise<string | undefined> {
    await until(() => this.ended || this.error)
    return this.error?.code
  }
}

async function connectMptcp(port: number): Promise<Socket> {
  const addon = native()
  const fd = addon.socket(4, IPPROTO_MPTCP)
  addon.connect(fd, '127.0.0.1', port)
  const errno = await new Promise<number>(resolve => reactor().awaitConnected(fd, resolve))
  addon.release(fd)
  expect(errno).toBe(0)
  return new Socket({ fd, allowHalfOpen: true, readable: true, writable: true })
}

/** A server that speaks MPTCP, on loopback. */
export async function serveMptcp(accept: (socket: Socket) => void): Promise<number> {
  const addon = native()
  const fd = addon.socket(4, IPPROTO_MPTCP)
  addon.bind(fd, '127.0.0.1', 0)
  addon.listen(fd, 100)
  addon.release(fd)
  const { port } = await serve(accept, { fd })
  return port
}

/** A server on loopback, and its port. */
export async function serve(
  accept: (socket: Socket) => void,
  where: { host: string; port: number } | { fd: number } = { host: '127.0.0.1', port: 0 },
): Promise<{ port: number; server: Server; sockets: Socket[] }> {
  const sockets: Socket[] = []
  const server = createServer({ allowHalfOpen: true, noDelay: true }, socket => {
    sockets.push(socket)
    socket.on('error', () => {})
    accept(socket)
  }).listen(where)
  await once(server, 'listening')
  closing(async () => {
    for (const socket of sockets) socket.destroy()
    server.close()
    await once(server, 'close')
  })
  return { port: (server.address() as AddressInfo).port, server, sockets }
}

/** An echo that ends when its client has. */
export function echo(): ReturnType<typeof serve> {
  return serve(socket => void socket.pipe(socket))
}

/** A port where nobody listens. */
export async function closedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** A listener whose queue is full: it drops SYNs. */
export function silentPort(): number {
  const addon = native()
  const fd = addon.socket(4, 6)
  addon.bind(fd, '127.0.0.1', 0)
  addon.listen(fd, 0)
  const { port } = addon.getsockname(fd)
  const fillers = [1, 2].map(() => {
    const filler = addon.socket(4, 6)
    addon.connect(filler, '127.0.0.1', port)
    return filler
  })
  closing(() => {
    for (const each of [fd, ...fillers]) addon.close(each)
  })
  return port
}

export function byte(value: number): string {
  return value.toString(16).padStart(2, '0')
}

/** The Base Connect TLV as RFC 8803 §6.2.5 draws it, without its header; `words` more are promised. */
export function connectTlv(port: number, address = '127.0.0.1', words = 0): Uint8Array {
  const mapped = () => `00000000 00000000 0000ffff ${address.split('.').map(Number).map(byte).join('')}`
  const groups = (text: string) => text.split(':').filter(Boolean)
  const six = () => {
    const [head, tail] = address.split('::').map(groups) as [string[], string[]]
    const zeros = new Array<string>(8 - head.length - tail.length).fill('0')
    return [...head, ...zeros, ...tail].map(group => group.padStart(4, '0')).join('')
  }
  return hex(`0a ${byte(5 + words)} ${port.toString(16).padStart(4, '0')} ${isIPv4(address) ? mapped() : six()}`)
}

/** A message of these TLVs. */
export function message(...tlvs: Uint8Array[]): Uint8Array {
  const length = tlvs.reduce((sum, tlv) => sum + tlv.length, 4)
  return Buffer.concat([hex(`01 ${byte(length / 4)} 2263`), ...tlvs])
}
