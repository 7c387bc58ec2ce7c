/** The ATSSS rules of a container. TS 24.193 §6.1.3.2; drawn in message.ts. */

import { Reader } from '../bytes/cursor.js'
import type { Trace } from '../bytes/trace.js'
import { isAccessSelection, readAccessSelection, writeAccessSelection } from './access-selection.js'
import { OPERATIONS, type RuleEntry, type RuleFraming, type RulesParameter } from './message.js'
import { type OctetWriter, refusal } from './octets.js'
import { readTrafficDescriptor, writeTrafficDescriptor } from './traffic.js'

/** Rules that could not be read or understood, by their index; `offset` counts from the start of the container. */
export interface RuleProblem {
  index: number
  offset: number
  message: string
  bytes: Uint8Array
}

/**
 * The framings in the order in which they are preferred where more than one fits: first the two that open
 * implementations use, then the other two.
 */
const FRAMINGS: readonly RuleFraming[] = [
  { layout: 'rule-id', ruleLength: 'inclusive' },
  { layout: 'g00', ruleLength: 'exclusive' },
  { layout: 'rule-id', ruleLength: 'exclusive' },
  { layout: 'g00', ruleLength: 'inclusive' },
]

/** Those of the layout and the length of rules that are known. */
export function framingsFor(
  layout: RuleFraming['layout'] | 'auto',
  ruleLength: RuleFraming['ruleLength'] | 'auto',
): readonly RuleFraming[] {
  const framings = FRAMINGS.filter(
    framing =>
      (layout === 'auto' || layout === framing.layout) && (ruleLength === 'auto' || ruleLength === framing.ruleLength),
  )
  if (framings.length === 0) throw refusal(`no rules have layout ${layout} and a length that is ${ruleLength}`, 0)
  return framings
}

/**
 * The rules in the whole window. Of the framings, the one under which the lengths of rules, of traffic descriptors and of
 * access selection descriptors end exactly where they should: with the wrong one they do not. Where some rules are broken,
 * the one that leaves the fewest octets unread; among equals, the one with fewer values that are not known; among these,
 * the first. Never throws.
 */
export function readRules(from: Reader, framings: readonly RuleFraming[]): [RulesParameter, RuleProblem[]] {
  const end = Math.min(from.end, from.bytes.length)
  const again = () => new Reader(from.bytes, from.offset, end, from.code)
  // The lengths alone decide in almost every case, and need no values.
  const strict = closest(framings, framing => countUnread(framing, again(), false))
  // Octets that a descriptor's length does not count are allowed when everything else closes only with them.
  const lenient = strict.unread === 0 ? strict : closest(framings, framing => countUnread(framing, again(), true))
  const mayBeLonger = strict.unread > 0 && lenient.unread === 0
  const tied = mayBeLonger ? lenient.framings : strict.framings
  const doubts = tied.length === 1 ? [0] : tied.map(framing => countDoubts(framing, again(), mayBeLonger))
  const fewest = Math.min(...doubts)
  const [best, ...otherwise] = tied.filter((_, index) => doubts[index] === fewest)
  const { rules, problems } = readAs(best!, again(), mayBeLonger)
  if (from.trace === undefined) from.offset = from.end
  else readAs(best!, from, mayBeLonger)
  return [{ type: 'rules', ...best!, rules, otherwise: rules.length === 0 ? [] : otherwise }, problems]
}

/** As many octets as were read, when the value comes from `readRules`. */
export function writeRules(to: OctetWriter, { layout, ruleLength, rules }: RulesParameter): void {
  if (layout !== 'g00' && layout !== 'rule-id')
    throw refusal(`no layout is called ${JSON.stringify(layout)}`, to.offset)
  if (ruleLength !== 'exclusive' && ruleLength !== 'inclusive')
    throw refusal(`a rule's length is exclusive or inclusive, not ${JSON.stringify(ruleLength)}`, to.offset)
  for (const rule of rules)
    if (rule.type === 'unreadable') to.put(rule.bytes, 'rule')
    else to.counted(2, 'rule', () => writeRule(to, rule, layout), ruleLength === 'inclusive' ? LENGTH : 0)
}

/** Octets of a rule's length. */
const LENGTH = 2

/** The framings under which the fewest octets are unread. */
function closest(framings: readonly RuleFraming[], count: (framing: RuleFraming) => number) {
  const counts = framings.map(count)
  const unread = Math.min(...counts)
  return { unread, framings: framings.filter((_, index) => counts[index] === unread) }
}

/** Octets of rules that cannot be read: those in which the lengths do not end where they should. */
function countUnread({ layout, ruleLength }: RuleFraming, from: Reader, mayBeLonger: boolean): number {
  const { bytes, end } = from
  const u16 = (at: number) => (bytes[at]! << 8) | bytes[at + 1]!
  let unread = 0
  for (let at = from.offset, next: number; at < end; at = next) {
    const contents = at + LENGTH
    next = contents > end ? end + 1 : u16(at) + (ruleLength === 'inclusive' ? at : contents)
    if (next < contents || next > end) return unread + end - at
    const isDelete = layout === 'rule-id' && bytes[contents + 1] !== OPERATIONS['create-or-replace']
    const fields = layout === 'rule-id' ? contents + 2 : contents
    const traffic = fields + 3
    const hasSelection = () => isAccessSelection(bytes, traffic + u16(fields + 1), next, mayBeLonger)
    const isRead = fields <= next && (isDelete || (traffic <= next && hasSelection()))
    if (!isRead) unread += next - at
  }
  return unread
}

/** Rules with something in them that is not known. */
function countDoubts(framing: RuleFraming, from: Reader, mayBeLonger: boolean): number {
  let doubts = 0
  while (from.left > 0) {
    const part = from.part('Rule')
    const rule = readRule(part, framing, mayBeLonger)
    from.offset = part.end
    if (typeof rule !== 'string' && doubt(rule) !== undefined) doubts++
  }
  return doubts
}

interface Reading {
  rules: RuleEntry[]
  problems: RuleProblem[]
}

function readAs(framing: RuleFraming, from: Reader, mayBeLonger: boolean): Reading {
  const reading: Reading = { rules: [], problems: [] }
  while (from.left > 0) {
    const part = from.part('Rule')
    const offset = part.offset
    const rule = readRule(part, framing, mayBeLonger)
    from.offset = part.end
    if (part.trace !== undefined) traceRule(part.trace, rule)
    const message = typeof rule === 'string' ? rule : doubt(rule)
    const index = reading.rules.length
    if (message === undefined) {
      reading.rules.push(rule as RuleEntry)
      continue
    }
    const bytes = new Uint8Array(from.bytes.subarray(offset, part.end))
    reading.problems.push({ index, offset, message, bytes })
    reading.rules.push(typeof rule === 'string' ? { type: 'unreadable', bytes, why: rule } : rule)
  }
  return reading
}

function traceRule(trace: Trace, rule: RuleEntry | string): void {
  if (typeof rule === 'string') {
    trace.title('Rule that cannot be read')
    trace.problem(rule)
    return
  }
  if (rule.type === 'unreadable') return
  trace.title(rule.id === undefined ? 'Rule' : `Rule ${rule.id}`)
  if (rule.type === 'unknown-operation') trace.problem(`unknown operation ${rule.operation}`)
}

/** The rule in the window, which is ended with it, or why it cannot be read; it is all of the window when no one can tell. */
function readRule(from: Reader, { layout, ruleLength }: RuleFraming, mayBeLonger: boolean): RuleEntry | string {
  if (from.left < LENGTH) return 'its length is cut short'
  const said = from.u16('Length of rule', ruleLength === 'inclusive' ? showInclusive : showExclusive)
  const length = ruleLength === 'inclusive' ? said - LENGTH : said
  if (length < 0 || length > from.left) return `its length of ${said} does not fit`
  from.reach(length)
  return layout === 'g00' ? readContents(from, undefined, mayBeLonger) : readOperation(from, mayBeLonger)
}

function readOperation(from: Reader, mayBeLonger: boolean): RuleEntry | string {
  if (from.left < 2) return `${from.left} octets, too few for identifier and operation`
  const id = from.u8('Rule identifier')
  const operation = from.u8('Operation', showOperation)
  if (operation === OPERATIONS['create-or-replace']) return readContents(from, id, mayBeLonger)
  if (operation === OPERATIONS.delete) return { type: 'delete', id, rest: from.rest('Rest') }
  return { type: 'unknown-operation', id, operation, rest: from.rest('Rest') }
}

function readContents(from: Reader, id: number | undefined, mayBeLonger: boolean): RuleEntry | string {
  if (from.left < 3) return `${from.left} octets, too few for precedence and traffic descriptor`
  const precedence = from.u8('Precedence')
  const length = from.u16('Length of traffic descriptor')
  if (length > from.left) return `traffic descriptor of ${length} octets, where ${from.left} are left`
  const traffic = readTrafficDescriptor(from.window(length, 'Traffic descriptor'))
  const access = readAccessSelection(from, mayBeLonger)
  return typeof access === 'string' ? access : { type: 'rule', id, precedence, traffic, access }
}

function showInclusive(length: number): string {
  return `${length} (with itself)`
}

function showExclusive(length: number): string {
  return `${length} (without itself)`
}

function showOperation(code: number): string {
  const name = Object.entries(OPERATIONS).find(([, known]) => known === code)?.[0]
  return `${code} (${name?.replaceAll('-', ' ') ?? 'unknown'})`
}

/** What in the rule is not known, if anything. */
function doubt(rule: RuleEntry): string | undefined {
  switch (rule.type) {
    case 'rule': {
      const unknown = rule.traffic.find(component => component.type === 'unknown')
      if (unknown) return `traffic descriptor component of the unknown type ${unknown.code}`
      const invalid = rule.traffic.find(component => component.type === 'invalid')
      if (invalid) return `traffic descriptor component of type ${invalid.code} ${invalid.why}`
      if (typeof rule.access.functionality === 'number')
        return `unknown steering functionality ${rule.access.functionality}`
      if (rule.access.mode.mode === 'unknown')
        return `unknown steering mode, or information, of mode ${rule.access.mode.code}`
      return undefined
    }
    case 'delete':
      // Whether anything may follow is not known.
      return rule.rest.length > 0 ? `${rule.rest.length} octets behind a delete operation` : undefined
    case 'unknown-operation':
      return `unknown operation ${rule.operation}`
    case 'unreadable':
      return rule.why
  }
}

function writeRule(to: OctetWriter, rule: Exclude<RuleEntry, { type: 'unreadable' }>, layout: RuleFraming['layout']) {
  if (layout === 'g00') {
    if (rule.type !== 'rule' || rule.id !== undefined)
      throw refusal('layout g00 has neither identifiers nor operations', to.offset)
  } else {
    to.u8(rule.id as number, 'rule identifier')
    to.u8(operationOf(rule), 'operation')
  }
  if (rule.type !== 'rule') return to.put(rule.rest, 'rest')
  to.u8(rule.precedence, 'precedence')
  to.counted(2, 'traffic descriptor', () => writeTrafficDescriptor(to, rule.traffic))
  writeAccessSelection(to, rule.access)
}

function operationOf(rule: Exclude<RuleEntry, { type: 'unreadable' }>): number {
  if (rule.type === 'rule') return OPERATIONS['create-or-replace']
  return rule.type === 'delete' ? OPERATIONS.delete : rule.operation
}
