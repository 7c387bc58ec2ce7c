/**
 * The device of the soak: `ue.ts JSON`, a `Task`. Each library is used again and again, until a line `stop` comes; at `rest` all
 * clients are closed, and what the process holds then is counted. Prints a `Line` of JSON for each exchange.
 */
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { seeded } from '../../test/support/random.js'
import { MaPduSession, native } from '../shipped.js'
import { hashOf, type Receipt } from './content.js'
import { type Client, type Exchange, LIBRARIES, type Place, stream } from './libraries.js'
import { openFiles } from './open-files.js'
import { Pauses } from './pauses.js'
import type { Held, Line, Task } from './tasks.js'

/** A client is closed after this many exchanges, and another one made. */
const LIFE = 12
/** How long a library may take to close, and then the kernel. */
const CLOSE_MS = 5_000
const SETTLE_MS = 20_000

const task = JSON.parse(process.argv[2]!) as Task
const say = (line: Line) => void process.stdout.write(`${JSON.stringify(line)}\n`)

const pauses = new Pauses()
const session = new MaPduSession(task.session)
session.on('degraded', event => say({ event: 'degraded', message: `${event.what}: ${event.message}` }))
session.on('problem', ({ message }) => say({ event: 'degraded', message }))
const level = await session.ready
const place: Place = { session, host: task.host, patience: task.patience }
let seeds = task.seed * 1_000_000

say({ event: 'ready', level, held: await held() })
let rest = new AbortController()
let working = work()

createInterface(process.stdin).on('line', async command => {
  rest.abort()
  await working
  say({ event: 'held', ...(await held()) })
  if (command === 'stop') {
    await session.close()
    return void process.stdout.write('', () => process.exit())
  }
  rest = new AbortController()
  working = work()
})

async function work(): Promise<void> {
  await Promise.all(task.libraries.map((library, index) => use(library, seeded(++seeds * 31 + index), rest.signal)))
}

async function use(library: string, random: () => number, resting: AbortSignal): Promise<void> {
  while (!resting.aborted) {
    if (library === 'stream') {
      await exchange(library, 'both', random, async up => bothWays(up, { ...up, ...next(random) }))
      continue
    }
    let client: Client | undefined
    const began = Date.now()
    try {
      client = await LIBRARIES[library]!(place)
    } catch (error) {
      say({ event: 'lost', library, what: 'connect', at: Date.now(), ms: Date.now() - began, ...described(error) })
      await delay(500)
      continue
    }
    const { echo } = client
    let failed = false
    const again = async () => {
      for (let left = LIFE; left > 0 && !resting.aborted && !failed; left--) {
        const way = random() < 0.5 ? 'down' : 'up'
        const carry = echo ?? client[way]!
        if (!(await exchange(library, echo ? 'echo' : way, random, carry))) failed = true
      }
    }
    await Promise.all(Array.from({ length: echo ? 1 : task.parallel }, again))
    await Promise.race([client.close(), delay(CLOSE_MS)])
  }
}

function next(random: () => number): { seed: number; bytes: number } {
  return { seed: ++seeds, bytes: task.sizes[Math.floor(random() * task.sizes.length)]! }
}

/** @returns whether it has come to its end */
async function exchange(
  library: string,
  what: 'up' | 'down' | 'echo' | 'both',
  random: () => number,
  carry: (exchange: Exchange) => Promise<Receipt>,
): Promise<boolean> {
  const content = next(random)
  if (what === 'echo') content.bytes = Math.min(content.bytes, 1_000_000)
  const stuck = new AbortController()
  const began = Date.now()
  let pieces = 0
  let timer: NodeJS.Timeout | undefined
  const progress = () => {
    pieces++
    clearTimeout(timer)
    timer = setTimeout(() => stuck.abort(new Stuck(session.stats().connections)), task.patience)
  }
  progress()
  const end = () => ({ library, what, bytes: content.bytes, at: Date.now(), ms: Date.now() - began })
  try {
    const aborted = new Promise<never>((_, reject) =>
      stuck.signal.addEventListener('abort', () => setTimeout(() => reject(stuck.signal.reason), 1_000)),
    )
    aborted.catch(() => {})
    const receipt = await Promise.race([carry({ ...content, signal: stuck.signal, progress }), aborted])
    if (what !== 'both') compare(receipt, content)
    const { bytes, gapMs, gapEndedAt } = receipt
    const pausedMs = pauses.between(gapEndedAt - gapMs, gapEndedAt)
    say({ event: 'done', ...end(), bytes, gapMs, gapEndedAt, pausedMs })
    return true
  } catch (error) {
    const cause = stuck.signal.aborted ? stuck.signal.reason : error
    say({ event: 'lost', ...end(), pieces, ...described(cause) })
    return false
  } finally {
    clearTimeout(timer)
  }
}

class Stuck extends Error {
  readonly code = 'STUCK'

  constructor(connections: readonly object[]) {
    super(`nothing moved for ${task.patience} ms`)
    this.stack = JSON.stringify(connections, (name, value) => (name === 'socket' ? undefined : value))
  }
}

function described(error: unknown) {
  const { code, message, stack, cause } = error as NodeJS.ErrnoException & { cause?: NodeJS.ErrnoException }
  return {
    code: code ?? cause?.code ?? 'none',
    message: `${message}${cause ? ` (${cause.message})` : ''}`,
    stack: stack ?? '',
  }
}

/** A stream of the session itself. @returns the bytes of both ways, and the longer gap of the two */
async function bothWays(up: Exchange, down: Exchange): Promise<Receipt> {
  const [sent, received] = await stream(place, up, down)
  compare(sent, up)
  compare(received, down)
  return { ...(sent.gapMs > received.gapMs ? sent : received), bytes: sent.bytes + received.bytes }
}

/** Throws if the end that received has not all that was sent, and nothing else. */
function compare({ bytes, sha256 }: Receipt, content: { seed: number; bytes: number }): void {
  if (bytes === content.bytes && sha256 === hashOf(content.seed, content.bytes)) return
  throw Object.assign(new Error(`${bytes} of ${content.bytes} bytes arrived, with the hash ${sha256}`), {
    code: 'WRONG_BYTES',
  })
}

/** What the process holds once everything is closed. */
async function held(): Promise<Held> {
  const { gc } = globalThis as { gc?: () => void }
  const count = () => ({
    ...openFiles('self'),
    ...native().counts(),
    timers: process.getActiveResourcesInfo().filter(kind => kind === 'Timeout').length,
    connections: session.stats().connections.length,
  })
  let now = count()
  for (const end = Date.now() + SETTLE_MS; Date.now() < end && now.connections > 0; now = count()) await delay(50)
  await delay(1_000)
  for (const { host, port } of session.stats().connections)
    say({ event: 'degraded', message: `the connection to ${host}:${port} is still open` })
  gc?.()
  gc?.()
  const { heapUsed, external, rss } = process.memoryUsage()
  return { ...count(), heapBytes: heapUsed + external, rssBytes: rss }
}
