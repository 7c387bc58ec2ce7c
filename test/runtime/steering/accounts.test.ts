/** What is counted for which access and rule, from samples and reports that are values. */
import { describe, expect, test } from 'vitest'
import type { AccessType, Rule } from '../../../lib/policy/rules/rule.js'
import type { SocketSample, SubflowSample } from '../../../lib/runtime/kernel/sampler.js'
import { Accounts } from '../../../lib/runtime/steering/accounts.js'
import type { PeerSays } from '../../../lib/runtime/steering/peer.js'
import type { Traffic } from '../../../lib/runtime/steering/rates.js'
import { NEW } from '../../../lib/runtime/steering/subflow.js'
import {
  type Carried,
  nothingCarried,
  type Past,
  type SubflowReport,
  SubflowReporter,
} from '../../../lib/runtime/steering/subflow-report.js'

const NO_PAST: Past = { localIds: [], subflows: [], ended: nothingCarried() }
const subflow = (id: number, bytesSent: number, bytesReceived = 0, bytesRetrans = 0) =>
  ({ id, bytesSent, bytesReceived, bytesRetrans, rtt: 20_500, deliveryRate: 1000 }) as SubflowSample
const sampleOf = (token: number, ...subflows: SubflowSample[]) => ({ token, errno: 0, subflows }) as SocketSample
const subflowOf = (id: number, access: AccessType, backup = false): SubflowReport => {
  return { id, access, state: 'established', backup, local: '10.0.0.1:1', remote: '10.0.0.2:2' }
}
const sent = (bytesSent: number, bytesReceived = 0, bytesRetransmitted = 0): Carried => {
  return { bytesSent, bytesRetransmitted, bytesReceived }
}
/** As read at the moment at which everything began: without rates. */
const still = (bytesSent: number, bytesReceived = 0, bytesRetransmitted = 0): Traffic => {
  const unknown = { sendRate: undefined, receiveRate: undefined, sendShare: undefined, receiveShare: undefined }
  return { ...sent(bytesSent, bytesReceived, bytesRetransmitted), ...unknown }
}
const rule = (precedence: number) => ({ precedence, id: `r${precedence}` }) as Rule
const [FIRST, SECOND] = [rule(1), rule(2)]

describe('accounts', () => {
  const samples = new Map<number, SocketSample>()
  let now = 0
  const opened = (fd: number, token: number | undefined, of: Rule | undefined = FIRST) => {
    now = 0
    const accounts = new Accounts<string>(
      fds => Array.from(fds, one => samples.get(one)!),
      () => now,
    )
    const place = { host: 'example.com', port: 443 }
    accounts.add({ socket: 's', ...place, rule: of, fd, token, access: 'non-3gpp' })
    return accounts
  }
  const report = (accounts: Accounts<string>, subflows: SubflowReport[], ended = nothingCarried()) =>
    accounts.update({ event: 'subflows', token: 7, subflows, ended, past: { ...NO_PAST, ended } })

  test('each subflow counts on its access; a subflow that is not reported yet, on the access where the connection began', () => {
    const accounts = opened(3, 7)
    samples.set(3, sampleOf(7, subflow(1, 100, 50, 10)))
    expect(accounts.read([]).rules).toEqual([
      { rule: FIRST, connections: 1, handovers: 0, carried: { '3gpp': still(0), 'non-3gpp': still(100, 50, 10) } },
    ])
    report(accounts, [subflowOf(1, 'non-3gpp'), subflowOf(2, '3gpp', true)])
    samples.set(3, sampleOf(7, subflow(1, 150, 50, 10), subflow(2, 40)))
    const { connections, rules } = accounts.read([])
    expect(rules[0]!.carried).toEqual({ '3gpp': still(40), 'non-3gpp': still(150, 50, 10) })
    expect(connections[0]).toMatchObject({
      protocol: 'mptcp',
      subflows: [
        { id: 1, access: 'non-3gpp', backup: false, rttMs: 20.5, deliveryRate: 8000, bytesSent: 150 },
        { id: 2, access: '3gpp', backup: true, bytesSent: 40 },
      ],
    })
  })

  test('a connection that fell back to TCP still counts, as TCP', () => {
    const accounts = opened(3, 7)
    report(accounts, [subflowOf(1, 'non-3gpp')])
    samples.set(3, sampleOf(7, subflow(1, 100)))
    accounts.read([])
    accounts.fellBack('s')
    accounts.fellBack('s')
    samples.set(3, sampleOf(0, subflow(0, 250)))
    const { connections, rules } = accounts.read([])
    expect(connections).toMatchObject([{ protocol: 'tcp', subflows: [{ id: 0, access: 'non-3gpp' }] }])
    expect(rules[0]!.carried).toEqual({ '3gpp': still(0), 'non-3gpp': still(250) })
    expect(accounts.fallbacks).toBe(1)
  })

  test('ended subflows and closed connections still count, once', () => {
    const accounts = opened(3, 7)
    report(accounts, [subflowOf(1, 'non-3gpp')])
    samples.set(3, sampleOf(7, subflow(1, 100)))
    accounts.read([])
    report(accounts, [subflowOf(2, '3gpp')], { '3gpp': sent(0), 'non-3gpp': sent(120) })
    samples.set(3, sampleOf(7, subflow(2, 30)))
    for (const _ of [1, 2])
      expect(accounts.read([]).rules[0]!.carried).toEqual({ '3gpp': still(30), 'non-3gpp': still(120) })
    samples.set(3, sampleOf(7, subflow(2, 35)))
    accounts.remove('s')
    samples.set(3, sampleOf(99, subflow(1, 1_000_000)))
    const { rules, connections } = accounts.read([])
    expect(connections).toEqual([])
    expect(rules[0]).toMatchObject({ connections: 0, carried: { '3gpp': still(35), 'non-3gpp': still(120) } })
  })

  test('a subflow that ended before its event: no counter decreases, and nothing is lost when the connection ends', () => {
    const accounts = opened(3, 7)
    report(accounts, [subflowOf(1, 'non-3gpp'), subflowOf(2, '3gpp')])
    samples.set(3, sampleOf(7, subflow(1, 100), subflow(2, 30)))
    accounts.read([])
    samples.set(3, sampleOf(7, subflow(2, 40)))
    const { connections, rules } = accounts.read([])
    expect(rules[0]!.carried).toEqual({ '3gpp': still(40), 'non-3gpp': still(100) })
    expect(connections[0]!.carried).toEqual({ '3gpp': still(40), 'non-3gpp': still(100) })
    accounts.remove('s')
    expect(accounts.read([]).rules[0]!.carried).toEqual({ '3gpp': still(40), 'non-3gpp': still(100) })
  })

  test('after a change of rule, new bytes count for the new rule', () => {
    const accounts = opened(3, 7)
    report(accounts, [subflowOf(1, 'non-3gpp')])
    samples.set(3, sampleOf(7, subflow(1, 100)))
    accounts.assign('s', SECOND)
    samples.set(3, sampleOf(7, subflow(1, 130)))
    accounts.assign('s', undefined)
    samples.set(3, sampleOf(7, subflow(1, 135)))
    const { rules } = accounts.read([FIRST, SECOND, rule(3)])
    expect(rules.map(one => [one.rule?.precedence, one.connections, one.carried['non-3gpp'].bytesSent])).toEqual([
      [1, 0, 100],
      [2, 0, 30],
      [3, 0, 0],
      [undefined, 1, 5],
    ])
  })

  test('a handover is a complete move; using both accesses is none', () => {
    const accounts = opened(3, 7)
    samples.set(3, sampleOf(7))
    const [wifi, cell] = [subflowOf(1, 'non-3gpp'), subflowOf(2, '3gpp')]
    const backup = { ...cell, backup: true }
    for (const now of [[wifi], [wifi, backup], [wifi, cell], [{ ...wifi, state: 'closed' as const }, cell]])
      report(accounts, now)
    expect(accounts.read([]).connections[0]!.handovers).toBe(1)
    for (const now of [[cell], [wifi, cell], [], [cell], [wifi, backup]]) report(accounts, now)
    const { connections, rules } = accounts.read([])
    expect([connections[0]!.handovers, rules[0]!.handovers]).toEqual([2, 2])
  })

  test('TCP counts on the access that it stays on; a descriptor that now belongs to another connection does not count', () => {
    const accounts = opened(3, undefined)
    samples.set(3, { ...sampleOf(0, subflow(0, 10)), errno: 95 })
    const { connections, rules } = accounts.read([])
    expect([accounts.fallbacks, connections[0]!.protocol]).toEqual([1, 'tcp'])
    expect(rules[0]!.carried['non-3gpp']).toEqual(still(10))
    samples.set(3, sampleOf(8, subflow(1, 1_000)))
    expect(accounts.read([]).rules[0]!.carried['non-3gpp']).toEqual(still(10))
  })

  test('rates and shares, in each direction: of subflows, connections, rules and accesses', () => {
    const accounts = opened(3, 7)
    report(accounts, [subflowOf(1, 'non-3gpp'), subflowOf(2, '3gpp')])
    samples.set(3, sampleOf(7, subflow(1, 0), subflow(2, 0)))
    expect(accounts.read([]).carried).toEqual({ '3gpp': still(0), 'non-3gpp': still(0) })
    now = 500
    samples.set(3, sampleOf(7, subflow(1, 50_000, 12_500), subflow(2, 12_500)))
    const { connections, rules, carried } = accounts.read([])
    const wifi = { sendRate: 800_000, sendShare: 80, receiveRate: 200_000, receiveShare: 100 }
    const cell = { sendRate: 200_000, sendShare: 20, receiveRate: 0, receiveShare: 0 }
    for (const found of [carried, rules[0]!.carried, connections[0]!.carried])
      expect(found).toMatchObject({ '3gpp': cell, 'non-3gpp': wifi })
    expect(connections[0]!.subflows).toMatchObject([wifi, cell])
    // Nothing more has moved: after a moment the rate is of a time in which nothing did, and the shares are of nothing.
    for (now of [1_000, 2_000, 3_100]) accounts.read([])
    now = 3_200
    const none = { sendRate: 0, sendShare: undefined, receiveRate: 0, receiveShare: undefined }
    expect(accounts.read([]).carried).toMatchObject({ '3gpp': none, 'non-3gpp': none })
  })

  test('rates do not depend on when they are first read, nor on a change of rule', () => {
    const accounts = opened(3, 7)
    const second = (to: number) => {
      now = to * 1_000
      samples.set(3, sampleOf(7, subflow(1, to * 1_000_000)))
    }
    for (const to of [3, 5]) {
      second(to)
      const found = accounts.read([])
      expect([found.carried, found.rules[0]!.carried].map(each => each['non-3gpp'].sendRate)).toEqual([8e6, 8e6])
    }
    accounts.assign('s', SECOND)
    second(7)
    expect(accounts.read([]).rules.map(({ carried }) => carried['non-3gpp'].sendRate)).toEqual([0, 8e6])
  })

  test('what the kernel does not know of a subflow is absent', () => {
    const accounts = opened(3, 7)
    const nothing = { rtt: 0, deliveryRate: 0, receiveRtt: 0, dataSegsIn: undefined, outOfOrder: undefined }
    samples.set(3, sampleOf(7, { ...subflow(1, 0), ...nothing } as SubflowSample))
    const [unknown] = accounts.read([]).connections[0]!.subflows
    const keys = 'rttMs receiveRttMs deliveryRate segmentsReceived segmentsOutOfOrder sendRate receiveShare'.split(' ')
    expect(keys.filter(key => key in JSON.parse(JSON.stringify(unknown)))).toEqual([])
    samples.set(3, sampleOf(7, { ...subflow(1, 0), receiveRtt: 45_000, dataSegsIn: 9, outOfOrder: 2 } as SubflowSample))
    expect(accounts.read([]).connections[0]!.subflows).toMatchObject([
      { rttMs: 20.5, receiveRttMs: 45, segmentsReceived: 9, segmentsOutOfOrder: 2 },
    ])
  })
})

describe('what the steering loop reports', () => {
  const connection = (token: number, ...subflows: SubflowReport[]) => {
    return {
      token,
      subflows: subflows.map(one => ({ ...NEW, createdAt: 0, progressAt: 0, ...one })),
      peer: { version: 0 },
      past: undefined as Past | undefined,
      handover: NO_PAST,
      name: () => undefined,
    }
  }

  test('only changes, and what closed subflows had carried', () => {
    const reporter = new SubflowReporter()
    const both = connection(7, subflowOf(1, 'non-3gpp'), subflowOf(2, '3gpp', true))
    expect(reporter.note(both, sampleOf(7, subflow(1, 1), subflow(2, 2)))).toMatchObject({
      event: 'subflows',
      token: 7,
      subflows: [{ id: 1 }, { id: 2, backup: true }],
    })
    expect(reporter.note(both, sampleOf(7, subflow(1, 100, 5, 1), subflow(2, 2)))).toBeUndefined()
    const left = connection(7, subflowOf(2, '3gpp'))
    expect(reporter.note(left, sampleOf(7, subflow(2, 3)))).toMatchObject({
      subflows: [{ id: 2, backup: false }],
      ended: { '3gpp': sent(0), 'non-3gpp': sent(100, 5, 1) },
    })
    expect(reporter.note(left, sampleOf(7, subflow(2, 9)))).toBeUndefined()
  })

  test('a join that no sample has shown yet is not reported', () => {
    const reporter = new SubflowReporter()
    const joining = connection(7, subflowOf(1, 'non-3gpp'), { ...subflowOf(-1, '3gpp'), state: 'joining' })
    expect(reporter.note(joining, sampleOf(7, subflow(1, 1)))?.subflows).toHaveLength(1)
    expect(reporter.note(joining, sampleOf(7, subflow(1, 2)))).toBeUndefined()
  })

  test('where a peer listens, once that is known, for a loop that takes over', () => {
    const reporter = new SubflowReporter()
    const incoming = connection(7, subflowOf(1, 'non-3gpp'))
    reporter.note(incoming, sampleOf(7, subflow(1, 1)))
    const says: PeerSays = { announced: [[1, { address: '192.0.2.1', port: 443 }]] }
    const later = { ...incoming, peer: { version: 1 }, handover: { ...NO_PAST, peer: says } }
    expect(reporter.note(later, sampleOf(7, subflow(1, 1)))?.past).toMatchObject({ peer: says })
  })

  test('a loop that takes over goes on counting closed subflows', () => {
    const reporter = new SubflowReporter()
    const ended = { ...nothingCarried(), '3gpp': sent(30) }
    const one = { ...connection(7, subflowOf(1, 'non-3gpp')), past: { ...NO_PAST, ended } }
    expect(reporter.note(one, sampleOf(7, subflow(1, 1)))).toMatchObject({ ended, past: { ended } })
    expect(reporter.note(connection(7), sampleOf(7))?.ended).toEqual({ '3gpp': sent(30), 'non-3gpp': sent(1) })
  })
})
