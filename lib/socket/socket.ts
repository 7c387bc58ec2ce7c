/** `MptcpSocket`: a net.Socket whose connection is made over MPTCP, and through Transport Converters when there are any. */
import {
  type IpcNetConnectOpts,
  Socket,
  type SocketConnectOpts,
  type SocketConstructorOpts,
  type TcpNetConnectOpts,
} from 'node:net'
import { type CookieStore, type MptcpOptions, resolveOptions, type Settings } from '../input/options.js'
import { ConverterMemory } from '../policy/connect/converter-memory.js'
import { Connecting, protocolNow } from '../runtime/connect/connecting.js'
import { type Chunk, type WriteDone, writeEarly } from '../runtime/connect/early-writes.js'
import { emptyReport, type MptcpReport } from '../runtime/connect/report.js'
import type { Steerer } from '../runtime/connect/steerer.js'
import { showPeer } from '../runtime/kernel/peer-name.js'
import { whenEndMayBeSent } from '../runtime/stream/end-of-sending.js'
import { endsInstead } from '../runtime/stream/end-of-stream.js'
import { closeLikeTcp } from '../runtime/stream/lingering-close.js'

/** net.connect's options and ours. */
export type MptcpConnectOptions = TcpNetConnectOpts & MptcpOptions

/** Options of newer versions of Node than the types are of. */
interface NewerOptions {
  typeOfService?: number
  keepAliveInterval?: number
  keepAliveCount?: number
}

/** Methods of newer versions of Node. */
interface NewerSocket {
  setTypeOfService?(value: number): Socket
  getTypeOfService?(): number
}

/** What we use of Node's handle. */
interface Handle {
  setNoDelay?(on: boolean): number
  setKeepAlive?(...how: KeepAlive): number
  setTypeOfService?(value: number): number
}

/** As Node's handle takes it, the delay and the interval in seconds. */
type KeepAlive = [enable: boolean, delay: number, interval: number | undefined, count: number | undefined]

type Listener = () => void

/** What a thread's connections have learned of converters: one memory for each store of cookies, and one without. */
const threadMemory = new ConverterMemory()
const memories = new WeakMap<CookieStore, ConverterMemory>()

const NOTHING: Partial<MptcpReport> = Object.freeze({})

/**
 * A net.Socket in everything but how it connects: `'connect'` comes once the converter has confirmed the server's
 * answer, and `remoteAddress` and `remotePort` are the server's (RFC 8803 §4.2).
 *
 * @example
 * const socket = new MptcpSocket({ converters: '192.0.2.1:5124' })
 * socket.connect(443, 'example.com')
 */
export class MptcpSocket extends Socket {
  readonly #defaults: MptcpOptions
  readonly #steerer: Steerer | undefined
  /** Of the constructor's options, until the first `connect`: most give it the same once more. */
  #settings: Settings | undefined
  #connecting: Connecting | undefined
  /** What differs from an empty report. */
  #report: Partial<MptcpReport> = NOTHING
  #noDelay: boolean | undefined
  #keepAlive: KeepAlive | undefined
  #typeOfService: number | undefined

  /** @throws ERR_ATSSS_OPTION for an impossible or misspelled option */
  constructor(options?: SocketConstructorOpts & MptcpOptions)
  /** @internal A session's; applications call its `connect`. */
  constructor(options: SocketConstructorOpts & MptcpOptions, steerer: Steerer)
  constructor(options?: SocketConstructorOpts & MptcpOptions, steerer?: Steerer) {
    const settings = resolveOptions(options ?? {})
    super(options)
    this.#settings = settings
    this.#defaults = options ?? {}
    this.#steerer = steerer
    this.#remember(options as TcpNetConnectOpts | undefined)
  }

  /**
   * A connection that has come in, and whom it is with.
   *
   * @internal
   */
  static accepted(
    options: SocketConstructorOpts & { fd: number },
    report: Partial<MptcpReport>,
    peer: { address: string; port: number },
    steerer: Steerer,
  ): MptcpSocket {
    const socket = new MptcpSocket({ readable: true, writable: true, ...options }, steerer)
    socket.#report = report
    showPeer(socket, peer)
    return socket
  }

  /** What the connection got: protocol, converter, how the Convert message travelled, what the converter said. */
  get mptcp(): Readonly<MptcpReport> {
    const report = { ...emptyReport(), ...this.#report }
    return { ...report, ...protocolNow(this, report) }
  }

  override connect(options: SocketConnectOpts & MptcpOptions, connectionListener?: Listener): this
  override connect(port: number, host: string, connectionListener?: Listener): this
  override connect(port: number, connectionListener?: Listener): this
  override connect(path: string, connectionListener?: Listener): this
  override connect(...args: unknown[]): this {
    const [options, listener] = callForm(args)
    // Pipes, and what Node shall complain of, are Node's. So is an open handle: it is connected already.
    if (!options || isPipe(options) || options.port === undefined || opened(this)) return this.#connectAsNode(args)
    const settings = this.#settingsFor(options)
    const memory = memoryOf(settings.cookies)
    this.#remember(options)
    this.#connecting?.cancel()
    const connecting = new Connecting(this, options, settings, memory, () => this.#opened(), this.#steerer)
    this.#connecting = connecting
    this.#report = connecting.report
    return super.connect(connecting.nodeOptions, listener as Listener)
  }

  #settingsFor(options: MptcpOptions): Settings {
    const known = options === this.#defaults ? this.#settings : undefined
    this.#settings = undefined
    return known ?? resolveOptions({ ...this.#defaults, ...options })
  }

  override setNoDelay(noDelay?: boolean): this {
    this.#noDelay = noDelay ?? true
    return super.setNoDelay(noDelay)
  }

  override setKeepAlive(...args: Parameters<Socket['setKeepAlive']>): this {
    this.#keepAlive = keepAliveOf(args)
    return super.setKeepAlive(...args)
  }

  static {
    // Only where Node has them: programs ask whether it does.
    const { setTypeOfService: set, getTypeOfService: get } = Socket.prototype as NewerSocket
    if (set && get)
      Object.assign(MptcpSocket.prototype, {
        setTypeOfService(this: MptcpSocket, value: number): MptcpSocket {
          withoutDescriptor(this, () => set.call(this, value))
          this.#typeOfService = value
          return this
        },
        getTypeOfService(this: MptcpSocket): number {
          return this.connecting ? (this.#typeOfService ?? 0) : get.call(this)
        },
      })
  }

  override ref(): this {
    this.#connecting?.keepAlive(true)
    return super.ref()
  }

  override unref(): this {
    this.#connecting?.keepAlive(false)
    return super.unref()
  }

  override _write(chunk: string | Uint8Array, encoding: BufferEncoding, done: WriteDone): void {
    if (!writeEarly(this, this.#connecting, [{ chunk, encoding }], done)) super._write(chunk, encoding, done)
  }

  override _writev(chunks: Chunk[], done: WriteDone): void {
    if (!writeEarly(this, this.#connecting, chunks, done)) super._writev?.(chunks, done)
  }

  override _final(done: (error?: Error | null) => void): void {
    if (this.connecting) return super._final(done)
    whenEndMayBeSent(this, () => super._final(done))
  }

  override destroy(error?: Error): this {
    return endsInstead(this, error) ? this : super.destroy(error)
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    // A signal that is aborted already ends it in net.Socket's constructor.
    if (!(#report in this)) return super._destroy(error, done)
    this.#connecting?.cancel()
    this.#steerer?.closing?.()
    if (this.#report.protocol && !this.connecting) closeLikeTcp(this)
    super._destroy(error, done)
  }

  /** net.Socket counts what went through its handle; what left before there was one counts too. */
  get _bytesDispatched(): number {
    const counted = Object.getOwnPropertyDescriptor(Socket.prototype, '_bytesDispatched')?.get?.call(this) as number
    const pending = this.#connecting?.pending.length ?? 0
    return counted + (this.connecting ? pending : (this.#report.pipelinedBytes ?? 0))
  }

  /** What Node would set on its handle once it is connected, and has no way to set on ours. */
  #remember(options: Partial<TcpNetConnectOpts> & NewerOptions = {}): void {
    const { noDelay, keepAlive, typeOfService } = options
    if (noDelay !== undefined) this.#noDelay = noDelay
    if (keepAlive !== undefined) {
      const { keepAliveInitialDelay, keepAliveInterval, keepAliveCount } = options
      this.#keepAlive = keepAliveOf([keepAlive, keepAliveInitialDelay, keepAliveInterval, keepAliveCount])
    }
    if (typeOfService !== undefined) this.#typeOfService = typeOfService
  }

  get #handle(): Handle | null {
    return (this as unknown as { _handle: Handle | null })._handle
  }

  #connectAsNode(args: unknown[]): this {
    this.#report = NOTHING
    return (super.connect as (...args: unknown[]) => this)(...args)
  }

  /** What was set before there was anything to set it on. */
  #opened(): void {
    // net.Socket holds that it is done, since the handle was there when it was asked to.
    if (this.#noDelay) this.#handle?.setNoDelay?.(true)
    if (this.#keepAlive?.[0]) this.#handle?.setKeepAlive?.(...this.#keepAlive)
    if (this.#typeOfService !== undefined) this.#handle?.setTypeOfService?.(this.#typeOfService)
    this.#connecting = undefined // a connection lives longer than what made it
  }
}

/** `(options[, listener])`, `(port[, host][, listener])`, `(path[, listener])`, and what Node's own modules hand on. */
export function callForm(args: unknown[]): [options: MptcpConnectOptions | undefined, listener: unknown] {
  const [first, second] = args
  if (isNormalized(first)) return [first[0] as MptcpConnectOptions | undefined, first[1] ?? undefined]
  const last = args.at(-1)
  const listener = typeof last === 'function' ? last : undefined
  if (typeof first === 'object' && first !== null) return [first as MptcpConnectOptions, listener]
  // As Node tells a path from a port: what is not a number.
  if (typeof first === 'string' && !(Number(first) >= 0)) return [undefined, listener]
  return [{ port: first as number, ...(typeof second === 'string' ? { host: second } : {}) }, listener]
}

/** By the mark that Node puts on arguments that it has put in order; any other array is for it to refuse. */
function isNormalized(value: unknown): value is unknown[] {
  if (!Array.isArray(value)) return false
  return Object.getOwnPropertySymbols(value).some(({ description }) => description === 'normalizedArgs')
}

/** The type of Node's constructor options and of its IPC form, for `connect()`'s declarations. */
export type { IpcNetConnectOpts, SocketConstructorOpts }

/** As Node tells: http.Agent hands on `path: null` for what is no pipe. */
export function isPipe(options: object): boolean {
  return Boolean((options as { path?: string | null }).path)
}

/** @internal */
export function memoryOf(cookies: CookieStore | undefined): ConverterMemory {
  if (!cookies) return threadMemory
  const memory = memories.get(cookies) ?? new ConverterMemory(cookies)
  memories.set(cookies, memory)
  return memory
}

/**
 * Sets what Node keeps and asks its handle for at once: while we connect, that has no descriptor to set it on.
 *
 * @internal
 */
export function withoutDescriptor(socket: Socket, set: () => unknown): void {
  try {
    set()
  } catch (error) {
    if (!socket.connecting || (error as NodeJS.ErrnoException).code !== 'EBADF') throw error
  }
}

/** Whether its handle is open already. */
export function opened(socket: Socket): boolean {
  const handle = (socket as unknown as { _handle: { fd?: number } | null })._handle
  return !socket.destroyed && handle !== null && (handle.fd ?? -1) >= 0
}

/** `(enable[, delay[, interval[, count]]])`, or as one object in newer versions of Node; times in milliseconds. */
function keepAliveOf(args: unknown[]): KeepAlive {
  const [first, ...more] = args
  const given = first as { enable?: unknown; initialDelay?: unknown; interval?: unknown; count?: unknown }
  const isObject = more.every(each => each === undefined) && typeof first === 'object' && first !== null
  const [enable, delay, interval, count] =
    isObject && 'enable' in given ? [given.enable, given.initialDelay, given.interval, given.count] : args
  const seconds = (milliseconds: unknown) => Math.trunc((milliseconds as number) / 1000) | 0
  return [Boolean(enable), seconds(delay), interval === undefined ? undefined : seconds(interval), count as undefined]
}
