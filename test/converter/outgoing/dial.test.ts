import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { describe, expect, test } from 'vitest'
import { dial } from '../../../lib/converter/outgoing/dial.js'
import { connectedSocket } from '../../../lib/runtime/kernel/connected-socket.js'
import { IPPROTO_TCP } from '../../../lib/runtime/kernel/constants.js'
import { native } from '../../../lib/runtime/kernel/native.js'
import { addon, mptcp } from '../../support/probes.js'
import { requires } from '../../support/requires.js'
import { closing, echo } from '../rig.js'

const dialed = (port: number, protocol: 'tcp' | 'mptcp') => {
  const calls: [Error | undefined, Socket | undefined][] = []
  let arrived = () => {}
  const arrival = new Promise<void>(resolve => {
    arrived = resolve
  })
  const giveUp = dial({ address: '127.0.0.1', port }, protocol, (error, socket) => {
    if (socket) closing(() => void socket.destroy())
    calls.push([error, socket])
    arrived()
  })
  return { calls, arrival, giveUp }
}

describe.each(['tcp', 'mptcp'] as const)('%s', protocol => {
  const only = protocol === 'mptcp' ? requires('MPTCP', mptcp) : test

  only('giving up after success leaves the socket alone', async () => {
    const { port } = await echo()
    const { calls, arrival, giveUp } = dialed(port, protocol)
    await arrival
    giveUp()
    giveUp()
    const [[error, socket]] = calls as [[undefined, Socket]]
    expect([error, socket.destroyed]).toEqual([undefined, false])
    socket.write('x')
    expect(String((await once(socket, 'data'))[0])).toBe('x')
  })

  only('giving up after a failure does nothing', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    await new Promise(resolve => server.close(resolve))
    const { calls, arrival, giveUp } = dialed(port, protocol)
    await arrival
    expect(calls).toMatchObject([[{ code: 'ECONNREFUSED' }, undefined]])
    expect(giveUp).not.toThrow()
  })

  only('giving up before: nothing is called, nothing stays open', async () => {
    const { port } = await echo()
    const { calls, giveUp } = dialed(port, protocol)
    giveUp()
    giveUp()
    await new Promise(resolve => setTimeout(resolve, 50))
    expect(calls).toEqual([])
  })
})

requires('the addon', addon)('a descriptor of which no socket can be made is closed', () => {
  const fd = native().socket(4, IPPROTO_TCP)
  expect(() => connectedSocket(fd, { highWaterMark: -1 } as never)).toThrow(/HighWaterMark/)
  expect(() => native().close(fd)).toThrow(expect.objectContaining({ code: 'EBADF' }))
})
