import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { functions } from '../support/native-addon.js'
import { requires } from '../support/requires.js'

const root = fileURLToPath(new URL('../../', import.meta.url))

/** In copies of what is published for it: the checkout's own build is left alone. */
const copies: string[] = []
afterAll(() => {
  for (const copy of copies) rmSync(copy, { recursive: true })
})

function copy(): string {
  const folder = mkdtempSync(join(tmpdir(), 'atsss-build-'))
  copies.push(folder)
  cpSync(join(root, 'native'), join(folder, 'native'), { recursive: true })
  for (const file of ['binding.gyp', 'package.json']) cpSync(join(root, file), join(folder, file))
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  return folder
}

/** What a build leaves in build/Release, and what its addon exports. */
function built(folder: string, ...command: string[]) {
  const names = () => readdirSync(join(folder, 'native'), { recursive: true }) as string[]
  const sources = names()
  // Compilers need no sanitizer, if that is what these tests run under.
  const { LD_PRELOAD: _, ...env } = process.env
  const { status, stdout, stderr } = spawnSync(process.execPath, command, { cwd: folder, env, encoding: 'utf8' })
  if (status !== 0) throw new Error(`${command.join(' ')}\n${stdout}\n${stderr}`)
  const addon = join(folder, 'build/Release/atsss.node')
  return {
    addon: existsSync(addon),
    emulator: existsSync(join(folder, 'build/Release/link-emulator')),
    helper: existsSync(join(folder, 'build/Release/atsss-helper')),
    besideTheSources: names().filter(name => !sources.includes(name)),
    functions: JSON.parse(
      execFileSync(process.execPath, ['-p', `JSON.stringify(Object.keys(require(${JSON.stringify(addon)})))`], {
        env,
        encoding: 'utf8',
      }),
    ) as string[],
  }
}

const complete = {
  addon: true,
  emulator: true,
  helper: true,
  besideTheSources: [],
  functions: expect.arrayContaining(functions),
}

describe('every source is in the list that both builds read', () => {
  const listed = JSON.parse(readFileSync(join(root, 'native/sources.json'), 'utf8')) as Record<string, string[]>
  test('and nothing else', () => {
    const there = (readdirSync(join(root, 'native'), { recursive: true }) as string[]).filter(name =>
      name.endsWith('.cc'),
    )
    expect(Object.values(listed).flat().sort()).toEqual(there.sort())
  })
})

describe('npm run build:native', () => {
  let result: ReturnType<typeof built>
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const [command, ...args] = scripts['build:native'].split(' ')

  const cmake = () => (spawnSync('cmake', ['--version']).error ? 'it is not there' : undefined)
  requires('CMake', cmake).describe('with CMake', () => {
    beforeAll(() => {
      expect(command).toBe('cmake-js')
      // In half the time: all sources of a file as one. `npm install` has made this checkout's one by one.
      const unity = '--CDCMAKE_UNITY_BUILD=ON'
      result = built(copy(), join(root, 'node_modules/.bin/cmake-js'), ...args, unity)
    }, 300_000)
    test('makes all files and functions, and nothing beside its sources', () => expect(result).toEqual(complete))
  })
})
