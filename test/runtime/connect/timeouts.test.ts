import { describe, expect, test } from 'vitest'
import { native } from '../../../lib/runtime/kernel/native.js'
import { server } from '../../support/echo-server.js'
import { MPTCP } from '../../support/native-addon.js'
import { leavesNothingOpen } from '../../support/open-things.js'
import { outcomeOf } from '../../support/outcome.js'
import { mptcp } from '../../support/probes.js'
import { referenceConverter, through } from '../../support/reference-converter.js'
import { requires } from '../../support/requires.js'

const mptcpTest = requires('MPTCP', mptcp)

leavesNothingOpen()

/** A listener whose queue is full: further SYNs are not answered. */
async function deaf(): Promise<{ port: number } & AsyncDisposable> {
  const listener = native().socket(4, MPTCP)
  native().bind(listener, '127.0.0.1', 0)
  native().listen(listener, 0)
  const { port } = native().getsockname(listener)
  const fillers = Array.from({ length: 4 }, () => native().socket(4, 6))
  for (const filler of fillers) native().connect(filler, '127.0.0.1', port)
  await new Promise(resolve => setTimeout(resolve, 20))
  return {
    port,
    async [Symbol.asyncDispose]() {
      for (const fd of [...fillers, listener]) native().close(fd)
    },
  }
}

mptcpTest.describe('a converter that takes the connection and says nothing', () => {
  test('converterTimeout', async () => {
    await using silent = await server(() => {})
    const name = `127.0.0.1:${silent.port}`
    const options = { ...through(name), convert: '1rtt' as const, converterTimeout: 60 }
    const { error } = await outcomeOf({ host: '127.0.0.1', port: 9, ...options })
    expect(error).toMatchObject({ code: 'ERR_CONVERT_TIMEOUT', converter: name })
    expect(error?.message).toContain('60 ms')
  })

  test('converterTimeout, for each of several', async () => {
    await using one = await server(() => {})
    await using two = await server(() => {})
    const names = [`127.0.0.1:${one.port}`, `127.0.0.1:${two.port}`]
    const options = { ...through(...names), convert: '1rtt' as const, converterTimeout: 60 }
    const { error } = await outcomeOf({ host: '127.0.0.1', port: 9, ...options })
    expect((error as unknown as AggregateError).errors).toMatchObject([
      { code: 'ERR_CONVERT_TIMEOUT', converter: names[0] },
      { code: 'ERR_CONVERT_TIMEOUT', converter: names[1] },
    ])
  })

  test('connectTimeout, which is for all', async () => {
    await using silent = await server(() => {})
    const options = { ...through(`127.0.0.1:${silent.port}`), converterTimeout: 0, connectTimeout: 60 }
    const { error } = await outcomeOf({ host: '127.0.0.1', port: 9, ...options, convert: '1rtt' })
    expect(error).toMatchObject({ code: 'ETIMEDOUT', syscall: 'connect', address: '127.0.0.1', port: silent.port })
  })
})

mptcpTest.describe('SYNs that are not answered', () => {
  test('fresh ones follow, to a converter', async () => {
    await using listener = await deaf()
    const options = {
      ...through(`127.0.0.1:${listener.port}`),
      mptcp: 'require' as const,
      convert: '0rtt' as const,
      synTimeout: 100,
      synRetries: 2,
    }
    const { error, socket } = await outcomeOf({ host: '127.0.0.1', port: 9, ...options })
    expect(error).toMatchObject({ code: 'ETIMEDOUT', address: '127.0.0.1', port: listener.port })
    expect(socket.mptcp.attempts).toBe(3)
  }, 15_000)

  test('to a destination: the error of net.connect', async () => {
    await using listener = await deaf()
    const { error, socket } = await outcomeOf({ host: '127.0.0.1', port: listener.port, synRetries: 0 })
    expect({ ...error, message: error?.message }).toEqual({
      code: 'ETIMEDOUT',
      errno: -110,
      syscall: 'connect',
      address: '127.0.0.1',
      port: listener.port,
      message: `connect ETIMEDOUT 127.0.0.1:${listener.port}`,
    })
    expect(socket.mptcp.attempts).toBe(1)
  }, 15_000)

  test('connectTimeout ends it earlier', async () => {
    await using listener = await deaf()
    const { error } = await outcomeOf({ host: '127.0.0.1', port: listener.port, connectTimeout: 50 })
    expect(error).toMatchObject({ code: 'ETIMEDOUT', port: listener.port })
  })

  test('another address is tried beside', async () => {
    await using listener = await deaf()
    await using echo = await server(socket => socket.pipe(socket))
    await using converter = await referenceConverter()
    const options = { ...through(`127.0.0.1:${listener.port}`, converter), attemptDelay: 20, convert: '1rtt' as const }
    const { socket } = await outcomeOf({ host: '127.0.0.1', port: echo.port, ...options })
    expect(socket.mptcp).toMatchObject({ attempts: 2, converter: { port: converter.port } })
    socket.destroy()
  })
})

describe('no limit', () => {
  mptcpTest('connectTimeout: 0 sets no timer', async () => {
    await using echo = await server(socket => socket.pipe(socket))
    const { socket, error } = await outcomeOf({ port: echo.port, connectTimeout: 0, converterTimeout: 0 })
    expect(error).toBeUndefined()
    socket.destroy()
  })
})
