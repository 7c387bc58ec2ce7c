/** `session.stats()`: accesses, rules and connections, with what they have carried. */
import type { AccessType, Rule } from '../policy/rules/rule.js'
import { NOT_MEASURED } from '../policy/steering/accesses.js'
import type { Accesses } from '../policy/steering/snapshot.js'
import type { Accounts, ConnectionStats, RuleStats as CountedRule } from '../runtime/steering/accounts.js'
import type { SteeringLevel } from '../runtime/steering/messages.js'
import type { Traffic } from '../runtime/steering/rates.js'
import type { MptcpSocket } from '../socket/socket.js'
import type { LastHandover, SessionTotals } from './totals.js'

/** An access as the steering loop last reported it, and what the session's connections have carried over it. */
export interface AccessStats extends Traffic {
  /** The interface that it uses; before that is known, or if none is there, what was named. */
  interface: string
  /** Whether it can be used: the link is up, has an address, and what is sent over it is acknowledged or answered. */
  available: boolean
  /** The link is up, but what is sent over it is not acknowledged or answered. */
  suspected: boolean
  /** Why it is available, or not; for people to read. */
  why: string
  /** Smoothed round-trip time of what is sent, in milliseconds. Undefined: never measured. */
  rttMs: number | undefined
  /** Smoothed round-trip time of what is received, with its queue: at least this. Undefined: too little was ever received. */
  receiveRttMs: number | undefined
  /** Smoothed share of bytes that were retransmitted, in tenths of a percent. Undefined: not measured lately. */
  lossPermille: number | undefined
  /** Smoothed share of received segments that had been lost before: at least this, in tenths of a percent. Undefined: not measured lately. */
  receiveLossPermille: number | undefined
  /** Bytes per second of both directions together, including retransmissions; smoothed over some seconds. */
  bytesPerSecond: number
}

/** A rule, and what its connections have carried. */
export interface RuleStats extends CountedRule {
  /** Why its new connections are left to the system: plain TCP, not steered. Undefined: they are not. */
  unsteered: string | undefined
}

/** Bytes count for all connections of the session, closed ones included: they only grow. */
export interface SessionStats {
  /** What can be done about subflows; undefined: not known yet. */
  level: SteeringLevel['level'] | undefined
  accesses: Record<AccessType, AccessStats>
  /** In the order of precedence; the last entry is for connections that no rule matched, if there were any. */
  rules: RuleStats[]
  /** The open ones. */
  connections: ConnectionStats<MptcpSocket>[]
  /** How often a connection has moved entirely from one access to the other. */
  handovers: number
  /** The latest one, and how long nothing arrived meanwhile; undefined: there was none. */
  lastHandover: LastHandover | undefined
  /** Connections that have become TCP. */
  fallbacks: number
  totals: SessionTotals
}

/** What the session knows besides its accounts. */
export interface Known extends Pick<SessionStats, 'level' | 'lastHandover' | 'totals'> {
  rules: readonly Rule[]
  accesses: Accesses
  interfaceOf(access: AccessType): string
  unsteered(rule: Rule): string | undefined
}

export function sessionStats(accounts: Accounts<MptcpSocket>, known: Known): SessionStats {
  const { carried, ...read } = accounts.read(known.rules)
  const access = (type: AccessType): AccessStats => {
    // What else the loop has in a state is its own.
    const { available, suspected, why, rttMs, receiveRttMs, lossPermille, receiveLossPermille, bytesPerSecond } =
      known.accesses[type]
    const measured = { rttMs, receiveRttMs, lossPermille, receiveLossPermille, bytesPerSecond }
    return { interface: known.interfaceOf(type), available, suspected, why, ...measured, ...carried[type] }
  }
  return {
    level: known.level,
    accesses: { '3gpp': access('3gpp'), 'non-3gpp': access('non-3gpp') },
    ...read,
    rules: read.rules.map(counted => ({ ...counted, unsteered: counted.rule && known.unsteered(counted.rule) })),
    handovers: read.rules.reduce((sum, rule) => sum + rule.handovers, 0),
    lastHandover: known.lastHandover,
    fallbacks: accounts.fallbacks,
    totals: known.totals,
  }
}

/** Until the steering loop reports, both accesses count as available: connecting shows whether they are. */
export const UNSEEN: Accesses = { '3gpp': unseen(), 'non-3gpp': unseen() }

function unseen() {
  return {
    available: true,
    suspected: false,
    why: 'not looked at yet',
    lostAt: Number.NEGATIVE_INFINITY,
    ...NOT_MEASURED,
  }
}
