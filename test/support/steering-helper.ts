/** A steering helper in a namespace of a lab, and the users who ask it. */
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The program, beside the addon that is tested. */
export const helperProgram =
  process.env.ATSSS_HELPER || fileURLToPath(new URL('../../build/Release/atsss-helper', import.meta.url))

/** Of the group whose members may use it: some number that no group has. */
export const HELPER_GROUP = 61_234

/** A wrapper to run a command as an ordinary user. @param inGroup whether the helper's socket is open to it */
export function asUser(uid: number, inGroup = true): string[] {
  const groups = inGroup ? [`--groups=${HELPER_GROUP}`] : ['--clear-groups']
  return ['setpriv', `--reuid=${uid}`, `--regid=${uid}`, ...groups, '--inh-caps=-all', '--bounding-set=-all']
}

/** Where programs can be started: a namespace of a lab, for example. */
interface Host {
  spawn(command: string, args: string[]): ChildProcessWithoutNullStreams
}

export class RunningHelper {
  readonly path: string
  readonly #folder: string
  readonly #host: Host
  readonly #options: readonly string[]
  #child: ChildProcessWithoutNullStreams | undefined
  /** What it has said. */
  log = ''

  private constructor(host: Host, options: readonly string[]) {
    this.#host = host
    this.#options = options
    this.#folder = mkdtempSync(join(tmpdir(), 'atsss-helper-'))
    this.path = join(this.#folder, 'helper.sock')
  }

  static async start(host: Host, ...options: string[]): Promise<RunningHelper> {
    const helper = new RunningHelper(host, options)
    await helper.again()
    return helper
  }

  get pid(): number {
    return this.#child!.pid!
  }

  /** Resolves when it listens. */
  async again(): Promise<void> {
    const child = this.#host.spawn('sh', [
      '-c',
      `chmod 755 ${this.#folder}; exec "$0" "$@"`,
      ...[helperProgram, '--socket', this.path, '--group', String(HELPER_GROUP), ...this.#options],
    ])
    this.#child = child
    await new Promise<void>((resolve, reject) => {
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        this.log += text
        if (this.log.includes('ready')) resolve()
      })
      child.once('close', code => reject(new Error(`the helper has ended with ${code}: ${this.log}`)))
    })
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#child!
    const ended = new Promise(resolve => child.once('exit', resolve))
    child.kill(signal)
    if (child.exitCode === null && child.signalCode === null) await ended
  }

  async stop(): Promise<void> {
    await this.kill()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
