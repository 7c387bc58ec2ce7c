/** `session.stats()`: accesses, rules and connections, with what they have carried. */
import type { AccessType, Rule } from '../policy/rules/rule.js'
import { NOT_MEASURED } from '../policy/steering/accesses.js'
import type { Accesses, AccessState } from '../policy/steering/snapshot.js'
import type { Accounts, ConnectionStats, RuleStats as CountedRule } from '../runtime/steering/accounts.js'
import type { SteeringLevel } from '../runtime/steering/messages.js'
import type { Traffic } from '../runtime/steering/rates.js'
import type { MptcpSocket } from '../socket/socket.js'

/** An access as the steering loop last reported it, and what the session's connections have carried over it. */
export interface AccessStats extends AccessState, Traffic {
  interface: string
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
  /** Connections that have become TCP. */
  fallbacks: number
}

export function sessionStats(
  accounts: Accounts<MptcpSocket>,
  rules: readonly Rule[],
  interfaceOf: (access: AccessType) => string,
  states: Accesses,
  level: SteeringLevel['level'] | undefined,
  unsteered: (rule: Rule) => string | undefined,
): SessionStats {
  const { carried, ...read } = accounts.read(rules)
  const access = (type: AccessType): AccessStats => ({
    interface: interfaceOf(type),
    ...states[type],
    ...carried[type],
  })
  return {
    level,
    accesses: { '3gpp': access('3gpp'), 'non-3gpp': access('non-3gpp') },
    ...read,
    rules: read.rules.map(counted => ({ ...counted, unsteered: counted.rule && unsteered(counted.rule) })),
    handovers: read.rules.reduce((sum, rule) => sum + rule.handovers, 0),
    fallbacks: accounts.fallbacks,
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
