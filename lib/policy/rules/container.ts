/** Rules from the network's containers, and what a container changes in the rules that are there. Pure: rules in, rules out. */
import { isDeepStrictEqual } from 'node:util'
import { AtsssError } from '../../errors.js'
import type {
  AccessSelection,
  AtsssContainer,
  AtsssProblem,
  RuleEntry,
  RuleFraming,
  RulesParameter,
  WireSteeringMode,
} from '../../wire/atsss/container.js'
import { type NetworkInformation, networkFrom } from './network.js'
import { byPrecedence, nameOf, type Rule, type Steering, type SteeringFunctionality, unusableBecause } from './rule.js'

export interface RuleUpdate {
  /** All rules that hold from now on, by precedence. */
  rules: Rule[]
  /** What is different from before. A rule that was sent again as it was is not. */
  changes: RuleChange[]
  problems: UpdateProblem[]
  /** The network's converters and addresses, if the container has them. */
  network?: NetworkInformation
}

export type RuleChange =
  | { change: 'added'; rule: Rule }
  | { change: 'replaced'; rule: Rule; previous: Rule }
  | { change: 'removed'; rule: Rule }

/** What of a container could not be read, understood or applied. */
export interface UpdateProblem {
  message: string
  /** Where in the container, and the bytes there, when the problem is in them. */
  offset: number | undefined
  bytes: Uint8Array | undefined
}

/** The rules of one container, by precedence. */
export function rulesFromContainer(container: AtsssContainer): Rule[] {
  return applyContainer([], container).rules
}

/**
 * The rules as they are after a container (TS 24.193 §5.2.4): what it adds, replaces and deletes by identifier, all at
 * once. Rules without identifiers (layout `g00`) replace all rules that there are, since nothing says which they would
 * replace otherwise. Never throws.
 *
 * Where two rules end up with one precedence, the one from the container stays, the later of two; that is how TS 24.501
 * §6.3.2.4 has it for QoS rules. It is a problem, and so is deleting a rule that is not there.
 */
export function applyContainer(rules: readonly Rule[], container: AtsssContainer): RuleUpdate {
  const problems: UpdateProblem[] = container.problems.map(withPlace)
  const parameters = container.parameters.filter(parameter => parameter.type === 'rules')
  let after = parameters.some(({ layout }) => layout === 'g00') ? [] : [...rules]
  for (const parameter of parameters) {
    if (parameter.otherwise.length > 0)
      problems.push(problem(`the layout of the rules is a guess: ${nameFraming(parameter)}`))
    after = applyRules(after, parameter.rules, problems)
  }
  const distinct = withoutClashes(after, problems)
  for (const parameter of container.parameters)
    if (parameter.type === 'raw' && parameter.why === undefined)
      problems.push(
        problem(`a parameter of the unknown type ${parameter.code} has no effect: ${hexadecimal(parameter.value)}`),
      )
  const { network, problems: ofProxies } = networkFrom(container)
  problems.push(...ofProxies.map(problem))
  return {
    rules: byPrecedence(distinct),
    changes: changesBetween(rules, distinct),
    problems,
    ...(network && { network }),
  }
}

/**
 * A parameter of a container with these rules. Throws `ERR_ATSSS_RULE` for what one cannot say: thresholds, indicators,
 * redundant steering, names as identifiers, precedences beyond 255, and percentages that are no multiples of 10.
 *
 * @param framing by default the one that `decodeContainer` prefers
 */
export function rulesToContainer(rules: readonly Rule[], framing: Partial<RuleFraming> = {}): RulesParameter {
  const { layout = 'rule-id', ruleLength = 'inclusive' } = framing
  return { type: 'rules', layout, ruleLength, rules: rules.map(rule => toEntry(rule, layout)), otherwise: [] }
}

/** By identifier; rules without one are the same when their precedence is. In the order of precedence, the removed ones last. */
export function changesBetween(before: readonly Rule[], after: readonly Rule[]): RuleChange[] {
  const same = (a: Rule, b: Rule) =>
    a.id === undefined || b.id === undefined ? a.precedence === b.precedence && a.id === b.id : a.id === b.id
  const changes: RuleChange[] = []
  for (const rule of byPrecedence(after)) {
    const previous = before.find(other => same(rule, other))
    if (previous === undefined) changes.push({ change: 'added', rule })
    else if (!isDeepStrictEqual(previous, rule)) changes.push({ change: 'replaced', rule, previous })
  }
  for (const rule of byPrecedence(before))
    if (!after.some(other => same(rule, other))) changes.push({ change: 'removed', rule })
  return changes
}

/** The last one stands last, also when it replaces an earlier one: that is by whom a clash is won. */
function applyRules(before: readonly Rule[], entries: readonly RuleEntry[], problems: UpdateProblem[]): Rule[] {
  const after = [...before]
  const remove = (id: string) => {
    const index = after.findIndex(rule => rule.id === id)
    if (index >= 0) after.splice(index, 1)
    return index >= 0
  }
  for (const entry of entries)
    if (entry.type === 'rule') {
      const rule = fromEntry(entry)
      if (rule.id !== undefined) remove(rule.id)
      after.push(rule)
      const beyond = beyondMode(entry.access)
      if (beyond !== undefined) problems.push(problem(noteInWords(rule, beyond)))
    } else if (entry.type === 'delete' && !remove(String(entry.id)))
      problems.push(problem(`rule '${entry.id}' is to be deleted, but is not there`))
  return after
}

/** Of rules with one precedence, the last. */
function withoutClashes(rules: readonly Rule[], problems: UpdateProblem[]): Rule[] {
  const last = new Map(rules.map(rule => [rule.precedence, rule]))
  return rules.filter(rule => {
    const winner = last.get(rule.precedence)!
    if (winner !== rule)
      problems.push(problem(`${nameOrNone(rule)} gives way to ${nameOrNone(winner)}, of the same precedence`))
    return winner === rule
  })
}

function fromEntry({ id, precedence, traffic, access }: Extract<RuleEntry, { type: 'rule' }>): Rule {
  return {
    id: id === undefined ? undefined : String(id),
    precedence,
    traffic,
    functionality: typeof access.functionality === 'number' ? { unknown: access.functionality } : access.functionality,
    steering: { ...access.mode },
    unusable: unusableBecause(traffic),
    notes: notesOn(access),
  }
}

/** A note on a rule as the message of a problem. */
export function noteInWords(rule: Rule, note: string): string {
  return `${nameOf(rule)}: ${note}`
}

function notesOn(access: AccessSelection): string[] {
  const { functionality, mode } = access
  const notes: string[] = []
  if (typeof functionality === 'number') notes.push(`steering functionality ${functionality} is not known`)
  if (mode.mode === 'unknown')
    notes.push(`steering mode ${mode.code} with ${hexadecimal(mode.information)} is not known`)
  const beyond = beyondMode(access)
  if (beyond !== undefined) notes.push(beyond)
  return notes
}

/** Thresholds and indicators of Release 17 and later, whose layout is not openly published. */
function beyondMode({ trailing, uncounted = new Uint8Array(0) }: AccessSelection): string | undefined {
  const digits = Buffer.concat([trailing, uncounted]).toString('hex')
  return digits === '' ? undefined : `what follows the steering mode is not known, and has no effect: ${digits}`
}

function toEntry(rule: Rule, layout: RuleFraming['layout']): RuleEntry {
  const { precedence, traffic, functionality, steering } = rule
  if (precedence > 255) throw unsayable(rule, `its precedence is ${precedence}, and the highest is 255`)
  return {
    type: 'rule',
    id: layout === 'g00' ? undefined : idOf(rule),
    precedence,
    traffic: [...traffic],
    access: { functionality: codeOf(rule, functionality), mode: modeOf(rule, steering), trailing: new Uint8Array(0) },
  }
}

function idOf(rule: Rule): number {
  const id = Number(rule.id)
  if (rule.id === undefined || String(id) !== rule.id || !Number.isInteger(id) || id < 0 || id > 255)
    throw unsayable(rule, 'its identifier is no number from 0 to 255')
  return id
}

function codeOf(rule: Rule, functionality: SteeringFunctionality): AccessSelection['functionality'] {
  if (functionality === 'mpquic') throw unsayable(rule, 'the number of MPQUIC is not known')
  if (typeof functionality !== 'object') return functionality
  if (typeof functionality.unknown === 'number') return functionality.unknown
  throw unsayable(rule, `the number of steering functionality '${functionality.unknown}' is not known`)
}

function modeOf(rule: Rule, steering: Steering): WireSteeringMode {
  if (steering.mode === 'redundant') throw unsayable(rule, 'the number of redundant steering is not known')
  if ('thresholds' in steering && steering.thresholds) throw unsayable(rule, 'the layout of thresholds is not known')
  if (steering.mode === 'priority-based') return { mode: steering.mode, high: steering.high }
  if (steering.mode !== 'load-balancing') return steering
  const { mode, percent3gpp, indicator } = steering
  if (indicator !== undefined) throw unsayable(rule, 'the layout of indicators is not known')
  if (percent3gpp === undefined || percent3gpp % 10 !== 0)
    throw unsayable(rule, `a share of ${percent3gpp} % has no code: they are in steps of 10`)
  return { mode, percent3gpp }
}

function unsayable(rule: Rule, why: string): AtsssError {
  return new AtsssError('ERR_ATSSS_RULE', `A container cannot carry ${nameOf(rule)}: ${why}`)
}

function problem(message: string): UpdateProblem {
  return { message, offset: undefined, bytes: undefined }
}

function withPlace({ parameter, index, message, offset, bytes }: AtsssProblem): UpdateProblem {
  const where = index === undefined ? `parameter ${parameter}` : `rule ${index} of parameter ${parameter}`
  return { message: `${where}: ${message}`, offset, bytes }
}

function nameOrNone(rule: Rule): string {
  return rule.id === undefined ? 'a rule without identifier' : nameOf(rule)
}

function nameFraming({ layout, ruleLength }: RuleFraming): string {
  return `${layout}, lengths ${ruleLength}`
}

function hexadecimal(bytes: Uint8Array): string {
  return bytes.length === 0 ? 'nothing' : Buffer.from(bytes).toString('hex')
}
