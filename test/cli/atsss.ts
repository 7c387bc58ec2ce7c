/** `atsss` as a child process, from the sources. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { afterEach } from 'vitest'
import { compiled } from '../support/compiled.js'

export interface Ended {
  status: number | null
  stdout: string
  stderr: string
}

export interface Started extends Ended {
  child: ChildProcessWithoutNullStreams
  /** Once all has been said; `status` is known then. */
  ended: Promise<Ended>
}

const running = new Set<ChildProcessWithoutNullStreams>()

afterEach(() => {
  for (const child of running) child.kill('SIGKILL')
})

/** What starts it: for tests that start it elsewhere. */
export const PROGRAM = [process.execPath, compiled('lib/cli/main.ts')] as const

export function start(args: string[], env: NodeJS.ProcessEnv = {}, program: readonly string[] = PROGRAM): Started {
  const [command, ...own] = program
  const child = spawn(command!, [...own, ...args], { env: { ...process.env, ...env } })
  running.add(child)
  const said: Ended = { status: null, stdout: '', stderr: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said.stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said.stderr += text))
  child.stdin.on('error', () => {}) // it need not read
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', code => {
      running.delete(child)
      said.status = code
      resolve(said)
    })
  })
  return Object.assign(said, { child, ended })
}

/** To its end. */
export function atsss(args: string[], input: string | Uint8Array = '', env: NodeJS.ProcessEnv = {}): Promise<Ended> {
  const { child, ended } = start(args, env)
  child.stdin.end(input)
  return ended
}
