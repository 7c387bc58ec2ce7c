/**
 * npm's script `prepare`: builds a checkout, at `npm install`. `npx atsss` in a checkout runs it too, once for each user, and shows
 * nothing of it: then what `npm install` has built is used as it is. It must not fail there: npx would never work again for that user.
 */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../', import.meta.url))
const isBuilt = ['dist/cli/main.js', 'build/Release/atsss.node'].every(file => existsSync(`${root}${file}`))

if (process.env.npm_command !== 'exec' || !isBuilt) {
  const { status } = spawnSync('npm', ['run', 'build'], { cwd: root, stdio: 'inherit' })
  process.exitCode = status ?? 1
}
