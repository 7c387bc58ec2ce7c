/** `atsss lab`: an emulated device with two accesses, a converter and a web server, on this machine. */

import type { ChildProcess, StdioOptions } from 'node:child_process'
import { once } from 'node:events'
import { constants } from 'node:os'
import { fileURLToPath } from 'node:url'
import { AtsssError } from '../errors.js'
import { hostAndPort } from '../input/addresses.js'
import { parseJson } from '../input/json.js'
import {
  type Lab,
  type Namespace,
  openLab,
  PROFILES,
  type ProfileName,
  parseScenario,
  playTrace,
  type Scenario,
} from '../lab/index.js'
import { DEFAULT_RULES, presetRules } from '../policy/rules/presets.js'
import { BOTH } from '../policy/steering/accesses.js'
import { CONFIG, CONVERTER } from '../preload/find-config.js'
import { pathManagerSetting } from '../runtime/kernel/sysctl.js'
import type { SessionOptions } from '../session/options.js'
import {
  didYouMean,
  type OptionTable,
  ofFlag,
  optionLines,
  parseArguments,
  UsageError,
  wholeNumber,
} from './arguments.js'
import { keyLine, obeyKeys } from './lab/keys.js'
import { openLiveView } from './lab/live-view.js'
import {
  entering,
  inheritedListener,
  needsUserNamespace,
  ownFolders,
  runInUserNamespace,
} from './lab/user-namespace.js'
import { readNamedFile } from './named-file.js'
import { passSignals } from './signals.js'
import { coloursFor, progress } from './terminal.js'
import type { PageDownload } from './watch/page-story.js'

const PROFILE = 'wifi+lte'

const OPTIONS = {
  profile: {
    type: 'string',
    value: 'NAME',
    help: 'wifi+lte, wifi+5g, or train, whose coverage has holes',
    unset: PROFILE,
  },
  topology: { type: 'string', value: 'FILE', help: 'your own accesses, links and trace, in JSON (docs/cli.md)' },
  rules: { type: 'string', value: 'PRESET', help: 'handover, interactive or aggregate', unset: DEFAULT_RULES },
  web: {
    type: 'boolean',
    help: "serve a page on a loopback address that shows the command's sessions live and can change their links and rules; without a command, the session of a small demo application",
  },
  port: { type: 'string', value: 'NUMBER', help: 'the port of the page', unset: 'any' },
  json: { type: 'boolean', help: 'print what there is, and each change of a link, as a JSON object per line' },
  quiet: { type: 'boolean', help: "with a command: print only the page's address" },
} as const satisfies OptionTable

export const help = `Usage: atsss lab [options] [-- COMMAND [ARGUMENT…]]

Opens a lab on this machine: a device (UE) with two accesses whose rate, delay and loss are emulated, a converter, and
a web server. With a command, it runs that command as the UE and ends with its exit status. Without, it prints how to
use the lab and stays until ^C; in a terminal, keys then cut and restore its links. The command gets the accesses, the
converter and the rules in its environment (ATSSS_CONFIG), where the other atsss commands find them too.

${optionLines(OPTIONS)}

Exit status: the command's, or 128 plus the number of the signal that ended it; without a command 0 after ^C; 1 the
lab cannot be opened, 2 wrong command line. It needs root, or user namespaces and a /dev/net/tun that the user may
open.

Examples:
  atsss lab
  atsss lab -- npx atsss doctor
  atsss lab --web --profile train
  atsss lab --profile train -- node client.js
  atsss lab -- sh -c 'printf "GET /bytes/20 HTTP/1.0\\r\\n\\r\\n" | npx atsss connect --keep-open -v 198.51.100.2 80'
`

const CONVERTER_PORT = 5124
const WEB_PORT = 80

export async function run(args: string[]): Promise<number> {
  const { values, positionals } = parseArguments(args, OPTIONS, true)
  if (values.profile !== undefined && values.topology !== undefined)
    throw new UsageError('--profile and --topology cannot be used together')
  if (values.port !== undefined && !values.web) throw new UsageError('--port needs --web')
  const port = wholeNumber('port', values.port ?? '0')
  if (port > 65_535) throw new UsageError('--port must be at most 65535')
  const scenario = values.topology === undefined ? profileNamed(values.profile ?? PROFILE) : fromFile(values.topology)
  const rules = values.rules ?? DEFAULT_RULES
  ofFlag('--rules', () => presetRules(rules))
  const types = scenario.accesses?.map(({ access }) => access)
  if (values.web && types && !BOTH.every(type => types.includes(type)))
    throw new UsageError('--web shows a session, which needs an access of each type')
  if (needsUserNamespace()) return await runInUserNamespace(['lab', ...args], values.web ? port : undefined)

  const [json, quiet, command] = [values.json ?? false, values.quiet ?? false, positionals.length > 0]
  using busy = progress() // stopped even if opening fails
  if (!quiet) busy.say('opening the lab')
  await using lab = await openLab(scenario)
  const [program, ...rest] = positionals
  const visitor = values.web && program === undefined ? new Visitor() : undefined
  const title = `Lab: ${program === undefined ? nameOf(scenario) : [program, ...rest].join(' ')}`
  await using view = values.web ? await openLiveView(lab, inheritedListener() ?? port, title, visitor) : undefined
  const config = configOf(lab, rules, view?.watch)
  await prepare(lab)
  busy.end()
  const say = saying(json, quiet, command)
  const links = Object.values(lab.accesses).map(({ link }) => link)
  const hasKeys = !command && process.stdin.isTTY
  say(banner(lab, scenario, config, !command, hasKeys), { event: 'open', ...inside(lab), config })
  // Even with --quiet: the address of the page is needed.
  if (view) saying(json, false, command)(`  live page  ${view.url}`, { event: 'view', url: view.url })

  const end = new AbortController()
  const signalled = signal(end)
  const playing = playTrace(scenario, lab.link, end.signal, ({ link, set, note = '' }) => {
    say(`${link}: ${note || JSON.stringify(set)}`, { event: 'change', link, set, note })
    view?.linkChanged(link, set, note)
  })
  playing.catch(() => {}) // those that await it get the error
  using keys = hasKeys
    ? obeyKeys(process.stdin, links, (link, set, text) => {
        say(text, { event: 'change', link, set, note: '' })
        view?.linkChanged(link, set)
      })
    : undefined
  try {
    if (program !== undefined) return await Promise.race([asUe(lab, program, rest, config), failing(playing)])
    visitor?.start(lab, config)
    await Promise.race([signalled, failing(playing), ...(keys ? [keys.ended] : [])])
    return 0
  } finally {
    end.abort()
  }
}

function profileNamed(name: string): Scenario {
  if (Object.hasOwn(PROFILES, name)) return PROFILES[name as ProfileName]
  const names = Object.keys(PROFILES)
  throw new UsageError(`--profile must be one of ${names.join(', ')}; it is '${name}'${didYouMean(name, names)}`)
}

function fromFile(path: string): Scenario {
  try {
    return parseScenario(parseJson(readNamedFile('--topology', path).toString()))
  } catch (error) {
    const { code, message } = error as AtsssError
    if (error instanceof SyntaxError)
      throw new AtsssError('ERR_ATSSS_CONFIG', `--topology ${path}: is not JSON: ${message}`)
    if (code === 'ERR_ATSSS_OPTION') throw new AtsssError('ERR_ATSSS_CONFIG', `--topology ${path}: ${message}`)
    throw error
  }
}

/** The value of ATSSS_CONFIG, with the first access of each type. Its sessions can be watched, by `atsss watch` and `status` too. */
function configOf({ accesses, converterAddress }: Lab, rules: string, watch: SessionOptions['watch'] = true): object {
  const first = (type: string) => Object.values(accesses).find(({ access }) => access === type)?.interface
  const [cellular, other] = [first('3gpp'), first('non-3gpp')]
  const converters = `${converterAddress.v4}:${CONVERTER_PORT}`
  if (cellular === undefined || other === undefined) return { converters }
  return { accesses: { '3gpp': cellular, 'non-3gpp': other }, converters, rules, watch }
}

/** Starts the lab's programs, and lets the UE steer each connection separately. */
async function prepare(lab: Lab): Promise<void> {
  const userspace = pathManagerSetting('userspace')
  if (userspace) await lab.ue.sysctl(userspace.name, userspace.value)
  const { converterAddress: at, serverAddress: server } = lab
  const literal = ({ v4, v6 }: typeof at) => [v4, ...(v6 === undefined ? [] : [v6])]
  const listen = literal(at).flatMap(address => ['--listen', hostAndPort(address, CONVERTER_PORT)])
  const all = ['--allow', '0.0.0.0/0', '--allow', '::/0']
  // What NODE_OPTIONS preloads, `atsss/register` say, is for the command in the UE.
  const { NODE_OPTIONS: _, ...env } = process.env
  const start = (host: Namespace, words: string[]) => ready(host.spawn(process.execPath, words, { env }))
  await Promise.all([
    start(lab.converter, [...node('main'), 'converter', '--quiet', ...all, ...listen]),
    start(lab.server, [...node('lab/web-server'), String(WEB_PORT), ...literal(server)]),
  ])
}

/** The arguments of `node` that run a program of this folder, from the sources or from the build. */
function node(name: string): string[] {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  return [...process.execArgv, fileURLToPath(new URL(`./${name}.${extension}`, import.meta.url))]
}

/** Resolves with the program's first output. */
async function ready(child: ChildProcess): Promise<void> {
  let complaint = ''
  child.stderr?.on('data', text => (complaint = (complaint + text).slice(-1000)))
  const ended = once(child, 'exit').then(([code]) => {
    throw new AtsssError('ERR_LAB_FAILED', `a program of the lab ended with ${code}: ${complaint.trim()}`)
  })
  ended.catch(() => {}) // after the first output it is no longer awaited
  await Promise.race([once(child.stdout!, 'data'), ended])
  child.stdout!.resume()
}

/** Runs a command as the UE. @returns its exit status */
async function asUe({ ue }: Lab, command: string, args: string[], config: object): Promise<number> {
  const child = ue.spawn(command, args, { stdio: 'inherit', env: environment(config) })
  passSignals(signal => child.kill(signal))
  const [code, by] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null]
  return code ?? 128 + constants.signals[by!]
}

/** With this configuration: the user's own converter is not in the lab. */
function environment(config: object): NodeJS.ProcessEnv {
  const { [CONVERTER]: _, ...env } = process.env
  return { ...env, [CONFIG]: JSON.stringify(config) }
}

/** The lab's own application, which runs as the UE until the lab is closed. */
class Visitor implements PageDownload {
  #isFast = false
  #child: ChildProcess | undefined

  get isFast(): boolean {
    return this.#isFast
  }

  start({ ue, serverAddress }: Lab, config: object): void {
    const env = environment(config)
    const stdio: StdioOptions = ['pipe', 'ignore', 'inherit']
    this.#child = ue.spawn(process.execPath, [...node('lab/visitor'), serverAddress.v4], { stdio, env })
    this.#child.stdin!.on('error', () => {}) // it has ended, with a message
  }

  set(isFast: boolean): void {
    this.#isFast = isFast
    this.#child?.stdin?.write(isFast ? 'fast\n' : 'film\n')
  }
}

/** Rejects if the trace fails, and never resolves: the end of the trace does not end the lab. */
async function failing(playing: Promise<void>): Promise<never> {
  await playing
  return await new Promise(() => {})
}

/** Resolves at the first SIGINT, SIGTERM, or SIGHUP (of a closed terminal). A command gets the signal too, and ends with its own status. */
function signal(end: AbortController): Promise<void> {
  return new Promise(resolve => {
    const told = () => {
      end.abort()
      resolve()
    }
    for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, told)
  })
}

function saying(json: boolean, quiet: boolean, command: boolean): (text: string, about: object) => void {
  if (quiet && command) return () => {}
  // Standard output belongs to the command, if there is one.
  const stream = command ? process.stderr : process.stdout
  return (text, about) => void stream.write(json ? `${JSON.stringify(about)}\n` : `${text}\n`)
}

function inside({ ue, converter, server, accesses, converterAddress, serverAddress }: Lab): object {
  const list = Object.values(accesses).map(({ name, access, address }) => ({ name, access, address }))
  const namespaces = { ue: ue.name, converter: converter.name, server: server.name }
  return {
    namespaces,
    accesses: list,
    converter: { ...converterAddress, port: CONVERTER_PORT },
    server: { ...serverAddress, port: WEB_PORT },
  }
}

function nameOf({ description = 'a topology of your own' }: Scenario): string {
  return description
}

/** @param forHelp whether to print how to go on. @param hasKeys whether keys cut the links */
function banner(lab: Lab, scenario: Scenario, config: object, forHelp: boolean, hasKeys: boolean): string {
  const colours = coloursFor(process.stdout)
  const { ue, converterAddress, serverAddress } = lab
  const links = Object.values(lab.accesses).map(({ name, access, address, link }) => {
    const { rateMbps, delayMs = 0 } = link.present
    const rate = rateMbps ? `${rateMbps} Mbit/s, ` : ''
    return `  ${name.padEnd(10)} ${access}: ${rate}${delayMs} ms one way, ${address.v4}`
  })
  const lines = [
    colours.strong(`The lab is open: ${nameOf(scenario)}`),
    ...links,
    `  converter  ${converterAddress.v4}:${CONVERTER_PORT}`,
    `  web server http://${serverAddress.v4}/ (/bytes/N, /stream/MBPS, /echo, /upload)`,
  ]
  if (!forHelp) {
    const [first] = Object.values(lab.accesses)
    return [...lines, `  to cut     ip link set ${first?.interface} carrier off; to restore it: carrier on`].join('\n')
  }
  return [
    ...lines,
    '',
    'Run a command as the device, in another terminal:',
    `  export ${[`ATSSS_CONFIG='${JSON.stringify(config)}'`, ...ownFolders()].join(' ')}`,
    `  ${entering()}ip netns exec ${ue.name} COMMAND      (such as: npx atsss connect ${serverAddress.v4} 80)`,
    hasKeys ? keyLine(Object.values(lab.accesses).map(({ link }) => link)) : '^C ends the lab, and everything in it.',
  ].join('\n')
}
