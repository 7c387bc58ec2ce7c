/** Over which access a session's connections begin. */

import type { Match } from '../policy/rules/match.js'
import type { AccessType, Rule } from '../policy/rules/rule.js'
import { beginning } from '../policy/steering/load-balance.js'
import { type Assistance, type Decision, decide, firstAccesses } from '../policy/steering/modes.js'
import type { Accesses } from '../policy/steering/snapshot.js'
import type { Route } from '../runtime/connect/steerer.js'

export class Beginnings {
  /** By rule with a load balance: how many percent of its new connections begin over 3GPP access, as the steering loop told. */
  newOver3gpp: Record<number, number> = {}
  /** And what of that is left over. */
  readonly #credit = new Map<number, number>()
  /** The device's own wish; undefined: as the rules say. */
  assistance: Assistance | undefined

  /** What the rule wants of each access at this moment. */
  decide({ steering }: Rule, accesses: Accesses): Decision {
    return decide(steering, accesses, {}, performance.now(), this.assistance)
  }

  /** The accesses for the first subflow, the best first. @param begins whether a connection begins so, and counts */
  first(rule: Rule, accesses: Accesses, begins = false): AccessType[] {
    const decision = this.decide(rule, accesses)
    const { percent3gpp } = decision
    if (percent3gpp === undefined) return firstAccesses(rule.steering, decision)
    const { access, credit } = beginning(
      this.#credit.get(rule.precedence) ?? 0,
      this.newOver3gpp[rule.precedence] ?? percent3gpp,
    )
    if (begins) this.#credit.set(rule.precedence, credit)
    return firstAccesses(rule.steering, decision, access)
  }
}

/**
 * The way to each address, as the rule says that it is under: the addresses of one name may be under different ones.
 *
 * @param interfacesOf asked once for each rule; what it throws is thrown when it is so of all addresses
 */
export function routeBy(
  addresses: readonly string[],
  matchOf: (address: string) => Match,
  interfacesOf: (match: Match) => Route['interfaces'][number],
): Route {
  const known = new Map<Rule | undefined, { interfaces: Route['interfaces'][number]; error?: unknown }>()
  const ask = (found: Match) => {
    try {
      return { interfaces: interfacesOf(found) }
    } catch (error) {
      return { interfaces: [], error }
    }
  }
  const asked = addresses.map(address => {
    const found = matchOf(address)
    const answer = known.get(found.rule) ?? ask(found)
    known.set(found.rule, answer)
    return answer
  })
  if (asked.every(({ error }) => error !== undefined)) throw asked[0]?.error
  return { interfaces: asked.map(({ interfaces }) => interfaces) }
}
