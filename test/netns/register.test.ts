/** `node --import atsss/register` and `atsss run`, as built, in processes of their own. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { findConfig } from '../../lib/preload/find-config.js'
import { echoServer } from '../support/echo-server.js'
import { leavesNothingOpen } from '../support/open-things.js'
import { mptcp } from '../support/probes.js'
import { requires } from '../support/requires.js'

const mptcpTest = requires('MPTCP', mptcp)
const built = (path: string) => fileURLToPath(new URL(`../../dist/${path}`, import.meta.url))
const register = ['--import', built('preload/register.js')]
const atsss = built('cli/main.js')

leavesNothingOpen()

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'atsss-test-'))
  writeFileSync(join(folder, 'package.json'), '{}')
})
afterEach(() => rmSync(folder, { recursive: true }))

const configure = (config: object | string, path = join(folder, 'atsss.json')) =>
  writeFileSync(path, typeof config === 'string' ? config : JSON.stringify(config))

interface Ended {
  code: number | string | null
  out: string
  err: string
}

function node(args: string[], { env = {}, cwd = folder } = {}): Promise<Ended> {
  return new Promise(resolve => {
    const child = execFile(
      process.execPath,
      args,
      { cwd, timeout: 20_000, env: { ...process.env, ...env } },
      (_, out, err) => resolve({ code: child.exitCode ?? child.signalCode, out, err }),
    )
  })
}

/** Says what one connection to `port` speaks: 'mptcp', or 'node' when it was left alone. A CommonJS module. */
const app = (port: number) =>
  `const socket = require('node:net').connect(${port}, '127.0.0.1', () => {
    console.log(socket.mptcp?.protocol ?? 'node')
    socket.destroy()
  })`

const ours = { includeLocal: true }

mptcpTest.describe('where the configuration is', () => {
  test('atsss.json beside the nearest package.json', async () => {
    await using server = await echoServer()
    configure(ours)
    const below = join(folder, 'lib/deep')
    mkdirSync(below, { recursive: true })
    expect(await node([...register, '-e', app(server.port)], { cwd: below })).toEqual({
      code: 0,
      out: 'mptcp\n',
      err: '',
    })
  })

  test('ATSSS_CONFIG, as a path and as JSON', async () => {
    await using server = await echoServer()
    configure(ours, join(folder, 'other.json'))
    configure({}) // not this one
    for (const ATSSS_CONFIG of ['other.json', JSON.stringify(ours)]) {
      const { out, err } = await node([...register, '-e', app(server.port)], { env: { ATSSS_CONFIG } })
      expect({ out, err }).toEqual({ out: 'mptcp\n', err: '' })
    }
  })

  test('ATSSS_DISABLE=1: nothing is read, and nothing taken', async () => {
    await using server = await echoServer()
    configure('nonsense')
    const { out, err } = await node([...register, '-e', app(server.port)], { env: { ATSSS_DISABLE: '1' } })
    expect({ out, err }).toEqual({ out: 'node\n', err: '' })
  })
})

describe('a wrong configuration ends the process with one line, before the application begins', () => {
  const WRONG: [string, object | string, RegExp][] = [
    [
      'a misspelled property',
      { convertors: [] },
      /atsss\.json: convertors: unknown property — did you mean 'converters'\?/,
    ],
    ['a misspelled word', { fallback: 'drect' }, /atsss\.json: fallback: 'drect' — did you mean 'direct'\?/],
    [
      'a misspelled property of a converter',
      { converters: ['192.0.2.1:5124', { host: 'a', prot: 1 }] },
      /: converters\[1\]\.prot: unknown property — did you mean 'port'\?/,
    ],
    [
      'a converter without a port',
      { converters: '192.0.2.1' },
      /: converters\[0\]: must be 'host:port'.*it is '192\.0\.2\.1'/,
    ],
    ['a number out of range', { synRetries: 11 }, /: synRetries: must be an integer in 0…10; it is 11/],
    [
      'a wrong rule',
      {
        accesses: { '3gpp': 'a', 'non-3gpp': 'b' },
        rules: [
          { precedence: 1, trafficDescriptor: { matchAll: true }, steeringMode: { steerModeValue: 'SMALEST_DELAY' } },
        ],
      },
      /: rules\[0\]\.steeringMode\.steerModeValue: 'SMALEST_DELAY' — did you mean 'SMALLEST_DELAY'\?/,
    ],
    [
      'rules without accesses',
      { rules: 'handover' },
      /: rules: is an option of sessions, and a session needs "accesses"/,
    ],
    [
      'one access',
      { accesses: { '3gpp': 'wwan0' } },
      /: accesses\.non-3gpp: must be the name of an interface; it is missing/,
    ],
    ['a wrong exclusion', { exclude: ['10.0.0.0/33'] }, /: exclude\[0\]: must be an address, a prefix such as/],
    ['what is no object', '[]', /: the configuration: must be an object; it is \[\]/],
    ['what is no JSON', '{ "rules": ', /atsss\.json: is not JSON: /],
  ]
  test.each(WRONG)('%s', (_, config, message) => {
    configure(config)
    expect(() => findConfig({}, folder)).toThrow(message)
  })

  test('so it ends', async () => {
    configure({ convertors: [] })
    const { code, out, err } = await node([...register, '-e', 'console.log("begun")'])
    expect(err).toMatch(/^atsss: .*'converters'\?\n$/)
    expect({ code, out }).toEqual({ code: 1, out: '' })
  })

  test('none at all', async () => {
    const { code, err } = await node([...register, '-e', 'console.log("begun")'])
    expect(err).toBe(
      `atsss: ${join(folder, 'atsss.json')}: there is no such file: create it, or name another one with ATSSS_CONFIG=FILE\n`,
    )
    expect(code).toBe(1)
    expect(() => findConfig({ ATSSS_CONFIG: 'gone.json' }, folder)).toThrow(
      `${join(folder, 'gone.json')}: ATSSS_CONFIG names this file, and it does not exist: correct the path, or create the file`,
    )
  })
})

mptcpTest.describe('threads and processes of the application', () => {
  test('a worker thread is taken too', async () => {
    await using server = await echoServer()
    configure(ours)
    const path = join(folder, 'worker.cjs')
    writeFileSync(path, app(server.port))
    const main = `new (require('node:worker_threads').Worker)(${JSON.stringify(path)})`
    expect(await node([...register, '-e', main])).toEqual({ code: 0, out: 'mptcp\n', err: '' })
  })

  test('so is a cluster', async () => {
    await using server = await echoServer()
    configure(ours)
    const path = join(folder, 'app.cjs')
    writeFileSync(
      path,
      `const cluster = require('node:cluster')
       if (cluster.isPrimary) for (let i = 0; i < 2; i++) cluster.fork()
       else { ${app(server.port)}; socket.on('close', () => cluster.worker.disconnect()) }`,
    )
    expect(await node([...register, path])).toEqual({ code: 0, out: 'mptcp\nmptcp\n', err: '' })
  })
})

describe('without the addon', () => {
  const env = { ATSSS_ADDON: '/nowhere.node' }
  test('the process ends with the reason', async () => {
    configure({})
    const { code, err } = await node([...register, '-e', 'console.log("begun")'], { env })
    expect(err).toMatch(/^atsss: no native addon .*\/nowhere\.node: no such file\n$/s)
    expect(code).toBe(1)
  })

  test("with fallback: 'direct' it goes on, and says so", async () => {
    await using server = await echoServer({ protocol: 'tcp' })
    configure({ ...ours, fallback: 'direct' })
    const { code, out, err } = await node([...register, '-e', app(server.port)], { env })
    expect({ code, out }).toEqual({ code: 0, out: 'node\n' })
    expect(err).toMatch(/AtsssWarning: All connections are left to Node, without MPTCP: no native addon/)
  })
})

mptcpTest.describe('atsss run', () => {
  const run = (args: string[]) => node([atsss, 'run', ...args])
  const shell = (script: string) => ['--', 'sh', '-c', script]
  const quoted = (port: number) => `'${process.execPath}' -e "${app(port).replaceAll('"', '\\"')}"`

  test('every Node below it, and the exit status', async () => {
    await using server = await echoServer()
    configure(ours)
    expect(await run(shell(`${quoted(server.port)}; cd /; ${quoted(server.port)}; exit 7`))).toEqual({
      ...{ code: 7, out: 'mptcp\nmptcp\n', err: '' },
    })
  }, 20_000)

  test('a worker thread made of a text', async () => {
    await using server = await echoServer()
    configure(ours)
    const main = `new (require('node:worker_threads').Worker)(${JSON.stringify(app(server.port))}, { eval: true })`
    expect(await run(['--', process.execPath, '-e', main])).toEqual({ code: 0, out: 'mptcp\n', err: '' })
  })

  test('the configuration on the command line, and in place of parts of a file', async () => {
    await using server = await echoServer()
    const left = await run(['--exclude', '127.0.0.1', ...shell(quoted(server.port))])
    expect(left).toEqual({ code: 0, out: 'node\n', err: '' })
    configure(ours, join(folder, 'mine.json'))
    const taken = await run(['--config', 'mine.json', ...shell(quoted(server.port))])
    expect(taken).toEqual({ code: 0, out: 'mptcp\n', err: '' })
    const both = ['--config', 'mine.json', '--exclude', '127.0.0.0/8', ...shell(quoted(server.port))]
    expect(await run(both)).toEqual({ code: 0, out: 'node\n', err: '' })
  }, 20_000)

  test('a mistake is reported once, and nothing runs', async () => {
    const wrong: [string[], RegExp, number][] = [
      [['--rules', 'hndover', '--3gpp', 'a', '--non-3gpp', 'b', ...shell('echo run')], /did you mean 'handover'\?/, 2],
      [['--3gpp', 'a', ...shell('echo run')], /--3gpp and --non-3gpp must be given together/, 2],
      [['--fallbck', 'x', ...shell('echo run')], /did you mean --fallback\?/, 2],
      [[], /no command to run is given: atsss run/, 2],
      [shell('echo run'), /atsss\.json: there is no such file: .* atsss run --help/, 1],
    ]
    const ended = await Promise.all(wrong.map(([args]) => run(args)))
    for (const [index, [, message, code]] of wrong.entries()) {
      expect(ended[index]).toMatchObject({ code, out: '', err: expect.stringMatching(message) })
      expect(ended[index]!.err.match(message)).toHaveLength(1)
    }
  }, 20_000)

  test('a command that is not there', async () => {
    configure(ours)
    const { code, err } = await run(['--', 'no-such-command'])
    expect({ code, err }).toEqual({ code: 127, err: 'atsss run: no-such-command: command not found\n' })
  })

  test('a signal reaches the command, and shows in the exit status', async () => {
    configure(ours)
    const child = spawn(
      process.execPath,
      [atsss, 'run', '--', 'sh', '-c', 'trap "exit 9" TERM; echo on; while :; do sleep 0.1; done'],
      {
        ...{ cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] },
      },
    )
    await once(child.stdout!, 'data')
    child.kill('SIGTERM')
    expect((await once(child, 'close'))[0]).toBe(9)
    const killed = await run(shell('kill -KILL $$'))
    // The command is the process itself.
    expect(killed.code).toBe('SIGKILL')
  }, 20_000)
})
