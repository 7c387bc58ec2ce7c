/**
 * Runs Node's own tests of net, tls, http, https and http2 twice, with the stock modules and with ours in their place, and
 * prints what passes and what differs. Those tests are Node's, and not part of this package: --suite names an unpacked
 * source tree of (about) the Node that runs them.
 *
 *   npm run test:node-suite -- --suite DIR [--node BIN] [--preload FILE]… [--only REGEX] [--jobs 2] [--json FILE]
 *
 * A test that fails is run once more, alone, since some mind the company; so for both.
 */
import { spawn } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'

type Mode = 'stock' | 'ours'
interface Outcome {
  result: 'passed' | 'failed' | 'skipped'
  /** The end of what it said, when it failed. */
  why: string
}
interface Case {
  /** Relative to the suite: `test/parallel/test-net-….js`. */
  file: string
  group: string
  flags: string[]
  stock?: Outcome
  ours?: Outcome
}

const { values } = parseArgs({
  options: {
    suite: { type: 'string' },
    node: { type: 'string', default: process.execPath },
    preload: { type: 'string', multiple: true, default: [join(import.meta.dirname, 'net-preload.mjs')] },
    only: { type: 'string', default: '.' },
    jobs: { type: 'string', default: '2' },
    json: { type: 'string' },
  },
})
if (!values.suite) throw new Error('--suite DIR: the folder that has test/parallel')
const suite = resolve(values.suite)
const preloads = values.preload.map(file => `--import=${pathToFileURL(resolve(file))}`).join(' ')
/** Milliseconds; the slowest of them takes some seconds on a machine at leisure. */
const TIME_LIMIT = 20_000

const cases = ['parallel', 'sequential'].flatMap(folder => casesIn(folder, new RegExp(values.only)))
const together = cases.filter(({ file }) => file.includes('/parallel/'))
const alone = cases.filter(({ file }) => !file.includes('/parallel/'))
for (const mode of ['stock', 'ours'] as const) {
  await runAll(together, mode, Number(values.jobs))
  await runAll(alone, mode, 1)
  await runAll(
    cases.filter(each => each[mode]?.result === 'failed'),
    mode,
    1,
  )
}
report()
if (values.json) writeFileSync(values.json, JSON.stringify(cases, null, 1))

function casesIn(folder: string, only: RegExp): Case[] {
  const found: Case[] = []
  for (const name of readdirSync(join(suite, 'test', folder)).sort()) {
    const group = /^test-(net|tls|https?|http2)-.*\.m?js$/.exec(name)?.[1]
    if (!group || !only.test(name)) continue
    const file = join('test', folder, name)
    const source = readFileSync(join(suite, file), 'utf8')
    const flags = [...source.matchAll(/^\/\/ Flags: (.*)$/gm)].flatMap(match => match[1]!.trim().split(/\s+/))
    found.push({ file, group, flags })
  }
  return found
}

async function runAll(list: Case[], mode: Mode, jobs: number): Promise<void> {
  const queue = list.values()
  const slot = async (_: unknown, index: number) => {
    for (const each of queue) {
      each[mode] = await run(each, mode, index)
      if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${mode} ${each.file} ${each[mode].result}`)
    }
  }
  await Promise.all(Array.from({ length: jobs }, slot))
}

function run({ file, flags }: Case, mode: Mode, slot: number): Promise<Outcome> {
  const env: NodeJS.ProcessEnv = { ...process.env, TEST_THREAD_ID: `${slot}`, TEST_SERIAL_ID: `${process.pid}${slot}` }
  // So that what a test starts has it too.
  if (mode === 'ours') env.NODE_OPTIONS = preloads
  const child = spawn(values.node, [...flags, file], {
    cwd: suite,
    env,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-4_000)
    })
  const end = () => {
    try {
      process.kill(-child.pid!, 'SIGKILL') // it, and what it has left behind
    } catch {
      // ESRCH: nothing is left.
    }
  }
  const timer = setTimeout(end, TIME_LIMIT)
  return new Promise(settle => {
    child.on('exit', (code, signal) => {
      clearTimeout(timer)
      end()
      setImmediate(() => {
        const result = code !== 0 ? 'failed' : /^1\.\.0 # Skipped/m.test(said) ? 'skipped' : 'passed'
        const why = result !== 'failed' ? '' : signal ? `ended by ${signal}\n${said}` : said
        settle({ result, why })
      })
    })
  })
}

function report(): void {
  const groups = [...new Set(cases.map(each => each.group))]
  const count = (list: Case[], mode: Mode, result: Outcome['result']) =>
    list.filter(each => each[mode]?.result === result).length
  const line = (name: string, list: Case[]) =>
    console.log(
      [
        name,
        list.length,
        count(list, 'stock', 'skipped'),
        count(list, 'stock', 'passed'),
        count(list, 'ours', 'passed'),
      ]
        .map((cell, index) => (index === 0 ? String(cell).padEnd(8) : String(cell).padStart(9)))
        .join(''),
    )
  console.log(`${values.node} on ${suite}\n\n           files  skipped    stock     ours`)
  for (const group of groups)
    line(
      group,
      cases.filter(each => each.group === group),
    )
  line('all', cases)

  const differing = cases.filter(({ stock, ours }) => stock?.result !== ours?.result)
  console.log(`\n${differing.length} differ`)
  for (const { file, stock, ours } of differing) {
    console.log(`\n${file}: stock ${stock?.result}, ours ${ours?.result}`)
    console.log((ours?.why || stock?.why || '').trim().split('\n').slice(0, 30).join('\n').replace(/^/gm, '    '))
  }
}
