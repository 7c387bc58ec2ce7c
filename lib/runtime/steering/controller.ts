/**
 * The steering loop: look at all connections and accesses, ask the policy what is wanted, change what is different. It is
 * level-triggered: an event only says when to look, and what was lost or failed is found again at the next look.
 */
import { constants } from 'node:os'
import type { AccessType, Steering } from '../../policy/rules/rule.js'
import { BOTH, type Measured, measure, UNMEASURED } from '../../policy/steering/accesses.js'
import { type Health, health, hear, lookAgainIn, UNKNOWN_HEALTH } from '../../policy/steering/health.js'
import { type Carrying, type Division, divide } from '../../policy/steering/load-balance.js'
import {
  type Assistance,
  allowedAccesses,
  type Decision,
  decide,
  type SteeringMemory,
} from '../../policy/steering/modes.js'
import { plan } from '../../policy/steering/plan.js'
import type { Accesses, SubflowState } from '../../policy/steering/snapshot.js'
import { fdsOf, type SubflowAddresses } from '../kernel/sampler.js'
import { type AccessConfig, AccessLinks } from '../network/access-links.js'
import type { MptcpEvent } from '../network/path-manager.js'
import { applyAction, applySendBuffer, sayFarewell } from './actions.js'
import { Announced } from './announced.js'
import { type Steered, SteeredConnection } from './connection.js'
import type { ControllerEvent, Effects } from './effects.js'
import { EndpointWishes } from './endpoints.js'
import { carryingOf, together } from './load.js'
import { Pace } from './pace.js'
import { QUIET_MS } from './period.js'
import { whoDoesNotRest, whomToAsk, whoStirs } from './polling.js'
import type { Carriage } from './subflow.js'
import { SubflowTelling } from './subflow-report.js'

/** How often the links are looked at while bytes move, in milliseconds: the kernel may tell of a lost carrier a second late. */
const LINKS_PERIOD_MS = 10
/** How often the measurements are told. */
const TELL_MS = 500
const NEVER = Number.NEGATIVE_INFINITY

interface RuleState {
  steering: Steering
  memory: SteeringMemory
  /** How its bytes are divided over the accesses, where they are. */
  division: Division | undefined
}

export class Controller {
  readonly #effects: Effects
  readonly #tell: (event: ControllerEvent) => void
  readonly #links: AccessLinks
  readonly #interfaces: readonly string[]
  readonly #connections = new Map<number, SteeredConnection>()
  readonly #rules = new Map<number, RuleState>()
  #assistance: Assistance | undefined
  #health: Record<AccessType, Health> = { '3gpp': UNKNOWN_HEALTH, 'non-3gpp': UNKNOWN_HEALTH }
  #measured: Record<AccessType, Measured> = { '3gpp': UNMEASURED, 'non-3gpp': UNMEASURED }
  /** By token, what those that have been followed at this look have carried. */
  readonly #carried = new Map<number, readonly Carriage[]>()
  readonly #pace: Pace
  #watched = false
  /** When bytes last moved. */
  #busyAt = NEVER
  #subflows: readonly SubflowState[] = []
  /** At all of them. */
  #looks = 0
  /** What connections at rest were steered by. */
  #steeredBy = ''
  /** When each access was last heard on. */
  readonly #heardAt: Record<AccessType, number> = { '3gpp': NEVER, 'non-3gpp': NEVER }
  #toldAt = Number.NEGATIVE_INFINITY
  readonly #telling = new SubflowTelling()
  /** Where the kernel's path manager has one wish for all connections. */
  readonly #endpoints: EndpointWishes | undefined
  readonly #announced = new Announced()
  #closed = false

  constructor(effects: Effects, accesses: Record<AccessType, AccessConfig>, tell: (event: ControllerEvent) => void) {
    this.#effects = effects
    this.#tell = tell
    this.#pace = new Pace(effects.now, whole => this.#pass(whole))
    const { kernel, random } = effects
    this.#endpoints = kernel && new EndpointWishes(kernel, random, why => tell({ event: 'endpoints', why }))
    this.#interfaces = BOTH.map(access => accesses[access].interface)
    this.#links = new AccessLinks(accesses, effects.links.state)
    effects.links.on('change', (_, state) => {
      this.#links.update(state)
      for (const connection of this.#connections.values()) connection.readdress(at => this.#links.accessAt(at))
      this.#steeredBy = ''
      this.look()
    })
    effects.pathManager?.on('event', event => this.#hear(event))
    effects.pathManager?.on('overrun', () => {
      for (const connection of this.#connections.values()) connection.disturb()
      this.look()
    })
    this.look()
  }

  /** All at once: a connection's rule is told with `assign`. */
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
    this.#connections.set(steered.token, new SteeredConnection(this.#announced.completed(steered)))
    this.#pace.lookSoon()
  }

  assign(rules: readonly (readonly [token: number, rule: number])[]): void {
    for (const [token, rule] of rules) {
      const connection = this.#connections.get(token)
      if (!connection) continue
      connection.rule = rule
      connection.disturb()
    }
    this.look()
  }

  /** Undefined: as the rules say. */
  assist(wish: Assistance | undefined): void {
    this.#assistance = wish
    this.look()
  }

  remove(token: number): void {
    this.#connections.delete(token)
    this.#telling.forget(token)
  }

  close(): void {
    this.#closed = true
    this.#pace.close()
  }

  /** One pass over everything, now. */
  look(): void {
    this.#pass(true)
  }

  /** @param whole at connections at rest, too */
  #pass(whole: boolean): void {
    if (this.#closed) return
    const now = this.#effects.now()
    const awake = this.#sample(whole, now)
    const before = this.#health
    const accesses = this.#judgeAccesses(awake, now)
    const decisions = this.#decide(accesses, now)
    this.#steerAll(awake, decisions, accesses, now)
    this.#endpoints?.steer(decisions, [...this.#connections.values()], this.#links, now)
    this.#tellAccesses(accesses, now)
    this.#carried.clear()
    if (!awake.every(connection => connection.idle)) this.#busyAt = now
    const idle = now - this.#busyAt >= QUIET_MS
    this.#watch(!idle)
    const divides = [...this.#rules.values()].some(({ division }) => division !== undefined)
    // An access that comes or goes concerns those at rest, too.
    const urgent = BOTH.some(access => this.#health[access].available !== before[access].available)
    this.#pace.looked({ at: now, whole, urgent, idle, divides, again: lookAgainIn(this.#subflows, now) })
  }

  #watch(on: boolean): void {
    if (on !== this.#watched)
      this.#effects.links.watch(on ? LINKS_PERIOD_MS : Number.POSITIVE_INFINITY, this.#interfaces)
    this.#watched = on
  }

  /** @returns the connections that are not at rest, and of those that are some in turn: with their subflows as they are now */
  #sample(whole: boolean, now: number): SteeredConnection[] {
    // While nothing moves looks are rare, and at all of them.
    const { awake, resting } = whole
      ? whomToAsk(this.#connections, this.#looks++, this.#watched, now)
      : { awake: whoDoesNotRest(this.#connections), resting: [] }
    // What a load balance divides counts at once; and when an access has been lost lately, so does all that is heard on them.
    const isCalm = BOTH.every(access => this.#health[access].losses.length === 0)
    const mayWait = ({ rule }: SteeredConnection) => isCalm && this.#rules.get(rule)?.division === undefined
    awake.push(...whoStirs(resting, this.#effects.sampleConnections(fdsOf(resting)), now, mayWait))
    this.#follow(awake, now)
    return awake
  }

  #follow(connections: readonly SteeredConnection[], now: number): void {
    const samples = this.#effects.sample(fdsOf(connections))
    for (const [index, connection] of connections.entries()) {
      const sample = samples[index]
      // The descriptor's number may be another's by now.
      if (sample?.errno !== 0 || sample.token !== connection.token) {
        if (sample?.errno === constants.errno.EOPNOTSUPP) this.#forget({ event: 'fallback', token: connection.token })
        else this.#forget({ event: 'gone', token: connection.token, why: 'its socket is closed' })
        continue
      }
      const carried = connection.follow(
        sample,
        now,
        () => this.#addresses(connection.fd),
        address => this.#links.accessAt(address),
        this.#effects.random,
      )
      this.#carried.set(connection.token, carried)
      const told = this.#telling.note(connection, sample)
      if (told) this.#tell(told)
    }
  }

  /** None where the socket has gone since the sample: the next one will say so. */
  #addresses(fd: number): SubflowAddresses[] {
    try {
      return this.#effects.subflowAddresses(fd)
    } catch {
      return []
    }
  }

  #judgeAccesses(awake: readonly SteeredConnection[], now: number): Accesses {
    this.#subflows = awake.flatMap(connection => connection.subflows)
    // What rests has nothing that could be silent, and nothing newer has been heard on it.
    const heard = (access: AccessType) => {
      const of = this.#subflows.filter(subflow => subflow.access === access)
      const found = hear(of, this.#health[access], now, this.#heardAt[access])
      this.#heardAt[access] = found.at
      return found
    }
    const carried = [...this.#carried.values()].flat()
    const told = (access: AccessType) => carried.filter(carriage => carriage.access === access)
    const before = this.#health
    this.#health = health(before, this.#links.facts, { '3gpp': heard('3gpp'), 'non-3gpp': heard('non-3gpp') }, now)
    for (const access of BOTH) {
      this.#measured[access] = measure(this.#measured[access], told(access), now)
      const { available, why } = this.#health[access]
      if (available === before[access].available) continue
      if (available) for (const connection of this.#connections.values()) connection.forgive(access)
      this.#tell({ event: 'access', access, available, why })
    }
    const state = (access: AccessType) => ({ ...this.#measured[access], ...this.#health[access] })
    return { '3gpp': state('3gpp'), 'non-3gpp': state('non-3gpp') }
  }

  #decide(accesses: Accesses, now: number): Map<number, Decision> {
    const decisions = new Map<number, Decision>()
    for (const [key, rule] of this.#rules) {
      const decision = decide(rule.steering, accesses, rule.memory, now, this.#assistance)
      rule.memory = decision.memory
      const { percent3gpp } = decision
      rule.division = percent3gpp === undefined ? undefined : this.#divide(key, rule, percent3gpp, now)
      // The kernel's path manager has one wish for all connections.
      decisions.set(key, { ...decision, uses: rule.division?.connections.get(0)?.uses ?? decision.uses })
    }
    return decisions
  }

  #divide(key: number, { division }: RuleState, percent3gpp: number, now: number): Division {
    const carrying: Carrying[] = []
    for (const [token, { rule }] of this.#connections)
      if (rule === key) carrying.push(carryingOf(token, this.#carried.get(token) ?? []))
    return divide(division, this.#effects.kernel ? [together(carrying)] : carrying, percent3gpp, now)
  }

  /** For a connection at rest nothing is to do that was not to do before, unless something else is wanted now. */
  #steerAll(
    awake: readonly SteeredConnection[],
    decisions: ReadonlyMap<number, Decision>,
    accesses: Accesses,
    now: number,
  ): void {
    const by = JSON.stringify([
      [...decisions].map(([key, { uses, measure, percent3gpp }]) => [key, uses, measure, percent3gpp]),
      BOTH.map(access => [accesses[access].available, accesses[access].suspected, accesses[access].lostAt]),
    ])
    const steered = by === this.#steeredBy ? awake : this.#connections.values()
    this.#steeredBy = by
    const asked = new Set<number>()
    for (const connection of steered) this.#steer(connection, decisions, accesses, asked, now)
  }

  #steer(
    connection: SteeredConnection,
    decisions: ReadonlyMap<number, Decision>,
    accesses: Accesses,
    asked: Set<number>,
    now: number,
  ): void {
    const rule = this.#rules.get(connection.rule)
    const decision = decisions.get(connection.rule)
    if (!rule || !decision || !this.#effects.pathManager) return
    // One connection of a rule measures for all.
    const measure = asked.has(connection.rule) ? undefined : decision.measure
    if (measure) asked.add(connection.rule)
    if (connection.farewell(now)) void sayFarewell(this.#effects.pathManager, connection.token, 0)
    const place = rule.division?.connections.get(connection.token)
    applySendBuffer(connection, place?.sendBuffer, this.#effects)
    const wish = {
      uses: place?.uses ?? decision.uses,
      allowed: allowedAccesses(rule.steering),
      why: decision.why,
      measure,
      mayAsk: connection.mayAsk,
    }
    for (const action of plan(wish, connection.subflows, accesses, connection.retries, now))
      void applyAction(connection, action, this.#effects.pathManager, this.#links, this.#effects, this.#tell)
  }

  #hear(event: MptcpEvent): void {
    if (event.type === 'announced') this.#announced.note(event, this.#connections.get(event.token))
    if (!('token' in event) || !this.#connections.has(event.token)) return
    if (event.type === 'closed') return this.#forget({ event: 'gone', token: event.token, why: 'it has ended' })
    this.#connections.get(event.token)?.disturb()
    this.#pace.lookSoon()
  }

  #forget(about: Extract<ControllerEvent, { event: 'gone' | 'fallback' }>): void {
    this.#telling.forget(about.token)
    if (this.#connections.delete(about.token)) this.#tell(about)
  }

  #tellAccesses(accesses: Accesses, now: number): void {
    if (now - this.#toldAt < TELL_MS) return
    this.#toldAt = now
    const begin = [...this.#rules].flatMap(([key, { division }]) => (division ? [[key, division.newOver3gpp]] : []))
    this.#tell({ event: 'accesses', accesses, newOver3gpp: Object.fromEntries(begin) })
  }
}
