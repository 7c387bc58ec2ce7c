/** What is known of one subflow, from sample to sample. */

import type { AccessType } from '../../policy/rules/rule.js'
import type { Told } from '../../policy/steering/accesses.js'
import type { SubflowState } from '../../policy/steering/snapshot.js'
import { TCP_STATES } from '../../wire/kernel/tcp-info.js'
import type { SubflowSample } from '../kernel/sampler.js'
import type { SubflowName } from '../network/path-manager.js'
import { type Given, givenTo } from './load.js'

/** What a subflow has carried since the sample before. */
export interface Carriage extends Told, Given {
  access: AccessType
}

export interface Followed extends SubflowState {
  name: SubflowName
  /** By which the peer knows its local address; 0 for the one that the connection began with. */
  localId: number
  /** It was made by a join of ours: the peer has the last word. */
  joined: boolean
  /** Closed here, but not yet by the peer. */
  lingers: boolean
  bytesAcked: number
  bytesSent: number
  bytesRetrans: number
  bytesReceived: number
  notsentBytes: number
}

/** Of one that no sample has shown anything of. */
export const NEW: Omit<SubflowState, 'id' | 'access' | 'backup' | 'madeAt' | 'progressAt'> = {
  state: 'joining',
  heardAt: Number.NEGATIVE_INFINITY,
  outstanding: false,
  unacked: 0,
  window: 0,
  askedAt: Number.NEGATIVE_INFINITY,
  addressGone: false,
  rttMs: 0,
}

/**
 * Takes over what the kernel says of it now. In place: with a thousand connections, new values for old cost more than the rest.
 *
 * @param restedAt when it was last seen to have nothing under way
 */
export function takeOver(subflow: Followed, seen: SubflowSample, now: number, restedAt: number): void {
  const handshake = subflow.state === 'closed' ? 'closed' : stateOf(seen.state)
  const isAccepted = !subflow.joined || seen.segsIn >= ACCEPTED_SEGMENTS
  const state = handshake === 'established' && !isAccepted ? 'joining' : handshake
  const outstanding = state === 'established' && seen.unacked > 0
  const received = seen.bytesReceived > subflow.bytesReceived
  const lately = now - (received ? Math.min(seen.lastAckRecv, seen.lastDataRecv) : seen.lastAckRecv)
  subflow.progressAt = outstanding ? progressAt(subflow, seen, now, restedAt) : now
  if (handshake !== 'joining') subflow.heardAt = Math.max(subflow.heardAt, lately)
  subflow.state = state
  subflow.lingers = state === 'closed' && seen.state !== TCP_STATES.close
  subflow.outstanding = outstanding
  subflow.unacked = outstanding ? seen.unacked : 0
  subflow.window = seen.sndCwnd
  subflow.rttMs = seen.rtt / 1000
  subflow.bytesAcked = seen.bytesAcked
  subflow.bytesSent = seen.bytesSent
  subflow.bytesRetrans = seen.bytesRetrans
  subflow.bytesReceived = seen.bytesReceived
  subflow.notsentBytes = seen.notsentBytes
}

/** Of one that has something outstanding. */
function progressAt(before: Followed, seen: SubflowSample, now: number, restedAt: number): number {
  const since = Math.max(before.progressAt, restedAt)
  // Sent since the look before, which may be a while ago.
  if (!before.outstanding) return Math.max(since, now - seen.lastDataSent)
  const received = seen.bytesReceived > before.bytesReceived
  const progressed = seen.bytesAcked > before.bytesAcked
  // What comes in with data acknowledges too, but says nothing when nothing more is acknowledged.
  return received && !progressed ? since : Math.max(since, now - seen.lastAckRecv)
}

/**
 * The SYN+ACK, and the answer to the third ACK. RFC 8684 §3.2: "sending the ACK/MP_JOIN packet places the subflow in the
 * PRE_ESTABLISHED state, and it moves to the ESTABLISHED state only on receipt of an ACK from the receiver. It is not permitted
 * to send data while in the PRE_ESTABLISHED state". TCP has it established before, when the peer may yet refuse it: Linux does,
 * by a reset, once its side has ended its stream, or has had the end of the other's.
 */
const ACCEPTED_SEGMENTS = 2

function stateOf(state: number): SubflowState['state'] {
  if (state === TCP_STATES.established) return 'established'
  return state === TCP_STATES.synSent || state === TCP_STATES.synRecv ? 'joining' : 'closed'
}

/** What it has carried since `before` was taken over. */
export function carriage(access: AccessType, before: Followed, seen: SubflowSample): Carriage {
  return {
    access,
    rttMs: seen.rtt / 1000,
    acked: seen.bytesAcked - before.bytesAcked,
    sent: seen.bytesSent - before.bytesSent,
    sentAgain: seen.bytesRetrans - before.bytesRetrans,
    received: seen.bytesReceived - before.bytesReceived,
    given: givenTo(seen) - givenTo(before),
    waiting: seen.notsentBytes,
    leastRttMs: seen.minRtt / 1000,
  }
}
