/** The UDP sockets of a PCP client in the workers of a cluster, whose primary opens what workers do not keep to themselves. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { beforeAll, expect, test } from 'vitest'
import { PCP_CLIENT_PORT } from '../../../lib/wire/pcp/index.js'
import type { Accounts } from '../../support/cluster-pcp.js'
import { compiled } from '../../support/compiled.js'

let accounts: Accounts
beforeAll(async () => {
  const child = fork(compiled('test/support/cluster-pcp.ts'), { timeout: 20_000, killSignal: 'SIGKILL' })
  const ended = once(child, 'exit')
  const [message] = await Promise.race([once(child, 'message'), ended.then(([code]) => [`ended with ${code}`])])
  expect(message).toMatchObject({ workers: [{}, {}] })
  expect((await ended)[0]).toBe(0)
  accounts = message as Accounts
}, 30_000)

test('a worker’s requests leave from the port that it has bound, over the device, and it gets the answers', () => {
  for (const { bound, from, device, answer } of accounts.workers) {
    expect(bound).toBeGreaterThan(0)
    expect({ from, device, answer }).toEqual({ from: bound, device: 'lo', answer: 'answer' })
  }
})

test('each worker has sockets for announcements', () => {
  for (const { open, bound, failures } of accounts.workers) {
    expect(failures).toEqual([])
    expect(new Set(open)).toEqual(new Set([bound, PCP_CLIENT_PORT]))
  }
})

test('the primary opens none', () => {
  expect(accounts.primary).toEqual([])
})

test('close() closes them', () => {
  for (const { closed } of accounts.workers) expect(closed).toEqual([])
})
