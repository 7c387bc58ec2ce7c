/**
 * Makes the package's prebuilt binaries, the addon, the steering helper and the link emulator, for the named systems. If none is
 * named: for those whose compiler is installed; with --all it fails if one is not.
 *
 *   npm run prebuilds [-- --all | linux-x64 linux-arm64 linux-arm linuxmusl-x64 linuxmusl-arm64]
 *
 * into prebuilds/SYSTEM/. The names are Node's platform, `musl` if that is the C library (as on Alpine), and Node's arch.
 * Debian has no C++ compiler for musl: those systems count only if `ZIG` names a zig compiler (0.11 was tried).
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

for (const name of wanted(process.argv.slice(2))) build(name)

function wanted(asked: readonly string[]): System[] {
  const unknown = asked.find(name => !(name in SYSTEMS) && name !== '--all')
  if (unknown !== undefined) fail(`unknown system ${unknown}: there are ${Object.keys(SYSTEMS).join(', ')}`)
  const named = asked.filter(name => name !== '--all') as System[]
  const usual = (Object.keys(SYSTEMS) as System[]).filter(name => !name.includes('musl') || process.env.ZIG)
  const systems = named.length > 0 ? named : usual
  const missing = systems.filter(name => compilerOf(name) === '')
  const told = missing.map(
    name => `${name} needs the compiler ${SYSTEMS[name].compiler}, which is in ${SYSTEMS[name].from}`,
  )
  if (missing.length > 0 && (asked.length > 0 || missing.length === systems.length)) fail(told.join('\n'))
  for (const line of told) console.log(`left out: ${line}`)
  return systems.filter(name => !missing.includes(name))
}

function compilerOf(name: System): string {
  return run('sh', ['-c', 'command -v "$0" || true', SYSTEMS[name].compiler]).trim()
}

function build(name: System): void {
  const { compiler: _, from: __, ...system } = SYSTEMS[name]
  const found = compilerOf(name)

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
