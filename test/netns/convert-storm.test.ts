/** A thousand connections at once through a converter, beside busy loops: none fails, and hardly any sends a second SYN. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, onTestFinished } from 'vitest'
import { entry } from '../support/client-script.js'
import { CONVERTER, openLaptop, SERVER } from '../support/laptop.js'
import { all, mptcp, mptcpFastOpen, netns, root } from '../support/probes.js'
import { requires } from '../support/requires.js'

const stormTest = requires(
  'network namespaces and MPTCP and Fast Open on MPTCP sockets',
  all(root, netns, mptcp, mptcpFastOpen),
)

const COUNT = 1_000
const BUSY = 4
const ECHO = `require('net').createServer(socket => socket.on('error', () => {}).pipe(socket))
  .listen(7, '${SERVER}', 4096, () => console.log('ready'))`

/** How long a busy machine takes is not what is tested. */
const CLIENT = `
  const { connect } = await import(${JSON.stringify(entry)})
  const codes = {}
  let attempts = 0
  await Promise.all(Array.from({ length: ${COUNT} }, () => new Promise(resolve => {
    const options = { host: '${SERVER}', port: 7, converters: '${CONVERTER}:5124', converterTimeout: 60_000 }
    const socket = connect(options)
    const done = code => {
      codes[code] = (codes[code] ?? 0) + 1
      attempts += socket.mptcp.attempts
      socket.destroy()
      resolve()
    }
    socket.on('error', ({ code }) => done(code)).once('data', data => done(String(data)))
    socket.write('hello')
  })))
  console.log(JSON.stringify({ codes, attempts }))
  process.exit()`

stormTest(
  `${COUNT} connections at once beside ${BUSY} busy loops`,
  async () => {
    await using laptop = openLaptop()
    const server = laptop.spawn('internet', process.execPath, '-e', ECHO)
    const converter = laptop.spawn(
      'internet',
      process.execPath,
      'dist/cli/main.js',
      'converter',
      ...['--listen', `${CONVERTER}:5124`, '--allow', '0.0.0.0/0'],
    )
    await Promise.all([once(server.stdout, 'data'), once(converter.stdout, 'data')])
    converter.stdout.resume()
    const loops = Array.from({ length: BUSY }, (): ChildProcess => spawn(process.execPath, ['-e', 'for (;;);']))
    onTestFinished(() => {
      for (const loop of loops) loop.kill('SIGKILL')
    })
    const { stdout, stderr } = await laptop.run('laptop', process.execPath, '--input-type=module', '-e', CLIENT)
    expect(stderr).toBe('')
    const { codes, attempts } = JSON.parse(stdout) as { codes: object; attempts: number }
    expect(codes).toEqual({ hello: COUNT })
    expect(attempts).toBeLessThanOrEqual(COUNT * 1.03)
  },
  150_000,
)
