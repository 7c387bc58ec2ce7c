import { expect } from 'vitest'
import { runClient } from '../support/client-script.js'
import { compiledUrl } from '../support/compiled.js'
import { mptcp } from '../support/probes.js'
import { requires } from '../support/requires.js'

const mptcpTest = requires('MPTCP', mptcp)

interface Measured {
  sockets: number
  handles: number
  counts: { descriptors: number; waits: number }
  heap: number
}

/**
 * Connections one after the other, some at once, to a server of the same process, by connect() and by net.connect under the
 * preload; in the middle and at the end, what is held.
 */
const SCRIPT = `
import { createServer } from ${JSON.stringify(compiledUrl('lib/socket/server.ts'))}
import { preload } from ${JSON.stringify(compiledUrl('lib/preload/index.ts'))}
import { native } from ${JSON.stringify(compiledUrl('lib/runtime/kernel/native.ts'))}
import net from 'node:net'
import { readdirSync } from 'node:fs'
import { once } from 'node:events'
const server = createServer(socket => socket.on('error', () => {}).pipe(socket)).listen(0, '127.0.0.1')
await once(server, 'listening')
const { port } = server.address()
preload({}, { includeLocal: true })
const ways = [connect, net.connect]
const ends = [
  socket => socket.resume().end('x'),
  socket => socket.destroy(),
  socket => socket.resetAndDestroy(),
  socket => socket.once('data', () => socket.destroy()).write('x'),
]
async function cycle(index) {
  const socket = ways[(index >> 2) % 2](port, '127.0.0.1').on('error', () => {})
  if (index % 10 === 0) socket.destroy() // while it connects
  else socket.on('connect', () => ends[index % 4](socket))
  await new Promise(resolve => socket.once('close', resolve))
}
async function cycles(count) {
  let next = 0
  await Promise.all(Array.from({ length: 20 }, async () => { while (next < count) await cycle(next++) }))
}
async function measured() {
  for (let i = 0; i < 5; i++) { await new Promise(resolve => setTimeout(resolve, 200)); gc() }
  return {
    sockets: readdirSync('/proc/self/fd').length,
    handles: process.getActiveResourcesInfo().filter(name => name.startsWith('TCP')).length,
    counts: native().counts(),
    heap: process.memoryUsage().heapUsed,
  }
}
await cycles(2_000)
const before = await measured()
await cycles(10_000)
console.log(JSON.stringify([before, await measured()]))
process.exit()
`

mptcpTest(
  '10,000 connections leave no descriptors, handles or memory behind',
  async () => {
    const { out, err, code } = await runClient(SCRIPT, { flags: ['--expose-gc'], timeout: 110_000 })
    expect(err).toBe('')
    expect(code).toBe(0)
    const [before, after] = JSON.parse(out) as [Measured, Measured]
    expect(after).toMatchObject({ sockets: before.sockets, handles: before.handles, counts: before.counts })
    // Of 10,000 sockets one that is kept costs a kilobyte at least: 100 of them would show.
    expect(after.heap - before.heap).toBeLessThan(1_000_000)
  },
  120_000,
)
