/**
 * Tries the package on other kernels:
 *
 *   npm run kernels                          all of scripts/kernels/versions.json
 *   npm run kernels -- 6.1 newest            these; a version that is not in that file is fetched too
 *   npm run kernels -- --brief               the trial without its rows of bulk data, which take most of its time
 *   npm run kernels -- 6.1 --only tests      the tests that depend on the kernel most, there
 *   npm run kernels -- 6.1 --test test/…     any tests, there
 *   npm run kernels -- --if-changed          only those on which this code has not been tried (CI)
 *   npm run kernels -- --record              notes in scripts/kernels-tried.json what was tried, if all was right
 *
 * boots each kernel on emulated hardware (Debian's packages qemu-system-x86, busybox-static and xz-utils), and runs there, by
 * default, the trial: a lab in which each capability is tried, and doctor. It prints a table kernel × capability, and ends with
 * status 1 if something is not as README says. As many guests run at the same time as this machine has cores and memory for.
 * Needs a built checkout. Kernels are kept in `KERNELS_CACHE` (/var/tmp/atsss-kernels).
 */
import { existsSync, symlinkSync } from 'node:fs'
import { availableParallelism, freemem } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { compile as compileTests } from '../test/support/compile.js'
import { type Part, readArguments, UsageError } from './kernels/arguments.js'
import { debianKernel, hasProgram, type Kernel } from './kernels/debian-kernel.js'
import { GUEST_MEMORY_MIB, type GuestRun, runInGuest } from './kernels/guest.js'
import { inOrder } from './kernels/in-order.js'
import { type Found, ROWS, type RowName, rowsOf } from './kernels/rows.js'
import { codeNow, lastTried, note, noted, untried } from './kernels/tried.js'
import versions from './kernels/versions.json' with { type: 'json' }

const root = fileURLToPath(new URL('../', import.meta.url))
const cache = process.env.KERNELS_CACHE ?? '/var/tmp/atsss-kernels'
const compiled = join(root, 'build-kernels')

/** The most seconds that each part may take by this machine's clock: several times what it takes alone, for a busy machine. */
const LIMIT_SECONDS: Readonly<Record<Part, number>> = { trial: 3600, tests: 9000 }
const BRIEF_LIMIT_SECONDS = 1200

/** The tests that depend on the kernel most. */
const TESTS = ['path-manager', 'path-manager-kernel', 'sampler', 'convert-round-trips', 'session-levels'].map(
  name => `test/netns/${name}.test.ts`,
)

interface Column {
  title: string
  /** What is printed about this kernel, above the table. */
  text: string
  found: ReadonlyMap<RowName, Found>
  /** How much is not as README says. */
  wrong: number
}

interface Version {
  name: string
  /** The rows that README says this kernel does not support. */
  lacks: readonly string[]
}

const all = versions as Record<string, Version>
const asked = argumentsOrExit()
const rows = rowsOf(asked)
const wanted = asked.ifChanged ? untried(asked.versions, codeNow(root), lastTried(root)) : asked.versions
if (wanted.length === 0) {
  console.log(`The code that meets the kernel is as it was when it was tried on ${asked.versions.join(', ')}.`)
  process.exit(0)
}
const code = codeNow(root)
if (asked.record && code === undefined)
  fail('--record: this needs git, and no uncommitted changes in the code that meets the kernel: commit them first')
for (const program of ['qemu-system-x86_64', 'busybox', 'xz', 'dpkg-deb'])
  if (!hasProgram(program))
    fail(`${program} is missing: apt-get install --no-install-recommends qemu-system-x86 busybox-static xz-utils`)

await compile()
// One after the other, and before the guests: apt has one state.
const kernels = wanted.map(version => ({ version, kernel: debianKernel(version, cache) }))
const atOnce = Math.max(1, Math.min(availableParallelism(), Math.floor(freemem() / 2 ** 20 / GUEST_MEMORY_MIB)))
const columns: Column[] = []
await inOrder(
  kernels,
  atOnce,
  ({ version, kernel }) => tryOn(version, kernel).catch(error => notTried(version, error)),
  column => {
    console.log(column.text)
    columns.push(column)
  },
)
if (columns.some(({ found }) => found.size > 0)) table()
const wrong = columns.reduce((sum, column) => sum + column.wrong, 0)
console.log(wrong === 0 ? 'As README says on each.' : `${wrong} not as README says.`)
if (asked.record && wrong === 0) {
  const releases = Object.fromEntries(kernels.map(({ version, kernel }) => [version, kernel.release]))
  note(root, noted(code!, releases, lastTried(root)))
}
process.exitCode = wrong === 0 ? 0 : 1

/** Runs the parts on one kernel. */
async function tryOn(version: string, kernel: Kernel): Promise<Column> {
  const { name, lacks } = all[version] ?? { name: '', lacks: [] }
  const lines = [`\n== Linux ${kernel.release}${name === '' ? '' : `, ${name}`}`]
  const found = new Map<RowName, Found>()
  let wrong = 0
  for (const part of asked.parts) {
    let run = await runPart(version, kernel, part)
    if (part === 'trial') {
      lines.push(...take(run.stdout, found))
      const first = wrongRows(found, lacks)
      if (first.length > 0) {
        // As tests of networks in CI: what is right the second time is named, since it has a cause.
        const each = first.map(row => `${ROWS[row]} (${found.get(row)?.shown ?? 'nothing'})`)
        lines.push(`trial: ${run.seconds} s, tried again for: ${each.join('; ')}`)
        run = await runPart(version, kernel, part)
        lines.push(...take(run.stdout, found))
      }
    } else {
      lines.push(run.stdout)
      // Each test skips what the kernel lacks, and all of them skip without the addon.
      if (/^0 passed/m.test(run.stdout)) {
        wrong++
        lines.push('No test ran: build the addon of this checkout (npm run build:native).')
      }
    }
    if (run.status !== 0) {
      wrong++
      lines.push(`${part}: ${run.status}`, run.stdout.slice(-2000), run.stderr.slice(-4000))
    }
    if (run.oopses !== '') lines.push(`the kernel itself:\n${run.oopses}`)
    lines.push(`${part}: ${run.seconds} s`)
  }
  if (asked.parts.includes('trial')) {
    wrong += wrongRows(found, lacks).length
    for (const row of rows) {
      const each = found.get(row)
      const verdict = verdictOf(each, lacks.includes(row))
      lines.push(`${verdict.padEnd(7)} ${ROWS[row]}: ${each?.shown ?? 'nothing found out'}`)
    }
  }
  return { title: version, text: lines.join('\n'), found, wrong }
}

function notTried(version: string, error: Error): Column {
  return { title: version, text: `\n== Linux ${version}: not tried: ${error.stack}`, found: new Map(), wrong: 1 }
}

function runPart(version: string, kernel: Kernel, part: Part): Promise<GuestRun> {
  const out = join(root, 'build-kernels/out', `${version}-${part}`)
  const limitSeconds = part === 'trial' && asked.brief ? BRIEF_LIMIT_SECONDS : LIMIT_SECONDS[part]
  return runInGuest(kernel, commandOf(part), { directory: root, out, limitSeconds })
}

/** Takes the rows that a trial printed. @returns what doctor said there */
function take(output: string, found: Map<RowName, Found>): string[] {
  for (const line of output.split('\n')) {
    if (!line.startsWith('{')) continue
    const each = JSON.parse(line) as Found
    found.set(each.row, each)
  }
  return output.match(/^# .*$/gm) ?? []
}

function wrongRows(found: ReadonlyMap<RowName, Found>, lacks: readonly string[]): RowName[] {
  return rows.filter(row => verdictOf(found.get(row), lacks.includes(row)) === 'WRONG')
}

function verdictOf(found: Found | undefined, lacks: boolean): 'good' | 'lacks' | 'WRONG' {
  if (found?.good) return lacks ? 'WRONG' : 'good'
  return lacks && found !== undefined ? 'lacks' : 'WRONG'
}

function table(): void {
  console.log(`\n| | ${columns.map(({ title }) => title).join(' | ')} |\n|${'---|'.repeat(columns.length + 1)}`)
  for (const row of rows)
    console.log(`| ${ROWS[row]} | ${columns.map(({ found }) => found.get(row)?.shown ?? '–').join(' | ')} |`)
}

function commandOf(part: Part): string[] {
  const trial = join(compiled, 'scripts/kernels/trial.js')
  if (part === 'trial') return [process.execPath, trial, ...(asked.brief ? ['brief'] : [])]
  const vitest = [
    'node_modules/vitest/vitest.mjs',
    'run',
    '--maxWorkers=1',
    '--testTimeout=90000',
    '--hookTimeout=90000',
  ]
  return [
    'env',
    'ATSSS_TESTS_COMPILED=1',
    process.execPath,
    ...vitest,
    ...(asked.tests.length > 0 ? asked.tests : TESTS),
  ]
}

/** Compiles the guest's programs here, because the guest would need minutes. */
async function compile(): Promise<void> {
  if (asked.parts.includes('tests')) await compileTests()
  await build({
    absWorkingDir: root,
    entryPoints: ['trial', 'device', 'server'].map(name => `scripts/kernels/${name}.ts`),
    outdir: compiled,
    outbase: '.',
    platform: 'node',
    format: 'esm',
    target: 'node20',
    logLevel: 'error',
  })
  for (const name of ['package.json', 'dist', 'build'])
    if (!existsSync(join(compiled, name))) symlinkSync(join(root, name), join(compiled, name))
}

function argumentsOrExit(): ReturnType<typeof readArguments> {
  try {
    return readArguments(process.argv.slice(2), Object.keys(all))
  } catch (error) {
    if (error instanceof UsageError) return fail(error.message)
    throw error
  }
}

function fail(why: string): never {
  console.error(why)
  process.exit(2)
}
