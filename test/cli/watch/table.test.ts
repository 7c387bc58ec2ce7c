import { describe, expect, test } from 'vitest'
import { coloursFor } from '../../../lib/cli/terminal.js'
import { MOMENTS, NO_HISTORY, next } from '../../../lib/cli/watch/history.js'
import { describeSnapshot } from '../../../lib/cli/watch/page-data.js'
import { cut, sparkline, table } from '../../../lib/cli/watch/table.js'
import { afterKey, FIRST_STATE, keysIn, keysInWords } from '../../../lib/cli/watch/table-state.js'
import {
  bytesInWords,
  durationInWords,
  eventsInWords,
  handoversInWords,
  happeningInWords,
  labelOf,
  rateInWords,
  rulesInWords,
  timeInWords,
  titlesOf,
} from '../../../lib/cli/watch/words.js'
import type { WatchEvent } from '../../../lib/runtime/watch/messages.js'
import { BUSY, carried, connection, HELLO, sent, snapshot } from './snapshots.js'

const plain = coloursFor({ isTTY: false })
const TITLES = { '3gpp': 'Cellular', 'non-3gpp': 'Wi-Fi' }
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
        rttMs: { '3gpp': 95, 'non-3gpp': 20 },
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

  test('a round-trip time that nothing measures any more ends, though the session still reports the last one', () => {
    let history = two()
    const [cell, wifi] = [sent(250_000, 500_000), sent(1e6)]
    const rtts = [1250, 2250, 2500, 2750].map(at => {
      history = next(history, snapshot(at, carried({ ...cell, receiveRate: 2e6 }, wifi)))
      return history.moments.at(-1)!.rttMs
    })
    expect(rtts.map(rtt => rtt['non-3gpp'])).toEqual([20, 20, undefined, undefined])
    expect(rtts.map(rtt => rtt['3gpp'])).toEqual([95, 95, undefined, undefined])
    history = next(history, snapshot(3000, carried(cell, sent(1e6 + 100))))
    expect(history.moments.at(-1)!.rttMs).toEqual({ '3gpp': undefined, 'non-3gpp': 20 })
  })
})

describe('the table', () => {
  const view = (width = 160, height = 40, happenings: WatchEvent[] = []) =>
    table({ hello: HELLO, history: two(), happenings, width, height, colours: plain })

  test('shows the level, accesses, rules and connections, in both directions', () => {
    const text = view().join('\n')
    expect(text).toMatch(/app\.js process 4711 · full steering · rules: handover\n/)
    expect(text).toMatch(
      /Wi-Fi +wlan0 +available +0 bit\/s +0 % +8\.0 Mbit\/s +80 % +20 ms +– +1\.5 % +0 B +1\.0 MB\n +↓ +↑ +█\n/,
    )
    expect(text).toMatch(
      /Cellular +wwan0 +available +4\.0 Mbit\/s +100 % +2\.0 Mbit\/s +20 % +95 ms +0\.2 % +– +500\.0 kB +250\.0 kB\n +↓ +▅ +↑ +▃\n/,
    )
    expect(text).toMatch(/2 min ago·+now {2}█ is 8\.0 Mbit\/s\n/)
    expect(text).toMatch(
      /handover everything: active-standby: Wi-Fi, and Cellular while it is unavailable\n +1 open, 2 handovers · ↓ 4\.0 Mbit\/s ↑ 10\.0 Mbit\/s · so far ↓ 500\.0 kB ↑ 1\.3 MB · over Cellular ↓ 100 % ↑ 20 %\n/,
    )
    expect(text).toMatch(
      /#1 example\.com:443 ↓ 4\.0 Mbit\/s ↑ 10\.0 Mbit\/s · 2 handovers · rule handover · via 192\.0\.2\.1:5124, 0-RTT/,
    )
    expect(text).toMatch(
      /Wi-Fi +in use +↓ 0 bit\/s ↑ 8\.0 Mbit\/s · 20 ms · so far ↓ 0 B ↑ 1\.0 MB 10\.1\.0\.2:40001 → 192\.0\.2\.1:5124\n/,
    )
    expect(text).toMatch(/Cellular +backup +↓ 4\.0 Mbit\/s ↑ 2\.0 Mbit\/s · 95 ms/)
  })

  test.each([80, 60, 50])('%d columns: what does not fit is left out as a column, or ends in "…"', width => {
    const full = view(400, 40)
    const lines = view(width, 40)
    const heading = lines.find(line => line.startsWith('ACCESS'))!
    expect(heading).not.toContain('…')
    expect(heading).toMatch(/STATE +DOWN +UP/)
    for (const [index, line] of lines.entries())
      if (line.length === width && full[index]!.length > width && !full[index]!.startsWith(line))
        expect(line).toMatch(/…$/)
  })

  test('a lost access says why; a level that is not full says so', () => {
    const now = snapshot(2000, carried(sent(0), sent(0)), { level: 'none' })
    now.accesses['non-3gpp'] = { ...now.accesses['non-3gpp'], available: false, why: 'wlan0 has no carrier' }
    const lines = table({
      ...{ hello: HELLO, happenings: [], width: 100, height: 40, colours: plain },
      history: next(two(), { ...now, lastHandover: { at: 0, from: 'non-3gpp', to: '3gpp', gapMs: 44.6 } }),
    })
    expect(lines[0]).toContain('no steering')
    expect(lines.join('\n')).toMatch(/Wi-Fi +wlan0 +lost .*\n +wlan0 has no carrier\n/)
    expect(lines.join('\n')).toContain('Last handover: gap 45 ms, from Wi-Fi to Cellular at ')
  })

  test('a figure that is not known is a dash, and not 0', () => {
    const bytes = carried(sent(5), { ...sent(7), sendRate: undefined })
    const lines = table({
      ...{ hello: HELLO, happenings: [], width: 160, height: 40, colours: plain },
      history: next(NO_HISTORY, snapshot(0, bytes)),
    })
    const text = lines.join('\n')
    expect(text).toMatch(/Cellular +wwan0 +available +– +– +0 bit\/s +– +– +0\.2 % +– +0 B +5 B\n/)
    expect(text).toMatch(/ · ↓ – ↑ – · so far ↓ 0 B ↑ 12 B · over Cellular ↓ – ↑ –\n/)
  })

  test('lists events, the last one at the bottom', () => {
    const at = 0
    const lines = view(160, 40, [
      { type: 'event', at, event: 'access', access: 'non-3gpp', available: false, why: 'wlan0 has no carrier' },
      { type: 'event', at, event: 'action', connection: 1, action: { do: 'destroy', subflow: 1, why: 'lost' } },
    ])
    expect(lines.at(-2)).toMatch(/Wi-Fi is lost: wlan0 has no carrier$/)
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
    if (height === 40) expect(lines.join('\n')).toMatch(/24\d more below/)
  })

  test('the round trip of a slow download is that of what is sent: the other one has the pauses of the sender', () => {
    const bytes = carried(sent(0), { ...sent(0), receiveRate: 40_000 })
    const now = snapshot(0, bytes)
    now.accesses['non-3gpp'].receiveRttMs = 13_500
    const lines = table({
      ...{ hello: HELLO, happenings: [], width: 100, height: 40, colours: plain },
      history: next(NO_HISTORY, now),
    })
    expect(lines.join('\n')).toMatch(/Wi-Fi +wlan0 +available .* 20 ms /)
    expect(describeSnapshot(now).accesses[0]).toMatchObject({ rtt: '20 ms' })
  })

  test('sorts and scrolls the connections, or shows the events alone', () => {
    const bytes = carried(sent(1), sent(2))
    const connections = [1, 2, 3].map(id => ({ ...connection(id, bytes), handovers: id }))
    const happenings = Array.from(
      { length: 30 },
      (_, at) => ({ type: 'event', at, event: 'problem', message: `no. ${at}` }) as const,
    )
    const shown = (change: object) =>
      table({
        ...{ hello: HELLO, happenings, width: 120, height: 60, colours: plain },
        history: next(two(), snapshot(2000, bytes, { connections, connectionsOpen: 3 })),
        state: { ...FIRST_STATE, ...change },
      }).join('\n')
    expect(shown({ sort: 'handovers' })).toMatch(/by handovers\n {2}#3[^#]*#2[^#]*#1/)
    expect(shown({ sort: 'number', first: 1 })).toMatch(/by number\n {2}#2[^#]*#3[^#]*1 above/)
    expect(shown({ isEvents: true })).toMatch(/no\. 0\n[\s\S]*no\. 29/)
    expect(shown({ isEvents: true })).not.toContain('CONNECTIONS')
    expect(shown({ isPaused: true })).toMatch(/ · paused\n/)
  })

  test('can be drawn before anything is known', () => {
    const lines = table({ hello: HELLO, history: NO_HISTORY, happenings: [], width: 80, height: 24, colours: plain })
    expect(lines.at(-1)).toBe('measuring …')
  })

  test('a sparkline has two minutes, the latest at the right; its highest bar is the rate that is given', () => {
    let history = NO_HISTORY
    for (let i = 0; i <= MOMENTS; i++) {
      const rate = i <= MOMENTS / 2 ? 1000 : 2000
      history = next(history, snapshot(i * 1000, carried(sent(0), sent(i === 0 ? 0 : i * rate))))
    }
    expect(sparkline(history, 'non-3gpp', 'up', 4, 16_000)).toMatch(/^▅▅.█$/)
    expect(sparkline(history, 'non-3gpp', 'down', 4, 16_000)).toBe('    ')
    expect(sparkline(two(), 'non-3gpp', 'up', MOMENTS, 8e6).trimStart()).toBe('█')
  })

  test('what is cut ends in "…"; colours take no room', () => {
    expect(cut('\x1b[32mgood\x1b[39m and more', 6)).toBe('\x1b[32mgood\x1b[39m …')
    expect(cut('\x1b[32mgood\x1b[39m', 4)).toBe('\x1b[32mgood\x1b[39m')
    expect(cut('good', 0)).toBe('')
  })
})

describe('keys of the table', () => {
  test('letters, and what terminals send for arrows', () => {
    expect(keysIn('s\x1b[A\x1bOBq\x1b[5~\x1b[6~\x1b[1;5C')).toEqual(['s', 'up', 'down', 'q', 'page up', 'page down'])
    expect(keysIn('\u0003')).toEqual(['\u0003'])
  })

  test.each<[string, object, object]>([
    [' ', {}, { isPaused: true }],
    [' ', { isPaused: true }, { isPaused: false }],
    ['e', {}, { isEvents: true }],
    ['s', { first: 3 }, { sort: 'bytes', first: 0 }],
    ['s', { sort: 'number' }, { sort: 'rate' }],
    ['down', {}, { first: 1 }],
    ['down', { first: 9 }, { first: 9 }],
    ['page down', { first: 7 }, { first: 9 }],
    ['up', {}, { first: 0 }],
    ['page up', { first: 7 }, { first: 2 }],
    ['x', {}, {}],
  ])('%j of %j', (key, before, after) => {
    expect(afterKey({ ...FIRST_STATE, ...before }, key, 10)).toEqual({ ...FIRST_STATE, ...before, ...after })
  })

  test('the last line says what they do now', () => {
    expect(keysInWords(FIRST_STATE, 1)).toBe('q ends  space pauses  e events  s sort: rate  ↑↓ scroll')
    expect(keysInWords({ ...FIRST_STATE, isPaused: true }, 12)).toMatch(/space goes on .* 1–9 session$/)
  })
})

test('the page gets the same in words, Wi-Fi first', () => {
  const history = two()
  const data = describeSnapshot(history.last!)
  expect(data).toMatchObject({
    level: { text: 'full steering', isFull: true },
    counts: '1 open, 2 handovers',
    accesses: [
      {
        ...{
          access: 'non-3gpp',
          title: 'Wi-Fi',
          interface: 'wlan0',
          state: 'available',
          rtt: '20 ms',
          loss: '↑ 1.5 %',
        },
        rates: { up: '8.0 Mbit/s', down: '0 bit/s' },
        shares: { up: '80 %', down: '0 %' },
        bytes: { up: '1.0 MB', down: '0 B' },
      },
      { access: '3gpp', title: 'Cellular', rtt: '95 ms', loss: '↓ 0.2 %' },
    ],
    rules: [
      {
        ...{ title: 'handover', isReplaced: false, traffic: 'everything', open: '1', handovers: '2' },
        steering: 'active-standby: Wi-Fi, and Cellular while it is unavailable',
        rates: { up: '10.0 Mbit/s', down: '4.0 Mbit/s' },
        overCellular: { up: '20 %', down: '100 %' },
      },
    ],
    present: { text: 'handover', choice: 'handover', percent: undefined },
    connections: [
      {
        title: '#1 example.com:443',
        details: 'through 192.0.2.1:5124, 0-RTT · rule handover · 2 handovers',
        rates: { up: '10.0 Mbit/s', down: '4.0 Mbit/s' },
        subflows: [
          { title: 'Wi-Fi', kind: 'in use', rtt: '20.4 ms', details: '10.1.0.2:40001 → 192.0.2.1:5124' },
          { title: 'Cellular', kind: 'backup', rtt: '95.1 ms' },
        ],
      },
    ],
  })
})

test('an access that carries nothing shows what its subflows were measured at, and says so', () => {
  const now = snapshot(0, carried(sent(0), sent(0)))
  now.accesses['3gpp'] = { ...now.accesses['3gpp'], rttMs: undefined, receiveRttMs: undefined }
  const [, cell] = describeSnapshot(now).accesses
  expect(cell).toMatchObject({ rtt: '20 ms', rttFrom: expect.stringContaining('when its subflow was made') })
})

test('rules by their names: a preset, a share, their own; a replaced one comes last', () => {
  const now = snapshot(0, carried(sent(0), sent(0)))
  const [rule] = now.rules as [(typeof now.rules)[number]]
  expect(rulesInWords(now)).toBe('handover')
  const share = { ...rule, name: 'precedence 255', steering: { mode: 'load-balancing', percent3gpp: 30 } as const }
  expect(rulesInWords({ rules: [share], preset: undefined })).toBe('30 % over cellular')
  const own = [{ ...rule, name: 'web', replaced: true as const }, share, { ...rule, name: 'video', precedence: 9 }]
  expect(rulesInWords({ rules: own, preset: undefined })).toBe('precedence 255, video')
  expect(describeSnapshot({ ...now, rules: own }).rules.map(({ title, isReplaced }) => [title, isReplaced])).toEqual([
    ['precedence 255', false],
    ['video', false],
    ['web', true],
  ])
  expect(describeSnapshot({ ...now, rules: [share], preset: undefined }).present).toMatchObject({
    choice: 'share',
    percent: 30,
  })
})

test.each([
  ['wlan0', 'Wi-Fi'],
  ['wlp3s0', 'Wi-Fi'],
  ['wifi', 'Wi-Fi'],
  ['enx001122334455', 'Ethernet'],
  ['eth0', 'Ethernet'],
  ['tun0', 'Non-3GPP'],
])('%s is called %s', (name, title) => {
  expect(titlesOf({ '3gpp': { interface: 'usb0' }, 'non-3gpp': { interface: name } })).toEqual({
    '3gpp': 'Cellular',
    'non-3gpp': title,
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
  expect([44.6, 999.4, 1000, 4321, 125_000].map(durationInWords)).toEqual([
    '45 ms',
    '999 ms',
    '1.0 s',
    '4.3 s',
    '2 min 5 s',
  ])
  expect(timeInWords(new Date(2026, 0, 2, 3, 4, 5, 678).getTime())).toBe('03:04:05.6')
})

test('handovers at the same time: how many, and the longest gap', () => {
  const one = { connection: 1, from: 'non-3gpp', to: '3gpp', gapMs: 45 } as const
  expect(handoversInWords([one], TITLES)).toBe('handover of #1 from Wi-Fi to Cellular: gap 45 ms')
  expect(handoversInWords([one, { ...one, gapMs: 108 }, { ...one, gapMs: undefined }], TITLES)).toBe(
    'handover of 3 connections from Wi-Fi to Cellular: longest gap 108 ms',
  )
  expect(handoversInWords([{ ...one, connection: undefined, gapMs: undefined }], TITLES)).toBe(
    'handover from Wi-Fi to Cellular: nothing was interrupted',
  )
})

test('events of many connections at the same time are one line each, others stand alone', () => {
  const handover = (at: number, connection: number, gapMs?: number): WatchEvent => ({
    ...{ type: 'event', at, event: 'handover', connection, from: 'non-3gpp', to: '3gpp', why: 'lost' },
    gapMs,
  })
  const action = (at: number, connection: number, why: string): WatchEvent => ({
    ...{ type: 'event', at, event: 'action', connection },
    action: { do: 'set-backup', access: '3gpp', backup: false, subflow: connection, why } as never,
  })
  const lost: WatchEvent = {
    type: 'event',
    at: 0,
    event: 'access',
    access: 'non-3gpp',
    available: false,
    why: 'no carrier',
  }
  const all = [
    lost,
    action(1, 1, 'x'),
    action(2, 2, 'x'),
    action(3, 3, 'y'),
    handover(80, 1, 45),
    handover(190, 2, 186),
    handover(9_000, 1),
  ]
  const lines = eventsInWords(all, TITLES)
  expect(lines.map(({ first, text }) => [first.at, text])).toEqual([
    [0, 'Wi-Fi is lost: no carrier'],
    [1, expect.stringMatching(/^2 connections: .*: x$/)],
    [3, expect.stringMatching(/^#3 .*: y$/)],
    [80, 'handover of 2 connections from Wi-Fi to Cellular: longest gap 186 ms'],
    [9_000, 'handover of #1 from Wi-Fi to Cellular: nothing was interrupted'],
  ])
})

test.each<[string, string, WatchEvent]>([
  [
    'Cellular is available: up',
    'Cellular back',
    { type: 'event', at: 0, event: 'access', access: '3gpp', available: true, why: 'up' },
  ],
  [
    '#3 new subflow over Cellular, as backup: standby; the kernel refused: EPERM',
    '#3 new subflow over Cellular, as backup: standby; the kernel refused',
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
    'subflow 2 is in use now: lost',
    {
      type: 'event',
      at: 0,
      event: 'action',
      connection: undefined,
      action: { do: 'set-backup', subflow: 2, backup: false, why: 'lost' },
    },
  ],
  [
    'rules: web, video',
    'rules: web, video',
    { type: 'event', at: 0, event: 'rules', names: ['web', 'video'], rules: [] },
  ],
  [
    'rules: aggregate',
    'rules: aggregate',
    { type: 'event', at: 0, event: 'rules', names: ['aggregate'], preset: 'aggregate', rules: [] },
  ],
  ['less', 'degraded', { type: 'event', at: 0, event: 'degraded', message: 'less' }],
])('%s', (text, label, happening) => {
  expect(happeningInWords(happening, TITLES)).toBe(text)
  expect(labelOf(happening, TITLES)).toBe(label)
})
