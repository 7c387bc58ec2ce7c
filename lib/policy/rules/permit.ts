/** Whether a new connection may be made under the rule that matches it. */
import { AtsssError } from '../../errors.js'
import type { Match } from './match.js'
import { nameOf, type Rule } from './rule.js'

/** What to do with connections that no rule matches, and with those whose rule cannot be obeyed. */
export interface PermitPolicy {
  unmatched: 'any' | 'refuse'
  unenforceable: 'refuse' | 'degrade'
}

/** The rule of a connection that may be made; undefined when none matches. */
export interface Permit {
  rule: Rule | undefined
  /** What of the rule cannot be obeyed, where `unenforceable` is `degrade`. */
  degraded: string | undefined
}

/**
 * @param peer for people: "to example.com:443"
 * @throws ERR_ATSSS_NO_RULE, ERR_ATSSS_STEERING
 */
export function permit(found: Match, peer: string, policy: PermitPolicy): Permit {
  const { rule } = found
  const refusal = refusalBecause(found, policy)
  if (refusal !== undefined && !rule) throw new AtsssError('ERR_ATSSS_NO_RULE', `No connection ${peer}: ${refusal}`)
  const because = rule && unenforceableBecause(rule)
  if (!because) return { rule, degraded: undefined }
  const message = `${nameOf(rule)} cannot be obeyed: ${because}`
  if (refusal !== undefined) throw new AtsssError('ERR_ATSSS_STEERING', message)
  return { rule, degraded: message }
}

/** Why a connection with this match is refused; undefined when it is not. */
export function refusalBecause({ rule, why }: Match, { unmatched, unenforceable }: PermitPolicy): string | undefined {
  if (!rule) return unmatched === 'refuse' ? why : undefined
  return unenforceable === 'refuse' ? unenforceableBecause(rule) : undefined
}

/** Why a stock kernel cannot steer as the rule says; undefined when it can. */
export function unenforceableBecause({ functionality, steering }: Rule): string | undefined {
  if (functionality !== 'supported' && functionality !== 'mptcp')
    return `its steering functionality is ${typeof functionality === 'object' ? functionality.unknown : functionality}, not MPTCP`
  if (steering.mode === 'redundant')
    return 'redundant steering needs a packet scheduler that a stock kernel does not have'
  if (steering.mode === 'unknown') return `its steering mode, ${steering.code}, is not known`
  return undefined
}
