import { readdirSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { expect, test, vi } from 'vitest'
import { native } from '../../lib/runtime/kernel/native.js'
import { addonPath, Completions, leavesNothing, serve, TCP } from '../support/native-addon.js'

vi.setConfig({ testTimeout: 60_000 })

const addon = native()
const completions = new Completions(addon)
leavesNothing(addon)

const descriptors = () => readdirSync('/proc/self/fd').length
const threads = () => readdirSync('/proc/self/task').length

/** A worker with the addon, and `say` for messages; `port` is a server that echoes. */
function start(source: string, port: number): Worker {
  return new Worker(
    `const { parentPort, workerData } = require('node:worker_threads')
    const addon = require(workerData.addonPath)
    const { port } = workerData
    const say = message => parentPort.postMessage(message)
    const connect = () => {
      const fd = addon.socket(4, 6)
      addon.connect(fd, '127.0.0.1', port)
      return fd
    }
    ${source}`,
    { eval: true, workerData: { addonPath, port } },
  )
}

const ended = (worker: Worker) => new Promise(resolve => worker.once('exit', resolve))
const said = (worker: Worker) =>
  new Promise<unknown>((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
  })
const echo = () => serve(addon, { protocol: TCP }, socket => socket.pipe(socket))

/** Waits of every kind that never end, on descriptors that are never closed. */
const openWaits = (deliver = `({ status }) => { if (status !== 4) say('ready') }`) => `
  const reactor = new addon.Reactor(${deliver})
  reactor.keepAlive(true)
  reactor.awaitConnected(connect())
  reactor.watchEdges(connect(), 4)
  reactor.watchEdges(addon.socket(4, 6), 1)
  const reading = connect()
  reactor.awaitBytes(reading, 10)`

test('a worker has its own descriptors and its own completions', async () => {
  await using server = await echo()
  const worker = start(
    `const reactor = new addon.Reactor(({ status, bytes }) => {
      if (bytes) return say({ text: String(bytes), counts: addon.counts() })
      addon.send(fd, Buffer.from('hello'))
      reactor.awaitBytes(fd, 5)
    })
    reactor.keepAlive(true)
    const fd = connect()
    reactor.awaitConnected(fd)`,
    server.port,
  )
  const before = completions.all.length
  expect(await said(worker)).toEqual({ text: 'hello', counts: { descriptors: 1, waits: 0 } })
  expect(completions.all.length).toBe(before)
  await worker.terminate()
})

test("a worker's descriptor is not the main thread's", async () => {
  await using server = await echo()
  const worker = start(`say(connect()); parentPort.ref()`, server.port)
  const fd = (await said(worker)) as number
  expect(() => addon.close(fd)).toThrow('close EBADF')
  await worker.terminate()
})

test('terminated with waits pending: its descriptors are closed, its thread has ended', async () => {
  await using server = await echo()
  const before = { descriptors: descriptors(), threads: threads() }
  const worker = start(openWaits(), server.port)
  await said(worker)
  expect(descriptors()).toBeGreaterThan(before.descriptors + 4)
  expect(threads()).toBeGreaterThan(before.threads + 1)
  await worker.terminate()
  await expect.poll(threads).toBe(before.threads)
  await expect.poll(descriptors).toBeLessThanOrEqual(before.descriptors)
})

test('terminated before the first wait', async () => {
  await using server = await echo()
  const before = descriptors()
  const worker = start(`connect(); say('open'); parentPort.ref()`, server.port)
  await said(worker)
  await worker.terminate()
  await expect.poll(descriptors).toBeLessThanOrEqual(before)
})

test('twenty workers, one after the other, terminated with waits pending', async () => {
  await using server = await echo()
  const before = { descriptors: descriptors(), threads: threads() }
  for (let round = 0; round < 20; round++) {
    const worker = start(openWaits(), server.port)
    if (round % 2) await said(worker)
    await worker.terminate()
  }
  await expect.poll(threads).toBe(before.threads)
  await expect.poll(descriptors).toBeLessThanOrEqual(before.descriptors)
})

test('terminated while completions and errors pour', async () => {
  await using server = await echo()
  const flood = `
    const reactor = new addon.Reactor(({ id }) => {
      reactor.cancel(id)
      again()
    })
    reactor.keepAlive(true)
    let open = []
    function again() {
      for (const fd of open) addon.close(fd)
      open = [connect(), connect()]
      for (const fd of open) reactor.watchEdges(fd, 4)
      for (let i = 0; i < 50; i++) try { addon.close(-1) } catch (error) { if (error.code !== 'EBADF') throw error }
    }
    again()
    say('pouring')`
  for (let round = 0; round < 10; round++) {
    const workers = [start(flood, server.port), start(flood, server.port)]
    await Promise.all(workers.map(said))
    await new Promise(resolve => setTimeout(resolve, round * 3))
    await Promise.all(workers.map(worker => worker.terminate()))
  }
})

test('process.exit() in a worker, within a delivery', async () => {
  await using server = await echo()
  const worker = start(openWaits('() => process.exit(7)'), server.port)
  expect(await ended(worker)).toBe(7)
})

test('an error thrown in a delivery is an uncaught exception of the worker', async () => {
  await using server = await echo()
  const worker = start(openWaits(`() => { throw new Error('of the delivery') }`), server.port)
  const error = await new Promise<Error>(resolve => worker.once('error', resolve))
  expect(error.message).toBe('of the delivery')
})

test('a worker with waits ends by itself when nothing keeps it alive', async () => {
  await using server = await echo()
  const worker = start(
    `const reactor = new addon.Reactor(() => {})
    reactor.awaitBytes(connect(), 1)
    reactor.watchEdges(connect(), 1)`,
    server.port,
  )
  expect(await ended(worker)).toBe(0)
})
