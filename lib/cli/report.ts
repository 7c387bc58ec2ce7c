/** `atsss report`: what a bug report needs, in one file and without secrets. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { CONFIG, CONFIG_NAME, defaultPath } from '../preload/find-config.js'
import { type OptionTable, optionLines, parseArguments } from './arguments.js'
import { gather } from './doctor/facts.js'
import type { Finding } from './doctor/finding.js'
import { findings } from './doctor/findings.js'
import { examine } from './doctor.js'
import { environment, redacted, withoutSecrets } from './report/secrets.js'
import { counters, interfaces, type Lines, sessions, settings, versions } from './report/system.js'
import { optionsOfFlags, VIA_OPTIONS } from './via.js'
import { printable } from './watch/sessions.js'

const { config, '3gpp': cellular, 'non-3gpp': other, converter } = VIA_OPTIONS

const OPTIONS = {
  config,
  '3gpp': cellular,
  'non-3gpp': other,
  converter,
  output: {
    type: 'string',
    short: 'o',
    value: 'FILE',
    help: 'where to write it; - is standard output',
    unset: 'atsss-report-DATE.txt, which must not exist yet',
  },
} as const satisfies OptionTable

export const help = `Usage: atsss report [options]

Writes what a bug report needs to one file: what doctor finds, versions, settings and counters of the kernel,
interfaces, the configuration, and the sessions that can be watched. Cookies, keys, tokens and passwords are left out;
interface names, addresses of this machine and of converters are in it. Read it before you pass it on.

${optionLines(OPTIONS)}

Exit status: 0 the report is written, whatever it says; 1 it could not be written; 2 wrong command line.

Examples:
  atsss report
  atsss report --3gpp wwan0 --non-3gpp wlan0 --converter 192.0.2.1:5124
  atsss report --output - | less
`

export async function run(args: string[]): Promise<number> {
  const { values } = parseArguments(args, OPTIONS)
  optionsOfFlags(values)
  const at = new Date()
  const secrets = new Set<string>()
  // First: what is secret in it is taken out of everything else.
  const configured = configuration(values.config, secrets)
  const sections: [title: string, lines: Lines][] = [
    ['Versions', versions(ownVersion())],
    ['Findings', await inLines(async () => (await found(values)).flatMap(findingInLines))],
    ['Interfaces', await inLines(interfaces)],
    ['Settings', settings()],
    ['Counters', counters()],
    ['Configuration', configured],
    ['Environment', Object.entries(environment(process.env, secrets)).map(([name, value]) => `${name}=${value}`)],
    ['Sessions', await inLines(sessions)],
  ]
  const text = redacted(reportText(at, sections), secrets)
  if (values.output === '-') {
    process.stdout.write(text)
    return 0
  }
  const path = values.output ?? `atsss-report-${at.toISOString().slice(0, 19).replaceAll(':', '-')}.txt`
  writeFileSync(path, text, { mode: 0o600, flag: values.output === undefined ? 'wx' : 'w' })
  process.stdout.write(`${path}\n`)
  process.stderr.write('It has addresses of this machine and of converters: read it before you pass it on.\n')
  return 0
}

/** Pure. */
export function reportText(at: Date, sections: readonly (readonly [title: string, lines: Lines])[]): string {
  const head = [`atsss report, ${at.toISOString()}`, '']
  const parts = sections.flatMap(([title, lines]) => [
    `## ${title}`,
    '',
    ...(lines.length === 0 ? ['none'] : lines.flatMap(line => line.split('\n').map(printable))),
    '',
  ])
  return [...head, ...parts].join('\n')
}

/** A configuration that is wrong is no reason to have no findings: then those about the machine alone. */
async function found(values: Parameters<typeof examine>[0]): Promise<Finding[]> {
  try {
    return await examine(values)
  } catch (error) {
    const about = { id: 'configuration', title: 'Configuration', why: '', fixes: [] }
    const wrong: Finding = { ...about, state: 'bad', found: reasonOf(error as Error) }
    return [wrong, ...findings(await gather([]), undefined)]
  }
}

function findingInLines({ title, state, found: what, why, fixes }: Finding): Lines {
  const head = `${state.padEnd(7)}  ${title}: ${what.replaceAll('\n', '\n         ')}`
  if (state === 'good') return [head]
  return [
    head,
    ...(why === '' ? [] : [`         ${why}`]),
    ...fixes.map(({ command, note }) => `         → ${command || note}`),
  ]
}

/** The file, as it is, without secrets; where it cannot be parsed, nothing of it. */
function configuration(given: string | undefined, secrets: Set<string>): Lines {
  const named = given ?? process.env[CONFIG]?.trim()
  const path = named || defaultPath(process.cwd())
  if (path.startsWith('{')) return [`${given === undefined ? CONFIG : '--config'}:`, ...jsonInLines(path, secrets)]
  if (!existsSync(path)) return [`there is no ${named ? path : CONFIG_NAME}`]
  try {
    return [`${path}:`, ...jsonInLines(readFileSync(path, 'utf8'), secrets)]
  } catch (error) {
    return [`${path}: ${(error as Error).message}`]
  }
}

function jsonInLines(text: string, secrets: Set<string>): Lines {
  let json: unknown
  try {
    json = JSON.parse(text.replace(/^\uFEFF/, ''))
  } catch {
    return [NOT_JSON] // the message of the error quotes the text
  }
  return [JSON.stringify(withoutSecrets(json, secrets).value, undefined, 2)]
}

const NOT_JSON = 'it is not JSON, so nothing of it is shown'

function reasonOf({ message }: Error): string {
  return /is not JSON/.test(message) ? NOT_JSON : message
}

async function inLines(read: () => Promise<Lines>): Promise<Lines> {
  try {
    return await read()
  } catch (error) {
    return [`cannot be read: ${reasonOf(error as Error)}`]
  }
}

function ownVersion(): string {
  return JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version
}
