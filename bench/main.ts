/**
 * `npm run bench`: connections of ours beside those of others, in one run: each trial in a process of its own, the
 * contenders taking turns (A B C A B C …), medians over the rounds. Any failed connection, or wrong byte, ends it.
 */
import { writeFileSync } from 'node:fs'
import { cpus, release } from 'node:os'
import { parseArgs } from 'node:util'
import { CONVERTER_NAMES, measureConverter } from './converter.js'
import type { LabResult } from './in-lab.js'
import { type ContenderName, MEASURES, type Measure, TITLES } from './measures.js'
import { judge, measureTable, type Results, type Rounds, targetTable } from './report.js'
import { isSupported } from './shipped.js'
import { openSite, type Site } from './site.js'
import { measureSteering, STEERING_NAMES } from './steering.js'
import { TARGETS } from './targets.js'

const NAMES = [...MEASURES.map(({ name }) => name), ...STEERING_NAMES, ...CONVERTER_NAMES]
const HELP = `Usage: npm run bench -- [options]

  --quick        about a second for each measure: to see that all of it runs; no verdict
  --only NAME    one measure; may be repeated: ${NAMES.join(', ')}
  --rounds N     how often each contender has its turn: 5, less where a turn is long; with --quick once
  --all          load balancing from 10 to 90 %, not three percentages only
  --json FILE    also writes all figures to a file
`
const ROUNDS = 5

process.exitCode = await main()

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true },
      rounds: { type: 'string' },
      json: { type: 'string' },
      all: { type: 'boolean', default: false },
      help: { type: 'boolean' },
    },
  })
  if (values.help) return say(HELP)
  const rounds = Number(values.rounds ?? (values.quick ? 1 : ROUNDS))
  const unknown = values.only?.filter(name => !NAMES.includes(name)) ?? []
  if (unknown.length > 0 || !Number.isSafeInteger(rounds) || rounds < 1) return say(HELP, 2)
  const { supported, reason } = isSupported()
  if (!supported) return say(`There is nothing to compare with: ${reason}\n`, 1)

  const machine = { node: process.version, kernel: release(), cpus: cpus().length, cpu: cpus()[0]?.model ?? '?' }
  say(`Node ${machine.node}, Linux ${machine.kernel}, ${machine.cpus} × ${machine.cpu}\n`)
  say(`${rounds === 1 ? '1 round' : `${rounds} rounds: median (least…most)`}\n`)
  const names = values.only ?? NAMES
  const results = await measureConnections(names, rounds, values.quick)
  const judgements = TARGETS.map(target => judge(target, results)).filter(judgement => judgement !== undefined)
  const steering: Record<string, unknown> = {}
  const { quick, all } = values
  const extent = { quick, all, rounds: values.rounds || quick ? rounds : undefined, progress }
  const converter: Record<string, unknown> = {}
  const done = (kept: Record<string, unknown>) => (name: string, result: LabResult) => {
    progress('')
    say(`${result.text}\n`)
    kept[name] = result.figures
    judgements.push(...result.judgements)
  }
  await measureSteering(names, extent, done(steering))
  await measureConverter(names, extent, done(converter))
  if (judgements.length > 0) say(targetTable(judgements, !quick))
  if (values.json)
    writeFileSync(
      values.json,
      JSON.stringify({ ...machine, rounds, results, steering, converter, judgements }, null, 2),
    )
  return 0
}

async function measureConnections(names: readonly string[], rounds: number, quick: boolean): Promise<Results> {
  const measures = MEASURES.filter(({ name }) => names.includes(name))
  if (measures.length === 0) return {}
  const site = await openSite()
  try {
    for (const remark of site.remarks) say(`${remark}\n`)
    say('\n')
    const results: Results = {}
    for (const measure of measures) results[measure.name] = await run(measure, site, rounds, quick)
    return results
  } finally {
    await site.close()
  }
}

async function run(measure: Measure, site: Site, rounds: number, quick: boolean): Promise<Rounds> {
  const lacking = site.lacks(measure)
  if (lacking) {
    say(`${measure.title}\n  ${lacking}\n\n`)
    return {}
  }
  const absent: Partial<Record<ContenderName, string>> = {}
  if (!site.hasSocks) absent.socks5 = absent['socks-agent'] = 'microsocks not installed: apt-get install microsocks'
  if (!site.hasHttpProxy) absent['proxy-agent'] = 'tinyproxy not installed: apt-get install tinyproxy'
  const present = measure.contenders.filter(contender => !(contender in absent))
  const figures: Rounds = Object.fromEntries(present.map(contender => [contender, []]))
  const { trial, direction } = measure
  for (let round = 0; round < rounds; round++)
    for (const contender of present) {
      progress(`${measure.name}, round ${round + 1} of ${rounds}: ${TITLES[contender]}`)
      const size = quick ? measure.size.quick : measure.size.full
      figures[contender]!.push(await site.run(measure, { trial, contender, size, direction }))
    }
  progress('')
  say(`${measureTable(measure, figures, absent)}\n`)
  return figures
}

/** One line that is written over, on a terminal. */
function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`)
}

function say(text: string, code = 0): number {
  process.stdout.write(text)
  return code
}
