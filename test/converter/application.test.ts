/** The application's code throws: the converter's own work goes on, and nothing is swallowed. */
import { expect, test } from 'vitest'
import { createConverter } from '../../lib/converter/index.js'
import { hex } from '../support/hex.js'
import { uncaughtIn } from '../support/uncaught.js'
import { closing, connectTlv, echo, message, rig, until } from './rig.js'

const throwing = (name: string) => () => {
  throw new Error(`thrown by ${name}`)
}
const uncaught = (...names: string[]) =>
  names.map(name => ({ origin: 'uncaughtException', message: `thrown by ${name}` }))

test('listeners of a relayed connection', async () => {
  const { port } = await echo()
  const { client, converter } = await rig()
  for (const name of ['connection', 'established', 'closed'] as const) converter.on(name, throwing(name))
  const seen = await uncaughtIn(async () => {
    const speaker = client(Buffer.concat([message(connectTlv(port)), hex('0102')]))
    // The answer, and what the server echoes: both directions are relayed.
    expect(await speaker.hears(6)).toBe('010122630102')
    speaker.socket.end()
    await until(() => converter.stats().connections === 0)
  })
  expect(seen).toEqual(uncaught('connection', 'established', 'closed'))
})

test('listeners of refused and ignored connections', async () => {
  const { client, converter } = await rig({ messageTimeout: 50 })
  for (const name of ['refused', 'client-error'] as const) converter.on(name, throwing(name))
  const seen = await uncaughtIn(async () => {
    expect(await client(message(connectTlv(0))).hearsAll()).toMatch(/^010822631e070100/)
    expect(await client(hex('01')).fails()).toBe('ECONNRESET')
    await until(() => converter.stats().connections === 0)
  })
  expect(seen).toEqual(uncaught('refused', 'client-error'))
})

test('listeners of the start: listen() resolves all the same', async () => {
  const converter = createConverter({ listen: '127.0.0.1:0' })
  closing(() => converter.close())
  for (const name of ['listening'] as const) converter.on(name, throwing(name))
  const seen = await uncaughtIn(async () => {
    expect(await converter.listen()).toHaveLength(1)
  })
  expect(seen).toEqual(uncaught('listening'))
})

test('close() does not depend on the listeners of the application', async () => {
  const { port } = await echo()
  const { client, converter } = await rig()
  converter.removeAllListeners('closed').on('closed', throwing('closed'))
  const seen = await uncaughtIn(async () => {
    client(message(connectTlv(port)))
    await until(() => converter.stats().established === 1)
    const closed = converter.close()
    converter.removeAllListeners('closed').on('closed', throwing('closed'))
    await closed
  })
  expect(seen).toEqual(uncaught('closed'))
})

test('the clock', async () => {
  let broken = false
  const { client, converter } = await rig({
    now: () => {
      if (broken) throw new Error('thrown by now')
      return Date.now()
    },
  })
  broken = true
  const seen = await uncaughtIn(async () => {
    expect(await client(message(connectTlv(0))).hearsAll()).toMatch(/^010822631e070100/)
    await until(() => converter.stats().connections === 0)
    broken = false
  })
  expect(new Set(seen.map(({ origin, message }) => `${origin}: ${message}`))).toEqual(
    new Set(['uncaughtException: thrown by now']),
  )
})
