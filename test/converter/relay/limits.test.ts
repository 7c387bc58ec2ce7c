import { expect, test } from 'vitest'
import { type Admission, Clients } from '../../../lib/converter/relay/clients.js'
import { hex } from '../../support/hex.js'
import { connectTlv, echo, message, rig, serve, until } from '../rig.js'

test('error replies to a client are limited; beyond that it is reset', async () => {
  let now = 1_000_000
  const { client, converter } = await rig({ errorsPerSecond: 2, now: () => now })
  const bad = message(connectTlv(0))
  for (let i = 0; i < 2; i++) expect(await client(bad).hearsAll()).toMatch(/^010822631e070100/)
  expect(await client(bad).fails()).toBe('ECONNRESET')
  expect(converter.stats()).toMatchObject({
    refused: { 'malformed-message': 2 },
    clientErrors: { 'errors-limited': 1 },
  })
  now += 1_000
  expect(await client(bad).hearsAll()).toMatch(/^010822631e070100/)
})

test('one client at its limit costs another nothing', async () => {
  const { port } = await echo()
  const { client, converter } = await rig({ maxPerClient: 2, maxPendingPerClient: 1 })
  client(hex('01'), '127.0.0.2')
  await until(() => converter.stats().pending === 1)
  expect(await client(message(connectTlv(port)), '127.0.0.2').hearsAll()).toBe('010222631e014001')
  expect(await client(message(connectTlv(port)), '127.0.0.3').hears(4)).toBe('01012263')
})

test('a connection that is over makes room for another', async () => {
  const { port } = await echo()
  const { client, converter } = await rig({ maxPerClient: 1 })
  for (let i = 0; i < 5; i++) {
    const { socket, ...speaker } = client(message(connectTlv(port)))
    await until(() => converter.stats().established === i + 1)
    expect(speaker.error).toBeUndefined()
    socket.end()
    await until(() => converter.stats().connections === 0)
  }
})

const LIMITS = { maxConnections: 3, maxPerClient: 2, maxPendingPerClient: 1, errorsPerSecond: 1 }

const admitted = (clients: Clients, client: string): Admission => {
  const admission = clients.admit(client)
  if (typeof admission === 'string') throw new Error(admission)
  return admission
}

test('admission is counted', () => {
  const clients = new Clients(LIMITS)
  const first = admitted(clients, 'a')
  expect(clients.admit('a')).toBe('pending requests of this client')
  first.settle()
  const second = admitted(clients, 'a')
  second.settle()
  expect(clients.admit('a')).toBe('connections of this client')
  admitted(clients, 'b')
  expect(clients.admit('c')).toBe('connections')
  first.close()
  admitted(clients, 'c')
})

test('each connection is counted out once, whatever is called how often', () => {
  const clients = new Clients(LIMITS)
  const [first, second] = [admitted(clients, 'a'), admitted(clients, 'b')]
  first.close()
  first.settle()
  first.close()
  expect(clients.connections).toBe(1)
  const again = admitted(clients, 'a')
  expect(clients.admit('a')).toBe('pending requests of this client')
  again.close()
  second.settle()
  second.settle()
  second.close()
  expect([clients.connections, clients.size]).toEqual([0, 0])
})

test('clients without connections are forgotten', () => {
  const clients = new Clients(LIMITS)
  for (let i = 0; i < 100; i++) expect(clients.mayAnswerError(`client ${i}`, 5_000)).toBe(true)
  expect(clients.mayAnswerError('client 0', 5_999)).toBe(false)
  const holder = admitted(clients, 'holder')
  clients.sweep(5_999)
  expect(clients.size).toBe(101)
  clients.sweep(6_000)
  expect(clients.size).toBe(1)
  holder.close()
  expect(clients.size).toBe(0)
})

test('of a client with 60 endless streams, another client’s single one takes more than its share', async () => {
  const { port } = await serve(socket => {
    const more = () => {
      while (!socket.destroyed && socket.write(PIECE));
    }
    socket.on('drain', more).on('error', () => {})
    more()
  })
  const { client } = await rig()
  const streams = Array.from({ length: 60 }, () => client(message(connectTlv(port))))
  streams.push(client(message(connectTlv(port)), '127.0.0.2'))
  const received = streams.map(({ socket }, number) => {
    socket.removeAllListeners('data').on('data', chunk => (received[number]! += chunk.length))
    return 0
  })
  await until(() => received.every(bytes => bytes > 1e6))
  const before = [...received]
  await until(() => received.at(-1)! - before.at(-1)! > 1e7)
  const share = received.map((bytes, number) => bytes - before[number]!)
  const median = share.slice(0, -1).sort((a, b) => a - b)[30]!
  expect(share.at(-1)! / median).toBeGreaterThan(1.5)
}, 60_000)

const PIECE = Buffer.alloc(65_536)
