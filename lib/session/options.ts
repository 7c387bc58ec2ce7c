/** What a `MaPduSession` takes, and how its rules are read. */

import { AtsssError } from '../errors.js'
import { integer, invalid, oneOf, refuseMisspelled, text } from '../input/check.js'
import type { MptcpOptions } from '../input/options.js'
import { applyContainer, changesBetween, type RuleUpdate } from '../policy/rules/container.js'
import { type AtsssRule, parseRules } from '../policy/rules/json.js'
import type { Match } from '../policy/rules/match.js'
import { presetRules } from '../policy/rules/presets.js'
import { type AccessType, nameOf, type Rule } from '../policy/rules/rule.js'
import { BOTH } from '../policy/steering/accesses.js'
import type { Assistance } from '../policy/steering/modes.js'
import type { AccessConfig } from '../runtime/network/access-links.js'
import { decodeContainer } from '../wire/atsss/container.js'
import { resolveWatch, type WatchOptions } from './watch-options.js'

/**
 * Rules: a preset's name, JSON in TS 29.512's names, or the bytes of an ATSSS container (TS 24.193), which adds, replaces and
 * deletes rules of the ones before.
 */
export type RulesInput = 'handover' | 'interactive' | 'aggregate' | readonly AtsssRule[] | Uint8Array

export interface SessionOptions extends Omit<MptcpOptions, 'interface'> {
  /** The interface of each access, by name. It may come and go. */
  accesses: Readonly<Record<AccessType, string | { interface: string }>>
  /**
   * What steers the session's connections.
   *
   * @defaultValue 'handover'
   */
  rules?: RulesInput
  /**
   * The application, for rules with application identifiers: the operating system's UUID, and the name there.
   *
   * @defaultValue none: such rules do not match
   */
  application?: { osId?: string; osAppId: string }
  /**
   * A connection that no rule matches: `any` goes over the routing table's access, unsteered; `refuse` fails it with
   * `ERR_ATSSS_NO_RULE`.
   *
   * @defaultValue 'any'
   */
  unmatched?: 'any' | 'refuse'
  /**
   * A rule that cannot be had on a stock kernel (redundant steering, another steering functionality than MPTCP): `refuse`
   * fails its connections with `ERR_ATSSS_STEERING`; `degrade` does what comes nearest, and says so by the event `degraded`.
   *
   * @defaultValue 'refuse'
   */
  unenforceable?: 'refuse' | 'degrade'
  /**
   * Where the steering loop runs. In a `worker` thread a busy application delays no handover.
   *
   * @defaultValue 'worker'
   */
  controller?: 'worker' | 'inline'
  /**
   * Lets processes of the same user see the session (`atsss watch`), over a Unix socket; a string is its path.
   *
   * @defaultValue false
   */
  watch?: boolean | string | WatchOptions
}

export interface SessionSettings {
  accesses: Record<AccessType, AccessConfig>
  application: { osId?: string; osAppId?: string }
  unmatched: 'any' | 'refuse'
  unenforceable: 'refuse' | 'degrade'
  controller: 'worker' | 'inline'
  watch: WatchOptions | undefined
}

const OURS: readonly string[] = [
  'accesses',
  'rules',
  'application',
  'unmatched',
  'unenforceable',
  'controller',
  'watch',
] satisfies (keyof SessionOptions)[]
const NOT_OURS = new Set(['rule'])

/** Throws `ERR_ATSSS_OPTION`. */
export function resolveSession(options: SessionOptions): SessionSettings {
  if (typeof options !== 'object' || options === null) throw invalid('options', 'an object', options)
  refuseMisspelled(options, OURS, NOT_OURS)
  return {
    accesses: { '3gpp': access(options, '3gpp'), 'non-3gpp': access(options, 'non-3gpp') },
    application: options.application ?? {},
    unmatched: oneOf('unmatched', options.unmatched, ['any', 'refuse'], 'any'),
    unenforceable: oneOf('unenforceable', options.unenforceable, ['refuse', 'degrade'], 'refuse'),
    controller: oneOf('controller', options.controller, ['worker', 'inline'], 'worker'),
    watch: resolveWatch(options.watch),
  }
}

/** The rules as they are after `input`; nothing is changed when it throws `ERR_ATSSS_RULE` or `ERR_ATSSS_MALFORMED`. */
export function readRules(before: readonly Rule[], input: RulesInput): RuleUpdate {
  if (input instanceof Uint8Array) return applyContainer(before, decodeContainer(input))
  const rules = typeof input === 'string' ? presetRules(input) : parseRules(input)
  return { rules, changes: changesBetween(before, rules), problems: [] }
}

/** Throws `ERR_ATSSS_OPTION`. */
export function resolveAssistance(wish: Assistance | undefined): Assistance | undefined {
  if (wish === undefined) return undefined
  if (typeof wish !== 'object' || wish === null) throw invalid('wish', 'an object or undefined', wish)
  refuseMisspelled(wish, ['percent3gpp', 'why'])
  return { percent3gpp: integer('percent3gpp', wish.percent3gpp, 0, 100), why: text('why', wish.why) }
}

/** Why no connection can be steered so here, if none can. */
export function unenforceableBecause({ functionality, steering }: Rule): string | undefined {
  if (functionality !== 'supported' && functionality !== 'mptcp')
    return `its steering functionality is ${typeof functionality === 'object' ? functionality.unknown : functionality}, not MPTCP`
  if (steering.mode === 'redundant')
    return 'redundant steering needs a packet scheduler that a stock kernel does not have'
  if (steering.mode === 'unknown') return `its steering mode, ${steering.code}, is not known`
  return undefined
}

/**
 * The rule that a new connection is under, if any; `message`: what of it cannot be obeyed.
 *
 * @param peer for people: "to example.com:443"
 * @throws ERR_ATSSS_NO_RULE, ERR_ATSSS_STEERING
 */
export function permit(
  { rule, why }: Match,
  peer: string,
  { unmatched, unenforceable }: SessionSettings,
): { rule: Rule | undefined; message?: string } {
  if (!rule && unmatched === 'refuse') throw new AtsssError('ERR_ATSSS_NO_RULE', `No connection ${peer}: ${why}`)
  const because = rule && unenforceableBecause(rule)
  if (!because) return { rule }
  const message = `${nameOf(rule)} cannot be obeyed: ${because}`
  if (unenforceable === 'refuse') throw new AtsssError('ERR_ATSSS_STEERING', message)
  return { rule, message }
}

function access({ accesses }: SessionOptions, type: AccessType): AccessConfig {
  const stray = Object.keys(accesses ?? {}).find(name => !BOTH.includes(name as AccessType))
  if (stray !== undefined)
    throw new AtsssError('ERR_ATSSS_OPTION', `Option "accesses" has "${stray}"; its keys are "3gpp" and "non-3gpp"`)
  const given = accesses?.[type]
  return { interface: text(`accesses.${type}`, typeof given === 'object' ? given.interface : given) }
}
