/** `atsss watch`: shows a session of a running process, live. */
import { AtsssError } from '../errors.js'
import type { Snapshot, WatchEvent } from '../runtime/watch/messages.js'
import { EVERY } from '../runtime/watch/server.js'
import { type OptionTable, optionLines, parseArguments, UsageError, wholeNumber } from './arguments.js'
import { coloursFor } from './terminal.js'
import { WatchClient } from './watch/client.js'
import { type History, NO_HISTORY, next } from './watch/history.js'
import { findSocket } from './watch/sessions.js'
import { table } from './watch/table.js'

const OPTIONS = {
  every: {
    type: 'string',
    value: 'MILLISECONDS',
    help: `how often to update, ${EVERY.least}…${EVERY.most}`,
    unset: EVERY.usual,
  },
  once: { type: 'boolean', help: 'print one picture and end; the default without a terminal' },
  json: { type: 'boolean', help: 'print each message as a line of JSON' },
  web: { type: 'boolean', help: 'instead show a page with charts, on a loopback address' },
  port: { type: 'string', value: 'NUMBER', help: 'the port of the page', unset: 'any' },
} as const satisfies OptionTable

export const help = `Usage: atsss watch [options] [PID | SOCKET]

Shows the accesses, rules, connections and subflows of a running process, and what happens to them. The process must
have made its session with "watch: true". Without PID or SOCKET it shows the only session on this machine. The
terminal only shows; the page can also replace the rules, if the session has "watch: { control: true }".

${optionLines(OPTIONS)}

Press q to end.

Exit status: 0 ended by you, or --once; 1 no such session, or it has ended; 2 wrong command line.

Examples:
  atsss watch
  atsss watch --web 4711
  atsss watch --json --every 1000 | jq .accesses
`

export async function run(args: string[]): Promise<number> {
  const { values, positionals } = parseArguments(args, OPTIONS, true)
  if (positionals.length > 1) throw new UsageError(`expected one session, got also '${positionals[1]}'`)
  if (values.port !== undefined && !values.web) throw new UsageError('--port needs --web')
  const port = values.port === undefined ? 0 : wholeNumber('port', values.port)
  if (port > 65_535) throw new UsageError('--port must be at most 65535')
  const client = await WatchClient.open(await findSocket(positionals[0]))
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

/** Prints after the second snapshot, because rates need two. */
async function printOnce(client: WatchClient): Promise<number> {
  let history: History = NO_HISTORY
  for (let i = 0; i < 2; i++) history = next(history, await nextSnapshot(client))
  const size = { width: process.stdout.columns ?? 200, height: 1000 }
  const view = { hello: client.hello, history, happenings: [], colours: coloursFor(process.stdout), ...size }
  process.stdout.write(`${table(view).join('\n').trimEnd()}\n`)
  return 0
}

/** Throws ERR_ATSSS_WATCH if the session ends first. */
function nextSnapshot(client: WatchClient): Promise<Snapshot> {
  const gone = client.ended.then((): never => {
    throw new AtsssError('ERR_ATSSS_WATCH', 'the session has ended')
  })
  return Promise.race([new Promise<Snapshot>(resolve => client.once('snapshot', resolve)), gone])
}

/** The most events that are kept. */
const REMEMBERED = 200

/** q, Ctrl-C and Ctrl-D: a terminal in raw mode passes them on. */
const QUIT = ['q', '\u0003', '\u0004']

async function showLive(client: WatchClient): Promise<number> {
  const { stdout, stdin } = process
  let history: History = NO_HISTORY
  const happenings: WatchEvent[] = []
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
  // Use the alternate screen, without a cursor; the old content comes back at the end.
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
  if (status !== 0) process.stderr.write('atsss watch: the session has ended\n')
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
