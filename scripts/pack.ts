/**
 * Makes the package's tarball, with prebuilt binaries:
 *
 *   npm run pack [-- linux-x64 ...]
 *
 * for the systems that scripts/prebuilds.ts knows. If it fails, prebuilds/ and dist/ are as they were before. It fails if publint or arethetypeswrong finds a fault in the tarball.
 */
import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../', import.meta.url))
const run = (command: string, ...args: string[]) =>
  execFileSync(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] })

// Without old output: binaries of another version, and modules that have been renamed since.
remade('prebuilds', () => run(process.execPath, '--import', 'tsx', 'scripts/prebuilds.ts', ...process.argv.slice(2)))
remade('dist', () => run('npm', 'run', '--silent', 'build:lib'))
// Skip `prepare`, which would build everything again.
run('npm', 'pack', '--silent', '--ignore-scripts')

const { name, version } = JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as { name: string; version: string }
const tarball = `${name}-${version}.tgz`
run('node_modules/.bin/publint', 'run', tarball, '--strict')
// The package has ES modules only: require() loads them on every supported Node.
run('node_modules/.bin/attw', tarball, '--profile', 'node16', '--ignore-rules', 'cjs-resolves-to-esm', '--quiet')

/** Makes a folder again. If that fails, the program ends, and the folder is the one that was there. */
function remade(folder: string, make: () => void): void {
  const [path, before] = [`${root}${folder}`, `${root}build-before-${folder}`]
  if (!existsSync(before) && existsSync(path)) renameSync(path, before) // else an interrupted run has left it
  rmSync(path, { recursive: true, force: true })
  try {
    make()
  } catch {
    rmSync(path, { recursive: true, force: true })
    if (existsSync(before)) renameSync(before, path)
    process.exit(1) // what has failed has said why
  }
  rmSync(before, { recursive: true, force: true })
}
