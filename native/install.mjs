/**
 * What `npm install atsss` runs: nothing where the package has a binary that loads, node-gyp elsewhere on Linux.
 * It never fails: without an addon `import 'atsss'` works as well, and `isSupported()` says what is missing.
 */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../', import.meta.url))

// A checkout is built by its `prepare`.
if (process.platform === 'linux' && !existsSync(`${root}tsconfig.json`)) {
  const why = await addonFails()
  if (why !== undefined) build(why)
}

/** Why there is no addon, as the library itself says it; `undefined` when one loads. */
async function addonFails() {
  try {
    const { native } = await import('../dist/runtime/kernel/native.js')
    native()
    return undefined
  } catch (error) {
    return error.message
  }
}

function build(why) {
  // npm names the node-gyp that it brings; other package managers have one on the PATH of their scripts, or none.
  const gyp = process.env.npm_config_node_gyp
  const [command, args] = gyp ? [process.execPath, [gyp, 'rebuild']] : ['node-gyp', ['rebuild']]
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' })
  if (status === 0) return
  console.error(
    `atsss: ${why.split('\n')[0]}\n` +
      `atsss: ${error ? error.message : `${command} ${args.join(' ')} ended with ${status}`}. Installed without an addon: ` +
      'import works, isSupported() is false, and connections fail with ERR_ATSSS_ADDON.\n' +
      'atsss: once a C++ compiler, make and python3 are there, "npm rebuild atsss" builds it.',
  )
}
