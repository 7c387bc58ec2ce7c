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
import { type OpenFiles, openFiles } from './open-files.js'
import { openPlace } from './place.js'
import { Summary } from './summary.js'
import type { Line, Task } from './tasks.js'

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
  --patience N       seconds in which nothing moves until an exchange counts as lost: 30
  --direct           the device connects with TCP, without a converter and steering: what stock Node does
  --capture DIR      the packets of both accesses, as the device sees them
  --verbose          a line for each fault and exchange
`

/** Beyond the patience with each exchange: clients close, the kernel closes, the session forgets. Seconds, on an idle machine. */
const REST_MS = 180_000

process.exitCode = await main()

async function main(): Promise<number> {
  const options = { type: 'string' } as const
  const { values } = parseArgs({
    options: {
      ...{ seconds: options, seed: options, libraries: options, faults: options, accesses: options, rules: options },
      ...{ parallel: options, sizes: options, rest: options, 'keep-alive': options, stall: options, capture: options },
      patience: options,
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
  const patience = Number(values.patience ?? 30)
  const isWrong =
    [seconds, seed, parallel, rest, stall, patience, ...sizes].some(number => !(number >= 0)) ||
    libraries.some(name => !LIBRARY_NAMES.includes(name)) ||
    kinds.some(kind => !FAULTS.includes(kind as FaultKind)) ||
    !(rules in PRESETS)
  if (values.help || isWrong) {
    process.stdout.write(HELP)
    return values.help ? 0 : 2
  }

  console.log(`${new Date().toISOString()}: seed ${seed}, ${seconds} s, rules ${rules}: ${libraries.join(', ')}`)
  await using place = await openPlace(values['keep-alive'] ?? '60000', values.capture)
  const session: SessionOptions = {
    accesses: { '3gpp': 'cell', 'non-3gpp': 'wifi' },
    rules: rules as keyof typeof PRESETS,
    ...(values.direct ? { mptcp: 'off' } : { converters: place.converter }),
  }
  const task: Task = { session, host: place.host, libraries, parallel, sizes, seed, patience: patience * 1_000 }
  const ue = place.device(task)
  const summary = new Summary({ stall, verbose: values.verbose })
  const heard = hear(ue.stdout, summary)
  const { held: atStart } = await heard.ready
  summary.start({ device: atStart, converter: heldBy(place.converterPid) })

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
    const device = await within(patience * 1_000 + REST_MS, heard.held())
    summary.held({ device, converter: heldBy(place.converterPid) })
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
  type Of<Event> = Extract<Line, { event: Event }>
  const next = <Event extends Line['event']>(event: Event) =>
    Promise.race([ended, new Promise<Of<Event>>(resolve => (waiting[event] = resolve as (line: Line) => void))])
  return { ready: next('ready'), held: () => next('held') }
}

function heldBy(pid: number): OpenFiles & { rssBytes: number } {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return { ...openFiles(pid), rssBytes: Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024 }
}

/** The device must come to rest: all exchanges end, or are given up. */
async function within<T>(milliseconds: number, result: Promise<T>): Promise<T> {
  const over = new AbortController()
  const late = delay(milliseconds, undefined, { signal: over.signal }).then(() => {
    throw new Error(`the device has not come to rest for ${milliseconds / 1_000} s`)
  })
  late.catch(() => {})
  return Promise.race([result, late]).finally(() => over.abort())
}
