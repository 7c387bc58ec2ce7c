/** Several reactors in one environment: each has its own waits. */
import { expect, test } from 'vitest'
import { native } from '../../lib/runtime/kernel/native.js'
import { Completions, leavesNothing, pause, reactorMethods, runScript, serve, TCP } from '../support/native-addon.js'

const addon = native()
const [one, two] = [new Completions(addon), new Completions(addon)]
leavesNothing(addon)

async function echo() {
  const server = await serve(addon, { protocol: TCP }, socket => socket.pipe(socket))
  const connected = async (completions: Completions) => {
    const fd = addon.socket(4, TCP)
    addon.connect(fd, server.address, server.port)
    expect(await completions.next(completions.reactor.awaitConnected(fd))).toMatchObject({ status: 0 })
    return fd
  }
  return { connected, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
}

test('a reactor has the methods of its type', () => {
  for (const name of reactorMethods) expect(one.reactor).toHaveProperty(name, expect.any(Function))
})

test('each completion goes to the reactor that waits for it, the later one and the earlier one alike', async () => {
  await using server = await echo()
  const all = [one, two, one, two]
  const fds = await Promise.all(all.map(completions => server.connected(completions)))
  for (const [i, fd] of fds.entries()) addon.send(fd, Buffer.from(`answer ${i}`))
  const answers = await Promise.all(
    all.map(async (completions, i) =>
      String((await completions.next(completions.reactor.awaitBytes(fds[i]!, 8))).bytes),
    ),
  )
  expect(answers).toEqual(['answer 0', 'answer 1', 'answer 2', 'answer 3'])
  for (const fd of fds) addon.close(fd)
})

test('a reactor cancels only its own waits', async () => {
  await using server = await echo()
  const fd = await server.connected(one)
  const id = one.reactor.awaitBytes(fd, 5)
  two.reactor.cancel(id)
  addon.send(fd, Buffer.from('hello'))
  expect(await one.next(id)).toMatchObject({ bytes: Buffer.from('hello') })
  addon.close(fd)
})

test('a descriptor has one wait at a time, whichever reactor asks', async () => {
  await using server = await echo()
  const fd = await server.connected(one)
  const id = one.reactor.awaitBytes(fd, 1)
  expect(() => two.reactor.awaitBytes(fd, 1)).toThrow('epoll_ctl EBUSY')
  one.reactor.cancel(id)
  const other = two.reactor.awaitBytes(fd, 1)
  addon.close(fd)
  await pause(20)
  expect([...one.of(id), ...two.of(other)]).toEqual([])
})

/** A connection that is being made, and how long the event loop lived. */
const connecting = `
  const listener = addon.socket(4, 6)
  addon.bind(listener, '127.0.0.1', 0)
  addon.listen(listener, 16)
  const { port } = addon.getsockname(listener)
  const connect = () => {
    const fd = addon.socket(4, 6)
    addon.connect(fd, '127.0.0.1', port)
    return fd
  }
  const start = Date.now()
  process.on('exit', () => console.log(Date.now() - start < 1000 ? 'at once' : 'later'))`

test('each keeps the event loop alive for itself', () => {
  const { out } = runScript(`${connecting}
    const first = new addon.Reactor(() => { console.log('first'); first.keepAlive(false) })
    const second = new addon.Reactor(() => {})
    first.keepAlive(true)
    first.watchEdges(listener, 1)
    second.keepAlive(true)
    second.keepAlive(false)
    setTimeout(connect, 1200).unref()
    new (require('node:worker_threads').Worker)(
      'setTimeout(() => require("node:net").connect(' + port + ', "127.0.0.1").destroy(), 1200)', { eval: true }).unref()`)
  expect(out).toBe('first\nlater\n')
})

test('a reactor without references lives as long as its waits, and goes with them', () => {
  const { code, out, err } = runScript(
    `${connecting}
    const collect = async () => { for (let i = 0; i < 5; i++) { gc(); await new Promise(setImmediate) } }
    const held = []
    const make = deliver => {
      const reactor = new addon.Reactor(deliver)
      held.push(new WeakRef(reactor))
      return reactor
    }
    ;(async () => {
      make(() => {})
      const id = make(() => console.log('delivered')).awaitConnected(connect())
      const cancelled = make(() => {})
      cancelled.cancel(cancelled.watchEdges(listener, 1))
      make(() => {}).keepAlive(true)
      make(() => {}).watchEdges(connect(), 1)
      await collect()
      console.log(held.map(ref => ref.deref() !== undefined).join())
      await new Promise(resolve => setTimeout(resolve, 100))
      await collect()
      console.log(held.map(ref => ref.deref() !== undefined).join(), addon.counts().waits)
    })()`,
    [],
    ['--expose-gc'],
  )
  expect({ code, err }).toEqual({ code: 0, err: '' })
  expect(out).toMatch(/^false,(true|false),(true|false),false,true\n/m)
  expect(out).toMatch(/delivered\n/)
  expect(out).toMatch(/false,false,(true|false),false,true 1\n/)
})
