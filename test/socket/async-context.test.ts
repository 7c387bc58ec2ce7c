import { AsyncLocalStorage, executionAsyncId } from 'node:async_hooks'
import diagnostics from 'node:diagnostics_channel'
import { once } from 'node:events'
import type net from 'node:net'
import { describe, expect, test } from 'vitest'
import { connect } from '../../lib/socket/connect.js'
import { echoServer } from '../support/echo-server.js'
import { refusingPort } from '../support/native-addon.js'
import { leavesNothingOpen } from '../support/open-things.js'
import { mptcp } from '../support/probes.js'
import { requires } from '../support/requires.js'
import { ours } from '../support/same-as-net.js'

const mptcpTest = requires('MPTCP', mptcp)

leavesNothingOpen()

const storage = new AsyncLocalStorage<string>()
const closed = (socket: net.Socket) => new Promise(resolve => socket.once('close', resolve))

describe('AsyncLocalStorage holds what it held when connect() was called', () => {
  mptcpTest('in the listeners of a connection, many at once', async () => {
    await using echo = await echoServer()
    const run = (name: string, options: net.TcpNetConnectOpts) =>
      storage.run(name, async () => {
        const seen = new Set<string | undefined>()
        const look = () => seen.add(storage.getStore())
        const socket = ours(options, look)
        for (const event of ['lookup', 'connectionAttempt', 'connect', 'ready', 'data', 'end', 'finish', 'close'])
          socket.on(event, look)
        socket.write('early', look)
        socket.end('hello', look)
        await closed(socket)
        return [...seen]
      })
    const names = Array.from({ length: 20 }, (_, index) => `context ${index}`)
    const seen = await Promise.all(
      names.map((name, index) =>
        run(name, { port: echo.port, host: index % 2 ? 'localhost' : '127.0.0.1', family: 4 }),
      ),
    )
    expect(seen).toEqual(names.map(name => [name]))
  })

  test('in the error listener', async () => {
    const port = await refusingPort()
    const seen = await storage.run('context', async () => {
      const socket = ours(port, '127.0.0.1')
      const stores: unknown[] = []
      for (const event of ['connectionAttemptFailed', 'error', 'close'])
        socket.on(event, () => stores.push(storage.getStore()))
      await closed(socket)
      return stores
    })
    expect(seen).toEqual(['context', 'context', 'context'])
  })

  mptcpTest('an async id is there, as in any callback', async () => {
    await using echo = await echoServer()
    const socket = ours(echo.port, '127.0.0.1')
    const id = new Promise<number>(resolve => socket.on('connect', () => resolve(executionAsyncId())))
    expect(await id).toBeGreaterThan(0)
    socket.destroy()
  })
})

mptcpTest('an exception in a listener is an uncaught exception, and other connections go on', async () => {
  await using echo = await echoServer()
  const caught: unknown[] = []
  const listeners = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  process.on('uncaughtException', error => caught.push((error as Error).message))
  try {
    const sockets = Array.from({ length: 20 }, () => ours(echo.port, '127.0.0.1'))
    sockets.forEach((socket, index) => {
      socket.on('connect', () => {
        socket.end('x').resume()
        if (index % 5 === 0) throw new Error(`listener ${index}`)
      })
    })
    await Promise.all(sockets.map(closed))
  } finally {
    process.removeAllListeners('uncaughtException')
    for (const listener of listeners) process.on('uncaughtException', listener)
  }
  expect(caught.sort()).toEqual(['listener 0', 'listener 10', 'listener 15', 'listener 5'])
})

describe("diagnostics channel 'net.client.socket'", () => {
  mptcpTest('tells once of every socket that connect() makes, in the same turn', async () => {
    await using echo = await echoServer()
    const told: net.Socket[] = []
    const hear = (message: unknown) => told.push((message as { socket: net.Socket }).socket)
    diagnostics.subscribe('net.client.socket', hear)
    const socket = connect(echo.port, '127.0.0.1')
    diagnostics.unsubscribe('net.client.socket', hear)
    connect(echo.port, '127.0.0.1').destroy()
    expect(told).toHaveLength(1)
    expect(told[0]).toBe(socket)
    await once(socket, 'connect')
    socket.destroy()
  })
})
