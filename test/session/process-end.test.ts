/**
 * A process ends by itself when its servers and connections are closed: no timer, socket or thread of ours keeps it. Its session may
 * be closed or not.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished } from 'vitest'
import { compiledUrl } from '../support/compiled.js'
import { mptcp } from '../support/probes.js'
import { requires } from '../support/requires.js'

/** After `close()`, deletions of mappings may wait for PCP servers for a second. */
const SECONDS = 5

/** Has one of everything, uses it, and closes it. The converter is a name, so that it is resolved from time to time. */
const PROGRAM = `
  import { once } from 'node:events'
  import net from 'node:net'
  import { MaPduSession } from '${compiledUrl('lib/index.ts')}'
  import { encode } from '${compiledUrl('lib/wire/convert/index.ts')}'
  const [controller, watch, end] = process.argv.slice(1)
  const echo = net.createServer(socket => socket.pipe(socket)).listen(0, '127.0.0.1')
  await once(echo, 'listening')
  const session = new MaPduSession({
    accesses: { '3gpp': 'nowhere0', 'non-3gpp': 'lo' }, converters: 'localhost:9', allowLoopback: true, controller, watch,
    connectTimeout: 60_000, mptcp: 'prefer',
  })
  const watcher = net.connect(await session.watching)
  await once(watcher, 'data')

  const server = session.createServer({ pcpServers: ['127.0.0.1:9'] })
  server.on('problem', () => {})
  server.listen(0)
  await once(server, 'listening')
  const remote = net.connect(server.address().port, '127.0.0.1').on('error', () => {})
  remote.write(encode([{ type: 'connect', address: '198.51.100.7', port: 80, tcpOptions: [] }]))
  const [accepted] = await once(server, 'connection')
  // The server waits for its message.
  const silent = net.connect(server.address().port, '127.0.0.1').on('error', () => {})
  await once(silent, 'connect')

  const socket = session.connect({ host: '127.0.0.1', port: echo.address().port, converters: [] })
  socket.write('hello')
  await once(socket, 'data')
  const connecting = session.connect({ host: '127.0.0.1', port: echo.address().port, converters: [] })

  for (const each of [socket, connecting, accepted, remote, silent, watcher]) each.on('error', () => {}).destroy()
  server.close()
  if (end === 'closed') session.close()
  echo.close()
  const closedAt = performance.now()
  process.on('exit', () => console.log(JSON.stringify({ controller, after: performance.now() - closedAt })))
`

const mptcpTest = requires('MPTCP', mptcp)

for (const [controller, end] of [
  ['inline', 'closed'],
  ['inline', 'left open'],
  ['worker', 'closed'],
  ['worker', 'left open'],
] as const)
  mptcpTest(`a session with a watch socket, ${end}, with controller ${controller}`, async () => {
    const folder = mkdtempSync(join(tmpdir(), 'atsss-end-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const child = spawn(
      process.execPath,
      ['--input-type=module', '-e', PROGRAM, controller, join(folder, 'watch.sock'), end],
      {
        ...{ stdio: ['ignore', 'pipe', 'inherit'], timeout: 20_000, killSignal: 'SIGKILL' },
      },
    )
    onTestFinished(() => void child.kill('SIGKILL'))
    const [[...chunks], exit] = await Promise.all([child.stdout!.toArray(), once(child, 'exit')])
    expect(exit).toEqual([0, null])
    const { after } = JSON.parse(Buffer.concat(chunks).toString()) as { after: number }
    expect(after).toBeLessThan(SECONDS * 1000)
  })
