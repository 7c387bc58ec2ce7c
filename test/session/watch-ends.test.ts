/** A watch socket is removed at every end of its process that is not SIGKILL; and the process ends as it would without it. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest'
import { compiledUrl } from '../support/compiled.js'

let folder: string
let path: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'atsss-ends-'))
  path = join(folder, 's.sock')
})
afterEach(() => rmSync(folder, { recursive: true }))

/** `run` is what it does once it listens, and has said so. */
async function start(run: string): Promise<ChildProcess> {
  const program = `
    import { MaPduSession } from '${compiledUrl('lib/index.ts')}'
    const make = watch => new MaPduSession({ accesses: { '3gpp': 'none0', 'non-3gpp': 'lo' }, controller: 'inline', watch })
    const session = make(process.argv[1])
    await session.watching
    setInterval(() => {}, 1000)
    process.send('listening')
    await new Promise(resolve => process.once('message', resolve))
    ${run}
  `
  const child = spawn(process.execPath, ['--input-type=module', '-e', program, path], {
    stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  child.stderr?.resume()
  await once(child, 'message')
  expect(existsSync(path)).toBe(true)
  child.send('go')
  return child
}

const ended = async (child: ChildProcess) => once(child, 'exit')

test.each([
  ['an exception', "throw new Error('a bug')", [1, null]],
  ['process.exit()', 'process.exit(7)', [7, null]],
])('%s', async (_, run, status) => {
  const child = await start(run)
  expect(await ended(child)).toEqual(status)
  expect(existsSync(path)).toBe(false)
})

test.each([
  ['SIGTERM', ''],
  ['SIGINT', ''],
  ['SIGHUP', ''],
  ['SIGTERM', "process.send('busy'); for (;;);"],
] as const)('%s, %s', async (signal, run) => {
  const child = await start(run || "process.send('busy')")
  await once(child, 'message')
  child.kill(signal)
  expect(await ended(child)).toEqual([null, signal])
  expect(existsSync(path)).toBe(false)
})

test('a process that listens for the signal decides itself: the socket stays until it ends', async () => {
  const child = await start(
    "process.on('SIGTERM', () => process.send('heard')); process.on('SIGINT', () => process.exit(4)); process.send('ready')",
  )
  await once(child, 'message')
  child.kill('SIGTERM')
  expect(await once(child, 'message')).toContain('heard')
  expect(existsSync(path)).toBe(true)
  child.kill('SIGINT')
  expect(await ended(child)).toEqual([4, null])
  expect(existsSync(path)).toBe(false)
})

test('a closed session, and a file that another process has put there, are left alone', async () => {
  const second = join(folder, '2.sock')
  const child = await start(`
    const other = make('${second}')
    await other.watching
    session.close()
    process.send('ready')
  `)
  await once(child, 'message')
  writeFileSync(path, 'precious') // where the closed session's socket was
  rmSync(second)
  writeFileSync(second, 'precious')
  child.kill('SIGTERM')
  expect(await ended(child)).toEqual([null, 'SIGTERM'])
  expect([existsSync(path), existsSync(second)]).toEqual([true, true])
})
