import { expect, test } from 'vitest'
import { ConnectionsLeft } from '../../../lib/runtime/steering/journal.js'
import type { Command, Report } from '../../../lib/runtime/steering/messages.js'

const add = (token: number): Command => ({
  command: 'add',
  steered: { token, fd: 3, remote: undefined, family: 4, rule: 255 },
})
const remove = (token: number): Command => ({ command: 'remove', token })
const close: Command = { command: 'close' }
const gone = (token: number): Report => ({ event: 'gone', token, why: 'x' })
const fallback = (token: number): Report => ({ event: 'fallback', token })

test.each<[string, (Command | Report)[], boolean]>([
  ['nothing has been said', [], false],
  ['closed without any', [close], true],
  ['one, and not closed', [add(1), remove(1)], false],
  ['closed with one', [add(1), close], false],
  ['which ends', [add(1), close, remove(1)], true],
  ['one of two ends', [add(1), add(2), close, remove(1)], false],
  ['twice', [add(1), add(2), close, remove(1), remove(1)], false],
  ['both', [add(1), add(2), remove(2), close, remove(1)], true],
  ['one that the kernel knows no more', [add(1), gone(1), close], true],
  ['one that is TCP now, which nothing carries but itself', [add(1), fallback(1), close], true],
  ['one that was on its way when the session was closed', [add(1), close, add(2), remove(1)], false],
])('%s', (_, said, isOver) => {
  const left = new ConnectionsLeft()
  for (const each of said)
    if ('command' in each) left.obey(each)
    else left.hear(each)
  expect(left.isOver).toBe(isOver)
  expect(left.isClosed).toBe(said.includes(close))
})
