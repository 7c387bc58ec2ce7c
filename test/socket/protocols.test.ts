import { once } from 'node:events'
import http from 'node:http'
import http2 from 'node:http2'
import https from 'node:https'
import type net from 'node:net'
import tls from 'node:tls'
import { expect, test } from 'vitest'
import { connect, createConnection } from '../../lib/socket/connect.js'
import { MptcpSocket } from '../../lib/socket/socket.js'
import { cert, key } from '../support/certificate.js'
import { listening } from '../support/mptcp-server.js'
import { leavesNothingOpen } from '../support/open-things.js'
import { mptcp } from '../support/probes.js'
import { requires } from '../support/requires.js'

const mptcpTest = requires('MPTCP', mptcp)

leavesNothingOpen()

async function text(stream: NodeJS.ReadableStream): Promise<string> {
  let all = ''
  for await (const chunk of stream) all += chunk
  return all
}

/** An answer that shows what was asked, and the made connections' protocols. */
const answer: http.RequestListener = (request, response) => response.end(`${request.method} ${request.url}`)

mptcpTest.describe('TLS', () => {
  const dualStack = ((_: string, __: object, done: (error: null, found: object[]) => void) =>
    setImmediate(done, null, [
      { address: '::1', family: 6 },
      { address: '127.0.0.1', family: 4 },
    ])) as net.LookupFunction

  for (const [name, options] of [
    ['to an address', { host: '127.0.0.1' }],
    ['to a name', { host: 'localhost', family: 4 }],
    ['to a name with several addresses, the first of which refuses', { host: 'localhost', lookup: dualStack }],
  ] as const)
    test(`over a socket that is still connecting ${name}`, async () => {
      await using server = await listening(tls.createServer({ cert, key }, socket => socket.pipe(socket)))
      const socket = connect({ port: server.port, ...options } as net.TcpNetConnectOpts)
      const secure = tls.connect({ socket, ca: cert, servername: 'localhost' })
      secure.end('hello')
      expect(await text(secure)).toBe('hello')
      expect(secure.authorized).toBe(true)
      expect(socket.mptcp.attempts).toBe(name.includes('several') ? 2 : 1)
    })

  test('over a socket that is connected', async () => {
    await using server = await listening(tls.createServer({ cert, key }, socket => socket.end('hello')))
    const socket = connect(server.port, '127.0.0.1')
    await once(socket, 'connect')
    const secure = tls.connect({ socket, ca: cert, servername: 'localhost' })
    expect(await text(secure)).toBe('hello')
  })

  test('over a socket that is refused', async () => {
    const secure = tls.connect({ socket: connect(1, '127.0.0.1'), ca: cert })
    const [error] = await once(secure, 'error').catch(error => [error])
    expect(error).toMatchObject({ code: 'ECONNREFUSED' })
  })

  test('the name that is checked is the one of the options', async () => {
    await using server = await listening(tls.createServer({ cert, key }, socket => socket.on('error', () => {}).end()))
    const socket = connect({ port: server.port, host: '127.0.0.1' })
    const secure = tls.connect({ socket, ca: cert, servername: 'other.example' })
    const [error] = await once(secure, 'error').catch(error => [error])
    expect(error).toMatchObject({ code: 'ERR_TLS_CERT_ALTNAME_INVALID' })
  })

  test('without a servername the address is checked', async () => {
    await using server = await listening(tls.createServer({ cert, key }, socket => socket.end('hello')))
    const secure = tls.connect({ socket: connect(server.port, '127.0.0.1'), host: '127.0.0.1', ca: cert })
    expect(await text(secure)).toBe('hello')
  })
})

mptcpTest.describe('HTTP', () => {
  const through = (made: MptcpSocket[]) => (options: object) => {
    const socket = createConnection(options as never)
    made.push(socket)
    return socket
  }

  test('http.get with createConnection', async () => {
    await using server = await listening(http.createServer(answer))
    const made: MptcpSocket[] = []
    const request = http.get({
      port: server.port,
      host: '127.0.0.1',
      path: '/a',
      createConnection: through(made),
    })
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    expect(await text(response)).toBe('GET /a')
    expect(made).toHaveLength(1)
    expect(made[0]!.mptcp.protocol).toBe('mptcp')
  })

  test('http.get by URL, with createConnection and the default agent', async () => {
    await using server = await listening(http.createServer(answer))
    const made: MptcpSocket[] = []
    const request = http.get(`http://127.0.0.1:${server.port}/b?c`, { createConnection: through(made) })
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    expect(await text(response)).toBe('GET /b?c')
    expect(made[0]!.mptcp.protocol).toBe('mptcp')
    made[0]!.destroy()
  })

  test('an agent that keeps connections', async () => {
    await using server = await listening(http.createServer(answer))
    const made: MptcpSocket[] = []
    const agent = new http.Agent({ keepAlive: true, maxSockets: 2 })
    agent.createConnection = through(made) as never
    const answers = await Promise.all(
      Array.from({ length: 10 }, async (_, index) => {
        const body = `${index}`.repeat(1_000)
        const request = http.request({ port: server.port, host: '127.0.0.1', path: `/${index}`, method: 'POST', agent })
        request.end(body)
        const [response] = (await once(request, 'response')) as [http.IncomingMessage]
        return text(response)
      }),
    )
    expect(answers).toEqual(Array.from({ length: 10 }, (_, index) => `POST /${index}`))
    expect(made).toHaveLength(2)
    expect(made.map(socket => socket.mptcp.protocol)).toEqual(['mptcp', 'mptcp'])
    agent.destroy()
  })

  test('https.get with createConnection', async () => {
    await using server = await listening(https.createServer({ cert, key }, answer))
    const made: MptcpSocket[] = []
    const request = https.get({
      port: server.port,
      host: 'localhost',
      family: 4,
      path: '/s',
      ca: cert,
      createConnection: options =>
        tls.connect({ ...(options as tls.ConnectionOptions), socket: through(made)({ ...options, path: undefined }) }),
    })
    const [response] = (await once(request, 'response')) as [http.IncomingMessage]
    expect(await text(response)).toBe('GET /s')
    expect(made[0]).toBeInstanceOf(MptcpSocket)
    expect(made[0]!.mptcp.attempts).toBe(1)
  })

  test('a refused request', async () => {
    const request = http.get({
      port: 1,
      host: '127.0.0.1',
      createConnection: options => createConnection(options as never),
    })
    const [error] = await once(request, 'error').catch(error => [error])
    expect(error).toMatchObject({ code: 'ECONNREFUSED', syscall: 'connect', address: '127.0.0.1', port: 1 })
  })

  test('HTTP/2', async () => {
    const server = http2.createServer((request, response) => response.end(`${request.method} ${request.url}`))
    await using where = await listening(server as unknown as net.Server)
    const session = http2.connect(`http://127.0.0.1:${where.port}`, {
      createConnection: () => connect(where.port, '127.0.0.1'),
    })
    const stream = session.request({ ':path': '/two' })
    expect(await text(stream)).toBe('GET /two')
    session.close()
    await once(session, 'close')
  })
})
