/**
 * Makes the package's prebuilt binaries, the addon, the steering helper and the link emulator, for the named systems, or for those for which Debian has
 * compilers:
 *
 *   npm run prebuilds [-- linux-x64 linux-arm64 linux-arm linuxmusl-x64 linuxmusl-arm64]
 *
 * into prebuilds/SYSTEM/. The names are Node's platform, `musl` if that is the C library, and Node's arch.
 * For musl, `ZIG` has to name a zig compiler (0.11 was tried).
 */
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { newerThan, versionsNeeded } from './glibc-versions.js'

const SYSTEMS = {
  'linux-x64': { compiler: 'x86_64-linux-gnu-g++', from: 'g++' },
  'linux-arm64': { compiler: 'aarch64-linux-gnu-g++', from: 'g++-aarch64-linux-gnu' },
  'linux-arm': { compiler: 'arm-linux-gnueabihf-g++', from: 'g++-arm-linux-gnueabihf' },
  'linuxmusl-x64': { compiler: process.env.ZIG ?? 'zig', zig: 'x86_64-linux-musl', from: 'ZIG=/where/it/is/zig' },
  'linuxmusl-arm64': { compiler: process.env.ZIG ?? 'zig', zig: 'aarch64-linux-musl', from: 'ZIG=/where/it/is/zig' },
}
type System = keyof typeof SYSTEMS

const root = fileURLToPath(new URL('../', import.meta.url))
const require = createRequire(import.meta.url)

/** Node 20 and later need this version themselves. */
const GLIBC = '2.28'

const asked = process.argv.slice(2)
for (const name of asked.length > 0 ? asked : Object.keys(SYSTEMS).filter(name => !name.includes('musl'))) {
  if (!(name in SYSTEMS)) fail(`unknown system ${name}: there are ${Object.keys(SYSTEMS).join(', ')}`)
  build(name as System)
}

function build(name: System): void {
  const { compiler, from, ...system } = SYSTEMS[name]
  const found = run('sh', ['-c', 'command -v "$0" || true', compiler]).trim()
  if (found === '') fail(`${name} needs the compiler ${compiler}, which is not installed: it is in ${from}`)

  const folder = join(root, `build-prebuilt/${name}`)
  // CMake's cache may be of another compiler.
  rmSync(folder, { recursive: true, force: true })
  const headers = [require('node-api-headers').include_dir, dirname(require.resolve('node-addon-api'))]
  run('cmake', [
    ...['-S', join(root, 'native'), '-B', folder],
    ...['-D', 'PREBUILT=ON', '-D', 'CMAKE_BUILD_TYPE=Release', '-D', `CMAKE_JS_INC=${headers.join(';')}`],
    // Compile all sources of a binary as one: it takes half the time, most of which goes into headers.
    ...['-D', 'CMAKE_UNITY_BUILD=ON'],
    // With a system name CMake cross-compiles, and runs nothing that it has built.
    ...['-D', 'CMAKE_SYSTEM_NAME=Linux', '-D', `CMAKE_CXX_COMPILER=${found}`],
    ...('zig' in system ? ['-D', `CMAKE_CXX_COMPILER_ARG1=c++ -target ${system.zig}`] : []),
  ])
  run('cmake', ['--build', folder, '--parallel'])

  const into = join(root, 'prebuilds', name)
  rmSync(into, { recursive: true, force: true })
  mkdirSync(into, { recursive: true })
  for (const file of ['atsss.node', 'atsss-helper', 'link-emulator'])
    copyFileSync(join(folder, 'Release', file), join(into, file))
  for (const file of readdirSync(into)) {
    const needed = versionsNeeded(run('readelf', ['--version-info', '--wide', join(into, file)]))
    const newest = needed.at(-1)
    if (newest !== undefined && newerThan(newest, GLIBC))
      fail(
        `${name}/${file} needs glibc ${newest}, but may need ${GLIBC} at most: wrap the newer functions in native/addon/old-glibc.cc`,
      )
    console.log(`prebuilds/${name}/${file}${newest === undefined ? '' : `: glibc ${newest}`}`)
  }
}

function run(command: string, args: string[]): string {
  try {
    return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 1 << 26 })
  } catch (error) {
    const { stdout = '', stderr = '', message } = error as Error & { stdout?: string; stderr?: string }
    return fail(`${message}\n${stdout}${stderr}`)
  }
}

function fail(why: string): never {
  console.error(why)
  process.exit(1)
}
