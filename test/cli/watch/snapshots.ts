/** Snapshots as a session might send them. */

import type { Traffic, TrafficByAccess } from '../../../lib/runtime/steering/rates.js'
import type { Hello, Snapshot, WatchedConnection } from '../../../lib/runtime/watch/messages.js'

export const HELLO: Hello = {
  type: 'hello',
  version: 2,
  pid: 4711,
  title: '/srv/app.js',
  accesses: { '3gpp': { interface: 'wwan0' }, 'non-3gpp': { interface: 'wlan0' } },
  control: true,
  rules: [],
}

export const sent = (bytesSent: number, bytesReceived = 0): Traffic => ({
  bytesSent,
  bytesReceived,
  bytesRetransmitted: 0,
  sendRate: 0,
  receiveRate: undefined,
  sendShare: undefined,
  receiveShare: undefined,
})
/** 2 Mbit/s up and 4 down on cellular, 8 Mbit/s up on Wi-Fi. */
export const BUSY = {
  cell: { sendRate: 2e6, receiveRate: 4e6, sendShare: 20, receiveShare: 100 },
  wifi: { sendRate: 8e6, receiveRate: 0, sendShare: 80, receiveShare: 0 },
}
export const carried = (cell: Traffic, wifi: Traffic): TrafficByAccess => ({ '3gpp': cell, 'non-3gpp': wifi })

/** @param at milliseconds */
export function snapshot(at: number, bytes: TrafficByAccess, change: Partial<Snapshot> = {}): Snapshot {
  const access = {
    ...{ available: true, suspected: false, rttMs: 20, lossPermille: 15 },
    ...{ receiveRttMs: 45, receiveLossPermille: undefined },
  }
  return {
    type: 'snapshot',
    at,
    level: 'userspace',
    accesses: {
      '3gpp': {
        ...access,
        rttMs: undefined,
        lossPermille: undefined,
        receiveRttMs: 95,
        receiveLossPermille: 2,
        why: 'wwan0 is up',
        interface: 'wwan0',
        ...bytes['3gpp'],
      },
      'non-3gpp': { ...access, why: 'wlan0 is up', interface: 'wlan0', ...bytes['non-3gpp'] },
    },
    rules: [
      {
        name: 'handover',
        precedence: 255,
        steering: { mode: 'active-standby', active: 'non-3gpp', standby: '3gpp' },
        traffic: [{ type: 'match-all' }],
        connections: 1,
        handovers: 2,
        carried: bytes,
      },
    ],
    preset: 'handover',
    connections: [connection(1, bytes)],
    connectionsOpen: 1,
    handovers: 2,
    fallbacks: 0,
    ...change,
  }
}

export function connection(id: number, bytes: TrafficByAccess): WatchedConnection {
  const subflow = {
    state: 'established',
    remote: '192.0.2.1:5124',
    rttMs: 20.4,
    receiveRttMs: 95.1,
    deliveryRate: undefined,
    segmentsReceived: 10,
    segmentsOutOfOrder: 0,
  } as const
  return {
    id,
    host: 'example.com',
    port: 443,
    rule: 255,
    protocol: 'mptcp',
    converter: '192.0.2.1:5124',
    convert: '0rtt',
    fallback: undefined,
    interface: 'wlan0',
    handovers: 2,
    carried: bytes,
    subflows: [
      { ...subflow, id: 1, access: 'non-3gpp', backup: false, local: '10.1.0.2:40001', ...bytes['non-3gpp'] },
      { ...subflow, id: 2, access: '3gpp', backup: true, local: '10.2.0.2:40002', ...bytes['3gpp'] },
    ],
  }
}
