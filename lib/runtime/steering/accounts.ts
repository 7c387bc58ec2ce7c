/** What a session's connections carry, over which access and under which rule. */

import type { AccessType, Rule } from '../../policy/rules/rule.js'
import { BOTH } from '../../policy/steering/accesses.js'
import type { SocketSample, SubflowSample } from '../kernel/sampler.js'
import {
  type Carried,
  type CarriedByAccess,
  carriers,
  countersOf,
  mostOf,
  nothingCarried,
  type SubflowsTold,
  type SubflowTold,
  sumOf,
} from './subflow-report.js'

/** One subflow, as it is now. */
export interface SubflowStats extends SubflowTold, Carried {
  /** Smoothed, milliseconds. */
  rttMs: number
  /** Of what was sent last, as the kernel estimates it; bits per second. */
  deliveryRate: number
}

export interface ConnectionStats<Socket> {
  socket: Socket
  /** What the application asked for. */
  host: string
  port: number
  /** That matches it now. One that is TCP is not steered by it: it stays on the access that it began on. */
  rule: Rule | undefined
  protocol: 'mptcp' | 'tcp'
  /** How often everything has gone over from one access to the other. */
  handovers: number
  subflows: SubflowStats[]
  carried: CarriedByAccess
}

export interface RuleStats {
  /** Undefined: of the connections that no rule matches. */
  rule: Rule | undefined
  /** Open ones that it matches, those that are TCP included. */
  connections: number
  handovers: number
  /** By all that have ever been under it. */
  carried: CarriedByAccess
}

/** A connection that is counted. */
export interface Counted<Socket> {
  socket: Socket
  host: string
  port: number
  rule: Rule | undefined
  fd: number
  /** Undefined: it is TCP, and stays on `access`. */
  token: number | undefined
  access: AccessType | undefined
}

interface Account<Socket> extends Counted<Socket> {
  told: readonly SubflowTold[]
  ended: CarriedByAccess
  /** What has been put down to a rule already. */
  booked: CarriedByAccess
  /** The last access that was given everything. */
  alone: AccessType | undefined
  handovers: number
}

type Entry = Omit<RuleStats, 'connections'>

const NO_RULE = -1

export class Accounts<Socket> {
  readonly #sample: (fds: Int32Array) => SocketSample[]
  readonly #open = new Map<Socket, Account<Socket>>()
  readonly #byToken = new Map<number, Account<Socket>>()
  /** By precedence. */
  readonly #rules = new Map<number, Entry>()
  /** Connections that have become TCP. */
  fallbacks = 0

  /** @param sample one native call for all of them */
  constructor(sample: (fds: Int32Array) => SocketSample[]) {
    this.#sample = sample
  }

  add(connection: Counted<Socket>): void {
    const nothing = { told: [], ended: nothingCarried(), booked: nothingCarried(), alone: undefined, handovers: 0 }
    const account: Account<Socket> = { ...connection, ...nothing }
    this.#open.set(connection.socket, account)
    if (connection.token === undefined) this.fallbacks++
    else this.#byToken.set(connection.token, account)
  }

  /** Those that are open, and the rule that each counts under. */
  get open(): { socket: Socket; rule: Rule | undefined }[] {
    return [...this.#open.values()].map(({ socket, rule }) => ({ socket, rule }))
  }

  hear({ token, subflows, ended }: SubflowsTold): void {
    const account = this.#byToken.get(token)
    if (!account) return
    account.told = subflows
    account.ended = ended
    const [only, ...more] = carriers(subflows)
    if (only === undefined || more.length > 0) return
    if (account.alone && account.alone !== only) {
      account.handovers++
      this.#entry(account.rule).handovers++
    }
    account.alone = only
  }

  /** What it has carried so far stays with the rule before. */
  assign(socket: Socket, rule: Rule | undefined): void {
    const account = this.#open.get(socket)
    if (!account) return
    this.#count([account])
    account.rule = rule
  }

  /** It has become TCP: what it carries from now on is its first subflow's. */
  fellBack(socket: Socket): void {
    const account = this.#open.get(socket)
    if (account?.token === undefined) return
    this.#byToken.delete(account.token)
    account.token = undefined
    account.told = []
    this.fallbacks++
  }

  /** While its descriptor is still open. */
  remove(socket: Socket): void {
    const account = this.#open.get(socket)
    if (!account) return
    this.#count([account])
    this.#open.delete(socket)
    if (account.token !== undefined) this.#byToken.delete(account.token)
  }

  /** @param rules that are to be there whether or not they have carried anything */
  read(rules: readonly Rule[]): { connections: ConnectionStats<Socket>[]; rules: RuleStats[] } {
    const connections = this.#count([...this.#open.values()])
    for (const rule of rules) this.#entry(rule).rule = rule
    const open = (rule: Rule | undefined) => connections.filter(one => keyOf(one.rule) === keyOf(rule)).length
    const sorted = [...this.#rules].sort(([a], [b]) => (a === NO_RULE ? 1 : b === NO_RULE ? -1 : a - b))
    return {
      connections,
      rules: sorted.map(([, { rule, handovers, carried }]) => ({
        rule,
        connections: open(rule),
        handovers,
        carried: { ...carried },
      })),
    }
  }

  #count(accounts: readonly Account<Socket>[]): ConnectionStats<Socket>[] {
    const samples = this.#sample(Int32Array.from(accounts, account => account.fd))
    return accounts.map((account, index) => this.#book(account, samples[index]))
  }

  #book(account: Account<Socket>, sample: SocketSample | undefined): ConnectionStats<Socket> {
    const { socket, host, port, rule, token, told, ended, handovers } = account
    // The descriptor's number may be another's by now.
    const seen = sample && sample.token === (token ?? 0) ? sample.subflows : []
    const subflows = seen.map(subflow => statsOf(subflow, told, account.access))
    const carried = { ...ended }
    for (const subflow of subflows)
      if (subflow.access) carried[subflow.access] = sumOf(carried[subflow.access], subflow)
    const entry = this.#entry(rule)
    for (const access of BOTH) {
      // A subflow that has gone is in no sample, and not told of as ended yet.
      carried[access] = mostOf(carried[access], account.booked[access])
      const fresh = sumOf(carried[access], account.booked[access], -1)
      entry.carried[access] = sumOf(entry.carried[access], fresh)
    }
    account.booked = carried
    const protocol = token === undefined ? 'tcp' : 'mptcp'
    return { socket, host, port, rule, protocol, handovers, subflows, carried: { ...carried } }
  }

  #entry(rule: Rule | undefined): Entry {
    const found = this.#rules.get(keyOf(rule))
    if (found) return found
    const entry = { rule, handovers: 0, carried: nothingCarried() }
    this.#rules.set(keyOf(rule), entry)
    return entry
  }
}

/** One that the steering loop has not told of yet has begun on `access`, if anybody knows. */
function statsOf(sample: SubflowSample, told: readonly SubflowTold[], access: AccessType | undefined): SubflowStats {
  const { id } = sample
  const known = told.find(one => one.id === id) ?? {
    id,
    access: told.length === 0 ? access : undefined,
    state: 'established',
    backup: false,
    local: '',
    remote: '',
  }
  return { ...known, ...countersOf(sample), rttMs: sample.rtt / 1000, deliveryRate: sample.deliveryRate * 8 }
}

/** How the steering loop knows a rule: of no rule it knows nothing. */
export function keyOf(rule: Rule | undefined): number {
  return rule?.precedence ?? NO_RULE
}
