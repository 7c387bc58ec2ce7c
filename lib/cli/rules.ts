/** `atsss rules check`: whether rules are valid, and what they mean to this package. `atsss rules encode`: rules as a container. */
import { readFileSync } from 'node:fs'
import { hostAndPort } from '../input/addresses.js'
import { noteInWords, rulesToContainer } from '../policy/rules/container.js'
import { rulesToJson } from '../policy/rules/json.js'
import type { NetworkInformation } from '../policy/rules/network.js'
import { refusalOfRule, unsteeredBecause } from '../policy/rules/permit.js'
import type { Rule } from '../policy/rules/rule.js'
import { BOTH } from '../policy/steering/accesses.js'
import { encodeContainer, type RuleFraming } from '../wire/atsss/container.js'
import { didYouMean, type OptionTable, optionLines, parseArguments, UsageError } from './arguments.js'
import { PRESET_NAMES, presetOrFile, type RulesFile, rulesIn } from './rules/file.js'
import { steeringInWords, titleOf, trafficInWords } from './rules/words.js'
import { type Colours, coloursFor } from './terminal.js'

const OPTIONS = {
  json: { type: 'boolean', help: 'check: print the rules in JSON, whatever they came as, with problems' },
  layout: { type: 'string', value: 'LAYOUT', help: 'encode: rule-id, or g00 (without identifiers)', unset: 'rule-id' },
  'rule-length': {
    type: 'string',
    value: 'WHICH',
    help: 'encode: whether the length of a rule counts its own two octets: inclusive or exclusive',
    unset: 'inclusive',
  },
} as const satisfies OptionTable

export const help = `Usage: atsss rules check|encode [options] FILE

check: checks ATSSS rules, and prints them in the order in which they are evaluated.

FILE is the name of a preset (handover, interactive, aggregate), or a file; '-' is standard input. The file has the
rules as JSON (an array, the name of a preset, a policy decision of TS 29.512, or an object with 'rules' such as
atsss.json), or as bytes, hexadecimal or base64 (an ATSSS container, or a NAS message with a container).

encode: prints the ATSSS container (TS 24.193) with these rules in hexadecimal. In the layout rule-id each needs a
'ruleId' from 0 to 255.

${optionLines(OPTIONS)}

Exit status: 0 valid, 1 a rule is wrong, or its connections would be refused here, or a container cannot carry it,
2 wrong command line.

Examples:
  atsss rules check rules.json
  atsss rules check handover
  echo AQAKAAgJAAEBBAEEAQ== | atsss rules check --json - > rules.json
  atsss rules encode rules.json | atsss decode
`

export async function run(args: string[]): Promise<number> {
  const { values, positionals } = parseArguments(args, OPTIONS, true)
  const [action, path, ...more] = positionals
  if (action !== 'check' && action !== 'encode')
    throw new UsageError(
      action === undefined
        ? 'no action is given: atsss rules check FILE, or encode FILE'
        : `unknown action ${action}${didYouMean(action, ['check', 'encode'])}`,
    )
  if (path === undefined)
    throw new UsageError(
      `no file is given: atsss rules ${action} FILE, a preset (${PRESET_NAMES.join(', ')}), or '-' for standard input`,
    )
  if (more.length > 0) throw new UsageError(`expected one file, got also '${more[0]}'`)
  const file = rulesIn(
    path === '-' ? readFileSync(0) : presetOrFile(action, path),
    path === '-' ? 'standard input' : path,
  )
  if (action === 'encode') return printContainer(file, framingOf(values))
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

function framingOf(values: { layout?: string; 'rule-length'?: string }): RuleFraming {
  const { layout = 'rule-id', 'rule-length': ruleLength = 'inclusive' } = values
  if (layout !== 'rule-id' && layout !== 'g00')
    throw new UsageError(`--layout must be rule-id or g00; it is '${layout}'`)
  if (ruleLength !== 'inclusive' && ruleLength !== 'exclusive')
    throw new UsageError(`--rule-length must be inclusive or exclusive; it is '${ruleLength}'`)
  return { layout, ruleLength }
}

function printContainer({ rules }: RulesFile, framing: RuleFraming): number {
  const container = encodeContainer([rulesToContainer(rules, framing)])
  process.stdout.write(`${Buffer.from(container).toString('hex')}\n`)
  return 0
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

function printJson({ rules, problems, network }: RulesFile, findings: readonly Finding[]): void {
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
    ...(network && { network }),
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
  lines.push(...networkLines(file.network))
  const last = rules.at(-1)
  if (!last) lines.push(colours.warning('There is no rule: all connections go unsteered (option unmatched)'))
  else if (!last.traffic.some(({ type }) => type === 'match-all'))
    lines.push(colours.warning('No rule is for everything: what none matches goes unsteered (option unmatched)'))
  const count = rules.length === 1 ? '1 rule' : `${rules.length} rules`
  process.stdout.write(`${[colours.strong(`${count}, from ${source}`), ...lines].join('\n')}\n`)
}

/** What the network says of itself. */
function networkLines(network: NetworkInformation | undefined): string[] {
  if (!network) return []
  const { converters, addresses } = network
  const found = converters
    .map(({ host, port }) =>
      [host]
        .flat()
        .map(address => hostAndPort(address, port))
        .join(' and '),
    )
    .join(', ')
  const own = BOTH.map(access => `${access} ${Object.values(addresses[access]).join(' and ')}`).join(', ')
  return [`The network's converters (converters: 'network'): ${found || 'none'}`, `Link-specific addresses: ${own}`]
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
