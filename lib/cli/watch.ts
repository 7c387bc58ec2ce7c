/** `atsss watch`: a session of a running process, live. */
import { AtsssError } from '../errors.js'
import type { Happening, Snapshot } from '../runtime/watch/messages.js'
import { parseArguments, UsageError, wholeNumber } from './arguments.js'
import { coloursFor } from './terminal.js'
import { findSocket, WatchClient } from './watch/client.js'
import { type History, NO_HISTORY, next } from './watch/history.js'
import { table } from './watch/table.js'

export const help = `Usage: atsss watch [options] [PID | SOCKET]

Shows the accesses, rules, connections and subflows of a running process whose session was made with "watch: true", and
what happens to them. Without PID or SOCKET, the only one there is. The terminal shows only; the page can also replace
the rules, where the session lets it ("control: true").

Options:                                                                       default
  --every MILLISECONDS    how often, 50…60000                                  250
  --once                  one picture, and the end; so it is without a terminal
  --json                  each message as a line of JSON
  --web                   a page with charts, on a loopback address, instead
  --port NUMBER           of the page                                          any
  -h, --help

Keys: q ends it.

Exit status: 0 it was ended, or --once; 1 there is no such session, or it has gone; 2 wrong command line.

Examples:
  atsss watch
  atsss watch --web 4711
  atsss watch --json --every 1000 | jq .accesses
`

export async function run(args: string[]): Promise<number> {
  const { values, positionals } = parseArguments(
    args,
    {
      every: { type: 'string' },
      once: { type: 'boolean' },
      json: { type: 'boolean' },
      web: { type: 'boolean' },
      port: { type: 'string' },
    },
    true,
  )
  if (positionals.length > 1) throw new UsageError(`one session at a time; what is '${positionals[1]}'?`)
  if (values.port !== undefined && !values.web) throw new UsageError('--port is for --web')
  const port = values.port === undefined ? 0 : wholeNumber('port', values.port)
  if (port > 65_535) throw new UsageError('--port must be at most 65535')
  const client = await WatchClient.open(findSocket(positionals[0]))
  try {
    if (values.every !== undefined)
      await client.ask({ do: 'every', milliseconds: wholeNumber('every', values.every) }).catch((error: Error) => {
        throw new UsageError(`--every: ${error.message}`)
      })
    if (values.web) return await showPage(client, port)
    if (values.json) return await printMessages(client, values.once === true)
    return values.once || !process.stdout.isTTY ? await printOnce(client) : await showLive(client)
  } finally {
    client.close()
  }
}

async function showPage(client: WatchClient, port: number): Promise<number> {
  const { startPage } = await import('./watch/page-server.js')
  const page = await startPage({ port })
  page.show(client)
  const end = Promise.race([interrupted(), ended(client)])
  process.stdout.write(`${page.url}\n`)
  process.stderr.write('Ctrl-C ends it\n')
  const gone = await end
  await page.close()
  return gone
}

async function printMessages(client: WatchClient, once: boolean): Promise<number> {
  const print = (message: object) => process.stdout.write(`${JSON.stringify(message)}\n`)
  print(client.hello)
  if (once) {
    print(await nextSnapshot(client))
    return 0
  }
  client.on('snapshot', print)
  client.on('event', print)
  return Promise.race([interrupted(), ended(client)])
}

/** After two snapshots: rates need both. */
async function printOnce(client: WatchClient): Promise<number> {
  let history: History = NO_HISTORY
  for (let i = 0; i < 2; i++) history = next(history, await nextSnapshot(client))
  const size = { width: process.stdout.columns ?? 200, height: 1000 }
  const view = { hello: client.hello, history, happenings: [], colours: coloursFor(process.stdout), ...size }
  process.stdout.write(`${table(view).join('\n').trimEnd()}\n`)
  return 0
}

/** Throws ERR_ATSSS_WATCH when the session goes before. */
function nextSnapshot(client: WatchClient): Promise<Snapshot> {
  const gone = client.ended.then((): never => {
    throw new AtsssError('ERR_ATSSS_WATCH', 'the session has gone')
  })
  return Promise.race([new Promise<Snapshot>(resolve => client.once('snapshot', resolve)), gone])
}

/** How many happenings are remembered. */
const REMEMBERED = 200

/** q, Ctrl-C and Ctrl-D, which a terminal in raw mode hands on. */
const QUIT = ['q', '\u0003', '\u0004']

async function showLive(client: WatchClient): Promise<number> {
  const { stdout, stdin } = process
  let history: History = NO_HISTORY
  const happenings: Happening[] = []
  const colours = coloursFor(stdout)
  const draw = () => {
    const { columns: width, rows } = stdout
    const hint = colours.faint('q ends it')
    const lines = table({ hello: client.hello, history, happenings, colours, width, height: rows - 1 })
    stdout.write(`\x1b[H${[...lines, hint].map(line => `${line}\x1b[K`).join('\n')}\x1b[J`)
  }
  client.on('snapshot', snapshot => {
    history = next(history, snapshot)
    draw()
  })
  client.on('event', happening => {
    happenings.push(happening)
    happenings.splice(0, happenings.length - REMEMBERED)
  })
  // The other screen, without a cursor: what was on this one is there again at the end.
  const leave = () => stdout.write('\x1b[?25h\x1b[?1049l')
  stdout.write('\x1b[?1049h\x1b[?25l')
  process.once('exit', leave)
  stdout.on('resize', draw)
  if (stdin.isTTY) stdin.setRawMode(true)
  const quit = new Promise<number>(resolve =>
    stdin.on('data', (keys: Buffer) => {
      if (QUIT.some(key => keys.includes(key))) resolve(0)
    }),
  )
  const status = await Promise.race([interrupted(), quit, ended(client)])
  if (stdin.isTTY) stdin.setRawMode(false)
  stdin.pause()
  stdout.off('resize', draw)
  process.off('exit', leave)
  leave()
  if (status !== 0) process.stderr.write('atsss watch: the session has gone\n')
  return status
}

function interrupted(): Promise<number> {
  return new Promise(resolve => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve(0))
  })
}

function ended(client: WatchClient): Promise<number> {
  return client.ended.then(() => 1)
}
