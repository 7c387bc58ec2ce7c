import { createHash } from 'node:crypto'
import { once } from 'node:events'
import type net from 'node:net'
import { expect, test } from 'vitest'
import { echoServer, server } from '../support/echo-server.js'
import { pause } from '../support/native-addon.js'
import { leavesNothingOpen } from '../support/open-things.js'
import { mptcp } from '../support/probes.js'
import { seeded } from '../support/random.js'
import { requires } from '../support/requires.js'
import { ours, plain, sameAsNet } from '../support/same-as-net.js'

const mptcpTest = requires('MPTCP', mptcp)

leavesNothingOpen()

const closed = (socket: net.Socket) => new Promise(resolve => socket.once('close', resolve))

/** All that comes until the end. */
async function received(socket: net.Socket): Promise<string> {
  const chunks: Buffer[] = []
  socket.on('data', chunk => chunks.push(chunk))
  await once(socket, 'close')
  return Buffer.concat(chunks).toString()
}

mptcpTest('write callbacks come in their order, and count', async () => {
  await using echo = await echoServer()
  const result = await sameAsNet(async connect => {
    const socket = connect(echo.port, '127.0.0.1')
    const calls: string[] = []
    socket.write('early', () => calls.push('early'))
    socket.write(Buffer.from('ö'), () => calls.push('bytes'))
    socket.write('c3b6', 'hex', () => calls.push('hex'))
    const before = { bytesWritten: socket.bytesWritten, bufferSize: socket.writableLength }
    await once(socket, 'connect')
    socket.write('late', () => calls.push('late'))
    socket.end('end', () => calls.push('end'))
    const text = await received(socket)
    const { bytesWritten, bytesRead } = socket
    return { text, calls, before, bytesWritten, bytesRead }
  })
  expect(result).toMatchObject({
    text: 'earlyöölateend',
    calls: ['early', 'bytes', 'hex', 'late', 'end'],
    bytesWritten: 16,
    bytesRead: 16,
    before: { bytesWritten: 9 },
  })
})

mptcpTest('bytesWritten and bytesRead along the way', async () => {
  await using echo = await echoServer()
  await sameAsNet(async connect => {
    const seen: unknown[] = []
    const socket = connect(echo.port, '127.0.0.1')
    const look = () => seen.push([socket.bytesWritten, socket.bytesRead])
    look()
    socket.write('12345')
    look()
    await once(socket, 'data')
    look()
    socket.write('678')
    look()
    await once(socket, 'data')
    look()
    socket.destroy()
    look()
    await once(socket, 'close')
    look()
    return seen
  })
})

mptcpTest('cork and uncork', async () => {
  await using echo = await echoServer()
  const text = await sameAsNet(async connect => {
    const socket = connect(echo.port, '127.0.0.1')
    socket.cork()
    socket.write('a')
    socket.write('b', 'latin1')
    socket.write(Buffer.from('c'))
    socket.uncork()
    await once(socket, 'connect')
    socket.cork()
    socket.write('d')
    socket.cork()
    socket.write('e')
    socket.uncork()
    expect(socket.writableCorked).toBe(1)
    process.nextTick(() => socket.uncork())
    socket.end('f')
    return received(socket)
  })
  expect(text).toBe('abcdef')
})

mptcpTest('what is paused before it is connected is read when it is resumed', async () => {
  await using greeting = await server(socket => socket.end('hello'))
  await sameAsNet(async connect => {
    const socket = connect(greeting.port, '127.0.0.1')
    const chunks: string[] = []
    socket.on('data', chunk => chunks.push(String(chunk)))
    socket.pause()
    await once(socket, 'connect')
    await pause(50)
    const before = { chunks: [...chunks], bytesRead: socket.bytesRead }
    socket.resume()
    await once(socket, 'close')
    return { before, chunks }
  })
})

mptcpTest('half-closed by us: the peer still answers', async () => {
  await using late = await server(socket => socket.on('end', () => setTimeout(() => socket.end('late'), 30)).resume())
  const text = await sameAsNet(async connect => {
    const socket = connect(late.port, '127.0.0.1')
    socket.end('request')
    return received(socket)
  })
  expect(text).toBe('late')
})

mptcpTest('half-closed by the peer: with allowHalfOpen we still write', async () => {
  let arrived = ''
  await using ending = await server(socket => {
    socket.end('bye')
    socket.on('data', chunk => {
      arrived += chunk
    })
  })
  const result = await sameAsNet(async connect => {
    arrived = ''
    const socket = connect({ port: ending.port, host: '127.0.0.1', allowHalfOpen: true }).resume()
    await once(socket, 'end')
    const { writable, readyState } = socket
    socket.write('still ')
    socket.end('here')
    await once(socket, 'close')
    await pause(30)
    return { arrived, writable, readyState }
  })
  expect(result).toEqual({ arrived: 'still here', writable: true, readyState: 'writeOnly' })
})

mptcpTest('without allowHalfOpen writing after the end of the peer is an error', async () => {
  await using ending = await server(socket => socket.end())
  await sameAsNet(async connect => {
    const socket = connect(ending.port, '127.0.0.1').resume()
    const errors: object[] = []
    socket.on('error', error => errors.push(plain(error)))
    socket.on('end', () => socket.write('x', error => errors.push(plain(error))))
    await closed(socket)
    return errors
  })
})

mptcpTest('writing after end()', async () => {
  await using echo = await echoServer()
  await sameAsNet(async connect => {
    const socket = connect(echo.port, '127.0.0.1').resume()
    const codes: unknown[] = []
    socket.on('error', error => codes.push(plain(error)))
    socket.end('x')
    socket.write('y', error => codes.push(plain(error)))
    await closed(socket)
    return codes
  })
})

mptcpTest('back-pressure: write() says when to wait, drain when to go on', async () => {
  let release = () => {}
  await using slow = await server(socket => {
    socket.pause()
    release = () => socket.resume()
    socket.on('end', () => socket.end())
  })
  const socket = ours(slow.port, '127.0.0.1').resume()
  await once(socket, 'connect')
  const chunk = Buffer.alloc(1 << 20)
  let written = 0
  while (socket.write(chunk) || socket.writableLength < 2 * chunk.length) {
    written++
    await new Promise(setImmediate)
    expect(written).toBeLessThan(1_000)
  }
  expect(socket.writableNeedDrain).toBe(true)
  const drained = once(socket, 'drain')
  release()
  await drained
  expect(socket.writableLength).toBe(0)
  socket.end()
  await once(socket, 'close')
})

mptcpTest(
  '100 MB each way, by their hash',
  async () => {
    const size = 100 * (1 << 20)
    await using echo = await echoServer()
    const socket = ours(echo.port, '127.0.0.1')
    const random = seeded(100)
    const block = Buffer.from(Uint32Array.from({ length: 1 << 18 }, () => random() * 2 ** 32).buffer)
    const sent = createHash('sha256')
    const back = createHash('sha256')
    let count = 0
    socket.on('data', chunk => {
      count += chunk.length
      back.update(chunk)
    })
    const closed = once(socket, 'close')
    for (let at = 0; at < size; at += block.length) {
      block.writeUInt32LE(at)
      const copy = Buffer.from(block)
      sent.update(copy)
      if (!socket.write(copy)) await once(socket, 'drain')
    }
    socket.end()
    await closed
    expect(count).toBe(size)
    expect(socket.bytesWritten).toBe(size)
    expect(socket.bytesRead).toBe(size)
    expect(back.digest('hex')).toBe(sent.digest('hex'))
  },
  60_000,
)

mptcpTest('an async iterator, a pipeline', async () => {
  await using echo = await echoServer()
  const socket = ours(echo.port, '127.0.0.1').setEncoding('utf8')
  socket.end('iterated')
  let text = ''
  for await (const chunk of socket) text += chunk
  expect(text).toBe('iterated')
  expect(socket.destroyed).toBe(true)
})

test('the callback of a write that never leaves has the error of net.connect', async () => {
  await sameAsNet(async connect => {
    const socket = connect(1, '127.0.0.1').on('error', () => {})
    const errors: object[] = []
    socket.write('a', error => errors.push(plain(error)))
    socket.write('b', error => errors.push(plain(error)))
    await closed(socket)
    await new Promise(setImmediate)
    return errors
  })
})
