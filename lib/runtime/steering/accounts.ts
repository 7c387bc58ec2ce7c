/** Counts what a session's connections carry, by access and by rule, and how fast. */

import type { AccessType, Rule } from '../../policy/rules/rule.js'
import { BOTH } from '../../policy/steering/accesses.js'
import type { SocketSample, SubflowSample } from '../kernel/sampler.js'
import { AccessMeters, RateMeter, type Traffic, type TrafficByAccess, withShares } from './rates.js'
import {
  type CarriedByAccess,
  carriers,
  countersOf,
  mostOf,
  nothingCarried,
  type SubflowReport,
  type SubflowsReport,
  sumOf,
} from './subflow-report.js'

/** One subflow, as it is now. */
export interface SubflowStats extends SubflowReport, Traffic {
  /** Smoothed round-trip time of what is sent, in milliseconds. Undefined: not measured yet. */
  rttMs: number | undefined
  /**
   * Round-trip time of what is received, in milliseconds: from an acknowledgement to the data that it allowed. It contains the
   * queue that the data waited in, and the pauses of a sender that has little to send. Undefined: too little was received to
   * measure it, or the kernel does not report it.
   */
  receiveRttMs: number | undefined
  /** The rate at which the peer last acknowledged data, as the kernel estimates it, in bits per second. Undefined: not measured yet. */
  deliveryRate: number | undefined
  /** Segments with data received, retransmissions included. Undefined: the kernel does not report it. */
  segmentsReceived: number | undefined
  /**
   * Those of them that came out of order. A receiver sees a loss only by this: after one, all segments come out of order until the
   * lost one is sent again. Undefined: the kernel does not report it (before Linux 5.4).
   */
  segmentsOutOfOrder: number | undefined
}

export interface ConnectionStats<Socket> {
  socket: Socket
  /** As given by the application. */
  host: string
  port: number
  /** The rule that matches it now. A connection that is TCP is not steered: it stays on the access that it began on. */
  rule: Rule | undefined
  protocol: 'mptcp' | 'tcp'
  /** How often all traffic has moved from one access to the other. */
  handovers: number
  subflows: SubflowStats[]
  carried: TrafficByAccess
  /** Why it has no subflow on an access that its rule wants: its peer has no address for it. Undefined: that is not so. */
  unjoined: string | undefined
  /** Bytes of the stream that the peer has acknowledged; each counts once. Undefined: the kernel does not report it (TCP). */
  bytesAcknowledged: number | undefined
}

export interface RuleStats {
  /** Undefined: the connections that no rule matches. */
  rule: Rule | undefined
  /** How many open connections it matches, including those that are TCP. */
  connections: number
  handovers: number
  /** By all connections that have ever been under this rule. */
  carried: TrafficByAccess
}

/** A connection to count. */
export interface Counted<Socket> {
  socket: Socket
  host: string
  port: number
  rule: Rule | undefined
  fd: number
  /** Undefined: the connection is TCP, and stays on `access`. */
  token: number | undefined
  access: AccessType | undefined
  /** Made as TCP, because its rule leaves it to the system. */
  isPlain?: boolean
}

interface Account<Socket> extends Counted<Socket> {
  reported: readonly SubflowReport[]
  ended: CarriedByAccess
  /** What has been counted for a rule already. */
  booked: CarriedByAccess
  /** The last access that got all new data. */
  alone: AccessType | undefined
  handovers: number
  meters: AccessMeters
  unjoined?: { access: AccessType; why: string }
  /** By the id of the subflow. */
  subflowMeters: Map<number, RateMeter>
}

interface Entry extends Pick<RuleStats, 'rule' | 'handovers'> {
  carried: CarriedByAccess
  meters: AccessMeters
}

const NO_RULE = -1

export class Accounts<Socket> {
  readonly #sample: (fds: Int32Array) => SocketSample[]
  readonly #now: () => number
  readonly #meters: AccessMeters
  readonly #open = new Map<Socket, Account<Socket>>()
  readonly #byToken = new Map<number, Account<Socket>>()
  /** By precedence. */
  readonly #rules = new Map<number, Entry>()
  /** How many connections have become TCP. */
  fallbacks = 0

  /**
   * @param sample reads the counters of all in one native call
   * @param now milliseconds
   */
  constructor(sample: (fds: Int32Array) => SocketSample[], now = () => performance.now()) {
    this.#sample = sample
    this.#now = now
    this.#meters = new AccessMeters(now())
  }

  add(connection: Counted<Socket>): void {
    const account: Account<Socket> = {
      ...connection,
      reported: [],
      ended: nothingCarried(),
      booked: nothingCarried(),
      alone: undefined,
      handovers: 0,
      meters: new AccessMeters(this.#now()),
      subflowMeters: new Map(),
    }
    this.#open.set(connection.socket, account)
    // Its rates count from here.
    this.#entry(connection.rule)
    if (connection.token !== undefined) this.#byToken.set(connection.token, account)
    else if (connection.isPlain !== true) this.fallbacks++
  }

  /** The open connections, each with the rule that it counts under. */
  get open(): { socket: Socket; rule: Rule | undefined }[] {
    return [...this.#open.values()].map(({ socket, rule }) => ({ socket, rule }))
  }

  /** Applies a report of the steering loop. */
  update({ token, subflows, ended }: SubflowsReport): void {
    const account = this.#byToken.get(token)
    if (!account) return
    account.reported = subflows
    account.ended = ended
    const [only, ...more] = carriers(subflows)
    if (only === undefined || more.length > 0) return
    if (account.alone && account.alone !== only) {
      account.handovers++
      this.#entry(account.rule).handovers++
    }
    account.alone = only
  }

  /** The loop cannot make a subflow that the rule wants. */
  noteUnjoined({ token, access, why }: { token: number; access: AccessType; why: string }): void {
    const account = this.#byToken.get(token)
    if (account) account.unjoined = { access, why }
  }

  /** Puts a connection under another rule. What it has carried so far stays with the rule before. */
  assign(socket: Socket, rule: Rule | undefined): void {
    const account = this.#open.get(socket)
    if (!account) return
    this.#count([account])
    account.rule = rule
    this.#entry(rule)
  }

  /** The connection has become TCP: it has no subflows but itself any more. */
  fellBack(socket: Socket): void {
    const account = this.#open.get(socket)
    if (account?.token === undefined) return
    this.#byToken.delete(account.token)
    account.token = undefined
    account.reported = []
    this.fallbacks++
  }

  /** Call this while the descriptor is still open. */
  remove(socket: Socket): void {
    const account = this.#open.get(socket)
    if (!account) return
    this.#count([account])
    this.#open.delete(socket)
    if (account.token !== undefined) this.#byToken.delete(account.token)
  }

  /**
   * @param rules are in the result even if they have carried nothing
   * @returns `carried`: by all connections that there ever were
   */
  read(rules: readonly Rule[]): {
    connections: ConnectionStats<Socket>[]
    rules: RuleStats[]
    carried: TrafficByAccess
  } {
    const now = this.#now()
    const connections = this.#count([...this.#open.values()])
    for (const rule of rules) this.#entry(rule).rule = rule
    const open = (rule: Rule | undefined) => connections.filter(one => keyOf(one.rule) === keyOf(rule)).length
    const sorted = [...this.#rules].sort(([a], [b]) => (a === NO_RULE ? 1 : b === NO_RULE ? -1 : a - b))
    const all = nothingCarried()
    for (const [, { carried }] of sorted) for (const access of BOTH) all[access] = sumOf(all[access], carried[access])
    return {
      connections,
      rules: sorted.map(([, { rule, handovers, carried, meters }]) => ({
        rule,
        connections: open(rule),
        handovers,
        carried: meters.read(carried, now),
      })),
      carried: this.#meters.read(all, now),
    }
  }

  #count(accounts: readonly Account<Socket>[]): ConnectionStats<Socket>[] {
    const samples = this.#sample(Int32Array.from(accounts, account => account.fd))
    return accounts.map((account, index) => this.#book(account, samples[index]))
  }

  #book(account: Account<Socket>, sample: SocketSample | undefined): ConnectionStats<Socket> {
    const { socket, host, port, rule, token, ended, handovers } = account
    // The descriptor may be another connection's by now.
    const isOurs = sample?.token === (token ?? 0)
    const seen = isOurs ? sample.subflows : []
    const now = this.#now()
    const subflows = withShares(seen.map(subflow => statsOf(subflow, account, now)))
    if (account.subflowMeters.size > seen.length) forgetMeters(account.subflowMeters, seen)
    const carried = { ...ended }
    for (const subflow of subflows)
      if (subflow.access) carried[subflow.access] = sumOf(carried[subflow.access], subflow)
    const entry = this.#entry(rule)
    for (const access of BOTH) {
      // A subflow that has just ended is in no sample, and not in `ended` yet.
      carried[access] = mostOf(carried[access], account.booked[access])
      const fresh = sumOf(carried[access], account.booked[access], -1)
      entry.carried[access] = sumOf(entry.carried[access], fresh)
    }
    account.booked = carried
    const protocol = token === undefined ? 'tcp' : 'mptcp'
    return {
      socket,
      host,
      port,
      rule,
      protocol,
      handovers,
      subflows,
      carried: account.meters.read(carried, now),
      unjoined: unjoinedNow(account.unjoined, subflows),
      bytesAcknowledged: isOurs ? sample.bytesAcked : undefined,
    }
  }

  #entry(rule: Rule | undefined): Entry {
    const found = this.#rules.get(keyOf(rule))
    if (found) return found
    const entry = { rule, handovers: 0, carried: nothingCarried(), meters: new AccessMeters(this.#now()) }
    this.#rules.set(keyOf(rule), entry)
    return entry
  }
}

function unjoinedNow(
  unjoined: { access: AccessType; why: string } | undefined,
  subflows: readonly SubflowReport[],
): string | undefined {
  const isThere = subflows.some(({ access, state }) => access === unjoined?.access && state === 'established')
  return isThere ? undefined : unjoined?.why
}

/** A subflow that the steering loop has not reported yet is the first one, and began on `access`. */
function statsOf(
  sample: SubflowSample,
  { reported, access, subflowMeters }: Pick<Account<unknown>, 'reported' | 'access' | 'subflowMeters'>,
  now: number,
) {
  const { id, rtt, receiveRtt, deliveryRate, dataSegsIn, outOfOrder } = sample
  const known = reported.find(one => one.id === id) ?? {
    id,
    access: reported.length === 0 ? access : undefined,
    state: 'established' as const,
    backup: false,
    local: '',
    remote: '',
  }
  const counters = countersOf(sample)
  const meter = subflowMeters.get(id) ?? new RateMeter(now, counters)
  subflowMeters.set(id, meter)
  return {
    ...known,
    ...counters,
    ...meter.read(counters, now),
    rttMs: measured(rtt, 1 / 1000),
    receiveRttMs: measured(receiveRtt, 1 / 1000),
    deliveryRate: measured(deliveryRate, 8),
    segmentsReceived: dataSegsIn,
    segmentsOutOfOrder: outOfOrder,
  }
}

/** The kernel reports 0 for what it has not measured yet. */
function measured(value: number | undefined, factor: number): number | undefined {
  return value === undefined || value === 0 ? undefined : value * factor
}

function forgetMeters(meters: Map<number, RateMeter>, seen: readonly SubflowSample[]): void {
  for (const id of meters.keys()) if (!seen.some(subflow => subflow.id === id)) meters.delete(id)
}

/** The key of a rule for the steering loop. */
export function keyOf(rule: Rule | undefined): number {
  return rule?.precedence ?? NO_RULE
}
