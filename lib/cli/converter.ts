/** `atsss converter`: runs a Transport Converter until a signal ends it. */

import {
  type ConnectionInfo,
  type Converter,
  type ConverterOptions,
  type ConverterStats,
  type CookieOptions,
  createConverter,
  type ListenerInfo,
  type Target,
  type WorkerInfo,
} from '../converter/index.js'
import { resolveOptions } from '../converter/options/settings.js'
import { hostAndPort } from '../input/addresses.js'
import { type OptionTable, ofFlag, optionLines, parseArguments, wholeNumber } from './arguments.js'
import { PCP_FLAGS, PCP_OPTIONS, pcpOptions, reportIncoming } from './converter-pcp.js'
import { readNamedFile } from './named-file.js'

const DEFAULTS = resolveOptions({ cookies: true })

const OPTIONS = {
  listen: {
    type: 'string',
    multiple: true,
    value: 'ADDRESS:PORT',
    help: 'where to listen',
    unset: DEFAULTS.listen.map(({ host, port }) => hostAndPort(host, port)).join(', '),
  },
  protocol: { type: 'string', value: 'mptcp|tcp', help: 'what to listen with', unset: DEFAULTS.protocol },
  'no-fast-open': { type: 'boolean', help: 'do not accept data in SYNs: no 0-RTT' },
  'server-protocol': {
    type: 'string',
    value: 'tcp|mptcp',
    help: 'what to connect to servers with',
    unset: DEFAULTS.serverProtocol,
  },
  allow: {
    type: 'string',
    multiple: true,
    value: 'PREFIX',
    help: 'clients to serve',
    unset: 'addresses that are not on the Internet',
  },
  'allow-target': {
    type: 'string',
    multiple: true,
    value: 'PREFIX',
    help: 'the only servers that clients may reach',
    unset: 'all',
  },
  'forbid-target': { type: 'string', multiple: true, value: 'PREFIX', help: 'servers that clients may not reach' },
  'no-hairpinning': { type: 'boolean', help: 'do not let clients reach one another' },
  'allow-loopback': { type: 'boolean', help: 'let clients reach loopback servers: for tests' },
  cookies: { type: 'boolean', help: 'ask clients for cookies (RFC 8803 §6.2.7)' },
  'cookie-lifetime': {
    type: 'string',
    value: 'MS',
    help: 'how long a cookie is valid; implies --cookies',
    unset: DEFAULTS.cookies!.lifetime,
  },
  'cookie-secret-file': {
    type: 'string',
    value: 'FILE',
    help: "a secret of 16 bytes or more; converters that share it accept each other's cookies",
    unset: 'random',
  },
  backlog: {
    type: 'string',
    value: 'N',
    help: 'connections that the kernel queues before they are accepted',
    unset: DEFAULTS.backlog,
  },
  'max-connections': {
    type: 'string',
    value: 'N',
    help: 'connections of all clients, at most',
    unset: DEFAULTS.maxConnections,
  },
  'max-per-client': {
    type: 'string',
    value: 'N',
    help: 'connections of one address or IPv6 /64, at most',
    unset: DEFAULTS.maxPerClient,
  },
  'max-pending-per-client': {
    type: 'string',
    value: 'N',
    help: 'of these, not answered yet',
    unset: DEFAULTS.maxPendingPerClient,
  },
  'errors-per-second': {
    type: 'string',
    value: 'N',
    help: 'error replies to one client, at most',
    unset: DEFAULTS.errorsPerSecond,
  },
  'retry-delay': {
    type: 'string',
    value: 'S',
    help: 'the delay to suggest to clients when overloaded',
    unset: DEFAULTS.retryDelay,
  },
  'message-timeout': { type: 'string', value: 'MS', help: "for the client's message", unset: DEFAULTS.messageTimeout },
  'connect-timeout': { type: 'string', value: 'MS', help: 'for the server to accept', unset: DEFAULTS.connectTimeout },
  'idle-timeout': { type: 'string', value: 'MS', help: 'without a byte; 0: none', unset: DEFAULTS.idleTimeout },
  'linger-timeout': {
    type: 'string',
    value: 'MS',
    help: 'for the client to close after an error',
    unset: DEFAULTS.lingerTimeout,
  },
  'answer-early': {
    type: 'boolean',
    help: "answer before the client's handshake is complete: a fault, for tests of clients",
  },
  ...PCP_OPTIONS,
  workers: {
    type: 'string',
    value: 'N|auto',
    help: 'processes that serve connections; auto: one for each processor',
    unset: DEFAULTS.workers,
  },
  grace: { type: 'string', value: 'MS', help: 'for open connections to end after SIGINT or SIGTERM', unset: 0 },
  json: { type: 'boolean', help: 'print one JSON object per line; the first has the addresses' },
  quiet: { type: 'boolean', help: 'print nothing about connections' },
} as const satisfies OptionTable

export const help = `Usage: atsss converter [options]

Runs a Transport Converter (RFC 8803): clients connect to it with MPTCP, it connects to their servers with TCP.

${optionLines(OPTIONS)}

Exit status: 0 ended by SIGINT or SIGTERM, 1 it cannot listen, 2 wrong command line.

Examples:
  atsss converter --listen 0.0.0.0:5124 --listen '[::]:5124'
  atsss converter --listen 0.0.0.0:5124 --allow 203.0.113.0/24 --json
`

const STRINGS = {
  listen: 'listen',
  allow: 'allow',
  'allow-target': 'allowedTargets',
  'forbid-target': 'forbiddenTargets',
} as const

const NUMBERS = {
  backlog: 'backlog',
  'max-connections': 'maxConnections',
  'max-per-client': 'maxPerClient',
  'max-pending-per-client': 'maxPendingPerClient',
  'errors-per-second': 'errorsPerSecond',
  'retry-delay': 'retryDelay',
  'message-timeout': 'messageTimeout',
  'connect-timeout': 'connectTimeout',
  'idle-timeout': 'idleTimeout',
  'linger-timeout': 'lingerTimeout',
} as const

/** By the option that each becomes. */
const FLAGS: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    [...Object.entries(STRINGS), ...Object.entries(NUMBERS)].map(([flag, of]) => [of, `--${flag}`]),
  ),
  ...Object.fromEntries(['protocol', 'workers', 'cookies'].map(name => [name, `--${name}`])),
  ...{
    serverProtocol: '--server-protocol',
    'cookies.lifetime': '--cookie-lifetime',
    'cookies.secret': '--cookie-secret-file',
  },
  ...PCP_FLAGS,
}

export async function run(args: string[]): Promise<number> {
  const { values } = parseArguments(args, OPTIONS)

  const options: ConverterOptions = {}
  if (values.protocol !== undefined) options.protocol = values.protocol as 'mptcp'
  if (values['server-protocol'] !== undefined) options.serverProtocol = values['server-protocol'] as 'tcp'
  if (values['no-fast-open']) options.fastOpen = false
  if (values['no-hairpinning']) options.hairpinning = false
  if (values['allow-loopback']) options.allowLoopback = true
  if (values['answer-early']) options.answerEarly = true
  if (values.cookies) options.cookies = true
  const cookies: CookieOptions = {}
  if (values['cookie-lifetime']) cookies.lifetime = wholeNumber('cookie-lifetime', values['cookie-lifetime'])
  if (values['cookie-secret-file']) cookies.secret = secretFrom(values['cookie-secret-file'])
  if (Object.keys(cookies).length > 0) options.cookies = cookies
  for (const [name, option] of Object.entries(STRINGS)) {
    const given = values[name as keyof typeof STRINGS]
    if (given) options[option] = given
  }
  for (const [name, option] of Object.entries(NUMBERS)) {
    const given = values[name as keyof typeof NUMBERS]
    if (given !== undefined) options[option] = wholeNumber(name, given)
  }
  const pcp = pcpOptions(values)
  if (pcp) options.pcp = pcp
  if (values.workers !== undefined)
    options.workers = /^\d+$/.test(values.workers) ? Number(values.workers) : (values.workers as 'auto')
  const grace = values.grace === undefined ? 0 : wholeNumber('grace', values.grace)

  const converter = ofFlag(FLAGS, () => createConverter(options))
  const print = values.json ? printJson : printText
  report(converter, print, values.quiet ?? false)
  const signalled = signal()
  await converter.listen()
  await signalled
  await converter.close({ grace })
  const stats = converter.stats()
  print(totals(stats), 'ended', stats)
  return 0
}

/** Prints an event as a sentence, or as JSON. */
type Print = (text: string, event: string, about: object) => void

const printText: Print = text => void process.stdout.write(`${text}\n`)

const printJson: Print = (_text, event, about) => {
  // Bytes become hexadecimal. The replacer gets a Buffer as the result of its toJSON; the Buffer itself is in `this`.
  function hex(this: Record<string, unknown>, key: string, value: unknown): unknown {
    const own = this[key]
    return own instanceof Uint8Array ? Buffer.from(own).toString('hex') : value
  }
  process.stdout.write(`${JSON.stringify({ event, ...about }, hex)}\n`)
}

function report(converter: Converter, print: Print, quiet: boolean): void {
  converter.on('listening', (listeners, pcp) => {
    const lines = [...listeners.map(listenerLine), ...pcp.map(each => `hearing PCP requests on ${place(each)}`)]
    print(lines.join('\n'), 'listening', { listeners, pcp })
  })
  converter.on('worker', (info, change) => print(workerLine(info), 'worker', { change, ...info }))
  converter.on('degraded', what => print(`${what.message}. Remedy: ${what.remedy}`, 'degraded', what))
  converter.on('accept-error', ({ message }) => print(`not accepted: ${message}`, 'accept-error', { message }))
  if (quiet) return
  reportIncoming(converter, place, print)
  converter.on('established', info => {
    const how = `${info.protocol}${info.zeroRtt ? ', 0-RTT' : ''} to ${info.serverProtocol}`
    print(`${line(info)} established after ${ms(info.times.answered)} (${how})`, 'established', info)
  })
  converter.on('refused', (info, detail) => {
    print(`${line(info)} refused: ${info.error?.name} (${info.error?.code})`, 'refused', { ...info, detail })
  })
  converter.on('client-error', (info, why) => print(`${line(info)} ended: ${why}`, 'client-error', { ...info, why }))
  converter.on('closed', info => {
    const { fromClient, fromServer } = info.bytes
    print(`${line(info)} closed after ${ms(info.times.closed)}: ${fromClient} up, ${fromServer} down`, 'closed', info)
  })
}

function listenerLine({ address, port, protocol, fastOpen }: ListenerInfo): string {
  return `listening on ${place({ address, port })} (${protocol}, ${fastOpen ? '0-RTT' : 'no 0-RTT'})`
}

function workerLine({ worker, pid, exit, lost, restartDelay }: WorkerInfo): string {
  const name = `worker ${worker} (process ${pid ?? 'not started'})`
  if (!exit) return `${name} serves connections`
  const why = exit.signal ?? (exit.code === null ? 'it could not be started' : `exit code ${exit.code}`)
  const when = restartDelay === 0 ? 'at once' : `in ${restartDelay! / 1000} s`
  return `${name} has ended with ${lost} connections: ${why}. It is started again ${when}`
}

function line({ id, worker, client, target }: ConnectionInfo): string {
  return `#${worker === undefined ? '' : `${worker}.`}${id} ${place(client)}${target ? ` to ${place(target)}` : ''}`
}

function place({ address, port }: Target): string {
  return hostAndPort(address, port)
}

function ms(value: number | undefined): string {
  return value === undefined ? '?' : value < 10_000 ? `${value.toFixed(1)} ms` : `${(value / 1000).toFixed(1)} s`
}

function totals({ accepted, established, refused, bytes }: ConverterStats): string {
  const errors = Object.values(refused).reduce((sum, count) => sum + count, 0)
  const counts = `${accepted} accepted, ${established} established, ${errors} refused`
  return `ended: ${counts}, ${bytes.fromClients} bytes up, ${bytes.fromServers} down`
}

/** The first SIGINT or SIGTERM; a second one ends the process at once. */
function signal(): Promise<void> {
  return new Promise(resolve => {
    const told = () => {
      for (const name of ['SIGINT', 'SIGTERM'] as const) process.off(name, told)
      resolve()
    }
    for (const name of ['SIGINT', 'SIGTERM'] as const) process.on(name, told)
  })
}

function secretFrom(file: string): Uint8Array {
  return readNamedFile('--cookie-secret-file', file)
}
