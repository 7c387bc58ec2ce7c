/** Clients that take and do not give: each costs the converter little, for a limited time, and costs other clients nothing. */
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { closing, connectTlv, echo, message, rig, until } from '../rig.js'

const CLIENTS = 200
/** Ten addresses, so that no limit of one client is met. */
const from = (i: number) => `127.0.0.${10 + (i % 10)}`

test(`${CLIENTS} that say nothing, half a message, or a byte at a time are reset when the time for a message is up`, async () => {
  const { port } = await echo()
  const { client, converter } = await rig({ messageTimeout: 1_000 })
  const request = message(connectTlv(port))
  const hostile = Array.from({ length: CLIENTS }, (_, i) => {
    const one = client(i % 3 === 1 ? request.subarray(0, 7) : undefined, from(i))
    let said = 0
    // Far too slow to come to the end: each byte is a sign of life that must not count.
    const speaking = setInterval(() => i % 3 === 2 && one.socket.write(request.subarray(said, ++said)), 200)
    closing(() => clearInterval(speaking))
    return one
  })
  await until(() => converter.stats().pending === CLIENTS)
  expect(await client(message(connectTlv(port))).hears(4)).toBe('01012263')
  await Promise.all(hostile.map(one => until(() => one.socket.destroyed)))
  expect(converter.stats()).toMatchObject({ pending: 0, clientErrors: { timeout: CLIENTS } })
})

test('one that takes all places of a client, idle, again and again: others are served, its places are free when it goes', async () => {
  const { port } = await echo()
  const { client, converter } = await rig({ maxPerClient: 100, errorsPerSecond: 1_000 })
  const idle = Array.from({ length: 300 }, () => client(message(connectTlv(port)), '127.0.0.2'))
  await until(() => converter.stats().established === 100)
  const refused = () => idle.filter(one => one.hex.startsWith('010222631e01')).length
  await until(() => refused() === 200)
  expect(await client(message(connectTlv(port)), '127.0.0.3').hears(4)).toBe('01012263')
  for (const one of idle) one.socket.destroy()
  await until(() => converter.stats().connections === 1)
})

test('20 that never read from servers that never stop: the servers are stopped, and memory is bounded', async () => {
  const block = Buffer.alloc(65_536)
  const servers: Socket[] = []
  const server = createServer(socket => {
    const write = () => {
      while (socket.write(block));
    }
    socket.on('error', () => {}).on('drain', write)
    servers.push(socket)
    write()
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  closing(() => new Promise(resolve => server.close(resolve)))
  const { port } = server.address() as AddressInfo
  const { client, converter } = await rig()
  const before = held()
  for (let i = 0; i < 20; i++) client(message(connectTlv(port)), from(i)).socket.pause()
  await until(() => servers.length === 20)
  const written = () => servers.reduce((sum, { bytesWritten }) => sum + bytesWritten, 0)
  // What fits into the buffers of the kernel, whose size it chooses.
  for (let last = -1; last !== written(); await sleep(300)) last = written()
  // What was read at once, and what was written but not taken; here of both ends, which are in this process.
  // Garbage is freed by another thread, and a block that was on its way may come late on a busy machine.
  await until(() => held() - before < 20 * 500_000)
  expect(await client(message(connectTlv((await echo()).port))).hears(4)).toBe('01012263')
  expect(converter.stats().established).toBe(21)
})

/** Bytes in buffers, without those that are garbage. */
function held(): number {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
  return process.memoryUsage().arrayBuffers
}
