/** Which ways are open to a connection: names that take their time, addresses that may not be named, waits that hold nobody. */
import { execFile } from 'node:child_process'
import dns from 'node:dns'
import { once } from 'node:events'
import net from 'node:net'
import { promisify } from 'node:util'
import { afterEach, expect, test, vi } from 'vitest'
import { connect } from '../../lib/index.js'
import { hostileConverter, message, SUCCESS, send } from '../support/hostile-converter.js'
import { mptcp } from '../support/probes.js'
import { requires } from '../support/requires.js'

const mptcpTest = requires('MPTCP', mptcp)
const SERVER = { host: '203.0.113.7', port: 443, convert: '1rtt' } as const

afterEach(() => vi.restoreAllMocks())

mptcpTest("a converter whose name takes long holds up no other one, and one that fails doesn't either", async () => {
  await using converter = await hostileConverter([
    [message, send(SUCCESS)],
    [message, send(SUCCESS)],
  ])
  let answer = () => {}
  vi.spyOn(dns.promises, 'lookup').mockImplementation(
    (() =>
      new Promise((_, reject) => {
        answer = () => reject(new Error('no such name'))
      })) as never,
  )
  for (const converters of [
    ['slow.example:5124', converter.name],
    [converter.name, 'slow.example:5124'],
  ]) {
    const socket = connect({ ...SERVER, converters, attemptDelay: 20 })
    await once(socket, 'connect')
    expect(socket.mptcp.converter?.name).toBe(converter.name)
    socket.destroy()
    answer()
  }
})

mptcpTest('an address that may not be in a Connect TLV rules out itself only', async () => {
  await using converter = await hostileConverter([[message, send(SUCCESS)]])
  const lookup = (_: string, __: object, done: (...all: unknown[]) => void) =>
    done(null, [
      { address: '::1', family: 6 },
      { address: '192.0.2.9', family: 4 },
    ])
  const socket = connect({ ...SERVER, host: 'two.example', converters: converter.name, lookup: lookup as never })
  await once(socket, 'connect')
  expect(socket.remoteAddress).toBe('192.0.2.9')
  socket.destroy()
})

mptcpTest('writes that leave at once leave no listener behind', async () => {
  await using converter = await hostileConverter([[message, { pause: 200 }, send(SUCCESS)]] as never)
  const socket = connect({ ...SERVER, converters: converter.name })
  const before = socket.listenerCount('close')
  for (let i = 0; i < 20; i++) {
    socket.write(`${i}\n`)
    await new Promise(resolve => setTimeout(resolve, 3))
  }
  expect(socket.listenerCount('close')).toBeLessThanOrEqual(before + 1)
  socket.destroy()
})

test('a socket that is unref’d while a converter is silent lets the process end', async () => {
  const silent = net.createServer(() => {}).listen(0, '127.0.0.1')
  await once(silent, 'listening')
  const { port } = silent.address() as net.AddressInfo
  const script = `import { connect } from 'atsss'
    connect({ host: '203.0.113.7', port: 443, converters: '127.0.0.1:${port}', convert: '1rtt' }).on('error', () => {}).unref()`
  const began = performance.now()
  await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { timeout: 10_000 })
  expect(performance.now() - began).toBeLessThan(10_000)
  silent.close()
})

mptcpTest(
  'options of a socket hold for its next connection, too; what a listener does to one report changes no other',
  async () => {
    await using converter = await hostileConverter(Array.from({ length: 3 }, () => [message, send(SUCCESS)]))
    const options = { ...SERVER, converters: converter.name, noDelay: true }
    const one = connect(options)
    const other = connect(options)
    await Promise.all([once(one, 'connect'), once(other, 'connect')])
    expect(one.mptcp).toEqual(other.mptcp)
    one.mptcp.answer.push({} as never)
    Object.assign(one.mptcp, { protocol: undefined })
    expect(one.mptcp).toMatchObject({ protocol: other.mptcp.protocol, answer: [], converter: { name: converter.name } })
    one.destroy()
    await once(one, 'close')
    one.connect(SERVER.port, SERVER.host)
    await once(one, 'connect')
    expect(one.mptcp).toMatchObject({ converter: { name: converter.name }, convert: '1rtt' })
    for (const socket of [one, other]) socket.destroy()
  },
)
