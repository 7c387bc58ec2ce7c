/** `session.createServer()`: a service of the device's, reached through the session's converters. RFC 8803 §5.2. */
import { EventEmitter } from 'node:events'
import type { AddressInfo } from 'node:net'
import { AtsssError } from '../errors.js'
import { plainAddress } from '../input/addresses.js'
import type { ConverterSpec } from '../input/options.js'
import type { AccessType } from '../policy/rules/rule.js'
import { findConverters } from '../runtime/connect/resolve.js'
import { AccessListener } from '../runtime/incoming/access-listener.js'
import { ExternalAddress } from '../runtime/incoming/external-address.js'
import type { External } from '../runtime/incoming/pcp-mapping.js'
import { type Received, Reception, type Refusal } from '../runtime/incoming/reception.js'
import { native } from '../runtime/kernel/native.js'
import { fastOpenServerOff } from '../runtime/kernel/support.js'
import type { AccessConfig } from '../runtime/network/access-links.js'
import { type LinkMonitor, type NetworkState, openLinkMonitor } from '../runtime/network/link-monitor.js'
import type { MptcpSocket } from '../socket/socket.js'
import { PCP_PROTOCOL } from '../wire/pcp/index.js'
import {
  type ConnectionListener,
  resolveServer,
  type SessionServerOptions,
  type SessionServerSettings,
} from './server-options.js'

export interface SessionServerEvents {
  listening: []
  /** A remote host's connection: `remoteAddress` and `remotePort` are the remote host's. */
  connection: [socket: MptcpSocket]
  /** Listening failed. */
  error: [error: Error]
  /** Closed, and all connections have ended. */
  close: []
  /** As net.Server's: more connections than `maxConnections`. */
  drop: [data: { remoteAddress: string; remotePort: number }]
  /** Remote hosts reach it at `external`, or no longer. `changed`: no longer at `before`. */
  mapping: [change: { change: 'made' | 'changed' | 'lost'; external: External; before?: External; why: string }]
  /**
   * A connection was reset that a converter has not brought as it should, with the address that it came from; or that the
   * session's rules refuse (`by-rule`), with the remote host's.
   */
  refused: [refused: { why: Refusal | 'by-rule'; address: string | undefined; port: number | undefined }]
  /** A PCP server refuses or does not answer, or something is missing here. Asking goes on. */
  problem: [error: Error]
}

/** Connections that were not handed over, by why. */
export type Refusals = Partial<Record<Refusal | 'by-rule', number>>

/** What a server needs of its session. */
export interface ServerHost {
  accesses: Record<AccessType, AccessConfig>
  converters: readonly ConverterSpec[]
  allowLoopback: boolean
  /** Where connections had best begin, by the rules. */
  preferred(): AccessType | undefined
  /** Says that the machine lacks something for 0-RTT. */
  degraded(message: string): void
  /** Makes the application's socket, and steers it. @throws ERR_ATSSS_NO_RULE, ERR_ATSSS_STEERING: the rules refuse it */
  take(received: Received, access: AccessType, settings: SessionServerSettings): MptcpSocket
}

/** As they come from JavaScript. */
interface ListenOptions {
  port?: unknown
  backlog?: unknown
  signal?: AbortSignal
}

/** Node's default. */
const BACKLOG = 511

/** In the shape of net.Server. */
export class SessionServer extends EventEmitter<SessionServerEvents> {
  /** As net.Server's. */
  maxConnections: number | undefined
  readonly #settings: SessionServerSettings
  readonly #host: ServerHost
  readonly #receptions = new Set<Reception>()
  readonly #connections = new Set<MptcpSocket>()
  readonly #refusals: Refusals = {}
  #converters: ReadonlySet<string> = new Set()
  #listener: AccessListener | undefined
  #external: ExternalAddress | undefined
  #links: LinkMonitor | undefined
  #state: 'idle' | 'opening' | 'listening' | 'closing' = 'idle'
  /** Of `listen()` calls: one that was closed may still be opening when the next one begins. */
  #opening = 0
  #ref = true

  /** @internal `session.createServer` makes it. @throws ERR_ATSSS_OPTION */
  constructor(host: ServerHost, options: SessionServerOptions = {}, listener?: ConnectionListener) {
    super()
    this.#settings = resolveServer(options)
    if (host.converters.length === 0)
      throw new AtsssError(
        'ERR_ATSSS_OPTION',
        'A server needs converters, through which it is reached: option "converters"',
      )
    this.#host = host
    if (listener) this.on('connection', listener)
  }

  get listening(): boolean {
    return this.#state === 'listening'
  }

  /** Connections that were not handed over since the start, by why. */
  get refusals(): Readonly<Refusals> {
    return this.#refusals
  }

  /**
   * Listens on this port over both accesses, and asks for a mapping of it. `'listening'` comes when the port is ours,
   * `'mapping'` when remote hosts can reach it. What goes wrong is an `'error'`: a system error as net.Server's, or
   * `ERR_CONVERT_NOT_FOUND`.
   */
  listen(port?: number, listener?: () => void): this
  listen(options: { port?: number; backlog?: number; signal?: AbortSignal }, listener?: () => void): this
  listen(listener?: () => void): this
  listen(...args: unknown[]): this {
    const [first] = args
    const listener = args.find(arg => typeof arg === 'function') as (() => void) | undefined
    const options = typeof first === 'object' && first !== null ? first : { port: first }
    return this.#start(options as ListenOptions, listener)
  }

  /** Where it listens, on every address of the accesses; `null` while it does not. */
  address(): AddressInfo | null {
    return this.listening ? { address: '::', family: 'IPv6', port: this.#listener!.port } : null
  }

  /** Where remote hosts reach it: the oldest mapping's; `null` while there is none. */
  externalAddress(): AddressInfo | null {
    return this.externalAddresses()[0] ?? null
  }

  /** One for each PCP server and family. */
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
    for (const reception of this.#receptions) reception.refuse('ended')
    this.#listener?.close()
    this.#links?.close()
    void Promise.resolve(this.#external?.close()).then(() => {
      this.#external = undefined
      this.#endWhenEmpty()
    })
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
    if (this.#state !== 'idle') await new Promise(resolve => this.close(resolve))
  }

  #start({ port = 0, backlog = BACKLOG, signal }: ListenOptions, listener?: () => void): this {
    if (this.#state !== 'idle')
      throw Object.assign(new Error('Listen method has been called more than once without closing.'), {
        code: 'ERR_SERVER_ALREADY_LISTEN',
      })
    const number = typeof port === 'function' ? 0 : Number(port)
    if (!Number.isInteger(number) || number < 0 || number > 65_535)
      throw Object.assign(new RangeError(`options.port should be >= 0 and < 65536. Received ${String(port)}.`), {
        code: 'ERR_SOCKET_BAD_PORT',
      })
    if (listener) this.once('listening', listener)
    if (signal?.aborted) process.nextTick(() => this.close())
    else signal?.addEventListener('abort', () => this.close(), { once: true })
    this.#state = 'opening'
    const opening = ++this.#opening
    this.#open(opening, number, Number(backlog) || BACKLOG).catch((error: Error) => {
      if (opening !== this.#opening || this.#state !== 'opening') return
      this.#listener?.close()
      this.#links?.close()
      this.#state = 'idle'
      this.emit('error', error)
    })
    return this
  }

  async #open(opening: number, port: number, backlog: number): Promise<void> {
    const { accesses, converters } = this.#host
    const hold = setInterval(() => {}, 60_000)
    try {
      native()
      const endpoints = await findConverters(converters)
      const links = await openLinkMonitor()
      if (opening !== this.#opening || this.#state !== 'opening') return links.close()
      this.#links = links
      this.#converters = new Set(endpoints.map(({ address }) => plainAddress(address)))
      this.#listener = new AccessListener({
        ...{ accesses, backlog },
        accept: (fd, access) => this.#accept(fd, access),
        failed: error => this.emit('problem', error),
      })
      this.#listener.open(port, links.state)
      this.#listener.ref(this.#ref)
      links.on('change', (_, state) => this.#follow(state))
      links.on('error', error => this.emit('problem', error))
      this.#map(links)
      this.#state = 'listening'
    } finally {
      clearInterval(hold)
    }
    // What a listener throws is uncaught, as with Node, and not lost in a promise.
    process.nextTick(() => {
      if (opening !== this.#opening || !this.listening) return
      this.emit('listening')
      const lacking = fastOpenServerOff()
      if (lacking) this.#host.degraded(lacking)
    })
  }

  #follow(state: NetworkState): void {
    try {
      this.#listener?.follow(state)
    } catch (error) {
      this.emit('problem', error as Error)
    }
  }

  #map(links: LinkMonitor): void {
    const { external, lifetime, filters, pcpServers } = this.#settings
    const internalPort = this.#listener!.port
    const configured = typeof pcpServers === 'string' ? [] : pcpServers
    this.#external = new ExternalAddress({
      accesses: this.#host.accesses,
      links,
      servers: { configured, converters: pcpServers === 'converters' ? [...this.#converters] : [] },
      preferred: () => this.#host.preferred(),
      wish: {
        ...{ protocol: PCP_PROTOCOL.tcp, internalPort, lifetime, filters, required: external.required },
        external: { address: external.address, port: external.port ?? internalPort },
      },
    })
    this.#external.on('made', made => this.emit('mapping', { change: 'made', external: made, why: '' }))
    this.#external.on('changed', (to, before, why) =>
      this.emit('mapping', { change: 'changed', external: to, before, why }),
    )
    this.#external.on('lost', (lost, why) => this.emit('mapping', { change: 'lost', external: lost, why }))
    this.#external.on('problem', error => this.emit('problem', error))
  }

  #accept(fd: number, access: AccessType): void {
    const rules = {
      isConverter: (address: string) => this.#converters.has(address),
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

  #take(received: Received, access: AccessType): void {
    if (this.maxConnections !== undefined && this.#connections.size >= this.maxConnections) {
      native().reset(received.fd)
      this.emit('drop', { remoteAddress: received.remote.address, remotePort: received.remote.port })
      return
    }
    let socket: MptcpSocket
    try {
      socket = this.#host.take(received, access, this.#settings)
    } catch (error) {
      if (!(error instanceof AtsssError)) return void this.emit('problem', error as Error)
      native().reset(received.fd)
      return this.#refused('by-rule', received.remote)
    }
    this.#connections.add(socket)
    socket.once('close', () => {
      this.#connections.delete(socket)
      this.#endWhenEmpty()
    })
    this.emit('connection', socket)
  }

  #refused(why: Refusal | 'by-rule', peer: External | undefined): void {
    this.#refusals[why] = (this.#refusals[why] ?? 0) + 1
    this.emit('refused', { why, address: peer?.address, port: peer?.port })
  }

  #endWhenEmpty(): void {
    if (this.#state !== 'closing' || this.#external || this.#connections.size > 0) return
    this.#state = 'idle'
    this.emit('close')
  }
}

function notRunning(): Error {
  return Object.assign(new Error('Server is not running.'), { code: 'ERR_SERVER_NOT_RUNNING' })
}
