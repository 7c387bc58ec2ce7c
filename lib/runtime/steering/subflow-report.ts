/**
 * Reports the subflows of a connection to the session, for its statistics: the access and the backup flag of each, and the
 * byte counts of closed subflows, which the kernel does not keep.
 */

import { hostAndPort, plainAddress } from '../../input/addresses.js'
import type { AccessType } from '../../policy/rules/rule.js'
import { BOTH } from '../../policy/steering/accesses.js'
import type { SubflowState } from '../../policy/steering/snapshot.js'
import type { SocketSample, SubflowSample } from '../kernel/sampler.js'
import type { AddressPort, SubflowName } from '../network/path-manager.js'
import type { Announcement } from './own-announcements.js'
import type { PeerSays } from './peer.js'

/** Bytes. */
export interface Carried {
  /** Including retransmissions. */
  bytesSent: number
  bytesRetransmitted: number
  bytesReceived: number
}

export type CarriedByAccess = Record<AccessType, Carried>

export interface SubflowReport {
  /** As in the samples. */
  id: number
  /** Undefined: its address belongs to neither access. */
  access: AccessType | undefined
  state: SubflowState['state']
  backup: boolean
  /** `address:port`. */
  local: string
  /** `address:port`. */
  remote: string
}

/** What the kernel does not report of a connection: a loop that takes over has to learn it from the one before. */
export interface Past {
  /** What its peer has said; none by default. */
  peer?: PeerSays
  /** The ids of its local addresses. */
  localIds: [address: string, id: number][]
  /** The addresses that it has announced, where the kernel needs that; none by default. */
  announced?: [address: string, Announcement][]
  subflows: (Pick<SubflowReport, 'id' | 'backup'> & { localId: number; interfaceIndex: number })[]
  /** What the subflows that have ended had carried. */
  ended: CarriedByAccess
}

export interface SubflowsReport {
  event: 'subflows'
  token: number
  subflows: SubflowReport[]
  /** What the subflows that have ended had carried. */
  ended: CarriedByAccess
  /** For another loop that takes over. */
  past: Past
}

/** What is reported of a connection. */
interface Connection {
  readonly token: number
  readonly subflows: readonly SubflowState[]
  readonly peer: { readonly version: number }
  readonly past: Past | undefined
  readonly handover: Omit<Past, 'ended'>
  name(id: number): SubflowName | undefined
}

interface Known {
  access: AccessType | undefined
  state: SubflowState['state']
  backup: boolean
  counters: Carried
}

interface Entry {
  /** The version of what the peer has said. */
  peer: number
  known: Map<number, Known>
  ended: CarriedByAccess
}

export class SubflowReporter {
  readonly #entries = new Map<number, Entry>()

  /** @returns undefined if nothing but counters has changed */
  note(connection: Connection, sample: SocketSample): SubflowsReport | undefined {
    const { token } = connection
    const { version } = connection.peer
    let entry = this.#entries.get(token)
    if (!entry) {
      entry = { peer: version, known: new Map(), ended: { ...(connection.past?.ended ?? nothingCarried()) } }
      this.#entries.set(token, entry)
    }
    const { known, ended } = entry
    let changed = entry.peer !== version
    entry.peer = version
    let present = 0
    for (const { id, access, state, backup } of connection.subflows) {
      const seen = sample.subflows.find(subflow => subflow.id === id)
      if (!seen) continue
      present++
      const one = known.get(id)
      if (one && one.state === state && one.backup === backup && one.access === access) count(one.counters, seen)
      else {
        known.set(id, { access, state, backup, counters: countersOf(seen) })
        changed = true
      }
    }
    if (known.size > present)
      for (const [id, { access, counters }] of known) {
        if (sample.subflows.some(subflow => subflow.id === id)) continue
        known.delete(id)
        if (access) ended[access] = sumOf(ended[access], counters)
        changed = true
      }
    if (!changed) return undefined
    const subflows = [...known].map(([id, { access, state, backup }]): SubflowReport => {
      const name = connection.name(id)
      return { id, access, state, backup, local: addressOf(name?.local), remote: addressOf(name?.remote) }
    })
    const carried = { ...ended }
    return { event: 'subflows', token, subflows, ended: carried, past: { ...connection.handover, ended: carried } }
  }

  forget(token: number): void {
    this.#entries.delete(token)
  }
}

export function countersOf(subflow: SubflowSample): Carried {
  const { bytesSent, bytesRetrans, bytesReceived } = subflow
  return { bytesSent, bytesRetransmitted: bytesRetrans, bytesReceived }
}

/** As `countersOf`, in place. */
function count(counters: Carried, { bytesSent, bytesRetrans, bytesReceived }: SubflowSample): void {
  counters.bytesSent = bytesSent
  counters.bytesRetransmitted = bytesRetrans
  counters.bytesReceived = bytesReceived
}

export function nothingCarried(): CarriedByAccess {
  return { '3gpp': { ...NOTHING }, 'non-3gpp': { ...NOTHING } }
}

export function sumOf(a: Carried, b: Carried, factor = 1): Carried {
  return {
    bytesSent: a.bytesSent + factor * b.bytesSent,
    bytesRetransmitted: a.bytesRetransmitted + factor * b.bytesRetransmitted,
    bytesReceived: a.bytesReceived + factor * b.bytesReceived,
  }
}

/** The later of two readings of counters that only grow. */
export function mostOf(a: Carried, b: Carried): Carried {
  return {
    bytesSent: Math.max(a.bytesSent, b.bytesSent),
    bytesRetransmitted: Math.max(a.bytesRetransmitted, b.bytesRetransmitted),
    bytesReceived: Math.max(a.bytesReceived, b.bytesReceived),
  }
}

/** The accesses that get new data: those with an established subflow that is not a backup. */
export function carriers(subflows: readonly Pick<SubflowReport, 'access' | 'state' | 'backup'>[]): AccessType[] {
  return BOTH.filter(access =>
    subflows.some(subflow => subflow.access === access && subflow.state === 'established' && !subflow.backup),
  )
}

const NOTHING: Carried = { bytesSent: 0, bytesRetransmitted: 0, bytesReceived: 0 }

function addressOf(end: AddressPort | undefined): string {
  return end === undefined ? '' : hostAndPort(plainAddress(end.address), end.port)
}
