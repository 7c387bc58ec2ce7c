/**
 * What the package costs a device: disk, memory, and processor time at the start; README has the figures. `npm run build` before.
 *
 *   npx tsx scripts/footprint.ts [TARBALL]
 *
 * With a tarball, its size and what it takes when it is installed. Each program is run five times; the median counts.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

const RUNS = 5
const REGISTER = './dist/preload/register.js'
const ACCESSES = `{ '3gpp': 'nowhere0', 'non-3gpp': 'lo' }`

/** Ends each program: what it has used, once it has come to rest. */
const REPORT = `setTimeout(() => {
  const { user, system } = process.cpuUsage()
  console.log(JSON.stringify({ rss: process.memoryUsage.rss(), cpu: (user + system) / 1000 }))
  process.exit()
}, 500)`

/** By what it does: arguments of Node. Each has loaded Node's own net, as any program with connections has. */
const PROGRAMS: Record<string, string[]> = {
  'Node alone': ['-e', `import('node:net').then(() => { ${REPORT} })`],
  "import 'atsss'": ['-e', `import('./dist/index.js').then(() => { ${REPORT} })`],
  '--import atsss/register, no session': ['--import', REGISTER, '-e', REPORT],
  'a session, inline': ['-e', session(`{ accesses: ${ACCESSES}, controller: 'inline' }`)],
  'a session (with its worker thread)': ['-e', session(`{ accesses: ${ACCESSES} }`)],
}

function session(options: string): string {
  return `import('./dist/index.js').then(async ({ MaPduSession }) => { await new MaPduSession(${options}).ready; ${REPORT} })`
}

interface Used {
  /** Bytes. */
  rss: number
  /** Milliseconds. */
  cpu: number
}

const [tarball] = process.argv.slice(2)
if (tarball !== undefined) onDisk(resolve(tarball))
const [base, ...others] = Object.entries(PROGRAMS).map(([name, args]) => ({ name, ...used(args) }))
console.log(
  `${base!.name}: ${megabytes(base!.rss)} resident, ${base!.cpu.toFixed(0)} ms of processor time at the start`,
)
for (const { name, rss, cpu } of others)
  console.log(`${name}: ${megabytes(rss - base!.rss)} and ${(cpu - base!.cpu).toFixed(0)} ms more`)

function used(args: readonly string[]): Used {
  const env = { ...process.env, ATSSS_CONFIG: '{}', NODE_OPTIONS: '' }
  const runs = Array.from(
    { length: RUNS },
    () => JSON.parse(execFileSync(process.execPath, args, { env, encoding: 'utf8' })) as Used,
  )
  const median = (of: (run: Used) => number) => runs.map(of).sort((a, b) => a - b)[Math.floor(RUNS / 2)]!
  return { rss: median(({ rss }) => rss), cpu: median(({ cpu }) => cpu) }
}

function onDisk(file: string): void {
  const folder = mkdtempSync(join(tmpdir(), 'atsss-footprint-'))
  try {
    const options = ['--prefix', folder, '--omit=dev', '--ignore-scripts', '--no-audit', '--no-fund', '--silent']
    execFileSync('npm', ['install', ...options, file], { stdio: ['ignore', 'ignore', 'inherit'] })
    const [kib] = execFileSync('du', ['-sk', join(folder, 'node_modules')], { encoding: 'utf8' }).split('\t')
    console.log(`${megabytes(statSync(file).size)} to download, ${megabytes(Number(kib) * 1024)} installed`)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`
}
