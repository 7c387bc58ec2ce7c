/** `MaPduSession`: connections that follow ATSSS rules over two accesses. */
import type { Socket } from 'node:net'
import { EventEmitter } from 'eventemitter3'
import { emitToApplication } from '../input/application.js'
import { type MptcpOptions, NETWORK_CONVERTERS, resolveOptions, type Settings } from '../input/options.js'
import type { NetworkInformation } from '../policy/rules/network.js'
import { DEFAULT_RULES } from '../policy/rules/presets.js'
import type { RulesInput } from '../policy/rules/read.js'
import type { Rule } from '../policy/rules/rule.js'
import type { Assistance } from '../policy/steering/modes.js'
import type { Steerer } from '../runtime/connect/steerer.js'
import { lowestSocket } from '../runtime/kernel/node-socket.js'
import type { SteeringLevel } from '../runtime/steering/messages.js'
import type { WatchServer } from '../runtime/watch/server.js'
import { callForm } from '../socket/call-form.js'
import { connectAs } from '../socket/connect.js'
import { type MptcpConnectOptions, MptcpSocket, type SocketConstructorOpts } from '../socket/socket.js'
import type { DecodeContainerOptions } from '../wire/atsss/container.js'
import { noteCreated, noteReady, noteSessionClosed, noteSessionEvent } from './channels.js'
import type { Explanation, SessionEvents, SessionUpdate } from './events.js'
import {
  refuseSessionOptions,
  resolveAssistance,
  resolveContainer,
  resolveSession,
  type SessionOptions,
} from './options.js'
import { SessionServer } from './server.js'
import { type ServerForm, serverForm } from './server-options.js'
import type { SessionStats } from './stats.js'
import { type EmitSessionEvent, refuseWhenClosed, SessionSteering } from './steering.js'
import { watchSession } from './watch.js'

/**
 * A multi-access PDU session as an application sees it: two accesses, converters, rules. Its connections are `MptcpSocket`s.
 *
 * @example
 * const session = new MaPduSession({ accesses: { '3gpp': 'wwan0', 'non-3gpp': 'wlan0' }, converters: '192.0.2.1:5124', rules: 'handover' })
 * const socket = session.connect(443, 'example.com')
 */
export class MaPduSession extends EventEmitter<SessionEvents> {
  /**
   * Its events for the rest of this library, before the application's listeners: those may throw, and the application may remove
   * listeners.
   *
   * @internal
   */
  readonly ownEvents = new EventEmitter<SessionEvents>()
  readonly #given: SessionOptions
  /** Of its connections: those that were given, with the converters of the network in place of 'network'. */
  #options: MptcpOptions
  #socketSettings: Settings
  readonly #steering: SessionSteering
  readonly #watch: WatchServer | undefined
  /** Those that listen, or are about to. */
  readonly #servers = new Set<SessionServer>()

  /** @throws ERR_ATSSS_OPTION, ERR_ATSSS_RULE, ERR_ATSSS_STEERING, ERR_ATSSS_MALFORMED, ERR_NAS_MALFORMED, ERR_NAS_CIPHERED */
  constructor(options: SessionOptions) {
    super()
    const settings = resolveSession(options)
    resolveOptions(options, true)
    this.#given = options
    this.#steering = new SessionSteering(this, settings, options.rules ?? DEFAULT_RULES, this.#emit, {
      networkChanged: () => {
        this.#useNetwork()
        for (const server of this.#servers) server.convertersReplaced()
      },
      resumed: () => {
        for (const server of this.#servers) server.resumed()
      },
    })
    this.#options = this.#withNetwork(options)
    this.#socketSettings = resolveOptions(this.#options, true)
    const { watch } = settings
    const watchFailed = ({ message }: Error) => this.#emit('degraded', { what: 'watch', message })
    this.#watch = watch && watchSession(this, watch, watchFailed)
    noteCreated(this)
    const ready = (level: SteeringLevel) => process.nextTick(() => noteReady(this, level))
    this.ready.then(ready, () => {}) // the event `degraded` reports it as well
  }

  /** What can be done about subflows here; rejects when the steering loop cannot run. */
  get ready(): Promise<SteeringLevel> {
    return this.#steering.ready
  }

  get rules(): readonly Rule[] {
    return this.#steering.rules
  }

  /** The converters and link-specific addresses that the network has named; undefined: it has not. */
  get network(): NetworkInformation | undefined {
    return this.#steering.network
  }

  /** The path of the socket where the session can be watched; undefined unless `watch` asks for one. Rejects with `ERR_ATSSS_WATCH`. */
  get watching(): Promise<string> | undefined {
    return this.#watch?.listening
  }

  /**
   * As `connect()`, in all its forms; the rules choose the access, and steer the connection from then on.
   *
   * @throws ERR_ATSSS_CLOSED; ERR_ATSSS_OPTION, also for options of the session, which have no effect on one connection
   */
  connect = ((...args: unknown[]): MptcpSocket => {
    refuseWhenClosed(this.#steering)
    const [options, listener] = callForm(args)
    refuseSessionOptions(options ?? {})
    const all = { ...this.#options, ...this.#withNetwork(options ?? {}) } as MptcpConnectOptions
    return connectAs(
      all,
      given => this.#makeSocket(given),
      socket => socket.connect(all, listener as () => void),
    )
  }) as typeof import('../socket/connect.js').connect

  /** The same as `connect`, for `http.request({ createConnection })`. */
  createConnection = this.connect as import('../socket/connect.js').CreateConnection

  /**
   * A socket of the session that is not connected yet: for libraries that call its `connect` themselves.
   *
   * @throws ERR_ATSSS_CLOSED, ERR_ATSSS_OPTION
   */
  createSocket(options: SocketConstructorOpts & MptcpOptions = {}): MptcpSocket {
    refuseWhenClosed(this.#steering)
    refuseSessionOptions(options)
    return this.#makeSocket({ ...this.#options, ...this.#withNetwork(options) } as SocketConstructorOpts & MptcpOptions)
  }

  /** The options that its connections have unless they say otherwise. @internal */
  get socketOptions(): MptcpOptions {
    return this.#options
  }

  /** The settings of every socket of the session. @internal */
  get socketSettings(): Settings {
    return this.#socketSettings
  }

  /** Routes and steers one socket: for those that are connected by other means than `connect`. @internal */
  steererOf(socket: () => MptcpSocket): Steerer {
    return this.#steering.steererOf(socket)
  }

  /**
   * A server that remote hosts reach through the session's converters, in net.Server's shape; `([options][, listener])`. Nothing
   * is opened or sent before its `listen()`. Each of its connections is under the rule that matches the remote host.
   * `session.close()` closes it.
   *
   * @throws ERR_ATSSS_CLOSED, ERR_ATSSS_OPTION
   *
   * @example
   * const web = http.createServer(handler)
   * session.createServer(socket => web.emit('connection', socket)).listen(8080)
   */
  createServer(...args: ServerForm): SessionServer {
    refuseWhenClosed(this.#steering)
    const { allowLoopback } = this.#socketSettings
    const converters = () => this.#socketSettings.converters
    const degraded = (message: string) => this.#emit('degraded', { what: 'fast-open', message })
    const host = { steering: this.#steering, converters, allowLoopback, servers: this.#servers, degraded }
    return new SessionServer(host, ...serverForm(args))
  }

  /** `createServer([options][, listener]).listen(port)`. */
  listen(port: number, ...args: ServerForm): SessionServer {
    return this.createServer(...args).listen(port)
  }

  /**
   * Replaces the rules, or applies to them what the network sent: an ATSSS container, or the NAS message that has it. All changes take
   * effect at once; live connections follow. With `converters: 'network'`, new connections use the converters that it names.
   *
   * @param container how the rules of a container are laid out, in place of the session's option
   * @throws ERR_ATSSS_RULE, ERR_ATSSS_STEERING, ERR_ATSSS_MALFORMED, ERR_NAS_MALFORMED, ERR_NAS_CIPHERED: then nothing is changed
   */
  update(input: RulesInput, container?: DecodeContainerOptions): SessionUpdate {
    return this.#steering.update(input, container === undefined ? undefined : resolveContainer(container))
  }

  /**
   * What the device itself wants, for example when its battery is low. From now on it replaces the percentages of load-balancing
   * rules with the indicator `UE_ASSISTANCE`. Undefined ends it. The network does not learn of it.
   *
   * @throws ERR_ATSSS_OPTION
   */
  assist(wish: Assistance | undefined): void {
    this.#steering.assist(resolveAssistance(wish))
  }

  /**
   * Why a connection of the session that is idle in a pool must not be reused: the rules refuse it now, or it is on an access that
   * is lost or no longer wanted and cannot be moved (it fell back to TCP, or the level of `ready` is `none`).
   * Undefined when it may be reused, and for a connection that is still being established.
   *
   * @param socket of the session, or a TLSSocket over one
   */
  reuseBlockedBy(socket: Socket): string | undefined {
    return this.#steering.reuseBlockedBy(lowestSocket(socket) as MptcpSocket)
  }

  /** The rule that a connection would be under, why, and what it would mean. Sends nothing and resolves no name. */
  explain(host: string, port: number): Explanation {
    return this.#steering.explain(host, port)
  }

  /** The accesses, rules and open connections, and what they have carried, counted now in one native call. */
  stats(): SessionStats {
    return this.#steering.stats()
  }

  /**
   * Ends the steering and closes the session's servers. Connections stay as they are, unsteered; `connect()` throws from now on.
   * Endpoints that the session has made go when the last of its connections has ended.
   */
  close(): void {
    if (this.#steering.isClosed) return
    this.#steering.close()
    this.#watch?.close()
    for (const server of [...this.#servers]) server.close()
    noteSessionClosed(this)
  }

  readonly #emit: EmitSessionEvent = (event, ...args) => {
    const own: { emit(event: string, ...args: unknown[]): boolean } = this.ownEvents // what TypeScript cannot match: an event and the arguments of the same one
    own.emit(event, ...args)
    noteSessionEvent(this, event, args)
    emitToApplication(this, event, ...args)
  }

  #useNetwork(): void {
    this.#options = this.#withNetwork(this.#given)
    this.#socketSettings = resolveOptions(this.#options, true)
  }

  /** These options with what the network has named in place of 'network'. If it has named nothing, 'network' stays. */
  #withNetwork<T extends object>(options: T): T & MptcpOptions {
    const { converters } = options as Pick<SessionOptions, 'converters'>
    const named = this.#steering.network?.converters ?? []
    if (converters === undefined || named.length === 0) return options
    const list = Array.isArray(converters) ? converters : [converters]
    if (!list.includes(NETWORK_CONVERTERS)) return options
    return { ...options, converters: list.flatMap(each => (each === NETWORK_CONVERTERS ? named : [each])) }
  }

  #makeSocket(options: SocketConstructorOpts & MptcpOptions): MptcpSocket {
    const socket: MptcpSocket = new MptcpSocket(
      options,
      this.steererOf(() => socket),
    )
    return socket
  }
}
