/** `npm run pack`, where something fails or stops it: what was built before is still there. The tools are stand-ins. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, test } from 'vitest'

const root = fileURLToPath(new URL('../../', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'atsss-pack-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** A checkout that has been built, in which `npm run build:lib` is this command. */
function checkout(buildLib: string): string {
  const made = mkdtempSync(join(folder, 'checkout-'))
  cpSync(join(root, 'scripts'), join(made, 'scripts'), { recursive: true })
  symlinkSync(join(root, 'node_modules'), join(made, 'node_modules'))
  const manifest = { name: 'atsss', version: '0.0.0', type: 'module', scripts: { 'build:lib': buildLib } }
  writeFileSync(join(made, 'package.json'), JSON.stringify(manifest))
  for (const built of ['dist/cli/main.js', 'prebuilds/linux-x64/atsss.node']) {
    mkdirSync(join(made, built, '..'), { recursive: true })
    writeFileSync(join(made, built), 'built before')
    chmodSync(join(made, built), 0o755)
  }
  return made
}

/** A compiler, CMake and readelf that make files without compiling anything. */
const tools = join(folder, 'tools')
mkdirSync(tools)
for (const [name, text] of [
  ['x86_64-linux-gnu-g++', ''],
  ['readelf', ''],
  [
    'cmake',
    '[ "$1" = --build ] || exit 0\nmkdir -p "$2/Release" && cd "$2/Release" && touch atsss.node atsss-helper link-emulator',
  ],
] as const)
  writeFileSync(join(tools, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 })

const asBefore = (made: string) => {
  expect(statSync(join(made, 'dist/cli/main.js')).mode & 0o777).toBe(0o755)
  expect(existsSync(join(made, 'prebuilds/linux-x64/atsss.node'))).toBe(true)
}
const pack = ['--import', 'tsx', 'scripts/pack.ts', 'linux-x64']
const env = { ...process.env, PATH: `${tools}${delimiter}${process.env.PATH}` }

test('when the build fails', () => {
  const made = checkout('echo no such type >&2; exit 3')
  const { status, stderr } = spawnSync(process.execPath, pack, { cwd: made, env, encoding: 'utf8' })
  expect([status, stderr]).toEqual([1, 'no such type\n'])
  asBefore(made)
  expect(readdirSync(made).sort()).toEqual(['dist', 'node_modules', 'package.json', 'prebuilds', 'scripts'])
})

test('when it is killed', async () => {
  const made = checkout('echo building; exec sleep 60')
  const child = spawn(process.execPath, pack, { cwd: made, env, detached: true, stdio: ['ignore', 'pipe', 'inherit'] })
  for await (const line of createInterface(child.stdout)) if (line === 'building') break
  const ended = once(child, 'exit')
  process.kill(-child.pid!, 'SIGKILL') // nothing can be put back
  await ended
  asBefore(made)
})
