import { expect, test, vi } from 'vitest'
import { runScript } from '../support/native-addon.js'

vi.setConfig({ testTimeout: 30_000 })

/** A listener, and a socket to connect to it. */
const sockets = `
  const listener = addon.socket(4, 6)
  addon.bind(listener, '127.0.0.1', 0)
  addon.listen(listener, 16)
  const connecting = addon.socket(4, 6)
`

/** And a word at the end, on how long it took. */
const waiting = `${sockets}
  const start = Date.now()
  process.on('exit', () => console.log(Date.now() - start < 1000 ? 'at once' : 'later'))
`

test('a wait alone does not keep the event loop alive', () => {
  const { code, out } = runScript(`${waiting}
    const reactor = new addon.Reactor(() => {})
    reactor.watchEdges(listener, 1)`)
  expect([code, out]).toEqual([0, 'at once\n'])
})

test('keepAlive keeps it, until it is let go', () => {
  const { code, out } = runScript(`${waiting}
    const reactor = new addon.Reactor(({ status }) => { console.log(status); reactor.keepAlive(false) })
    reactor.keepAlive(true)
    reactor.watchEdges(listener, 1)
    setTimeout(() => addon.connect(connecting, '127.0.0.1', addon.getsockname(listener).port), 1200)`)
  expect([code, out]).toEqual([0, '1\nlater\n'])
})

test('it does not count: once is enough either way', () => {
  const { code, out } = runScript(`${waiting}
    const reactor = new addon.Reactor(() => {})
    for (let i = 0; i < 3; i++) reactor.keepAlive(true)
    reactor.keepAlive(false)`)
  expect([code, out]).toEqual([0, 'at once\n'])
})

test('what completes while the loop lives is delivered also when nothing keeps it', () => {
  const { code, out } = runScript(`${sockets}
    const reactor = new addon.Reactor(({ status }) => console.log('status', status))
    addon.connect(connecting, '127.0.0.1', addon.getsockname(listener).port)
    reactor.awaitConnected(connecting)
    setTimeout(() => {}, 50)`)
  expect([code, out]).toEqual([0, 'status 0\n'])
})

test('completions come one by one, the ticks and microtasks of each before the next', () => {
  const { out } = runScript(`${sockets}
    const { port } = addon.getsockname(listener)
    const reactor = new addon.Reactor(() => {
      console.log('completion')
      Promise.resolve().then(() => console.log('microtask'))
      process.nextTick(() => console.log('tick'))
    })
    for (let i = 0; i < 3; i++) {
      const fd = addon.socket(4, 6)
      addon.connect(fd, '127.0.0.1', port)
      reactor.awaitConnected(fd)
    }
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50)
    setTimeout(() => {}, 20)`)
  expect(out).toBe('completion\ntick\nmicrotask\n'.repeat(3))
})
