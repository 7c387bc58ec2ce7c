/** The preload in bad places: whose configuration it takes, and that the application is not worse off for it than without it. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, chownSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { findConfig } from '../../lib/preload/find-config.js'
import { compiled } from '../support/compiled.js'
import { all, mptcp, root } from '../support/probes.js'
import { requires } from '../support/requires.js'

let folder: string
let path: string
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'atsss-places-')))
  path = join(folder, 'atsss.json')
  writeFileSync(path, '{"mptcp":"off"}', { mode: 0o644 })
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

describe('a file that is found', () => {
  test('of this user', () => {
    chmodSync(path, 0o664)
    expect(findConfig({}, folder)).toMatchObject({ origin: path, config: { via: { mptcp: 'off' } } })
  })

  test('that every user can write is refused, unless it is named', () => {
    chmodSync(path, 0o666)
    expect(() => findConfig({}, folder)).toThrow(
      expect.objectContaining({ code: 'ERR_ATSSS_CONFIG', message: expect.stringMatching(/every user can write it/) }),
    )
    expect(findConfig({ ATSSS_CONFIG: path }, folder)).toMatchObject({ origin: path })
  })

  requires('root', root)('of another user is refused, behind a link too, unless it is named', () => {
    chownSync(path, 65_534, 65_534)
    const linked = join(folder, 'linked')
    mkdirSync(linked)
    symlinkSync(path, join(linked, 'atsss.json'))
    for (const place of [folder, linked])
      expect(() => findConfig({}, place)).toThrow(/belongs to another user \(uid 65534\).*name it with ATSSS_CONFIG=/)
    expect(findConfig({ ATSSS_CONFIG: path }, folder)).toMatchObject({ origin: path })
  })
})

test('ATSSS_CONVERTER replaces the converters, and is a configuration by itself', () => {
  const env = { ATSSS_CONVERTER: '192.0.2.1:5124, [2001:db8::1]:5124' }
  const converters = ['192.0.2.1:5124', '[2001:db8::1]:5124']
  expect(findConfig(env, folder)).toMatchObject({ origin: path, config: { via: { mptcp: 'off', converters } } })
  rmSync(path)
  expect(findConfig(env, folder)).toMatchObject({ origin: 'ATSSS_CONVERTER', config: { via: { converters } } })
  expect(() => findConfig({ ATSSS_CONVERTER: 'nowhere' }, folder)).toThrow(
    /^ATSSS_CONVERTER: converters\[0\]: must be 'host:port'/,
  )
  const named = { ...env, ATSSS_CONFIG: '{"converters":"192.0.2.9:1","fallback":"direct"}' }
  expect(findConfig(named, folder)).toMatchObject({ config: { via: { converters, fallback: 'direct' } } })
})

const REGISTER = compiled('lib/preload/register.ts')
const CONFIG = '{"includeLocal":true,"fallback":"direct"}'

/** Says how a connection to a closed port ends, and whether it was taken. */
const APPLICATION = `
  const socket = require('node:net').connect(1, '127.0.0.1')
  socket.on('error', ({ code }) => console.log(code, 'mptcp' in socket))`

async function application(flags: string[], env: NodeJS.ProcessEnv = {}): Promise<{ out: string; err: string }> {
  const args = [...flags, '--require', REGISTER, '-e', APPLICATION]
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args, {
    env: { ...process.env, ATSSS_CONFIG: CONFIG, ...env },
    timeout: 30_000,
  })
  return { out: stdout, err: stderr }
}

requires('MPTCP', mptcp).describe('an application', () => {
  test('whose working directory has been deleted', async () => {
    const gone = join(folder, 'gone')
    mkdirSync(gone)
    const command = `rmdir "$PWD" && exec "$0" --require "$1" -e "$2"`
    const child = spawn('sh', ['-c', command, process.execPath, REGISTER, APPLICATION], {
      cwd: gone,
      env: { ...process.env, ATSSS_CONFIG: CONFIG },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [text] = await Promise.all([child.stdout.toArray(), once(child, 'close')])
    expect(String(Buffer.concat(text))).toBe('ECONNREFUSED true\n')
  })

  test('with few descriptors', async () => {
    const command = `ulimit -n 32 && exec "$0" --require "$1" -e "$2"`
    const { stdout } = await promisify(execFile)('sh', ['-c', command, process.execPath, REGISTER, APPLICATION], {
      env: { ...process.env, ATSSS_CONFIG: CONFIG },
    })
    expect(stdout).toBe('ECONNREFUSED true\n')
  })

  test('without native addons: its connections are left to Node, and a warning says what allows them', async () => {
    const { out, err } = await application(['--no-addons'])
    expect(out).toBe('ECONNREFUSED false\n')
    expect(err).toMatch(
      /AtsssWarning: All connections are left to Node.*forbids loading native addons: start Node with --allow-addons/,
    )
  })

  test("under Node's permission model: what is not allowed is named, and the application runs", async () => {
    const model = process.allowedNodeEnvironmentFlags.has('--permission') ? '--permission' : '--experimental-permission'
    const session = JSON.stringify({ ...JSON.parse(CONFIG), accesses: { '3gpp': 'none0', 'non-3gpp': 'lo' } })
    const files = `--allow-fs-read=${realpathSync('.')}/*`
    const hasNet = process.allowedNodeEnvironmentFlags.has('--allow-net')
    const own = hasNet ? [files, '--allow-net'] : [files]
    const [noAddon, noThread, noNet] = await Promise.all([
      application([model, ...own], { NODE_OPTIONS: '' }),
      application([model, ...own, '--allow-addons'], { NODE_OPTIONS: '', ATSSS_CONFIG: session }),
      hasNet ? application([model, files, '--allow-addons'], { NODE_OPTIONS: '', ATSSS_CONFIG: session }) : undefined,
    ])
    expect(noAddon.out).toBe('ECONNREFUSED false\n')
    expect(noAddon.err).toMatch(/AtsssWarning: All connections are left to Node.*start Node with --allow-addons/)
    expect(noThread.out).toBe('ECONNREFUSED true\n')
    expect(noThread.err).toMatch(/AtsssWarning: The steering loop cannot be started.*start Node with --allow-worker/)
    expect(noThread.err).not.toMatch(/started again/)
    if (!noNet) return
    expect(noNet.out).toBe('ERR_ACCESS_DENIED false\n')
    expect(noNet.err).toMatch(/AtsssWarning: All connections are left to Node.*start Node with --allow-net/)
  })

  test('in a folder whose path is as long as can be, and which may not be read', async () => {
    // Beyond PATH_MAX (4096 bytes), Node itself ends with ERANGE at any --require.
    const command = `for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do mkdir $1 && cd $1 || exit; done
      chmod 0 . && exec "$0" --require "$2" -e "$3"`
    const args = ['-c', command, process.execPath, 'd'.repeat(255), REGISTER, APPLICATION]
    const env = { ...process.env, ATSSS_CONFIG: CONFIG }
    const { stdout } = await promisify(execFile)('sh', args, { cwd: folder, env })
    expect(stdout).toBe('ECONNREFUSED true\n')
  })

  test('with standard streams on a full disk', async () => {
    const command = `exec "$0" --require "$1" -e "$2" >/dev/full 2>/dev/full`
    const env = { ...process.env, ATSSS_CONFIG: CONFIG }
    await promisify(execFile)('sh', ['-c', command, process.execPath, '/dev/null', APPLICATION], { env })
    await promisify(execFile)('sh', ['-c', command, process.execPath, REGISTER, APPLICATION], { env })
  })
})

requires('MPTCP, root', all(mptcp, root))(
  'with the rights of another user than the one who started it, the environment does not count',
  async () => {
    // As of a set-user-ID program: the real user is nobody, the effective one is root.
    const become =
      'import os, sys; os.chdir(sys.argv[1]); os.setresuid(65534, 0, 0); os.execv(sys.argv[2], sys.argv[2:])'
    const code = `
      import('${REGISTER.replace('preload/register', 'preload/find-config')}').then(({ findConfig }) =>
        console.log(findConfig(process.env).origin))`
    const { stdout } = await promisify(execFile)('python3', ['-c', become, folder, process.execPath, '-e', code], {
      env: { ...process.env, ATSSS_CONFIG: '{"converters":"192.0.2.66:1"}', ATSSS_ADDON: '/nowhere/evil.node' },
    })
    expect(stdout).toBe(`${path}\n`)
    const support = `import('${compiled('lib/index.ts')}').then(({ isSupported }) => console.log(isSupported().supported))`
    const trusted = await promisify(execFile)('python3', ['-c', become, folder, process.execPath, '-e', support], {
      env: { ...process.env, ATSSS_ADDON: '/nowhere/evil.node' },
    })
    expect(trusted.stdout).toBe('true\n')
  },
)

describe('the session of the preload', () => {
  const APP = `
    import('${pathToFileURL(compiled('lib/preload/register.ts'))}').then(({ session }) => {
      const own = session()
      console.log(own === undefined ? 'none' : [own.rules.length, own === session()].join())
      own?.close()
    })`
  const run = async (config: object) => {
    const args = ['--import', pathToFileURL(compiled('lib/preload/register.ts')).href, '-e', APP]
    const env = { ...process.env, ATSSS_CONFIG: JSON.stringify(config) }
    return (await promisify(execFile)(process.execPath, args, { env, timeout: 30_000 })).stdout
  }

  requires('MPTCP', mptcp)('is for the application too; there is none without accesses', async () => {
    const [own, none] = await Promise.all([
      run({ accesses: { '3gpp': 'none0', 'non-3gpp': 'lo' } }),
      run({ fallback: 'direct' }),
    ])
    expect([own, none]).toEqual(['1,true\n', 'none\n'])
  })
})
