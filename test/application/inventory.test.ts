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
    ...['OutgoingEvents', 'WorkersEvents'],
  ]

  test('each is either the application’s or ours', () => {
    expect(eventInterfaces()).toEqual([...PUBLIC, ...OWN].sort())
  })

  test('each of the application’s is compared with its cases', () => {
    const tests = readdirSync('test/application').map(name => readFileSync(`test/application/${name}`, 'utf8'))
    for (const name of PUBLIC) expect(tests.some(text => text.includes(`eventsOf('${name}')`))).toBe(true)
  })
})

describe('this library does not listen to what the application holds: an earlier listener may throw, and any can be removed', () => {
  /** By file: what listens, and to what. */
  const ALLOWED: Record<string, readonly string[]> = {
    // Listeners, a callback and a store of the application.
    'agents/tls.ts': ["secure.once('secureConnect'", "secure.on('session'"],
    // Until the application gets the socket.
    'agents/undici.ts': ['socket.once(event'],
    // Those that are given to a constructor, `listen()` and `close()`, as net.Server has them.
    'session/server.ts': [
      ...["this.on('connection'", "this.once('close'", "this.once('listening'"],
      // Emitters of this library only.
      ...["links.on('change'", "links.on('error'", "#external.on('made'", "#external.on('changed'"],
      ...["#external.on('lost'", "#external.on('problem'"],
    ],
    // The session is not the application's.
    'preload/register.ts': ["session.on('degraded'"],
  }
  const ours = (name: string) => /\bownEvents$/.test(name)
  /** A converter's sockets and servers are its own. */
  const sources = publicSources().filter(([file]) => !file.startsWith('converter/'))

  test.each(sources)('%s', (file, text) => {
    const listens = [
      ...text.matchAll(
        /([\w#]+)\.(on|once|addListener|prependListener|prependOnceListener|addEventListener)\(([^,)]*)/g,
      ),
    ].filter(([, name]) => !ours(name!))
    const found = listens.map(([, name, method, event]) => `${name}.${method}(${event}`)
    expect(found.filter(call => !ALLOWED[file]?.includes(call))).toEqual([])
  })
})

test('the events that the connecting of a socket emits are known', () => {
  expect([...SOCKET_EVENTS].sort()).toEqual([
    ...['connect', 'connectionAttempt', 'connectionAttemptFailed', 'connectionAttemptTimeout', 'lookup', 'ready'],
  ])
})

describe('emit() is called for the application by lib/input/application.ts only', () => {
  /** Node's own call, handed on; an emission in a tick with nothing of ours around it; and listeners that are ours. */
  const ALLOWED = [
    'socket/server.ts: super.emit(',
    'socket/server.ts: process.nextTick(() => this.emit(',
    'session/session.ts: own.emit(',
  ]

  test.each(publicSources())('%s', (file, text) => {
    const calls = [...text.matchAll(/^.*?((?:process\.nextTick\(\(\) => )?[\w.#]+\.emit\().*$/gm)]
    const unguarded = calls
      .filter(([line]) => !line.includes('emitToApplication('))
      .map(([, call]) => `${file}: ${call}`)
    expect(unguarded.filter(call => !ALLOWED.includes(call))).toEqual([])
  })
})
