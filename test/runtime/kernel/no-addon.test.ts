import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'
import { compiledUrl } from '../../support/compiled.js'

const SCRIPT = `
  import { connect, isSupported } from './lib/index.ts'
  const said = []
  for (const options of [{}, { converters: '192.0.2.1:5124' }]) {
    const socket = connect({ host: '127.0.0.1', port: 9, ...options })
    const error = await new Promise(resolve => socket.once('error', resolve))
    await new Promise(resolve => socket.once('close', resolve))
    said.push(error.code)
  }
  console.log(JSON.stringify({ said, supported: isSupported().supported }))
`

test('without an addon for this system a connection fails with an error that says so', () => {
  const folder = mkdtempSync(join(tmpdir(), 'atsss-'))
  try {
    cpSync('lib', join(folder, 'lib'), { recursive: true })
    symlinkSync(resolve('node_modules'), join(folder, 'node_modules'))
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
    writeFileSync(join(folder, 'script.ts'), SCRIPT)
    const { ATSSS_ADDON: _, ...env } = process.env
    const { stdout, stderr } = spawnSync(process.execPath, ['--import', 'tsx', 'script.ts'], {
      cwd: folder,
      env,
      encoding: 'utf8',
    })
    expect(stderr).toBe('')
    expect(JSON.parse(stdout)).toEqual({ said: ['ERR_ATSSS_ADDON', 'ERR_ATSSS_ADDON'], supported: false })
  } finally {
    rmSync(folder, { recursive: true })
  }
}, 30_000)

test('an addon that was built from another version of the package is refused, with what to do', () => {
  const folder = mkdtempSync(join(tmpdir(), 'atsss-'))
  try {
    const stale = join(folder, 'stale.cjs')
    writeFileSync(stale, 'module.exports = { revision: 1, socket() {} }')
    const { stdout } = spawnSync(
      process.execPath,
      [
        '--input-type=module',
        '-e',
        `console.log((await import('${compiledUrl('lib/index.ts')}')).isSupported().reason)`,
      ],
      { env: { ...process.env, ATSSS_ADDON: stale }, encoding: 'utf8' },
    )
    expect(stdout).toContain(`tried ${stale}: built from another version of the package: rebuild it`)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
