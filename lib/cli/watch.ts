/** `atsss watch`: shows a session of a running process, live. */
import { AtsssError } from '../errors.js'
import type { Snapshot } from '../runtime/watch/messages.js'
import { EVERY } from '../runtime/watch/server.js'
import { type OptionTable, optionLines, parseArguments, UsageError, wholeNumber } from './arguments.js'
import { coloursFor } from './terminal.js'
import { WatchClient } from './watch/client.js'
import { type History, NO_HISTORY, next } from './watch/history.js'
import { showLive } from './watch/live.js'
import { findSessions, findSocket } from './watch/sessions.js'
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
have made its session with "watch: true". Without PID or SOCKET it shows the only session of this user, or else of this
machine; in a terminal you choose if there are several. The terminal only shows; the page can also replace the rules, if
the session has "watch: { control: true }".

${optionLines(OPTIONS)}

Keys in the terminal: q ends, space pauses, s sorts the connections, the arrows scroll them, e shows the events alone,
1–9 shows another session.

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
  const every = values.every === undefined ? undefined : wholeNumber('every', values.every)
  const prepare = async (client: WatchClient) => {
    if (every === undefined) return
    await client.ask({ do: 'every', milliseconds: every }).catch((error: Error) => {
      throw new UsageError(`--every: ${error.message}`)
    })
  }
  const isLive = !values.web && !values.json && !values.once && process.stdout.isTTY
  if (isLive && positionals[0] === undefined) return await showLive(await findSessions(), prepare)
  const client = await WatchClient.open(await findSocket(positionals[0]))
  try {
    if (isLive) return await showLive([client], prepare)
    await prepare(client)
    if (values.web) return await showPage(client, port)
    if (values.json) return await printMessages(client, values.once === true)
    return await printOnce(client)
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
  const status = await end
  if (status !== 0) {
    process.stderr.write('the session has ended: the page keeps its last state until Ctrl-C\n')
    await interrupted()
  }
  await page.close()
  return status
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

function interrupted(): Promise<number> {
  return new Promise(resolve => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve(0))
  })
}

function ended(client: WatchClient): Promise<number> {
  return client.ended.then(() => 1)
}
