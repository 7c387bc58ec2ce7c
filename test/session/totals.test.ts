/** What `session.stats()` gives: the documented fields and no others; and what it counts over a session's life. */
import { once } from 'node:events'
import { createServer } from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { MaPduSession } from '../../lib/session/session.js'
import { Totals } from '../../lib/session/totals.js'

const open: { close(): unknown }[] = []
afterEach(() => {
  for (const one of open.splice(0)) one.close()
})

const TRAFFIC = 'bytesSent bytesRetransmitted bytesReceived sendRate receiveRate sendShare receiveShare'.split(' ')

test('accesses have the documented fields, also after the steering loop has reported its own state', async () => {
  const session = new MaPduSession({ accesses: { '3gpp': 'none0', 'non-3gpp': 'lo' }, controller: 'inline' })
  open.push(session)
  await session.ready.catch(() => {})
  await expect.poll(() => session.stats().accesses['non-3gpp'].why).not.toBe('not looked at yet')
  const stats = session.stats()
  for (const access of ['3gpp', 'non-3gpp'] as const)
    expect(Object.keys(stats.accesses[access]).sort()).toEqual(
      [
        ...['interface', 'available', 'suspected', 'why', 'bytesPerSecond'],
        ...['rttMs', 'receiveRttMs', 'lossPermille', 'receiveLossPermille'],
        ...TRAFFIC,
      ].sort(),
    )
  expect(Object.keys(stats).sort()).toEqual(
    ['level', 'accesses', 'rules', 'connections', 'handovers', 'lastHandover', 'fallbacks', 'totals'].sort(),
  )
})

test('connections count by their outcome', async () => {
  const server = createServer(socket => socket.end()).listen(0, '127.0.0.1')
  open.push(server)
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  const session = new MaPduSession({ accesses: { '3gpp': 'none0', 'non-3gpp': 'lo' }, controller: 'inline' })
  open.push(session)
  const socket = session.connect(port, '127.0.0.1')
  await once(socket, 'connect')
  socket.destroy()
  server.close()
  await once(server, 'close')
  await expect(once(session.connect(port, '127.0.0.1'), 'connect')).rejects.toThrow('ECONNREFUSED')
  session.connect(port, '127.0.0.1').destroy()
  const { connected, failed } = session.stats().totals
  expect(connected.mptcp + connected.tcp).toBe(1)
  expect(failed).toEqual({ ECONNREFUSED: 1, closed: 1 })
})

test('gaps are in cumulative buckets; what interrupted nothing is a handover without a gap', () => {
  const totals = new Totals()
  const gap = (gapMs: number | undefined) => totals.handedOver({ from: 'non-3gpp', to: '3gpp', gapMs })
  for (const ms of [5, 45, 50, 139, 60_000, undefined]) gap(ms)
  const { handovers, handoverGaps } = totals.read()
  expect(handovers).toEqual({ '3gpp': 6, 'non-3gpp': 0 })
  expect(handoverGaps).toMatchObject({ count: 5, sumMs: 60_239 })
  const counts = Object.fromEntries(handoverGaps.buckets.map(({ atMostMs, count }) => [atMostMs, count]))
  expect(counts).toMatchObject({ 10: 1, 25: 1, 50: 3, 100: 3, 150: 4, 10000: 4 })
})

test('an application may destroy sockets with any error: only so many codes are told apart', () => {
  const totals = new Totals()
  totals.failed(Object.assign(new Error(), { code: '__proto__' }))
  for (let i = 0; i < 200; i++) totals.failed(Object.assign(new Error(), { code: `E${i}` }))
  const { failed } = totals.read()
  expect(Object.keys(failed)).toHaveLength(51)
  expect(failed).toMatchObject({ E0: 1, other: 151 })
  expect(Object.entries(failed)[0]).toEqual(['__proto__', 1])
})
