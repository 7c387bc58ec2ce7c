import net from 'node:net'
import { afterAll, expect } from 'vitest'
import { preload } from '../../lib/preload/preload.js'
import { MptcpSocket } from '../../lib/socket/socket.js'
import { server } from '../support/echo-server.js'
import { leavesNothingOpen } from '../support/open-things.js'
import { mptcp } from '../support/probes.js'
import { requires } from '../support/requires.js'
import { type Connect, ours } from '../support/same-as-net.js'
import { cases, type Kit } from './net-cases.js'

const mptcpTest = requires('MPTCP', mptcp)

leavesNothingOpen()

const theirs: Kit = { connect: net.connect as Connect, create: options => new net.Socket(options) }
const mine: Kit = { connect: ours, create: options => new MptcpSocket(options) }

let passed = 0
afterAll(() =>
  console.log(`conformance with net.Socket on Node ${process.version}: ${passed} of ${cases.length * 2} cases`),
)

// The peer speaks MPTCP, or does not, and the connection falls back.
for (const protocol of ['mptcp', 'tcp'] as const)
  mptcpTest.describe(`as net.Socket, the peer speaking ${protocol}`, () => {
    for (const [name, run, peer] of cases)
      mptcpTest(name, async () => {
        await using served = peer && (await server(peer, { protocol }))
        const port = served?.port ?? 0
        const expected = await run(theirs, port)
        expect(await run(mine, port)).toEqual(expected)
        const release = preload({}, { includeLocal: true })
        try {
          expect(await run(theirs, port), 'under the preload').toEqual(expected)
        } finally {
          release()
        }
        passed++
      })
  })
