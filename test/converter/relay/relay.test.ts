import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { getSystemErrorName } from 'node:util'
import { describe, expect, test } from 'vitest'
import type { ConverterOptions } from '../../../lib/converter/index.js'
import { unreadError } from '../../../lib/converter/relay/kernel.js'
import { mptcp } from '../../support/probes.js'
import { requires } from '../../support/requires.js'
import { connectTlv, echo, message, type Rig, rig, serve, serveMptcp, until } from '../rig.js'

test('2,000 connections at once, and a malformed client now and then', async () => {
  const { port } = await echo()
  const { client, converter } = await rig({ maxPendingPerClient: 4_000 })
  const speakers = Array.from({ length: 2_000 }, (_, index) =>
    client(Buffer.concat([message(connectTlv(port)), Buffer.from(`number ${index}`)])),
  )
  const strangers = Array.from({ length: 50 }, () => client(randomBytes(100)))
  for (const [index, speaker] of speakers.entries()) {
    const said = `number ${index}`
    await speaker.hears(4 + said.length)
    expect(speaker.received.toString('latin1', 4)).toBe(said)
  }
  await until(() => converter.stats().connections === 2_000)
  expect(converter.stats()).toMatchObject({ pending: 0, established: 2_000, clientErrors: { magic: 50 } })
  for (const { socket } of speakers) socket.end()
  await until(() => converter.stats().connections === 0)
  expect(strangers.every(({ received }) => received.length === 0)).toBe(true)
}, 120_000)

describe('TCP clients, TCP servers', () => relays('tcp', 'tcp'))
requires('MPTCP', mptcp).describe('MPTCP clients, TCP servers', () => relays('mptcp', 'tcp'))
requires('MPTCP', mptcp).describe('TCP clients, MPTCP servers', () => relays('tcp', 'mptcp'))

function relays(clients: 'tcp' | 'mptcp', servers: 'tcp' | 'mptcp'): void {
  /** A client connected through a converter, and its server's socket. */
  async function pair(options: ConverterOptions = {}) {
    let accepted!: (socket: Socket) => void
    const serverSocket = new Promise<Socket>(resolve => {
      accepted = resolve
    })
    const port = servers === 'tcp' ? (await serve(accepted)).port : await serveMptcp(accepted)
    const converting = await rig({ serverProtocol: servers, ...options })
    const client =
      clients === 'tcp'
        ? converting.client(message(connectTlv(port)))
        : await converting.mptcpClient(message(connectTlv(port)))
    await client.hears(4)
    const server = await serverSocket
    expect(converting.events.at(-1)).toMatchObject(['established', { protocol: clients, serverProtocol: servers }])
    return { ...converting, client, server }
  }

  describe('the end', () => {
    test('the client half-closes: the server sees the end, and may go on sending', async () => {
      const { client, server, closed } = await pair()
      client.socket.end('last words')
      server.resume()
      await once(server, 'end')
      server.write('still here')
      expect(await client.hears(14)).toBe(`01012263${Buffer.from('still here').toString('hex')}`)
      expect(client.ended).toBe(false)
      server.end()
      await client.hearsAll()
      expect((await closed()).bytes).toEqual({ fromClient: 10, fromServer: 10 })
    })

    test('the server half-closes: the client sees the end, and may go on sending', async () => {
      const { client, server, closed } = await pair()
      server.end('bye')
      await client.hearsAll()
      let heard = ''
      server.on('data', chunk => (heard += chunk))
      client.socket.end('but I am not done')
      await once(server, 'end')
      expect(heard).toBe('but I am not done')
      await closed()
    })
  })

  describe('the reset', () => {
    test('by the server', async () => {
      const { client, server, closed, converter } = await pair()
      server.resetAndDestroy()
      expect(await client.fails()).toBe('ECONNRESET')
      expect((await closed()).error).toBeUndefined()
      expect(converter.stats()).toMatchObject({ connections: 0, refused: {}, clientErrors: {} })
    })

    test('by the server, right behind data', async () => {
      const { client, server, closed } = await pair()
      server.write('half a', () => server.resetAndDestroy())
      expect(await client.fails()).toBe('ECONNRESET')
      await closed()
    })

    test('by the client, right behind data', async () => {
      const { client, server, closed } = await pair()
      const errno = new Promise(resolve => {
        server.once('error', () => resolve('ECONNRESET'))
        server.once('end', () => resolve(getSystemErrorName(-unreadError(server))))
        server.resume()
      })
      client.socket.write('half a', () => client.socket.resetAndDestroy())
      expect(await errno).toBe('ECONNRESET')
      await closed()
    })

    test('by the client', async () => {
      const { client, server, closed } = await pair()
      const failed = once(server, 'error')
      server.resume()
      client.socket.resetAndDestroy()
      expect((await failed)[0]).toMatchObject({ code: 'ECONNRESET' })
      await closed()
    })

    test('by the server, after it has ended, while the client writes on', async () => {
      const { client, server, closed } = await pair()
      server.end()
      await client.hearsAll()
      // An MPTCP connection that is merely closed goes on taking data, for net.mptcp.close_timeout.
      if (servers === 'tcp') server.destroy()
      else server.resetAndDestroy()
      const writing = setInterval(() => client.socket.write('x'), 2)
      await until(() => client.error)
      clearInterval(writing)
      expect(['ECONNRESET', 'EPIPE']).toContain(client.error?.code)
      await closed()
    })

    test('by the converter, after a long silence', async () => {
      const { client, server, closed } = await pair({ idleTimeout: 100 })
      const failed = once(server, 'error')
      server.resume()
      expect(await client.fails()).toBe('ECONNRESET')
      expect((await failed)[0]).toMatchObject({ code: 'ECONNRESET' })
      expect((await closed()).times.closed).toBeGreaterThan(90)
    })

    test('by close(), of all that is open', async () => {
      const { client, server, converter } = await pair()
      const failed = once(server, 'error')
      server.resume()
      await converter.close()
      expect(await client.fails()).toBe('ECONNRESET')
      await failed
      expect(converter.stats().connections).toBe(0)
      await converter.close()
    })

    test('not by close(), of what ends by itself in the time of grace', async () => {
      const { client, server, converter } = await pair()
      const closing = converter.close({ grace: 5_000 })
      server.end('done')
      await client.hearsAll()
      client.socket.end()
      await closing
      expect(client.error).toBeUndefined()
    })
  })

  describe('back-pressure', () => {
    const MEGABYTE = 1 << 20

    async function stalls(converting: Pick<Rig, 'events'>, side: 'fromClient' | 'fromServer'): Promise<number> {
      const read = () => converting.events.find(([name]) => name === 'established')![1].bytes[side]
      for (let before = -1; read() > before; before = read()) await new Promise(resolve => setTimeout(resolve, 100))
      return read()
    }

    test('a server that does not read stops its client', async () => {
      const paired = await pair()
      const data = randomBytes(64 * MEGABYTE)
      paired.client.socket.end(data)
      expect(await stalls(paired, 'fromClient')).toBeLessThan(32 * MEGABYTE)
      const hash = createHash('sha256')
      paired.server.on('data', chunk => hash.update(chunk))
      await once(paired.server, 'end')
      expect(hash.digest('hex')).toBe(createHash('sha256').update(data).digest('hex'))
    })

    test('a client that does not read stops its server', async () => {
      const paired = await pair()
      const { client, server } = paired
      client.socket.pause()
      client.socket.removeAllListeners('data')
      const data = randomBytes(64 * MEGABYTE)
      server.end(data)
      expect(await stalls(paired, 'fromServer')).toBeLessThan(32 * MEGABYTE)
      const hash = createHash('sha256')
      client.socket.on('data', chunk => hash.update(chunk))
      client.socket.resume()
      await until(() => client.ended)
      expect(hash.digest('hex')).toBe(createHash('sha256').update(data).digest('hex'))
    }, 60_000)
  })
}
