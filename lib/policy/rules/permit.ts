/** Whether a new connection may be made under the rule that matches it. */
import { AtsssError } from '../../errors.js'
import type { Match } from './match.js'
import type { RulesInput } from './read.js'
import { nameOf, type Rule } from './rule.js'

/** What to do with connections that no rule matches, and with those whose rule cannot be obeyed. */
export interface PermitPolicy {
  unmatched: 'any' | 'refuse'
  /** Undefined: `unsteered` for another steering functionality than MPTCP, otherwise `refuse`. */
  unenforceable: 'refuse' | 'degrade' | 'unsteered' | undefined
}

/** The rule of a connection that may be made; undefined when none matches. */
export interface Permit {
  rule: Rule | undefined
  /** What of the rule cannot be obeyed, where `unenforceable` is `degrade`. */
  degraded: string | undefined
  /** Why the connection is left to the system: plain TCP, direct, unsteered. */
  unsteered: string | undefined
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
  if (!because) return { rule, degraded: undefined, unsteered: undefined }
  const message = `${nameOf(rule)} cannot be obeyed: ${because}`
  if (refusal !== undefined) throw new AtsssError('ERR_ATSSS_STEERING', message)
  const unsteered = unsteeredBecause(rule, policy)
  return { rule, degraded: unsteered === undefined ? message : undefined, unsteered }
}

/** Why a connection with this match is refused; undefined when it is not. */
export function refusalBecause({ rule, why }: Match, { unmatched, unenforceable }: PermitPolicy): string | undefined {
  if (!rule) return unmatched === 'refuse' ? why : undefined
  return refusalOfRule(rule, { unenforceable })
}

/** Why connections under this rule are refused; undefined when they are not. */
export function refusalOfRule(rule: Rule, { unenforceable }: Pick<PermitPolicy, 'unenforceable'>): string | undefined {
  return handlingOf(rule, unenforceable) === 'refuse' ? unenforceableBecause(rule) : undefined
}

/**
 * Refuses rules by a mode that no stock kernel has, unless the policy says what to do with them. For rules that the application
 * chooses: what the network sends is taken, and its connections are refused one by one.
 *
 * @param input what the rules come from
 * @throws ERR_ATSSS_STEERING
 */
export function refuseUnenforceable(
  input: RulesInput,
  rules: readonly Rule[],
  { unenforceable }: Pick<PermitPolicy, 'unenforceable'>,
): void {
  if (unenforceable !== undefined || !Array.isArray(input)) return
  for (const rule of rules) {
    const because = refusalOfRule(rule, { unenforceable })
    if (because !== undefined)
      throw new AtsssError(
        'ERR_ATSSS_STEERING',
        `${nameOf(rule)} cannot be obeyed: ${because}. Choose another mode; or set the option unenforceable: 'degrade' steers by the nearest mode, 'refuse' lets the connections of such a rule fail`,
      )
  }
}

/** Why connections under this rule are left to the system, in words; undefined when they are not. */
export function unsteeredBecause(
  rule: Rule,
  { unenforceable }: Pick<PermitPolicy, 'unenforceable'>,
): string | undefined {
  const because = unenforceableBecause(rule)
  if (because === undefined || handlingOf(rule, unenforceable) !== 'unsteered') return undefined
  return `${nameOf(rule)} leaves it to the system, as plain TCP: ${because}`
}

/**
 * What becomes of connections under a rule that cannot be obeyed. Traffic of another steering functionality goes "without MPTCP",
 * below IP or by QUIC (TS 23.501 §5.32.6): by default it is the system's.
 */
function handlingOf(rule: Rule, unenforceable: PermitPolicy['unenforceable']): 'refuse' | 'degrade' | 'unsteered' {
  return unenforceable ?? (isOfMptcp(rule) ? 'refuse' : 'unsteered')
}

function isOfMptcp({ functionality }: Rule): boolean {
  return functionality === 'supported' || functionality === 'mptcp'
}

/** Why a stock kernel cannot steer as the rule says; undefined when it can. */
function unenforceableBecause(rule: Rule): string | undefined {
  const { functionality, steering } = rule
  if (!isOfMptcp(rule))
    return `its steering functionality is ${typeof functionality === 'object' ? functionality.unknown : functionality}, not MPTCP`
  if (steering.mode === 'redundant')
    return 'redundant steering needs a packet scheduler that a stock kernel does not have'
  if (steering.mode === 'unknown') return `its steering mode, ${steering.code}, is not known`
  return undefined
}
