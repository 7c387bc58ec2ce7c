/** How planned actions are carried out on a kernel that refuses them. */
import { setTimeout as wait } from 'node:timers/promises'
import { expect, test, vi } from 'vitest'
import { applyAction } from '../../../lib/runtime/steering/actions.js'
import type { SteeredConnection } from '../../../lib/runtime/steering/connection.js'
import type { SubflowManager } from '../../../lib/runtime/steering/effects.js'

test('a subflow that has ended by itself, while its address is being withdrawn: no rejection is left unhandled', async () => {
  const unhandled = vi.fn()
  process.on('unhandledRejection', unhandled)
  const gone = Object.assign(new Error('mptcp_pm subflow_destroy ESRCH'), { code: 'ESRCH' })
  const manager = {
    destroySubflow: () => Promise.reject(gone),
    announce: () => wait(20),
    removeAnnounced: () => wait(20),
  } as unknown as SubflowManager
  const end = { address: '10.0.0.1', port: 1 }
  const connection = {
    token: 7,
    wasRefusedLately: () => false,
    name: () => ({ token: 7, local: end, remote: end }),
    destroyed: () => {},
    unsharedId: () => 1,
  } as unknown as SteeredConnection
  const effects = { now: () => 0, random: () => 0, askForAcknowledgement: () => {} }
  const report = vi.fn()
  const action = { do: 'destroy', subflow: 2, why: 'it is lost' } as const
  try {
    await applyAction(connection, action, manager, {} as never, {} as never, effects, report)
    await wait(20)
    expect(unhandled).not.toHaveBeenCalled()
    expect(report).not.toHaveBeenCalled()
  } finally {
    process.off('unhandledRejection', unhandled)
  }
})
