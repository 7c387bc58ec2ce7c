/** What this library calls of the application's, found in its sources: nothing unguarded, and nothing without a case in this folder. */
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { eventInterfaces, publicSources, SOCKET_EVENTS } from './events.js'

describe('interfaces that list events', () => {
  /** A case for each of their members: in converter.test.ts and session.test.ts. */
  const PUBLIC = ['ConverterEvents', 'SessionEvents', 'SessionServerEvents']
  /** Their listeners are this library's own. */
  const OWN = [
    ...['AttemptEvents', 'DialEvents', 'ExternalAddressEvents', 'LinkMonitorEvents', 'PathManagerEvents'],
    ...['PcpClientEvents', 'MappingEvents', 'PcpServerEvents', 'IncomingEvents', 'WatchClientEvents'],
  ]

  test('each is either the application’s or ours', () => {
    expect(eventInterfaces()).toEqual([...PUBLIC, ...OWN].sort())
  })

  test('each of the application’s is compared with its cases', () => {
    const tests = readdirSync('test/application').map(name => readFileSync(`test/application/${name}`, 'utf8'))
    for (const name of PUBLIC) expect(tests.some(text => text.includes(`eventsOf('${name}')`))).toBe(true)
  })
})

test('the events that the connecting of a socket emits are known', () => {
  expect([...SOCKET_EVENTS].sort()).toEqual([
    ...['connect', 'connectionAttempt', 'connectionAttemptFailed', 'connectionAttemptTimeout', 'lookup', 'ready'],
  ])
})

describe('emit() is called for the application by lib/input/application.ts only', () => {
  /** Node's own call, handed on; and an emission in a tick with nothing of ours around it. */
  const ALLOWED = ['socket/server.ts: super.emit(', 'socket/server.ts: process.nextTick(() => this.emit(']

  test.each(publicSources())('%s', (file, text) => {
    const calls = [...text.matchAll(/^.*?((?:process\.nextTick\(\(\) => )?[\w.#]+\.emit\().*$/gm)]
    const unguarded = calls
      .filter(([line]) => !line.includes('emitToApplication('))
      .map(([, call]) => `${file}: ${call}`)
    expect(unguarded.filter(call => !ALLOWED.includes(call))).toEqual([])
  })
})
