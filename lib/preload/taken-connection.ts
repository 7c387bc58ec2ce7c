/**
 * A connection of a net.Socket that is not ours: what `MptcpSocket` does by overriding methods is done by properties of
 * the one socket.
 */
import { Socket, type TcpNetConnectOpts } from 'node:net'
import type { Settings } from '../input/options.js'
import type { ConverterMemory } from '../policy/connect/converter-memory.js'
import { Connecting, protocolNow } from '../runtime/connect/connecting.js'
import { type Chunk, type WriteDone, writeEarly } from '../runtime/connect/early-writes.js'
import { emptyReport, type MptcpReport } from '../runtime/connect/report.js'
import type { Steerer } from '../runtime/connect/steerer.js'
import { whenEndMayBeSent } from '../runtime/stream/end-of-sending.js'
import { endsInstead } from '../runtime/stream/end-of-stream.js'
import { closeLikeTcp } from '../runtime/stream/lingering-close.js'
import { withoutDescriptor } from '../socket/socket.js'
import type { Resting } from './resting.js'

const taken = new WeakMap<Socket, TakenConnection>()

export class TakenConnection {
  /** What to call Node's own `connect` with. */
  readonly nodeOptions: TcpNetConnectOpts
  readonly #socket: Socket
  readonly #steerer: Steerer
  readonly #resting: Resting | undefined
  readonly #report: Partial<MptcpReport>
  #connecting: Connecting | undefined

  constructor(
    socket: Socket,
    options: TcpNetConnectOpts,
    settings: Settings,
    memory: ConverterMemory,
    steerer: Steerer,
    resting?: Resting,
  ) {
    this.#socket = socket
    this.#steerer = steerer
    this.#resting = resting
    taken.get(socket)?.release()
    const opened = () => {
      this.#connecting = undefined // a connection lives longer than what made it
      setWhatNodeWouldSet(socket)
    }
    const connecting = new Connecting(socket, options, settings, memory, opened, steerer, () => this.release())
    this.#connecting = connecting
    this.#report = connecting.report
    this.nodeOptions = connecting.nodeOptions
    const early = mayWriteEarly(socket)
    Object.defineProperties(socket, early ? { ...TAKEN, ...WRITING_EARLY } : TAKEN)
    taken.set(socket, this)
  }

  get report(): Readonly<MptcpReport> {
    const report = { ...emptyReport(), ...this.#report }
    return { ...report, ...protocolNow(this.#socket, report) }
  }

  /** Bytes that did not go through the socket's handle. */
  get dispatched(): number {
    return this.#connecting?.pending.length ?? this.#report.pipelinedBytes ?? 0
  }

  get connecting(): Connecting | undefined {
    return this.#connecting
  }

  /** Whether the event loop waits for it. */
  keepAlive(on: boolean): void {
    this.#connecting?.keepAlive(on)
    if (on) this.#resting?.delete(this.#socket)
    else if (!this.#socket.destroyed) this.#resting?.add(this.#socket)
  }

  closing(): void {
    this.#connecting?.cancel()
    this.#resting?.delete(this.#socket)
    this.#steerer.closing?.()
    if (this.#report.protocol && !this.#socket.connecting) closeLikeTcp(this.#socket)
  }

  /** The socket is Node's again. */
  release(): void {
    this.#connecting?.cancel()
    this.#resting?.delete(this.#socket)
    for (const name of Object.keys({ ...TAKEN, ...WRITING_EARLY }))
      delete (this.#socket as unknown as Record<string, unknown>)[name]
    taken.delete(this.#socket)
  }
}

/** What Node's types do not tell of. */
type OwnName = '_bytesDispatched' | '_final' | 'setTypeOfService' | 'getTypeOfService'

/** What the class of the socket has under this name. */
function own(socket: Socket, name: keyof Socket | OwnName): never {
  return Reflect.get(Object.getPrototypeOf(socket), name, socket) as never
}

type Method = (...args: unknown[]) => unknown

const TAKEN: PropertyDescriptorMap = {
  mptcp: {
    configurable: true,
    get(this: Socket) {
      return taken.get(this)?.report
    },
  },
  destroy: {
    configurable: true,
    writable: true,
    value(this: Socket, error?: Error) {
      return endsInstead(this, error) ? this : Reflect.apply(own(this, 'destroy') as Method, this, [error])
    },
  },
  _final: {
    configurable: true,
    writable: true,
    value(this: Socket, done: WriteDone) {
      const final = () => Reflect.apply(own(this, '_final') as Method, this, [done])
      if (this.connecting) final()
      else whenEndMayBeSent(this, final)
    },
  },
  _destroy: {
    configurable: true,
    writable: true,
    value(this: Socket, error: Error | null, done: WriteDone) {
      taken.get(this)?.closing()
      Reflect.apply(own(this, '_destroy') as Method, this, [error, done])
    },
  },
  _bytesDispatched: {
    configurable: true,
    get(this: Socket) {
      return (own(this, '_bytesDispatched') as number) + (taken.get(this)?.dispatched ?? 0)
    },
  },
  ref: {
    configurable: true,
    writable: true,
    value(this: Socket) {
      taken.get(this)?.keepAlive(true)
      return Reflect.apply(own(this, 'ref') as Method, this, [])
    },
  },
  unref: {
    configurable: true,
    writable: true,
    value(this: Socket) {
      taken.get(this)?.keepAlive(false)
      return Reflect.apply(own(this, 'unref') as Method, this, [])
    },
  },
  // Only where Node has them: programs ask whether it does.
  ...('setTypeOfService' in Socket.prototype && {
    setTypeOfService: {
      configurable: true,
      writable: true,
      value(this: Socket, value: number) {
        withoutDescriptor(this, () => Reflect.apply(own(this, 'setTypeOfService') as Method, this, [value]))
        return this
      },
    },
    getTypeOfService: {
      configurable: true,
      writable: true,
      value(this: Socket) {
        if (this.connecting) return wish(this, 'kSetTOS') ?? 0
        return Reflect.apply(own(this, 'getTypeOfService') as Method, this, [])
      },
    },
  }),
}

const WRITING_EARLY: PropertyDescriptorMap = {
  _write: {
    configurable: true,
    writable: true,
    value(this: Socket, chunk: Chunk['chunk'], encoding: BufferEncoding, done: WriteDone) {
      if (!writeEarly(this, taken.get(this)?.connecting, [{ chunk, encoding }], done))
        Socket.prototype._write.call(this, chunk, encoding, done)
    },
  },
  _writev: {
    configurable: true,
    writable: true,
    value(this: Socket, chunks: Chunk[], done: WriteDone) {
      if (!writeEarly(this, taken.get(this)?.connecting, chunks, done))
        Socket.prototype._writev?.call(this, chunks, done)
    },
  },
}

/**
 * Only what would be written to the connection as it is. A socket that has a handle before it connects is a TLSSocket
 * (or the like), whose bytes are to be encrypted; a subclass with a `_write` of its own may do anything with them.
 */
function mayWriteEarly(socket: Socket): boolean {
  const { _handle: handle } = socket as unknown as { _handle: object | null }
  const plain = socket._write === Socket.prototype._write && socket._writev === Socket.prototype._writev
  return plain && (handle === null || socket.destroyed)
}

interface Handle {
  setNoDelay?(on: boolean): number
  setKeepAlive?(on: boolean, ...rest: unknown[]): number
  setTypeOfService?(value: number): number
}

/** Where Node keeps what was asked for before there was a connection: under symbols of its own. */
const symbols = new Map<string, symbol>()

function wish(socket: Socket, name: string): unknown {
  const symbol = symbols.get(name) ?? Object.getOwnPropertySymbols(socket).find(key => key.description === name)
  if (!symbol) return undefined
  symbols.set(name, symbol)
  return (socket as unknown as Record<symbol, unknown>)[symbol]
}

/** As Node does after a connect of its own: no delay, keep-alive, type of service. */
function setWhatNodeWouldSet(socket: Socket): void {
  const { _handle: handle } = socket as unknown as { _handle: Handle | null }
  if (wish(socket, 'kSetNoDelay')) handle?.setNoDelay?.(true)
  if (wish(socket, 'kSetKeepAlive')) {
    const how = ['kSetKeepAliveInitialDelay', 'kSetKeepAliveInterval', 'kSetKeepAliveCount']
    handle?.setKeepAlive?.(true, ...how.map(name => wish(socket, name)))
  }
  const typeOfService = wish(socket, 'kSetTOS')
  if (typeof typeOfService === 'number') handle?.setTypeOfService?.(typeOfService)
}
