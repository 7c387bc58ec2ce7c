/** `session.createServer()`: a service on the device, which remote hosts reach through the session's converters. RFC 8803 §5.2. */
import { addAbortListener, EventEmitter } from 'node:events'
import type { AddressInfo } from 'node:net'
import { AtsssError } from '../errors.js'
import { emitToApplication } from '../input/application.js'
import type { ConverterSpec } from '../input/options.js'
import type { Permit } from '../policy/rules/permit.js'
import type { AccessType } from '../policy/rules/rule.js'
import type { Steerer } from '../runtime/connect/steerer.js'
import { AccessListener } from '../runtime/incoming/access-listener.js'
import { ExternalAddress } from '../runtime/incoming/external-address.js'
import type { External } from '../runtime/incoming/pcp-mapping.js'
import { type Received, Reception, type RefusalReason } from '../runtime/incoming/reception.js'
import { synDataNotTaken } from '../runtime/kernel/fast-open.js'
import { native } from '../runtime/kernel/native.js'
import { type LinkMonitor, type NetworkState, openLinkMonitor } from '../runtime/network/link-monitor.js'
import { isFollowed, noteConnected } from '../socket/channels.js'
import type { MptcpSocket } from '../socket/socket.js'
import { PCP_PROTOCOL } from '../wire/pcp/index.js'
import { acceptSocket, destinationOf } from './accept.js'
import { ConverterAddresses } from './converter-addresses.js'
import {
  type ConnectionListener,
  type ListenSettings,
  resolveListen,
  resolveServer,
  type SessionServerOptions,
  type SessionServerSettings,
} from './server-options.js'
import { refuseWhenClosed, type SessionSteering } from './steering.js'

export interface SessionServerEvents {
  listening: []
  /** A connection from a remote host. `remoteAddress` and `remotePort` are the remote host's. */
  connection: [socket: MptcpSocket]
  /** Listening failed. */
  error: [error: Error]
  /** Closed, and all connections have ended. */
  close: []
  /** As net.Server's: more connections than `maxConnections`. */
  drop: [data: { remoteAddress: string; remotePort: number }]
  /** Remote hosts reach the server at `external` from now on, or no longer. `changed`: and no longer at `before`. */
  mapping: [change: { change: 'made' | 'changed' | 'lost'; external: External; before?: External; why: string }]
  /**
   * A connection was reset. Either a converter did not open it as it should, and the address is the one that it came from; or the
   * session's rules refuse it (`by-rule`), and the address is the remote host's.
   */
  refused: [refused: { why: RefusalReason | 'by-rule'; address: string | undefined; port: number | undefined }]
  /** A PCP server refuses or does not answer, or this machine lacks something. The server keeps trying. */
  problem: [error: Error]
}

/** How many connections were refused, by reason. */
export type Refusals = Partial<Record<RefusalReason | 'by-rule', number>>

/** What a server needs of its session. */
export interface ServerHost {
  steering: SessionSteering
  /** As they are now: the network may name others. */
  converters(): readonly ConverterSpec[]
  allowLoopback: boolean
  /** Those of the session that listen, which `session.close()` closes. */
  servers: Set<SessionServer>
  /** Reports what the machine lacks for 0-RTT. */
  degraded(message: string): void
}

/** In the shape of net.Server. */
export class SessionServer extends EventEmitter<SessionServerEvents> {
  /** As net.Server's. */
  maxConnections: number | undefined
  readonly #settings: SessionServerSettings
  readonly #host: ServerHost
  readonly #receptions = new Set<Reception>()
  readonly #connections = new Set<MptcpSocket>()
  readonly #refusals: Refusals = {}
  #converters: ConverterAddresses | undefined
  #listener: AccessListener | undefined
  #external: ExternalAddress | undefined
  #links: LinkMonitor | undefined
  #state: 'idle' | 'opening' | 'listening' | 'closing' = 'idle'
  /** Counts calls of `listen()`: one that was closed may still be opening when the next one begins. */
  #opening = 0
  #ref = true
  #ignoreSignal = (): void => {}
  /** Called when the server has closed, whatever the application's listeners do. */
  #whenClosed: (() => void)[] = []

  /** @internal `session.createServer` makes it. @throws ERR_ATSSS_OPTION */
  constructor(host: ServerHost, options: SessionServerOptions = {}, listener?: ConnectionListener) {
    super()
    this.#settings = resolveServer(options)
    if (host.converters().length === 0)
      throw new AtsssError(
        'ERR_ATSSS_OPTION',
        'A server is reached through converters, and its session has none: give new MaPduSession() the option "converters"',
      )
    this.#host = host
    if (listener) this.on('connection', listener)
  }

  /** The session has other converters now. @internal */
  convertersReplaced(): void {
    this.#converters?.replace(this.#host.converters())
  }

  /** The machine was suspended. @internal */
  resumed(): void {
    this.#converters?.refresh()
    this.#external?.requestAgain()
  }

  get listening(): boolean {
    return this.#state === 'listening'
  }

  /** Connections that were refused since the start, by reason. */
  get refusals(): Readonly<Refusals> {
    return this.#refusals
  }

  /**
   * Listens on this port over both accesses, and asks for a mapping of it. `'listening'` comes when the port is open, `'mapping'`
   * when remote hosts can reach it. What goes wrong is an `'error'`: a system error as net.Server's, or `ERR_CONVERT_NOT_FOUND`.
   *
   * @throws ERR_ATSSS_CLOSED, ERR_ATSSS_OPTION for options of net.Server's that would have no effect; and what net.Server throws
   */
  listen(port?: number, listener?: () => void): this
  listen(port: number, host: '::' | '0.0.0.0', backlog?: number, listener?: () => void): this
  listen(options: { port?: number; backlog?: number; signal?: AbortSignal }, listener?: () => void): this
  listen(listener?: () => void): this
  listen(...args: unknown[]): this {
    refuseWhenClosed(this.#host.steering)
    if (this.#state !== 'idle')
      throw Object.assign(new Error('Listen method has been called more than once without closing.'), {
        code: 'ERR_SERVER_ALREADY_LISTEN',
      })
    return this.#start(resolveListen(args))
  }

  /** Where it listens, on every address of the accesses; `null` while it does not. */
  address(): AddressInfo | null {
    return this.listening ? { address: '::', family: 'IPv6', port: this.#listener!.port } : null
  }

  /** Where remote hosts reach it: the oldest mapping's address; `null` while there is none. */
  externalAddress(): AddressInfo | null {
    return this.externalAddresses()[0] ?? null
  }

  /** One for each PCP server and IP version. */
  externalAddresses(): AddressInfo[] {
    const externals = this.#external?.externals ?? []
    return externals.map(({ address, port }) => ({ address, port, family: address.includes(':') ? 'IPv6' : 'IPv4' }))
  }

  getConnections(callback: (error: Error | null, count: number) => void): this {
    process.nextTick(callback, null, this.#connections.size)
    return this
  }

  /** Stops listening and deletes the mapping; `callback` and `'close'` come when all connections have ended. */
  close(callback?: (error?: Error) => void): this {
    if (callback) {
      if (this.#state === 'idle') process.nextTick(callback, notRunning())
      else this.once('close', () => callback())
    }
    if (this.#state === 'idle' || this.#state === 'closing') return this
    this.#state = 'closing'
    this.#stop()
    void Promise.resolve(this.#external?.close()).then(() => {
      this.#external = undefined
      this.#endWhenEmpty()
    })
    for (const reception of [...this.#receptions]) reception.refuse('ended')
    return this
  }

  ref(): this {
    this.#ref = true
    this.#listener?.ref(true)
    return this
  }

  unref(): this {
    this.#ref = false
    this.#listener?.ref(false)
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#state === 'idle') return
    await new Promise<void>(resolve => {
      this.#whenClosed.push(resolve)
      this.close()
    })
  }

  #start({ port, backlog, signal, listener }: ListenSettings): this {
    if (listener) this.once('listening', listener)
    this.#state = 'opening'
    const opening = ++this.#opening
    if (signal) this.#follow(signal, opening)
    this.#host.servers.add(this)
    this.#open(opening, port, backlog).catch((error: Error) => {
      if (opening !== this.#opening || this.#state !== 'opening') return
      this.#stop()
      this.#state = 'idle'
      emitToApplication(this, 'error', error)
    })
    return this
  }

  /** The signal closes what this `listen()` has opened, and no later one. */
  #follow(signal: AbortSignal, opening: number): void {
    const close = () => {
      if (opening === this.#opening) this.close()
    }
    if (signal.aborted) return process.nextTick(close)
    const following = addAbortListener(signal, close)
    this.#ignoreSignal = () => following[Symbol.dispose]()
  }

  async #open(opening: number, port: number, backlog: number): Promise<void> {
    const hold = setInterval(() => {}, 60_000) // keeps the process until there is a socket that does
    try {
      native()
      const converters = new ConverterAddresses(this.#host.converters(), () => this.#convertersMoved())
      const links = await converters
        .open()
        .then(() => openLinkMonitor())
        .catch(error => {
          converters.close()
          throw error
        })
      if (opening !== this.#opening || this.#state !== 'opening') {
        converters.close()
        return links.close()
      }
      this.#converters = converters
      this.#links = links
      this.#listener = new AccessListener({
        ...{ accesses: this.#host.steering.accesses, backlog, fastOpen: this.#settings.fastOpen },
        accept: (fd, access) => this.#accept(fd, access),
        failed: error => this.#emitLater('problem', error),
      })
      this.#listener.open(port, links.state)
      this.#listener.ref(this.#ref)
      links.on('change', (_, state) => this.#linksChanged(state))
      links.on('error', error => this.#emitLater('problem', error))
      this.#map(links)
      this.#state = 'listening'
    } finally {
      clearInterval(hold)
    }
    process.nextTick(() => {
      if (opening !== this.#opening || !this.listening) return
      const lacking = this.#settings.fastOpen ? synDataNotTaken(this.#listener!.takesSynData) : undefined
      emitToApplication(this, 'listening')
      if (lacking) this.#host.degraded(lacking)
    })
  }

  /** Closes everything but the mapping and the connections. */
  #stop(): void {
    this.#ignoreSignal()
    this.#ignoreSignal = () => {}
    this.#host.servers.delete(this)
    this.#listener?.close()
    this.#links?.close()
    this.#converters?.close()
  }

  #linksChanged(state: NetworkState): void {
    this.#listener?.follow(state)
    this.#converters?.refresh()
  }

  #convertersMoved(): void {
    if (this.#settings.pcpServers === 'converters') this.#external?.useConverters(this.#converters!.all)
  }

  #map(links: LinkMonitor): void {
    const { external, lifetime, filters, pcpServers } = this.#settings
    const internalPort = this.#listener!.port
    const configured = typeof pcpServers === 'string' ? [] : pcpServers
    this.#external = new ExternalAddress({
      accesses: this.#host.steering.accesses,
      links,
      servers: { configured, converters: pcpServers === 'converters' ? this.#converters!.all : [] },
      preferred: () => this.#host.steering.preferredAccess,
      wish: {
        ...{ protocol: PCP_PROTOCOL.tcp, internalPort, lifetime, filters, required: external.required },
        external: { address: external.address, port: external.port ?? internalPort },
      },
    })
    this.#external.on('made', made => this.#emitLater('mapping', { change: 'made', external: made, why: '' }))
    this.#external.on('changed', (to, before, why) =>
      this.#emitLater('mapping', { change: 'changed', external: to, before, why }),
    )
    this.#external.on('lost', (lost, why) => this.#emitLater('mapping', { change: 'lost', external: lost, why }))
    this.#external.on('problem', error => this.#emitLater('problem', error))
  }

  #accept(fd: number, access: AccessType): void {
    const rules = {
      isConverter: (address: string) => this.#converters!.has(address),
      ...{ messageTimeout: this.#settings.messageTimeout, allowLoopback: this.#host.allowLoopback },
    }
    const reception: Reception = new Reception(
      fd,
      rules,
      received => {
        this.#receptions.delete(reception)
        this.#take(received, access)
      },
      (why, peer) => {
        this.#receptions.delete(reception)
        this.#refused(why, peer)
      },
    )
    this.#receptions.add(reception)
    reception.start()
  }

  /** Hands a connection to the application, or resets it. */
  #take(received: Received, access: AccessType): void {
    const { fd, remote, peer } = received
    if (this.maxConnections !== undefined && this.#connections.size >= this.maxConnections) {
      native().reset(fd)
      emitToApplication(this, 'drop', { remoteAddress: remote.address, remotePort: remote.port })
      return
    }
    const { steering } = this.#host
    const destination = destinationOf(received)
    let permitted: Permit
    try {
      permitted = steering.permit(destination, `from ${remote.address}:${remote.port}`)
    } catch {
      native().reset(fd)
      return this.#refused('by-rule', remote)
    }
    let socket: MptcpSocket
    try {
      const steerer = this.#steererOf(() => socket)
      socket = acceptSocket(received, steering.interfaceOf(access), this.#settings, steerer)
    } catch (error) {
      emitToApplication(this, 'problem', error)
      return
    }
    // The port that the converter has connected from accepts no subflows: it announces where it does.
    steering.steer(socket, destination, access, { fd, remote: undefined, family: peer.family })
    this.#connections.add(socket)
    steering.reportDegraded(permitted)
    steering.connected(received.protocol.name)
    if (isFollowed()) noteConnected(socket, destination, socket.mptcp, steering.session, true)
    if (!socket.destroyed) emitToApplication(this, 'connection', socket)
  }

  /** The session's, which also notices when a connection of this server has ended, as net.Server does. */
  #steererOf(socket: () => MptcpSocket): Steerer {
    const steerer = this.#host.steering.steererOf(socket)
    const closed = () => {
      steerer.closed?.()
      if (this.#connections.delete(socket())) this.#endWhenEmpty()
    }
    return { ...steerer, closed }
  }

  #refused(why: RefusalReason | 'by-rule', peer: External | undefined): void {
    this.#refusals[why] = (this.#refusals[why] ?? 0) + 1
    emitToApplication(this, 'refused', { why, address: peer?.address, port: peer?.port })
  }

  /** For what is reported from the middle of our own work: the listeners are called when that is done. */
  #emitLater<E extends keyof SessionServerEvents>(event: E, ...args: SessionServerEvents[E]): void {
    process.nextTick(() => emitToApplication(this, event, ...args))
  }

  #endWhenEmpty(): void {
    if (this.#state !== 'closing' || this.#external || this.#connections.size > 0) return
    this.#state = 'idle'
    for (const call of this.#whenClosed.splice(0)) call()
    this.#emitLater('close')
  }
}

function notRunning(): Error {
  return Object.assign(new Error('Server is not running.'), { code: 'ERR_SERVER_NOT_RUNNING' })
}
