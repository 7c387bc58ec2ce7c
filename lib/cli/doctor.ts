/** `atsss doctor`: everything that must hold, what was found, why it matters, and how to fix it. */

import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseDestination } from '../input/addresses.js'
import { resolveOptions } from '../input/options.js'
import { BOTH } from '../policy/steering/accesses.js'
import { sysctlPath } from '../runtime/kernel/sysctl.js'
import { openPathManager } from '../runtime/network/path-manager.js'
import { resolveSession, type SessionOptions } from '../session/options.js'
import { interfacesInUse } from './access-interfaces.js'
import { type OptionTable, optionLines, parseArguments, UsageError } from './arguments.js'
import { gather } from './doctor/facts.js'
import type { Action, Finding, Fix } from './doctor/finding.js'
import { findings } from './doctor/findings.js'
import { aboutOnline, askOnline, PUBLIC_SERVER } from './doctor/online.js'
import { aboutPath, probe, withCause } from './doctor/probe.js'
import { type Colours, coloursFor, progress } from './terminal.js'
import { VIA_OPTIONS, viaOptions } from './via.js'

const OPTIONS = {
  ...VIA_OPTIONS,
  destination: {
    type: 'string',
    value: 'HOST:PORT',
    help: 'what to ask the converters to connect to',
    unset: 'themselves',
  },
  online: {
    type: 'boolean',
    help: `also connect to ${PUBLIC_SERVER.host}, a public server, over each access: does MPTCP get through the Internet?`,
  },
  all: { type: 'boolean', help: 'also show what is good' },
  json: { type: 'boolean', help: 'print findings with id, title, state (good, warning, bad), found, why, fixes' },
  fix: { type: 'boolean', help: 'print the commands that fix what was found' },
  yes: { type: 'boolean', help: 'with --fix: carry them out' },
} as const satisfies OptionTable

export const help = `Usage: atsss doctor [options]

Checks everything that must hold: Node and the addon, MPTCP in the kernel and its path manager, capabilities, Fast
Open, interfaces, addresses and routes; and tries the path to each converter over each access. Prints what is not
good, how the paths are, and the commands that fix it, to be pasted. Without --fix --yes it changes nothing. It
connects to the converters only; with --online, to a public server too.

${optionLines(OPTIONS)}

Exit status: 0 nothing is bad (there may be warnings), 1 something is, 2 wrong command line. With --yes: 0 everything
bad was fixed, 1 a fix failed or has to be done by hand.

Examples:
  atsss doctor
  atsss doctor --3gpp wwan0 --non-3gpp wlan0 --converter 192.0.2.1:5124
  sudo atsss doctor --fix --yes
`

export async function run(args: string[]): Promise<number> {
  const { values } = parseArguments(args, OPTIONS)
  if (values.yes && !values.fix) throw new UsageError('--yes needs --fix')
  if (values.json && values.fix)
    throw new UsageError('--json and --fix cannot be used together: the JSON has the fixes')
  const all = await examine(values)
  if (values.json) process.stdout.write(`${JSON.stringify({ findings: all }, undefined, 2)}\n`)
  else if (values.fix) return await fix(all, values.yes ?? false)
  else process.stdout.write(textOf(all, values.all ?? false, coloursFor(process.stdout)))
  return all.some(({ state }) => state === 'bad') ? 1 : 0
}

/** Everything that is found. Throws what `viaOptions` throws. */
export async function examine(
  values: Parameters<typeof viaOptions>[0] & { destination?: string | undefined; online?: boolean | undefined },
): Promise<Finding[]> {
  const options = viaOptions(values)
  const named = options.accesses && resolveSession(options as SessionOptions).accesses
  const accesses = named && (await interfacesInUse(named))
  const { converters } = resolveOptions(options)
  const remotes = converters.flatMap(({ where }) =>
    'host' in where ? [where.host] : 'addresses' in where ? where.addresses : [],
  )
  const facts = await gather(remotes)
  const all = findings(facts, accesses)
  if (facts.addon !== undefined) return all

  const busy = progress()
  const ways = accesses
    ? BOTH.map(access => ({
        device: accesses[access],
        needs: ['mptcp', `access-${access}`, `route-${accesses[access]}`],
      }))
    : [{ device: options.interface, needs: ['mptcp', `route-${options.interface}`] }]
  const allowLoopback = options.allowLoopback ?? false
  const destination = values.destination === undefined ? undefined : parseDestination([values.destination])
  const paths: Finding[] = []
  const add = (path: Finding, needs: readonly string[]) =>
    paths.push(
      withCause(
        path,
        all.filter(({ id }) => needs.includes(id)),
      ),
    )
  for (const [index, converter] of converters.entries())
    for (const { device, needs } of ways) {
      busy.say(`trying ${converter.name}${device === undefined ? '' : ` over ${device}`}`)
      const tried = await probe({ interface: device, converter, destination, allowLoopback })
      add(aboutPath(tried, index + 1), needs)
    }
  if (values.online)
    for (const { device, needs } of ways) {
      busy.say(`trying ${PUBLIC_SERVER.host}${device === undefined ? '' : ` over ${device}`}`)
      add(aboutOnline(await askOnline(device)), needs)
    }
  busy.end()
  return [...all, ...paths]
}

/** Pure. */
export function textOf(all: readonly Finding[], showAll: boolean, colours: Colours): string {
  const shown = all.filter(({ state, id }) => showAll || state !== 'good' || /^(path|online)-/.test(id))
  const lines = shown.flatMap(finding => findingLines(finding, colours))
  const block = onceEach(all.filter(({ state }) => state !== 'good').flatMap(toPaste))
  if (block.length > 0)
    lines.push('', colours.strong('To fix it, paste:'), ...block.map(each => `  ${fixInWords(each)}`))
  const count = (state: Finding['state']) => all.filter(finding => finding.state === state).length
  const hidden = all.length - shown.length
  const warnings = count('warning') === 1 ? '1 warning' : `${count('warning')} warnings`
  if (lines.length > 0) lines.push('')
  if (hidden > 0) lines.push(colours.faint(`--all also shows the ${hidden} that are good`))
  lines.push(`${count('good')} good, ${warnings}, ${count('bad')} bad`)
  return `${lines.join('\n')}\n`
}

/** The commands of a finding that can be pasted as they are; one is enough, unless all are needed. */
function toPaste({ fixes, all }: Finding): Fix[] {
  const ready = fixes.filter(({ command }) => command !== '' && !PLACEHOLDER.test(command))
  return all ? ready : ready.slice(0, 1)
}

/** One command may fix several findings. */
function onceEach(fixes: readonly Fix[]): Fix[] {
  return [...new Map(fixes.map(each => [each.command, each])).values()]
}

/** Names to be replaced, and what is no command: a line of a unit. */
const PLACEHOLDER = /\b[A-Z]{4,}\b|…|^\w+=/

const NO_FINDING: Finding = { id: '', title: '', state: 'good', found: '', why: '', fixes: [] }

function findingLines({ title, state, found, why, fixes, all: allNeeded }: Finding, colours: Colours): string[] {
  const mark = { good: colours.good('good   '), warning: colours.warning('warning'), bad: colours.bad('bad    ') }[
    state
  ]
  const head = `${mark}  ${colours.strong(title)}: ${found.replaceAll('\n', '\n         ')}`
  if (state === 'good') return [head, colours.faint(`         ${why}`)]
  const block = toPaste({ ...NO_FINDING, fixes, ...(allNeeded && { all: allNeeded }) })
  const others = fixes.filter(each => !block.includes(each))
  const or = block.length > 0 ? '→ the command below, or: ' : '→ '
  return [head, `         ${why}`, ...others.map(each => `         ${or}${fixInWords(each)}`)]
}

function fixInWords({ command, note }: Fix): string {
  if (command === '') return note ?? ''
  const typed = process.geteuid?.() !== 0 && FOR_ROOT.test(command) ? `sudo ${command}` : command
  return note === undefined ? typed : `${typed}   # ${note}`
}

const FOR_ROOT = /^(sysctl|ip|setcap|nmcli|usermod|systemctl|npx atsss helper) /

/** Prints the fixes, or carries out the first one of each finding that needs no person. */
async function fix(all: readonly Finding[], yes: boolean): Promise<number> {
  const broken = all.filter(({ state }) => state !== 'good')
  let left = 0
  const before = new Set<string>()
  for (const { title, found, fixes, all: allNeeded, state } of broken) {
    process.stdout.write(`# ${title}: ${found.replaceAll('\n', '\n# ')}\n`)
    if (!yes) {
      for (const each of fixes) {
        const isComment = each.command === '' || before.has(each.command)
        process.stdout.write(`${isComment ? '# ' : ''}${fixInWords(each)}\n`)
        before.add(each.command)
      }
      continue
    }
    const doable = fixes.filter(({ action }) => action !== undefined)
    const chosen = allNeeded ? doable : doable.slice(0, 1)
    if (chosen.length === 0) {
      if (state === 'bad') left++
      process.stdout.write(`by hand: ${fixes.map(fixInWords).join('; or ') || 'see above'}\n`)
    }
    for (const { command, action } of chosen) {
      if (before.has(command)) continue
      before.add(command)
      const error = await carryOut(action!)
      if (error !== undefined) left++
      process.stdout.write(error === undefined ? `done: ${command}\n` : `failed: ${command}: ${error}\n`)
    }
  }
  if (broken.length === 0) process.stdout.write('No problems found.\n')
  if (!yes) return broken.some(({ state }) => state === 'bad') ? 1 : 0
  return left === 0 ? 0 : 1
}

/** Why it failed, if it did. */
async function carryOut(action: Action): Promise<string | undefined> {
  try {
    if (action.do === 'sysctl') {
      writeFileSync(sysctlPath(action.name), action.value)
      return undefined
    }
    if (action.do === 'run' || action.do === 'install-helper') {
      const install = [
        process.execPath,
        fileURLToPath(new URL('./main.js', import.meta.url)),
        'helper',
        'install',
        '--yes',
      ]
      const [program, ...args] = action.do === 'run' ? action.argv : install
      const { status, stdout, stderr, error } = spawnSync(program!, args, { encoding: 'utf8' })
      if (error) throw error
      return status === 0 ? undefined : stderr.trim() || stdout.trim().split('\n').at(-1)
    }
    const manager = await openPathManager()
    try {
      if (action.do === 'limits') {
        const { subflows, addAddrAccepted } = action
        await manager.kernel.setLimits({ subflows, addAddrAccepted })
      } else await manager.kernel.deleteEndpoint(action.id)
      return undefined
    } finally {
      manager.close()
    }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const isForRoot = process.geteuid?.() !== 0 && ['EACCES', 'EPERM'].includes(code ?? '')
    return isForRoot ? `it needs root: sudo npx atsss doctor --fix --yes (${message})` : message
  }
}
