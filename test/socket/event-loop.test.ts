import { expect, test } from 'vitest'
import { entry, runClient } from '../support/client-script.js'
import { echoServer, server } from '../support/echo-server.js'
import { mptcp } from '../support/probes.js'
import { requires } from '../support/requires.js'

const mptcpTest = requires('MPTCP', mptcp)

/** A process that hangs is ended after this time, and the test fails. Milliseconds. */
const timeout = 10_000

mptcpTest.describe('what keeps a process alive', () => {
  test('a connection does, also while it is being made', async () => {
    await using echo = await echoServer()
    const { code, out, err } = await runClient(
      `connect(${echo.port}, '127.0.0.1').on('data', data => process.stdout.write(data)).end('hello')`,
      { timeout },
    )
    expect({ code, out, err }).toEqual({ code: 0, out: 'hello', err: '' })
  }, 30_000)

  test('it ends when the connection does', async () => {
    await using ending = await server(socket => socket.end('bye'))
    const { code, out } = await runClient(
      `connect(${ending.port}, '127.0.0.1').resume().on('close', () => process.stdout.write('closed'))`,
      { timeout },
    )
    expect({ code, out }).toEqual({ code: 0, out: 'closed' })
  }, 30_000)

  test('a refused one does not', async () => {
    const { code, out } = await runClient(
      `connect(1, '127.0.0.1').on('error', ({ code }) => process.stdout.write(code))`,
      { timeout },
    )
    expect({ code, out }).toEqual({ code: 0, out: 'ECONNREFUSED' })
  }, 30_000)

  test('one without an error listener ends the process, as any emitter', async () => {
    const { code, err } = await runClient(`connect(1, '127.0.0.1')`, { timeout })
    expect(code).toBe(1)
    expect(err).toContain('connect ECONNREFUSED 127.0.0.1:1')
  }, 30_000)

  test('a destroyed one does not, though the peer stays', async () => {
    await using silent = await server(() => {})
    const { code, out } = await runClient(
      `connect(${silent.port}, '127.0.0.1', function () { this.destroy() }).on('close', () => process.stdout.write('closed'))`,
      { timeout },
    )
    expect({ code, out }).toEqual({ code: 0, out: 'closed' })
  }, 30_000)

  test.each([
    ['while connecting', `connect(PORT, '127.0.0.1').unref()`],
    ['once connected', `connect(PORT, '127.0.0.1', function () { this.unref() })`],
    ['after ref()', `connect(PORT, '127.0.0.1').ref().unref()`],
    ['twice', `connect(PORT, '127.0.0.1').unref().unref()`],
    ['before connect()', `const socket = new MptcpSocket().unref(); socket.connect(PORT, '127.0.0.1').unref()`],
  ])(
    'unref() %s lets it end',
    async (_, source) => {
      await using silent = await server(() => {})
      const { code } = await runClient(source.replaceAll('PORT', `${silent.port}`), { timeout })
      expect(code).toBe(0)
    },
    30_000,
  )

  test('unref() and ref() again keeps it', async () => {
    await using echo = await echoServer()
    const { code, out } = await runClient(
      `connect(${echo.port}, '127.0.0.1').unref().ref().on('data', data => process.stdout.write(data)).end('hello')`,
      { timeout },
    )
    expect({ code, out }).toEqual({ code: 0, out: 'hello' })
  }, 30_000)

  test('process.exit() with everything open', async () => {
    await using silent = await server(() => {})
    const { code, err } = await runClient(
      `for (let i = 0; i < 50; i++) connect(${silent.port}, '127.0.0.1', () => i === 40 && process.exit(7))`,
      { timeout },
    )
    expect({ code, err }).toEqual({ code: 7, err: '' })
  }, 30_000)
})

mptcpTest(
  'sockets that nobody holds any more are collected',
  async () => {
    await using echo = await echoServer()
    const { code, out, err } = await runClient(
      `
      let collected = 0
      const registry = new FinalizationRegistry(() => collected++)
      for (let i = 0; i < 200; i++) {
        await new Promise(resolve => {
          const socket = connect(${echo.port}, '127.0.0.1').on('close', resolve).resume()
          registry.register(socket)
          socket.end('x'.repeat(1000))
        })
      }
      for (let i = 0; i < 50 && collected < 190; i++) {
        global.gc()
        await new Promise(resolve => setTimeout(resolve, 20))
      }
      process.stdout.write(String(collected))
      `,
      { flags: ['--expose-gc'], timeout: 30_000 },
    )
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(Number(out)).toBeGreaterThanOrEqual(190)
  },
  40_000,
)

mptcpTest.describe('worker threads', () => {
  /** Makes `start()`, which runs `source` in a worker. */
  const worker = (source: string) => `
    import { Worker } from 'node:worker_threads'
    const source = ${JSON.stringify(`
      const { parentPort } = require('node:worker_threads')
      import(${JSON.stringify(entry)}).then(({ connect }) => { ${source} })
    `)}
    const start = () => new Worker(source, { eval: true, execArgv: [] })
  `

  test('connect in each', async () => {
    await using echo = await echoServer()
    const { code, out, err } = await runClient(
      `${worker(`connect(${echo.port}, '127.0.0.1').on('data', data => parentPort.postMessage(String(data))).end('hello')`)}
      const words = await Promise.all(Array.from({ length: 4 }, () => new Promise((resolve, reject) => {
        start().on('message', resolve).on('error', reject)
      })))
      connect(${echo.port}, '127.0.0.1').on('data', data => process.stdout.write(words.join() + data)).end('!')`,
      { timeout: 30_000 },
    )
    expect({ code, out, err }).toEqual({ code: 0, out: 'hello,hello,hello,hello!', err: '' })
  }, 40_000)

  test('ended while they connect', async () => {
    await using silent = await server(() => {})
    const { code, out, err } = await runClient(
      `${worker(`for (let i = 0; i < 20; i++) connect(${silent.port}, '127.0.0.1'); parentPort.postMessage('')`)}
      for (let i = 0; i < 3; i++) {
        const worker = start()
        await new Promise(resolve => worker.on('message', resolve))
        await worker.terminate()
      }
      process.stdout.write('done')`,
      { timeout: 30_000 },
    )
    expect({ code, out, err }).toEqual({ code: 0, out: 'done', err: '' })
  }, 40_000)
})
