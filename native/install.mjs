/**
 * `npm install atsss` runs this script. If no prebuilt binary of the package loads, it builds the addon with node-gyp, on Linux only.
 * It never fails: without the addon `import 'atsss'` still works, and `isSupported()` says what is missing.
 */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../', import.meta.url))

// In a checkout, the script `prepare` builds it.
if (process.platform === 'linux' && !existsSync(`${root}tsconfig.json`)) {
  const why = await addonFails()
  if (why !== undefined) build(why)
}

/** Why no addon loads, in the library's own words; `undefined` if one does. */
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
  // npm names its own node-gyp. Other package managers put one on the PATH of their scripts, or have none.
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
