/** The package in bundles, and for CommonJS: docs/bundlers.md. As built. */
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { build, type Format } from 'esbuild'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { mptcp } from '../support/probes.js'
import { requires } from '../support/requires.js'

const run = promisify(execFile)

const APPLICATION = `
  import { connect, isSupported, MaPduSession } from 'atsss'
  import { HttpAgent } from 'atsss/http'
  async function main() {
    const failed = emitter => new Promise(resolve => emitter.once('error', ({ code }) => resolve(code)))
    const of = async session => {
      const said = new Promise(resolve => session.once('degraded', ({ message }) => resolve(message)))
      const ready = await session.ready.then(() => 'ready', ({ code }) => code)
      return [ready, ready === 'ready' ? '' : await said]
    }
    const accesses = { '3gpp': 'nowhere0', 'non-3gpp': 'lo' }
    const { supported, reason = '' } = isSupported()
    console.log(JSON.stringify({
      supported, reason,
      connect: await failed(connect({ host: '127.0.0.1', port: 1 })),
      worker: await of(new MaPduSession({ accesses })),
      inline: (await of(new MaPduSession({ accesses, controller: 'inline' })))[0],
      agent: typeof new HttpAgent({}).createConnection,
    }))
    process.exit()
  }
  main()`

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'atsss-bundle-'))
  mkdirSync(join(folder, 'node_modules/@types'), { recursive: true })
  symlinkSync(resolve('.'), join(folder, 'node_modules/atsss'))
  symlinkSync(resolve('node_modules/@types/node'), join(folder, 'node_modules/@types/node'))
})
afterAll(() => rmSync(folder, { recursive: true }))

async function bundled(format: Format, external: string[]) {
  writeFileSync(join(folder, 'app.mjs'), APPLICATION)
  const file = join(
    folder,
    `${external.length > 0 ? 'external' : 'whole'}-${format}.${format === 'cjs' ? 'cjs' : 'mjs'}`,
  )
  await build({
    ...{ entryPoints: [join(folder, 'app.mjs')], outfile: file, bundle: true, platform: 'node', format, external },
    logLevel: 'silent',
  })
  const { stdout } = await run(process.execPath, [file], { timeout: 30_000 })
  return JSON.parse(stdout)
}

for (const format of ['cjs', 'esm'] as const) {
  requires('MPTCP', mptcp)(`esbuild, ${format}, kept external: it works`, async () => {
    expect(await bundled(format, ['atsss'])).toEqual({
      ...{ supported: true, reason: '', connect: 'ECONNREFUSED' },
      ...{ worker: ['ready', ''], inline: 'ready', agent: 'function' },
    })
  })

  test(`esbuild, ${format}, in the bundle: one error that says what to do`, async () => {
    const why = expect.stringMatching(/bundle.*keep it external.*--external:atsss/)
    expect(await bundled(format, [])).toEqual({
      ...{ supported: false, reason: why, connect: 'ERR_ATSSS_BUNDLED' },
      ...{ worker: ['ERR_ATSSS_BUNDLED', why], inline: 'ERR_ATSSS_BUNDLED', agent: 'function' },
    })
  })
}

describe('CommonJS', () => {
  test('require(), which Node has for ES modules', async () => {
    const code =
      "const { connect } = require('atsss'); const { HttpAgent } = require('atsss/http'); console.log(typeof connect, typeof HttpAgent)"
    const { stdout, stderr } = await run(process.execPath, ['-e', code], { cwd: folder })
    expect([stdout, stderr.replace(/.*ExperimentalWarning[^\n]*\n|\(Use [^\n]*\n/g, '')]).toEqual([
      'function function\n',
      '',
    ])
  })

  const TSC = resolve('node_modules/typescript/bin/tsc')
  test.each([
    ['nodenext', [], []],
    ['node16', ['TS1479'], ['--module', 'node16', '--moduleResolution', 'node16']],
    ['node16, by import()', [], ['--module', 'node16', '--moduleResolution', 'node16']],
    ['node10', [], ['--module', 'commonjs', '--moduleResolution', 'node10', '--ignoreDeprecations', '6.0']],
  ])('TypeScript, %s: %j', async (name, codes, options) => {
    writeFileSync(join(folder, 'package.json'), '{"type":"commonjs"}')
    const imports = name.includes('import()')
      ? "import('atsss').then(({ connect }) => console.log(connect))\nimport('atsss/http').then(({ HttpAgent }) => console.log(HttpAgent))\n"
      : "import { connect } from 'atsss'\nimport { HttpAgent } from 'atsss/http'\nconsole.log(connect, HttpAgent)\n"
    writeFileSync(join(folder, 'app.ts'), `${imports}export {}\n`)
    const given = options.length > 0 ? options : ['--module', 'nodenext', '--moduleResolution', 'nodenext']
    const args = [
      TSC,
      '--noEmit',
      '--skipLibCheck',
      '--strict',
      '--target',
      'es2022',
      '--types',
      'node',
      ...given,
      'app.ts',
    ]
    const { stdout } = await run(process.execPath, args, { cwd: folder }).catch(error => error as { stdout: string })
    expect([...new Set(stdout.match(/TS\d+/g))]).toEqual(codes)
  })
})
