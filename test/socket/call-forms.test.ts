import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import type http from 'node:http'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { MaPduSession } from '../../lib/session/session.js'
import { connect, createConnection } from '../../lib/socket/connect.js'
import { MptcpSocket } from '../../lib/socket/socket.js'
import { echoServer } from '../support/echo-server.js'
import { leavesNothingOpen } from '../support/open-things.js'
import { mptcp } from '../support/probes.js'
import { requires } from '../support/requires.js'
import { type Connect, sameAsNet, thrownBy } from '../support/same-as-net.js'

const mptcpTest = requires('MPTCP', mptcp)

leavesNothingOpen()

test('both names are one function', () => {
  expect(createConnection).toBe(connect)
  // These lines are a test of the types.
  const forHttp: http.RequestOptions[] = [
    { createConnection },
    { createConnection: {} as MaPduSession['createConnection'] },
  ]
  expect(forHttp).toHaveLength(2)
})

mptcpTest.describe('the call forms of net.connect', () => {
  const forms: [string, (connect: Connect, port: number, listener: () => void) => net.Socket][] = [
    ['(port)', (connect, port, listener) => connect(port).on('connect', listener)],
    ['(port, listener)', (connect, port, listener) => connect(port, listener)],
    ['(port as text, listener)', (connect, port, listener) => connect(`${port}`, listener)],
    ['(port, host)', (connect, port, listener) => connect(port, '127.0.0.1').on('connect', listener)],
    ['(port, host, listener)', (connect, port, listener) => connect(port, '127.0.0.1', listener)],
    ['(port, undefined, listener)', (connect, port, listener) => connect(port, undefined, listener)],
    ['(options)', (connect, port, listener) => connect({ port }).on('connect', listener)],
    ['(options, listener)', (connect, port, listener) => connect({ port, host: '127.0.0.1' }, listener)],
    ['(options with a port as text)', (connect, port, listener) => connect({ port: `${port}` as never }, listener)],
    ['(options with path: null)', (connect, port, listener) => connect({ port, path: null } as never, listener)],
    [
      '(options with path: undefined)',
      (connect, port, listener) => connect({ port, path: undefined } as never, listener),
    ],
    ["(options with path: '')", (connect, port, listener) => connect({ port, path: '' } as never, listener)],
    ['(options with host: null)', (connect, port, listener) => connect({ port, host: null } as never, listener)],
    [
      '(options of null prototype)',
      (connect, port, listener) => connect(Object.assign(Object.create(null), { port, host: '127.0.0.1' }), listener),
    ],
  ]

  for (const [name, call] of forms)
    test(name, async () => {
      await using server = await echoServer()
      const result = await sameAsNet(async connect => {
        let calls = 0
        const socket = call(connect, server.port, () => calls++)
        await once(socket, 'ready')
        const { remoteAddress, remotePort, remoteFamily } = socket
        socket.end('x')
        const [data] = await once(socket, 'data')
        await once(socket, 'close')
        return {
          calls,
          remoteAddress,
          remotePort,
          remoteFamily,
          data: String(data),
          isSocket: socket instanceof net.Socket,
        }
      })
      expect(result).toMatchObject({ calls: 1, remotePort: server.port, data: 'x', isSocket: true })
    })

  for (const [name, call] of forms)
    test(`${name} speaks MPTCP`, async () => {
      await using server = await echoServer()
      const socket = call(connect as Connect, server.port, () => {}) as MptcpSocket
      await once(socket, 'connect')
      expect(socket).toBeInstanceOf(MptcpSocket)
      expect(socket.mptcp).toMatchObject({ protocol: 'mptcp', fallback: undefined, attempts: 1, converter: undefined })
      socket.destroy()
    })

  test('new MptcpSocket(), then connect()', async () => {
    await using server = await echoServer()
    const socket = new MptcpSocket()
    expect(socket.connect(server.port, '127.0.0.1')).toBe(socket)
    await once(socket, 'connect')
    expect(socket.mptcp.protocol).toBe('mptcp')
    socket.destroy()
  })

  test('options of the constructor hold for connect(), whose own win', async () => {
    await using server = await echoServer()
    const socket = new MptcpSocket({ mptcp: 'off', synRetries: 1 })
    socket.connect(server.port)
    await once(socket, 'connect')
    expect(socket.mptcp.protocol).toBe('tcp')
    socket.destroy()
    await once(socket, 'close')
    socket.connect({ port: server.port, mptcp: 'prefer' })
    await once(socket, 'connect')
    expect(socket.mptcp.protocol).toBe('mptcp')
    socket.destroy()
  })
})

describe('a path is a pipe, and Node’s affair', () => {
  const forms: [string, (connect: Connect, path: string) => net.Socket][] = [
    ['(path)', (connect, path) => connect(path)],
    ['(path, listener)', (connect, path) => connect(path, () => {})],
    ['({ path })', (connect, path) => connect({ path })],
    ['({ path, port }): the path wins', (connect, path) => connect({ path, port: 1 } as never)],
  ]
  for (const [name, call] of forms)
    test(name, async () => {
      const folder = mkdtempSync(join(tmpdir(), 'atsss-'))
      const path = join(folder, 'pipe')
      const server = net.createServer(socket => socket.pipe(socket)).listen(path)
      await once(server, 'listening')
      const result = await sameAsNet(async connect => {
        const socket = call(connect, path)
        socket.end('x')
        const [data] = await once(socket, 'data')
        await once(socket, 'close')
        return { data: String(data), bytesWritten: socket.bytesWritten, remoteAddress: socket.remoteAddress }
      })
      expect(result).toEqual({ data: 'x', bytesWritten: 1, remoteAddress: undefined })
      await new Promise(resolve => server.close(resolve))
      rmSync(folder, { recursive: true })
    })

  test('one that is not there', async () => {
    await sameAsNet(async connect => {
      const [error] = await once(connect('/nowhere/pipe'), 'error')
      return { ...error, message: error.message }
    }).catch(() => {})
    const seen = await sameAsNet(
      connect => new Promise(resolve => connect('/nowhere').once('error', e => resolve({ ...e }))),
    )
    expect(seen).toMatchObject({ code: 'ENOENT', address: '/nowhere' })
  })
})

describe('what net.connect throws at once', () => {
  const wrong: Record<string, unknown[]> = {
    'no arguments': [],
    undefined: [undefined],
    null: [null],
    'no port': [{ host: '127.0.0.1' }],
    'port: undefined': [{ port: undefined }],
    'port: null': [{ port: null }],
    'a port too large': [65_536],
    'a negative port': [{ port: -1 }],
    'a port that is no number': [{ port: 'http' }],
    'a port that is none of both': [{ port: true }],
    'a port with a fraction': [{ port: 1.5 }],
    'port: NaN': [{ port: Number.NaN }],
    'localAddress a name': [{ port: 1, localAddress: 'localhost' }],
    'localPort a text': [{ port: 1, localPort: '5' }],
    'lookup no function': [{ port: 1, host: 'localhost', lookup: 'x' }],
    'lookup no function, for a literal': [{ port: 1, host: '127.0.0.1', lookup: 'x' }],
    'hints unknown': [{ port: 1, host: 'localhost', hints: 1 << 30 }],
    'family unknown': [{ port: 1, host: 'localhost', family: 9 }],
    'autoSelectFamily no boolean': [{ port: 1, autoSelectFamily: 'yes' }],
    'autoSelectFamilyAttemptTimeout 0': [{ port: 1, autoSelectFamilyAttemptTimeout: 0 }],
    'keepAliveInitialDelay a text': [{ port: 1, keepAliveInitialDelay: '5' }],
    'signal no signal': [{ port: 1, signal: 'x' }],
    objectMode: [{ port: 1, objectMode: true }],
    'timeout negative': [{ port: 1, timeout: -1 }],
    'timeout a text': [{ port: 1, timeout: 'x' }],
  }
  for (const [name, args] of Object.entries(wrong))
    test(name, async () => {
      const made: net.Socket[] = []
      await sameAsNet(connect =>
        thrownBy(() => made.push((connect as (...args: unknown[]) => net.Socket)(...args).on('error', () => {}))),
      )
      for (const socket of made) socket.destroy()
    })

  test('our own options, too, before anything is opened', () => {
    expect(thrownBy(() => connect({ port: 1, mptcp: 'no' as never }))).toMatchObject({ code: 'ERR_ATSSS_OPTION' })
    expect(thrownBy(() => connect({ port: 1, convertors: 'a:1' } as never))).toMatchObject({ code: 'ERR_ATSSS_OPTION' })
    expect(thrownBy(() => new MptcpSocket({ synTimeout: 1 }))).toMatchObject({ code: 'ERR_ATSSS_OPTION' })
    expect(thrownBy(() => new MptcpSocket().connect({ port: 1, converters: '' }))).toMatchObject({
      code: 'ERR_ATSSS_OPTION',
    })
  })
})
