/** The live table in a terminal: draws, takes keys, and lets the user choose among several sessions. */
import type { WatchEvent } from '../../runtime/watch/messages.js'
import { coloursFor } from '../terminal.js'
import { WatchClient } from './client.js'
import { type History, NO_HISTORY, next } from './history.js'
import { nameInWords, type Session } from './sessions.js'
import { cut, table } from './table.js'
import { afterKey, FIRST_STATE, keysIn, keysInWords } from './table-state.js'

/** The most events that are kept. */
const REMEMBERED = 200

/** q, Ctrl-C and Ctrl-D: a terminal in raw mode passes them on. */
const QUIT = ['q', '\u0003', '\u0004']

/** How the view of a session ends: by the user, by the session, or for another session. */
type Outcome = 'quit' | 'ended' | number

/** @param prepare called with each session that is shown. @returns the exit status */
export async function showLive(
  sessions: readonly Session[],
  prepare: (client: WatchClient) => Promise<void>,
): Promise<number> {
  let last: string[] = []
  using screen = new Screen()
  let chosen: Outcome = sessions.length === 1 ? 0 : await choose(screen, sessions)
  while (typeof chosen === 'number') {
    const client = await WatchClient.open(sessions[chosen]!.path)
    try {
      await prepare(client)
      const watched = await watch(screen, client, sessions.length)
      last = watched.picture
      chosen = watched.outcome
    } finally {
      client.close()
    }
  }
  if (chosen === 'quit') return 0
  screen[Symbol.dispose]()
  process.stdout.write(`${last.join('\n')}\n`)
  process.stderr.write('atsss watch: the session has ended; this was its last state\n')
  return 1
}

/** A list of the sessions; a digit chooses one. */
async function choose(screen: Screen, sessions: readonly Session[]): Promise<'quit' | number> {
  const { colours } = screen
  const draw = () =>
    screen.draw([
      colours.strong('Several sessions can be watched:'),
      '',
      ...sessions
        .slice(0, 9)
        .map((session, index) => `  ${colours.strong(String(index + 1))}  ${nameInWords(session)}`),
      ...(sessions.length > 9
        ? [
            colours.faint(
              `  and ${sessions.length - 9} more: name one of them, such as atsss watch ${sessions[9]!.hello.pid}`,
            ),
          ]
        : []),
      '',
      colours.faint(`1–${Math.min(9, sessions.length)} shows one  q ends`),
    ])
  draw()
  return screen.until<'quit' | number>(draw, key => chosenBy(key, sessions.length))
}

async function watch(
  screen: Screen,
  client: WatchClient,
  sessions: number,
): Promise<{ outcome: Outcome; picture: string[] }> {
  let history: History = NO_HISTORY
  let state = FIRST_STATE
  let picture: string[] = []
  const happenings: WatchEvent[] = []
  const draw = () => {
    const { width, height, colours } = screen
    picture = table({ hello: client.hello, history, happenings, colours, width, height: height - 1, state })
    screen.draw([...picture, colours.faint(keysInWords(state, sessions))])
  }
  client.on('snapshot', snapshot => {
    if (state.isPaused) return
    history = next(history, snapshot)
    draw()
  })
  client.on('event', happening => {
    happenings.push(happening)
    happenings.splice(0, happenings.length - REMEMBERED)
  })
  const take = (key: string) => {
    const other = chosenBy(key, sessions)
    if (other !== undefined) return other
    state = afterKey(state, key, history.last?.connections.length ?? 0)
    draw()
    return undefined
  }
  draw()
  const ended = client.ended.then((): Outcome => 'ended')
  return { outcome: await Promise.race([screen.until<Outcome>(draw, take), ended]), picture }
}

function chosenBy(key: string, sessions: number): 'quit' | number | undefined {
  if (QUIT.includes(key)) return 'quit'
  const index = Number(key) - 1
  return sessions > 1 && /^[1-9]$/.test(key) && index < sessions ? index : undefined
}

/** The alternate screen of the terminal, without a cursor; the old content comes back at the end. */
class Screen implements Disposable {
  readonly colours = coloursFor(process.stdout)
  readonly #leave = () => void process.stdout.write('\x1b[?25h\x1b[?1049l')
  #take: (key: string) => void = () => {}
  #redraw: () => void = () => {}
  #isOpen = true
  readonly #input = (keys: Buffer) => {
    for (const key of keysIn(keys.toString())) this.#take(key)
  }
  readonly #resized = () => this.#redraw()
  readonly #interrupted = () => this.#take('q')

  constructor() {
    const { stdout, stdin } = process
    stdout.write('\x1b[?1049h\x1b[?25l')
    process.once('exit', this.#leave)
    stdout.on('resize', this.#resized)
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, this.#interrupted)
    if (stdin.isTTY) stdin.setRawMode(true)
    stdin.on('data', this.#input)
  }

  get width(): number {
    return process.stdout.columns
  }

  get height(): number {
    return process.stdout.rows
  }

  draw(lines: readonly string[]): void {
    const fitting = lines.slice(0, this.height).map(line => `${cut(line, this.width)}\x1b[K`)
    process.stdout.write(`\x1b[H${fitting.join('\n')}\x1b[J`)
  }

  /** Resolves with the first answer of `take` to a key. */
  until<T>(redraw: () => void, take: (key: string) => T | undefined): Promise<T> {
    this.#redraw = redraw
    return new Promise(resolve => {
      this.#take = key => {
        const answer = take(key)
        if (answer !== undefined) resolve(answer)
      }
    })
  }

  [Symbol.dispose](): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    const { stdout, stdin } = process
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, this.#interrupted)
    stdin.off('data', this.#input)
    if (stdin.isTTY) stdin.setRawMode(false)
    stdin.pause()
    stdout.off('resize', this.#resized)
    process.off('exit', this.#leave)
    this.#leave()
  }
}
