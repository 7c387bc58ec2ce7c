import { describe, expect, test } from 'vitest'
import { Clients } from '../../../lib/converter/relay/clients.js'
import { restartDelay } from '../../../lib/converter/workers/restart.js'
import { Shares } from '../../../lib/converter/workers/shares.js'
import { sumOf } from '../../../lib/converter/workers/stats.js'

const LIMITS = { maxConnections: 5, maxPerClient: 3, maxPendingPerClient: 2, errorsPerSecond: 1 }

describe('what processes hold together', () => {
  test('each learns what the others hold of the clients that have changed', () => {
    const shares = new Shares<string>()
    for (const name of ['one', 'two', 'three']) expect(shares.join(name)).toEqual([])
    expect(shares.report('one', [['a', 2, 1]])).toEqual(
      new Map([
        ['two', [['a', 2, 1]]],
        ['three', [['a', 2, 1]]],
      ]),
    )
    expect(shares.report('two', [['a', 1, 0]])).toEqual(
      new Map([
        ['one', [['a', 1, 0]]],
        ['three', [['a', 3, 1]]],
      ]),
    )
    expect(shares.join('four')).toEqual([['a', 3, 1]])
  })

  test('a process that has ended holds nothing', () => {
    const shares = new Shares<string>()
    for (const name of ['one', 'two']) shares.join(name)
    shares.report('one', [
      ['a', 2, 1],
      ['b', 1, 0],
    ])
    shares.report('two', [['a', 1, 0]])
    expect(shares.leave('one')).toEqual(
      new Map([
        [
          'two',
          [
            ['a', 0, 0],
            ['b', 0, 0],
          ],
        ],
      ]),
    )
    expect(shares.join('three')).toEqual([['a', 1, 0]])
  })

  test('a client that holds nothing is forgotten', () => {
    const shares = new Shares<string>()
    for (const name of ['one', 'two']) shares.join(name)
    shares.report('one', [['a', 1, 0]])
    shares.report('one', [['a', 0, 0]])
    expect(shares.join('three')).toEqual([])
  })
})

describe('limits with other processes', () => {
  test('what they hold counts, until they do not hold it any more', () => {
    const clients = new Clients(LIMITS)
    clients.heldElsewhere([['a', 3, 0]])
    expect(clients.admit('a')).toBe('connections of this client')
    clients.heldElsewhere([['a', 2, 2]])
    expect(clients.admit('a')).toBe('pending requests of this client')
    clients.heldElsewhere([
      ['a', 2, 0],
      ['b', 3, 0],
    ])
    expect(clients.admit('c')).toBe('connections')
    clients.heldElsewhere([['b', 0, 0]])
    expect(typeof clients.admit('a')).toBe('object')
    expect(clients.admit('a')).toBe('connections of this client')
  })

  test('changes are collected, and reported as they are when they are taken', () => {
    const clients = new Clients(LIMITS)
    let calls = 0
    const before = clients.admit('before')
    clients.share(() => calls++)
    const admission = clients.admit('a')
    if (typeof admission === 'string' || typeof before === 'string') throw new Error('not admitted')
    admission.settle()
    clients.admit('b')
    expect(calls).toBe(1)
    expect(clients.takeChanges()).toEqual([
      ['a', 1, 0],
      ['b', 1, 1],
    ])
    expect(clients.takeChanges()).toEqual([])
    admission.close()
    expect([calls, clients.takeChanges()]).toEqual([2, [['a', 0, 0]]])
    before.close()
    expect(clients.takeChanges()).toEqual([['before', 0, 0]])
  })
})

test.each([
  // How long it has lived, what it had waited before that, and what it waits now.
  [50, undefined, 0],
  [9_999, 0, 1_000],
  [50, 1_000, 2_000],
  [50, 16_000, 30_000],
  [50, 30_000, 30_000],
  [10_000, 30_000, 0],
])('a worker that ends after %j ms, and had waited %j ms, is started again after %j ms', (lived, waited, delay) => {
  expect(restartDelay(lived, waited)).toBe(delay)
})

test('counters of several processes are added by name', () => {
  const one = {
    ...sumOf([]),
    connections: 2,
    refused: { 'network-failure': 1 },
    bytes: { fromClients: 3, fromServers: 4 },
  }
  const two = {
    ...sumOf([]),
    accepted: 7,
    refused: { 'network-failure': 2, 'not-authorized': 1 },
    clientErrors: { timeout: 1 },
  }
  expect(sumOf([one, two])).toEqual({
    ...{ connections: 2, pending: 0, accepted: 7, abandoned: 0, zeroRtt: 0, mptcp: 0, established: 0 },
    refused: { 'network-failure': 3, 'not-authorized': 1 },
    clientErrors: { timeout: 1 },
    bytes: { fromClients: 3, fromServers: 4 },
  })
})
