/** The client of the steering helper, which is a table of answers here. */
import { beforeEach, expect, test, vi } from 'vitest'
import { systemError } from '../../../lib/errors.js'
import { openSteeringHelper } from '../../../lib/runtime/network/steering-helper.js'
import { hex } from '../../support/hex.js'

const REQUEST = 64
const EBADF = 9
const ETOOMANYREFS = 109

const kernel = vi.hoisted(() => ({
  wake: () => {},
  /** Each datagram that was sent: the number of its requests, and the descriptors. */
  sent: [] as { requests: number; passed: number[] }[],
  inbox: [] as Uint8Array[],
  answer: (_: Uint8Array): Uint8Array | undefined => undefined,
  refuse: (_: readonly number[]): number => 0,
}))
vi.mock('../../../lib/runtime/kernel/reactor.js', () => ({
  reactor: () => ({
    hold() {},
    letGo() {},
    watchEdges: (_: number, __: number, wake: () => void) => {
      kernel.wake = wake
      return { cancel() {} }
    },
  }),
}))
vi.mock('../../../lib/runtime/kernel/native.js', () => ({
  native: () => ({
    packetSocket: () => 3,
    connectToPath() {},
    close() {},
    getsockopt: () => Buffer.alloc(8),
    receiveDatagram: () => kernel.inbox.shift(),
    sendDatagram: (_: number, bytes: Uint8Array, fds: Int32Array) => {
      const passed = [...fds]
      const errno = kernel.refuse(passed)
      if (errno !== 0) throw systemError(errno, 'sendmsg')
      kernel.sent.push({ requests: bytes.length / REQUEST, passed })
      for (let at = 0; at < bytes.length; at += REQUEST) {
        const answer = kernel.answer(bytes.subarray(at, at + REQUEST))
        if (answer) kernel.inbox.push(answer)
      }
      if (kernel.inbox.length > 0) setImmediate(() => kernel.wake())
      return true
    },
  }),
}))

/** Done; to `hello` with a cookie, which is 0 here. */
function done(request: Uint8Array): Uint8Array {
  const reply = Buffer.alloc(28)
  reply.set(request.subarray(0, 4))
  reply.set(hex('01000000'), 4)
  reply.set(request.subarray(4, 8), 8)
  reply.writeUInt32LE(8, 16)
  return reply
}

/** @param words its code and its sentence */
function refusal(request: Uint8Array, words: string): Uint8Array {
  const head = Buffer.alloc(20)
  head.set(request.subarray(0, 4))
  head.writeUInt32LE(2, 4)
  head.set(request.subarray(4, 8), 8)
  head.writeUInt32LE(words.length, 16)
  return Buffer.concat([head, Buffer.from(words)])
}

beforeEach(() => {
  Object.assign(kernel, { sent: [], inbox: [], answer: done, refuse: () => 0 })
})

async function opened(sockets: number) {
  const helper = await openSteeringHelper('/run/test.sock', { timeout: 1_000 })
  for (let fd = 10; fd < 10 + sockets; fd++) helper.watch(fd, fd)
  await vi.waitFor(() => expect(kernel.inbox).toEqual([]))
  kernel.sent.length = 0
  const withdraw = (token: number) =>
    helper.removeAnnounced({ token, localId: 1 }).then(
      () => 'done',
      (error: NodeJS.ErrnoException) => error.code,
    )
  return { helper, withdraw }
}

test('what is requested in one turn leaves together, sixteen to a datagram, each with its socket', async () => {
  const { helper, withdraw } = await opened(40)
  const outcomes = await Promise.all(Array.from({ length: 40 }, (_, i) => withdraw(10 + i)))
  expect(new Set(outcomes)).toEqual(new Set(['done']))
  expect(kernel.sent.map(({ requests, passed }) => [requests, passed.length])).toEqual([
    [16, 16],
    [16, 16],
    [8, 8],
  ])
  expect(kernel.sent.flatMap(({ passed }) => passed)).toEqual(Array.from({ length: 40 }, (_, i) => 10 + i))
  helper.close()
})

test('a socket that was closed meanwhile: only its own request fails, as that of a connection that has ended', async () => {
  const { helper, withdraw } = await opened(20)
  kernel.refuse = passed => (passed.includes(13) ? EBADF : 0)
  const outcomes = await Promise.all(Array.from({ length: 20 }, (_, i) => withdraw(10 + i)))
  expect(outcomes.flatMap((outcome, i) => (outcome === 'done' ? [] : [[10 + i, outcome]]))).toEqual([[13, 'ESRCH']])
  helper.close()
})

test.each(['token', 'not-mptcp', 'not-connected', 'no-socket'])(
  'the helper finds another socket (%s): the connection has ended, nothing is refused',
  async code => {
    const { helper, withdraw } = await opened(1)
    const refused = vi.fn()
    helper.on('refused', refused)
    kernel.answer = request => refusal(request, `${code}: it is another one`)
    expect(await withdraw(10)).toBe('ESRCH')
    expect(refused).not.toHaveBeenCalled()
    helper.close()
  },
)

test('what the administrator does not allow is a refusal: it is reported', async () => {
  const { helper, withdraw } = await opened(1)
  const refused = vi.fn()
  helper.on('refused', refused)
  kernel.answer = request => refusal(request, 'interface: not this one')
  expect(await withdraw(10)).toBe('ERR_ATSSS_HELPER')
  expect(refused).toHaveBeenCalledOnce()
  helper.close()
})

test('too many descriptors on their way: the rest follows when the helper has taken them', async () => {
  const { helper, withdraw } = await opened(32)
  let taken = 0
  kernel.refuse = passed => {
    if (taken >= 16) return ETOOMANYREFS
    taken += passed.length
    return 0
  }
  const outcomes = Promise.all(Array.from({ length: 32 }, (_, i) => withdraw(10 + i)))
  await Promise.resolve()
  await Promise.resolve()
  taken = 0
  expect(new Set(await outcomes)).toEqual(new Set(['done']))
  helper.close()
})

test('a helper of another version: ERR_ATSSS_HELPER, which says so', async () => {
  kernel.answer = () => Buffer.concat([hex('01535441 02000000 01000000 01000000'), Buffer.from('version: it is old')])
  await expect(openSteeringHelper('/run/test.sock')).rejects.toMatchObject({
    code: 'ERR_ATSSS_HELPER',
    message: expect.stringMatching(/\/run\/test\.sock .*version 1 .*this program version 2.*atsss helper install/),
  })
})
