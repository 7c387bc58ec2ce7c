/**
 * The link emulator, one of our own programs, as a child process that takes commands and answers them.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { AtsssError } from '../errors.js'

interface Answer {
  id: number
  value?: unknown
  error?: string
  errno?: number
  /** The file that could not be opened. */
  path?: string
}

const EPERM = 1
const EACCES = 13
const ENOENT = 2

export class Emulator {
  readonly path = emulatorPath()
  readonly #exited: Promise<void>
  readonly #child: ChildProcessWithoutNullStreams
  readonly #waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>()
  #lastId = 0
  #complaints = ''
  #killed = false

  constructor() {
    this.#child = spawn(this.path)
    this.#exited = new Promise(resolve => this.#child.once('close', resolve))
    this.#child.on('error', error => this.#failAll(error.message))
    this.#child.on('close', (code, signal) => this.#failAll(`it ended (${signal ?? code}) ${this.#complaints}`))
    this.#child.stdin.on('error', () => {}) // 'close' reports it
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#complaints = (this.#complaints + text).slice(-1000)
    })
    createInterface(this.#child.stdout).on('line', line => this.#take(JSON.parse(line) as Answer))
    this.#child.unref()
    this.#hold(false)
  }

  /** Sends a command. @returns the value of its answer */
  command(words: string): Promise<unknown> {
    if (words.includes('\n'))
      return Promise.reject(new AtsssError('ERR_ATSSS_OPTION', 'a line break in a name or value'))
    if (this.#child.exitCode !== null || this.#child.signalCode !== null)
      return Promise.reject(failure(words, 'it has ended'))
    const id = ++this.#lastId
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject: cause => reject(failure(words, cause.message, cause)) })
      this.#hold(true)
      this.#child.stdin.write(`${id} ${words}\n`)
    })
  }

  kill(): Promise<void> {
    // 'close' follows the ends of the streams: while it is awaited, they have to keep this process alive, too.
    this.#killed = true
    this.#hold(true)
    this.#child.ref()
    this.#child.kill('SIGKILL')
    return this.#exited
  }

  #take(answer: Answer): void {
    const waiting = this.#waiting.get(answer.id)
    this.#waiting.delete(answer.id)
    if (this.#waiting.size === 0 && !this.#killed) this.#hold(false)
    if (answer.error === undefined) waiting?.resolve(answer.value)
    else waiting?.reject(Object.assign(new Error(answer.error), { errno: answer.errno, path: answer.path }))
  }

  #failAll(reason: string): void {
    for (const { reject } of this.#waiting.values()) reject(new Error(reason))
    this.#waiting.clear()
  }

  /** An answer that is awaited keeps this process alive; an open lab does not. */
  #hold(on: boolean): void {
    for (const stream of [this.#child.stdin, this.#child.stdout, this.#child.stderr]) {
      const handle = stream as unknown as { ref(): void; unref(): void }
      if (on) handle.ref()
      else handle.unref()
    }
  }
}

function failure(words: string, reason: string, cause?: Error): AtsssError {
  const { errno, path } = (cause ?? {}) as NodeJS.ErrnoException
  const tun = path === '/dev/net/tun'
  const forbidden = (errno === EPERM || errno === EACCES) && !words.startsWith('sysctl')
  if (forbidden || (tun && errno === ENOENT)) {
    const remedy = tun
      ? 'it must exist (modprobe tun) and be open to you (root, or chmod 666 /dev/net/tun)'
      : 'the lab needs root, or to be run under "unshare -Urnm"'
    return new AtsssError('ERR_LAB_PRIVILEGE', `${reason}: ${remedy}`, { cause })
  }
  return new AtsssError('ERR_LAB_FAILED', `the link emulator failed at "${words}": ${reason}`, { cause })
}

/** The emulator: named by ATSSS_LINK_EMULATOR, built in this checkout, or the package's prebuilt binary. */
function emulatorPath(): string {
  const root = new URL('../../', import.meta.url)
  const named = process.env.ATSSS_LINK_EMULATOR
  const candidates = [
    ...(named ? [named] : []),
    fileURLToPath(new URL('build/Release/link-emulator', root)),
    // Linked statically: one for every C library.
    fileURLToPath(new URL(`prebuilds/linux-${process.arch}/link-emulator`, root)),
  ]
  const path = candidates.find(candidate => existsSync(candidate))
  if (path !== undefined) return path
  throw new AtsssError(
    'ERR_LAB_FAILED',
    'there is no link emulator; "npm run build:native" builds it, or name one in ATSSS_LINK_EMULATOR\n' +
      candidates.map(candidate => `  not at ${candidate}`).join('\n'),
  )
}
