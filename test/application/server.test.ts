/** A session's server whose listeners throw, with connections that a converter brings and mappings that a PCP server grants. */
import { once } from 'node:events'
import net from 'node:net'
import { afterEach, expect, vi } from 'vitest'
import { MaPduSession } from '../../lib/index.js'
import { encode } from '../../lib/wire/convert/index.js'
import { leavesNothingOpen } from '../support/open-things.js'
import { mptcp } from '../support/probes.js'
import { requires } from '../support/requires.js'
import { uncaughtIn } from '../support/uncaught.js'

/** A PCP server's grant, in place of a network that has one. */
const external = { address: '203.0.113.1', port: 8080 }
vi.mock('../../lib/runtime/incoming/external-address.js', async () => {
  const { EventEmitter } = await import('node:events')
  class ExternalAddress extends EventEmitter {
    readonly externals = [{ address: '203.0.113.1', port: 8080 }]
    constructor() {
      super()
      setImmediate(() => this.emit('made', this.externals[0]))
      setImmediate(() => this.emit('lost', this.externals[0], 'the server has restarted'))
    }
    async close() {}
  }
  return { ExternalAddress }
})

leavesNothingOpen()

const remotes: net.Socket[] = []
afterEach(() => {
  vi.restoreAllMocks()
  for (const remote of remotes.splice(0)) remote.destroy()
})

/** Connects as a converter does, for the remote host 198.51.100.7. */
async function bring(port: number): Promise<net.Socket> {
  const socket = net
    .connect(port, '127.0.0.1')
    .on('error', () => {})
    .resume()
  remotes.push(socket)
  await once(socket, 'connect')
  socket.write(encode([{ type: 'connect', address: '198.51.100.7', port: 80, tcpOptions: [] }]))
  return socket
}

async function served() {
  const accesses = { '3gpp': 'nowhere0', 'non-3gpp': 'lo' }
  const session = new MaPduSession({ accesses, converters: '127.0.0.1:9', allowLoopback: true, controller: 'inline' })
  const server = session.createServer({ pcpServers: ['127.0.0.1:9'] })
  const close = async () => {
    await server[Symbol.asyncDispose]()
    session.close()
  }
  return { server, close }
}

const mptcpTest = requires('MPTCP', mptcp)

mptcpTest("'mapping', 'connection' and 'drop': the server goes on", async () => {
  const happened: string[] = []
  const uncaught = await uncaughtIn(async () => {
    const { server, close } = await served()
    for (const event of ['mapping', 'connection', 'drop'] as const)
      server.on(event, (about: object) => {
        happened.push('change' in about ? `${event} ${about.change}` : event)
        throw new Error(event)
      })
    const accepted: net.Socket[] = []
    server.prependListener('connection', socket => accepted.push(socket))
    await new Promise<void>(resolve => server.listen(0, resolve))
    const { port } = server.address()!
    await expect.poll(() => server.externalAddress()).toEqual({ ...external, family: 'IPv4' })
    for (let i = 1; i <= 2; i++) {
      await bring(port)
      await expect.poll(() => accepted).toHaveLength(i)
    }
    server.maxConnections = 2
    for (let i = 0; i < 2; i++) {
      const dropped = await bring(port)
      await new Promise(resolve => dropped.once('close', resolve))
    }
    expect(await new Promise(resolve => server.getConnections((_, count) => resolve(count)))).toBe(2)
    for (const socket of accepted) socket.destroy()
    await close()
  })
  expect(happened).toEqual(
    expect.arrayContaining(['mapping made', 'mapping lost', 'connection', 'connection', 'drop', 'drop']),
  )
  const expected = happened.map(name => `uncaughtException ${name.split(' ')[0]}`)
  expect(uncaught.map(({ origin, message }) => `${origin} ${message}`)).toEqual(expected)
})
