/**
 * `npm run soak`: libraries through a converter while accesses fail every few seconds. Every byte is checked. It ends with status 1
 * if anything was lost or left open. The same seed gives the same faults and contents; what falls together is the machine's choice.
 */
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import type { SessionOptions } from '../../lib/index.js'
import { PRESETS } from '../../lib/policy/rules/presets.js'
import { FAULTS, type FaultKind, faults } from './faults.js'
import { LIBRARY_NAMES } from './names.js'
import { openSockets } from './open-files.js'
import { openPlace } from './place.js'
import { Summary } from './summary.js'
import type { Held, Line, Task } from './tasks.js'

const HELP = `Usage: npm run soak -- [options]

  --seconds N        how long: 180
  --seed N           of faults and contents; one is chosen and printed if you do not give it
  --libraries A,B    ${LIBRARY_NAMES.join(', ')}: all
  --faults A,B       ${FAULTS.join(', ')}: all; none
  --accesses A,B     which accesses fail: wifi,cell
  --rules NAME       ${Object.keys(PRESETS).join(', ')}: handover
  --parallel N       exchanges at the same time, of each library that can have several: 2
  --sizes N,N        bytes of an exchange: 20000,1000000,5000000,10000000
  --rest N           seconds after which all connections are closed and what is held is counted, again and again: 300, at
                     most a third of the time
  --keep-alive N     milliseconds after which the HTTP servers close idle connections: 60000. With Node's own 5000 some requests
                     meet the end of their connection (docs/libraries.md)
  --stall N          milliseconds without a byte that are reported: 1000
  --direct           the device connects with TCP, without a converter and steering: what stock Node does
  --capture DIR      the packets of both accesses, as the device sees them
  --verbose          a line for each fault and exchange
`

process.exitCode = await main()

async function main(): Promise<number> {
  const options = { type: 'string' } as const
  const { values } = parseArgs({
    options: {
      ...{ seconds: options, seed: options, libraries: options, faults: options, accesses: options, rules: options },
      ...{ parallel: options, sizes: options, rest: options, 'keep-alive': options, stall: options, capture: options },
      direct: { type: 'boolean', default: false },
      verbose: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  const list = (text: string | undefined, all: readonly string[]) => text?.split(',').filter(Boolean) ?? [...all]
  const seconds = Number(values.seconds ?? 180)
  const seed = Number(values.seed ?? Math.floor(Math.random() * 1e6))
  const libraries = list(values.libraries, LIBRARY_NAMES)
  const kinds = values.faults === 'none' ? [] : list(values.faults, FAULTS)
  const accesses = list(values.accesses, ['wifi', 'cell'])
  const rules = values.rules ?? 'handover'
  const parallel = Number(values.parallel ?? 2)
  const sizes = list(values.sizes, ['20000', '1000000', '5000000', '10000000']).map(Number)
  const rest = Math.min(Number(values.rest ?? 300), seconds / 3)
  const stall = Number(values.stall ?? 1_000)
  const isWrong =
    [seconds, seed, parallel, rest, stall, ...sizes].some(number => !(number >= 0)) ||
    libraries.some(name => !LIBRARY_NAMES.includes(name)) ||
    kinds.some(kind => !FAULTS.includes(kind as FaultKind)) ||
    !(rules in PRESETS)
  if (values.help || isWrong) {
    process.stdout.write(HELP)
    return values.help ? 0 : 2
  }

  console.log(`seed ${seed}, ${seconds} s, rules ${rules}: ${libraries.join(', ')}`)
  await using place = await openPlace(values['keep-alive'] ?? '60000', values.capture)
  const session: SessionOptions = {
    accesses: { '3gpp': 'cell', 'non-3gpp': 'wifi' },
    rules: rules as keyof typeof PRESETS,
    ...(values.direct ? { mptcp: 'off' } : { converters: place.converter }),
  }
  const task: Task = { session, host: place.host, libraries, parallel, sizes, seed }
  const ue = place.device(task)
  const summary = new Summary({ stall, verbose: values.verbose })
  const heard = hear(ue.stdout, summary)
  await heard.ready
  const begin = Date.now()

  const over = new AbortController()
  const failing = kinds.length === 0 ? Promise.resolve() : fail(kinds as FaultKind[])
  async function fail(kinds: readonly FaultKind[]) {
    for await (const fault of faults(place.lab, { kinds, accesses, seed, signal: over.signal })) summary.fault(fault)
  }
  failing.catch(() => over.abort())

  for (let left = seconds; left > 0 && !over.signal.aborted && ue.exitCode === null; ) {
    const turn = Math.min(rest, left)
    left -= turn
    await delay(turn * 1000, undefined, { signal: over.signal }).catch(() => {})
    if (left <= 0) over.abort()
    if (left <= 0) await failing
    ue.stdin.write(left > 0 ? 'rest\n' : 'stop\n')
    const held = await heard.held()
    summary.held({ at: Date.now() - begin, device: held, converter: heldBy(place.converterPid) })
  }
  await failing
  summary.counters = await place.counters()
  console.log(summary.text())
  return summary.isGood ? 0 : 1
}

/** What the device says. */
function hear(output: NodeJS.ReadableStream, summary: Summary) {
  const waiting: { [event: string]: ((line: Line) => void) | undefined } = {}
  let fail: (error: Error) => void
  const ended = new Promise<never>((_, reject) => (fail = reject))
  ended.catch(() => {})
  createInterface(output as NodeJS.ReadableStream)
    .on('line', text => {
      const line = JSON.parse(text) as Line
      if (line.event === 'done') summary.done(line)
      if (line.event === 'lost') summary.lost(line)
      if (line.event === 'degraded') summary.degraded(line.message)
      waiting[line.event]?.(line)
    })
    .on('close', () => fail(new Error('the device has ended')))
  const next = (event: Line['event']) => Promise.race([ended, new Promise<Line>(resolve => (waiting[event] = resolve))])
  return { ready: next('ready'), held: async () => (await next('held')) as Held & Line }
}

/** Sockets only: what the converter opens once and keeps, as its epoll descriptors, is none. */
function heldBy(pid: number): { sockets: number; rssBytes: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return { sockets: openSockets(pid), rssBytes: Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024 }
}
