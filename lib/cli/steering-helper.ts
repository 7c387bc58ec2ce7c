/** `atsss helper`: the privileged service that steers other programs' connections, and its installation. */
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { AtsssError } from '../errors.js'
import { native, nativeFile } from '../runtime/kernel/native.js'
import { HELPER_SOCKET } from '../runtime/network/steering-helper.js'
import { type OptionTable, optionLines, parseArguments, UsageError } from './arguments.js'
import { installation, type Step } from './steering-helper/installation.js'

const OF_THE_SERVICE = {
  'allow-interface': {
    type: 'string',
    multiple: true,
    value: 'NAME',
    help: 'an interface that subflows may use',
    unset: 'all',
  },
  clients: { type: 'string', value: 'N', help: 'how many connections to the helper a user may have', unset: 16 },
  sockets: { type: 'string', value: 'N', help: 'of how many connections a user may receive events', unset: 4096 },
  requests: {
    type: 'string',
    value: 'N',
    help: 'how many requests a user may make in a second in the long run; more of them wait',
    unset: 2000,
  },
} as const satisfies OptionTable

const OPTIONS = {
  socket: { type: 'string', value: 'PATH', help: 'without systemd: where to listen', unset: HELPER_SOCKET },
  group: { type: 'string', value: 'NAME', help: 'without systemd: whose members may use it', unset: "root's" },
  ...OF_THE_SERVICE,
  user: {
    type: 'string',
    multiple: true,
    value: 'NAME',
    help: 'install: a user to put into the group atsss',
    unset: 'the user who called sudo',
  },
  yes: { type: 'boolean', help: 'install: do it' },
} as const satisfies OptionTable

export const help = `Usage: atsss helper [options]
       atsss helper install [--yes] [options]

Steers the live connections of programs that have no CAP_NET_ADMIN: a small service that has it changes the subflows of
the sockets that they show it, and of no others. "install" prints what it would do; with --yes it does it: the program,
the group atsss, the sysctls, and units for systemd. Members of the group need no privilege from then on.

Without "install" it runs in the foreground, as root: for systems without systemd, and for trying it out.

${optionLines(OPTIONS)}

Exit status: 0 done, or only printed; 1 something failed, 2 wrong command line.

Examples:
  atsss helper install
  sudo atsss helper install --yes
  sudo atsss helper install --yes --user alice --allow-interface wlan0 --allow-interface wwan0
  sudo atsss helper --socket /run/atsss/helper.sock --group atsss
`

export async function run(args: string[]): Promise<number> {
  const { values, positionals } = parseArguments(args, OPTIONS, true)
  const [verb, ...rest] = positionals
  if (rest.length > 0 || (verb !== undefined && verb !== 'install'))
    throw new UsageError(`unknown word: ${rest[0] ?? verb}; there is "install"`)
  const service = Object.keys(OF_THE_SERVICE).flatMap(name => {
    const given = values[name as keyof typeof OF_THE_SERVICE]
    return given === undefined ? [] : [given].flat().flatMap(value => [`--${name}`, checked(name, value)])
  })
  if (verb === undefined) {
    refuse(values, ['user', 'yes'], 'belongs to "install"')
    const group = values.group === undefined ? [] : ['--group', values.group]
    const program = helperFile()
    native().execute(program, [program, '--socket', values.socket ?? HELPER_SOCKET, ...group, ...service])
  }
  refuse(values, ['socket', 'group'], 'has no effect with "install": systemd has the socket')
  const caller = process.env.SUDO_USER
  const users = values.user ?? (caller === undefined || caller === 'root' ? [] : [caller])
  return install(installation(helperFile(), service, users), values.yes ?? false)
}

/** The program is beside the addon. */
function helperFile(): string {
  const path = join(dirname(nativeFile()), 'atsss-helper')
  if (!existsSync(path))
    throw new AtsssError(
      'ERR_ATSSS_ADDON',
      `The steering helper's program, ${path}, is missing: build it with "npm rebuild atsss" (in a checkout: npm install)`,
    )
  return path
}

function checked(name: string, value: string): string {
  const isRight = name === 'allow-interface' ? /^[^\s/'"\\$%]{1,15}$/.test(value) : /^[1-9]\d{0,5}$/.test(value)
  if (isRight) return value
  throw new UsageError(
    `--${name} needs ${name === 'allow-interface' ? "an interface's name" : 'a number from 1 to 999999'}, not ${value}`,
  )
}

function refuse(values: object, names: readonly string[], why: string): void {
  for (const name of names) if (name in values) throw new UsageError(`--${name} ${why}`)
}

async function install(steps: readonly Step[], yes: boolean): Promise<number> {
  if (yes && process.geteuid?.() !== 0) {
    process.stderr.write('atsss helper: the installation needs root: sudo npx atsss helper install --yes\n')
    return 1
  }
  for (const { what, command, contents, act } of steps) {
    process.stdout.write(`# ${what}\n${command}\n${contents === undefined ? '' : indented(contents)}`)
    if (!yes) continue
    try {
      act()
    } catch (error) {
      process.stdout.write(`failed: ${(error as Error).message}\n`)
      return 1
    }
  }
  process.stdout.write(
    yes
      ? 'Installed. Who was put into the group atsss has to log in again. "atsss doctor" as that user checks it.\n'
      : 'Nothing was changed. To do this: sudo atsss helper install --yes\n',
  )
  return 0
}

function indented(text: string): string {
  return text.replace(/^(?=.)/gm, '  ')
}
