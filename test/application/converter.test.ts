/** A converter whose listeners all throw: each time an uncaught exception; it serves on, and leaves nothing open (`rig.ts` sees to that). */
import { once } from 'node:events'
import net from 'node:net'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { type Converter, type ConverterEvents, createConverter } from '../../lib/converter/index.js'
import { connect } from '../../lib/index.js'
import { clientListener, pcpClient, remote, somePorts } from '../converter/incoming/rig.js'
import { until } from '../converter/rig.js'
import { echoServer } from '../support/echo-server.js'
import { hex } from '../support/hex.js'
import { refusingPort } from '../support/native-addon.js'
import { all, mptcp, tcpFilters } from '../support/probes.js'
import { through } from '../support/reference-converter.js'
import { requires } from '../support/requires.js'
import { uncaughtIn } from '../support/uncaught.js'
import { eventsOf } from './events.js'

/** How often each event came. Every listener throws. */
function throwingFrom(converter: Converter, names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = Object.fromEntries(names.map(name => [name, 0]))
  for (const name of names)
    converter.on(name as keyof ConverterEvents, () => {
      counts[name]!++
      throw new Error(name)
    })
  return counts
}

function times(counts: Record<string, number>): string[] {
  return Object.entries(counts)
    .flatMap(([name, count]) => Array.from({ length: count }, () => `uncaughtException ${name}`))
    .sort()
}

const OF_CLIENTS = ['listening', 'connection', 'established', 'refused', 'client-error', 'closed'] as const
const OF_REMOTE_HOSTS = ['mapping', 'incoming', 'incoming-closed'] as const
/** `degraded`: where the machine lacks something; `accept-error` and `worker`: below. */
const OTHERS = ['degraded', 'accept-error', 'worker'] as const

test('every event of a converter has a case here', () => {
  expect(new Set<string>([...OF_CLIENTS, ...OF_REMOTE_HOSTS, ...OTHERS])).toEqual(eventsOf('ConverterEvents'))
})

requires('MPTCP', mptcp)(
  'clients: one that is served, one that is refused, one that does not speak Convert',
  async () => {
    await using echo = await echoServer()
    let counts: Record<string, number> = {}
    const heard: string[] = []
    const uncaught = await uncaughtIn(async () => {
      const converter = createConverter({ allowLoopback: true, lingerTimeout: 100, retryDelay: 0 })
      counts = throwingFrom(converter, [...OF_CLIENTS, ...OTHERS])
      const [{ port }] = (await converter.listen()) as [net.AddressInfo]
      const options = { host: '127.0.0.1', ...through(`127.0.0.1:${port}`), convert: '1rtt' as const }
      for (let i = 0; i < 2; i++) {
        const served = connect({ ...options, port: echo.port })
        served.on('data', text => heard.push(String(text))).end('hello')
        await once(served, 'close')
      }
      const refused = connect({ ...options, port: await refusingPort() }).on('error', error =>
        heard.push((error as NodeJS.ErrnoException).code!),
      )
      await once(refused, 'close').catch(() => once(refused, 'close'))
      const stranger = net.connect(port, '127.0.0.1').on('error', () => {})
      stranger.write('GET / HTTP/1.1\r\n\r\n')
      await once(stranger, 'close').catch(() => once(stranger, 'close'))
      await until(() => counts.closed === 4)
      expect(converter.stats()).toMatchObject({ connections: 0, pending: 0 })
      await converter.close()
    })
    expect(heard).toEqual(['hello', 'hello', 'ECONNREFUSED'])
    expect(counts).toMatchObject({
      listening: 1,
      connection: 4,
      established: 2,
      refused: 1,
      'client-error': 1,
      closed: 4,
    })
    expect(uncaught.map(({ origin, message }) => `${origin} ${message}`).sort()).toEqual(times(counts))
  },
)

requires('MPTCP', mptcp)('worker processes: their start, and a connection that one serves', async () => {
  await using echo = await echoServer()
  // The workers' program is in dist/.
  const { createConverter } = await import('atsss/converter')
  let counts: Record<string, number> = {}
  const uncaught = await uncaughtIn(async () => {
    const converter = createConverter({ allowLoopback: true, workers: 2, lingerTimeout: 100 })
    counts = throwingFrom(converter as unknown as Converter, ['worker', 'connection', 'established', 'closed'])
    const [{ port }] = (await converter.listen()) as [net.AddressInfo]
    const served = connect({ host: '127.0.0.1', port: echo.port, ...through(`127.0.0.1:${port}`), convert: '1rtt' })
    expect(await text(served.end('hello'))).toBe('hello')
    await until(() => counts.closed === 1)
    await converter.close()
  })
  expect(counts).toEqual({ worker: 2, connection: 1, established: 1, closed: 1 })
  expect(uncaught.map(({ origin, message }) => `${origin} ${message}`).sort()).toEqual(times(counts))
})

requires('filters on TCP sockets', all(tcpFilters, mptcp))(
  'remote hosts: a mapping, a connection, and their ends',
  async () => {
    let counts: Record<string, number> = {}
    const texts: string[] = []
    const uncaught = await uncaughtIn(async () => {
      const pcp = { listen: ['127.0.0.1:0'], ports: [somePorts()], announce: false }
      const converter = createConverter({ listen: '127.0.0.1:0', allowLoopback: true, pcp })
      let pcpPort = 0
      converter.on('listening', (_, [place]) => {
        pcpPort = place!.port
      })
      counts = throwingFrom(converter, [...OF_REMOTE_HOSTS, ...OTHERS])
      await converter.listen()
      const client = await clientListener(hex('01 01 22 63'), socket => socket.pipe(socket))
      const requests = await pcpClient(pcpPort)
      const { port } = await requests.map(client.port)
      for (let i = 0; i < 2; i++) {
        const host = remote(port)
        host.socket.end('hello')
        await host.ended()
        texts.push(host.text())
      }
      await until(() => counts['incoming-closed'] === 2)
      await requests.map(client.port, { lifetime: 0 })
      await converter.close()
    })
    expect(texts).toEqual(['hello', 'hello'])
    expect(counts).toMatchObject({ mapping: 2, incoming: 2, 'incoming-closed': 2 })
    expect(uncaught.map(({ origin, message }) => `${origin} ${message}`).sort()).toEqual(times(counts))
  },
)

test("'accept-error': a listener that reports an error goes on", async () => {
  const uncaught = await uncaughtIn(async () => {
    const servers: net.Server[] = []
    const listen = net.Server.prototype.listen
    net.Server.prototype.listen = function (this: net.Server, ...args: unknown[]) {
      servers.push(this)
      return Reflect.apply(listen, this, args) as net.Server
    } as typeof listen
    const converter = createConverter({})
    converter.on('accept-error', ({ message }) => {
      throw new Error(`accept-error ${message}`)
    })
    try {
      await converter.listen()
    } finally {
      net.Server.prototype.listen = listen
    }
    for (const server of servers) server.emit('error', new Error('EMFILE'))
    await converter.close()
  })
  expect(uncaught).toEqual([{ origin: 'uncaughtException', message: 'accept-error EMFILE' }])
})
