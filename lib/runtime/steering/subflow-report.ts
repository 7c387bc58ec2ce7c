/**
 * What the steering loop tells of a connection's subflows, for counting: whose access each is, whether it is a backup, and
 * what the ones that have gone had carried. The kernel tells nobody else.
 */

import { hostAndPort, plainAddress } from '../../input/addresses.js'
import type { AccessType } from '../../policy/rules/rule.js'
import { BOTH } from '../../policy/steering/accesses.js'
import type { SubflowState } from '../../policy/steering/snapshot.js'
import type { SocketSample, SubflowSample } from '../kernel/sampler.js'
import type { SubflowName } from '../network/path-manager.js'

/** Bytes. */
export interface Carried {
  /** Retransmissions included. */
  bytesSent: number
  bytesRetransmitted: number
  bytesReceived: number
}

export type CarriedByAccess = Record<AccessType, Carried>

export interface SubflowTold {
  /** As in the samples. */
  id: number
  /** Undefined: neither access' address. */
  access: AccessType | undefined
  state: SubflowState['state']
  backup: boolean
  local: string
  remote: string
}

export interface SubflowsTold {
  event: 'subflows'
  token: number
  subflows: SubflowTold[]
  /** What the ones that are no more had carried. */
  ended: CarriedByAccess
}

/** What a connection is, as far as this is concerned. */
interface Connection {
  readonly token: number
  readonly subflows: readonly SubflowState[]
  name(id: number): SubflowName | undefined
}

interface Known {
  access: AccessType | undefined
  state: SubflowState['state']
  backup: boolean
  counters: Carried
}

interface Entry {
  known: Map<number, Known>
  ended: CarriedByAccess
}

export class SubflowTelling {
  readonly #entries = new Map<number, Entry>()

  /** @returns what is to be told; undefined where nothing has changed but counters */
  note(connection: Connection, sample: SocketSample): SubflowsTold | undefined {
    const { token } = connection
    let entry = this.#entries.get(token)
    if (!entry) {
      entry = { known: new Map(), ended: nothingCarried() }
      this.#entries.set(token, entry)
    }
    const { known, ended } = entry
    let changed = false
    let there = 0
    for (const { id, access, state, backup } of connection.subflows) {
      const seen = sample.subflows.find(subflow => subflow.id === id)
      if (!seen) continue
      there++
      const one = known.get(id)
      if (one && one.state === state && one.backup === backup && one.access === access) count(one.counters, seen)
      else {
        known.set(id, { access, state, backup, counters: countersOf(seen) })
        changed = true
      }
    }
    if (known.size > there)
      for (const [id, { access, counters }] of known) {
        if (sample.subflows.some(subflow => subflow.id === id)) continue
        known.delete(id)
        if (access) ended[access] = sumOf(ended[access], counters)
        changed = true
      }
    if (!changed) return undefined
    const subflows = [...known].map(([id, { access, state, backup }]): SubflowTold => {
      const name = connection.name(id)
      return { id, access, state, backup, local: addressOf(name?.local), remote: addressOf(name?.remote) }
    })
    return { event: 'subflows', token, subflows, ended: { ...ended } }
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

/** Of two readings of the same counters, which only grow. */
export function mostOf(a: Carried, b: Carried): Carried {
  return {
    bytesSent: Math.max(a.bytesSent, b.bytesSent),
    bytesRetransmitted: Math.max(a.bytesRetransmitted, b.bytesRetransmitted),
    bytesReceived: Math.max(a.bytesReceived, b.bytesReceived),
  }
}

/** The accesses that are given new data: those with an established subflow that is no backup. */
export function carriers(subflows: readonly Pick<SubflowTold, 'access' | 'state' | 'backup'>[]): AccessType[] {
  return BOTH.filter(access =>
    subflows.some(subflow => subflow.access === access && subflow.state === 'established' && !subflow.backup),
  )
}

const NOTHING: Carried = { bytesSent: 0, bytesRetransmitted: 0, bytesReceived: 0 }

function addressOf(end: { address: string; port: number } | undefined): string {
  return end === undefined ? '' : hostAndPort(plainAddress(end.address), end.port)
}
