/** What a `MaPduSession` tells: its events, and the answers of `update` and `explain`. */

import type { RuleChange, UpdateProblem } from '../policy/rules/container.js'
import type { Match } from '../policy/rules/match.js'
import type { AccessType, Rule } from '../policy/rules/rule.js'
import type { Action } from '../policy/steering/plan.js'
import type { Report } from '../runtime/steering/messages.js'
import type { MptcpSocket } from '../socket/socket.js'

export interface SessionEvents {
  /** An access has come to be available, or has ceased to be. */
  access: [change: { access: AccessType; available: boolean; why: string }]
  /** What was done to a connection's subflows, and why. `error`: the kernel refused. */
  action: [change: { socket: MptcpSocket | undefined; action: Action; error?: string }]
  /** Less can be done than the rules want, or later; `message` says why, and what to do about it where that is known. */
  degraded: [what: { what: 'level' | 'rule' | 'fallback' | 'controller' | 'watch' | 'fast-open'; message: string }]
  /** The rules have been replaced, or changed, by whomever. */
  update: [update: SessionUpdate]
  /** Part of a container that could not be read or applied. */
  problem: [problem: UpdateProblem]
}

/** What `update` has done. */
export interface SessionUpdate {
  rules: readonly Rule[]
  changes: readonly RuleChange[]
  problems: readonly UpdateProblem[]
  /**
   * Live connections that are under another rule now: one that is itself `replaced` in `changes` steers its own as it says now. Those
   * that are TCP (`socket.mptcp.protocol`) count under it, and stay on their access.
   */
  moved: { socket: MptcpSocket; from: Rule | undefined; to: Rule | undefined }[]
}

/** What would become of a connection. */
export interface Explanation extends Match {
  /** The accesses for its first subflow, in order; empty when the rules refuse it. */
  accesses: AccessType[]
  /** What the mode wants of each access at this moment, in words. */
  steering: string
}

/** What of the steering loop's reports is one of `degraded`. */
export function complaintOf(report: Report): SessionEvents['degraded'][0] | undefined {
  switch (report.event) {
    case 'ready':
      return report.level.why ? { what: 'level', message: report.level.why } : undefined
    case 'failed':
      return { what: 'controller', message: report.error.message }
    case 'deaf':
      return { what: 'controller', message: report.why }
    case 'endpoints':
      return { what: 'rule', message: report.why }
  }
  return undefined
}
