/** Sessions and their servers whose listeners throw: each time an uncaught exception; session and server go on. */
import { once } from 'node:events'
import net from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { MaPduSession } from 'atsss' // the steering loop's thread is in dist/
import { expect, test } from 'vitest'
import type { SessionEvents, SessionServerEvents } from '../../lib/index.js'
import { echoServer } from '../support/echo-server.js'
import { hex } from '../support/hex.js'
import { leavesNothingOpen } from '../support/open-things.js'
import { mptcp } from '../support/probes.js'
import { requires } from '../support/requires.js'
import { type Uncaught, uncaughtIn } from '../support/uncaught.js'
import { eventsOf } from './events.js'

leavesNothingOpen()

const mptcpTest = requires('MPTCP', mptcp)
/** A port can be listened on once over an interface. */
const ONE_ACCESS = { '3gpp': 'nowhere0', 'non-3gpp': 'lo' }
/** A rule, and part of another one. */
const PROBLEM = new Uint8Array([1, 0, 17, ...hex('00 0d 05 01 14 00 03 50 01 bb 03 02 02 00 04 09 02')])

const lines = (uncaught: Uncaught[]) => uncaught.map(({ origin, message }) => `${origin} ${message}`)

/** In reports.test.ts and server.test.ts. */
const ELSEWHERE = {
  session: ['access', 'action', 'handover', 'interface', 'restored'] satisfies (keyof SessionEvents)[],
  server: ['connection', 'drop', 'mapping'] satisfies (keyof SessionServerEvents)[],
}

test('every event of a session is known', () => {
  const cases = ['degraded', 'update', 'problem'] satisfies (keyof SessionEvents)[]
  expect(new Set<string>([...cases, ...ELSEWHERE.session])).toEqual(eventsOf('SessionEvents'))
})

test('every event of a server is known', () => {
  const cases = ['listening', 'error', 'problem', 'close', 'refused'] satisfies (keyof SessionServerEvents)[]
  expect(new Set<string>([...cases, ...ELSEWHERE.server])).toEqual(eventsOf('SessionServerEvents'))
})

for (const controller of ['inline', 'worker'] as const) {
  mptcpTest(`a session, controller ${controller}: degraded, problem, update`, async () => {
    await using echo = await echoServer({ protocol: 'tcp' })
    const happened: string[] = []
    const texts: string[] = []
    const uncaught = await uncaughtIn(async () => {
      const session = new MaPduSession({ accesses: ONE_ACCESS, controller, rules: PROBLEM })
      for (const event of ['degraded', 'problem', 'update'] as const)
        session.on(event, () => {
          happened.push(event)
          throw new Error(event)
        })
      await session.ready
      // Each falls back to TCP, which is reported when it is there.
      for (let i = 0; i < 2; i++) {
        const socket = session.connect({ host: '127.0.0.1', port: echo.port })
        socket.on('data', text => texts.push(String(text))).end('hello')
        await once(socket, 'close')
      }
      const { problems } = session.update(PROBLEM)
      expect(problems).toHaveLength(1)
      session.close()
      await pause(50)
    })
    expect(texts).toEqual(['hello', 'hello'])
    expect(lines(uncaught)).toEqual(happened.map(event => `uncaughtException ${event}`))
    expect(happened.filter(event => event === 'degraded').length).toBeGreaterThanOrEqual(2)
    expect(happened.filter(event => event === 'problem')).toHaveLength(2)
    expect(happened.filter(event => event === 'update')).toHaveLength(1)
  })

  mptcpTest(`a server, controller ${controller}: listening, problem, refused, close, and callbacks`, async () => {
    const happened: string[] = []
    const uncaught = await uncaughtIn(async () => {
      const session = new MaPduSession({ accesses: ONE_ACCESS, controller, converters: '127.0.0.1:9' })
      await session.ready
      const server = session.createServer({ pcpServers: ['127.0.0.1:9'] })
      const spoil = (name: string) => () => {
        happened.push(name)
        throw new Error(name)
      }
      for (const event of ['listening', 'problem', 'refused', 'close'] as const) server.on(event, spoil(event))
      server.listen(0)
      await until(() => happened.includes('listening'))
      const { port } = server.address()!
      for (let i = 0; i < 2; i++) {
        const before = happened.filter(event => event === 'refused').length
        const stranger = net.connect(port, '127.0.0.2').on('error', () => {})
        stranger.end('no Convert message')
        await until(() => stranger.closed && happened.filter(event => event === 'refused').length > before)
      }
      server.getConnections(spoil('getConnections'))
      server.close()
      await until(() => happened.includes('close'))
      server.close(spoil('close()'))
      await until(() => happened.includes('close()'))
      session.close()
    })
    expect(lines(uncaught).sort()).toEqual(happened.map(name => `uncaughtException ${name}`).sort())
  })

  mptcpTest(`a server that cannot listen, controller ${controller}: error`, async () => {
    const uncaught = await uncaughtIn(async () => {
      const session = new MaPduSession({ accesses: ONE_ACCESS, controller, converters: 'nobody.invalid:5124' })
      await session.ready
      const server = session.createServer()
      let errors = 0
      server.on('error', () => {
        errors++
        throw new Error(`error ${errors}`)
      })
      for (let i = 1; i <= 2; i++) {
        server.listen(0)
        await until(() => errors === i)
      }
      // Without a listener, it is thrown, as with net.Server.
      server.removeAllListeners('error')
      server.listen(0)
      await pause(200)
      session.close()
    })
    expect(lines(uncaught)).toEqual([
      'uncaughtException error 1',
      'uncaughtException error 2',
      expect.stringMatching(/^uncaughtException Converter nobody.invalid:5124 cannot be found/),
    ])
  })
}

async function until(condition: () => boolean): Promise<void> {
  await expect.poll(condition, { interval: 5 }).toBe(true)
}
