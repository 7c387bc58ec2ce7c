/** Listening on the interfaces of the accesses: what could not be listened on is tried again. */
import { afterEach, expect, vi } from 'vitest'
import { AccessListener } from '../../../lib/runtime/incoming/access-listener.js'
import { native } from '../../../lib/runtime/kernel/native.js'
import { mptcp } from '../../support/probes.js'
import { requires } from '../../support/requires.js'

afterEach(() => {
  vi.restoreAllMocks()
})

const state = { links: new Map([[1, { index: 1, name: 'lo' }]]), defaultRoutes: [] } as never

requires('MPTCP', mptcp)('an IP version that could not be listened on is tried again, and reported once', async () => {
  const failed = vi.fn()
  const accesses = { '3gpp': { interface: 'nowhere0' }, 'non-3gpp': { interface: 'lo' } }
  const listener = new AccessListener({ accesses, backlog: 5, fastOpen: true, accept: () => {}, failed })
  listener.open(0, state)
  const { port } = listener
  // The interface goes and comes back; meanwhile another program has taken the port for IPv6.
  listener.follow({ links: new Map(), defaultRoutes: [] } as never)
  const other = native().socket(6, 6)
  native().bind(other, '::1', port)
  native().listen(other, 1)
  const { descriptors } = native().counts()
  listener.follow(state)
  listener.follow(state)
  expect(failed.mock.calls).toEqual([[expect.objectContaining({ code: 'EADDRINUSE' })]])
  expect(native().counts().descriptors).toBe(descriptors + 1) // IPv4
  native().close(other)
  await expect.poll(() => native().counts().descriptors, { timeout: 5_000 }).toBe(descriptors + 1) // both, without the other's
  listener.close()
  expect(native().counts().descriptors).toBe(descriptors - 1)
})
