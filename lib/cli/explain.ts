/** `atsss explain`: which rule would apply to a connection, which access it would use, and why. */

import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { hostAndPort, parseDestination } from '../input/addresses.js'
import { type Match, match } from '../policy/rules/match.js'
import { refusalOfRule, unsteeredBecause } from '../policy/rules/permit.js'
import type { AccessType, Rule } from '../policy/rules/rule.js'
import { BOTH, NOT_MEASURED } from '../policy/steering/accesses.js'
import { decide, firstAccesses } from '../policy/steering/modes.js'
import type { Accesses } from '../policy/steering/snapshot.js'
import { AccessLinks, type Tunnel } from '../runtime/network/access-links.js'
import { openLinkMonitor } from '../runtime/network/link-monitor.js'
import { interfaceFor } from '../runtime/network/source-routing.js'
import { vpnInWords } from '../session/vpn.js'
import { type OptionTable, optionLines, parseArguments, UsageError } from './arguments.js'
import { type Config, readConfig } from './config.js'
import { presetOrFile, rulesIn } from './rules/file.js'
import { steeringInWords, titleOf } from './rules/words.js'
import { coloursFor, progress } from './terminal.js'

const OPTIONS = {
  config: {
    type: 'string',
    value: 'FILE',
    help: 'accesses and rules',
    unset: '$ATSSS_CONFIG, or atsss.json beside package.json',
  },
  rules: {
    type: 'string',
    value: 'FILE',
    help: "rules to use instead: a file as for 'atsss rules check', or a preset",
  },
  address: { type: 'string', value: 'ADDRESS', help: "the destination's address, instead of a DNS look-up" },
  app: { type: 'string', value: 'NAME', help: 'the application that connects, for rules about applications' },
  json: { type: 'boolean', help: 'print one object' },
} as const satisfies OptionTable

export const help = `Usage: atsss explain [options] HOST:PORT

Shows which ATSSS rule applies to a connection, what the rule asks for, over which access the connection would begin,
and why; and for each rule before it, why it does not match. No connection is made. A name is looked up when a rule
depends on its address.

${optionLines(OPTIONS)}

Exit status: 0 a rule applies and can be obeyed, 1 none does or it cannot be, 2 wrong command line.

Examples:
  atsss explain example.com:443 --config atsss.json
  atsss explain '[2001:db8::1]:8080' --rules handover
`

export async function run(args: string[]): Promise<number> {
  const { values, positionals } = parseArguments(args, OPTIONS, true)
  const { host, port } = parseDestination(positionals)
  if (values.address !== undefined && isIP(values.address) === 0)
    throw new UsageError(`--address must be an IP address; it is '${values.address}'`)
  const config = values.config === undefined && values.rules !== undefined ? NO_CONFIG : readConfig(values.config)
  const rules = values.rules === undefined ? config.rules : rulesNamed(values.rules)
  const application = values.app === undefined ? config.application : { osAppId: values.app }
  const flow = { host, port, ...application }

  let address = values.address
  let found = match(rules, { ...flow, address })
  if (found.undecided && address === undefined) {
    const busy = progress()
    busy.say(`asking for the address of ${host}`)
    address = (await lookup(host).finally(busy.end)).address
    found = match(rules, { ...flow, address })
  }
  const { accesses, tunnels, interfaces } = await accessesNow(config.accesses)
  const vpn = await vpnFor(address ?? host, tunnels, config.options.vpn)
  const outcome = found.rule && outcomeOf(found.rule, accesses, config.options.unenforceable)
  if (values.json) printJson({ host, port, address, found, accesses, outcome, vpn })
  else printText({ host, port, address, found, accesses, outcome, vpn, interfaces })
  return outcome !== undefined && outcome.unenforceable === undefined ? 0 : 1
}

const NO_CONFIG: Config = {
  options: {},
  accesses: undefined,
  rules: [],
  application: undefined,
}

interface Outcome {
  /** The accesses for the first subflow, in order. */
  accesses: AccessType[]
  why: string
  /** Why it is refused. */
  unenforceable: string | undefined
  /** Why it is left to the system; then there are no accesses. */
  unsteered: string | undefined
}

function outcomeOf(rule: Rule, accesses: Accesses, unenforceable: Config['options']['unenforceable']): Outcome {
  const unsteered = unsteeredBecause(rule, { unenforceable })
  if (unsteered !== undefined) return { accesses: [], why: unsteered, unenforceable: undefined, unsteered }
  const decision = decide(rule.steering, accesses, {}, performance.now())
  return {
    accesses: firstAccesses(rule.steering, decision),
    why: decision.why,
    unenforceable: refusalOfRule(rule, { unenforceable }),
    unsteered,
  }
}

function rulesNamed(name: string): readonly Rule[] {
  return rulesIn(presetOrFile('--rules', name), name).rules
}

/** The accesses as the links show them now. Without interfaces, both count as available. */
async function accessesNow(config: Config['accesses']): Promise<{
  accesses: Accesses
  tunnels: readonly Tunnel[]
  interfaces: Readonly<Record<AccessType, string>> | undefined
}> {
  const rest = {
    suspected: false,
    lostAt: Number.NEGATIVE_INFINITY,
    ...NOT_MEASURED,
  }
  if (config === undefined) {
    const unknown = { ...rest, available: true, why: 'not looked at: no interface is named' }
    return { accesses: { '3gpp': unknown, 'non-3gpp': unknown }, tunnels: [], interfaces: undefined }
  }
  const monitor = await openLinkMonitor()
  const { facts, tunnels, interfaces } = new AccessLinks(config, monitor.state)
  monitor.close()
  const state = (access: AccessType) => ({ ...rest, available: facts[access].usable, why: facts[access].why })
  const used = (access: AccessType) => interfaces[access]?.name ?? config[access].interface
  return {
    accesses: { '3gpp': state('3gpp'), 'non-3gpp': state('non-3gpp') },
    tunnels,
    interfaces: { '3gpp': used('3gpp'), 'non-3gpp': used('non-3gpp') },
  }
}

/** What the option `vpn` means for this destination, if the system reaches it by a tunnel. A name is looked up only if there is one. */
async function vpnFor(
  host: string,
  tunnels: readonly Tunnel[],
  vpn: Config['options']['vpn'],
): Promise<string | undefined> {
  if (tunnels.length === 0) return undefined
  const { address } = await lookup(host)
  const index = await interfaceFor(undefined, address).catch(() => undefined)
  return vpnInWords(
    tunnels.filter(tunnel => tunnel.index === index).map(({ name }) => name),
    vpn,
  )
}

interface Findings {
  host: string
  port: number
  address: string | undefined
  found: Match
  accesses: Accesses
  outcome: Outcome | undefined
  /** Undefined: the system does not reach it by a tunnel. */
  vpn: string | undefined
}

function printJson({ host, port, address, found, accesses, outcome, vpn }: Findings): void {
  const brief = ({ id, precedence }: Rule) => ({ ruleId: id, precedence })
  const answer = {
    destination: { host, port, address },
    rule: found.rule && { ...brief(found.rule), mode: found.rule.steering.mode },
    why: found.why,
    skipped: found.skipped.map(({ rule, why }) => ({ ...brief(rule), why })),
    steering: outcome,
    vpn,
    accesses: Object.fromEntries(
      BOTH.map(access => [access, { available: accesses[access].available, why: accesses[access].why }]),
    ),
  }
  process.stdout.write(`${JSON.stringify(answer, undefined, 2)}\n`)
}

function printText(about: Findings & { interfaces: Readonly<Record<AccessType, string>> | undefined }): void {
  const { host, port, address, found, accesses, outcome, vpn, interfaces } = about
  const { rule, why, skipped } = found
  const colours = coloursFor(process.stdout)
  const named = (access: AccessType) => (interfaces ? `${access} (${interfaces[access]})` : access)
  const lines = [
    colours.strong(`${hostAndPort(host, port)}${address === undefined || address === host ? '' : ` (${address})`}`),
  ]
  if (rule && outcome) {
    lines.push(`  rule     ${titleOf(rule)}`, `  because  ${why}`, `  mode     ${steeringInWords(rule.steering)}`)
    if (outcome.unsteered) lines.push(colours.warning(`  but      unsteered: ${outcome.unsteered}`))
    else lines.push(`  access   ${outcome.accesses.map(named).join(' first, then ') || 'none'}; now: ${outcome.why}`)
    if (vpn !== undefined) lines.push(colours.warning(`  vpn      ${vpn}`))
    for (const access of BOTH) {
      const { available, why: state } = accesses[access]
      lines.push(
        `  ${access.padEnd(8)} ${available ? colours.good('available') : colours.bad('unavailable')}: ${state}`,
      )
    }
    if (outcome.unenforceable) lines.push(colours.bad(`  refused  it cannot be obeyed here: ${outcome.unenforceable}`))
  } else lines.push(colours.bad(`  no rule: ${why}`))
  if (skipped.length > 0) lines.push('Rules before it that do not match:')
  for (const { rule: other, why: reason } of skipped) lines.push(`  ${titleOf(other)}: ${reason}`)
  process.stdout.write(`${lines.join('\n')}\n`)
}
