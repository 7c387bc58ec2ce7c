/** `atsss ping`: the round trip to each converter over each access, once a second. */
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { connect } from '../index.js'
import { hostAndPort } from '../input/addresses.js'
import { resolveOptions } from '../input/options.js'
import { BOTH } from '../policy/steering/accesses.js'
import { findConverters } from '../runtime/connect/resolve.js'
import { fdOf } from '../runtime/kernel/node-socket.js'
import { Sampler } from '../runtime/kernel/sampler.js'
import { resolveSession, type SessionOptions } from '../session/options.js'
import { interfacesInUse, troubleOfInterface } from './access-interfaces.js'
import { type OptionTable, optionLines, parseArguments, UsageError, wholeNumber } from './arguments.js'
import { notedAnswer, notedLoss, type PathCounts, summaryLines, summaryOf, UNTRIED } from './ping/counts.js'
import { VIA_OPTIONS, viaOptions } from './via.js'

const { config, '3gpp': cellular, 'non-3gpp': other, converter, interface: device } = VIA_OPTIONS

const OPTIONS = {
  config,
  '3gpp': cellular,
  'non-3gpp': other,
  converter,
  interface: device,
  count: {
    type: 'string',
    short: 'c',
    value: 'NUMBER',
    help: 'how many probes to send over each path; then end',
    unset: 'until Ctrl-C',
  },
  interval: { type: 'string', short: 'i', value: 'SECONDS', help: 'between two probes of a path, 0.1…3600', unset: 1 },
  timeout: {
    type: 'string',
    value: 'MILLISECONDS',
    help: 'a probe that is not answered by then is lost, 10…60000',
    unset: 1000,
  },
  json: { type: 'boolean', help: 'print each probe, and the summary, as a line of JSON' },
} as const satisfies OptionTable

export const help = `Usage: atsss ping [options]

Measures the round trip to each converter over each access, and how many probes are lost. A probe is a TCP connection
that is bound to the interface of the access, and closed as soon as it is established: a converter counts it as a
client that has ended. It needs no privileges. Without accesses it goes as the routes say.

${optionLines(OPTIONS)}

Exit status: 0 on every path at least one probe was answered, 1 on one path none was, 2 wrong command line.

Examples:
  atsss ping
  atsss ping --3gpp wwan0 --non-3gpp wlan0 --converter 192.0.2.1:5124 --count 10
  atsss ping --json --interval 10 | jq 'select(.lost)'
`

/** A converter's address over an interface. */
interface Path {
  /** Undefined: without a session. */
  access: '3gpp' | 'non-3gpp' | undefined
  interface: string | undefined
  converter: string
  address: string
  port: number
}

export async function run(args: string[]): Promise<number> {
  const { values } = parseArguments(args, OPTIONS)
  const count = values.count === undefined ? Number.POSITIVE_INFINITY : wholeNumber('count', values.count)
  if (count === 0) throw new UsageError('--count must be 1 or more')
  const interval = 1000 * decimal('interval', values.interval ?? '1', 0.1, 3600)
  const timeout = wholeNumber('timeout', values.timeout ?? '1000')
  if (timeout < 10 || timeout > 60_000) throw new UsageError('--timeout must be 10…60000')
  const paths = await pathsOf(viaOptions(values))
  const counts: PathCounts[] = paths.map(() => UNTRIED)
  const stopped = new AbortController()
  const stop = () => stopped.abort()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop)

  const probes = new Set<Promise<void>>()
  const began = performance.now()
  for (let sequence = 1; sequence <= count && !stopped.signal.aborted; sequence++) {
    for (const [index, path] of paths.entries()) {
      const noted = probe(path, timeout, stopped.signal).then(result => {
        probes.delete(noted)
        if (result === 'stopped') return
        counts[index] = 'ms' in result ? notedAnswer(counts[index]!, result.ms) : notedLoss(counts[index]!)
        print(path, sequence, result, values.json === true)
      })
      probes.add(noted)
    }
    // By the clock, so that slow answers do not shift the probes after them.
    const next = began + sequence * interval - performance.now()
    if (sequence < count) await pause(Math.max(0, next), undefined, { signal: stopped.signal }).catch(() => {})
  }
  await Promise.all(probes)
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, stop)
  if (values.json) {
    const summary = paths.map((path, index) => ({ ...path, ...summaryOf(counts[index]!) }))
    process.stdout.write(`${JSON.stringify({ summary })}\n`)
  } else for (const [index, path] of paths.entries()) process.stdout.write(summaryLines(nameOf(path), counts[index]!))
  return counts.every(({ answered }) => answered > 0) ? 0 : 1
}

type ProbeResult = { ms: number } | { lost: string }

async function pathsOf(options: ReturnType<typeof viaOptions>): Promise<Path[]> {
  const { converters } = resolveOptions(options)
  if (converters.length === 0)
    throw new UsageError('there is no converter to ping: name one with --converter ADDRESS:PORT, or in atsss.json')
  const used = options.accesses && (await interfacesInUse(resolveSession(options as SessionOptions).accesses))
  const ways = used
    ? BOTH.map(access => ({ access, interface: used[access] }))
    : [{ access: undefined, interface: options.interface }]
  const paths: Path[] = []
  for (const spec of converters)
    for (const { address, port } of await findConverters([spec]))
      for (const way of ways) paths.push({ ...way, converter: spec.name, address, port })
  return paths
}

const sampler = new Sampler()

/** `stopped`: the user has ended it before there was an answer. */
async function probe(path: Path, timeout: number, signal: AbortSignal): Promise<ProbeResult | 'stopped'> {
  const { address: host, port, interface: over } = path
  const began = performance.now()
  const socket = connect({
    ...{ host, port, ...(over !== undefined && { interface: over }) },
    ...{ mptcp: 'off', connectTimeout: timeout, synRetries: 0 },
  })
  try {
    await once(socket, 'connect', { signal })
    const waited = performance.now() - began
    const [sample] = sampler.sample(Int32Array.of(fdOf(socket) ?? -1))
    const [subflow] = sample?.subflows ?? []
    // The kernel repeats a lost SYN after a second, and measures no round trip then.
    if (subflow && subflow.totalRetrans > 0) return { lost: 'the first SYN was lost' }
    // Its own measurement has no delay of this process in it.
    return { ms: subflow && subflow.rtt > 0 ? subflow.rtt / 1000 : waited }
  } catch (error) {
    if (signal.aborted) return 'stopped'
    const { code, message } = error as NodeJS.ErrnoException
    // The converter is not to blame for what this machine lacks. One that refuses has answered.
    const trouble = over === undefined || code === 'ECONNREFUSED' ? undefined : await troubleOfInterface(over)
    if (trouble !== undefined) return { lost: trouble }
    return { lost: code === 'ETIMEDOUT' ? `no answer within ${timeout} ms` : message }
  } finally {
    socket.on('error', () => {}).destroy()
  }
}

function print(path: Path, sequence: number, result: ProbeResult, json: boolean): void {
  if (json) return void process.stdout.write(`${JSON.stringify({ ...path, sequence, ...result })}\n`)
  const said = 'ms' in result ? `${result.ms.toFixed(1)} ms` : result.lost
  process.stdout.write(`${nameOf(path)}: ${sequence}: ${said}\n`)
}

/** `non-3gpp (wlan0) to 192.0.2.1:5124`. */
function nameOf({ access, interface: over, address, port }: Path): string {
  const way = access === undefined ? over : `${access} (${over})`
  return `${way === undefined ? '' : `${way} `}to ${hostAndPort(address, port)}`
}

function decimal(name: string, text: string, least: number, most: number): number {
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN
  if (!(value >= least && value <= most)) throw new UsageError(`--${name} must be ${least}…${most}; it is '${text}'`)
  return value
}
