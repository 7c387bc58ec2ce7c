import { describe, expect, test } from 'vitest'
import { coloursFor } from '../../../lib/cli/terminal.js'
import { handoverBetween, MOMENTS, NO_HISTORY, next } from '../../../lib/cli/watch/history.js'
import { describeSnapshot } from '../../../lib/cli/watch/page-data.js'
import { cut, sparkline, table } from '../../../lib/cli/watch/table.js'
import { bytesInWords, happeningInWords, rateInWords, timeInWords } from '../../../lib/cli/watch/words.js'
import type { WatchEvent } from '../../../lib/runtime/watch/messages.js'
import { BUSY, carried, connection, HELLO, sent, snapshot } from './snapshots.js'

const plain = coloursFor({ isTTY: false })
/** 1 s apart: 1 MB up on Wi-Fi, 250 kB up and 500 kB down on cellular. */
const two = () =>
  next(
    next(NO_HISTORY, snapshot(0, carried(sent(0), sent(0)))),
    snapshot(1000, carried({ ...sent(250_000, 500_000), ...BUSY.cell }, { ...sent(1e6), ...BUSY.wifi })),
  )

describe('rates', () => {
  test('are differences over time', () => {
    expect(two().moments).toEqual([
      {
        at: 1000,
        rates: { '3gpp': { up: 2e6, down: 4e6 }, 'non-3gpp': { up: 8e6, down: 0 } },
        // Nothing is received over Wi-Fi: there is no queue.
        rttMs: { '3gpp': { up: undefined, down: 95 }, 'non-3gpp': { up: 20, down: undefined } },
      },
    ])
  })

  test('none from one snapshot, from two of the same time, or from counters that went back', () => {
    const first = next(NO_HISTORY, snapshot(5, carried(sent(9), sent(9))))
    expect(first.moments).toEqual([])
    expect(next(first, snapshot(5, carried(sent(10), sent(10)))).moments).toEqual([])
    const back = next(first, snapshot(1005, carried(sent(0), sent(0))))
    expect(back.moments[0]!.rates).toEqual({ '3gpp': { up: 0, down: 0 }, 'non-3gpp': { up: 0, down: 0 } })
  })

  test('are limited in number', () => {
    let history = NO_HISTORY
    for (let i = 0; i <= MOMENTS + 10; i++) history = next(history, snapshot(i * 250, carried(sent(0), sent(i * 1000))))
    expect(history.moments).toHaveLength(MOMENTS)
    expect(history.moments.at(-1)!.at).toBe((MOMENTS + 10) * 250)
  })
})

describe('handovers between two snapshots', () => {
  const nothing = carried(sent(0), sent(0))
  const [rule] = snapshot(0, nothing).rules
  /** Of one rule: how often its connections have gone over, and over which subflow the one with the id 1 goes now. */
  const at = (handovers: number, access: '3gpp' | 'non-3gpp', steering = rule!.steering) => {
    const one = connection(1, nothing)
    const subflows = one.subflows.map(subflow => ({ ...subflow, backup: subflow.access !== access }))
    const rules = [{ ...rule!, steering, handovers }]
    return snapshot(handovers, nothing, { rules, connections: [{ ...one, handovers, subflows }] })
  }

  test('how many, and where to', () => {
    expect(handoverBetween(undefined, at(3, '3gpp'))).toBeUndefined()
    expect(handoverBetween(at(3, '3gpp'), at(3, '3gpp'))).toBeUndefined()
    expect(handoverBetween(at(2, 'non-3gpp'), at(3, '3gpp'))).toBe('handover to 3gpp')
    expect(handoverBetween(at(2, 'non-3gpp'), at(7, 'non-3gpp'))).toBe('5 handovers to non-3gpp')
    // The connection has been closed since.
    expect(handoverBetween(at(2, 'non-3gpp'), { ...at(3, '3gpp'), connections: [] })).toBe('handover')
  })

  test('of load balancing they are no news', () => {
    const shares = { mode: 'load-balancing', percent3gpp: 20 } as const
    expect(handoverBetween(at(2, 'non-3gpp', shares), at(3, '3gpp', shares))).toBeUndefined()
  })
})

describe('the table', () => {
  const view = (width = 160, height = 40, happenings: WatchEvent[] = []) =>
    table({ hello: HELLO, history: two(), happenings, width, height, colours: plain })

  test('shows accesses, rules and connections', () => {
    const text = view().join('\n')
    expect(text).toMatch(/\/srv\/app\.js process 4711/)
    expect(text).toMatch(
      /3gpp +wwan0 +available +up +2\.0 Mbit\/s +20 % +– +– +250\.0 kB\n +down +4\.0 Mbit\/s +100 % +95\.0 ms +0\.2 % +500\.0 kB\n/,
    )
    expect(text).toMatch(
      /non-3gpp +wlan0 +available +up +8\.0 Mbit\/s +80 % +20\.0 ms +1\.5 % +1\.0 MB\n +down +0 bit\/s +0 % +– +– +0 B\n/,
    )
    expect(text).toMatch(/█ {2}wlan0 is up\n +█ is 8\.0 Mbit\/s, up and down together/)
    expect(text).toMatch(
      /RULE +OPEN +HANDOVERS +FOR: HOW\n +255 +1 +2 +everything: active-standby.*\n +up 10\.0 Mbit\/s, 20 % over 3gpp, 1\.3 MB; down 4\.0 Mbit\/s, 100 % over 3gpp, 500\.0 kB\n/,
    )
    expect(text).toMatch(
      /#1 example\.com:443 rule 255 · MPTCP · via 192\.0\.2\.1:5124, 0-RTT · up 10\.0 Mbit\/s, 1\.3 MB; down 4\.0 Mbit\/s, 500\.0 kB/,
    )
    expect(text).toMatch(
      /3gpp +backup, 20\.4 ms \(95\.1 ms down\), up 2\.0 Mbit\/s, 20 %, 250\.0 kB; down 4\.0 Mbit\/s, 100 %, 500\.0 kB 10\.2\.0\.2:40002/,
    )
    expect(text).toMatch(/non-3gpp +in use, 20\.4 ms, up 8\.0 Mbit\/s, 80 %, 1\.0 MB; down 0 bit\/s, 0 %, 0 B 10\.1/)
  })

  test('a figure that is not known is a dash, and not 0', () => {
    const bytes = carried(sent(5), { ...sent(7), sendRate: undefined })
    const lines = table({
      ...{ hello: HELLO, happenings: [], width: 160, height: 40, colours: plain },
      history: next(NO_HISTORY, snapshot(0, bytes)),
    })
    const text = lines.join('\n')
    expect(text).toMatch(/3gpp +wwan0 +available +up +0 bit\/s +– +– +– +5 B\n +down +– +– +– +0\.2 % +0 B\n/)
    expect(text).toMatch(/\n +up –, 12 B; down –, 0 B\n/)
  })

  test('lists events, the last one at the bottom', () => {
    const at = 0
    const lines = view(160, 40, [
      { type: 'event', at, event: 'access', access: 'non-3gpp', available: false, why: 'wlan0 has no carrier' },
      { type: 'event', at, event: 'action', connection: 1, action: { do: 'destroy', subflow: 1, why: 'lost' } },
    ])
    expect(lines.at(-2)).toMatch(/non-3gpp is lost: wlan0 has no carrier$/)
    expect(lines.at(-1)).toMatch(/#1 subflow 1 closed: lost$/)
  })

  test.each([
    [160, 40],
    [80, 24],
    [20, 5],
    [1, 1],
  ])('keeps to %d columns and %d rows, whatever there is', (width, height) => {
    const bytes = carried(sent(1), sent(2))
    const connections = Array.from({ length: 50 }, (_, index) => connection(index + 1, bytes))
    const history = next(two(), snapshot(2000, bytes, { connections, connectionsOpen: 250 }))
    const lines = table({ hello: HELLO, history, happenings: [], width, height, colours: plain })
    expect(lines.length).toBeLessThanOrEqual(height)
    for (const line of lines) expect([...line].length).toBeLessThanOrEqual(width)
    if (height === 40) expect(lines.join('\n')).toMatch(/and 24\d more/)
  })

  test('can be drawn before anything is known', () => {
    const lines = table({ hello: HELLO, history: NO_HISTORY, happenings: [], width: 80, height: 24, colours: plain })
    expect(lines.at(-1)).toBe('nothing is known yet')
  })

  test('a sparkline has the most that either carried at its top', () => {
    let history = NO_HISTORY
    for (const [i, bytes] of [0, 0, 1e6, 3e6].entries())
      history = next(history, snapshot(i * 1000, carried(sent(0), sent(bytes))))
    expect(sparkline(history, 'non-3gpp', 10)).toBe(' ▅█')
    expect(sparkline(history, '3gpp', 10)).toBe('   ')
    expect(sparkline(history, 'non-3gpp', 1)).toBe('█')
  })

  test('colours take no room', () => {
    expect(cut('\x1b[32mgood\x1b[39m and more', 6)).toBe('\x1b[32mgood\x1b[39m a')
  })
})

test('the page gets the same in words', () => {
  const history = two()
  expect(describeSnapshot(history.last!)).toMatchObject({
    level: 'userspace',
    accesses: [
      { name: '3gpp', state: 'available' },
      {
        cells: {
          up: ['8.0 Mbit/s', '80 %', '20.0 ms', '1.5 %', '1.0 MB'],
          down: ['0 bit/s', '0 %', '–', '–', '0 B'],
        },
      },
    ],
    rules: [
      {
        precedence: '255',
        name: 'the rule of precedence 255',
        traffic: 'everything',
        ...{ open: '1', handovers: '2' },
        cells: { up: ['10.0 Mbit/s', '20 %', '1.3 MB'], down: ['4.0 Mbit/s', '100 %', '500.0 kB'] },
      },
    ],
    connections: [
      {
        title: 'example.com:443',
        cells: { up: ['10.0 Mbit/s', '–', '', '1.3 MB'], down: ['4.0 Mbit/s', '–', '', '500.0 kB'] },
        subflows: [
          {
            kind: 'in use',
            cells: { up: ['8.0 Mbit/s', '80 %', '20.4 ms', '1.0 MB'], down: ['0 bit/s', '0 %', '–', '0 B'] },
          },
          { kind: 'backup', cells: { down: ['4.0 Mbit/s', '100 %', '95.1 ms', '500.0 kB'] } },
        ],
      },
    ],
  })
})

test('quantities in words', () => {
  expect([undefined, 0, 12, 1234, 12.3e6, 2e9].map(rateInWords)).toEqual([
    '–',
    '0 bit/s',
    '12 bit/s',
    '1.2 kbit/s',
    '12.3 Mbit/s',
    '2.00 Gbit/s',
  ])
  expect([0, 1500, 1.26e6, 3e9].map(bytesInWords)).toEqual(['0 B', '1.5 kB', '1.3 MB', '3.00 GB'])
  expect(timeInWords(new Date(2026, 0, 2, 3, 4, 5, 678).getTime())).toBe('03:04:05.6')
})

test.each<[string, WatchEvent]>([
  ['3gpp is available: up', { type: 'event', at: 0, event: 'access', access: '3gpp', available: true, why: 'up' }],
  [
    '#3 new subflow over 3gpp, as backup: standby; the kernel refused: EPERM',
    {
      type: 'event',
      at: 0,
      event: 'action',
      connection: 3,
      action: { do: 'create', access: '3gpp', backup: true, why: 'standby' },
      error: 'EPERM',
    },
  ],
  [
    'subflow 2 is in use now: lost',
    {
      type: 'event',
      at: 0,
      event: 'action',
      connection: undefined,
      action: { do: 'set-backup', subflow: 2, backup: false, why: 'lost' },
    },
  ],
  ["the rules are now rule 'a', rule 'b'", { type: 'event', at: 0, event: 'rules', names: ["rule 'a'", "rule 'b'"] }],
  ['less', { type: 'event', at: 0, event: 'degraded', message: 'less' }],
])('%s', (text, happening) => {
  expect(happeningInWords(happening)).toBe(text)
})
