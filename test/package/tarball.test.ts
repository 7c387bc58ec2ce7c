/**
 * The tarball in an empty project, installed without scripts and without a network. ATSSS_TARBALL names one that is there
 * (as CI does, with the binaries of all systems); else one is made of a copy of this checkout, for this system.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CHART_FILES } from '../../lib/cli/watch/page-server.js'
import { newerThan, versionsNeeded } from '../../scripts/glibc-versions.js'
import { all, mptcp } from '../support/probes.js'
import { requires } from '../support/requires.js'

const root = fileURLToPath(new URL('../../', import.meta.url))
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const tools = () =>
  ['cmake', 'g++', 'npm', 'readelf']
    .filter(tool => spawnSync(tool, ['--version']).error)
    .map(tool => `no ${tool}`)
    .join(', ') || undefined

const folders: string[] = []
const children: ChildProcess[] = []
function emptyFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'atsss-package-'))
  folders.push(folder)
  return folder
}
afterAll(() => {
  for (const child of children) child.kill('SIGKILL')
  for (const folder of folders) rmSync(folder, { recursive: true })
})

/** What an installed package runs with: nothing of this checkout. */
const { ATSSS_ADDON: _, ATSSS_LINK_EMULATOR: __, LD_PRELOAD: ___, NODE_OPTIONS: ____, ...env } = process.env

function makeTarball(): string {
  if (process.env.ATSSS_TARBALL) return join(root, process.env.ATSSS_TARBALL)
  const copy = emptyFolder()
  const kept = readdirSync(root).filter(
    name => !/^(\.git|build.*|dist|prebuilds|node_modules|demo-report)$|\.tgz$/.test(name),
  )
  for (const name of kept) cpSync(join(root, name), join(copy, name), { recursive: true })
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'))
  execFileSync('npm', ['run', 'pack', `linux-${process.arch}`], { cwd: copy, env, stdio: 'pipe' })
  return join(copy, `${manifest.name}-${manifest.version}.tgz`)
}

/** A project with nothing but the tarball, and its dependencies from this checkout's node_modules. */
function install(tarball: string): string {
  const project = emptyFolder()
  writeFileSync(join(project, 'package.json'), '{ "private": true }')
  const dependencies = Object.keys(manifest.dependencies).map(name => join(root, 'node_modules', name))
  const options = ['--ignore-scripts', '--offline', '--install-links', '--no-audit', '--no-fund']
  execFileSync('npm', ['install', ...options, tarball, ...dependencies], { cwd: project, env, stdio: 'pipe' })
  return project
}

function node(project: string, args: string[], variables: NodeJS.ProcessEnv = {}) {
  const { stdout, stderr, status } = spawnSync(process.execPath, args, {
    ...{ cwd: project, env: { ...env, ...variables }, encoding: 'utf8' },
  })
  return { stdout, stderr, status }
}

requires('MPTCP, and what makes the tarball', all(mptcp, tools)).describe('the installed tarball', () => {
  let project: string
  const installed = (path: string) => join(project, 'node_modules/atsss', path)
  beforeAll(() => {
    project = install(makeTarball())
  }, 300_000)

  test('has nothing of the checkout but what it needs', () => {
    const names = (manifest.files as string[]).filter(name => !name.startsWith('!'))
    expect(readdirSync(installed('')).sort()).toEqual([...names, 'package.json'].sort())
    expect(readdirSync(installed('dist'))).not.toContain('.tsbuildinfo') // whose paths are those of the checkout
    expect(readdirSync(installed(`prebuilds/linux-${process.arch}`)).sort()).toEqual([
      'atsss-helper',
      'atsss.node',
      'link-emulator',
    ])
  })

  test('the live page is there with its chart and its licence, and no chart library is installed', () => {
    const page = readdirSync(installed('dist/cli/watch/page'))
    expect(page).toEqual(expect.arrayContaining(['index.html', 'page.js', 'uPlot.LICENSE', ...CHART_FILES]))
    expect(existsSync(join(project, 'node_modules/uplot'))).toBe(false)
    const script = `const { startPage } = await import(${JSON.stringify(installed('dist/cli/watch/page-server.js'))})
      const page = await startPage()
      const address = new URL(page.url)
      address.pathname = '/uPlot.js'
      const { status } = await fetch(address)
      console.log(status)
      process.exit()`
    expect(node(project, ['--input-type=module', '-e', script])).toMatchObject({ stdout: '200\n', status: 0 })
  })

  test('an app connects through a converter, with the addon of the tarball', async () => {
    const converter = spawn(
      join(project, 'node_modules/.bin/atsss'),
      ['converter', '--listen', '127.0.0.1:0', '--allow-loopback', '--json'],
      { cwd: project, env, stdio: ['ignore', 'pipe', 'inherit'] },
    )
    children.push(converter)
    const [line] = await once(createInterface(converter.stdout), 'line')
    const { port } = JSON.parse(line as string).listeners[0]
    writeFileSync(
      join(project, 'app.mjs'),
      `import { createServer } from 'node:net'
       import { readFileSync } from 'node:fs'
       import { connect } from 'atsss'
       // A first attempt may be given up, and reset.
       const server = createServer(socket => socket.on('error', () => {}).pipe(socket)).listen(0, '127.0.0.1', () => {
         const socket = connect({ host: '127.0.0.1', port: server.address().port, converters: '127.0.0.1:${port}', allowLoopback: true })
         let text = ''
         socket.setEncoding('utf8').on('data', data => { text += data }).on('close', () => {
           const [, addon] = /(\\S+atsss\\.node)/.exec(readFileSync('/proc/self/maps', 'latin1'))
           console.log(JSON.stringify({ text, addon, protocol: socket.mptcp.protocol, port: socket.mptcp.converter.port }))
           server.close()
         }).end('hello')
       })`,
    )
    const { stdout, stderr, status } = node(project, ['app.mjs'])
    expect({ stderr, status }).toEqual({ stderr: '', status: 0 })
    const addon = installed(`prebuilds/linux-${process.arch}/atsss.node`)
    expect(JSON.parse(stdout)).toEqual({ text: 'hello', addon, protocol: 'mptcp', port })
    converter.kill()
    await once(converter, 'close')
  }, 60_000)

  test('an unmodified app, by node --import atsss/register, with the atsss.json beside its package.json', () => {
    writeFileSync(join(project, 'atsss.json'), JSON.stringify({ includeLocal: true, mptcp: 'require' }))
    writeFileSync(
      join(project, 'unmodified.cjs'),
      `const { connect, createServer } = require('node:net')
       const server = createServer(socket => socket.on('error', () => {}).end()).listen(0, '127.0.0.1', () => {
         const socket = connect(server.address().port, '127.0.0.1', () => console.log('connected'))
         socket.on('error', ({ code }) => console.log(code)).on('close', () => server.close())
       })`,
    )
    // Its server speaks TCP only: that is what tells ours from Node's.
    const expected = { stdout: 'ERR_MPTCP_FALLBACK\n', stderr: '', status: 0 }
    expect(node(project, ['--import', 'atsss/register', 'unmodified.cjs'])).toEqual(expected)
    expect(node(project, ['node_modules/.bin/atsss', 'run', '--', process.execPath, 'unmodified.cjs'])).toEqual(
      expected,
    )
    expect(node(project, ['unmodified.cjs']).stdout).toBe('connected\n')
  }, 30_000)

  test('everything that it exports is there', () => {
    const names = Object.keys(manifest.exports).filter(name => name !== './register')
    const json = (name: string) => (name.endsWith('.json') ? `, { with: { type: 'json' } }` : '')
    const script = names.map(name => `await import('atsss${name.slice(1)}'${json(name)})`).join('\n')
    expect(node(project, ['--no-warnings', '--input-type=module', '-e', script])).toEqual({
      ...{ stdout: '', stderr: '', status: 0 },
    })
  })

  test('npx atsss --help', () => {
    const options = { cwd: project, env, encoding: 'utf8' } as const
    expect(execFileSync('npx', ['--offline', 'atsss', '--help'], options)).toMatch(/^Usage: atsss [\s\S]*converter/)
  }, 30_000)

  test('CommonJS requires it', () => {
    const script = `const { connect, isSupported } = require('atsss'), { openLab } = require('atsss/lab')
      console.log(typeof connect, typeof openLab, isSupported().supported)`
    // Node 20 warns that this is new.
    expect(node(project, ['--no-warnings', '-e', script])).toEqual({
      ...{ stdout: 'function function true\n', stderr: '', status: 0 },
    })
  })

  test('its addon needs no C++ library and no glibc newer than 2.28, its link emulator no library at all', () => {
    const of = (file: string) =>
      execFileSync('readelf', ['-dVW', installed(`prebuilds/linux-${process.arch}/${file}`)], { encoding: 'utf8' })
    expect(of('atsss.node')).not.toContain('libstdc++')
    expect(versionsNeeded(of('atsss.node')).filter(version => newerThan(version, '2.28'))).toEqual([])
    expect(of('link-emulator')).not.toContain('NEEDED')
    expect(of('atsss-helper')).not.toContain('NEEDED')
  })

  const said = `import('atsss').then(({ isSupported }) => console.log(JSON.stringify(isSupported())))`

  for (const platform of ['darwin', 'win32'])
    test(`on ${platform} it is installed, imported, and says what it needs`, () => {
      const preload = `data:text/javascript,Object.defineProperty(process, 'platform', { value: '${platform}' })`
      const there = (...args: string[]) => node(project, ['--import', preload, ...args])
      expect(there(installed('native/install.mjs'))).toEqual({ stdout: '', stderr: '', status: 0 })
      expect(JSON.parse(there('-e', said).stdout)).toEqual({
        ...{ supported: false, reason: `MPTCP sockets need Linux; this is ${platform}` },
      })
    })

  test('where its binary loads, the install script builds nothing, and needs no compiler', () => {
    expect(node(project, [installed('native/install.mjs')], { PATH: '' })).toEqual({
      stdout: '',
      stderr: '',
      status: 0,
    })
  })

  describe('without a binary for the system', () => {
    beforeAll(() => renameSync(installed('prebuilds'), installed('prebuilds.away')))
    afterAll(() => renameSync(installed('prebuilds.away'), installed('prebuilds')))

    test('and without node-gyp it is installed, says so, and import works', () => {
      const { npm_config_node_gyp: _, ...bare } = env
      const { stderr, status } = spawnSync(process.execPath, [installed('native/install.mjs')], {
        ...{ cwd: installed(''), env: { ...bare, PATH: '' }, encoding: 'utf8' },
      })
      expect(status).toBe(0)
      expect(stderr).toMatch(/no native addon for linux-.*\n.*node-gyp.*\n.*npm rebuild atsss/)
      expect(JSON.parse(node(project, ['-e', said]).stdout)).toMatchObject({
        ...{ supported: false, reason: expect.stringContaining('npm rebuild atsss') },
      })
    })
  })
})
