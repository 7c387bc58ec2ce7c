import { expect, test } from 'vitest'
import { isEpochValid, recreationDelay } from '../../../lib/policy/pcp/epoch.js'

const before = { client: 1000, server: 5000 }

test('the first one is valid, whatever it is', () => {
  expect(isEpochValid(undefined, { client: 0, server: 0 })).toBe(true)
})

// RFC 6887 §8.5, its formulas worked out by hand.
test.each<[string, number, number, boolean]>([
  ['no time at all', 0, 0, true],
  ['a second back: reordered', 10, -1, false], // server_delta 0 + 2 < 10 - 0
  ['a second back at once', 0, -1, true],
  ['two seconds back', 0, -2, false],
  ['back to the start', 100, -5000, false],
  ['both by 100', 100, 100, true],
  ['the server slower by what quantization allows', 10, 8, true], // 8 + 2 < 10 - 0: no
  ['and by one more', 10, 7, false], // 7 + 2 < 10 - 0
  ['the server faster by what quantization allows', 8, 10, true],
  ['and by one more', 7, 10, false],
  ['6 % slower over an hour', 3600, 3375, true], // 3375 + 2 < 3600 - 225: no
  ['a little more', 3600, 3372, false], // 3374 < 3375
  ['6 % faster over an hour', 3375, 3600, true],
  ['a little more', 3372, 3600, false],
  ['restarted while the client slept for a day', 86_400, 10, false],
])('%s: client %d, server %d s later', (_, client, server, valid) => {
  expect(isEpochValid(before, { client: before.client + client, server: before.server + server })).toBe(valid)
})

test('mappings are requested again after 0 to 5 seconds', () => {
  expect([0, 0.5, 1].map(recreationDelay)).toEqual([0, 2500, 5000])
})
