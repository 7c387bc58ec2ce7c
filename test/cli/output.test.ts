/** Output that cannot be written: the status says so, and services go on. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import net from 'node:net'
import { constants } from 'node:os'
import { expect, onTestFinished, test } from 'vitest'
import { mptcp } from '../support/probes.js'
import { requires } from '../support/requires.js'
import { PROGRAM } from './atsss.js'

const [node, ...program] = PROGRAM

const COMMANDS = [
  ['--version'],
  ['doctor', '--help'],
  ['doctor', '--json'],
  ['decode', '01022263', '01010000'],
  ['run', '--help'],
]

for (const words of COMMANDS)
  test(`a full disk: ${words.join(' ')}`, () => {
    const full = openSync('/dev/full', 'w')
    onTestFinished(() => closeSync(full))
    const { status, stderr } = spawnSync(node, [...program, ...words], {
      stdio: ['ignore', full, 'pipe'],
      encoding: 'utf8',
    })
    expect(stderr).toBe('atsss: standard output cannot be written: ENOSPC: no space left on device, write\n')
    expect(status).toBe(1)
  })

for (const words of COMMANDS)
  test(`a full disk for standard error, too: ${words.join(' ')}`, () => {
    const full = openSync('/dev/full', 'w')
    onTestFinished(() => closeSync(full))
    expect(spawnSync(node, [...program, ...words], { stdio: ['ignore', full, full] }).status).toBe(1)
  })

test('a reader that is gone ends the command as SIGPIPE would, without a word', async () => {
  const child = spawn(node, [...program, 'doctor', '--json'])
  child.stdout.destroy()
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
  expect(await once(child, 'exit')).toEqual([128 + constants.signals.SIGPIPE, null])
  expect(said).toBe('')
})

requires('MPTCP', mptcp)("a converter goes on when nobody reads its log, and when the log's disk is full", async () => {
  for (const full of [false, true]) {
    const port = await freePort()
    const file = full ? openSync('/dev/full', 'w') : undefined
    const child = spawn(node, [...program, 'converter', '--json', '--listen', `127.0.0.1:${port}`], {
      stdio: ['ignore', file ?? 'pipe', 'pipe'],
    })
    onTestFinished(() => void child.kill('SIGKILL'))
    if (file === undefined) {
      await once(child.stdout!, 'data')
      child.stdout!.destroy()
    } else closeSync(file)
    // Each is worth a line of the log.
    for (let client = 0; client < 3; client++) await expect.poll(() => refused(port)).toBe(true)
    expect([child.exitCode, child.signalCode]).toEqual([null, null])
    child.kill('SIGTERM')
    expect(await once(child, 'exit')).toEqual([0, null])
  }
})

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** A client that is none: whether the converter has closed its connection. */
async function refused(port: number): Promise<boolean> {
  const socket = net.connect(port, '127.0.0.1').on('error', () => {})
  socket.end('GET / HTTP/1.1\r\n\r\n')
  let connected = false
  socket.once('connect', () => {
    connected = true
  })
  await new Promise(resolve => socket.resume().once('close', resolve))
  return connected
}
