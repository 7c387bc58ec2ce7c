/** What this library calls of the application's, found in its sources: nothing without a case in this folder, nothing unguarded. */
import { describe, expect, test } from 'vitest'
import { emissions, eventInterfaces } from './events.js'

describe('interfaces that list events', () => {
  const PUBLIC = ['ConverterEvents', 'SessionEvents', 'SessionServerEvents']
  /** Their listeners are this library's own. */
  const OWN = [
    ...['AttemptEvents', 'DialEvents', 'ExternalAddressEvents', 'LinkMonitorEvents', 'PathManagerEvents'],
    ...['PcpClientEvents', 'PcpMappingEvents'],
  ]
  test('each is either the application’s or ours', () => {
    expect(eventInterfaces()).toEqual([...PUBLIC, ...OWN].sort())
  })
})

describe('emissions', () => {
  const found = emissions()
  /** Rooms whose objects the application holds. `runtime` has its own emitters, except for the sockets that it connects. */
  const isPublic = (file: string) =>
    /^(session|socket|converter|agents|preload)\//.test(file) || file === 'runtime/connect/connecting.ts'

  test('are found', () => {
    expect(found.length).toBeGreaterThan(40)
  })

  test.each(found.filter(({ file }) => isPublic(file)))('$file: $event', ({ isGuarded }) => {
    expect(isGuarded).toBe(true)
  })
})
