/** `createServer()`: a net.Server that listens with MPTCP. */
import diagnostics from 'node:diagnostics_channel'
import { type ListenOptions, Server, type ServerOpts, Socket } from 'node:net'
import { AtsssError } from '../errors.js'
import { OptionNames, oneOf } from '../input/check.js'
import { isMptcpSocket, openListenSocket } from '../runtime/kernel/listen-socket.js'
import { native } from '../runtime/kernel/native.js'
import {
  checkForListeners,
  dropHandle,
  fdOf,
  hasHandle,
  type ListenArguments,
  listenAsNode,
  overrideListen,
  serverOf,
  setConnectionKey,
} from '../runtime/kernel/node-socket.js'
import { protocolOf } from '../runtime/kernel/open-socket.js'
import { whenEndMayBeSent } from '../runtime/stream/end-of-sending.js'
import { closeLikeTcp } from '../runtime/stream/lingering-close.js'

/** What `createServer` takes beyond net.createServer's own options. */
export interface MptcpServerOptions {
  /**
   * MPTCP for this listener: `prefer` listens with TCP where the kernel lacks it (`server.mptcp` says so), `require`
   * fails with `ERR_MPTCP_UNSUPPORTED` instead, `off` is net.Server. A peer without MPTCP is served over TCP in any
   * case; `socket.mptcp` says what it speaks.
   *
   * @defaultValue 'prefer'
   */
  mptcp?: 'prefer' | 'require' | 'off'
}

/** What a listener, or a connection that it has taken, speaks. */
export interface ServerReport {
  /** As of now; undefined when it is closed, and for a pipe. */
  protocol: 'mptcp' | 'tcp' | undefined
  /** Why it is TCP, although MPTCP was wanted. */
  fallback: string | undefined
}

type ConnectionListener = (socket: AcceptedSocket) => void

/**
 * A net.Server that listens with MPTCP, so that peers with several addresses can use them all. Its options are
 * net.createServer's and {@link MptcpServerOptions}.
 *
 * @throws ERR_ATSSS_OPTION, and what net.createServer throws for its own options. What goes wrong later is an `'error'`.
 *
 * @example
 * const server = createServer(socket => socket.pipe(socket)).listen(8080)
 * // HTTP over it:
 * const web = http.createServer(handler)
 * createServer(socket => web.emit('connection', socket)).listen(80)
 */
export function createServer(connectionListener?: ConnectionListener): MptcpServer
export function createServer(
  options?: ServerOpts & MptcpServerOptions,
  connectionListener?: ConnectionListener,
): MptcpServer
export function createServer(
  ...args: [(ServerOpts & MptcpServerOptions) | ConnectionListener | undefined]
): MptcpServer {
  return new MptcpServer(...args)
}

/** A net.Server in everything except the protocol of its socket. */
export class MptcpServer extends Server {
  readonly #wish: 'prefer' | 'require' | 'off'
  #report = NOTHING
  #reusePort = false
  /** Why no listener of ours can be opened on this Node. */
  #lacking: AtsssError | undefined

  /** @throws ERR_ATSSS_OPTION for an impossible or misspelled option */
  constructor(
    options?: (ServerOpts & MptcpServerOptions) | ConnectionListener,
    connectionListener?: ConnectionListener,
  ) {
    const wish = checked(options)
    super(options as ServerOpts, connectionListener as (socket: Socket) => void)
    this.#wish = wish
  }

  /** What the listener speaks; once it is closed, what it spoke. */
  get mptcp(): Readonly<ServerReport> {
    return this.#report
  }

  override listen(...args: unknown[]): this {
    this.#lacking = this.#wish === 'off' ? undefined : checkForListeners()
    if (this.#lacking && this.#wish === 'require') {
      this.#failed(this.#lacking)
      return this
    }
    // Node may bind without calling us.
    if (this.#lacking) this.#report = { protocol: 'tcp', fallback: this.#lacking.message }
    const [options, ...more] = args as [ListenOptions & { reusePort?: boolean }, ...unknown[]]
    this.#reusePort = options?.reusePort === true
    // As Node does from version 22.12 on: a port that is shared by SO_REUSEPORT is not the cluster's to share.
    const all = this.#reusePort ? [{ ...options, exclusive: true }, ...more] : args
    return (super.listen as (...args: unknown[]) => this)(...all)
  }

  override emit(event: string | symbol, ...args: unknown[]): boolean {
    const [socket] = args
    // Node makes these sockets, and has no hook for their class. V8 keeps the change of prototype as a transition between
    // hidden classes, so after the first socket it costs less than defining properties on each.
    if (event === 'connection' && socket && Object.getPrototypeOf(socket) === Socket.prototype)
      Object.setPrototypeOf(socket, AcceptedSocket.prototype)
    return super.emit(event as 'connection', ...(args as [Socket]))
  }

  static {
    overrideListen(MptcpServer.prototype, function (...args) {
      const [address, port, , , fd] = args
      this.#report = NOTHING
      if (port === PIPE && address) return listenAsNode(this, args)
      if (this.#lacking) {
        this.#report = { protocol: 'tcp', fallback: this.#lacking.message }
        return listenAsNode(this, args)
      }
      const given = hasHandle(this) ? (fdOf(this) ?? -1) : fd
      if (given !== undefined) return this.#listenOn(given, args)
      if (this.#wish !== 'off') return this.#listen(this.#wish, args)
      this.#report = TCP
      listenAsNode(this, args)
    })
  }

  #listen(mptcp: 'prefer' | 'require', args: ListenArguments): void {
    const [address, port, family, backlog, , flags] = args
    try {
      const listening = openListenSocket({
        mptcp,
        address: address ?? undefined,
        family: family === 6 ? 6 : 4,
        port: port ?? 0,
        backlog: backlog || DEFAULT_BACKLOG,
        ipv6Only: ((flags ?? 0) & UV_TCP_IPV6ONLY) !== 0,
        reusePort: this.#reusePort,
      })
      native().release(listening.fd)
      const { name: protocol, why: fallback } = listening.protocol
      this.#report = { protocol, fallback }
      listenAsNode(this, [null, null, listening.family, backlog, listening.fd, flags])
      setConnectionKey(this, `${listening.family}:${listening.address}:${port}`)
    } catch (error) {
      const { code, message } = error as AtsssError
      if (code !== 'ERR_ATSSS_ADDON' || mptcp === 'require') return this.#failed(error as Error)
      this.#report = { protocol: 'tcp', fallback: message }
      listenAsNode(this, args)
    }
  }

  /** On a descriptor of the application's, or on the handle of a cluster's primary process. */
  #listenOn(fd: number, args: ListenArguments): void {
    const fallback = fd < 0 ? OF_THE_PRIMARY : GIVEN
    if (isMptcpSocket(fd)) this.#report = { protocol: 'mptcp', fallback: undefined }
    else if (this.#wish !== 'require') this.#report = this.#wish === 'off' ? TCP : { protocol: 'tcp', fallback }
    else {
      dropHandle(this)
      return this.#failed(new AtsssError('ERR_MPTCP_UNSUPPORTED', fallback))
    }
    listenAsNode(this, args)
  }

  #failed(error: Error): void {
    const { error: channel } = diagnostics.tracingChannel('net.server.listen')
    if (channel.hasSubscribers) channel.publish({ server: this, error })
    process.nextTick(() => this.emit('error', error))
  }
}

/** A connection that a listener has taken: a net.Socket that can say what it speaks. */
export class AcceptedSocket extends Socket {
  /** What the connection speaks: a peer may lack MPTCP, and a connection may fall back from it. */
  get mptcp(): Readonly<ServerReport> {
    const fd = fdOf(this)
    if (fd === undefined) return NOTHING
    const { name, why } = protocolOf(fd, undefined)
    if (name === 'mptcp') return { protocol: 'mptcp', fallback: undefined }
    const listener = (serverOf(this) as MptcpServer | undefined)?.mptcp
    return { protocol: 'tcp', fallback: listener?.protocol === 'mptcp' ? why : listener?.fallback }
  }

  override _final(done: (error?: Error | null) => void): void {
    whenEndMayBeSent(this, () => super._final(done))
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    closeLikeTcp(this)
    super._destroy(error, done)
  }
}

function checked(options: unknown): 'prefer' | 'require' | 'off' {
  if (typeof options !== 'object' || options === null) return 'prefer'
  OPTIONS.refuseMisspelled(options)
  return oneOf('mptcp', (options as MptcpServerOptions).mptcp, ['prefer', 'require', 'off'], 'prefer')
}

const OPTIONS = new OptionNames(['mptcp'])
/** In place of a port, Node's mark of a pipe. */
const PIPE = -1
/** Node's default. */
const DEFAULT_BACKLOG = 511
/** libuv's uv.h. */
const UV_TCP_IPV6ONLY = 1

const NOTHING: ServerReport = Object.freeze({ protocol: undefined, fallback: undefined })
const TCP: ServerReport = Object.freeze({ protocol: 'tcp', fallback: undefined })

const OF_THE_PRIMARY =
  "In a cluster's worker the primary process listens, with TCP: listen({ port, reusePort: true }), or a listener that the primary sends"
const GIVEN = 'The descriptor that it was given is a TCP socket'
