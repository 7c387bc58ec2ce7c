import { createHash } from 'node:crypto'
import { once } from 'node:events'
import type net from 'node:net'
import { describe, expect, test } from 'vitest'
import { native } from '../../lib/runtime/kernel/native.js'
import { connect } from '../../lib/socket/connect.js'
import { echoServer, server } from '../support/echo-server.js'
import { leavesNothingOpen } from '../support/open-things.js'
import { mptcp, mptcpFastOpen } from '../support/probes.js'
import { seeded } from '../support/random.js'
import { referenceConverter, takesSynData, through } from '../support/reference-converter.js'
import { requires } from '../support/requires.js'
import { diary, ours, plain } from '../support/same-as-net.js'

const mptcpTest = requires('MPTCP', mptcp)
const fastOpenTest = requires('Fast Open on MPTCP sockets', mptcpFastOpen)

leavesNothingOpen()

async function received(socket: net.Socket): Promise<string> {
  let text = ''
  for await (const chunk of socket) text += chunk
  return text
}

mptcpTest.describe('a connection through a converter', () => {
  for (const convert of ['auto', '0rtt', '1rtt'] as const)
    for (const family of [4, 6] as const)
      (convert === '1rtt' ? mptcpTest : fastOpenTest)(
        `shows its destination, over IPv${family}, ${convert}`,
        async () => {
          await using echo = await echoServer({ family })
          await using converter = await referenceConverter()
          const socket = connect({ host: echo.address, port: echo.port, ...through(converter), convert })
          await once(socket, 'connect')
          expect(socket).toMatchObject({
            remoteAddress: echo.address,
            remotePort: echo.port,
            remoteFamily: `IPv${family}`,
          })
          expect(socket.localAddress).toBe('127.0.0.1')
          const inSyn = convert === '0rtt' || (convert === 'auto' && takesSynData)
          expect(socket.mptcp).toMatchObject({
            // A kernel whose SYN data is not taken turns to TCP; `auto` dials anew.
            protocol: convert === '0rtt' && !takesSynData ? 'tcp' : 'mptcp',
            converter: { name: converter.name, address: '127.0.0.1', port: converter.port },
            converterError: undefined,
            convert: inSyn ? '0rtt' : '1rtt',
            synDataAccepted: inSyn ? takesSynData : undefined,
            attempts: convert === 'auto' && !takesSynData ? 2 : 1,
            lessons: convert !== '1rtt' && !takesSynData ? ['syn-data-not-acknowledged'] : [],
            answer: [],
          })
          socket.end('hello')
          expect(await received(socket)).toBe('hello')
          expect(converter.connections.at(-1)?.target).toEqual({ address: echo.address, port: echo.port })
        },
      )

  test('has the events of a direct one', async () => {
    await using echo = await echoServer()
    await using converter = await referenceConverter()
    const entries = async (options: object) => {
      const socket = ours({ host: 'localhost', family: 4, port: echo.port, ...options }).on('data', () => {})
      socket.end('hello')
      return diary(socket)
    }
    const once = through(converter)
    expect(await entries({ ...once, convert: '1rtt' })).toEqual(await entries({}))
  })

  test('by the name of its destination', async () => {
    await using echo = await echoServer()
    await using converter = await referenceConverter()
    const socket = connect({ host: 'localhost', family: 4, port: echo.port, ...through(converter) })
    await once(socket, 'connect')
    expect(socket.remoteAddress).toBe('127.0.0.1')
    socket.destroy()
  })

  test('whose server speaks first', async () => {
    await using greeting = await server(socket => socket.end('welcome'))
    await using converter = await referenceConverter()
    const socket = connect({ host: '127.0.0.1', port: greeting.port, ...through(converter) })
    expect(await received(socket)).toBe('welcome')
  })

  test('to a converter over IPv6', async () => {
    await using echo = await echoServer()
    await using converter = await referenceConverter({ listen: '[::1]:0' })
    const socket = connect({ host: '127.0.0.1', port: echo.port, ...through(converter) })
    await once(socket, 'connect')
    expect(socket).toMatchObject({ remoteAddress: '127.0.0.1', remoteFamily: 'IPv4' })
    socket.end('x')
    expect(await received(socket)).toBe('x')
  })

  test('the object is used again, directly', async () => {
    await using echo = await echoServer()
    await using converter = await referenceConverter()
    const socket = connect({ host: '::ffff:127.0.0.1', port: echo.port, ...through(converter) })
    await once(socket, 'connect')
    expect(socket.mptcp.converter?.port).toBe(converter.port)
    socket.destroy()
    await once(socket, 'close')
    socket.connect({ host: '127.0.0.1', port: echo.port, converters: [] })
    await once(socket, 'connect')
    expect(socket.mptcp.converter).toBeUndefined()
    expect(socket.remoteAddress).toBe('127.0.0.1')
    socket.destroy()
  })
})

mptcpTest.describe('what is written before the connection is there', () => {
  for (const [name, options] of [
    ['as a rule', {}],
    ['without pipelining', { pipelining: false }],
    ['as early data', { earlyData: true }],
    ['as early data in the 1-RTT form', { earlyData: true, convert: '1rtt' }],
    ['in the 0-RTT form', { convert: '0rtt' }],
  ] as const)
    for (const [size, bytes] of [
      ['a word', 5],
      ['more than a segment', 5_000],
      ['as much as may leave early', 65_536],
      ['more than may leave early', 65_537],
      ['far more', 3_000_000],
    ] as const)
      ('convert' in options && options.convert === '0rtt' ? fastOpenTest : mptcpTest)(
        `${name}: ${size} arrives once, in order, and its callbacks come`,
        async () => {
          await using echo = await echoServer()
          await using converter = await referenceConverter()
          const random = seeded(bytes)
          const sent = Buffer.from(Uint8Array.from({ length: bytes }, () => random() * 256))
          const socket = connect({ host: '127.0.0.1', port: echo.port, ...through(converter), ...options })
          const calls: string[] = []
          socket.write(sent, () => calls.push('first'))
          socket.write('more', () => calls.push('more'))
          expect(socket.bytesWritten).toBe(bytes + 4)
          socket.write(Buffer.from('and more'), () => calls.push('and more'))
          socket.end('end', () => calls.push('end'))
          const chunks: Buffer[] = []
          for await (const chunk of socket) chunks.push(chunk)
          const whole = Buffer.concat([sent, Buffer.from('moreand moreend')])
          expect(Buffer.concat(chunks).equals(whole)).toBe(true)
          expect(calls).toEqual(['first', 'more', 'and more', 'end'])
          expect(socket.bytesWritten).toBe(whole.length)
          expect(socket.bytesRead).toBe(whole.length)
          if (bytes === 5) expect(socket.mptcp.pipelinedBytes > 0).toBe(name !== 'without pipelining')
        },
      )

  test('leaves before the converter has answered', async () => {
    let arrived = 0
    await using slow = await server(socket => socket.on('data', chunk => (arrived += chunk.length)))
    await using converter = await referenceConverter()
    const socket = connect({ host: '127.0.0.1', port: slow.port, ...through(converter), convert: '1rtt' })
    let left = false
    socket.write('request', () => {
      left = socket.connecting
    })
    await once(socket, 'connect')
    expect(left).toBe(true)
    expect(socket.mptcp.pipelinedBytes).toBe(7)
    await once(socket.end('!'), 'finish')
    while (arrived < 8) await new Promise(setImmediate)
    socket.destroy()
  })

  test('strings in any encoding', async () => {
    await using echo = await echoServer()
    await using converter = await referenceConverter()
    const socket = connect({ host: '127.0.0.1', port: echo.port, ...through(converter) })
    socket.cork()
    socket.write('ö')
    socket.write('f6', 'hex')
    socket.write('ö', 'latin1')
    socket.write(Buffer.from('ö'))
    socket.end('/w==', 'base64')
    socket.setEncoding('hex')
    expect(await received(socket)).toBe('c3b6f6f6c3b6ff')
  })

  test('never leaves when the destination refuses: the callback says so', async () => {
    await using converter = await referenceConverter()
    const socket = connect({ host: '127.0.0.1', port: 1, ...through(converter), pipelining: false })
    const errors: unknown[] = []
    socket.write('x', error => errors.push(plain(error)))
    socket.on('error', error => errors.push(plain(error)))
    await new Promise(resolve => socket.once('close', resolve))
    expect(errors).toMatchObject([{ code: 'ECONNREFUSED' }, { code: 'ERR_SOCKET_CLOSED_BEFORE_CONNECTION' }])
  })
})

describe('bytes', () => {
  mptcpTest(
    '30 MB each way, by their hash',
    async () => {
      await using echo = await echoServer()
      await using converter = await referenceConverter()
      const socket = connect({ host: '127.0.0.1', port: echo.port, ...through(converter) })
      const random = seeded(30)
      const [sent, back] = [createHash('sha256'), createHash('sha256')]
      socket.on('data', chunk => back.update(chunk))
      const closed = once(socket, 'close')
      for (let block = 0; block < 30; block++) {
        const bytes = Buffer.from(Uint32Array.from({ length: 1 << 18 }, () => random() * 2 ** 32).buffer)
        sent.update(bytes)
        if (!socket.write(bytes)) await once(socket, 'drain')
      }
      socket.end()
      await closed
      expect(socket.bytesRead).toBe(30 << 20)
      expect(back.digest('hex')).toBe(sent.digest('hex'))
    },
    60_000,
  )

  mptcpTest(
    '200 connections at once',
    async () => {
      await using echo = await echoServer()
      await using converter = await referenceConverter()
      const options = { host: '127.0.0.1', port: echo.port, ...through(converter) }
      const texts = Array.from({ length: 200 }, async (_, index) => {
        const socket = connect(options)
        socket.end(`connection ${index}`)
        return received(socket)
      })
      expect(await Promise.all(texts)).toEqual(texts.map((_, index) => `connection ${index}`))
      expect(native().counts().waits).toBe(0)
    },
    30_000,
  )
})
