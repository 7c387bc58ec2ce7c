import { describe, expect, test } from 'vitest'
import { SOCKET, type SocketSample } from '../../../lib/runtime/kernel/sampler.js'
import { Stillness } from '../../../lib/runtime/steering/activity.js'
import type { SteeredConnection } from '../../../lib/runtime/steering/connection.js'
import { whoStirs } from '../../../lib/runtime/steering/polling.js'

const COUNTED = { bytesSent: 500, bytesReceived: 70, bytesAcked: 400, bytesRetrans: 100, retransmits: 1 }
const sample = (changes = {}) => ({ token: 7, ...COUNTED, outstanding: 0, ...changes }) as SocketSample

/** As the native call writes it. */
function record(changes: Partial<Record<keyof typeof SOCKET, number>> = {}): Float64Array {
  const doubles = new Float64Array(SOCKET.length)
  for (const [name, value] of Object.entries({ token: 7, ...COUNTED, ...changes }))
    doubles[SOCKET[name as keyof typeof SOCKET]] = value
  return doubles
}

function resting(): Stillness {
  const stillness = new Stillness(7)
  stillness.note(sample(), { idle: true, mayRest: true }, 1000)
  return stillness
}

describe('since it was followed', () => {
  test.each([
    ['nothing', {}, 'rests'],
    ['bytes have been sent, and all have arrived', { bytesSent: 600, bytesAcked: 500 }, 'moved'],
    ['bytes have come in', { bytesReceived: 71 }, 'moved'],
    ['bytes are on their way', { bytesSent: 600, outstanding: 100 }, 'stirs'],
    ['bytes were sent again on another subflow', { bytesRetrans: 200 }, 'stirs'],
    ['and how often', { retransmits: 2 }, 'stirs'],
    ['its descriptor is another connection’s', { token: 8 }, 'stirs'],
    ['its descriptor is closed', { errno: 9 }, 'stirs'],
    ['this kernel does not count', { bytesRetrans: Number.NaN }, 'stirs'],
  ])('%s', (_name, changes, has) => expect(resting().glance(record(changes), 0, 1050)).toBe(has))

  test('something is under way', () => {
    const stillness = new Stillness(7)
    stillness.note(sample(), { idle: false, mayRest: false }, 1000)
    expect(stillness.glance(record(), 0, 1050)).toBe('stirs')
  })

  test('it has moved, and is not followed for it: from then on it rests', () => {
    const stillness = resting()
    const moved = record({ bytesSent: 600, bytesAcked: 500 })
    stillness.skip(moved, 0, 1050)
    expect(stillness.glance(moved, 0, 1100)).toBe('rests')
    expect(stillness.restedAt).toBe(1100)
  })
})

test('who moves bytes at three looks, with short pauses, goes on; after a longer one no more', () => {
  const stillness = resting()
  const moves = [1050, 1100, 1150].map(now => {
    stillness.note(sample(), { idle: false, mayRest: true }, now)
    return stillness.moves(now)
  })
  expect(moves).toEqual([false, false, true])
  expect([1399, 1400].map(now => stillness.moves(now))).toEqual([true, false])
  stillness.skip(record(), 0, 1500)
  expect(stillness.moves(1500)).toBe(false)
})

describe('of many that have moved', () => {
  const asked = () => Array.from({ length: 15 }, (_, fd) => ({ fd, stillness: resting() }) as SteeredConnection)
  const moved = record({ bytesReceived: 100 })
  const records = Float64Array.from(Array.from({ length: 15 }, () => [...moved]).flat())

  test('five are followed, the others later; all that stir are', () => {
    const connections = asked()
    const one = records.slice()
    one[14 * SOCKET.length + SOCKET.outstanding] = 1
    const found = whoStirs(connections, one, 1050, () => true)
    expect(found.map(({ fd }) => fd)).toEqual([0, 1, 2, 3, 4, 14])
    // Those that were followed would have noted it.
    expect(whoStirs(connections.slice(5, 14), records, 1100, () => true)).toEqual([])
  })

  test('all are, where what they carry has to be counted', () => {
    expect(whoStirs(asked(), records, 1050, ({ fd }) => fd === 12)).toHaveLength(14)
  })
})
