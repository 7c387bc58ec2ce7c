/** What the steering loop reports, and listeners of a session that throw: the events that need no kernel here. */
import { expect, test, vi } from 'vitest'
import { MaPduSession } from '../../lib/index.js'
import { NOT_MEASURED } from '../../lib/policy/steering/accesses.js'
import type { Report } from '../../lib/runtime/steering/messages.js'
import { uncaughtIn } from '../support/uncaught.js'

const loop = vi.hoisted(() => ({ report: (_: Report): void => {} }))
vi.mock('../../lib/runtime/steering/host.js', () => ({
  firstLook: async () => [],
  startController: (_: string, __: object, report: (report: Report) => void) => {
    loop.report = report
    return { send() {} }
  },
}))

test('access, action, handover, interface, restored: the session has taken in what is reported, and takes in what comes next', async () => {
  const session = new MaPduSession({ accesses: { '3gpp': ['wwan0', 'usb0'], 'non-3gpp': 'wlan0' } })
  const seen: string[] = []
  session.on('access', ({ access, available }) => {
    seen.push(`${access} ${available}, as stats() says: ${session.stats().accesses[access].available}`)
    throw new Error(`access ${seen.length}`)
  })
  session.on('action', ({ action, error }) => {
    seen.push(`${action.do}: ${error}`)
    throw new Error(`action ${seen.length}`)
  })
  session.on('handover', ({ to, gapMs }) => {
    seen.push(`to ${to} after ${gapMs} ms, as stats() says: ${session.stats().lastHandover?.gapMs}`)
    throw new Error(`handover ${seen.length}`)
  })
  session.on('interface', ({ access, interface: name }) => {
    seen.push(`${access} uses ${name}, as stats() says: ${session.stats().accesses[access].interface}`)
    throw new Error(`interface ${seen.length}`)
  })
  session.on('restored', ({ what }) => {
    seen.push(`${what} restored`)
    throw new Error(`restored ${seen.length}`)
  })
  const action = { do: 'create', access: '3gpp', backup: true, why: 'wanted' } as const
  const uncaught = await uncaughtIn(async () => {
    loop.report({ event: 'ready', level: { level: 'userspace', why: undefined } })
    for (const available of [false, true]) loop.report({ event: 'access', access: '3gpp', available, why: 'the link' })
    for (const error of [undefined, 'EPERM'])
      loop.report({ event: 'action', token: 7, action, ...(error === undefined ? {} : { error }) })
    loop.report({
      event: 'interface',
      access: '3gpp',
      interface: { name: 'usb0', why: 'wwan0 is not there' },
      isMissing: false,
    })
    loop.report({ event: 'handover', token: 7, from: 'non-3gpp', to: '3gpp', gapMs: 45, why: 'wanted' })
    loop.report({ event: 'helper-back' })
    loop.report({ event: 'access', access: 'non-3gpp', available: false, why: 'the link' })
  })
  expect(seen).toEqual([
    '3gpp false, as stats() says: false',
    '3gpp true, as stats() says: true',
    'create: undefined',
    'create: EPERM',
    '3gpp uses usb0, as stats() says: usb0',
    'to 3gpp after 45 ms, as stats() says: 45',
    'helper restored',
    'non-3gpp false, as stats() says: false',
  ])
  expect(uncaught.map(({ origin, message }) => `${origin} ${message}`)).toEqual(
    ['access 1', 'access 2', 'action 3', 'action 4', 'interface 5', 'handover 6', 'restored 7', 'access 8'].map(
      message => `uncaughtException ${message}`,
    ),
  )
  expect(await session.ready).toEqual({ level: 'userspace', why: undefined })
  session.close()
})

test('an access of which no interface is there is reported as such, whatever the words are', async () => {
  const session = new MaPduSession({ accesses: { '3gpp': 'wwan0', 'non-3gpp': 'wlan0' } })
  const degraded: string[] = []
  session.on('degraded', ({ what, message }) => void degraded.push(`${what}: ${message}`))
  const state = { ...NOT_MEASURED, available: false, suspected: false, lostAt: Number.NEGATIVE_INFINITY }
  loop.report({ event: 'interface', access: '3gpp', interface: undefined, isMissing: true })
  loop.report({ event: 'interface', access: 'non-3gpp', interface: undefined, isMissing: false })
  const accesses = {
    '3gpp': { ...state, why: 'wwan0 is nowhere' },
    'non-3gpp': { ...state, why: 'there is no interface like that' },
  }
  loop.report({ event: 'accesses', accesses, newOver3gpp: {} })
  expect(degraded).toEqual([expect.stringMatching(/^access: Access 3gpp: wwan0 is nowhere yet, so it is not used; /)])
  session.close()
})
