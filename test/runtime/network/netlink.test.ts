import { spawnSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import { native } from '../../../lib/runtime/kernel/native.js'
import { NETLINK_ROUTE, NetlinkClient, openNetlink } from '../../../lib/runtime/network/netlink.js'
import {
  decodeMessages,
  encodeMessage,
  type NetlinkMessage,
  NLM_F_DUMP,
  NLM_F_REQUEST,
} from '../../../lib/wire/netlink/message.js'
import { DUMPS, decodeRtnetlink } from '../../../lib/wire/netlink/route.js'
import { compiledUrl } from '../../support/compiled.js'
import { pause } from '../../support/native-addon.js'
import { acknowledge, done, fakeKernel, part } from '../../support/netlink-kernel.js'
import { addon } from '../../support/probes.js'
import { requires } from '../../support/requires.js'
import { uncaughtIn } from '../../support/uncaught.js'

const PAYLOAD = Uint8Array.of(1, 2, 3, 4)

function clientOf(answer: (request: NetlinkMessage) => Uint8Array[], timeout = 2000) {
  const kernel = fakeKernel(answer)
  return { kernel, client: new NetlinkClient(0, { open: kernel.open, timeout }) }
}

const payloads = (messages: NetlinkMessage[]) => messages.map(({ payload }) => [...payload])

describe('a request', () => {
  test('resolves with what came before the acknowledgement', async () => {
    const { client, kernel } = clientOf(request => [part(request, Uint8Array.of(7)), acknowledge(request)])
    expect(payloads(await client.request(99, PAYLOAD, 'ask'))).toEqual([[7]])
    expect(kernel.requests).toMatchObject([{ type: 99, flags: 0x5, sequence: 1, port: 0, payload: PAYLOAD }])
  })

  test.each([
    ['EPERM', 1, undefined, 'ask EPERM'],
    ['ENOENT', 2, undefined, 'ask ENOENT'],
    ['EINVAL', 22, 'invalid token', 'ask EINVAL: invalid token'],
    ['ESRCH', 3, 'subflow not found', 'ask ESRCH: subflow not found'],
    ['ENOTSUP', 95, undefined, 'ask ENOTSUP'], // EOPNOTSUPP, as Node calls it
  ])('refused with %s', async (code, errno, words, message) => {
    const { client } = clientOf(request => [acknowledge(request, errno, words)])
    const error = await client.request(99, PAYLOAD, 'ask').catch(error => error)
    expect(error).toMatchObject({ code, errno: -errno, syscall: 'ask', message })
    expect(error.kernelMessage).toBe(words)
  })

  test('answered later, in two datagrams, among others', async () => {
    const { client, kernel } = clientOf(() => [])
    const answered = client.request(99, PAYLOAD, 'ask')
    const [request] = kernel.requests
    const { receiver } = kernel.connections[0]!
    receiver.message(part({ ...request!, sequence: 77 }, PAYLOAD))
    receiver.message(part(request!, Uint8Array.of(7)))
    await pause(1)
    receiver.message(acknowledge(request!))
    expect(payloads(await answered)).toEqual([[7]])
  })

  test('not answered: ETIMEDOUT, and a late answer does no harm', async () => {
    const { client, kernel } = clientOf(() => [], 5)
    await expect(client.request(99, PAYLOAD, 'ask')).rejects.toMatchObject({ code: 'ETIMEDOUT', syscall: 'ask' })
    kernel.connections[0]!.receiver.message(acknowledge(kernel.requests[0]!))
  })

  test('that cannot be sent', async () => {
    const client = new NetlinkClient(0, {
      open: () => ({
        send() {
          throw Object.assign(new Error('sendto ENOBUFS'), { code: 'ENOBUFS' })
        },
        close() {},
      }),
    })
    await expect(client.request(99, PAYLOAD, 'ask')).rejects.toMatchObject({ code: 'ENOBUFS' })
  })

  test('whose answer was lost in an overrun: ENOBUFS; the next one works', async () => {
    const { client, kernel } = clientOf(request => (request.sequence === 1 ? [] : [acknowledge(request)]))
    const lost = client.request(99, PAYLOAD, 'ask')
    kernel.connections[0]!.receiver.overrun()
    await expect(lost).rejects.toMatchObject({ code: 'ENOBUFS', syscall: 'ask' })
    expect(await client.request(99, PAYLOAD, 'ask')).toEqual([])
  })

  test.each([
    ['garbage', (request: NetlinkMessage) => part(request, PAYLOAD).subarray(0, 17), 'EPROTO'],
    ['an acknowledgement that is cut off', (request: NetlinkMessage) => part(request, Uint8Array.of(1), 2), 'EPROTO'],
  ])('answered with %s', async (_name, answer, code) => {
    const { client } = clientOf(request => [answer(request)])
    await expect(client.request(99, PAYLOAD, 'ask')).rejects.toMatchObject({ code })
  })

  test('when the connection fails, or is closed', async () => {
    const { client, kernel } = clientOf(() => [])
    const first = client.request(99, PAYLOAD, 'ask')
    kernel.connections[0]!.receiver.failed(new Error('gone'))
    await expect(first).rejects.toThrow('gone')
    const second = client.request(99, PAYLOAD, 'ask')
    client.close()
    await expect(second).rejects.toMatchObject({ code: 'ECANCELED' })
    expect(kernel.connections[0]!.open).toBe(false)
  })
})

describe('a dump', () => {
  test('in several datagrams', async () => {
    const { client, kernel } = clientOf(request => [
      Buffer.concat([part(request, Uint8Array.of(1, 0, 0, 0)), part(request, Uint8Array.of(2, 0, 0, 0))]),
      part(request, Uint8Array.of(3)),
      done(request),
    ])
    expect(payloads(await client.dump(99, PAYLOAD, 'list'))).toEqual([[1, 0, 0, 0], [2, 0, 0, 0], [3]])
    expect(kernel.requests[0]!.flags).toBe(0x301)
  })

  test('that fails at its end', async () => {
    const { client } = clientOf(request => [part(request, PAYLOAD), done(request, 22)])
    await expect(client.dump(99, PAYLOAD, 'list')).rejects.toMatchObject({ code: 'EINVAL', syscall: 'list' })
  })

  test('that is interrupted is started again', async () => {
    const { client, kernel } = clientOf(request => [
      part(request, Uint8Array.of(request.sequence), 99, request.sequence < 3 ? 0x10 : 0),
      done(request),
    ])
    expect(payloads(await client.dump(99, PAYLOAD, 'list'))).toEqual([[3]])
    expect(kernel.requests).toHaveLength(3)
  })

  test('that is always interrupted: EINTR', async () => {
    const { client, kernel } = clientOf(request => [done(request, 0, 0x12)])
    await expect(client.dump(99, PAYLOAD, 'list')).rejects.toMatchObject({ code: 'EINTR' })
    expect(kernel.requests).toHaveLength(10)
  })

  test('that has lost parts of itself is started again', async () => {
    let requests = 0
    const { client, kernel } = clientOf(request => {
      if (++requests > 1) return [part(request, PAYLOAD), done(request)]
      queueMicrotask(() => kernel.connections[0]!.receiver.overrun())
      return []
    })
    expect(payloads(await client.dump(99, PAYLOAD, 'list'))).toEqual([[...PAYLOAD]])
    expect(requests).toBe(2)
  })

  test('waits for the one before, also when that fails', async () => {
    const { client, kernel } = clientOf(() => [])
    const { receiver } = kernel.connections[0]!
    const first = client.dump(1, PAYLOAD, 'first').catch(error => error.code)
    const second = client.dump(2, PAYLOAD, 'second')
    await pause(1)
    expect(kernel.requests.map(({ type }) => type)).toEqual([1])
    receiver.message(done(kernel.requests[0]!, 1))
    expect(await first).toBe('EPERM')
    await pause(1)
    receiver.message(done(kernel.requests[1]!))
    expect(await second).toEqual([])
  })
})

requires('the addon', addon).describe('this kernel', () => {
  test('gives its links to any process, and a reason for unknown requests', async () => {
    const before = native().counts()
    const client = new NetlinkClient(NETLINK_ROUTE)
    const links = (await client.dump(DUMPS[0]!.type, DUMPS[0]!.payload, 'rtnetlink dump')).map(decodeRtnetlink)
    expect(links).toContainEqual(expect.objectContaining({ link: expect.objectContaining({ name: 'lo' }) }))
    // A question, so that anyone may ask it (RTNL_KIND_GET: the third of each four), and unknown: no four begin with 96.
    await expect(client.request(98, new Uint8Array(4), 'ask')).rejects.toMatchObject({ errno: -95 })
    await Promise.all(DUMPS.map(({ type, payload }) => client.dump(type, payload, 'rtnetlink dump')))
    client.close()
    client.close()
    await expect(client.request(99, PAYLOAD, 'ask')).rejects.toMatchObject({ code: 'EBADF' })
    expect(native().counts()).toEqual(before)
  })

  test('a socket as it comes from the addon', () => {
    const addon = native()
    const fd = addon.netlinkSocket(NETLINK_ROUTE, 0)
    try {
      expect(addon.receiveNetlink(fd)).toBeUndefined()
      const { type, payload } = DUMPS[0]!
      const request = Buffer.concat([
        new Uint8Array(Uint32Array.of(16 + payload.length).buffer),
        Buffer.alloc(12),
        payload,
      ])
      request.writeUInt16LE(type, 4)
      request.writeUInt16LE(0x301, 6)
      addon.sendNetlink(fd, request)
      expect(decodeMessages(addon.receiveNetlink(fd)!)[0]!.type).toBe(16)
    } finally {
      addon.close(fd)
    }
    expect(() => addon.receiveNetlink(fd)).toThrow(expect.objectContaining({ code: 'EBADF', syscall: 'recvfrom' }))
    expect(() => addon.sendNetlink(fd, PAYLOAD)).toThrow(expect.objectContaining({ code: 'EBADF', syscall: 'sendto' }))
    expect(() => addon.netlinkSocket(31, 0)).toThrow(expect.objectContaining({ code: 'EPROTONOSUPPORT' }))
  })

  test('what a receiver throws is its own: the socket is read to its end, and later messages arrive too', async () => {
    const received: number[] = []
    const failed: unknown[] = []
    const connection = openNetlink(NETLINK_ROUTE, {
      message(bytes) {
        received.push(bytes.length)
        throw new Error('thrown by the receiver')
      },
      overrun() {},
      failed: error => failed.push(error),
    })
    const { type, payload } = DUMPS[0]!
    const request = encodeMessage({ type, flags: NLM_F_REQUEST | NLM_F_DUMP, sequence: 1 }, payload)
    let first = 0
    const thrown = await uncaughtIn(async () => {
      connection.send(request)
      first = received.length
      connection.send(request)
      await pause(10)
    })
    connection.close()
    expect([first, received.length].map(end => received[end - 1])).toEqual([20, 20]) // NLMSG_DONE
    expect(first).toBeGreaterThan(1)
    expect(received.length).toBeGreaterThan(first)
    expect(failed).toEqual([])
    expect(thrown).toHaveLength(received.length)
  })

  test('closed, sends nothing: its descriptor number may be that of another socket', () => {
    const heard: Uint8Array[] = []
    const receiver = { message() {}, overrun() {}, failed() {} }
    const closed = openNetlink(NETLINK_ROUTE, receiver)
    closed.close()
    const other = openNetlink(NETLINK_ROUTE, { ...receiver, message: bytes => void heard.push(bytes) })
    try {
      const { type, payload } = DUMPS[0]!
      const request = encodeMessage({ type, flags: NLM_F_REQUEST | NLM_F_DUMP, sequence: 1 }, payload)
      expect(() => closed.send(request)).toThrow(expect.objectContaining({ code: 'EBADF', syscall: 'sendto' }))
      other.send(encodeMessage({ type: 98, flags: NLM_F_REQUEST, sequence: 7 }, new Uint8Array(4)))
      expect(heard.flatMap(decodeMessages).map(({ sequence }) => sequence)).toEqual([7])
    } finally {
      other.close()
    }
  })

  test('a group that does not exist leaves nothing open', () => {
    const before = native().counts()
    const receiver = { message() {}, overrun() {}, failed() {} }
    expect(() => openNetlink(NETLINK_ROUTE, receiver, { number: 9999 })).toThrow(
      expect.objectContaining({ syscall: 'setsockopt' }),
    )
    expect(native().counts()).toEqual(before)
  })

  test('a program ends with everything open', () => {
    const at = (name: string) => compiledUrl(`lib/runtime/network/${name}.ts`)
    const program = `
      import { openLinkMonitor } from '${at('link-monitor')}'
      import { openPathManager } from '${at('path-manager')}'
      const monitor = await openLinkMonitor()
      await openPathManager().catch(() => {})
      monitor.watch(5)
      console.log(monitor.state.links.size > 0)`
    const { stdout, stderr, status } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
      encoding: 'utf8',
      timeout: 20_000,
    })
    expect({ stdout, stderr, status }).toEqual({ stdout: 'true\n', stderr: '', status: 0 })
  }, 20_000)
})
