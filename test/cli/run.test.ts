/** `atsss run` is its command: signals, exit statuses, standard streams. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest'
import { mptcp } from '../support/probes.js'
import { requires } from '../support/requires.js'
import { atsss, PROGRAM } from './atsss.js'

const [node, main] = PROGRAM
const CONFIG = '{"fallback":"direct"}'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'atsss-run-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

/** The command is there when it has said so. */
async function running(
  env: NodeJS.ProcessEnv,
  program: string,
): Promise<{ child: ChildProcess; pid: number; said: () => string }> {
  const child = spawn(node, [main, 'run', '--', node, '-e', program], {
    env: { ...process.env, ATSSS_CONFIG: CONFIG, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  let said = ''
  child.stdout!.setEncoding('utf8').on('data', (text: string) => (said += text))
  await expect.poll(() => said).toMatch(/pid \d+\n/)
  const pid = Number(/pid (\d+)/.exec(said)![1])
  onTestFinished(() => {
    if (isAlive(pid)) process.kill(pid, 'SIGKILL')
  })
  return { child, pid, said: () => said }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

const SIGNALS = [
  'SIGHUP',
  'SIGINT',
  'SIGQUIT',
  'SIGUSR1',
  'SIGUSR2',
  'SIGALRM',
  'SIGTERM',
  'SIGWINCH',
  'SIGCONT',
] as const
const REPORTS = `
  for (const name of ${JSON.stringify(SIGNALS)}) process.on(name, () => console.log('got ' + name))
  console.log('pid ' + process.pid)
  setTimeout(() => {}, 60_000)`

/** Without the addon the command is a child, which gets the signals from the process that started it. */
const WITHOUT_ADDON = { ATSSS_ADDON: '/nowhere/atsss.node' }

for (const [how, env] of [
  ['in the place of this process', {}],
  ['as its child, without the addon', WITHOUT_ADDON],
] as const)
  requires('MPTCP', mptcp).describe(`the command, ${how}`, () => {
    test('gets every signal', async () => {
      const { child, said } = await running(env, REPORTS)
      for (const signal of SIGNALS) {
        child.kill(signal)
        await expect.poll(said).toContain(`got ${signal}\n`)
      }
      expect(said()).not.toContain('Debugger')
    })

    test.each(['SIGTERM', 'SIGQUIT', 'SIGUSR1', 'SIGALRM'] as const)(
      'ends by %s, and so does what was started',
      async signal => {
        // Node has its own use for SIGUSR1.
        const program = `process.on('SIGUSR1', () => process.exit(128 + 10)); console.log('pid ' + process.pid); setTimeout(() => {}, 60_000)`
        const { child, pid } = await running(env, program)
        child.kill(signal)
        const [code, by] = await once(child, 'exit')
        const number = { SIGTERM: 15, SIGQUIT: 3, SIGUSR1: 10, SIGALRM: 14 }[signal]
        expect(by === null ? code : by).toEqual(by === null ? 128 + number : signal)
        await expect.poll(() => isAlive(pid)).toBe(false)
      },
    )

    test('its exit status', async () => {
      const run = (...words: string[]) => atsss(['run', '--', ...words], '', { ATSSS_CONFIG: CONFIG, ...env })
      expect((await run('sh', '-c', 'exit 42')).status).toBe(42)
      expect(await run('no-such-command-here')).toMatchObject({
        status: 127,
        stderr: expect.stringContaining('atsss run: no-such-command-here: command not found\n'),
      })
      // Only an ordinary user may not search it.
      const locked = join(folder, 'locked')
      mkdirSync(locked, { mode: 0 })
      const PATH = `${locked}:${process.env.PATH}`
      const lost = await atsss(['run', '--', 'no-such-command-here'], '', { ATSSS_CONFIG: CONFIG, ...env, PATH })
      expect(lost).toMatchObject({ status: 127, stderr: expect.stringContaining('command not found\n') })
      const text = join(folder, 'data.txt')
      writeFileSync(text, 'x')
      expect(await run(text)).toMatchObject({ status: 126, stderr: expect.stringContaining('cannot be executed') })
      const directory = join(folder, 'directory')
      mkdirSync(directory)
      expect((await run(directory)).status).toBe(126)
      const below = join(text, 'below')
      expect(await run(below)).toMatchObject({ status: 127, stderr: `atsss run: ${below}: command not found\n` })
      chmodSync(text, 0o755)
      writeFileSync(text, '#!/bin/sh\nexit 7\n')
      expect((await run(text)).status).toBe(7)
    })

    test('a command that is not a Node program: it runs, and a warning says what to do instead', async () => {
      const run = (...words: string[]) => atsss(['run', '--', ...words], '', { ATSSS_CONFIG: CONFIG, ...env })
      expect(await run('sleep', '0')).toMatchObject({
        status: 0,
        stderr: expect.stringMatching(
          /^atsss run: sleep is not a Node program: its connections stay as they are.*"mptcpize run sleep …"/,
        ),
      })
      expect((await run('sh', '-c', 'exit 0')).stderr).not.toContain('not a Node program')
      expect((await run(node, '-e', '0')).stderr).not.toContain('not a Node program')
    })

    test('has the signals of a shell: SIGPIPE ends a writer whose reader is gone', async () => {
      const { stdout } = await atsss(
        ['run', '--', 'sh', '-c', 'yes 2>&1 >/dev/full; (yes; echo $? >&2) 2>&1 | head -1; trap'],
        '',
        {
          ATSSS_CONFIG: CONFIG,
          ...env,
        },
      )
      expect(stdout).toContain('y\n')
      expect(stdout).not.toContain('Broken pipe')
    })

    test('reads and writes streams that block', async () => {
      // A pipe's file is shared with this test: what Node has set on it is seen by the command.
      const program = 'import fcntl, sys; print([fcntl.fcntl(fd, fcntl.F_GETFL) & 0o4000 for fd in (0, 1, 2)])'
      const { stdout } = await atsss(['run', '--', 'python3', '-c', program], '', { ATSSS_CONFIG: CONFIG, ...env })
      expect(stdout).toBe('[0, 0, 0]\n')
    })
  })

requires('MPTCP', mptcp)('there is one process, which a SIGKILL ends too', async () => {
  const { child, pid } = await running({}, REPORTS)
  expect(pid).toBe(child.pid)
})

test('a program that is run by too old a Node: it says so, and does not begin', async () => {
  // Node 20.18 and older cannot require what is an ES module.
  const old = ['run', '--', node, '--no-experimental-require-module', '-e', 'console.log("it runs")']
  const { status, stdout, stderr } = await atsss(old, '', { ATSSS_CONFIG: CONFIG })
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' })
  expect(stderr).toMatch(
    /^atsss: this program is run by Node\.js [\d.]+, which is too old: atsss needs Node\.js 20\.19 or later/,
  )
})

test('options replace what the configuration says, and only that; the variable does not replace an option', async () => {
  const program = `const { ATSSS_CONFIG, ATSSS_CONVERTER } = process.env; console.log(ATSSS_CONFIG, ATSSS_CONVERTER)`
  const env = {
    ATSSS_CONFIG: '{"accesses":{"3gpp":"cell","non-3gpp":"wifi"},"converters":"192.0.2.1:5124","rules":"handover"}',
    ATSSS_DISABLE: '1',
  }
  const run = (...options: string[]) => atsss(['run', ...options, '--', node, '-e', program], '', env)
  const { stdout } = await run('--rules', 'aggregate')
  expect(stdout).toBe(`${env.ATSSS_CONFIG.replace('handover', 'aggregate')} undefined\n`)
  Object.assign(env, { ATSSS_CONVERTER: '192.0.2.2:5124' })
  expect((await run('--converter', '192.0.2.3:5124')).stdout).toBe(
    `${env.ATSSS_CONFIG.replace('"192.0.2.1:5124"', '["192.0.2.3:5124"]')} undefined\n`,
  )
})
