/** `atsss run`: runs a command. Every Node process in it uses MPTCP, and the session of a configuration. */
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { constants } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseConfig } from '../preload/config.js'
import { Exclusion } from '../preload/exclusion.js'
import { CONFIG, CONVERTER as CONVERTER_VARIABLE, findConfig, hasDefaultFile } from '../preload/find-config.js'
import { type Addon, native } from '../runtime/kernel/native.js'
import { type OptionTable, ofFlag, optionLines, parseArguments, UsageError } from './arguments.js'
import { environmentWith } from './config.js'
import { isNoNode } from './run/program.js'
import { passSignals } from './signals.js'
import { optionsOfFlags, RULES_NEED_ACCESSES, VIA_OPTIONS } from './via.js'

const {
  config: CONFIG_FILE,
  '3gpp': CELLULAR,
  'non-3gpp': OTHER,
  rules: RULES,
  converter: CONVERTER,
  fallback: FALLBACK,
} = VIA_OPTIONS

const OPTIONS = {
  config: CONFIG_FILE,
  '3gpp': CELLULAR,
  'non-3gpp': OTHER,
  rules: RULES,
  converter: CONVERTER,
  fallback: FALLBACK,
  exclude: {
    type: 'string',
    multiple: true,
    value: 'WHAT',
    help: 'an address, prefix or name whose connections are left alone',
  },
} as const satisfies OptionTable

export const help = `Usage: atsss run [options] -- command [argument…]

Runs a command. Every Node process in it makes its TCP connections over MPTCP, as a configuration file says
(docs/preload.md).

${optionLines(OPTIONS)}

Only Node processes use MPTCP: a command such as curl runs unchanged, and a warning says what to do instead.

Exit status: the command's; 126 when it cannot be executed, 127 when it is not found. The command takes the place of
this process, so signals reach it.

Examples:
  atsss run -- node app.js
  atsss run --3gpp wwan0 --non-3gpp wlan0 --converter 192.0.2.1:5124 -- npm start
`

type RunValues = Parameters<typeof optionsOfFlags>[0] & { exclude?: string[] | undefined }

export async function run(args: string[]): Promise<number> {
  const { values, positionals } = parseArguments(args, OPTIONS, true)
  const [command, ...rest] = positionals
  if (command === undefined) throw new UsageError('no command to run is given: atsss run -- node app.js')
  const config = configuration(values)
  if (isNoNode(command))
    process.stderr.write(
      `atsss run: ${command} is not a Node program: its connections stay as they are; only Node processes that it starts use MPTCP. ` +
        `Instead: "mptcpize run ${command} …" (MPTCP without converters and rules), or "atsss connect HOST PORT", which is netcat\n`,
    )
  return await runWith(command, rest, config)
}

/** The value for ATSSS_CONFIG: a path or JSON, already checked. */
function configuration(values: RunValues): string {
  const { exclude } = values
  const given: Record<string, unknown> = { ...optionsOfFlags(values) }
  if (exclude) {
    for (const what of exclude) ofFlag('--exclude', () => new Exclusion([what]))
    given.exclude = exclude
  }
  const env = environmentWith(values.config)
  const isGiven = Object.keys(given).length > 0
  if (isGiven && env[CONFIG] === undefined && !hasDefaultFile()) return checkedJson(given, 'the options')
  const { origin } = found(env)
  if (origin === CONVERTER_VARIABLE && !isGiven) return '{}' // the variable reaches the command, too
  if (!isGiven) return origin === CONFIG ? env[CONFIG]! : origin
  const text = origin === CONFIG ? env[CONFIG]! : readFileSync(origin, 'utf8')
  return checkedJson({ ...JSON.parse(text.replace(/^\uFEFF/, '')), ...given }, `the options with ${origin}`)
}

/** Each option is right, but they may not go together. Throws `UsageError`. */
function checkedJson(all: Readonly<Record<string, unknown>>, origin: string): string {
  if (all.rules !== undefined && all.accesses === undefined) throw new UsageError(RULES_NEED_ACCESSES)
  ofFlag(origin, () => parseConfig(all, 'together'))
  // The variable would replace the converters of the options.
  if (all.converters !== undefined) delete process.env[CONVERTER_VARIABLE]
  return JSON.stringify(all)
}

/** As `findConfig`. If there is no configuration at all, the error also names the options. */
function found(env: NodeJS.ProcessEnv): ReturnType<typeof findConfig> {
  try {
    return findConfig(env)
  } catch (error) {
    if (error instanceof Error && env[CONFIG] === undefined && !hasDefaultFile())
      error.message += '; name a file with --config, or give options: atsss run --help'
    throw error
  }
}

/** Becomes the command: signals, its exit status and its end are its own. Where there is no addon, the command is a child. */
async function runWith(command: string, args: string[], config: string): Promise<number> {
  // --require instead of --import, which does not reach worker threads made from a string (`eval: true`).
  const register = fileURLToPath(new URL('../preload/require.cjs', import.meta.url)).replace(/["\\]/g, '\\$&')
  process.env.NODE_OPTIONS = [process.env.NODE_OPTIONS, `--require="${register}"`].filter(Boolean).join(' ')
  process.env[CONFIG] = config
  try {
    addon()?.execute(command, [command, ...args])
    return await spawned(command, args)
  } catch (error) {
    return notStarted(command, error as NodeJS.ErrnoException)
  }
}

function addon(): Addon | undefined {
  try {
    return native()
  } catch {
    return undefined // with `fallback: direct`, the command's connections are left to Node
  }
}

/** The statuses are those of shells: POSIX, Shell Command Language §2.8.2. */
function notStarted(command: string, { code, message }: NodeJS.ErrnoException): number {
  const isMissing = code === 'ENOENT' || code === 'ENOTDIR' || (code === 'EACCES' && !isInPath(command))
  const why = isMissing ? 'command not found' : `cannot be executed: ${message}`
  process.stderr.write(`atsss run: ${command}: ${why}\n`)
  return isMissing ? 127 : 126
}

/** execvp(3) also answers EACCES for a folder of PATH that the user may not search, as `su` leaves root's there. Shells do not. */
function isInPath(command: string): boolean {
  const folders = (process.env.PATH ?? '').split(delimiter)
  return command.includes('/') || folders.some(folder => existsSync(join(folder, command)))
}

/** @returns its exit status; 128 and the signal's number if a signal has ended it, as from a shell */
function spawned(command: string, args: string[]): Promise<number> {
  // Before the command starts, so that no signal leaves it running alone. Signals are handled in a later turn.
  const passing = passSignals(signal => child.kill(signal))
  const child = spawn(command, args, { stdio: 'inherit' })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => {
      passing.end()
      resolve(signal === null ? (code ?? 1) : 128 + constants.signals[signal])
    })
  })
}
