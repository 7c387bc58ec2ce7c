/** Where the C library is musl, as on Alpine: which addon is looked for, and what is said without one. */
import { spawnSync } from 'node:child_process'
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, expect, test } from 'vitest'

const folder = mkdtempSync(join(tmpdir(), 'atsss-musl-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** A library whose name is that of musl's loader, so that a process of glibc seems to have it. */
function loader(): string {
  const [, library] = /(\/\S+\/libm[.-]\S*)$/m.exec(readFileSync('/proc/self/maps', 'latin1')) ?? []
  const path = join(folder, 'ld-musl-x86_64.so.1')
  copyFileSync(library!, path)
  return path
}

test('the addon for musl is looked for, and how to build it on Alpine is said', () => {
  const installed = join(folder, 'node_modules/atsss')
  mkdirSync(installed, { recursive: true })
  for (const name of ['dist', 'package.json']) cpSync(resolve(name), join(installed, name), { recursive: true })
  symlinkSync(resolve('node_modules/eventemitter3'), join(folder, 'node_modules/eventemitter3'))
  const said = (variables: NodeJS.ProcessEnv) => {
    const { ATSSS_ADDON: _, LD_PRELOAD: __, ...env } = process.env
    const program = `import('atsss').then(({ isSupported }) => console.log(isSupported().reason))`
    return spawnSync(process.execPath, ['-e', program], {
      cwd: folder,
      env: { ...env, ...variables },
      encoding: 'utf8',
    }).stdout
  }
  const there = said({ LD_PRELOAD: loader() })
  expect(there).toMatch(/^no native addon for linuxmusl-\w+: .*; on Alpine: apk add build-base linux-headers python3\)/)
  expect(there).toContain(`/prebuilds/linuxmusl-${process.arch}/atsss.node`)
  expect(said({})).toMatch(/^no native addon for linux-\w+: (?!.*Alpine)/)
})
