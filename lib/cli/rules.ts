/** `atsss rules check`: whether rules are valid, and what they mean to this package. */
import { readFileSync } from 'node:fs'
import { noteInWords } from '../policy/rules/container.js'
import { rulesToJson } from '../policy/rules/json.js'
import { refusalOfRule, unsteeredBecause } from '../policy/rules/permit.js'
import type { Rule } from '../policy/rules/rule.js'
import { didYouMean, type OptionTable, optionLines, parseArguments, UsageError } from './arguments.js'
import { readNamedFile } from './named-file.js'
import { type RulesFile, rulesIn } from './rules/file.js'
import { steeringInWords, titleOf, trafficInWords } from './rules/words.js'
import { type Colours, coloursFor } from './terminal.js'

const OPTIONS = {
  json: { type: 'boolean', help: 'print the rules in JSON, whatever they came as, with problems' },
} as const satisfies OptionTable

export const help = `Usage: atsss rules check [options] FILE

Checks ATSSS rules, and prints them in the order in which they are evaluated. FILE ('-': standard input) has them as
JSON (an array, the name of a preset, a policy decision of TS 29.512, or an object with 'rules' such as atsss.json), as
an ATSSS container, or as a NAS message with a container; the last two as bytes, hexadecimal or base64.

${optionLines(OPTIONS)}

Exit status: 0 valid, 1 a rule is wrong or its connections would be refused here, 2 wrong command line.

Examples:
  atsss rules check rules.json
  echo AQAKAAgJAAEBBAEEAQ== | atsss rules check --json - > rules.json
`

export async function run(args: string[]): Promise<number> {
  const { values, positionals } = parseArguments(args, OPTIONS, true)
  const [action, path, ...more] = positionals
  if (action !== 'check')
    throw new UsageError(
      action === undefined
        ? 'no action is given: atsss rules check FILE'
        : `unknown action ${action}${didYouMean(action, ['check'])}`,
    )
  if (path === undefined) throw new UsageError("no file is given: atsss rules check FILE, or '-' for standard input")
  if (more.length > 0) throw new UsageError(`expected one file, got also '${more[0]}'`)
  const file = rulesIn(
    path === '-' ? readFileSync(0) : readNamedFile('check', path),
    path === '-' ? 'standard input' : path,
  )
  const findings = file.rules.map(rule => ({
    rule,
    why: rule.unusable ?? refusalOfRule(rule, DEFAULT_POLICY),
    unsteered: unsteeredBecause(rule, DEFAULT_POLICY),
  }))
  if (values.json) printJson(file, findings)
  else printText(file, findings)
  return (isDecision(file) || otherProblems(file).length === 0) && findings.every(({ why }) => why === undefined)
    ? 0
    : 1
}

/** What a session does unless its options say otherwise. */
const DEFAULT_POLICY = { unenforceable: undefined }

interface Finding {
  rule: Rule
  /** Why it cannot be obeyed here. */
  why: string | undefined
  /** Why its connections are left to the system. */
  unsteered: string | undefined
}

/** Those that are not shown as a note on a rule. */
function otherProblems({ rules, problems }: RulesFile): RulesFile['problems'] {
  const notes = new Set(rules.flatMap(rule => rule.notes.map(note => noteInWords(rule, note))))
  return problems.filter(({ message }) => !notes.has(message))
}

/** What a decision says beyond its rules for devices is not wrong. */
function isDecision({ source }: RulesFile): boolean {
  return source === 'a policy decision'
}

function printJson({ rules, problems }: RulesFile, findings: readonly Finding[]): void {
  const unenforceable = findings.flatMap(({ rule, why }) =>
    why === undefined ? [] : [{ precedence: rule.precedence, why }],
  )
  const unsteered = findings.flatMap(({ rule, unsteered: why }) =>
    why === undefined ? [] : [{ precedence: rule.precedence, why }],
  )
  const answer = {
    rules: rulesToJson(rules),
    problems: problems.map(({ message, offset }) => ({ message, offset })),
    unenforceable,
    unsteered,
  }
  process.stdout.write(`${JSON.stringify(answer, undefined, 2)}\n`)
}

function printText(file: RulesFile, findings: readonly Finding[]): void {
  const { rules, source } = file
  const colours = coloursFor(process.stdout)
  const lines = findings.flatMap(finding => ruleLines(finding, colours))
  for (const { message, offset } of otherProblems(file))
    if (isDecision(file)) lines.push(colours.warning(`Note: ${message}`))
    else lines.push(colours.bad(`Problem${offset === undefined ? '' : ` at octet ${offset}`}: ${message}`))
  const last = rules.at(-1)
  if (last && !last.traffic.some(({ type }) => type === 'match-all'))
    lines.push(colours.warning('No rule is for everything: what none matches goes unsteered (option unmatched)'))
  const count = rules.length === 1 ? '1 rule' : `${rules.length} rules`
  process.stdout.write(`${[colours.strong(`${count}, from ${source}`), ...lines].join('\n')}\n`)
}

function ruleLines({ rule, why, unsteered }: Finding, colours: Colours): string[] {
  return [
    `${titleOf(rule)}`,
    `  for   ${trafficInWords(rule)}`,
    `  does  ${steeringInWords(rule.steering)}`,
    ...(why === undefined ? [] : [colours.bad(`  but   it cannot be obeyed here: ${why}`)]),
    ...(unsteered === undefined ? [] : [colours.warning(`  note  ${unsteered}`)]),
    ...rule.notes.map(note => colours.warning(`  note  ${note}`)),
  ]
}
