/** `atsss/prometheus`: the text, by the grammar and the examples of OpenMetrics 1.0. */
import { once } from 'node:events'
import { createServer } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { escaped, exposition, type Family } from '../../lib/prometheus/exposition.js'
import { familiesOf } from '../../lib/prometheus/families.js'
import { contentType, metrics } from '../../lib/prometheus/index.js'
import { MaPduSession } from '../../lib/session/session.js'
import type { SessionStats } from '../../lib/session/stats.js'
import { Totals } from '../../lib/session/totals.js'

const traffic = { sendRate: 1, receiveRate: 1, sendShare: 1, receiveShare: 1 }
const carried = (bytesSent: number, bytesReceived: number) => {
  return { bytesSent, bytesReceived, bytesRetransmitted: 7, ...traffic }
}
const access = (name: string, bytes: ReturnType<typeof carried>): SessionStats['accesses']['3gpp'] => ({
  ...{ interface: name, available: true, suspected: false, why: '', bytesPerSecond: 0 },
  ...{ rttMs: 20.5, receiveRttMs: undefined, lossPermille: 15, receiveLossPermille: undefined },
  ...bytes,
})

function statsOf(change: Partial<SessionStats> = {}): SessionStats {
  const totals = new Totals()
  totals.connected('mptcp')
  totals.failed(Object.assign(new Error(), { code: 'ECONNREFUSED' }))
  for (const gapMs of [45, 1500]) totals.handedOver({ from: 'non-3gpp', to: '3gpp', gapMs })
  totals.degraded({ what: 'fallback', message: '' })
  const rule = { id: 'a "video" \\ rule\n', precedence: 10 } as never
  return {
    level: 'userspace',
    accesses: { '3gpp': access('wwan0', carried(100, 200)), 'non-3gpp': access('wlan0', carried(300, 400)) },
    rules: [
      {
        ...{ rule, connections: 1, handovers: 2, unsteered: undefined },
        carried: { '3gpp': carried(1, 2), 'non-3gpp': carried(3, 4) },
      },
    ],
    connections: [{ rule, protocol: 'mptcp' } as never],
    handovers: 2,
    lastHandover: { at: 0, from: 'non-3gpp', to: '3gpp', gapMs: 1500 },
    fallbacks: 1,
    totals: totals.read(),
    ...change,
  }
}

/** What OpenMetrics 1.0 says of one line of samples: `metricname[{labels}] SP number`, with the ABNF's character classes. */
const SAMPLE =
  /^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"(?:,(?!\}))?)+\})? (\S+)$/
const NUMBER = /^(?:[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?|[+-]Inf|NaN)$/i
const SUFFIXES: Record<string, readonly string[]> = {
  counter: ['_total'],
  gauge: [''],
  info: ['_info'],
  stateset: [''],
  histogram: ['_bucket', '_count', '_sum'],
}

/** Throws at what OpenMetrics does not allow. @returns the value of each sample */
function parsed(text: string): Map<string, number> {
  const values = new Map<string, number>()
  const families = new Set<string>()
  let [name, type] = ['', '']
  const lines = text.split('\n')
  expect(lines.splice(-2)).toEqual(['# EOF', ''])
  for (const line of lines) {
    const [, kind, of, rest] = /^# (TYPE|UNIT|HELP) (\S+) (.*)$/.exec(line) ?? []
    if (kind === 'TYPE') {
      expect(families.has(of!), `${of} is there twice`).toBe(false)
      families.add(of!)
      ;[name, type] = [of!, rest!]
      expect(Object.keys(SUFFIXES)).toContain(type)
    } else if (kind !== undefined) {
      expect(of).toBe(name)
      if (kind === 'UNIT') expect(name.endsWith(`_${rest}`)).toBe(true)
    } else {
      const [, sample, labels = '', value] = SAMPLE.exec(line) ?? expect.fail(`no sample: ${line}`)
      expect(SUFFIXES[type]!.map(suffix => name + suffix)).toContain(sample)
      expect(value).toMatch(NUMBER)
      const key = `${sample}${labels}`
      expect(values.has(key), `${key} is there twice`).toBe(false)
      values.set(key, Number(value))
    }
  }
  return values
}

describe('escaping', () => {
  // OpenMetrics 1.0, "Escaping": line feed, double quotes, backslash, by their bytes.
  test.each([
    ['\x0a', '\x5c\x6e'],
    ['\x22', '\x5c\x22'],
    ['\x5c', '\x5c\x5c'],
    ['\x5c\x6e', '\x5c\x5c\x6e'],
    ['C:\\DIR\\FILE.TXT', 'C:\\\\DIR\\\\FILE.TXT'],
    ['Cannot find file:\n"FILE.TXT"', 'Cannot find file:\\n\\"FILE.TXT\\"'],
    ['tab\tand é stay', 'tab\tand é stay'],
    ['half a pair \ud800', 'half a pair \ufffd'],
  ])('%j', (text, wanted) => expect(escaped(text)).toBe(wanted))
})

test('what a session counts, by the grammar', () => {
  const text = exposition(familiesOf([{ labels: {}, stats: statsOf() }]), 'openmetrics')
  const values = parsed(text)
  const rule = 'precedence="10",rule="a \\"video\\" \\\\ rule\\n"'
  expect(Object.fromEntries(values)).toMatchObject({
    'atsss_steering_level{atsss_steering_level="userspace"}': 1,
    'atsss_steering_level{atsss_steering_level="none"}': 0,
    'atsss_access_info{access="3gpp",interface="wwan0"}': 1,
    'atsss_access_available{access="non-3gpp"}': 1,
    'atsss_access_bytes_total{access="non-3gpp",direction="received"}': 400,
    'atsss_access_rtt_seconds{access="3gpp",direction="sent"}': 0.0205,
    'atsss_access_loss_ratio{access="3gpp",direction="sent"}': 0.015,
    [`atsss_connections{${rule},protocol="mptcp"}`]: 1,
    [`atsss_connections{${rule},protocol="tcp"}`]: 0,
    [`atsss_rule_bytes_total{${rule},access="non-3gpp",direction="sent"}`]: 3,
    'atsss_connects_total{outcome="mptcp",code=""}': 1,
    'atsss_connects_total{outcome="failed",code="ECONNREFUSED"}': 1,
    atsss_fallbacks_total: 1,
    'atsss_handovers_total{to="3gpp"}': 2,
    'atsss_handover_gap_seconds_bucket{le="0.025"}': 0,
    'atsss_handover_gap_seconds_bucket{le="0.05"}': 1,
    'atsss_handover_gap_seconds_bucket{le="1.0"}': 1,
    'atsss_handover_gap_seconds_bucket{le="2.5"}': 2,
    'atsss_handover_gap_seconds_bucket{le="+Inf"}': 2,
    atsss_handover_gap_seconds_count: 2,
    atsss_handover_gap_seconds_sum: 1.545,
    atsss_handover_last_gap_seconds: 1.5,
    'atsss_degraded_total{what="fallback"}': 1,
  })
  expect([...values.keys()].filter(key => /rtt|loss/.test(key) && key.includes('received'))).toEqual([])
})

test('several sessions have a label each, and what none of them has is left out', () => {
  const quiet = statsOf({ level: undefined, lastHandover: undefined, rules: [], connections: [] })
  const readings = ['up "1"', 'down'].map(session => ({ labels: { session }, stats: quiet }))
  const values = parsed(exposition(familiesOf(readings), 'openmetrics'))
  expect(values.get('atsss_access_bytes_total{session="up \\"1\\"",access="3gpp",direction="sent"}')).toBe(100)
  expect(values.get('atsss_handover_gap_seconds_count{session="down"}')).toBe(2)
  expect([...values.keys()].filter(key => /level|last_gap|rule/.test(key))).toEqual([])
})

test('the older format: counters have their suffix in their type, and there is no end to stand in the way', () => {
  const text = exposition(familiesOf([{ labels: {}, stats: statsOf() }]), 'prometheus')
  expect(text).toContain('# TYPE atsss_access_bytes_total counter\n')
  expect(text).toContain('# TYPE atsss_access_info gauge\n')
  expect(text).toContain('# TYPE atsss_steering_level gauge\n')
  expect(text).not.toMatch(/# (EOF|UNIT)/)
})

test('numbers that are none, or have no end', () => {
  const family: Family = { name: 'a', type: 'gauge', help: '', samples: [] }
  const values = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e21, 0.1]
  const samples = values.map((value, index) => ({ labels: { i: String(index) }, value }))
  const text = exposition([{ ...family, samples }], 'openmetrics')
  expect([...parsed(text).values()].slice(3)).toEqual([1e21, 0.1])
  expect(text).toContain('a{i="0"} NaN\na{i="1"} +Inf\na{i="2"} -Inf\n')
})

test('of a session that runs; what is no session is refused', async () => {
  const server = createServer(socket => socket.on('error', () => {}).pipe(socket)).listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  await once(server, 'listening')
  const session = new MaPduSession({ accesses: { '3gpp': 'none0', 'non-3gpp': 'lo' }, controller: 'inline' })
  onTestFinished(() => session.close())
  const socket = session.connect((server.address() as { port: number }).port, '127.0.0.1')
  socket.write('x'.repeat(1000))
  await once(socket, 'data')
  const values = parsed(metrics(session))
  expect(values.get('atsss_access_bytes_total{access="non-3gpp",direction="sent"}')).toBeGreaterThanOrEqual(1000)
  const open = ['mptcp', 'tcp'].map(protocol =>
    values.get(`atsss_connections{precedence="255",rule="",protocol="${protocol}"}`),
  )
  expect(open.sort()).toEqual([0, 1])
  expect(metrics({ one: session }, { format: 'prometheus' })).toContain('session="one"')
  expect(contentType).toMatch(/^application\/openmetrics-text; version=1\.0\.0/)
  for (const wrong of [undefined, 7, { one: {} }])
    expect(() => metrics(wrong as never)).toThrow(expect.objectContaining({ code: 'ERR_ATSSS_OPTION' }))
  expect(() => metrics(session, { format: 'json' as never })).toThrow(/"format" must be 'openmetrics' or 'prometheus'/)
  socket.destroy()
})
