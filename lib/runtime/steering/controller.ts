/**
 * The steering loop: scans connections and accesses, asks the policy what is wanted, and changes what differs. It is
 * level-triggered: an event only says when to scan, and what was missed or refused is found again by the next scan.
 */
import { constants } from 'node:os'
import { hostAndPort, plainAddress } from '../../input/addresses.js'
import { callApplication } from '../../input/application.js'
import type { AccessType, Steering } from '../../policy/rules/rule.js'
import { BOTH, type Measured, measure, UNMEASURED } from '../../policy/steering/accesses.js'
import { evidenceOf, type Health, health, scanAgainIn, UNKNOWN_HEALTH } from '../../policy/steering/health.js'
import { type ConnectionLoad, type Division, divide } from '../../policy/steering/load-balance.js'
import {
  type Assistance,
  allowedAccesses,
  type Decision,
  decide,
  type SteeringMemory,
} from '../../policy/steering/modes.js'
import { type Action, plan } from '../../policy/steering/plan.js'
import { isQuiet, judgeProbes, NOT_PROBED, type Probing } from '../../policy/steering/reception.js'
import type { Accesses, SubflowState } from '../../policy/steering/snapshot.js'
import { fdsOf, type SubflowAddresses } from '../kernel/sampler.js'
import { type AccessConfig, AccessLinks, type Tunnel } from '../network/access-links.js'
import type { AddressPort, MptcpEvent } from '../network/path-manager.js'
import { applyAction, applySendBuffer, wayOver } from './actions.js'
import { Binding, withdrawAddress } from './binding.js'
import { type Steered, SteeredConnection } from './connection.js'
import type { ControllerEvent, Effects } from './effects.js'
import { EndpointPlanner } from './endpoints.js'
import { combined, loadOf } from './load.js'
import { Pace, QUIET_MS, type ScanResult } from './pace.js'
import { type Peer, PeerNews } from './peer.js'
import { Turns, wokenUp } from './polling.js'
import type { SteeredSubflow, SubflowTransfer } from './subflow.js'
import { SubflowReporter } from './subflow-report.js'
import { Translators } from './translators.js'

/** How often the links are polled while bytes move, in milliseconds: the kernel may report a lost carrier a second late. */
const LINKS_PERIOD_MS = 10
/** How often the measurements are reported, in milliseconds. */
const REPORT_MS = 500
/** So many joins must have failed in a row before that is reported: about four seconds. */
const FAILED_JOINS = 4
/** For so long, in milliseconds, a subflow must have been impossible before that is reported. */
const UNJOINED_MS = 2_000
/**
 * Longer than this, in milliseconds, between two scans: the process was stopped, or waits for a processor. What is outstanding now may
 * have been sent just now, though nothing was acknowledged since: its time begins again.
 */
const HELD_UP_MS = 1_000
/** How often to look whether the machine was suspended, in milliseconds. */
const SUSPENSION_PERIOD_MS = 200
/** A machine that was suspended for this many milliseconds may have been forgotten: the shortest timeouts of NATs are 30 s. */
const SUSPENDED_LEAST_MS = 25_000
const NEVER = Number.NEGATIVE_INFINITY

interface RuleState {
  steering: Steering
  memory: SteeringMemory
  /** How its bytes are divided over the accesses, if they are. */
  division: Division | undefined
}

export class Controller {
  readonly #effects: Effects
  readonly #listener: (event: ControllerEvent) => void
  readonly #links: AccessLinks
  #interfaces: ReturnType<() => AccessLinks['interfaces']>
  readonly #connections = new Map<number, SteeredConnection>()
  readonly #turns = new Turns()
  readonly #rules = new Map<number, RuleState>()
  #assistance: Assistance | undefined
  #health: Record<AccessType, Health> = { '3gpp': UNKNOWN_HEALTH, 'non-3gpp': UNKNOWN_HEALTH }
  #measured: Record<AccessType, Measured> = { '3gpp': UNMEASURED, 'non-3gpp': UNMEASURED }
  /** By token: what the connections that were sampled in this scan have transferred. */
  readonly #transfers = new Map<number, readonly SubflowTransfer[]>()
  readonly #pace: Pace
  #isPolling = false
  /** When bytes last moved. */
  #busyAt = NEVER
  #subflows: readonly SubflowState[] = []
  #scannedAt = NEVER
  #suspended: { ms: number; readAt: number }
  /** The decisions that idle connections were last steered by. */
  #steeredBy = ''
  /** When anything was last received over each access. */
  readonly #receivedAt: Record<AccessType, number> = { '3gpp': NEVER, 'non-3gpp': NEVER }
  readonly #probing: Record<AccessType, Probing> = { '3gpp': NOT_PROBED, 'non-3gpp': NOT_PROBED }
  /** By token: the access that this connection probes in this scan. */
  readonly #probes = new Map<number, AccessType>()
  #reportedAt = NEVER
  readonly #subflowReporter = new SubflowReporter()
  /** Where the kernel's path manager makes the subflows, for all connections together. */
  readonly #endpoints: EndpointPlanner | undefined
  readonly #peerNews = new PeerNews()
  readonly #translators: Translators
  #tunnels: readonly Tunnel[] = []
  readonly #binding: Binding | undefined
  /** By access: what was last reported of its new subflows. */
  readonly #unboundReports: Partial<Record<AccessType, string>> = {}
  /** Addresses of both accesses that were reported: by the address alone, a subflow could be either's. */
  readonly #ambiguous = new Set<string>()
  #reports: ControllerEvent[] = []
  #isScanning = false
  #isDelivering = false
  #closed = false

  /** @param listener called when no scan is running; what it throws is its own, and becomes an uncaught exception */
  constructor(
    effects: Effects,
    accesses: Record<AccessType, AccessConfig>,
    listener: (event: ControllerEvent) => void,
  ) {
    this.#effects = effects
    this.#listener = listener
    this.#pace = new Pace(effects.now, full => this.#scan(full))
    const { endpoints, random } = effects
    this.#endpoints =
      endpoints && new EndpointPlanner(endpoints, random, why => this.#report({ event: 'endpoints', why }))
    this.#binding = effects.pathManager && new Binding(effects.pathManager)
    this.#suspended = { ms: effects.suspendedMs(), readAt: effects.now() }
    this.#links = new AccessLinks(accesses, effects.links.state)
    this.#interfaces = this.#links.interfaces
    for (const access of BOTH) this.#reportInterface(access)
    this.#translators = new Translators(this.#links, effects, event => this.#report(event))
    this.#translators.update()
    this.#reportTunnels()
    effects.links.on('change', (_, state) => {
      if (this.#closed) return
      this.#links.update(state)
      this.#translators.update()
      this.#reportTunnels()
      this.#reportInterfaces()
      for (const connection of this.#connections.values()) this.#readdress(connection)
      this.#steeredBy = ''
      this.scan()
    })
    effects.pathManager?.on('event', event => this.#note(event))
    const readAgain = () => {
      for (const connection of this.#connections.values()) connection.markActive()
      this.scan()
    }
    effects.pathManager?.on('overrun', readAgain)
    effects.pathManager?.on('back', () => {
      for (const connection of this.#connections.values()) connection.forgetRefusals()
      readAgain()
    })
    this.scan()
  }

  /** Replaces all rules. `assign` puts connections under them. */
  setRules(rules: readonly (readonly [number, Steering])[]): void {
    const before = new Map(this.#rules)
    this.#rules.clear()
    for (const [key, steering] of rules) {
      const same = before.get(key)
      const kept = same && JSON.stringify(same.steering) === JSON.stringify(steering)
      this.#rules.set(key, kept ? same : { steering, memory: {}, division: undefined })
    }
  }

  add(steered: Steered): void {
    const peer = this.#peerNews.take(steered.token)
    const connection = new SteeredConnection(steered, peer, one => this.#turns.wake(one))
    this.#take(steered.token)
    this.#connections.set(steered.token, connection)
    this.#turns.add(connection)
    this.#effects.pathManager?.watch(steered.token, steered.fd)
    this.#pace.scanSoon()
  }

  assign(rules: readonly (readonly [token: number, rule: number])[]): void {
    for (const [token, rule] of rules) {
      const connection = this.#connections.get(token)
      if (!connection) continue
      connection.rule = rule
      connection.markActive()
    }
    this.scan()
  }

  /** Undefined: the rules alone decide. */
  assist(wish: Assistance | undefined): void {
    this.#assistance = wish
    this.scan()
  }

  remove(token: number): void {
    this.#take(token)
    this.#effects.pathManager?.forget(token)
    this.#subflowReporter.forget(token)
  }

  close(): void {
    this.#closed = true
    this.#pace.close()
    this.#translators.close()
  }

  /** A full scan, now. */
  scan(): void {
    this.#scan(true)
  }

  /** @param full scans idle connections too */
  #scan(full: boolean): void {
    if (this.#closed) return
    const now = this.#effects.now()
    this.#isScanning = true
    try {
      this.#pace.scanned(this.#scanAll(full, now))
    } catch (error) {
      // A defect of this package, or of the addon. The loop goes on.
      this.#pace.scanned({ at: now, full, urgent: false, idle: false, divides: false, nextIn: REPORT_MS })
      throw error
    } finally {
      this.#isScanning = false
    }
    this.#deliver()
  }

  #scanAll(full: boolean, now: number): ScanResult {
    if (now - this.#scannedAt > HELD_UP_MS) for (const connection of this.#connections.values()) connection.heldUp(now)
    this.#scannedAt = now
    this.#noteSuspension(now)
    const active = this.#sample(full, now)
    const before = this.#health
    const accesses = this.#judgeAccesses(active, now)
    const decisions = this.#decide(accesses, now)
    this.#steerAll(active, decisions, accesses, now)
    this.#endpoints?.steer(decisions, [...this.#connections.values()], this.#links, now)
    this.#reportAccesses(accesses, now)
    this.#transfers.clear()
    if (!active.every(connection => connection.idle)) this.#busyAt = now
    const idle = now - this.#busyAt >= QUIET_MS
    this.#pollLinks(!idle)
    const divides = [...this.#rules.values()].some(({ division }) => division !== undefined)
    // An access that comes or goes concerns idle connections too.
    const urgent = BOTH.some(access => this.#health[access].available !== before[access].available)
    const nextIn = Math.min(scanAgainIn(this.#subflows, now), firstBytesIn(active, now))
    return { at: now, full, urgent, idle, divides, nextIn }
  }

  /** NATs count the time that a suspended machine does not: its subflows may be dead, and nothing has failed yet that shows it. */
  #noteSuspension(now: number): void {
    if (now - this.#suspended.readAt < SUSPENSION_PERIOD_MS) return
    const before = this.#suspended
    this.#suspended = { ms: this.#effects.suspendedMs(), readAt: now }
    const suspendedMs = this.#suspended.ms - before.ms
    if (suspendedMs < SUSPENDED_LEAST_MS) return
    for (const connection of this.#connections.values()) connection.resumed(now)
    for (const access of BOTH) this.#probing[access] = NOT_PROBED
    this.#translators.searchAgain()
    this.#steeredBy = ''
    this.#report({ event: 'resumed', suspendedMs })
  }

  /** Reports wait for the end of the scan: a listener may call any method. */
  #report(event: ControllerEvent): void {
    this.#reports.push(event)
    if (!this.#isScanning) this.#deliver()
  }

  #deliver(): void {
    if (this.#isDelivering) return
    this.#isDelivering = true
    for (let event = this.#reports.shift(); event; event = this.#reports.shift()) callApplication(this.#listener, event)
    this.#isDelivering = false
  }

  #pollLinks(on: boolean): void {
    if (on !== this.#isPolling) this.#watchLinks(on)
    this.#isPolling = on
  }

  #watchLinks(on: boolean): void {
    const names = BOTH.flatMap(access => this.#interfaces[access]?.name ?? [])
    this.#effects.links.watch(on ? LINKS_PERIOD_MS : Number.POSITIVE_INFINITY, names)
  }

  /** Samples the active connections, and some idle ones in turn. @returns those whose subflows are up to date now */
  #sample(full: boolean, now: number): SteeredConnection[] {
    // While no bytes move, full scans are rare, and check all connections.
    const { active, idle } = full ? this.#turns.select(this.#isPolling, now) : { active: this.#turns.awake, idle: [] }
    // The bytes of a load balance count at once; so does everything that is received, when an access was lost lately.
    const isCalm = BOTH.every(access => this.#health[access].losses.length === 0)
    const mayWait = ({ rule }: SteeredConnection) => isCalm && this.#rules.get(rule)?.division === undefined
    if (idle.length > 0) {
      const woken = wokenUp(idle, this.#effects.sampleConnections(fdsOf(idle)), now, mayWait)
      for (const connection of woken) active.push(connection)
      for (const connection of idle) this.#turns.checked(connection, now)
    }
    this.#update(active, now)
    return active
  }

  #update(connections: readonly SteeredConnection[], now: number): void {
    const samples = this.#effects.sample(fdsOf(connections))
    for (const [index, connection] of connections.entries()) {
      const sample = samples[index]
      // The descriptor may be another connection's by now.
      if (sample?.errno !== 0 || sample.token !== connection.token) {
        if (sample?.errno === constants.errno.EOPNOTSUPP) this.#forget({ event: 'fallback', token: connection.token })
        else this.#forget({ event: 'gone', token: connection.token, why: 'its socket is closed' })
        continue
      }
      const transfers = connection.update(
        sample,
        now,
        { addresses: () => this.#addresses(connection), boundTo: () => this.#boundTo(connection) },
        this.#links,
        this.#effects.random,
      )
      for (const { name } of connection.takeAmbiguous()) this.#reportAmbiguous(plainAddress(name.local.address))
      this.#transfers.set(connection.token, transfers)
      const report = this.#subflowReporter.note(connection, sample)
      if (report) this.#report(report)
      this.#turns.sampled(connection, now)
      const handover = connection.takeHandover(now)
      // Percentages move connections all the time: no moves of those.
      if (handover && this.#rules.get(connection.rule)?.division === undefined)
        this.#report({ event: 'handover', token: connection.token, ...handover, why: connection.steeredWhy })
    }
  }

  /** None if the socket was closed after it was sampled, as the next sample will show. */
  #addresses({ fd, token }: SteeredConnection): SubflowAddresses[] {
    try {
      return this.#effects.subflowAddresses(fd, token)
    } catch {
      return []
    }
  }

  /** The same. */
  #boundTo({ fd, token }: SteeredConnection): number {
    try {
      return this.#effects.boundTo(fd, token)
    } catch {
      return 0
    }
  }

  #judgeAccesses(active: readonly SteeredConnection[], now: number): Accesses {
    this.#subflows = active.flatMap(connection => connection.subflows)
    // Idle connections have nothing that could be silent, and have received nothing new.
    this.#probes.clear()
    const evidence = (access: AccessType) => {
      const subflows = this.#subflows.filter(subflow => subflow.access === access)
      const found = evidenceOf(subflows, this.#health[access], now, this.#receivedAt[access])
      this.#receivedAt[access] = found.receivedAt
      const isSilent = this.#probe(access, subflows, active, now)
      return isSilent ? { ...found, silent: true, isProbed: true } : found
    }
    const all = [...this.#transfers.values()].flat()
    const before = this.#health
    this.#health = health(
      before,
      this.#links.facts,
      { '3gpp': evidence('3gpp'), 'non-3gpp': evidence('non-3gpp') },
      now,
    )
    for (const access of BOTH) {
      const transfers = all.filter(transfer => transfer.access === access)
      this.#measured[access] = measure(this.#measured[access], transfers, now)
      const { available, why } = this.#health[access]
      if (available === before[access].available) continue
      if (available) for (const connection of this.#connections.values()) connection.resetRetries(access)
      this.#report({ event: 'access', access, available, why })
    }
    const state = (access: AccessType) => ({ ...this.#measured[access], ...this.#health[access] })
    return { '3gpp': state('3gpp'), 'non-3gpp': state('non-3gpp') }
  }

  /** @returns whether the probes of this access show that nothing is received over it */
  #probe(access: AccessType, subflows: SubflowState[], active: readonly SteeredConnection[], now: number): boolean {
    if (!this.#health[access].available || !this.#effects.pathManager?.isReachable) {
      this.#probing[access] = NOT_PROBED
      return false
    }
    const relying = (connections: Iterable<SteeredConnection>) => {
      for (const connection of connections) if (connection.reliesOn(access)) return connection
      return undefined
    }
    const { idleProbeMs } = this.#effects
    const receivedAt = this.#receivedAt[access]
    const isOverdue = now - Math.max(receivedAt, this.#probing[access].at) >= idleProbeMs
    const carrying = relying(active) ?? (isOverdue ? relying(this.#connections.values()) : undefined)
    const carries = carrying !== undefined
    const verdict = judgeProbes(this.#probing[access], { subflows, receivedAt, carries, idleProbeMs }, now)
    this.#probing[access] = verdict.probing
    if (!verdict.isDue) return verdict.isSilent
    const quiet = active.find(one => one.subflows.some(subflow => subflow.access === access && isQuiet(subflow, now)))
    const prober = quiet ?? carrying
    if (prober) this.#probes.set(prober.token, access)
    return verdict.isSilent
  }

  #decide(accesses: Accesses, now: number): Map<number, Decision> {
    const decisions = new Map<number, Decision>()
    for (const [key, rule] of this.#rules) {
      const decision = decide(rule.steering, accesses, rule.memory, now, this.#assistance)
      rule.memory = decision.memory
      const { percent3gpp } = decision
      rule.division = percent3gpp === undefined ? undefined : this.#divide(key, rule, percent3gpp, now)
      // With the kernel's path manager, all connections are divided as the one with the token 0.
      decisions.set(key, { ...decision, uses: rule.division?.connections.get(0)?.uses ?? decision.uses })
    }
    return decisions
  }

  #divide(key: number, { division }: RuleState, percent3gpp: number, now: number): Division {
    const loads: ConnectionLoad[] = []
    for (const [token, { rule }] of this.#connections)
      if (rule === key) loads.push(loadOf(token, this.#transfers.get(token) ?? []))
    return divide(division, this.#effects.endpoints ? [combined(loads)] : loads, percent3gpp, now)
  }

  /** Steers the active connections; the idle ones only if a decision has changed. */
  #steerAll(
    active: readonly SteeredConnection[],
    decisions: ReadonlyMap<number, Decision>,
    accesses: Accesses,
    now: number,
  ): void {
    const by = JSON.stringify([
      [...decisions].map(([key, { uses, measure, percent3gpp }]) => [key, uses, measure, percent3gpp]),
      BOTH.map(access => [accesses[access].available, accesses[access].suspected, accesses[access].lostAt]),
    ])
    const isSame = by === this.#steeredBy
    this.#steeredBy = by
    const measuring = new Set<number>()
    const steered = new Set(active)
    // Ten thousand take a second: what has something on its way does not wait for what rests.
    for (const connection of active) this.#steer(connection, decisions, accesses, measuring, now)
    const others = isSame
      ? [...this.#probes.keys()].map(token => this.#connections.get(token))
      : this.#connections.values()
    for (const connection of others)
      if (connection && !steered.has(connection)) this.#steer(connection, decisions, accesses, measuring, now)
  }

  #steer(
    connection: SteeredConnection,
    decisions: ReadonlyMap<number, Decision>,
    accesses: Accesses,
    measuring: Set<number>,
    now: number,
  ): void {
    const rule = this.#rules.get(connection.rule)
    const decision = decisions.get(connection.rule)
    const { pathManager } = this.#effects
    const binding = this.#binding
    if (!rule || !decision || !pathManager?.isReachable || !binding) return
    // One connection of a rule measures for all of them.
    const measure = measuring.has(connection.rule) ? undefined : decision.measure
    if (measure) measuring.add(connection.rule)
    if (connection.mustWithdraw(now)) void withdrawAddress(pathManager, connection.token, 0)
    const placement = rule.division?.connections.get(connection.token)
    applySendBuffer(connection, placement?.sendBuffer, this.#effects)
    const wish = {
      uses: placement?.uses ?? decision.uses,
      allowed: allowedAccesses(rule.steering),
      why: decision.why,
      measure,
      probe: this.#probes.get(connection.token),
      mayAsk: connection.mayAsk,
    }
    const act = (action: Action) => {
      if (action.do === 'create' && !wayOver(connection, action.access, this.#links))
        return this.#noteUnjoined(connection, action.access, now)
      void applyAction(connection, action, pathManager, binding, this.#links, this.#effects, report =>
        this.#report(report),
      )
    }
    for (const access of BOTH)
      if (wish.uses[access] !== 'none' && accesses[access].available) this.#noteFailedJoins(connection, access)
    for (const subflow of connection.takeUnbound()) this.#bind(connection, subflow, binding, act)
    for (const action of plan(wish, connection.subflows, accesses, connection.retries, now)) {
      connection.steeredWhy = action.why
      act(action)
    }
    const promoted = connection.takePromotion(now)
    if (promoted !== undefined) act({ do: 'set-backup', subflow: promoted, backup: false, why: wish.why })
  }

  /** Subflows that the rule wants are asked for, and do not come: other packets may get through. */
  #noteFailedJoins(connection: SteeredConnection, access: AccessType): void {
    const failures = connection.failedJoins(access)
    if (failures < FAILED_JOINS || connection.wasUnjoinedReported(access)) return
    connection.unjoinedReported(access)
    const { remote, places } = { remote: connection.remote, places: connection.places(access) }
    const to = remote ?? places[0]
    const at = to ? hostAndPort(plainAddress(to.address), to.port) : 'this host'
    const why = `No handover to ${access} for connections to ${at}: ${failures} attempts in a row to add a subflow were refused or not answered. A middlebox on ${access} may drop or change MPTCP's joins, or the reverse path filter is strict (atsss doctor shows it); it is tried again`
    this.#report({ event: 'unjoined', token: connection.token, access, why })
  }

  /** There is no way to make a subflow that the rule wants. What the peer announces may come a little later. */
  #noteUnjoined(connection: SteeredConnection, access: AccessType, now: number): void {
    const { remote, peer } = connection
    const why = unjoinedWhy({ remote, places: connection.places(access), peer }, access, this.#links)
    const since = connection.unjoinedSince(access, now)
    if (why === undefined || since === undefined || now - since < UNJOINED_MS) return
    connection.unjoinedReported(access)
    this.#report({ event: 'unjoined', token: connection.token, access, why })
  }

  #reportAmbiguous(address: string): void {
    if (this.#ambiguous.has(address)) return
    this.#ambiguous.add(address)
    const { '3gpp': cellular, 'non-3gpp': other } = this.#interfaces
    const why = `A subflow from ${address} cannot be steered or counted: ${other?.name} and ${cellular?.name} both have this address, and the subflow is bound to neither. Let connections begin under a rule, which binds them, or give one of the two interfaces another address`
    this.#report({ event: 'ambiguous', why })
  }

  /** A subflow is not bound to its access's interface: it is made again with its address announced, where that may help. */
  #bind(connection: SteeredConnection, subflow: SteeredSubflow, binding: Binding, act: (action: Action) => void): void {
    const { id, access, name, interfaceIndex } = subflow
    if (!access) return
    const local = plainAddress(name.local.address)
    if (connection.announcements.of(local) === undefined && binding.refusal === '') {
      binding.disprove()
      return act({ do: 'destroy', subflow: id, why: `the kernel has not bound it to the interface of ${access}` })
    }
    const reportUnless = (leavesBy: number | undefined) => {
      // A routing rule may do what the kernel does not.
      if (leavesBy === interfaceIndex) return
      const why = unboundWhy(access, this.#links, local, interfaceIndex, leavesBy, binding.refusal)
      if (this.#unboundReports[access] === why) return
      this.#unboundReports[access] = why
      this.#report({ event: 'unbound', access, why })
    }
    const found = this.#effects.interfaceFor(local, plainAddress(name.remote.address))
    void found.catch(() => undefined).then(reportUnless)
  }

  #readdress(connection: SteeredConnection): void {
    connection.readdress(this.#links)
    const { pathManager } = this.#effects
    if (!pathManager) return
    // Subflows from lost addresses are destroyed, and their addresses withdrawn. This is for those that had ended before.
    const isOurs = (address: string) =>
      BOTH.some(access => this.#links.has(access, { address, interfaceIndex: 0 })) || connection.hasSubflowFrom(address)
    for (const localId of connection.announcements.takeGone(isOurs))
      void withdrawAddress(pathManager, connection.token, localId)
  }

  #note(event: MptcpEvent): void {
    if (!('token' in event)) return
    const connection = this.#connections.get(event.token)
    if (SAID_BY_PEERS.has(event.type)) (connection?.peer ?? this.#peerNews).note(event as PeerEvent)
    if (!connection) return event.type === 'closed' ? this.#peerNews.ended(event.token) : undefined
    if (event.type === 'closed') return this.#forget({ event: 'gone', token: event.token, why: 'it has ended' })
    if (event.type === 'subflow-established') connection.made(event, this.#links)
    connection.markActive()
    this.#pace.scanSoon()
  }

  /** @returns whether it was there */
  #take(token: number): boolean {
    const connection = this.#connections.get(token)
    if (connection) this.#turns.delete(connection)
    return this.#connections.delete(token)
  }

  #forget(about: Extract<ControllerEvent, { event: 'gone' | 'fallback' }>): void {
    this.#subflowReporter.forget(about.token)
    this.#effects.pathManager?.forget(about.token)
    if (this.#take(about.token)) this.#report(about)
  }

  #reportInterfaces(): void {
    const before = this.#interfaces
    this.#interfaces = this.#links.interfaces
    const changed = BOTH.filter(access => this.#interfaces[access]?.name !== before[access]?.name)
    for (const access of changed) this.#reportInterface(access)
    if (changed.length > 0 && this.#isPolling) this.#watchLinks(true)
  }

  #reportInterface(access: AccessType): void {
    const [used, isMissing] = [this.#interfaces[access], this.#links.isMissing(access)]
    this.#report({ event: 'interface', access, interface: used, isMissing })
  }

  #reportTunnels(): void {
    const { tunnels } = this.#links
    if (JSON.stringify(tunnels) === JSON.stringify(this.#tunnels)) return
    this.#tunnels = tunnels
    this.#report({ event: 'tunnels', tunnels })
  }

  #reportAccesses(accesses: Accesses, now: number): void {
    if (now - this.#reportedAt < REPORT_MS) return
    this.#reportedAt = now
    const begin = [...this.#rules].flatMap(([key, { division }]) => (division ? [[key, division.newOver3gpp]] : []))
    this.#report({ event: 'accesses', accesses, newOver3gpp: Object.fromEntries(begin) })
  }
}

/** When to look for the first bytes after a handover, to measure its gap. Of many connections only the full scans measure it. */
function firstBytesIn(active: readonly SteeredConnection[], now: number): number {
  const looks = active.length <= MOST_MEASURED && active.some(connection => connection.awaitsFirstBytes(now))
  return looks ? GAP_MS : Number.POSITIVE_INFINITY
}
/** Within so many milliseconds the gap of a handover is measured, */
const GAP_MS = 10
/** as long as so many connections or fewer are active: a scan of them takes some tenths of a millisecond. */
const MOST_MEASURED = 32

/** Undefined: it may be possible soon, or it is a connection that the peer has made. */
function unjoinedWhy(
  { remote, places, peer }: { remote: AddressPort | undefined; places: readonly AddressPort[]; peer: Peer },
  access: AccessType,
  links: AccessLinks,
): string | undefined {
  if (!remote) return undefined
  const at = hostAndPort(plainAddress(remote.address), remote.port)
  if (places.length === 0 && peer.refusesFirst)
    return `No handover to ${access} for connections to ${at}: that host takes no further subflow at this address (RFC 8684 §3.1, C flag, or REMOVE_ADDR) and has announced no other. Its administrator can announce one: ip mptcp endpoint add ADDRESS signal`
  const has = ([4, 6] as const).filter(family => links.address(access, family))
  if (has.length === 0 || has.some(family => links.awaitsRoute(access, family))) return undefined
  const lacks = has[0] === 6 ? '4' : '6'
  const known = [...new Set([remote, ...places].map(place => plainAddress(place.address)))].join(', ')
  const also =
    lacks === '4' ? 'IPv6 address, or the network a translator (NAT64) that ipv4only.arpa shows' : 'IPv4 address'
  return `No handover to ${access} for connections to ${at}: ${access} has no IPv${lacks}, and of that host only ${known} is known. It needs an ${also}`
}

type PeerEvent = Parameters<PeerNews['note']>[0]
const SAID_BY_PEERS: ReadonlySet<MptcpEvent['type']> = new Set(['created', 'established', 'announced', 'removed'])

function unboundWhy(
  access: AccessType,
  links: AccessLinks,
  address: string,
  interfaceIndex: number,
  leavesBy: number | undefined,
  refusal: string,
): string {
  const own = links.nameOf(interfaceIndex)
  const other = leavesBy === undefined ? 'no interface' : links.nameOf(leavesBy)
  const refused = refusal === '' ? '' : `, and refuses to announce their address (${refusal})`
  const rules = links.sourceRouting(interfaceIndex, address).join('; ')
  return `Subflows of ${access} leave by ${other}, not ${own}: this kernel ignores the interface of new subflows${refused}. There is no handover to ${access}, and a standby on it may carry data. Route by source address, for each access: ${rules}`
}
