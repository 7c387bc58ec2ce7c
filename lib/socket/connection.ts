/** A connection that is made our way, of a socket of either kind: a `MptcpSocket`, or a net.Socket that the preload has taken. */
import type { Socket, TcpNetConnectOpts } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { CookieStore, Settings } from '../input/options.js'
import { ConverterMemory } from '../policy/connect/converter-memory.js'
import { Connecting, protocolNow } from '../runtime/connect/connecting.js'
import { emptyReport, type MptcpReport, shared } from '../runtime/connect/report.js'
import type { Steerer } from '../runtime/connect/steerer.js'
import { checkForConnections, setOptionsOnHandle } from '../runtime/kernel/node-socket.js'
import { closeLikeTcp } from '../runtime/stream/lingering-close.js'
import { isFollowed, noteBegun, noteClosed, noteConnectError, noteConnected } from './channels.js'

/** What is to happen to a socket's connection besides. One object for many sockets. */
export interface ConnectionHooks {
  /** The steerer leaves the connection to Node. */
  left?(socket: Socket): void
  /** `unref()` was called. */
  unreferenced?(socket: Socket): void
  /** The socket is about to be closed. */
  closing?(socket: Socket): void
}

const NO_HOOKS: ConnectionHooks = {}

/** It lives as long as its socket, so it is kept small: a private method would cost each one a field. */
export class Connection {
  readonly #socket: Socket
  readonly #steerer: Steerer | undefined
  readonly #hooks: ConnectionHooks
  /** What differs from an empty report. */
  #report: Readonly<Partial<MptcpReport>> = {}
  /** Until the connection is there: it lives longer than what made it. */
  #connecting: Connecting | undefined
  /** Whether the handle has counted what left before `'connect'`. */
  #isCounted = false

  private constructor(socket: Socket, steerer: Steerer | undefined, hooks: ConnectionHooks) {
    this.#socket = socket
    this.#steerer = steerer
    this.#hooks = hooks
  }

  /** A connection to be made; `begin` begins it. */
  static to(
    socket: Socket,
    options: TcpNetConnectOpts,
    settings: Settings,
    steerer: Steerer | undefined,
    hooks: ConnectionHooks = NO_HOOKS,
  ): Connection {
    const connection = new Connection(socket, steerer, hooks)
    const memory = memoryOf(settings.cookies)
    const opened = () => {
      const { secureSocket } = connection.#connecting!
      connection.#isCounted = secureSocket !== undefined
      connection.#connecting = undefined
      connection.#report = shared(connection.#report)
      setOptionsOnHandle(socket)
      // What was set on it did not reach the connection, which was not there.
      if (secureSocket && secureSocket !== socket) setOptionsOnHandle(secureSocket)
    }
    const place = () => ({ host: String(options.host || 'localhost'), port: Number(options.port) })
    const established = () => {
      const { protocol } = connection.#report
      if (protocol) steerer?.connected?.(protocol)
      if (isFollowed()) noteConnected(socket, place(), connection.report, steerer?.session)
    }
    const left = hooks.left && (() => hooks.left?.(socket))
    connection.#connecting = new Connecting(socket, options, settings, memory, opened, established, steerer, left)
    if (isFollowed()) noteBegun(socket, place())
    connection.#report = connection.#connecting.report
    return connection
  }

  /** A connection that has come in. */
  static accepted(socket: Socket, report: Partial<MptcpReport>, steerer: Steerer): Connection {
    const connection = new Connection(socket, steerer, NO_HOOKS)
    connection.#report = report
    return connection
  }

  get report(): Readonly<MptcpReport> {
    const report = { ...emptyReport(), ...this.#report }
    return { ...report, ...protocolNow(this.#socket, report) }
  }

  /** Whether a session may move it to another access. */
  get isSteered(): boolean {
    return this.#steerer?.opened !== undefined
  }

  get connecting(): Connecting | undefined {
    return this.#connecting
  }

  /** TLS is to be spoken over the connection. @param secure the socket itself, or a TLSSocket above it */
  secure(secure: TLSSocket): void {
    this.#connecting?.secure(secure)
  }

  /** Bytes that did not leave through the socket's handle. */
  get dispatched(): number {
    if (this.#isCounted || this.#connecting?.secureSocket) return 0
    return this.#connecting?.pending.length ?? this.#report.pipelinedBytes ?? 0
  }

  /** Calls Node's own `connect`. A Node that lacks what we need is an error of the socket, once its `connect` has returned. */
  begin<T>(connectAsNode: (options: TcpNetConnectOpts) => T): T {
    const connecting = this.#connecting!
    const result = connectAsNode(connecting.nodeOptions)
    const error = checkForConnections(this.#socket)
    if (error) this.#socket.destroy(error)
    else if (!connecting.isLookedUp && this.#socket.connecting) connecting.leaveWithReason()
    return result
  }

  /** Gives up what is being made, if it is. */
  cancel(): void {
    this.#connecting?.cancel()
  }

  /** Whether the event loop waits for it. */
  keepAlive(on: boolean): void {
    this.#connecting?.keepAlive(on)
    if (!on && !this.#socket.destroyed) this.#hooks.unreferenced?.(this.#socket)
  }

  /** To be called just before the handle is closed. @param error why, unless the application closes it */
  closing(error: Error | null): void {
    const { session } = this.#steerer ?? {}
    if (this.#connecting) {
      this.#steerer?.failed?.(error ?? undefined)
      if (isFollowed()) noteConnectError(this.#socket, this.#connecting.place, error ?? undefined, session)
    } else if (isFollowed()) noteClosed(this.#socket, error ?? undefined, session)
    this.cancel()
    this.#hooks.closing?.(this.#socket)
    this.#steerer?.closing?.()
    if (this.#report.protocol && !this.#socket.connecting) closeLikeTcp(this.#socket)
  }

  /** To be called when the handle has been closed. */
  closed(): void {
    this.#steerer?.closed?.()
  }
}

/**
 * What this thread's connections have learned of converters: that one did not answer, or what it did not accept. It is
 * module state so that all sockets and sessions of the thread profit from it. There is one memory for each store of
 * cookies, since cookies belong to the code that gave the store, and one for those without a store.
 */
const threadMemory = new ConverterMemory()
const memories = new WeakMap<CookieStore, ConverterMemory>()

function memoryOf(cookies: CookieStore | undefined): ConverterMemory {
  if (!cookies) return threadMemory
  const memory = memories.get(cookies) ?? new ConverterMemory(cookies)
  memories.set(cookies, memory)
  return memory
}
