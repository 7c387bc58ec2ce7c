/** `npm run prebuilds` where compilers are missing. */
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, test } from 'vitest'

const folder = mkdtempSync(join(tmpdir(), 'atsss-prebuilds-'))
afterAll(() => rmSync(folder, { recursive: true }))
// The only commands there: a shell, and a compiler for one processor. The build itself stops at the missing CMake.
for (const [name, text] of [
  ['sh', '#!/bin/sh\nexec /bin/sh "$@"\n'],
  ['x86_64-linux-gnu-g++', '#!/bin/sh\n'],
] as const) {
  writeFileSync(join(folder, name), text)
  chmodSync(join(folder, name), 0o755)
}

const prebuilds = (...args: string[]) => made(args)
const made = (args: string[], variables: NodeJS.ProcessEnv = {}) =>
  spawnSync(
    process.execPath,
    ['--import', 'tsx', fileURLToPath(new URL('../../scripts/prebuilds.ts', import.meta.url)), ...args],
    {
      env: { ...process.env, ZIG: '', ...variables, PATH: folder },
      encoding: 'utf8',
    },
  )

test('what has no compiler is left out, with a line; with --all, or named, it is a failure', () => {
  const some = prebuilds()
  expect(some.stdout).toContain(
    'left out: linux-arm64 needs the compiler aarch64-linux-gnu-g++, which is in g++-aarch64-linux-gnu',
  )
  expect(some.stdout).toContain('left out: linux-arm needs')
  expect(some.stdout).not.toContain('musl')
  expect(some.stderr).toContain('cmake ENOENT')
  expect(made([], { ZIG: '/no/zig' }).stdout).toContain('left out: linuxmusl-x64 needs the compiler /no/zig')
  for (const args of [['--all'], ['linux-arm64']]) {
    const { status, stdout, stderr } = prebuilds(...args)
    expect([status, stdout]).toEqual([1, ''])
    expect(stderr).toMatch(/^linux-arm64 needs the compiler/)
  }
}, 30_000)
