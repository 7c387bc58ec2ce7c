/** What is published on diagnostics channels, and with NODE_DEBUG=atsss. */
import { AsyncLocalStorage } from 'node:async_hooks'
import { spawn } from 'node:child_process'
import diagnostics from 'node:diagnostics_channel'
import { once } from 'node:events'
import net, { createServer, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { connect, type DiagnosticsMessages, MaPduSession } from 'atsss' // the steering loop's thread is in dist/
import { expect, onTestFinished, test, vi } from 'vitest'
import { preload } from '../../lib/preload/preload.js'
import { isFollowed, publish } from '../../lib/socket/channels.js'
import { compiledUrl } from '../support/compiled.js'
import { uncaughtIn } from '../support/uncaught.js'

type Name = keyof DiagnosticsMessages
const NAMES: readonly Name[] = [
  ...(['created', 'ready', 'degraded', 'closed'] as const).map(name => `atsss:session:${name}` as const),
  ...(['atsss:access:changed', 'atsss:access:interface'] as const),
  ...(['connected', 'connectError', 'closed', 'handover'] as const).map(name => `atsss:connection:${name}` as const),
]

/** What is published until the test ends. */
function follow(names = NAMES) {
  const seen: { name: Name; message: DiagnosticsMessages[Name] }[] = []
  for (const name of names) {
    const hear = (message: unknown) => void seen.push({ name, message: message as DiagnosticsMessages[Name] })
    diagnostics.subscribe(name, hear)
    onTestFinished(() => void diagnostics.unsubscribe(name, hear))
  }
  const of = <N extends Name>(name: N) =>
    seen.filter(one => one.name === name).map(({ message }) => message as DiagnosticsMessages[N])
  return { seen, of }
}

async function echo(): Promise<number> {
  const server = createServer(socket => socket.on('error', () => {}).pipe(socket)).listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  await once(server, 'listening')
  return (server.address() as { port: number }).port
}

for (const controller of ['inline', 'worker'] as const)
  test(`of a session, with the controller ${controller}: its life, its accesses, its connections`, async () => {
    const { of } = follow()
    const port = await echo()
    const session = new MaPduSession({ accesses: { '3gpp': ['none0', 'none1'], 'non-3gpp': 'lo' }, controller })
    onTestFinished(() => session.close())
    expect(of('atsss:session:created')).toEqual([{ session }])
    const { level } = await session.ready
    await expect.poll(() => of('atsss:session:ready')).toMatchObject([{ session, level }])
    await expect
      .poll(() => of('atsss:access:changed'))
      .toContainEqual({
        ...{ session, access: '3gpp', available: false, why: expect.any(String) },
      })
    expect(of('atsss:access:interface')).toMatchObject([{ session, access: '3gpp', interface: undefined }])
    const socket = session.connect(port, '127.0.0.1')
    // Before the listeners of 'connect'.
    const order = once(socket, 'connect').then(() => of('atsss:connection:connected').length)
    expect(await order).toBe(1)
    const about = { id: expect.any(Number), socket, session, host: '127.0.0.1', port }
    expect(of('atsss:connection:connected')).toEqual([
      {
        ...about,
        ...{ incoming: false, protocol: socket.mptcp.protocol, fallback: socket.mptcp.fallback },
        ...{ interface: socket.mptcp.interface, converter: undefined },
      },
    ])
    socket.destroy(new Error('enough')).on('error', () => {})
    await once(socket, 'close').catch(() => {})
    await expect.poll(() => of('atsss:connection:closed')).toMatchObject([{ ...about, error: { message: 'enough' } }])
    session.close()
    expect(of('atsss:session:closed')).toEqual([{ session }])
  })

test('of connections without a session, and of those that fail or are given up', async () => {
  const { of } = follow()
  const port = await echo()
  const context = new AsyncLocalStorage<string>()
  const contexts: unknown[] = []
  const note = () => void contexts.push(context.getStore())
  diagnostics.subscribe('atsss:connection:connected', note)
  const socket = context.run('a request', () => connect(port, 'localhost'))
  await once(socket, 'connect')
  diagnostics.unsubscribe('atsss:connection:connected', note)
  expect(contexts).toEqual(['a request'])
  socket.end().resume()
  await once(socket, 'close')
  const closed = { socket, session: undefined, host: 'localhost', port, error: undefined }
  await expect.poll(() => of('atsss:connection:closed')).toMatchObject([closed])
  const refused = connect(1, '127.0.0.1').on('error', () => {})
  const givenUp = connect(port, '127.0.0.1')
  givenUp.destroy()
  await expect.poll(() => of('atsss:connection:connectError')).toHaveLength(2)
  const [first, second] = of('atsss:connection:connectError')
  expect(first).toMatchObject({ socket: givenUp, error: undefined })
  expect(second).toMatchObject({ socket: refused, host: '127.0.0.1', port: 1, error: { code: 'ECONNREFUSED' } })
  expect(new Set([...of('atsss:connection:closed'), first, second].map(one => one!.id)).size).toBe(3)
})

test('under the preload it is the application’s own socket', async () => {
  const { of } = follow(['atsss:connection:connected'])
  const port = await echo()
  const release = preload({}, { includeLocal: true })
  onTestFinished(release)
  const socket = net.connect(port, '127.0.0.1')
  await once(socket, 'connect')
  expect(of('atsss:connection:connected')).toMatchObject([{ session: undefined, host: '127.0.0.1', port }])
  expect(of('atsss:connection:connected')[0]!.socket).toBe(socket)
  socket.destroy()
})

test('a subscriber that throws, and one that destroys the socket: an uncaught exception; the work goes on', async () => {
  const port = await echo()
  const session = new MaPduSession({ accesses: { '3gpp': 'none0', 'non-3gpp': 'lo' }, controller: 'inline' })
  onTestFinished(() => session.close())
  const name = 'atsss:connection:connected'
  const throwing = () => {
    throw new Error('a bug of a subscriber')
  }
  diagnostics.subscribe(name, throwing)
  const uncaught = await uncaughtIn(async () => {
    const socket = session.connect(port, '127.0.0.1')
    await once(socket, 'connect')
    socket.end('whole').resume()
    await once(socket, 'close')
  })
  diagnostics.unsubscribe(name, throwing)
  expect(uncaught).toEqual([{ origin: 'uncaughtException', message: 'a bug of a subscriber' }])
  const destroying = (message: unknown) => void (message as { socket: Socket }).socket.destroy()
  diagnostics.subscribe(name, destroying)
  const events: string[] = []
  const socket = session.connect(port, '127.0.0.1').on('connect', () => events.push('connect'))
  await once(socket, 'close')
  diagnostics.unsubscribe(name, destroying)
  expect(events).toEqual([])
})

test('without subscribers no message is made', () => {
  const channel = diagnostics.channel('atsss:connection:closed')
  const make = vi.fn(() => ({}))
  publish(channel, make)
  expect([make.mock.calls.length, isFollowed()]).toEqual([0, false])
  const hear = vi.fn()
  channel.subscribe(hear)
  publish(channel, make)
  expect([make.mock.calls.length, hear.mock.calls.length, isFollowed()]).toEqual([1, 1, true])
  channel.unsubscribe(hear)
  expect(isFollowed()).toBe(false)
})

test('NODE_DEBUG=atsss: each line has the time since the start; lines of a connection its number, host and port', async () => {
  const port = await echo()
  const program = `
    import { MaPduSession } from '${compiledUrl('lib/index.ts')}'
    const session = new MaPduSession({ accesses: { '3gpp': 'none0', 'non-3gpp': 'lo' }, controller: 'inline' })
    const socket = session.connect(${port}, 'localhost')
    socket.on('connect', () => {
      socket.destroy()
      session.connect(1, '127.0.0.1').on('error', () => session.close())
    })
  `
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    env: { ...process.env, NODE_DEBUG: 'atsss' },
    stdio: ['ignore', 'inherit', 'pipe'],
  })
  const lines = (await text(child.stderr)).trimEnd().split('\n')
  const head = `ATSSS ${child.pid}: `
  const said = lines.filter(line => line.startsWith(head)).map(line => line.slice(head.length))
  expect(said.filter(line => !/^\d+\.\d{3} s \S/.test(line))).toEqual([])
  const texts = said.map(line => line.replace(/^\S+ s /, ''))
  expect(texts).toContain('session created')
  expect(texts).toContainEqual(expect.stringMatching(/^3gpp is not available: there is no interface none0/))
  expect(texts).toContainEqual(expect.stringMatching(new RegExp(`^#1 localhost:${port} connected: m?p?tcp`)))
  expect(texts).toContain(`#1 localhost:${port} closed`)
  expect(texts).toContainEqual(expect.stringMatching(/^#2 127\.0\.0\.1:1 not connected: connect ECONNREFUSED/))
  expect(texts.at(-1)).toBe('session closed')
}, 15_000)
