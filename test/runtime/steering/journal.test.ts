import { expect, test } from 'vitest'
import type { Steered } from '../../../lib/runtime/steering/connection.js'
import type { OwnEndpoints } from '../../../lib/runtime/steering/endpoints.js'
import { Journal } from '../../../lib/runtime/steering/journal.js'
import type { Command, Report } from '../../../lib/runtime/steering/messages.js'
import { nothingCarried } from '../../../lib/runtime/steering/subflow-report.js'

const steered = (token: number): Steered => ({ token, fd: 3, remote: undefined, family: 4, rule: 255 })
const add = (token: number): Command => ({ command: 'add', steered: steered(token) })
const remove = (token: number): Command => ({ command: 'remove', token })
const close: Command = { command: 'close' }
const gone = (token: number): Report => ({ event: 'gone', token, why: 'x' })
const fallback = (token: number): Report => ({ event: 'fallback', token })

test.each<[string, (Command | Report)[], boolean]>([
  ['nothing was commanded', [], false],
  ['closed without any', [close], true],
  ['one, and not closed', [add(1), remove(1)], false],
  ['closed with one', [add(1), close], false],
  ['which ends', [add(1), close, remove(1)], true],
  ['one of two ends', [add(1), add(2), close, remove(1)], false],
  ['twice', [add(1), add(2), close, remove(1), remove(1)], false],
  ['both', [add(1), add(2), remove(2), close, remove(1)], true],
  ['one that has ended in the kernel', [add(1), gone(1), close], true],
  ['one that is TCP now, and needs no endpoint', [add(1), fallback(1), close], true],
  ['one that was on its way when the session was closed', [add(1), close, add(2), remove(1)], false],
])('%s', (_, said, isOver) => {
  const journal = new Journal()
  for (const each of said)
    if ('command' in each) journal.obey(each)
    else journal.note(each)
  expect(journal.isOver).toBe(isOver)
  expect(journal.isClosed).toBe(said.includes(close))
})

test('the commands for a loop that takes over contain all commands to its predecessor, and what that has reported', () => {
  const journal = new Journal()
  const steering = { mode: 'smallest-delay' } as const
  const wish = { percent3gpp: 10, why: 'the battery is low' }
  const past = { remote: { address: '192.0.2.1', port: 443 }, localIds: [], subflows: [], ended: nothingCarried() }
  journal.obey(add(1))
  journal.obey(add(2))
  journal.obey(add(3))
  journal.obey({
    command: 'rules',
    rules: [[7, steering]],
    assigned: [
      [2, 7],
      [9, 7],
    ],
  })
  journal.obey({ command: 'assist', wish })
  journal.obey(remove(1))
  journal.note(gone(3))
  journal.note({ event: 'subflows', token: 2, subflows: [], ended: past.ended, past })
  journal.note({ event: 'subflows', token: 9, subflows: [], ended: past.ended, past })
  const commands: Command[] = [
    { command: 'rules', rules: [[7, steering]], assigned: [] },
    { command: 'assist', wish },
    { command: 'add', steered: { ...steered(2), rule: 7, past } },
  ]
  expect(journal.commands).toEqual(commands)
  journal.obey({ command: 'assist', wish: undefined })
  journal.obey(close)
  expect(journal.commands).toEqual([commands[0], commands[2], close])
})

test('the endpoints of the loop', () => {
  const journal = new Journal()
  const own = { endpoints: [['10.1.0.2', { id: 1, backup: false }]], raised: undefined } satisfies OwnEndpoints
  journal.note({ event: 'own-endpoints', own })
  expect(journal.own).toBe(own)
  journal.note({ event: 'own-endpoints', own: undefined })
  expect(journal.own).toBeUndefined()
})
