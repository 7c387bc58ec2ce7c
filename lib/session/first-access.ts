/** Over which access a session's new connections begin. */

import type { SocketTuning } from '../input/socket-tuning.js'
import type { Match } from '../policy/rules/match.js'
import type { AccessType, Rule } from '../policy/rules/rule.js'
import { beginning } from '../policy/steering/load-balance.js'
import { type Assistance, type Decision, decide, firstAccesses } from '../policy/steering/modes.js'
import type { Accesses } from '../policy/steering/snapshot.js'
import type { Route } from '../runtime/connect/steerer.js'

export class FirstAccess {
  /** By precedence of rules with a load balance: percent of new connections that begin over 3GPP access, from the steering loop. */
  newOver3gpp: Record<number, number> = {}
  /** By precedence: the fraction of a connection that 3GPP access is still owed, see `beginning`. */
  readonly #credit = new Map<number, number>()
  /** The device's own wish; undefined: as the rules say. */
  assistance: Assistance | undefined

  /** What the rule wants of each access at this moment. */
  decide({ steering }: Rule, accesses: Accesses): Decision {
    return decide(steering, accesses, {}, performance.now(), this.assistance)
  }

  /** The accesses for the first subflow of a connection under this rule, the best first. */
  inOrder(rule: Rule, accesses: Accesses): AccessType[] {
    return this.#choose(rule, accesses).order
  }

  /** The same for a connection that begins now, which counts in the rule's load balance. */
  forNewConnection(rule: Rule, accesses: Accesses): AccessType[] {
    const { order, credit } = this.#choose(rule, accesses)
    if (credit !== undefined) this.#credit.set(rule.precedence, credit)
    return order
  }

  #choose(rule: Rule, accesses: Accesses): { order: AccessType[]; credit: number | undefined } {
    const decision = this.decide(rule, accesses)
    const { percent3gpp } = decision
    if (percent3gpp === undefined) return { order: firstAccesses(rule.steering, decision), credit: undefined }
    const { access, credit } = beginning(
      this.#credit.get(rule.precedence) ?? 0,
      this.newOver3gpp[rule.precedence] ?? percent3gpp,
    )
    return { order: firstAccesses(rule.steering, decision, access), credit }
  }
}

/** How to reach one address. */
interface Way {
  interfaces: Route['interfaces'][number]
  plain: Route['plain'][number]
  tuning?: SocketTuning | undefined
}

/**
 * The ways to each address of one name. The addresses may be under different rules.
 *
 * @param wayOf called once for each rule; what it throws is thrown only when it refuses every address
 */
export function routeBy(
  addresses: readonly string[],
  matchOf: (address: string) => Match,
  wayOf: (match: Match) => Way,
): Route {
  const byRule = new Map<Rule | undefined, Way & { error?: unknown }>()
  const choose = (found: Match) => {
    try {
      return wayOf(found)
    } catch (error) {
      return { interfaces: [], plain: undefined, error }
    }
  }
  const chosen = addresses.map(address => {
    const found = matchOf(address)
    const choice: Way & { error?: unknown } = byRule.get(found.rule) ?? choose(found)
    byRule.set(found.rule, choice)
    return choice
  })
  if (chosen.every(({ error }) => error !== undefined)) throw chosen[0]?.error
  const hasTuning = chosen.some(({ tuning }) => tuning !== undefined)
  return {
    interfaces: chosen.map(({ interfaces }) => interfaces),
    plain: chosen.map(({ plain }) => plain),
    ...(hasTuning && { tuning: chosen.map(({ tuning }) => tuning) }),
  }
}
