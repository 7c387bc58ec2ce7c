import { fork } from 'node:child_process'
import { once } from 'node:events'
import { expect, test } from 'vitest'
import type { Heard } from '../support/cluster.js'
import { compiled } from '../support/compiled.js'
import { mptcp } from '../support/probes.js'
import { requires } from '../support/requires.js'

const mptcpTest = requires('MPTCP', mptcp)

/** What the workers of a cluster have to tell, each having listened and connected. */
async function cluster(...args: string[]): Promise<Heard[]> {
  const child = fork(compiled('test/support/cluster.ts'), args)
  const ended = once(child, 'exit')
  const [accounts] = await Promise.race([once(child, 'message'), ended.then(([code]) => [`ended with ${code}`])])
  expect((await ended)[0]).toBe(0)
  return accounts as Heard[]
}

const overMptcp = { server: { protocol: 'mptcp' }, accepted: { protocol: 'mptcp' }, connected: { protocol: 'mptcp' } }
const overTcp = {
  server: { protocol: 'tcp', fallback: expect.stringContaining('primary process') },
  accepted: { protocol: 'tcp', fallback: expect.stringContaining('primary process') },
  connected: { protocol: 'tcp' },
}

mptcpTest.describe('in the workers of a cluster', () => {
  for (const [way, heard] of [
    ['port', overTcp],
    ['shared', { ...overTcp, server: { protocol: 'tcp' }, accepted: { protocol: 'tcp' } }],
    ['reusePort', overMptcp],
    ['exclusive', overMptcp],
    ['sent', overMptcp],
  ] as const)
    test(`connect(), and a listener by ${way}`, async () => {
      const accounts = await cluster(way)
      for (const account of accounts) expect(account).toMatchObject({ ...heard, echoed: 'own' })
      expect(accounts[0]!.port === accounts[1]!.port).toBe(way !== 'exclusive')
    }, 30_000)

  test("'require', where the primary process listens with TCP: an error", async () => {
    for (const { error } of await cluster('port', 'require'))
      expect(error).toMatchObject({ code: 'ERR_MPTCP_UNSUPPORTED', message: expect.stringContaining('reusePort') })
  }, 30_000)
})
