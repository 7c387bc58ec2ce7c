/**
 * How a session steers its connections, those that it makes and those that its servers take: the rule of each, the access of
 * its first subflow, what the steering loop is to do about it, and what it has carried.
 */
import { AtsssError } from '../errors.js'
import type { Candidate } from '../policy/connect/candidates.js'
import { type Nat64Prefix, translated } from '../policy/connect/nat64.js'
import { type Match, match } from '../policy/rules/match.js'
import type { NetworkInformation } from '../policy/rules/network.js'
import {
  type Permit,
  permit,
  refusalBecause,
  refusalOfRule,
  refuseUnenforceable,
  unsteeredBecause,
} from '../policy/rules/permit.js'
import { type RulesInput, readRules } from '../policy/rules/read.js'
import { type AccessType, nameOf, type Rule, type Steering } from '../policy/rules/rule.js'
import { BOTH } from '../policy/steering/accesses.js'
import type { Assistance } from '../policy/steering/modes.js'
import { reuseBlockedBy } from '../policy/steering/pooling.js'
import type { Accesses } from '../policy/steering/snapshot.js'
import type { Destination, Route, Steerer } from '../runtime/connect/steerer.js'
import { interfacesInWords } from '../runtime/kernel/interface-names.js'
import type { AccessConfig } from '../runtime/network/access-links.js'
import { lookUpOver } from '../runtime/network/access-names.js'
import { globalAddresses, mayHaveAddress } from '../runtime/network/own-addresses.js'
import { interfaceFor } from '../runtime/network/source-routing.js'
import { keyOf } from '../runtime/steering/accounts.js'
import type { Steered } from '../runtime/steering/connection.js'
import { type ControllerHost, firstLook, startController } from '../runtime/steering/host.js'
import type { Report, SteeringLevel } from '../runtime/steering/messages.js'
import type { TranslatorReport } from '../runtime/steering/translators.js'
import type { MptcpSocket } from '../socket/socket.js'
import type { DecodeContainerOptions } from '../wire/atsss/container.js'
import { SessionConnections } from './connections.js'
import { degradedBy, type Explanation, restoredBy, type SessionEvents, type SessionUpdate } from './events.js'
import { FirstAccess, routeBy } from './first-access.js'
import { sessionLookup } from './lookup.js'
import type { SessionSettings } from './options.js'
import { type SessionStats, sessionStats, UNSEEN } from './stats.js'
import { type LastHandover, Totals } from './totals.js'
import { bypassedWhy, respectedWhy, vpnInWords } from './vpn.js'

/** What concerns more of the session than its steering; called before the application is notified. */
export interface SteeringNews {
  /** The network has named its converters. */
  networkChanged(): void
  /** The machine was suspended, and goes on. */
  resumed(): void
}

/** Emits an event of the session. The listeners are the application's: see `emitToApplication`. */
export type EmitSessionEvent = <E extends keyof SessionEvents>(event: E, ...args: SessionEvents[E]) => void

export class SessionSteering {
  /** What can be done about subflows here; rejects when the steering loop cannot run. */
  readonly ready: Promise<SteeringLevel>
  /** Resolves when the accesses are known, or are not in time: new connections wait for this. */
  readonly #answered: Promise<void>
  /** For what is published of its connections. */
  readonly session: object
  readonly #settings: SessionSettings
  readonly #emit: EmitSessionEvent
  readonly #controller: ControllerHost
  readonly #connections = new SessionConnections()
  readonly #firstAccess = new FirstAccess()
  /** By interface: when it last came or went. */
  readonly #availableSince = new Map<string, number>()
  readonly #news: SteeringNews
  #network: NetworkInformation | undefined
  #rules: readonly Rule[]
  #accesses: Accesses = UNSEEN
  #level: SteeringLevel['level'] | undefined
  #isClosed = false
  /** Of accesses with IPv6 only: how IPv4 addresses are reached (NAT64). */
  readonly #translators: Partial<Record<AccessType, Nat64Prefix | undefined>> = {}
  readonly #searching = new Set<AccessType>()
  /** Resolves when the translators are known, or are not found in time; undefined: none is searched for. */
  #searched: Promise<void> | undefined
  #found = () => {}
  /** By access: the interface that it uses. */
  readonly #interfaces: Partial<Record<AccessType, string | undefined>> = {}
  /** The accesses of which no interface is there. */
  readonly #missing = new Set<AccessType>()
  /** By interface: the access that has used it last. */
  readonly #accessOf = new Map<string, AccessType>()
  /** By interface index: the tunnels that are up and are no access. */
  #tunnels: ReadonlyMap<number, string> = new Map()
  /** Tunnels that connections were reported to go around. */
  readonly #bypassed = new Set<string>()
  /** What was reported of peers: once, for all connections to the same one. */
  readonly #unjoined = new Set<string>()
  readonly #totals = new Totals()
  #lastHandover: LastHandover | undefined
  #hasReportedMissing = false
  /** What is taken in is not reported: the loop will report the same. */
  #isLooking = false

  /**
   * @param session for what is published of its connections
   * @throws ERR_ATSSS_RULE, ERR_ATSSS_STEERING, ERR_ATSSS_MALFORMED, ERR_NAS_MALFORMED, ERR_NAS_CIPHERED
   */
  constructor(
    session: object,
    settings: SessionSettings,
    rules: RulesInput,
    emit: EmitSessionEvent,
    news: SteeringNews,
  ) {
    this.session = session
    this.#news = news
    const first = readRules([], rules, settings.container)
    refuseUnenforceable(rules, first.rules, settings)
    this.#network = first.network
    this.#settings = settings
    this.#rules = first.rules
    this.#emit = (event, ...args) => {
      if (this.#isLooking) return
      if (event === 'degraded') this.#totals.degraded(args[0] as SessionEvents['degraded'][0])
      emit(event, ...args)
    }
    let resolve!: (level: SteeringLevel) => void
    let reject!: (error: Error) => void
    this.ready = new Promise((yes, no) => {
      resolve = yes
      reject = no
    })
    this.ready.catch(() => {}) // the event `degraded` reports it as well
    let answered = () => {}
    this.#answered = new Promise(yes => {
      answered = yes
    })
    setTimeout(answered, ANSWER_MS).unref()
    const { accesses, helper, idleProbeMs } = settings
    const config = { accesses, helper, idleProbeMs }
    let hasAnswered = false
    const look = firstLook(config).then(
      reports => {
        if (!hasAnswered) this.#takeFirstLook(reports)
        answered()
      },
      () => {}, // the loop reports it as well
    )
    // A connection that waits for the look is made before the thread begins, which takes the processor for some time.
    const looked = look.then(() => new Promise(resolve => setTimeout(resolve, HEAD_START_MS)))
    const follow = (report: Report) => {
      hasAnswered ||= ANSWERS.has(report.event)
      if (hasAnswered) answered()
      if (report.event === 'ready') resolve(report.level)
      if (report.event === 'failed') reject(report.error)
      this.#follow(report)
    }
    this.#controller = startController(settings.controller, config, follow, looked)
    this.#sendRules()
    // The session is being constructed: it has no listeners yet.
    for (const problem of first.problems) queueMicrotask(() => emit('problem', problem))
    for (const message of this.#refusedRules) queueMicrotask(() => this.#emit('degraded', { what: 'rule', message }))
  }

  get rules(): readonly Rule[] {
    return this.#rules
  }

  /** What the network has said of its converters and addresses; undefined: nothing yet. */
  get network(): NetworkInformation | undefined {
    return this.#network
  }

  get accesses(): Readonly<Record<AccessType, AccessConfig>> {
    return this.#settings.accesses
  }

  /** The interface that an access uses now; before that is known, or if none is there, what was named. */
  interfaceOf(access: AccessType): string {
    const { interface: names, choices } = this.#settings.accesses[access]
    const first = choices?.find(choice => typeof choice === 'string')
    return this.#interfaces[access] ?? (typeof first === 'string' ? first : names)
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** Where connections should begin, as far as that is known before there is one: the last rule is the one for everything else. */
  get preferredAccess(): AccessType | undefined {
    const rule = this.#steeredRule(this.#rules.at(-1))
    return rule && this.#firstAccess.inOrder(rule, this.#accesses)[0]
  }

  match({ host, addresses, port }: Destination): Match {
    return match(this.#rules, { host, address: addresses[0], port, ...this.#settings.application })
  }

  /**
   * Whether a connection may be made, and under which rule.
   *
   * @param peer for people: "from 192.0.2.1:50000"
   * @throws ERR_ATSSS_NO_RULE, ERR_ATSSS_STEERING
   */
  permit(destination: Destination, peer: string): Permit {
    return permit(this.match(destination), peer, this.#settings)
  }

  /** Reports what of a rule cannot be obeyed for a connection that was made nevertheless. */
  reportDegraded({ degraded }: Permit): void {
    if (degraded !== undefined) this.#emit('degraded', { what: 'rule', message: degraded })
  }

  /** What one socket of the session needs in order to be routed and steered. */
  steererOf(socket: () => MptcpSocket): Steerer {
    let host = ''
    return {
      session: this.session,
      route: destination => {
        host = destination.host
        return this.#route(destination)
      },
      mayHaveAddress,
      lookup: this.#lookup,
      translate: (address, name) => this.#translate(address, name),
      opened: (fd, way, isDual) => this.#opened(socket(), host, fd, way, isDual),
      closing: () => this.#connections.accounts.remove(socket()),
      connected: protocol => this.connected(protocol),
      failed: error => this.#totals.failed(error),
      closed: () => this.#closed(socket()),
    }
  }

  /**
   * Counts a connection that has been established, and steers it from now on.
   *
   * @param access of its first subflow; undefined when the routing table chose it
   * @param plain why it was made as plain TCP; undefined when it was not
   */
  steer(
    socket: MptcpSocket,
    destination: Destination,
    access: AccessType | undefined,
    about: Omit<Steered, 'token' | 'rule'>,
    plain?: string,
  ): void {
    const { rule } = this.match(destination)
    const isPlain = plain !== undefined
    const token = this.#connections.add(socket, about.fd, destination, access, rule, isPlain)
    if (isPlain) return
    // We are called from the middle of connecting or accepting: the application is notified when that is done.
    if (token === undefined)
      return void process.nextTick(() => this.#reportFallback(destination, socket.mptcp.fallback))
    if (this.#isClosed) return
    this.#controller.send({ command: 'add', steered: { token, rule: keyOf(this.#steeredRule(rule)), ...about } })
  }

  /** A connection is established, and the application's. */
  connected(protocol: 'mptcp' | 'tcp'): void {
    this.#totals.connected(protocol)
  }

  /** Replaces or changes the rules; see `MaPduSession.update`. */
  update(input: RulesInput, container: DecodeContainerOptions = this.#settings.container): SessionUpdate {
    const { rules, changes, problems, network } = readRules(this.#rules, input, container)
    refuseUnenforceable(input, rules, this.#settings)
    this.#rules = rules
    if (network) {
      this.#network = network
      this.#news.networkChanged()
    }
    const moved = this.#connections.reassign(destination => this.match(destination).rule)
    this.#sendRules()
    const update = { rules, changes, problems, moved, network: this.#network }
    for (const problem of problems) this.#emit('problem', problem)
    for (const message of this.#refusedRules) this.#emit('degraded', { what: 'rule', message })
    this.#emit('update', update)
    return update
  }

  assist(wish: Assistance | undefined): void {
    this.#firstAccess.assistance = wish
    this.#firstAccess.newOver3gpp = {} // computed without the wish; the steering loop will send new ones
    this.#controller.send({ command: 'assist', wish })
  }

  /** Why an idle connection must not be reused; see `MaPduSession.reuseBlockedBy`. */
  reuseBlockedBy(socket: MptcpSocket): string | undefined {
    const origin = this.#connections.originOf(socket)
    if (!origin) return undefined
    const found = this.match(origin.destination)
    const refusal = refusalBecause(found, this.#settings)
    if (refusal !== undefined) return refusal
    const { access, token } = origin
    const rule = this.#steeredRule(found.rule)
    const movable = this.#connections.isSteered(token) && this.#level !== undefined && this.#level !== 'none'
    return reuseBlockedBy({ access, movable }, rule?.steering, this.#accesses, performance.now())
  }

  explain(host: string, port: number): Explanation {
    const found = this.match({ host, addresses: [], port })
    const refusal = refusalBecause(found, this.#settings)
    const vpn = vpnInWords([...this.#tunnels.values()], this.#settings.vpn)
    if (!found.rule) return { ...found, accesses: [], steering: 'unsteered', vpn }
    if (refusal !== undefined) return { ...found, accesses: [], steering: refusal, vpn }
    const unsteered = unsteeredBecause(found.rule, this.#settings)
    if (unsteered !== undefined) return { ...found, accesses: [], steering: `unsteered: ${unsteered}`, vpn }
    const { why } = this.#firstAccess.decide(found.rule, this.#accesses)
    return { ...found, accesses: this.#firstAccess.inOrder(found.rule, this.#accesses), steering: why, vpn }
  }

  stats(): SessionStats {
    const { accounts } = this.#connections
    return sessionStats(accounts, {
      rules: this.#rules,
      accesses: this.#accesses,
      level: this.#level,
      lastHandover: this.#lastHandover,
      totals: this.#totals.read(),
      interfaceOf: access => this.interfaceOf(access),
      unsteered: rule => unsteeredBecause(rule, this.#settings),
    })
  }

  /** Ends the steering. The connections stay as they are. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#controller.send({ command: 'close' })
  }

  /** Names go on being found over the access that is there; but not around a VPN. */
  readonly #lookup = sessionLookup(host => {
    const isPublic = host.replace(/\.$/, '').includes('.') && !/\.(local|localhost)\.?$/i.test(host)
    if (!isPublic || (this.#tunnels.size > 0 && this.#settings.vpn !== 'bypass')) return undefined
    const there = BOTH.filter(access => this.#accesses[access].available).map(access => this.interfaceOf(access))
    const locals = there.flatMap(name => globalAddresses(name))
    return locals.length === 0 ? undefined : lookUpOver(host, locals)
  })

  #translate(address: string, name: string): string | undefined {
    const access = this.#accessNamed(name)
    const prefix = access && this.#translators[access]
    return prefix && translated(prefix, address)
  }

  #accessNamed(name: string | undefined): AccessType | undefined {
    return name === undefined
      ? undefined
      : (this.#accessOf.get(name) ?? BOTH.find(access => this.interfaceOf(access) === name))
  }

  async #route({ host, addresses, port }: Destination): Promise<Route> {
    await this.#answered
    if (this.#searched) await keepingAlive(this.#searched)
    const permits: Permit[] = []
    const route = routeBy(
      addresses,
      address => this.match({ host, addresses: [address], port }),
      found => {
        const permitted = permit(found, `to ${host}:${port}`, this.#settings)
        permits.push(permitted)
        const plain = permitted.unsteered
        return {
          interfaces: this.#interfacesFor(plain === undefined ? permitted.rule : undefined),
          plain,
          tuning: permitted.rule?.socket,
        }
      },
    )
    for (const permitted of permits) this.reportDegraded(permitted)
    return { ...(await this.#aroundTunnels(addresses, route)), since: this.#availableSince }
  }

  /** Leaves destinations to the system whose route leaves by a tunnel, or reports that connections go around it. */
  async #aroundTunnels(addresses: readonly string[], route: Route): Promise<Route> {
    const { vpn } = this.#settings
    if (this.#tunnels.size === 0 || vpn === 'bypass') return route
    const tunnels = await Promise.all(addresses.map(address => this.#tunnelTo(address)))
    if (vpn === 'respect') {
      const plain = tunnels.map((tunnel, index) => (tunnel === undefined ? route.plain[index] : respectedWhy(tunnel)))
      const interfaces = tunnels.map((tunnel, index) => (tunnel === undefined ? route.interfaces[index]! : [undefined]))
      return { ...route, plain, interfaces }
    }
    const around = tunnels.filter(
      (tunnel, index) => route.interfaces[index]?.some(name => name !== undefined) && tunnel,
    )
    for (const tunnel of new Set(around)) {
      if (tunnel === undefined || this.#bypassed.has(tunnel)) continue
      this.#bypassed.add(tunnel)
      this.#emit('degraded', { what: 'vpn', message: bypassedWhy(tunnel) })
    }
    return route
  }

  /** The tunnel by which the system reaches this address. */
  async #tunnelTo(address: string): Promise<string | undefined> {
    const index = await interfaceFor(undefined, address).catch(() => undefined)
    return index === undefined ? undefined : this.#tunnels.get(index)
  }

  #interfacesFor(rule: Rule | undefined): (string | undefined)[] {
    if (!rule) return [undefined]
    const accesses = this.#firstAccess.forNewConnection(rule, this.#accesses)
    return accesses.map(access => this.interfaceOf(access))
  }

  #opened(socket: MptcpSocket, host: string, fd: number, way: Candidate, isDual: boolean): void {
    const { via, destination, interface: name } = way
    const { address, port, family } = via?.endpoint ?? destination
    const { others } = via ?? way
    const access = this.#accessNamed(name)
    const reached = { host, addresses: [destination.address], port: destination.port }
    const about = { fd, remote: { address, port }, family, isDual, ...(others && { others }) }
    this.steer(socket, reached, access, about, way.plain)
  }

  /** The steering of a connection ends when its descriptor is closed, not before: the kernel's endpoints may go with the last one. */
  #closed(socket: MptcpSocket): void {
    const token = this.#connections.closed(socket)
    if (token !== undefined) this.#controller.send({ command: 'remove', token })
  }

  #reportFallback({ addresses }: Destination, why?: string): void {
    const because = why === undefined ? '' : `: ${why}`
    const message = `The connection to ${addresses[0]} is TCP, and stays on its access${because}`
    this.#emit('degraded', { what: 'fallback', message })
  }

  #sendRules(): void {
    const steered = this.#rules.filter(rule => this.#steeredRule(rule))
    const rules = steered.map((rule): [number, Steering] => [keyOf(rule), rule.steering])
    const assigned = this.#connections.assigned.map(([token, rule]): [number, number] => [
      token,
      keyOf(this.#steeredRule(rule)),
    ])
    this.#controller.send({ command: 'rules', rules, assigned })
  }

  /**
   * The rule for the steering loop; undefined for one whose connections are left to the system, or refused: the live ones stay where
   * they are.
   */
  #steeredRule(rule: Rule | undefined): Rule | undefined {
    if (!rule || unsteeredBecause(rule, this.#settings) !== undefined) return undefined
    return refusalOfRule(rule, this.#settings) === undefined ? rule : undefined
  }

  /** What the network wants and this kernel has not, in words. */
  get #refusedRules(): string[] {
    return this.#rules.flatMap(rule => {
      const because = refusalOfRule(rule, this.#settings)
      return because === undefined
        ? []
        : [`${nameOf(rule)} cannot be obeyed: ${because}. New connections under it fail; live ones stay as they are`]
    })
  }

  #takeFirstLook(reports: readonly Report[]): void {
    this.#isLooking = true
    for (const report of reports) this.#follow(report)
    this.#isLooking = false
  }

  /** Once, when the accesses are known: an interface that is not there may be a wrong name. */
  #reportMissing(): void {
    if (this.#isLooking || this.#hasReportedMissing) return
    this.#hasReportedMissing = true
    for (const access of BOTH) {
      const { available, why } = this.#accesses[access]
      if (available || !this.#missing.has(access)) continue
      this.#emit('access', { access, available, why })
      const message = `Access ${access}: ${why} yet, so it is not used; ${interfacesInWords()}`
      this.#emit('degraded', { what: 'access', message })
    }
  }

  #noteInterface({ access, interface: used, isMissing }: Extract<Report, { event: 'interface' }>): void {
    this.#interfaces[access] = used?.name
    if (isMissing) this.#missing.add(access)
    else this.#missing.delete(access)
    if (used) {
      this.#accessOf.set(used.name, access)
      // What was learned over it before may have been about another network.
      this.#availableSince.set(used.name, performance.now())
    }
    const { choices, interface: names } = this.#settings.accesses[access]
    if (!choices) return
    const why = used?.why ?? `none of ${names} is there`
    this.#emit('interface', { access, interface: used?.name, why })
  }

  /** While one is searched for, connections wait: without it, an access with IPv6 only would not be used for IPv4. */
  #noteTranslator({ access, state, prefix }: TranslatorReport): void {
    this.#translators[access] = prefix
    const isSearching = state === 'searching'
    if (isSearching) this.#searching.add(access)
    else this.#searching.delete(access)
    if (this.#searching.size === 0) this.#found()
    if (!isSearching || this.#searched) return
    this.#searched = new Promise<void>(resolve => {
      const end = () => {
        clearTimeout(timer)
        this.#searched = undefined
        resolve()
      }
      const timer = setTimeout(end, SEARCH_MS).unref()
      this.#found = end
    })
  }

  /** Takes in what the steering loop reports, and then passes it to the application. */
  #follow(report: Report): void {
    switch (report.event) {
      case 'ready':
        this.#level = report.level.level
        break
      case 'accesses':
        this.#accesses = report.accesses
        this.#reportMissing()
        this.#firstAccess.newOver3gpp = report.newOver3gpp
        break
      case 'access': {
        const { access, available, why } = report
        this.#availableSince.set(this.interfaceOf(access), performance.now())
        this.#accesses = { ...this.#accesses, [access]: { ...this.#accesses[access], available, why } }
        this.#emit('access', { access, available, why })
        break
      }
      case 'action': {
        const { token, event: _, ...change } = report
        this.#emit('action', { socket: this.#connections.socketOf(token), ...change })
        break
      }
      case 'handover': {
        const { token, event: _, ...change } = report
        this.#lastHandover = { at: Date.now(), from: change.from, to: change.to, gapMs: change.gapMs }
        this.#totals.handedOver(change)
        this.#emit('handover', { socket: this.#connections.socketOf(token), ...change })
        break
      }
      case 'unjoined':
        this.#connections.accounts.noteUnjoined(report)
        if (this.#unjoined.has(report.why)) return
        if (this.#unjoined.size === MOST_REMARKS) this.#unjoined.clear()
        this.#unjoined.add(report.why)
        break
      case 'resumed':
        // What was learned before may have been about other networks, on both accesses.
        for (const access of BOTH) this.#availableSince.set(this.interfaceOf(access), performance.now())
        this.#news.resumed()
        break
      case 'interface':
        this.#noteInterface(report)
        break
      case 'tunnels':
        this.#tunnels = new Map(report.tunnels.map(({ index, name }) => [index, name]))
        for (const name of this.#bypassed)
          if (!report.tunnels.some(tunnel => tunnel.name === name)) this.#bypassed.delete(name)
        break
      case 'translator':
        this.#noteTranslator(report)
        break
      case 'subflows':
        this.#connections.accounts.update(report)
        break
      case 'gone':
        this.#connections.release(report.token)
        break
      case 'fallback': {
        const destination = this.#connections.fellBack(report.token)
        if (destination) this.#reportFallback(destination)
        break
      }
    }
    const degraded = degradedBy(report)
    if (degraded) this.#emit('degraded', degraded)
    const restored = restoredBy(report)
    if (restored) this.#emit('restored', restored)
  }
}

/** @throws ERR_ATSSS_CLOSED */
export function refuseWhenClosed({ isClosed }: SessionSteering): void {
  if (isClosed) throw new AtsssError('ERR_ATSSS_CLOSED', 'The session is closed')
}

/** The process does not end while a connection waits for this: nothing else may keep it alive. */
async function keepingAlive(what: Promise<void>): Promise<void> {
  const timer = setTimeout(() => {}, SEARCH_MS)
  await what
  clearTimeout(timer)
}

/** A connection does not wait longer for the steering loop, in milliseconds: then it begins as if both accesses were available. */
const ANSWER_MS = 2_000
/** By which connections are ahead of the start of the thread, in milliseconds. */
const HEAD_START_MS = 50
/** So many different remarks about peers are remembered. */
const MOST_REMARKS = 100
/** Nor for the search for translators, in milliseconds. */
const SEARCH_MS = 1_000
/** If the loop has failed or ended, connections do not wait for it. */
const ANSWERS: ReadonlySet<Report['event']> = new Set(['ready', 'failed', 'ended'])
