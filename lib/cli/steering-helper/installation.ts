/** What `atsss helper install` does, step by step. */
import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { packageFolder } from '../../runtime/kernel/package-files.js'

export interface Step {
  what: string
  /** As typed in a shell. */
  command: string
  /** Of a file that is written. */
  contents?: string
  /** Throws what went wrong, in words. */
  act(): void
}

/** Outside of the package: its folder may be writable for an ordinary user. */
const PROGRAM = '/usr/local/lib/atsss/atsss-helper'
const GROUP = 'atsss'
const UNITS = '/etc/systemd/system'

/**
 * @param program as it was built
 * @param options of the service's command line
 * @param users who may use it
 * @param system the folder under which everything is written
 */
export function installation(
  program: string,
  options: readonly string[],
  users: readonly string[],
  system = '',
): readonly Step[] {
  const service = template('atsss-helper.service').replace(/^ExecStart=.*$/m, line => [line, ...options].join(' '))
  return [
    {
      what: 'the program, where only root can change it',
      command: `install -D -m 755 ${program} ${system}${PROGRAM}`,
      act: () => copyProgram(program, `${system}${PROGRAM}`),
    },
    file(`${system}/etc/sysusers.d/atsss-helper.conf`, 'the group of those who may use it', template('sysusers.conf')),
    ...(existsSync('/usr/bin/systemd-sysusers') || existsSync('/bin/systemd-sysusers')
      ? [run('makes the group', 'systemd-sysusers', 'atsss-helper.conf')]
      : [run('makes the group', 'groupadd', '--system', '--force', GROUP)]),
    ...users.map(user => run(`${user} may use it, after the next login`, 'usermod', '-aG', GROUP, user)),
    file(`${system}/etc/sysctl.d/60-atsss-helper.conf`, 'at each boot', template('sysctl.conf')),
    run('and now', 'sysctl', '-q', '-p', `${system}/etc/sysctl.d/60-atsss-helper.conf`),
    file(`${system}${UNITS}/atsss-helper.socket`, 'the socket', template('atsss-helper.socket')),
    file(`${system}${UNITS}/atsss-helper.service`, 'the service, which starts with its first client', service),
    run('reads the units', 'systemctl', 'daemon-reload'),
    run('listens, now and after each boot', 'systemctl', 'enable', '--now', 'atsss-helper.socket'),
    run('a helper that runs already: the new program', 'systemctl', 'try-restart', 'atsss-helper.service'),
  ]
}

function template(name: string): string {
  return readFileSync(new URL(`native/helper/system/${name}`, packageFolder()), 'utf8')
}

/** A program that is running cannot be written over, but replaced. */
function copyProgram(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true, mode: 0o755 })
  copyFileSync(from, `${to}.new`)
  chmodSync(`${to}.new`, 0o755)
  renameSync(`${to}.new`, to)
}

function file(path: string, what: string, contents: string): Step {
  const act = () => {
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, contents, { mode: 0o644 })
  }
  return { what: `${path}: ${what}`, command: `cat > ${path}`, contents, act }
}

function run(what: string, program: string, ...args: string[]): Step {
  const act = () => {
    const { status, stderr, error } = spawnSync(program, args, { encoding: 'utf8' })
    if (error) throw error
    if (status !== 0) throw new Error(`${[program, ...args].join(' ')}: ${stderr.trim() || `status ${status}`}`)
  }
  return { what, command: [program, ...args].join(' '), act }
}
