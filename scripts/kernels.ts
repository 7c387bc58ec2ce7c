/**
 * Tries the package on other kernels:
 *
 *   npm run kernels                          all of scripts/kernels/versions.json
 *   npm run kernels -- 6.1 newest            these; a version that is not in that file is fetched too
 *   npm run kernels -- 6.1 --only tests      the tests that depend on the kernel most, there
 *   npm run kernels -- 6.1 --test test/…     any tests, there
 *   npm run kernels -- --if-changed          nothing, unless code that meets the kernel has changed (CI)
 *
 * boots each kernel on emulated hardware (Debian's packages qemu-system-x86, busybox-static and xz-utils), and runs there, by
 * default, the trial: a lab in which each capability is tried, and doctor. It prints a table kernel × capability, and ends with
 * status 1 if something is not as README says. Needs a built checkout. Kernels are kept in `KERNELS_CACHE` (/var/tmp/atsss-kernels).
 */
import { existsSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { build } from 'esbuild'
import { compile as compileTests } from '../test/support/compile.js'
import { kernelFacingChanges } from './kernels/changed.js'
import { debianKernel, hasProgram, type Kernel } from './kernels/debian-kernel.js'
import { type GuestRun, runInGuest } from './kernels/guest.js'
import { type Found, ROWS, type RowName } from './kernels/rows.js'
import versions from './kernels/versions.json' with { type: 'json' }

const root = fileURLToPath(new URL('../', import.meta.url))
const cache = process.env.KERNELS_CACHE ?? '/var/tmp/atsss-kernels'
const compiled = join(root, 'build-kernels')

/** The parts that run in the guest, and the most seconds that each may take by this machine's clock. */
const PARTS = {
  trial: { limitSeconds: 1200 },
  tests: { limitSeconds: 2700 },
} as const
type Part = keyof typeof PARTS

/** The tests that depend on the kernel most. */
const TESTS = ['path-manager', 'path-manager-kernel', 'sampler', 'convert-round-trips', 'session-levels'].map(
  name => `test/netns/${name}.test.ts`,
)

interface Version {
  name: string
  /** The rows that README says this kernel does not support. */
  lacks: readonly string[]
}

const { values, positionals } = parseArgs({
  args: process.argv.slice(2),
  allowPositionals: true,
  options: {
    only: { type: 'string', multiple: true },
    test: { type: 'string', multiple: true, default: [] },
    'if-changed': { type: 'boolean' },
  },
})
const parts = (values.only ?? (values.test.length > 0 ? ['tests'] : ['trial'])).map(part => {
  if (part in PARTS) return part as Part
  return fail(`--only takes ${Object.keys(PARTS).join(', ')}; it is '${part}'`)
})
const all = versions as Record<string, Version>
const newest = Object.keys(all).at(-1)!
const asked = positionals.length > 0 ? positionals.map(name => (name === 'newest' ? newest : name)) : Object.keys(all)
if (values['if-changed']) {
  const changed = kernelFacingChanges(root)
  if (changed?.length === 0) {
    console.log('No code that meets the kernel has changed: nothing to try.')
    process.exit(0)
  }
  console.log(`Changed: ${changed === undefined ? 'not known' : `${changed.length} files, ${changed[0]} and others`}`)
}
for (const program of ['qemu-system-x86_64', 'busybox', 'xz', 'dpkg-deb'])
  if (!hasProgram(program))
    fail(`${program} is missing: apt-get install --no-install-recommends qemu-system-x86 busybox-static xz-utils`)

await compile()
const columns: { title: string; found: Map<RowName, Found> }[] = []
let wrong = 0
for (const version of asked) {
  const kernel = debianKernel(version, cache)
  const { name, lacks } = all[version] ?? { name: '', lacks: [] }
  console.log(`\n== Linux ${kernel.release}${name === '' ? '' : `, ${name}`}`)
  const found = new Map<RowName, Found>()
  columns.push({ title: version, found })
  for (const part of parts) {
    let run = await runPart(version, kernel, part)
    if (part === 'trial') {
      take(run.stdout, found)
      const first = wrongRows(found, lacks)
      if (first.length > 0) {
        // As tests of networks in CI: what is right the second time is named, since it has a cause.
        console.log(
          `tried again for: ${first.map(row => `${ROWS[row]} (${found.get(row)?.shown ?? 'nothing'})`).join('; ')}`,
        )
        run = await runPart(version, kernel, part)
        take(run.stdout, found)
      }
    } else console.log(run.stdout)
    if (run.status !== 0) {
      wrong++
      console.log(`${part}: ${run.status}\n${run.stdout.slice(-2000)}\n${run.stderr.slice(-4000)}`)
    }
    if (run.oopses !== '') console.log(`the kernel itself:\n${run.oopses}`)
    console.log(`${part}: ${run.seconds} s`)
  }
  if (!parts.includes('trial')) continue
  wrong += wrongRows(found, lacks).length
  for (const row of Object.keys(ROWS) as RowName[]) {
    const each = found.get(row)
    console.log(`${verdictOf(each, lacks.includes(row)).padEnd(7)} ${ROWS[row]}: ${each?.shown ?? 'nothing found out'}`)
  }
}
if (columns.some(({ found }) => found.size > 0)) table()
console.log(wrong === 0 ? 'As README says on each.' : `${wrong} not as README says.`)
process.exitCode = wrong === 0 ? 0 : 1

function runPart(version: string, kernel: Kernel, part: Part): Promise<GuestRun> {
  const out = join(root, 'build-kernels/out', `${version}-${part}`)
  return runInGuest(kernel, commandOf(part), { directory: root, out, ...PARTS[part] })
}

/** The rows that a trial printed, and what doctor said there. */
function take(output: string, found: Map<RowName, Found>): void {
  for (const each of rowsOf(output)) found.set(each.row, each)
  console.log((output.match(/^# .*$/gm) ?? []).join('\n'))
}

function wrongRows(found: ReadonlyMap<RowName, Found>, lacks: readonly string[]): RowName[] {
  return (Object.keys(ROWS) as RowName[]).filter(row => verdictOf(found.get(row), lacks.includes(row)) === 'WRONG')
}

function verdictOf(found: Found | undefined, lacks: boolean): 'good' | 'lacks' | 'WRONG' {
  if (found?.good) return lacks ? 'WRONG' : 'good'
  return lacks && found !== undefined ? 'lacks' : 'WRONG'
}

function table(): void {
  console.log(`\n| | ${columns.map(({ title }) => title).join(' | ')} |\n|${'---|'.repeat(columns.length + 1)}`)
  for (const [row, title] of Object.entries(ROWS))
    console.log(`| ${title} | ${columns.map(({ found }) => found.get(row as RowName)?.shown ?? '–').join(' | ')} |`)
}

function rowsOf(output: string): Found[] {
  return output.split('\n').flatMap(line => (line.startsWith('{') ? [JSON.parse(line) as Found] : []))
}

function commandOf(part: Part): string[] {
  const trial = join(compiled, 'scripts/kernels/trial.js')
  if (part === 'trial') return ['sh', '-c', '"$0" "$1" userspace && "$0" "$1" kernel', process.execPath, trial]
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
    ...(values.test.length > 0 ? values.test : TESTS),
  ]
}

/** Compiles the guest's programs here, because the guest would need minutes. */
async function compile(): Promise<void> {
  if (parts.includes('tests')) await compileTests()
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

function fail(why: string): never {
  console.error(why)
  process.exit(2)
}
