/** `atsss init`: looks at the interfaces, asks, and writes atsss.json. */
import { existsSync, writeFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { DEFAULT_RULES } from '../policy/rules/presets.js'
import type { AccessType } from '../policy/rules/rule.js'
import { BOTH } from '../policy/steering/accesses.js'
import { parseConfig } from '../preload/config.js'
import { CONFIG, CONFIG_NAME, CONVERTER as CONVERTER_VARIABLE, defaultPath } from '../preload/find-config.js'
import { packageFolder } from '../runtime/kernel/package-files.js'
import { kindOf } from '../runtime/network/interface-kind.js'
import { type NetworkState, openLinkMonitor } from '../runtime/network/link-monitor.js'
import { type OptionTable, optionLines, parseArguments, UsageError } from './arguments.js'
import { readConfig } from './config.js'
import { answersBy, type Given } from './init/questions.js'
import { type Answers, configOf, interfaceLines, type Names, schemaFrom, suggested, textOf } from './init/suggestion.js'
import { namesIn, optionsOfFlags, VIA_OPTIONS } from './via.js'

const { '3gpp': CELLULAR, 'non-3gpp': OTHER, converter: CONVERTER, rules: RULES } = VIA_OPTIONS

const OPTIONS = {
  config: {
    type: 'string',
    value: 'FILE',
    help: 'what to write',
    unset: `${CONFIG_NAME} beside the nearest package.json, or here`,
  },
  '3gpp': {
    ...CELLULAR,
    help: 'the interface of the cellular access; several, or patterns such as wwan*: the first that works',
  },
  'non-3gpp': OTHER,
  auto: { type: 'boolean', help: 'choose the interfaces at each start of the application, by their kinds' },
  converter: CONVERTER,
  rules: RULES,
  yes: { type: 'boolean', help: 'ask nothing: take what is proposed' },
  force: { type: 'boolean', help: 'replace the file if it exists' },
} as const satisfies OptionTable

export const help = `Usage: atsss init [options]

Writes a configuration, ${CONFIG_NAME}: looks at the network interfaces of this machine, proposes which is the cellular
access and which is Wi-Fi or Ethernet (by their drivers), asks on a terminal, and says what is next.

${optionLines(OPTIONS)}

Exit status: 0 the file is written, 1 it is not: it exists, or the accesses cannot be told; 2 wrong command line.

Examples:
  atsss init
  atsss init --yes --converter 192.0.2.1:5124
  atsss init --yes --3gpp 'wwan*' --non-3gpp eth0,wlan0 --converter 192.0.2.1:5124
`

export async function run(args: string[]): Promise<number> {
  const { values } = parseArguments(args, OPTIONS)
  const given = givenBy(values)
  const path = values.config === undefined ? defaultPath(process.cwd()) : resolve(values.config)
  if (!values.yes && !process.stdin.isTTY)
    throw new UsageError('standard input is not a terminal, so nothing can be asked: give --yes')
  if (existsSync(path) && !values.force) return failed(`${path} exists already: --force replaces it`)

  const monitor = await openLinkMonitor()
  monitor.close()
  const named = inVariable()
  const found = named?.accesses ?? suggested(monitor.state, kindOf)
  const lines = interfaceLines(monitor.state, kindOf)
  process.stderr.write(`This machine has:\n${lines.join('\n') || '  only loopback'}\n\n`)
  if (named?.accesses) process.stderr.write(`The accesses are proposed as ${CONFIG} names them.\n`)
  const offered = { ...(named?.converters && { converters: named.converters }), ...given }
  const answers = values.yes ? proposed(found, offered) : await asked(found, offered)
  if (typeof answers === 'string') return failed(answers)

  const folder = dirname(path)
  const config = configOf(answers, schemaFrom(folder, fileURLToPath(packageFolder())))
  parseConfig(config, path)
  // A configuration that every user can write would not be read.
  writeFileSync(path, textOf(config), { mode: 0o644, flag: values.force ? 'w' : 'wx' })
  process.stdout.write(`Written: ${path}\n\n${textOf(config)}\n${next(answers, values.config)}`)
  const missing = missingIn(answers.accesses, monitor.state)
  if (missing.length > 0)
    process.stderr.write(`Not there now: ${missing.join(', ')}. An access works once one of its interfaces is there\n`)
  if (process.env[CONFIG]?.trim())
    process.stderr.write(
      `${CONFIG} is set, and is used in place of this file: unset ${CONFIG}, or use --config ${path}\n`,
    )
  return 0
}

/** What ATSSS_CONFIG names, as in the lab, whose interfaces have no kind: accesses that are there, and converters. */
function inVariable(): { accesses?: Names; converters?: readonly string[] } | undefined {
  if (!process.env[CONFIG]?.trim()) return undefined
  try {
    const { accesses, options } = readConfig(undefined)
    const names = (access: AccessType) =>
      (accesses![access].choices ?? [accesses![access].interface]).filter(choice => typeof choice === 'string')
    const converters = [options.converters ?? []].flat().filter(converter => typeof converter === 'string')
    const both = accesses && { '3gpp': names('3gpp'), 'non-3gpp': names('non-3gpp') }
    return {
      ...(both && BOTH.every(access => both[access].length > 0) && { accesses: both }),
      ...(converters.length > 0 && { converters }),
    }
  } catch {
    return undefined // it is wrong, and is about to be replaced
  }
}

/** The interfaces that are named, and are not there now. */
function missingIn(accesses: Answers['accesses'], { links }: NetworkState): string[] {
  const there = new Set([...links.values()].map(({ name }) => name))
  const names = accesses === 'auto' ? [] : BOTH.flatMap(access => accesses[access])
  return names.filter(name => !name.includes('*') && !there.has(name))
}

interface Values {
  '3gpp'?: string | undefined
  'non-3gpp'?: string | undefined
  auto?: boolean | undefined
  converter?: string[] | undefined
  rules?: string | undefined
}

/** Checked, so that a mistake is reported before anything is asked. Throws `UsageError`, ERR_ATSSS_CONFIG. */
function givenBy(values: Values): Given {
  const { '3gpp': cellular, 'non-3gpp': other, auto, converter, rules } = values
  optionsOfFlags(values)
  if (auto && cellular !== undefined) throw new UsageError('--auto and --3gpp cannot be used together')
  const names = cellular !== undefined && { '3gpp': [namesIn(cellular)].flat(), 'non-3gpp': [namesIn(other!)].flat() }
  const converters = converter ?? process.env[CONVERTER_VARIABLE]?.split(',').map(each => each.trim())
  const given: Given = {
    ...(auto && { accesses: 'auto' }),
    ...(names && { accesses: names }),
    ...(converters && { converters }),
    ...(rules !== undefined && { rules }),
  }
  parseConfig(configOf({ accesses: 'auto', converters: [], rules: DEFAULT_RULES, ...given }), 'the command line')
  return given
}

/** Without a question; or why that is not possible. */
function proposed(found: Names, given: Given): Answers | string {
  const { converters = [], rules = DEFAULT_RULES } = given
  if (given.accesses) return { accesses: given.accesses, converters, rules }
  const missing = [
    ...(found['3gpp'].length === 0 ? ['no modem and no phone'] : []),
    ...(found['non-3gpp'].length === 0 ? ['no Ethernet and no Wi-Fi'] : []),
  ]
  if (missing.length === 0) return { accesses: found, converters, rules }
  return (
    `this machine has ${missing.join(', and ')}: name the interfaces with --3gpp NAME and --non-3gpp NAME (they may come later), ` +
    'or let the application choose when it starts, with --auto'
  )
}

async function asked(found: Names, given: Given): Promise<Answers | string> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  // By its lines, and not by `question`: that loses all but the first of lines that are pasted together.
  const lines = terminal[Symbol.asyncIterator]()
  const ask = async (question: string) => {
    terminal.setPrompt(question)
    terminal.prompt()
    const { value, done } = await lines.next()
    if (done) throw new NothingMore()
    return value
  }
  try {
    return await answersBy({ ask, say: text => process.stderr.write(`${text}\n`) }, found, given)
  } catch (error) {
    if (!(error instanceof NothingMore)) throw error
    process.stderr.write('\n')
    return 'nothing was written'
  } finally {
    terminal.close()
  }
}

/** The terminal has ended: Ctrl-C or Ctrl-D. */
class NothingMore extends Error {}

function next({ converters }: Answers, config: string | undefined): string {
  const option = config === undefined ? '' : ` --config ${config}`
  const steps = [
    [`npx atsss doctor${option}`, 'what is missing on this machine, and how to fix it'],
    [`npx atsss run${option} -- node app.js`, 'your application, over both accesses'],
    ['npx atsss watch', 'meanwhile, in another terminal: see what it does'],
  ] as const
  const width = Math.max(...steps.map(([command]) => command.length))
  const lines = steps.map(([command, why]) => `  ${command.padEnd(width)}   # ${why}`)
  const without =
    converters.length > 0
      ? ''
      : '\nWithout a converter only connections to servers that speak MPTCP themselves use both accesses.\n' +
        'How to run one: docs/converter.md. Then: "converters": ["ADDRESS:PORT"]\n'
  return `Next:\n${lines.join('\n')}\n${without}`
}

function failed(why: string): number {
  process.stderr.write(`atsss init: ${why}\n`)
  return 1
}
