import { expect, test, vi } from 'vitest'
import { addonPath, runScript } from '../support/native-addon.js'

vi.setConfig({ testTimeout: 60_000 })

/** Everything open: a listener, connections to it, waits of every kind, and the event loop kept alive. */
const everything = `
  const listener = addon.socket(4, 6)
  addon.bind(listener, '127.0.0.1', 0)
  addon.listen(listener, 16)
  const { port } = addon.getsockname(listener)
  const connect = () => {
    const fd = addon.socket(4, 6)
    addon.connect(fd, '127.0.0.1', port)
    return fd
  }
  const reactor = new addon.Reactor(completion => globalThis.delivered?.(completion))
  reactor.keepAlive(true)
  reactor.awaitConnected(connect())
  reactor.awaitBytes(connect(), 5)
  reactor.watchEdges(connect(), 4)
  reactor.watchEdges(listener, 1)
`

const ended = (source: string) => runScript(everything + source)

test('process.exit() with everything open', () => {
  expect(ended(`process.exit(3)`)).toMatchObject({ code: 3, err: '' })
})

test('process.exit() within a delivery', () => {
  expect(ended(`globalThis.delivered = () => process.exit(4)`)).toMatchObject({ code: 4, err: '' })
})

test('process.exit() within a delivery, many times', () => {
  for (let round = 0; round < 10; round++)
    expect(
      ended(`for (let i = 0; i < 100; i++) reactor.watchEdges(connect(), 4)
      globalThis.delivered = () => process.exit(4)`),
    ).toMatchObject({ code: 4, err: '' })
})

test('the event loop ends with everything open', () => {
  expect(ended(`reactor.keepAlive(false)`)).toMatchObject({ code: 0, err: '' })
})

test('nothing is delivered in the exit handler', () => {
  expect(
    ended(`reactor.keepAlive(false)
    globalThis.delivered = () => {}
    process.on('exit', () => { reactor.watchEdges(connect(), 4); addon.counts(); reactor.cancel(1) })`),
  ).toMatchObject({ code: 0, err: '' })
})

test('an error thrown in a delivery is an uncaught exception, and the deliveries go on', () => {
  const { code, out } = ended(`
    let count = 0
    globalThis.delivered = () => { throw new Error('delivery ' + ++count) }
    process.on('uncaughtException', error => {
      console.log(error.message)
      if (count === 2) process.exit()
      reactor.watchEdges(connect(), 4)
    })`)
  expect([code, out]).toEqual([0, 'delivery 1\ndelivery 2\n'])
})

test('without a handler for it, it ends the process', () => {
  const { code, err } = ended(`globalThis.delivered = () => { throw new Error('of the delivery') }`)
  expect(code).toBe(1)
  expect(err).toContain('Error: of the delivery')
})

test('process.exit() while workers wait', () => {
  expect(
    ended(`
    const { Worker } = require('node:worker_threads')
    let ready = 0
    for (let i = 0; i < 4; i++)
      new Worker(
        \`const addon = require(require('node:worker_threads').workerData)
        const reactor = new addon.Reactor(() => {})
        reactor.keepAlive(true)
        reactor.awaitConnected(addon.socket(4, 6))
        reactor.watchEdges(addon.socket(4, 6), 1)
        require('node:worker_threads').parentPort.postMessage('ready')\`,
        { eval: true, workerData: ${JSON.stringify(addonPath)} },
      ).on('message', () => ++ready === 4 && process.exit(5))`),
  ).toMatchObject({ code: 5, err: '' })
})

test('a signal ends the process', () => {
  expect(ended(`process.kill(process.pid, 'SIGTERM')`)).toMatchObject({ code: 'SIGTERM', err: '' })
})

test('no signal is for the reactor: its thread has them all blocked', () => {
  const { out } = ended(`
    const { readFileSync, readdirSync } = require('node:fs')
    for (const task of readdirSync('/proc/self/task')) {
      const status = readFileSync('/proc/self/task/' + task + '/status', 'utf8')
      if (/^Name:\\s+atsss$/m.test(status)) console.log(/^SigBlk:\\s+(\\w+)$/m.exec(status)[1])
    }
    process.exit()`)
  // All but SIGKILL (9), SIGSTOP (19), and, once it has started, those from 32 on that the C library keeps for itself.
  expect(out).toMatch(/^fffffff[0-9a-f][7f]ffbfeff$/m)
})

test('JavaScript receives signals while the reactor runs', () => {
  expect(
    ended(`process.on('SIGUSR2', () => process.exit(6))
    setTimeout(() => process.kill(process.pid, 'SIGUSR2'), 10)`),
  ).toMatchObject({ code: 6, err: '' })
})
