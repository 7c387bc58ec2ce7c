/**
 * Measures how sessions steer what is sent and what is received: a program to try things with, where `npm run bench` gives a
 * verdict. It needs root (or `unshare -Urnm`), and what it measures is the compiled dist/:
 *
 *   npm run build:lib && npx tsx bench/steering/directions.ts WHAT … [options]
 *
 *   balance    LOAD_BALANCING by percentages: the share over 3GPP access, overall and in the worst window of 5 s
 *   priority   PRIORITY_BASED, non-3GPP first, with and without a threshold: what each access carries
 *   delay      SMALLEST_DELAY with Wi-Fi at 240 ms and cellular at 60 ms: the share over 3GPP access
 *   loss       Wi-Fi is lost, cellular stands by: the longest gap at the receiver, and the longest delay of a message
 *
 *   --direction up,down,both        (all)
 *   --traffic   bulk,paced,slow,sparse,short,mixed,requests      balance, priority and delay (bulk,slow)
 *               bulk,paced,slow,sparse,idle                      loss (bulk,sparse,idle)
 *   --percent   20,50,80            balance
 *   --threshold none,30             priority: the rule's rttThres
 *   --fault     carrier,address,blackhole,downlink               loss (all but downlink: a black hole of what is received)
 *   --rules     JSON or a preset, in place of what is usual for loss ("handover") and priority
 *   --wifi, --cell RATE,DELAY       Mbit/s and ms one way (50,10 and 20,30)
 *   --initcwnd N                   the initial window of what the UE sends, in segments (10)
 *   --start MS, --watch MS          before it is watched (loss: before the loss), and for how long (5000 and 10000; 1500 and 1500)
 *   --rounds N  (1)
 *   --json      a line of JSON for each trial, with all its windows, in place of the table
 *
 * Every row ends with what was wrong, and a wrong or lost byte ends the program: both ends compare the SHA-256 of every stream.
 */
import { parseArgs } from 'node:util'
import { summary } from '../statistics.js'
import { ACCESSES, type AccessName, type Fault, SteeringSite } from './site.js'
import { spread } from './table.js'
import { type Direction, type Directions, directionsOf, type Way } from './tasks.js'
import { TRAFFIC, type TrafficName } from './traffic.js'
import { type Divisions, division, type Loss, loss } from './trials.js'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    direction: { type: 'string', default: 'up,down,both' },
    traffic: { type: 'string' },
    percent: { type: 'string', default: '20,50,80' },
    threshold: { type: 'string', default: 'none,30' },
    fault: { type: 'string', default: 'blackhole,carrier,address' },
    rules: { type: 'string' },
    wifi: { type: 'string' },
    cell: { type: 'string' },
    initcwnd: { type: 'string' },
    start: { type: 'string' },
    watch: { type: 'string' },
    rounds: { type: 'string', default: '1' },
    json: { type: 'boolean', default: false },
  },
})

type Rules = Extract<Way, { rules: unknown }>['rules']

const directions = list<Directions>(values.direction, ['up', 'down', 'both'])
const rounds = Number(values.rounds)
const links: Partial<Record<AccessName, { rateMbps: number; delayMs: number }>> = {
  ...linkOf('wifi', values.wifi),
  ...linkOf('cell', values.cell),
}

const RUN: Record<string, (site: SteeringSite) => Promise<void>> = {
  balance,
  priority,
  delay: smallestDelay,
  loss: losses,
}

for (const word of positionals) if (!RUN[word]) throw new Error(`${word}: expected ${Object.keys(RUN).join(', ')}`)
if (positionals.length === 0) throw new Error(`expected at least one of ${Object.keys(RUN).join(', ')}`)
const site = await SteeringSite.open(links)
try {
  if (values.initcwnd !== undefined) await site.setInitialWindow(Number(values.initcwnd))
  for (const word of positionals) await RUN[word]!(site)
} finally {
  await site.close()
}

async function balance(site: SteeringSite): Promise<void> {
  title('percent over 3GPP: overall, worst window of 5 s')
  for (const percent of list(values.percent).map(Number)) {
    const rules = matchAll({ steerModeValue: 'LOAD_BALANCING', '3gLoad': percent })
    await divisions(site, `balance ${percent} %`, rules, percent)
  }
}

async function priority(site: SteeringSite): Promise<void> {
  title('percent over 3GPP: overall, and window of 5 s with least and most')
  for (const threshold of list(values.threshold)) {
    const thresValue = threshold === 'none' ? {} : { thresValue: { rttThres: Number(threshold) } }
    const rules = matchAll({ steerModeValue: 'PRIORITY_BASED', prioAcc: 'NON_3GPP_ACCESS', ...thresValue })
    await divisions(site, `priority, threshold ${threshold}`, rules)
  }
}

async function smallestDelay(site: SteeringSite): Promise<void> {
  title('percent over 3GPP: overall, and window of 5 s with least and most; wanted: 100')
  await site.change('wifi', { delayMs: 120 })
  await divisions(site, 'smallest delay', matchAll({ steerModeValue: 'SMALLEST_DELAY' }), 100)
  await site.change('wifi', ACCESSES.wifi.link)
}

async function divisions(site: SteeringSite, name: string, usual: Rules, wanted?: number): Promise<void> {
  const startMs = Number(values.start ?? 5000)
  const watchMs = Number(values.watch ?? 10_000)
  for (const traffic of list<TrafficName>(values.traffic ?? 'bulk,slow', Object.keys(TRAFFIC)))
    for (const way of traffic === 'requests' ? (['both'] as const) : directions) {
      const found: Divisions[] = []
      for (let round = 0; round < rounds; round++)
        found.push(
          await division(site, {
            way: { rules: rules() ?? usual },
            flows: [...TRAFFIC[traffic](way)],
            startMs,
            watchMs,
          }),
        )
      if (values.json) say(JSON.stringify({ name, traffic, directions: way, found }))
      else
        for (const direction of [...directionsOf(way), ...(way === 'both' ? (['all'] as const) : [])])
          row(
            `${name}, ${traffic}, ${way}`,
            direction,
            shares(
              found.map(one => one[direction]),
              wanted,
            ),
          )
    }
}

function shares(found: Divisions['all'][], wanted: number | undefined): string[] {
  const windows = found.flatMap(one => one.windows)
  const off = (share: number) => Math.abs(share - wanted!)
  const gaps = found.flatMap(({ longestGap }) => (longestGap === undefined ? [] : [longestGap]))
  return [
    `share ${spread(summary(found.map(({ share }) => share)), 1)} %`,
    wanted === undefined
      ? `windows ${Math.min(...windows).toFixed(1)}…${Math.max(...windows).toFixed(1)} %`
      : `worst window ${windows.reduce((a, b) => (off(b) > off(a) ? b : a)).toFixed(1)} %, ${Math.max(...windows.map(off)).toFixed(1)} off`,
    `${spread(summary(found.map(({ mbps }) => mbps)), 1)} Mbit/s`,
    Math.max(0, ...gaps) > 0 ? `longest gap ${spread(summary(gaps), 0)} ms` : '',
  ]
}

async function losses(site: SteeringSite): Promise<void> {
  title('the gap at the receiver, ms; the longest delay of a message written before the loss or after it')
  const calmMs = Number(values.start ?? 1500)
  const watchMs = Number(values.watch ?? 1500)
  const faults = list<Fault>(values.fault, ['carrier', 'address', 'blackhole', 'downlink'])
  for (const traffic of list<TrafficName>(values.traffic ?? 'bulk,sparse,idle', Object.keys(TRAFFIC)))
    for (const fault of faults)
      for (const way of directions) {
        const flow = TRAFFIC[traffic](way)[0]!
        // An idle one is watched until its next message has arrived.
        const timing = { calmMs, watchMs: traffic === 'idle' ? watchMs + 2000 : watchMs }
        const found: Partial<Record<Direction, Loss>>[] = []
        for (let round = 0; round < rounds; round++)
          found.push(await loss(site, { way: { rules: rules() ?? 'handover' }, flow, fault, ...timing }))
        if (values.json) say(JSON.stringify({ name: 'loss', fault, traffic, directions: way, found }))
        else
          for (const direction of directionsOf(way))
            row(
              `${fault}, ${traffic}, ${way}`,
              direction,
              costs(
                found.map(one => one[direction]!),
                traffic === 'idle',
              ),
            )
      }
}

function costs(found: Loss[], isIdle: boolean): string[] {
  const of = (name: keyof Loss) => spread(summary(found.map(one => one[name] ?? Number.NaN)), 0)
  const delays = found.some(({ longestDelay }) => longestDelay !== undefined)
  return [
    isIdle ? '' : `gap ${of('gap')} ms`,
    isIdle ? '' : `later ${of('later')}, before ${of('before')}`,
    delays ? `delay ${of('longestDelay')} ms` : '',
  ]
}

function rules(): Rules | undefined {
  const { rules: given } = values
  return given === undefined || !/^[[{]/.test(given) ? (given as Rules | undefined) : (JSON.parse(given) as Rules)
}

function matchAll(steeringMode: object): Rules {
  return [{ precedence: 1, trafficDescriptor: { matchAll: true }, steeringMode }] as Rules
}

function linkOf(name: AccessName, words: string | undefined): typeof links {
  if (words === undefined) return {}
  const [rateMbps, delayMs] = words.split(',').map(Number)
  return { [name]: { rateMbps: rateMbps!, delayMs: delayMs! } }
}

function list<Word extends string>(words: string, allowed?: readonly string[]): Word[] {
  const all = words.split(',') as Word[]
  for (const word of all)
    if (allowed && !allowed.includes(word)) throw new Error(`${word}: expected ${allowed.join(', ')}`)
  return all
}

function title(text: string): void {
  if (!values.json) say(`\n${text}; ${rounds === 1 ? '1 round' : `${rounds} rounds: median (least…most)`}`)
}

function row(name: string, direction: string, cells: string[]): void {
  say(`${name.padEnd(38)} ${direction.padEnd(5)} ${cells.map(cell => cell.padEnd(30)).join(' ')}`.trimEnd())
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}
