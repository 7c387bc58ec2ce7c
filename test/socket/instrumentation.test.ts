/**
 * Instrumentation wraps `net.Socket.prototype.connect` (OpenTelemetry and others do): it reads what the application has asked for,
 * and the connection goes over MPTCP whatever copy of the options it passes on.
 */
import { once } from 'node:events'
import net from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { preload } from '../../lib/preload/preload.js'
import type { MptcpReport } from '../../lib/runtime/connect/report.js'
import { connect } from '../../lib/socket/connect.js'
import { echoServer } from '../support/echo-server.js'
import { leavesNothingOpen } from '../support/open-things.js'
import { mptcp } from '../support/probes.js'
import { requires } from '../support/requires.js'

leavesNothingOpen()

const undo: (() => void)[] = []
afterEach(() => {
  for (const each of undo.splice(0).reverse()) each()
})

type Options = Partial<net.TcpNetConnectOpts>

/** Wraps the method as instrumentation does. @returns what it saw */
function wrapped(passOn: (options: Options) => Options): Options[] {
  const seen: Options[] = []
  const nodes = net.Socket.prototype.connect
  undo.push(() => {
    net.Socket.prototype.connect = nodes
  })
  net.Socket.prototype.connect = function (this: net.Socket, ...args: unknown[]) {
    const [first, ...rest] = args
    const options = (Array.isArray(first) ? first[0] : first) as Options
    const { host, port } = options
    seen.push({ ...(host !== undefined && { host }), ...(port !== undefined && { port }) })
    return Reflect.apply(nodes, this, [passOn(options), ...(Array.isArray(first) ? [first[1]] : rest)])
  } as typeof nodes
  return seen
}

const ways: Record<string, (port: number, host: string) => net.Socket> = {
  'connect()': (port, host) => connect({ port, host }),
  'the preload': (port, host) => {
    undo.push(preload({}, { includeLocal: true }))
    return net.connect({ port, host })
  },
}

const copies: Record<string, (options: Options) => Options> = {
  'the same options': options => options,
  'a copy of them': options => ({ ...options }),
  'options that inherit from them': options => Object.create(options),
}

const reportOf = (socket: net.Socket) => (socket as net.Socket & { mptcp?: MptcpReport }).mptcp

for (const [way, start] of Object.entries(ways))
  for (const [what, passOn] of Object.entries(copies))
    for (const host of ['127.0.0.1', 'localhost'])
      requires('MPTCP', mptcp)(`${way} to ${host}, under code that passes on ${what}`, async () => {
        await using server = await echoServer()
        const seen = wrapped(passOn)
        const socket = start(server.port, host)
        socket.end('hello')
        await once(socket, 'connect')
        expect(seen).toEqual([{ host, port: server.port }])
        expect(reportOf(socket)).toMatchObject({ protocol: 'mptcp' })
        expect(socket.remotePort).toBe(server.port)
        await once(socket.resume(), 'close')
      })

requires('MPTCP', mptcp)('a socket that connects again while it is connecting', async () => {
  await using server = await echoServer()
  const seen = wrapped(options => options)
  const socket = connect({ port: 9, host: '192.0.2.1' })
  socket.connect({ port: server.port, host: '127.0.0.1' })
  await once(socket, 'connect')
  expect(socket.remoteAddress).toBe('127.0.0.1')
  expect(seen).toHaveLength(2)
  socket.destroy()
  await once(socket, 'close')
})

test('code that passes on an address of its own: connect() fails, the preload leaves the connection to Node', async () => {
  await using server = await echoServer()
  const seen = wrapped(options => ({ ...options, host: '127.0.0.1' }))
  const socket = connect({ port: server.port, host: '127.0.0.2' })
  const [error] = await once(socket, 'error')
  expect(error).toMatchObject({
    code: 'ERR_ATSSS_NODE',
    message: expect.stringContaining('net.Socket.prototype.connect'),
  })
  undo.push(preload({}, { includeLocal: true }))
  const left = net.connect({ port: server.port, host: '127.0.0.2' })
  await once(left, 'connect')
  expect([left.remoteAddress, reportOf(left)]).toEqual(['127.0.0.1', undefined])
  expect(seen.map(({ host }) => host)).toEqual(['127.0.0.2', '127.0.0.2'])
  left.destroy()
  await once(left, 'close')
})
