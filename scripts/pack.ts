/**
 * Makes the package's tarball, with prebuilt binaries:
 *
 *   npm run pack [-- linux-x64 ...]
 *
 * for the systems that scripts/prebuilds.ts knows. It fails if publint or arethetypeswrong finds a fault in the tarball.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../', import.meta.url))
const run = (command: string, ...args: string[]) =>
  execFileSync(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] })

// Remove old output: binaries of another version, and modules that have been renamed since.
for (const folder of ['prebuilds', 'dist']) rmSync(`${root}${folder}`, { recursive: true, force: true })
run(process.execPath, '--import', 'tsx', 'scripts/prebuilds.ts', ...process.argv.slice(2))
run('npm', 'run', '--silent', 'build:lib')
// Skip `prepare`, which would build everything again.
run('npm', 'pack', '--silent', '--ignore-scripts')

const { name, version } = JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as { name: string; version: string }
const tarball = `${name}-${version}.tgz`
run('node_modules/.bin/publint', 'run', tarball, '--strict')
// The package has ES modules only: require() loads them on every supported Node.
run('node_modules/.bin/attw', tarball, '--profile', 'node16', '--ignore-rules', 'cjs-resolves-to-esm', '--quiet')
