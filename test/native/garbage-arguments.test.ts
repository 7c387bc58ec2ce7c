import { expect, test, vi } from 'vitest'
import { runScript } from '../support/native-addon.js'

vi.setConfig({ testTimeout: 60_000 })

/** Run in processes of their own: what is asked is that they do not crash. */
const garbage = `
  const detached = new Uint8Array(8)
  structuredClone(detached.buffer, { transfer: [detached.buffer] })
  const shared = new Uint8Array(new SharedArrayBuffer(8))
  const values = [
    undefined, null, true, false, 0, -0, 1, -1, 3, 4, 6, 262, 65535, 65536, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32,
    2 ** 53, -(2 ** 53), 1e308, 0.5, NaN, Infinity, -Infinity, 10n, '', '127.0.0.1', '::1', '\\0', '\\ud800',
    'x'.repeat(1e6), Symbol('x'), {}, [], [1], () => {}, class {}, new Date(), /x/, new Map(), new Proxy({}, {}),
    Buffer.alloc(0), Buffer.alloc(8), new Uint8Array(1e6), detached, shared, new Uint16Array(4), new DataView(new ArrayBuffer(8)),
    new ArrayBuffer(8), new SharedArrayBuffer(8), new Uint8ClampedArray(8), new BigInt64Array(2), Object.create(null),
    { valueOf() { throw new Error('valueOf') }, toString() { throw new Error('toString') } },
  ]
  const reactor = new addon.Reactor(() => {})
  const functions = Object.keys(addon).filter(name => typeof addon[name] === 'function')
  const methods = ['awaitConnected', 'awaitBytes', 'watchEdges', 'cancel', 'keepAlive']
  const scratch = require('node:fs').openSync('/dev/null')
  function attempt(name, args) {
    // Closes any descriptor that it is given, as of the process's own event loop: only one that we have opened.
    if (name === 'replace' && Number.isInteger(args[1])) args[1] = scratch
    try {
      if (name === 'Reactor') return new addon.Reactor(...args)
      const result = (name in addon ? addon : reactor)[name](...args)
      if (name === 'socketPair') return result.map(addon.close)
      return /socket$|duplicate/i.test(name) ? addon.close(result) : result
    } catch (error) {
      if (!(error instanceof Error)) throw new Error(name + ' threw ' + String(error))
      if (!(error instanceof TypeError) && error.syscall === undefined) throw error
    }
  }
`

const done = `
  if (addon.counts().descriptors > 0) throw new Error('left: ' + JSON.stringify(addon.counts()))
  console.log('alive')`

test('every function, without arguments and with one of everything', () => {
  const { code, out, err } = runScript(`${garbage}
    for (const name of [...functions, ...methods]) {
      attempt(name, [])
      for (const value of values) attempt(name, [value])
    }
    reactor.keepAlive(false)
    ${done}`)
  expect({ code, out, err }).toEqual({ code: 0, out: 'alive\n', err: '' })
})

test('every function, on a socket of its own, with random other arguments', () => {
  const { code, out, err } = runScript(`${garbage}
    let seed = 42
    const random = below => (seed = (seed * 48271) % 2147483647) % below
    const names = [...functions, ...methods]
    for (let round = 0; round < 20000; round++) {
      const name = names[random(names.length)]
      const fd = addon.socket(random(2) ? 4 : 6, random(2) ? 262 : 6)
      attempt(name, [fd, ...Array.from({ length: random(5) }, () => values[random(values.length)])])
      reactor.keepAlive(false)
      try { addon.close(fd) } catch (error) {
        if (name !== 'close' && name !== 'reset' && name !== 'release') throw error
        if (name === 'release') require('node:fs').closeSync(fd)
      }
    }
    ${done}`)
  expect({ code, out, err }).toEqual({ code: 0, out: 'alive\n', err: '' })
})

test('the error names the wrong argument', () => {
  const { out } = runScript(`
    const reactor = new addon.Reactor(() => {})
    const fd = addon.socket(4, 6)
    for (const [name, ...args] of [
      ['socket', 4, 'tcp'], ['bind', fd, 0, 0], ['connect', fd, '::1', 65536], ['close', 1.5], ['getsockopt', fd, 0, 0, 2 ** 21],
      ['Reactor', 1], ['setsockopt', fd, 0, 0, [1]], ['keepAlive', 1], ['datagramSocket', '4'], ['accept', 'x'],
      ['attachFilter', fd, 'ret'], ['attachFilter', 1.5, new Uint8Array(8)],
    ])
      try {
        if (name === 'Reactor') new addon.Reactor(...args)
        else (name in addon ? addon : reactor)[name](...args)
      } catch (error) { console.log(error.name + ': ' + error.message) }`)
  expect(out.trimEnd().split('\n')).toEqual([
    'TypeError: argument 2 must be an integer from -2147483648 to 2147483647',
    'TypeError: argument 2 must be a string',
    'TypeError: argument 3 must be an integer from 0 to 65535',
    'TypeError: argument 1 must be an integer from -2147483648 to 2147483647',
    'TypeError: argument 4 must be an integer from 0 to 1048576',
    'TypeError: argument 1 must be a function',
    'TypeError: argument 4 must be a Uint8Array',
    'TypeError: argument 1 must be a boolean',
    'TypeError: argument 1 must be an integer from -2147483648 to 2147483647',
    'TypeError: argument 1 must be an integer from -2147483648 to 2147483647',
    'TypeError: argument 2 must be a Uint8Array',
    'TypeError: argument 1 must be an integer from -2147483648 to 2147483647',
  ])
})

test('methods without their addon, and as constructors', () => {
  const { code, out } = runScript(`
    const { socket, close, Reactor } = addon
    close(socket(4, 6))
    const { cancel } = new Reactor(() => {})
    for (const call of [() => socket.call(undefined, 4, 6), () => socket.call({}, 4, 6), () => new socket(4, 6)])
      try { call() } catch (error) { if (!(error instanceof Error)) process.exit(1) }
    for (const call of [() => Reactor(() => {}), () => cancel.call({}, 1), () => cancel.call(addon, 1), () => cancel(1)])
      try { call(); process.exit(2) } catch (error) { if (!(error instanceof TypeError)) process.exit(3) }
    console.log('alive')`)
  expect([code, out]).toEqual([0, 'alive\n'])
})
