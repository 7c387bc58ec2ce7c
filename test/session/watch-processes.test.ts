/** Several processes at one watch path: a process that ends removes its own socket only. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest'
import type { Hello } from '../../lib/runtime/watch/messages.js'
import { compiledUrl } from '../support/compiled.js'

let folder: string
let path: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'atsss-watch-'))
  path = join(folder, 'shared.sock')
})
afterEach(() => rmSync(folder, { recursive: true }))

/** Ends in the way that it is asked to: the session is closed, or the process exits with the session open. */
const PROGRAM = `
  import { MaPduSession } from '${compiledUrl('lib/index.ts')}'
  const session = new MaPduSession({
    accesses: { '3gpp': 'none0', 'non-3gpp': 'lo' }, controller: 'inline', watch: process.argv[1] || true,
  })
  process.on('message', how => {
    if (how === 'exit') process.exit()
    session.close()
    process.disconnect()
  })
  session.watching.then(() => process.send('listening'), ({ code, message }) => process.send(code + ' ' + message))
`

interface Program {
  process: ChildProcess
  /** `'listening'`, or why it does not. */
  state: string
  end(how: 'close' | 'exit'): Promise<void>
}

/** @param at its path; empty: in the user's folder, which is in this test's */
async function start(at = path): Promise<Program> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', PROGRAM, at], {
    env: { ...process.env, XDG_RUNTIME_DIR: folder },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const ended = once(child, 'exit')
  const [state] = await Promise.race([once(child, 'message'), ended.then(([code]) => [`ended with ${code}`])])
  const end = async (how: 'close' | 'exit') => {
    child.send(how)
    expect(await ended).toEqual([0, null])
  }
  return { process: child, state: state as string, end }
}

/** The process that answers at the path. */
async function pidAtPath(): Promise<number> {
  const socket = connect(path)
  onTestFinished(() => void socket.destroy())
  socket.on('error', () => {})
  for await (const line of createInterface(socket)) return (JSON.parse(line) as Hello).pid
  throw new Error(`no session answers at ${path}`)
}

test.each(['close', 'exit'] as const)(
  '%s: a process that did not get the path leaves the other’s socket',
  async how => {
    const first = await start()
    expect(first.state).toBe('listening')
    const second = await start()
    expect(second.state).toMatch(/^ERR_ATSSS_WATCH .*EADDRINUSE/)
    await second.end(how)
    expect(await pidAtPath()).toBe(first.process.pid)
    await first.end(how)
    expect(existsSync(path)).toBe(false)
  },
)

test.each(['close', 'exit'] as const)('%s: a process whose socket was replaced leaves the new one', async how => {
  const first = await start()
  rmSync(path)
  const second = await start()
  expect([first.state, second.state]).toEqual(['listening', 'listening'])
  await first.end(how)
  expect(await pidAtPath()).toBe(second.process.pid)
  await second.end(how)
  expect(existsSync(path)).toBe(false)
})

test('a process that was killed leaves its socket, which the next one replaces', async () => {
  const first = await start()
  const ended = once(first.process, 'exit')
  first.process.kill('SIGKILL')
  await ended
  expect(existsSync(path)).toBe(true)
  const second = await start()
  expect(second.state).toBe('listening')
  expect(await pidAtPath()).toBe(second.process.pid)
  await second.end('close')
})

test('a process that a signal has ended leaves its socket, which the next session of the user removes', async () => {
  const first = await start('')
  const left = join(folder, 'atsss', `${first.process.pid}.sock`)
  expect(existsSync(left)).toBe(true)
  const ended = once(first.process, 'exit')
  first.process.kill('SIGTERM')
  await ended
  const [second, third] = [await start(''), await start('')]
  await expect.poll(() => existsSync(left)).toBe(false)
  for (const { process } of [second, third]) expect(existsSync(join(folder, 'atsss', `${process.pid}.sock`))).toBe(true)
  await Promise.all([second.end('close'), third.end('exit')])
})
