/** `atsss status`: what it lists, removes and says; and how it looks. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest'
import { type SessionStatus, statusLines } from '../../../lib/cli/status.js'
import { coloursFor } from '../../../lib/cli/terminal.js'
import { findSocket } from '../../../lib/cli/watch/sessions.js'
import { socketsOfMachine, watchFolder } from '../../../lib/runtime/watch/folders.js'
import { compiledUrl } from '../../support/compiled.js'
import { atsss } from '../atsss.js'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'atsss-status-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const PROGRAM = `
  import { MaPduSession } from '${compiledUrl('lib/index.ts')}'
  process.argv[1] = '/srv/app\\u001b[31m.js'
  const session = new MaPduSession({ accesses: { '3gpp': 'none0', 'non-3gpp': 'lo' }, controller: 'inline', watch: true })
  session.watching.then(path => process.send(path))
  setInterval(() => {}, 1000)
`

/** A process with a session that can be watched, and the path of its socket. */
async function start(): Promise<{ child: ChildProcess; path: string }> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', PROGRAM], {
    env: { ...process.env, XDG_RUNTIME_DIR: folder, RUNTIME_DIRECTORY: '' },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const [path] = (await once(child, 'message')) as [string]
  return { child, path }
}

test('a line for each session; what a killed process has left is removed, and said; one that does not answer, too', async () => {
  const [first, stopped, killed] = await Promise.all([start(), start(), start()])
  stopped.child.kill('SIGSTOP')
  killed.child.kill('SIGKILL')
  await once(killed.child, 'exit')
  expect(existsSync(killed.path)).toBe(true)
  const paths = [first.path, stopped.path, killed.path]
  const { status, stdout, stderr } = await atsss(['status', ...paths])
  expect(status).toBe(1)
  const lines = stdout.trimEnd().split('\n')
  expect(lines).toHaveLength(2)
  expect(lines[0]).toMatch(/^ *PID +PROGRAM +LEVEL +NON-3GPP +3GPP +OPEN +UP +DOWN +LAST HANDOVER$/)
  expect(lines[1]).toMatch(new RegExp(`^ *${first.child.pid} +app\\?\\[31m\\.js +\\S+ +lo (up|down) +none0 down +0 `))
  expect(stderr).toContain(`removed ${killed.path}: its process has ended\n`)
  expect(stderr).toContain(`${stopped.path}: its process has not answered`)
  expect(existsSync(killed.path)).toBe(false)
  expect(existsSync(stopped.path)).toBe(true)
}, 30_000)

test('--json has the same; sessions are found where they are by default', async () => {
  const { child, path } = await start()
  const env = { XDG_RUNTIME_DIR: folder, RUNTIME_DIRECTORY: '' }
  const { stdout } = await atsss(['status', '--json'], '', env)
  const { sessions } = JSON.parse(stdout) as { sessions: SessionStatus[] }
  const found = sessions.find(({ socket }) => socket === path)
  expect(found).toMatchObject({
    pid: child.pid,
    accesses: { '3gpp': { interface: 'none0', available: false, why: expect.any(String) } },
    ...{ connections: 0, handovers: 0, lastHandover: null },
  })
  // Elsewhere, as the configuration says: as in the lab.
  const ATSSS_CONFIG = JSON.stringify({ accesses: { '3gpp': 'none0', 'non-3gpp': 'lo' }, watch: { path } })
  const elsewhere = { XDG_RUNTIME_DIR: join(folder, 'none'), RUNTIME_DIRECTORY: '' }
  const configured = await atsss(['status', '--json'], '', { ...elsewhere, ATSSS_CONFIG })
  expect(JSON.parse(configured.stdout).sessions).toContainEqual(expect.objectContaining({ socket: path }))
  child.kill('SIGKILL')
  await once(child, 'exit')
  const watched = await atsss(['watch', String(child.pid)], '', env)
  expect([watched.status, existsSync(path)]).toEqual([1, false])
  expect(watched.stderr).toContain(`process ${child.pid} has ended, and its socket has been removed`)
}, 30_000)

test('to watch: the only session; none, or several, is an error that says which there are', async () => {
  const [one, two, killed] = await Promise.all([start(), start(), start()])
  killed.child.kill('SIGKILL')
  await once(killed.child, 'exit')
  expect(await findSocket(undefined, [one.path, killed.path])).toBe(one.path)
  const pids = [one.child.pid!, two.child.pid!].sort((a, b) => a - b)
  await expect(findSocket(undefined, [one.path, two.path])).rejects.toMatchObject({
    code: 'ERR_ATSSS_WATCH',
    message: `there are several sessions to watch: name one of ${pids.map(pid => `${pid} (app?[31m.js)`).join(', ')}`,
  })
  await expect(findSocket(undefined, [])).rejects.toMatchObject({
    code: 'ERR_ATSSS_WATCH',
    message: /^there is no session to watch: .* has no socket\. Give the session the option "watch: true"/,
  })
  await expect(findSocket('1', [])).rejects.toMatchObject({ message: /process 1 has no socket/ })
}, 30_000)

test('no session: status 1, and what to do', async () => {
  const missing = join(folder, 'none.sock')
  const { status, stdout, stderr } = await atsss(['status', missing])
  expect([status, stdout]).toEqual([1, ''])
  expect(stderr).toContain(`no session can be watched at ${missing}: there is no such socket`)
}, 15_000)

test('in a unit with RuntimeDirectory= the socket is there; else in the folder of the user', () => {
  expect(watchFolder({ RUNTIME_DIRECTORY: '/run/device:/run/more', XDG_RUNTIME_DIR: '/run/user/7' })).toBe(
    '/run/device/atsss',
  )
  expect(watchFolder({ XDG_RUNTIME_DIR: '/run/user/7' })).toBe('/run/user/7/atsss')
  expect(watchFolder({})).toBe(join(tmpdir(), `atsss-${process.getuid?.()}`))
  mkdirSync(join(folder, 'atsss'))
  expect(socketsOfMachine({ XDG_RUNTIME_DIR: folder }).filter(path => path.startsWith(folder))).toEqual([])
})

test('how it looks', () => {
  const up = (name: string) => ({ interface: name, available: true, suspected: false, why: '' })
  const one: SessionStatus = {
    ...{ pid: 4711, title: '/srv/app.js', socket: '/run/user/0/atsss/4711.sock', level: 'userspace' },
    accesses: { '3gpp': up('wwan0'), 'non-3gpp': { ...up('wlan0'), available: false, suspected: true } },
    ...{ connections: 3, sendRate: 1.2e6, receiveRate: 34_000, handovers: 2 },
    lastHandover: { at: 1_000, from: 'non-3gpp', to: '3gpp', gapMs: 44.6 },
  }
  const unknown = { ...one, pid: 5, level: null, sendRate: null, receiveRate: null, lastHandover: null }
  expect(statusLines([one, unknown], 13_000, coloursFor({}))).toEqual([
    ' PID  PROGRAM  LEVEL      NON-3GPP      3GPP      OPEN          UP         DOWN  LAST HANDOVER',
    '4711  app.js   userspace  wlan0 silent  wwan0 up     3  1.2 Mbit/s  34.0 kbit/s  to 3gpp, 45 ms, 12 s ago',
    '   5  app.js   –          wlan0 silent  wwan0 up     3           –            –  –',
  ])
  expect(statusLines([], 0, coloursFor({}))).toEqual([])
})
