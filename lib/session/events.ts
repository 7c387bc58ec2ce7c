/** The events of a `MaPduSession`, and the answers of `update` and `explain`. */

import type { RuleChange, UpdateProblem } from '../policy/rules/container.js'
import type { Match } from '../policy/rules/match.js'
import type { NetworkInformation } from '../policy/rules/network.js'
import type { AccessType, Rule } from '../policy/rules/rule.js'
import type { Action } from '../policy/steering/plan.js'
import type { Handover } from '../runtime/steering/handover-gap.js'
import type { Report } from '../runtime/steering/messages.js'
import type { MptcpSocket } from '../socket/socket.js'

export interface SessionEvents {
  /** An access has become available or unavailable. */
  access: [change: { access: AccessType; available: boolean; why: string }]
  /**
   * An access uses another interface than before, of several that it may use; and, at first, which one it uses. Undefined: none of
   * them is there.
   */
  interface: [change: { access: AccessType; interface: string | undefined; why: string }]
  /** What was done to a connection's subflows, and why. `error`: the kernel refused. */
  action: [change: { socket: MptcpSocket | undefined; action: Action; error?: string }]
  /** All new data of a connection goes over another access; reported when the first bytes have come over it. */
  handover: [change: SessionHandover]
  /** Less can be done than the rules want, or later. `message` says why, and how to fix it where that is known. */
  degraded: [
    what: {
      what: 'level' | 'access' | 'rule' | 'fallback' | 'controller' | 'helper' | 'watch' | 'fast-open' | 'peer' | 'vpn'
      message: string
    },
  ]
  /** What `degraded` has reported of the steering helper is over. */
  restored: [what: { what: 'helper'; message: string }]
  /** The rules were replaced or changed, by the program or a watcher. */
  update: [update: SessionUpdate]
  /** Part of what the network sent could not be read or applied, or there were no rules in it. */
  problem: [problem: UpdateProblem]
}

/**
 * A handover of a connection. Moves that keep a rule's percentages are none. The loop that steers notices it within a scan (50 ms),
 * and measures its gap on the connection's own bytes.
 */
export interface SessionHandover extends Handover {
  /** Undefined: it has been closed meanwhile. */
  socket: MptcpSocket | undefined
  /** What was last done to its subflows, in words. Empty: nothing; the kernel or the peer has moved it. */
  why: string
}

/** What `update` has done. */
export interface SessionUpdate {
  rules: readonly Rule[]
  changes: readonly RuleChange[]
  problems: readonly UpdateProblem[]
  /**
   * Live connections that are under another rule now. Those of a rule that is itself `replaced` in `changes` are not in this list; the
   * new rule steers them. TCP connections (`socket.mptcp.protocol`) count under their new rule, and stay on their access.
   */
  moved: { socket: MptcpSocket; from: Rule | undefined; to: Rule | undefined }[]
  /** The network's converters and addresses, as it last named them; undefined: it has not. */
  network: NetworkInformation | undefined
}

/** What would become of a connection. */
export interface Explanation extends Match {
  /** The accesses for its first subflow, in order; empty when the rules refuse it. */
  accesses: AccessType[]
  /** What the mode wants of each access at this moment, in words. */
  steering: string
  /** What becomes of destinations that are reached by a tunnel; undefined: no tunnel is up that is no access. */
  vpn: string | undefined
}

/** The event `degraded` for a report of the steering loop, if it is one. */
export function degradedBy(report: Report): SessionEvents['degraded'][0] | undefined {
  switch (report.event) {
    case 'ready':
      return report.level.why ? { what: 'level', message: report.level.why } : undefined
    case 'failed':
      return { what: 'controller', message: report.error.message }
    case 'no-messages':
    case 'ended':
      return { what: 'controller', message: report.why }
    case 'helper-away':
      return {
        what: 'helper',
        message: `The steering helper has gone: ${report.why}. Connections go on as they are, and are steered again once it is back`,
      }
    case 'helper-refuses':
      return { what: 'helper', message: report.why }
    case 'unbound':
      return { what: 'level', message: report.why }
    case 'ambiguous':
      return { what: 'access', message: report.why }
    case 'unjoined':
      return { what: 'peer', message: report.why }
    case 'endpoints':
      return { what: 'rule', message: report.why }
  }
  return undefined
}

/** The event `restored` for a report of the steering loop, if it is one. */
export function restoredBy(report: Report): SessionEvents['restored'][0] | undefined {
  if (report.event !== 'helper-back') return undefined
  return { what: 'helper', message: 'The steering helper is back: connections are steered again' }
}
