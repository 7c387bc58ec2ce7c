/** `MaPduSession`: connections that follow ATSSS rules over two accesses. */
import { EventEmitter } from 'eventemitter3'
import { AtsssError } from '../errors.js'
import { type MptcpOptions, resolveOptions, type Settings } from '../input/options.js'
import type { Candidate } from '../policy/connect/candidates.js'
import { type Match, match } from '../policy/rules/match.js'
import type { AccessType, Rule, Steering } from '../policy/rules/rule.js'
import { BOTH } from '../policy/steering/accesses.js'
import type { Assistance } from '../policy/steering/modes.js'
import { reuseBlockedBy } from '../policy/steering/pooling.js'
import type { Accesses } from '../policy/steering/snapshot.js'
import type { Destination, Route, Steerer } from '../runtime/connect/steerer.js'
import { keyOf } from '../runtime/steering/accounts.js'
import type { Steered } from '../runtime/steering/connection.js'
import { type ControllerHost, startController } from '../runtime/steering/host.js'
import type { Report, SteeringLevel } from '../runtime/steering/messages.js'
import type { WatchServer } from '../runtime/watch/server.js'
import { callForm } from '../socket/call-form.js'
import { connectAs } from '../socket/connect.js'
import { type MptcpConnectOptions, MptcpSocket, type SocketConstructorOpts } from '../socket/socket.js'
import { serverHost } from './accept.js'
import { SessionConnections } from './connections.js'
import { complaintOf, type Explanation, type SessionEvents, type SessionUpdate } from './events.js'
import { Beginnings, routeBy } from './first-access.js'
import {
  permit,
  type RulesInput,
  readRules,
  resolveAssistance,
  resolveSession,
  type SessionOptions,
  type SessionSettings,
  unenforceableBecause,
} from './options.js'
import { type ServerHost, SessionServer } from './server.js'
import { type ServerForm, serverForm } from './server-options.js'
import { type SessionStats, sessionStats, UNSEEN } from './stats.js'
import { watchSession } from './watch.js'
import { withResolvers } from './with-resolvers.js'

/**
 * A multi-access PDU session as an application sees it: two accesses, converters, rules. Its connections are `MptcpSocket`s.
 *
 * @example
 * const session = new MaPduSession({ accesses: { '3gpp': 'wwan0', 'non-3gpp': 'wlan0' }, converters: '192.0.2.1:5124', rules: 'handover' })
 * const socket = session.connect(443, 'example.com')
 */
export class MaPduSession extends EventEmitter<SessionEvents> {
  /** What can be done about subflows here; rejects when the steering loop cannot run. */
  readonly ready: Promise<SteeringLevel>
  readonly #options: SessionOptions
  readonly #settings: SessionSettings
  readonly #socketSettings: Settings
  readonly #controller: ControllerHost
  readonly #connections = new SessionConnections()
  readonly #watch: WatchServer | undefined
  #level: SteeringLevel['level'] | undefined
  #rules: readonly Rule[] = []
  #accesses: Accesses | undefined
  readonly #beginnings = new Beginnings()
  readonly #serverHost: ServerHost
  #closed = false

  /** @throws ERR_ATSSS_OPTION, ERR_ATSSS_RULE, ERR_ATSSS_MALFORMED */
  constructor(options: SessionOptions) {
    super()
    this.#settings = resolveSession(options)
    this.#socketSettings = resolveOptions(options)
    this.#options = options
    const first = readRules([], options.rules ?? 'handover')
    this.#rules = first.rules
    const { promise, resolve, reject } = withResolvers<SteeringLevel>()
    this.ready = promise
    promise.catch(() => {}) // also told by `degraded`
    const heard = (report: Report) => {
      if (report.event === 'ready') resolve(report.level)
      if (report.event === 'failed') reject(report.error)
      this.#hear(report)
    }
    this.#controller = startController(this.#settings.controller, { accesses: this.#settings.accesses }, heard)
    this.#sendRules()
    for (const problem of first.problems) queueMicrotask(() => this.emit('problem', problem))
    this.#serverHost = serverHost(this.#settings.accesses, this.#socketSettings, {
      preferred: () => this.#rules.slice(-1).flatMap(rule => this.#beginnings.first(rule, this.#accesses ?? UNSEEN))[0],
      degraded: message => void this.emit('degraded', { what: 'fast-open', message }),
      permit: remote => void this.#permit(this.#match(remote), `from ${remote.host}:${remote.port}`),
      steer: (...about) => this.#steer(...about),
      closing: socket => this.#connections.accounts.remove(socket),
    })
    const { watch } = this.#settings
    const complain = ({ message }: Error) => this.emit('degraded', { what: 'watch', message })
    this.#watch = watch && watchSession(this, watch, complain)
  }

  get rules(): readonly Rule[] {
    return this.#rules
  }

  /** The path of the socket where the session can be watched; undefined unless `watch` asks for one. Rejects with `ERR_ATSSS_WATCH`. */
  get watching(): Promise<string> | undefined {
    return this.#watch?.listening
  }

  /** As `connect()`, in all its forms; the rules choose the access, and steer the connection from then on. */
  connect = ((...args: unknown[]): MptcpSocket => {
    if (this.#closed) throw new AtsssError('ERR_ATSSS_CLOSED', 'The session is closed')
    const [options, listener] = callForm(args)
    const all = { ...this.#options, ...options } as MptcpConnectOptions
    return connectAs(
      all,
      given => this.createSocket(given),
      socket => socket.connect(all, listener as () => void),
    )
  }) as typeof import('../socket/connect.js').connect

  /** The same as `connect`, for `http.request({ createConnection })`. */
  createConnection = this.connect as import('../socket/connect.js').CreateConnection

  /** A socket of the session that is not connected yet: for libraries that call its `connect` themselves. */
  createSocket(options: SocketConstructorOpts & MptcpOptions = {}): MptcpSocket {
    const socket: MptcpSocket = new MptcpSocket(
      { ...this.#options, ...options } as SocketConstructorOpts & MptcpOptions,
      this.steererOf(() => socket),
    )
    return socket
  }

  /** The options that its connections have unless they say otherwise. @internal */
  get socketOptions(): MptcpOptions {
    return this.#options
  }

  /** What holds for every socket of the session. @internal */
  get socketSettings(): Settings {
    return this.#socketSettings
  }

  /** What steers one socket: for those that are connected by other means than `connect`. @internal */
  steererOf(socket: () => MptcpSocket): Steerer {
    let asked = ''
    return {
      route: destination => {
        asked = destination.host
        return this.#route(destination)
      },
      opened: (fd, way) => this.#opened(socket(), asked, fd, way),
      closing: () => this.#connections.accounts.remove(socket()),
    }
  }

  /**
   * A server that remote hosts reach through the session's converters, in net.Server's shape; `([options][, listener])`. Nothing
   * is opened or sent before its `listen()`. Its connections are under the rule that matches the remote host.
   *
   * @throws ERR_ATSSS_OPTION
   *
   * @example
   * const web = http.createServer(handler)
   * session.createServer(socket => web.emit('connection', socket)).listen(8080)
   */
  createServer(...args: ServerForm): SessionServer {
    if (this.#closed) throw new AtsssError('ERR_ATSSS_CLOSED', 'The session is closed')
    return new SessionServer(this.#serverHost, ...serverForm(args))
  }

  /** `createServer([options][, listener]).listen(port)`. */
  listen(port: number, ...args: ServerForm): SessionServer {
    return this.createServer(...args).listen(port)
  }

  /**
   * Replaces the rules, or applies a container to them, all at once; live connections follow.
   *
   * @throws ERR_ATSSS_RULE, ERR_ATSSS_MALFORMED: then nothing is changed
   */
  update(input: RulesInput): SessionUpdate {
    const { rules, changes, problems } = readRules(this.#rules, input)
    this.#rules = rules
    const moved = this.#connections.reassign(destination => this.#match(destination).rule)
    this.#sendRules()
    for (const problem of problems) this.emit('problem', problem)
    const update = { rules, changes, problems, moved }
    this.emit('update', update)
    return update
  }

  /**
   * What the device itself wants, as when its battery is low: obeyed from now on under load-balancing rules with the indicator
   * `UE_ASSISTANCE`, whose percentages hold otherwise. Undefined ends it. The network is not told.
   *
   * @throws ERR_ATSSS_OPTION
   */
  assist(wish: Assistance | undefined): void {
    const checked = resolveAssistance(wish)
    this.#beginnings.assistance = checked
    this.#beginnings.newOver3gpp = {} // it was of before; the loop will tell
    this.#controller.send({ command: 'assist', wish: checked })
  }

  /**
   * Why a connection of the session, which is at rest in a pool, had better not be used again: the rules refuse it now, or
   * it is on an access that is lost or no longer wanted, and cannot be moved (it fell back to TCP, or `ready` is not
   * `userspace`). Undefined: it is well; so is a connection that is still being made.
   */
  reuseBlockedBy(socket: MptcpSocket): string | undefined {
    const place = this.#connections.placeOf(socket)
    if (!place) return undefined
    const { rule, why } = this.#match(place.destination)
    if (!rule && this.#settings.unmatched === 'refuse') return why
    const refused = rule && unenforceableBecause(rule)
    if (refused && this.#settings.unenforceable === 'refuse') return refused
    const level = this.#level
    const { access, token } = place
    const movable = this.#connections.isSteered(token) && level !== undefined && level !== 'none'
    return reuseBlockedBy({ access, movable }, rule?.steering, this.#accesses ?? UNSEEN, performance.now())
  }

  /** The rule that a connection would be under, why, and what it would mean. Nothing is sent; a name is not resolved. */
  explain(host: string, port: number): Explanation {
    const found = this.#match({ host, addresses: [], port })
    if (!found.rule) return { ...found, accesses: [], steering: 'unsteered' }
    const refused = unenforceableBecause(found.rule)
    if (refused && this.#settings.unenforceable === 'refuse') return { ...found, accesses: [], steering: refused }
    const accesses = this.#accesses ?? UNSEEN
    const { why } = this.#beginnings.decide(found.rule, accesses)
    return { ...found, accesses: this.#beginnings.first(found.rule, accesses), steering: why }
  }

  /** What is there, and what has been carried, counted now: one native call. */
  stats(): SessionStats {
    const { accounts } = this.#connections
    return sessionStats(accounts, this.#rules, this.#settings.accesses, this.#accesses ?? UNSEEN, this.#level)
  }

  /** Ends the steering; the connections stay as they are, unsteered. Endpoints that it has made go when the last of them has ended. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#controller.send({ command: 'close' })
    this.#watch?.close()
  }

  async #route({ host, addresses, port }: Destination): Promise<Route> {
    await this.ready.catch(() => {})
    const matchOf = (address: string) => this.#match({ host, addresses: [address], port })
    return routeBy(addresses, matchOf, found => this.#interfaces(this.#permit(found, `to ${host}:${port}`)))
  }

  #interfaces(rule: Rule | undefined): (string | undefined)[] {
    if (!rule) return [undefined]
    const accesses = this.#beginnings.first(rule, this.#accesses ?? UNSEEN, true)
    return accesses.map(access => this.#settings.accesses[access].interface)
  }

  /** The rule that a new connection is under, if any. @throws ERR_ATSSS_NO_RULE, ERR_ATSSS_STEERING: there shall be none */
  #permit(found: Match, peer: string): Rule | undefined {
    const { rule, message } = permit(found, peer, this.#settings)
    if (message) this.emit('degraded', { what: 'rule', message })
    return rule
  }

  #match({ host, addresses, port }: Destination): Match {
    return match(this.#rules, { host, address: addresses[0], port, ...this.#settings.application })
  }

  #opened(socket: MptcpSocket, host: string, fd: number, { via, destination, interface: name }: Candidate): void {
    const { address, port, family } = via?.endpoint ?? destination
    const access = BOTH.find(type => this.#settings.accesses[type].interface === name)
    const place = { host, addresses: [destination.address], port: destination.port }
    this.#steer(socket, place, access, { fd, remote: { address, port }, family })
  }

  #steer(
    socket: MptcpSocket,
    destination: Destination,
    access: AccessType | undefined,
    about: Omit<Steered, 'token' | 'rule'>,
  ): void {
    const { rule } = this.#match(destination)
    const token = this.#connections.add(socket, about.fd, destination, access, rule)
    if (token === undefined) return this.#fellBack(destination)
    this.#controller.send({ command: 'add', steered: { token, rule: keyOf(rule), ...about } })
    socket.once('close', () => {
      if (this.#connections.release(token)) this.#controller.send({ command: 'remove', token })
    })
  }

  #fellBack({ addresses }: Destination): void {
    const message = `The connection to ${addresses[0]} is TCP, and stays on its access`
    this.emit('degraded', { what: 'fallback', message })
  }

  #sendRules(): void {
    const rules = this.#rules.map((rule): [number, Steering] => [keyOf(rule), rule.steering])
    this.#controller.send({ command: 'rules', rules, assigned: this.#connections.assigned })
  }

  #hear(report: Report): void {
    const complaint = complaintOf(report)
    if (complaint) this.emit('degraded', complaint)
    switch (report.event) {
      case 'ready':
        this.#level = report.level.level
        break
      case 'accesses':
        this.#accesses = report.accesses
        this.#beginnings.newOver3gpp = report.newOver3gpp
        break
      case 'access': {
        const { access, available, why } = report
        if (this.#accesses)
          this.#accesses = { ...this.#accesses, [access]: { ...this.#accesses[access], available, why } }
        this.emit('access', { access, available, why })
        break
      }
      case 'action': {
        const { token, event: _, ...change } = report
        this.emit('action', { socket: this.#connections.socketOf(token), ...change })
        break
      }
      case 'subflows':
        this.#connections.accounts.hear(report)
        break
      case 'gone':
        this.#connections.release(report.token)
        break
      case 'fallback': {
        const destination = this.#connections.fellBack(report.token)
        if (destination) this.#fellBack(destination)
        break
      }
    }
  }
}
