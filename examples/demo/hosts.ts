/** Starts the programs in the demo's hosts and exchanges messages with them. */
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Lab } from 'atsss/lab'

export const SERVER_PORT = 80
export const CONVERTER_PORT = 5124

type Host = 'ue' | 'converter' | 'server'

/** A program that writes lines of JSON, and reads them. */
export interface Program {
  /** Resolves with this property of the next line that has it. Other lines are passed to `onLine`. */
  answer<T>(property: string): Promise<T>
  send(command: object): void
  onLine: (line: Record<string, unknown>) => void
}

/** Starts a program. It is ready when it has written its first line, which is `ready`. */
export async function start(
  lab: Lab,
  host: Host,
  args: string[],
): Promise<Program & { ready: Record<string, unknown> }> {
  const child = lab[host].spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface(child.stdout!)
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`The program in the ${host} ended with ${code}`)
  })
  ended.catch(() => {}) // `answer` rejects too
  const waiting = new Map<string, (value: never) => void>()
  const program: Program = {
    onLine: () => {},
    answer: <T>(property: string) => Promise.race([new Promise<T>(resolve => waiting.set(property, resolve)), ended]),
    send: command => child.stdin!.write(`${JSON.stringify(command)}\n`),
  }
  const [first] = (await Promise.race([once(lines, 'line'), ended])) as [string]
  lines.on('line', text => {
    const line = JSON.parse(text)
    const property = [...waiting.keys()].find(name => name in line)
    if (property === undefined) return program.onLine(line)
    waiting.get(property)!(line[property] as never)
    waiting.delete(property)
  })
  return Object.assign(program, { ready: JSON.parse(first) })
}

/** The arguments with which `node` runs one of the demo's programs. */
export function program(name: string): string[] {
  return ['--import', 'tsx', fileURLToPath(new URL(name, import.meta.url))]
}

/** The arguments with which `node` runs the `atsss` command. */
export function command(...args: string[]): string[] {
  return [fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url)), ...args]
}
