/** When the end of a stream is sent, by what the kernel says of the connection; on a clock moved by hand. */
import type { Socket } from 'node:net'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { SOL_MPTCP, SOL_TCP } from '../../../lib/runtime/kernel/constants.js'
import { whenEndMayBeSent } from '../../../lib/runtime/stream/end-of-sending.js'
import { MPTCP_INFO_FLAG_FALLBACK } from '../../../lib/wire/kernel/mptcp-info.js'

/** What the kernel says. */
const kernel = vi.hoisted(() => ({ mptcp: true, flags: 0, unacked: 0n, bytesRetrans: 0, rttMs: 20, totalRetrans: 0 }))

vi.mock('../../../lib/runtime/kernel/native.js', () => ({
  native: () => ({
    getsockopt: (_: number, level: number) => {
      // struct mptcp_info, struct tcp_info: include/uapi/linux/mptcp.h, tcp.h
      const bytes = Buffer.alloc(level === SOL_MPTCP ? 96 : 280)
      if (level === SOL_MPTCP) {
        if (!kernel.mptcp) throw new Error('getsockopt EOPNOTSUPP')
        bytes.writeUInt32LE(kernel.flags, 8)
        bytes.writeBigUInt64LE(0xfedc_ba98_7654_3210n, 16)
        bytes.writeBigUInt64LE(0xfedc_ba98_7654_3210n - kernel.unacked, 24)
        bytes.writeBigUInt64LE(BigInt(kernel.bytesRetrans), 48)
      } else if (level === SOL_TCP) {
        bytes.writeUInt32LE(kernel.rttMs * 1000, 68)
        bytes.writeUInt32LE(kernel.totalRetrans, 100)
      }
      return bytes
    },
  }),
}))

let socket: { writableLength: number; destroyed: boolean; _handle: { fd: number } | null }
let ends: number

beforeEach(() => {
  vi.useFakeTimers()
  Object.assign(kernel, { mptcp: true, flags: 0, unacked: 1n, bytesRetrans: 0, rttMs: 20, totalRetrans: 0 })
  socket = { writableLength: 0, destroyed: false, _handle: { fd: 7 } }
  ends = 0
})
afterEach(() => {
  expect(vi.getTimerCount()).toBe(0)
  vi.useRealTimers()
})

const end = (isSteered = false) => whenEndMayBeSent(socket as unknown as Socket, () => ends++, isSteered)

test.each<[string, () => void]>([
  ['nothing of it has been sent again', () => {}],
  ['all is acknowledged', () => Object.assign(kernel, { unacked: 0n, totalRetrans: 3 })],
  ['it speaks TCP', () => Object.assign(kernel, { mptcp: false, totalRetrans: 3 })],
  ['it has turned to TCP', () => Object.assign(kernel, { flags: MPTCP_INFO_FLAG_FALLBACK, totalRetrans: 3 })],
  ['its handle has gone', () => Object.assign(socket, { _handle: null })],
])('at once, where %s', (_, arrange) => {
  arrange()
  end()
  expect(ends).toBe(1)
})

test.each<[string, Partial<typeof kernel>]>([
  ['a subflow has sent something again', { totalRetrans: 1 }],
  ['the connection has, on another subflow', { bytesRetrans: 1420 }],
  ['the path is slow', { rttMs: 100 }],
  ['much of it is on its way', { unacked: 65_537n }],
])('once all is acknowledged, where %s', (_, change) => {
  Object.assign(kernel, change)
  end()
  vi.advanceTimersByTime(1_000)
  expect(ends).toBe(0)
  kernel.unacked = 0n
  vi.advanceTimersByTime(5)
  expect(ends).toBe(1)
})

test('once all is acknowledged, where a session may have to move it: after its end it would accept no further subflow', () => {
  end(true)
  vi.advanceTimersByTime(59_000) // without any access
  expect(ends).toBe(0)
  kernel.unacked = 0n
  vi.advanceTimersByTime(5)
  expect(ends).toBe(1)
})

test('not before Node has handed everything to the kernel', () => {
  Object.assign(kernel, { totalRetrans: 1, unacked: 0n })
  socket.writableLength = 1
  end()
  vi.advanceTimersByTime(100)
  expect(ends).toBe(0)
  socket.writableLength = 0
  vi.advanceTimersByTime(5)
  expect(ends).toBe(1)
})

test('of a peer that takes nothing any more: after five seconds all the same', () => {
  kernel.totalRetrans = 1
  end()
  vi.advanceTimersByTime(4_900)
  expect(ends).toBe(0)
  vi.advanceTimersByTime(110)
  expect(ends).toBe(1)
})

test('of a peer that takes it slowly: five seconds after the last acknowledgement', () => {
  Object.assign(kernel, { totalRetrans: 1, unacked: 1_000n })
  end()
  for (let seconds = 0; seconds < 12; seconds += 4) {
    kernel.unacked -= 100n
    vi.advanceTimersByTime(4_000)
    expect(ends).toBe(0)
  }
  kernel.unacked = 0n
  vi.advanceTimersByTime(5)
  expect(ends).toBe(1)
})

test('connected anew meanwhile: the new connection does not end', () => {
  kernel.totalRetrans = 1
  end()
  socket._handle = { fd: 8 }
  kernel.unacked = 0n
  vi.advanceTimersByTime(10_000)
  expect(ends).toBe(0)
})

test('destroyed meanwhile: never', () => {
  kernel.totalRetrans = 1
  end()
  socket.destroyed = true
  vi.advanceTimersByTime(10_000)
  expect(ends).toBe(0)
})
