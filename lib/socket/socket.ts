/** `MptcpSocket`: a net.Socket whose connection is made over MPTCP, and through Transport Converters when there are any. */
import {
  type IpcNetConnectOpts,
  Socket,
  type SocketConnectOpts,
  type SocketConstructorOpts,
  type TcpNetConnectOpts,
} from 'node:net'
import type { TLSSocket } from 'node:tls'
import { hasOurOptions, type MptcpOptions, resolveOptions, type Settings } from '../input/options.js'
import { emptyReport, type MptcpReport } from '../runtime/connect/report.js'
import type { Steerer } from '../runtime/connect/steerer.js'
import { isOpen, showPeer } from '../runtime/kernel/node-socket.js'
import { callForm, isPipe } from './call-form.js'
import { Connection } from './connection.js'
import { overrides, overridesOfWriting } from './overrides.js'

export type { MptcpConnectOptions } from './call-form.js'
/** The type of Node's constructor options and of its IPC form, for `connect()`'s declarations. */
export type { IpcNetConnectOpts, SocketConstructorOpts }

/** Options of newer versions of Node than the types describe. */
interface NewerOptions {
  typeOfService?: number
  keepAliveInterval?: number
  keepAliveCount?: number
}

type Listener = () => void

/**
 * A net.Socket in everything but how it connects: `'connect'` comes once the converter has confirmed the server's
 * answer, and `remoteAddress` and `remotePort` are the server's (RFC 8803 §4.2).
 *
 * @example
 * const socket = new MptcpSocket({ converters: '192.0.2.1:5124' })
 * socket.connect(443, 'example.com')
 */
export class MptcpSocket extends Socket {
  #defaults: MptcpOptions
  readonly #steerer: Steerer | undefined
  /** Of the constructor's options, until the first `connect`, which is mostly called with the same options. */
  #settings: Settings | undefined
  #connection: Connection | undefined

  /** @throws ERR_ATSSS_OPTION for an impossible or misspelled option */
  constructor(options?: SocketConstructorOpts & MptcpOptions)
  /** @internal A session's; applications call its `connect`. */
  constructor(options: SocketConstructorOpts & MptcpOptions, steerer: Steerer)
  constructor(options?: SocketConstructorOpts & MptcpOptions, steerer?: Steerer) {
    const settings = resolveOptions(options ?? {}, steerer !== undefined)
    super(options)
    this.#settings = settings
    this.#defaults = options ?? NO_OPTIONS
    this.#steerer = steerer
  }

  /**
   * The socket of a connection that has come in.
   *
   * @param peer the remote host
   * @internal
   */
  static accepted(
    options: SocketConstructorOpts & { fd: number },
    report: Partial<MptcpReport>,
    peer: { address: string; port: number },
    steerer: Steerer,
  ): MptcpSocket {
    const socket = new MptcpSocket({ readable: true, writable: true, ...options }, steerer)
    socket.#connection = Connection.accepted(socket, report, steerer)
    showPeer(socket, peer)
    return socket
  }

  /**
   * TLS has been put above a socket that is being connected: its ClientHello may leave before `'connect'`.
   *
   * @param carrier one of another copy of this package is left as it is
   * @internal
   */
  static secure(carrier: Socket, secure: TLSSocket): void {
    if (#connection in carrier) (carrier as MptcpSocket).#connection?.secure(secure)
  }

  static {
    // Node's constructor already destroys the socket where a signal is aborted: then there is no #connection yet.
    const connectionOf = (socket: Socket) => (#connection in socket ? (socket as MptcpSocket).#connection : undefined)
    Object.defineProperties(MptcpSocket.prototype, {
      ...overrides(connectionOf, () => Socket.prototype),
      ...overridesOfWriting(connectionOf),
    })
  }

  /** What the connection got: protocol, converter, how the Convert message travelled, what the converter said. */
  get mptcp(): Readonly<MptcpReport> {
    return this.#connection?.report ?? emptyReport()
  }

  override connect(options: SocketConnectOpts & MptcpOptions, connectionListener?: Listener): this
  override connect(port: number, host: string, connectionListener?: Listener): this
  override connect(port: number, connectionListener?: Listener): this
  override connect(path: string, connectionListener?: Listener): this
  override connect(...args: unknown[]): this {
    const [options, listener] = callForm(args)
    // Pipes are Node's, and so is every error in the arguments. An open handle is connected already.
    if (!options || isPipe(options) || options.port === undefined || isOpen(this)) {
      const another = !isOpen(this)
      const result = (super.connect as (...args: unknown[]) => this)(...args)
      if (another) this.#connection = undefined
      return result
    }
    const areDefaults = options === this.#defaults
    const known = areDefaults ? this.#settings : undefined
    this.#settings = undefined
    const settings = known ?? resolveOptions({ ...this.#defaults, ...options }, this.#steerer !== undefined)
    if (!areDefaults) setOptions(this, options)
    // They are for further calls of `connect`, and live as long as the socket.
    else if (!hasOurOptions(options)) this.#defaults = NO_OPTIONS
    const before = this.#connection
    const connection = Connection.to(this, options, settings, this.#steerer)
    this.#connection = connection
    try {
      connection.begin(nodeOptions => super.connect(nodeOptions, listener as Listener))
    } catch (error) {
      // Node refuses the arguments: what is being connected goes on.
      connection.cancel()
      this.#connection = before
      throw error
    }
    before?.cancel()
    return this
  }
}

/** Options that net.Socket's constructor takes, and its `connect` does not. */
function setOptions(socket: Socket, options: Partial<TcpNetConnectOpts> & NewerOptions): void {
  const { noDelay, keepAlive, typeOfService } = options
  if (noDelay !== undefined) socket.setNoDelay(noDelay)
  if (keepAlive !== undefined) {
    const { keepAliveInitialDelay, keepAliveInterval, keepAliveCount } = options
    const setKeepAlive = socket.setKeepAlive as (...how: unknown[]) => Socket
    setKeepAlive.call(socket, keepAlive, keepAliveInitialDelay, keepAliveInterval, keepAliveCount)
  }
  const { setTypeOfService } = socket as { setTypeOfService?(value: number): void }
  if (typeOfService !== undefined) setTypeOfService?.call(socket, typeOfService)
}

const NO_OPTIONS: MptcpOptions = {}
