import { once } from 'node:events'
import type net from 'node:net'
import tls from 'node:tls'
import { expect } from 'vitest'
import { createServer } from '../../lib/socket/server.js'
import { cert, key } from '../support/certificate.js'
import { leavesNothingOpen } from '../support/open-things.js'
import { mptcp } from '../support/probes.js'
import { requires } from '../support/requires.js'
import { sameAsNet } from '../support/same-as-net.js'

const mptcpTest = requires('MPTCP', mptcp)

leavesNothingOpen()

/** A TLS server that says what it agreed on, and whether it is a session that it knows. */
async function tlsServer(options: tls.TlsOptions) {
  const secure = tls.createServer({ cert, key, ...options }, socket => {
    socket.on('error', () => {})
    socket.end(JSON.stringify({ protocol: socket.alpnProtocol, reused: socket.isSessionReused() }))
  })
  const listener = createServer(socket => secure.emit('connection', socket)).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  return {
    port: (listener.address() as net.AddressInfo).port,
    [Symbol.asyncDispose]: () => new Promise<void>(resolve => void listener.close(() => resolve())),
  }
}

/** What both sides say of a connection, and the session for the next one. */
async function visit(socket: net.Socket, options: tls.ConnectionOptions) {
  const secure = tls.connect({ socket, ca: cert, servername: 'localhost', ...options })
  let session: Buffer | undefined
  secure.on('session', ticket => {
    session = ticket
  })
  const error = new Promise<NodeJS.ErrnoException>(resolve => secure.on('error', resolve))
  const ready = once(secure, 'secureConnect').then(() => undefined)
  const failed = await Promise.race([ready, error]).catch((why: NodeJS.ErrnoException) => why)
  if (failed) return { failed: failed.code }
  const { alpnProtocol: protocol, authorized } = secure
  const told = { protocol, authorized, reused: secure.isSessionReused(), version: secure.getProtocol() }
  let text = ''
  for await (const chunk of secure.setEncoding('utf8')) text += chunk
  return { told, heard: JSON.parse(text) as object, session }
}

for (const version of ['TLSv1.2', 'TLSv1.3'] as const)
  mptcpTest(`${version}: the second connection takes the first one's session up again`, async () => {
    await using server = await tlsServer({ minVersion: version, maxVersion: version })
    const result = await sameAsNet(async connect => {
      const { session, ...first } = await visit(connect(server.port, '127.0.0.1'), {})
      expect(session).toBeInstanceOf(Buffer)
      const { session: _, ...second } = await visit(connect(server.port, '127.0.0.1'), { session: session! })
      return [first, second]
    })
    expect(result).toMatchObject([
      { told: { reused: false, authorized: true, version } },
      { told: { reused: true, version }, heard: { reused: true } },
    ])
  })

mptcpTest('ALPN: what both know, in the order of the client; and nothing in common', async () => {
  await using server = await tlsServer({ ALPNProtocols: ['h2', 'http/1.1'] })
  const result = await sameAsNet(async connect => {
    const all = []
    for (const ALPNProtocols of [['h2', 'http/1.1'], ['http/1.1'], ['http/1.1', 'h2'], ['other']]) {
      const { session: _, ...rest } = await visit(connect(server.port, '127.0.0.1'), { ALPNProtocols })
      all.push(rest)
    }
    return all
  })
  expect(result).toMatchObject([
    { told: { protocol: 'h2' } },
    { told: { protocol: 'http/1.1' } },
    {},
    { failed: expect.any(String) },
  ])
})
