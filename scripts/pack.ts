/**
 * Makes the package's tarball, with prebuilt binaries for the systems that scripts/prebuilds.ts knows:
 *
 *   npm run pack [-- --all | linux-x64 ...]
 *
 * Everything is built in a copy of the checkout, in build-pack/, so dist/ and prebuilds/ stay as they are whatever happens. It fails
 * if publint or arethetypeswrong finds a fault in the tarball.
 */
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../', import.meta.url))
// Inside the checkout: what runs there finds the node_modules of the checkout.
const copy = `${root}build-pack`
process.on('exit', () => rmSync(copy, { recursive: true, force: true }))

copySources()
run(copy, process.execPath, '--import', 'tsx', 'scripts/prebuilds.ts', ...process.argv.slice(2))
run(copy, 'npm', 'run', '--silent', 'build:lib')
// Skip `prepare`, which would build everything again.
run(copy, 'npm', 'pack', '--silent', '--ignore-scripts', '--pack-destination', root)

const { name, version } = JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as { name: string; version: string }
const tarball = `${name}-${version}.tgz`
run(root, 'node_modules/.bin/publint', 'run', tarball, '--strict')
// The package has ES modules only: require() loads them on every supported Node.
run(root, 'node_modules/.bin/attw', tarball, '--profile', 'node16', '--ignore-rules', 'cjs-resolves-to-esm', '--quiet')

/** Not what was built, and nothing hidden. */
function copySources(): void {
  rmSync(copy, { recursive: true, force: true })
  mkdirSync(copy)
  for (const each of readdirSync(root))
    if (!/^(\..*|build.*|dist|prebuilds|node_modules|coverage|reference|demo-report)$|\.tgz$/.test(each))
      cpSync(`${root}${each}`, `${copy}/${each}`, { recursive: true })
}

function run(folder: string, command: string, ...args: string[]): void {
  try {
    execFileSync(command, args, { cwd: folder, stdio: ['ignore', 'inherit', 'inherit'] })
  } catch {
    process.exit(1) // what has failed has said why
  }
}
