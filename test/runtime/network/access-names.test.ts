/** Names looked up over the accesses, beside the system's own look-up. */
import dgram from 'node:dgram'
import dns from 'node:dns'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test, vi } from 'vitest'
import { lookUpOver, nameServers } from '../../../lib/runtime/network/access-names.js'
import { sessionLookup } from '../../../lib/session/lookup.js'

afterEach(() => void vi.restoreAllMocks())

test('name servers: those of all links and of the system, each once; not those on this host', () => {
  const folder = mkdtempSync(join(tmpdir(), 'atsss-'))
  const files = ['one', 'two', 'none'].map(name => join(folder, name))
  try {
    writeFileSync(files[0]!, '# links\nnameserver 192.0.2.1\nnameserver fe80::1%wlan0\nsearch example\n')
    writeFileSync(files[1]!, 'nameserver 127.0.0.53\nnameserver 192.0.2.1\nnameserver 2001:db8::1\n nameserver no\n')
    expect(nameServers(files)).toEqual(['192.0.2.1', 'fe80::1%wlan0', '2001:db8::1'])
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('the first server that knows the name; none where none does', async () => {
  const socket = dgram.createSocket('udp4')
  socket.on('message', (query, { port, address }) => {
    const end = query.indexOf(0, 12) + 5
    const isA = query.readUInt16BE(end - 4) === 1 && query.toString('latin1').includes('known')
    const record = isA ? Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4, 192, 0, 2, 9]) : Buffer.alloc(0)
    const header = Buffer.from([...query.subarray(0, 2), 0x81, isA ? 0x80 : 0x83, 0, 1, 0, isA ? 1 : 0, 0, 0, 0, 0])
    socket.send(Buffer.concat([header, query.subarray(12, end), record]), port, address)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const server = [`127.0.0.1:${socket.address().port}`]
  try {
    expect(await lookUpOver('known.test', ['127.0.0.2'], server)).toEqual([{ address: '192.0.2.9', family: 4 }])
    expect(await lookUpOver('other.test', ['127.0.0.2'], server)).toEqual([])
    expect(await lookUpOver('known.test', ['2001:db8::1'], server)).toEqual([])
  } finally {
    socket.close()
  }
})

type Answer = (error: Error | null, found?: unknown, family?: number) => void

/** The system's look-up, as it is answered; and ours. */
function looked(over: Parameters<typeof sessionLookup>[0], options: object = { all: true }) {
  let answer!: Answer
  vi.spyOn(dns, 'lookup').mockImplementation(((_: string, _options: object, done: Answer) => {
    answer = done
  }) as never)
  const answered = vi.fn()
  sessionLookup(over)('name.test', options as never, answered as never)
  return { answer: (...args: Parameters<Answer>) => answer(...args), answered }
}
const settled = () => new Promise(resolve => setTimeout(resolve, 20))
const SIX = { address: '2001:db8::9', family: 6 as const }
const FOUR = { address: '192.0.2.9', family: 4 as const }
const unknown = Object.assign(new Error('getaddrinfo ENOTFOUND name.test'), { code: 'ENOTFOUND' })

test("the system's answer is taken, and nothing else is asked", async () => {
  const over = vi.fn(async () => [FOUR])
  const { answer, answered } = looked(over)
  answer(null, [SIX])
  await settled()
  expect(answered.mock.calls).toEqual([[null, [SIX], undefined]])
  expect(over).not.toHaveBeenCalled()
})

test('the system does not know it: the accesses do, in the form that was asked for', async () => {
  const all = looked(async () => [FOUR, SIX])
  all.answer(unknown)
  await settled()
  expect(all.answered.mock.calls).toEqual([[null, [FOUR, SIX], undefined]])
  const one = looked(async () => [FOUR, SIX], { family: 6 })
  one.answer(unknown)
  await settled()
  expect(one.answered.mock.calls).toEqual([[null, SIX.address, 6]])
})

test.each([
  ['nobody knows it', async () => []],
  ['nobody may be asked', () => undefined],
  ['only in another family', async () => [FOUR]],
])("%s: the system's error", async (_, over) => {
  const { answer, answered } = looked(over, { all: true, family: 6 })
  answer(unknown)
  await settled()
  expect(answered.mock.calls).toEqual([[unknown, '', undefined]])
})

test('the system is late: the accesses answer, and its own answer comes to nothing', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  try {
    const { answer, answered } = looked(async () => [FOUR])
    await vi.advanceTimersByTimeAsync(1_499)
    expect(answered).not.toHaveBeenCalled()
    await vi.advanceTimersByTimeAsync(2)
    await new Promise(resolve => process.nextTick(resolve))
    answer(unknown)
    expect(answered.mock.calls).toEqual([[null, [FOUR], undefined]])
  } finally {
    vi.useRealTimers()
  }
})
