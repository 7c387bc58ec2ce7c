/** Converters that read more than the Convert message, and cannot do anything with what follows it. */
import type { Socket } from 'node:net'
import tls from 'node:tls'
import { describe, expect, test } from 'vitest'
import { connectTls } from '../../../lib/agents/tls.js'
import { cert, key } from '../../support/certificate.js'
import { server } from '../../support/echo-server.js'
import { leavesNothingOpen } from '../../support/open-things.js'
import { outcomeOf } from '../../support/outcome.js'
import { mptcp } from '../../support/probes.js'
import { through } from '../../support/reference-converter.js'
import { requires } from '../../support/requires.js'

leavesNothingOpen()

/** "Connected", and an Error TLV "malformed message". */
const CONNECTED = Buffer.from('01012263', 'hex')
const MALFORMED = Buffer.from('010222631e010100', 'hex')

/** Reads what has arrived as the Convert message, all of it. @param greedy what it does if that is more than one */
function readsAll(greedy: (socket: Socket) => unknown): (socket: Socket) => void {
  return socket => {
    socket.on('error', () => {})
    socket.once('data', bytes => {
      const length = bytes[1]! * 4
      const more = () => setTimeout(() => (socket.bytesRead > length ? greedy(socket) : answer()), 30)
      const answer = () => {
        socket.write(CONNECTED)
        socket.pipe(socket)
      }
      more()
    })
  }
}

const WAYS: [string, (socket: Socket) => unknown][] = [
  ['resets', socket => socket.resetAndDestroy()],
  ['closes', socket => socket.end()],
]

requires('MPTCP', mptcp).describe('bytes that follow the Convert message before its answer', () => {
  describe.each(WAYS)('a converter that %s when it reads them', (_, greedy) => {
    test('this connection fails, since they may have arrived; the next ones hold them back', async () => {
      await using converter = await server(readsAll(greedy))
      const options = {
        host: '192.0.2.7',
        port: 9,
        ...through(`127.0.0.1:${converter.port}`),
        convert: '1rtt' as const,
      }
      const { error } = await outcomeOf(options, 'hello')
      expect(error?.code).toMatch(/^(ECONNRESET|ERR_CONVERT_CLOSED)$/)
      for (let i = 0; i < 2; i++) {
        const { socket, error, all } = await outcomeOf(options, 'hello')
        expect(error).toBeUndefined()
        expect(socket.mptcp).toMatchObject({ pipelinedBytes: 0, attempts: 1 })
        socket.end()
        expect(String(await all)).toBe('hello')
      }
    })

    test('a ClientHello is sent again after the answer, on the same connection to the server', async () => {
      let attempts = 0
      const secure = tls.createServer({ cert, key }, socket => socket.end('hello'))
      await using converter = await server(socket => {
        attempts++
        socket.on('error', () => {})
        socket.once('data', bytes => {
          const length = bytes[1]! * 4
          setTimeout(() => {
            if (socket.bytesRead > length) greedy(socket)
            else if (socket.write(CONNECTED)) secure.emit('connection', socket)
          }, 30)
        })
      })
      const secureOptions = { host: '192.0.2.7', port: 9, rejectUnauthorized: false }
      const source = { ...through(`127.0.0.1:${converter.port}`), convert: '1rtt' as const }
      const socket = connectTls(source, secureOptions)
      let text = ''
      for await (const chunk of socket) text += chunk
      expect(text).toBe('hello')
      expect(attempts).toBe(2)
    })
  })

  test('an Error TLV says that none has arrived: asked again without them at once, and the next ones hold them back', async () => {
    await using converter = await server(readsAll(socket => socket.end(MALFORMED)))
    const options = { host: '192.0.2.7', port: 9, ...through(`127.0.0.1:${converter.port}`), convert: '1rtt' as const }
    for (const attempts of [2, 1]) {
      const { socket, error, all } = await outcomeOf(options, 'hello')
      expect(error).toBeUndefined()
      expect(socket.mptcp.attempts).toBe(attempts)
      socket.end()
      expect(String(await all)).toBe('hello')
    }
  })
})
