/** The package without a binary for the system, which its install script then builds with node-gyp. */
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, expect } from 'vitest'
import { functions } from '../support/native-addon.js'
import { requires } from '../support/requires.js'

const root = fileURLToPath(new URL('../../', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'atsss-node-gyp-'))
afterAll(() => rmSync(folder, { recursive: true }))

const prefix = dirname(dirname(realpathSync(process.execPath)))
const gyp = join(prefix, 'lib/node_modules/npm/node_modules/node-gyp/bin/node-gyp.js')
const missing = () =>
  [gyp, join(prefix, 'include/node/node_api.h'), join(root, 'dist/index.js')]
    .filter(path => !existsSync(path))
    .map(path => `no ${path}`)
    .join(', ') || undefined

requires('node-gyp, the headers of this Node, and the built library', missing)(
  'both files are built, all functions are there',
  () => {
    const { files } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { files: string[] }
    for (const file of ['package.json', ...files.filter(name => name !== 'prebuilds' && !name.startsWith('!'))])
      cpSync(join(root, file), join(folder, file), { recursive: true })
    symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))

    // As npm sets it for install scripts. Compilers need no sanitizer, if that is what these tests run under.
    const { LD_PRELOAD: _, ATSSS_ADDON: __, ...rest } = process.env
    const env = { ...rest, npm_config_node_gyp: gyp, npm_config_nodedir: prefix }
    const { status, stderr } = spawnSync(process.execPath, ['native/install.mjs'], {
      cwd: folder,
      env,
      encoding: 'utf8',
    })
    expect({ status, stderr }).toMatchObject({ status: 0, stderr: expect.not.stringContaining('atsss:') })

    const addon = join(folder, 'build/Release/atsss.node')
    const print = `JSON.stringify(Object.keys(require(${JSON.stringify(addon)})))`
    expect(JSON.parse(execFileSync(process.execPath, ['-p', print], { env, encoding: 'utf8' }))).toEqual(
      expect.arrayContaining(functions),
    )
    expect(existsSync(join(folder, 'build/Release/link-emulator'))).toBe(true)
    expect(existsSync(join(folder, 'build/Release/atsss-helper'))).toBe(true)
  },
  300_000,
)
