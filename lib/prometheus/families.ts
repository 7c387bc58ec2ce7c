/** A session's counters as metric families. Pure. */
import type { AccessType, Rule } from '../policy/rules/rule.js'
import { BOTH } from '../policy/steering/accesses.js'
import type { Traffic } from '../runtime/steering/rates.js'
import type { SessionStats } from '../session/stats.js'
import { boundOf, type Family, type Sample } from './exposition.js'

/** One session's counters, and the labels that name it. */
export interface Reading {
  labels: Readonly<Record<string, string>>
  stats: SessionStats
}

export function familiesOf(readings: readonly Reading[]): Family[] {
  const each = (of: (stats: SessionStats) => Sample[]): Sample[] =>
    readings.flatMap(({ labels, stats }) => of(stats).map(one => ({ ...one, labels: { ...labels, ...one.labels } })))
  const perAccess = (of: (access: SessionStats['accesses'][AccessType]) => Sample[]) =>
    each(({ accesses }) =>
      BOTH.flatMap(access => of(accesses[access]).map(one => ({ ...one, labels: { access, ...one.labels } }))),
    )
  return [
    {
      name: 'atsss_steering_level',
      type: 'stateset',
      help: 'What can be done about subflows.',
      samples: each(({ level }) =>
        level === undefined
          ? []
          : LEVELS.map(one => ({ labels: { atsss_steering_level: one }, value: Number(one === level) })),
      ),
    },
    {
      name: 'atsss_access',
      type: 'info',
      help: 'The interface that an access uses.',
      samples: perAccess(({ interface: name }) => [{ suffix: '_info', labels: { interface: name }, value: 1 }]),
    },
    {
      name: 'atsss_access_available',
      type: 'gauge',
      help: '1 while the access can be used.',
      samples: perAccess(({ available }) => [plain(Number(available))]),
    },
    {
      name: 'atsss_access_silent',
      type: 'gauge',
      help: '1 while the link is up, but what is sent over it is not acknowledged or answered.',
      samples: perAccess(({ suspected }) => [plain(Number(suspected))]),
    },
    {
      name: 'atsss_access_bytes',
      type: 'counter',
      unit: 'bytes',
      help: 'TCP payload, retransmissions included.',
      samples: perAccess(bytesOf),
    },
    {
      name: 'atsss_access_retransmitted_bytes',
      type: 'counter',
      unit: 'bytes',
      help: 'TCP payload that was sent again.',
      samples: perAccess(({ bytesRetransmitted }) => [total(bytesRetransmitted)]),
    },
    {
      name: 'atsss_access_rtt_seconds',
      type: 'gauge',
      unit: 'seconds',
      help: 'Smoothed round-trip time, with the queue of the direction.',
      samples: perAccess(({ rttMs, receiveRttMs }) => eachWay(rttMs, receiveRttMs, 1e-3)),
    },
    {
      name: 'atsss_access_loss_ratio',
      type: 'gauge',
      unit: 'ratio',
      help: 'Smoothed share of what was lost; of what is received, at least this.',
      samples: perAccess(({ lossPermille, receiveLossPermille }) => eachWay(lossPermille, receiveLossPermille, 1e-3)),
    },
    {
      name: 'atsss_connections',
      type: 'gauge',
      help: 'Open connections.',
      samples: each(({ rules, connections }) =>
        rules.flatMap(({ rule }) =>
          (['mptcp', 'tcp'] as const).map(protocol => {
            const value = connections.filter(
              one => one.protocol === protocol && one.rule?.precedence === rule?.precedence,
            ).length
            return { labels: { ...ruleLabels(rule), protocol }, value }
          }),
        ),
      ),
    },
    {
      name: 'atsss_rule_bytes',
      type: 'counter',
      unit: 'bytes',
      help: 'TCP payload of all connections that were ever under the rule, retransmissions included.',
      samples: each(({ rules }) =>
        rules.flatMap(({ rule, carried }) =>
          BOTH.flatMap(access =>
            bytesOf(carried[access]).map(one => ({
              ...one,
              labels: { ...ruleLabels(rule), access, ...one.labels },
            })),
          ),
        ),
      ),
    },
    {
      name: 'atsss_connects',
      type: 'counter',
      help: 'Connections that were established, by what they were at first, or that failed, by the code of the error.',
      samples: each(({ totals: { connected, failed } }) => [
        total(connected.mptcp, { outcome: 'mptcp', code: '' }),
        total(connected.tcp, { outcome: 'tcp', code: '' }),
        ...Object.entries(failed).map(([code, count]) => total(count, { outcome: 'failed', code })),
      ]),
    },
    {
      name: 'atsss_fallbacks',
      type: 'counter',
      help: 'Connections that became TCP.',
      samples: each(({ fallbacks }) => [total(fallbacks)]),
    },
    {
      name: 'atsss_handovers',
      type: 'counter',
      help: 'Connections that moved entirely to the other access; those that keep percentages do not count.',
      samples: each(({ totals: { handovers } }) => BOTH.map(to => total(handovers[to], { to }))),
    },
    {
      name: 'atsss_handover_gap_seconds',
      type: 'histogram',
      unit: 'seconds',
      help: 'For how long nothing arrived on a connection that moved.',
      samples: each(({ totals: { handoverGaps } }) => [
        ...handoverGaps.buckets.map(({ atMostMs, count }) => bucket(boundOf(atMostMs / 1000), count)),
        bucket('+Inf', handoverGaps.count),
        { suffix: '_count', labels: {}, value: handoverGaps.count },
        { suffix: '_sum', labels: {}, value: handoverGaps.sumMs / 1000 },
      ]),
    },
    {
      name: 'atsss_handover_last_gap_seconds',
      type: 'gauge',
      unit: 'seconds',
      help: 'The gap of the latest handover that interrupted something.',
      samples: each(({ lastHandover }) =>
        lastHandover?.gapMs === undefined ? [] : [plain(lastHandover.gapMs / 1000)],
      ),
    },
    {
      name: 'atsss_degraded',
      type: 'counter',
      help: 'Events `degraded`: less could be done than the rules want.',
      samples: each(({ totals: { degraded } }) =>
        Object.entries(degraded).map(([what, count]) => total(count, { what })),
      ),
    },
  ]
}

const LEVELS = ['userspace', 'kernel', 'shared', 'none'] as const

/** Empty for the connections that no rule matches. */
function ruleLabels(rule: Rule | undefined): Record<string, string> {
  return { precedence: rule === undefined ? '' : String(rule.precedence), rule: rule?.id ?? '' }
}

function bytesOf({ bytesSent, bytesReceived }: Pick<Traffic, 'bytesSent' | 'bytesReceived'>): Sample[] {
  return [total(bytesSent, { direction: 'sent' }), total(bytesReceived, { direction: 'received' })]
}

function eachWay(sent: number | undefined, received: number | undefined, factor: number): Sample[] {
  const one = (value: number | undefined, direction: string): Sample[] =>
    value === undefined ? [] : [{ labels: { direction }, value: value * factor }]
  return [...one(sent, 'sent'), ...one(received, 'received')]
}

function plain(value: number): Sample {
  return { labels: {}, value }
}

function total(value: number, labels: Readonly<Record<string, string>> = {}): Sample {
  return { suffix: '_total', labels, value }
}

function bucket(le: string, value: number): Sample {
  return { suffix: '_bucket', labels: { le }, value }
}
