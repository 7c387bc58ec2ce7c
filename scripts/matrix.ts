/**
 * Runs tests on every supported Node, or on the named ones:
 *
 *   npm run matrix [-- 22 24] [-- arguments of vitest]
 *
 * Without arguments of vitest, it runs the tests that depend on Node itself. npm installs the Nodes into build-nodes/, except the one
 * that runs this script.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../', import.meta.url))
const NODES = ['20', '22', '24', '26']

/** The unit tests that depend on Node itself. The others test pure functions or other programs. */
const UNIT = [
  'agents',
  'application',
  'conformance',
  'preload',
  'session',
  'socket',
  'runtime/kernel/two-copies.test.ts',
  'runtime/stream',
]

/** They take long, and meet the kernel more than Node. */
const LEFT_OUT = ['test/socket/many.test.ts', 'test/session/netlink-refused.test.ts']

/** The other tests in test/netns/ are about the kernel, the policy and the converter. */
const NETNS = ['register', 'register-session'].map(name => `test/netns/${name}.test.ts`)

const [named, given] = split(process.argv.slice(2))
const results = named.map(major => {
  const node = install(major)
  const version = execFileSync(node, ['--version'], { encoding: 'utf8' }).trim()
  console.log(`\n== Node ${version}`)
  const start = Date.now()
  const passed = vitest(node, given.length > 0 ? given : ofNodeItself())
  return { version, passed, seconds: Math.round((Date.now() - start) / 1000) }
})
for (const { version, passed, seconds } of results)
  console.log(`Node ${version}: ${passed ? 'passed' : 'FAILED'} in ${seconds} s`)
process.exitCode = results.every(({ passed }) => passed) ? 0 : 1

function ofNodeItself(): string[] {
  const paths = [...UNIT.map(name => `test/${name}`), ...NETNS]
  for (const path of [...paths, ...LEFT_OUT])
    if (!existsSync(join(root, path)))
      throw new Error(`scripts/matrix.ts lists ${path}, which does not exist: correct the list`)
  return ['--project', 'unit', '--project', 'netns', ...paths.flatMap(testsIn).filter(path => !LEFT_OUT.includes(path))]
}

function testsIn(path: string): string[] {
  if (path.endsWith('.ts')) return [path]
  const names = readdirSync(join(root, path), { recursive: true, encoding: 'utf8' })
  return names.filter(name => name.endsWith('.test.ts')).map(name => `${path}/${name}`)
}

function vitest(node: string, args: string[]): boolean {
  // Programs that tests start as `node` use this Node too.
  const env = { ...process.env, PATH: `${dirname(node)}${delimiter}${process.env.PATH}` }
  return (
    spawnSync(node, ['node_modules/vitest/vitest.mjs', 'run', ...args], { cwd: root, env, stdio: 'inherit' }).status ===
    0
  )
}

/** The path of a Node binary of this major version. */
function install(major: string): string {
  if (process.versions.node.startsWith(`${major}.`)) return process.execPath
  const folder = join(root, 'build-nodes', major)
  const name = `node-${process.platform}-${process.arch === 'arm' ? 'armv7l' : process.arch}`
  const node = join(folder, 'node_modules', name, 'bin/node')
  if (!existsSync(node)) {
    mkdirSync(folder, { recursive: true })
    const options = ['--prefix', folder, '--no-save', '--ignore-scripts', '--no-audit', '--no-fund', '--silent']
    execFileSync('npm', ['install', ...options, `${name}@${major}`], { stdio: 'inherit' })
  }
  return node
}

/** The named Nodes, or all; and the arguments of vitest. */
function split(args: string[]): [string[], string[]] {
  const end = args.findIndex(arg => !NODES.includes(arg))
  const names = end < 0 ? args : args.slice(0, end)
  return [names.length > 0 ? names : NODES, end < 0 ? [] : args.slice(end).filter(arg => arg !== '--')]
}
