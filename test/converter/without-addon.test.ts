import { expect, test, vi } from 'vitest'

vi.mock('../../lib/runtime/kernel/native.js', () => ({
  native: () => {
    throw new Error('none for this system')
  },
}))

import { connectTlv, echo, message, rig, until } from './rig.js'

test('without an addon it is a TCP converter, and says so', async () => {
  const { port } = await echo()
  const { client, converter, closed, degraded } = await rig({ serverProtocol: 'mptcp' })
  expect(degraded).toEqual(['addon'])
  expect(converter.listening).toMatchObject([{ protocol: 'tcp', fastOpen: false }])

  const speaker = client(message(connectTlv(port)))
  expect(await speaker.hears(4)).toBe('01012263')
  speaker.socket.end('hello')
  await speaker.hearsAll()
  expect(await closed()).toMatchObject({ protocol: 'tcp', zeroRtt: false, bytes: { fromClient: 5, fromServer: 5 } })

  const refused = client(message(connectTlv(0)))
  await refused.hearsAll()
  await until(() => converter.stats().connections === 0)
})
