/**
 * A host of the lab: a network namespace, and the programs that run in it.
 */
import {
  type ChildProcess,
  type ChildProcessWithoutNullStreams,
  type SpawnOptions,
  type SpawnOptionsWithoutStdio,
  spawn,
} from 'node:child_process'
import { AtsssError } from '../errors.js'
import type { Emulator } from './emulator.js'

/** An address in both families; `v6` is missing where the lab or the system has no IPv6. */
export interface Address {
  v4: string
  v6?: string
}

export interface RunOptions {
  /** What the program reads on its standard input. */
  input?: string
  /** Killed after this many milliseconds. 0: never. @defaultValue 30_000 */
  timeoutMs?: number
  env?: NodeJS.ProcessEnv
}

export interface RunResult {
  stdout: string
  stderr: string
  /** The exit code; null if a signal ended the program. */
  code: number | null
}

export interface Namespace {
  /** The name for `ip netns`. */
  readonly name: string
  /** By interface. */
  readonly addresses: Readonly<Record<string, Address>>
  /** Starts a program in it, with the privileges of this process. It ends with the lab, or with this process. */
  spawn(command: string, args?: readonly string[], options?: SpawnOptionsWithoutStdio): ChildProcessWithoutNullStreams
  spawn(command: string, args: readonly string[], options: SpawnOptions): ChildProcess
  /** Runs a program in it to its end, whatever its exit code. */
  run(command: string, args?: readonly string[], options?: RunOptions): Promise<RunResult>
  /** Reads a setting `net.…`; with a value, writes it first. */
  sysctl(name: string, value?: string | number): Promise<string>
}

export class NetworkNamespace implements Namespace {
  readonly name: string
  readonly addresses: Record<string, Address> = {}
  readonly #emulator: Emulator
  readonly #children: Set<ChildProcess>

  /** @param children the set of running programs, which end with the lab */
  constructor(name: string, emulator: Emulator, children: Set<ChildProcess>) {
    this.name = name
    this.#emulator = emulator
    this.#children = children
  }

  spawn(command: string, args?: readonly string[], options?: SpawnOptionsWithoutStdio): ChildProcessWithoutNullStreams
  spawn(command: string, args: readonly string[], options: SpawnOptions): ChildProcess
  spawn(command: string, args: readonly string[] = [], options: SpawnOptions = {}): ChildProcess {
    // `ip` becomes the emulator, and that becomes the program: one process, killed by the kernel when this one dies.
    const tied = [this.#emulator.path, 'tie', String(process.pid), command, ...args]
    const child = spawn('ip', ['netns', 'exec', this.name, ...tied], options)
    this.#children.add(child)
    const forget = () => this.#children.delete(child)
    child.once('exit', forget).once('error', forget)
    return child
  }

  run(command: string, args: readonly string[] = [], options: RunOptions = {}): Promise<RunResult> {
    const { input = '', timeoutMs = 30_000, env = process.env } = options
    const child = this.spawn(command, args, { timeout: timeoutMs, killSignal: 'SIGKILL', env })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    child.stdin.on('error', () => {}) // the program need not read it
    child.stdin.end(input)
    return new Promise((resolve, reject) => {
      child.once('error', reject)
      child.once('close', code => resolve({ stdout, stderr, code }))
    })
  }

  async sysctl(name: string, value?: string | number): Promise<string> {
    if (!/^net(\.[\w-]+)+$/.test(name))
      throw new AtsssError(
        'ERR_ATSSS_OPTION',
        `"${name}" is not a setting of the network: its name must begin with "net."`,
      )
    return (await this.#emulator.command(`sysctl ${this.name} ${name} ${value ?? ''}`)) as string
  }
}
