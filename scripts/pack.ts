/**
 * Makes the package's tarball, with prebuilt binaries inside:
 *
 *   npm run pack [-- linux-x64 ...]
 *
 * with the systems that scripts/prebuilds.ts takes. A tarball that publint or arethetypeswrong finds fault with is an error.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../', import.meta.url))
const run = (command: string, ...args: string[]) =>
  execFileSync(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] })

// Nothing of an earlier day: neither another version's binaries, nor the modules that have been renamed since.
for (const folder of ['prebuilds', 'dist']) rmSync(`${root}${folder}`, { recursive: true, force: true })
run(process.execPath, '--import', 'tsx', 'scripts/prebuilds.ts', ...process.argv.slice(2))
run('npm', 'run', '--silent', 'build:lib')
// `prepare` would build once more what is built.
run('npm', 'pack', '--silent', '--ignore-scripts')

const { name, version } = JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as { name: string; version: string }
const tarball = `${name}-${version}.tgz`
run('node_modules/.bin/publint', 'run', tarball, '--strict')
// ES modules, which require() takes on every Node that is supported.
run('node_modules/.bin/attw', tarball, '--profile', 'node16', '--ignore-rules', 'cjs-resolves-to-esm', '--quiet')
