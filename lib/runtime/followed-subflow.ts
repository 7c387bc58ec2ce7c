/** What is known of one subflow, from sample to sample. */
import type { Told } from '../policy/accesses.js'
import type { AccessType } from '../policy/rules.js'
import type { SubflowState } from '../policy/snapshot.js'
import { TCP_STATES } from '../wire/tcp-info.js'
import { type Given, givenTo } from './carrying.js'
import type { SubflowName } from './path-manager.js'
import type { SubflowSample } from './sampler.js'

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
  minRttMs: number
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

/** @param restedAt when it was last seen to have nothing under way */
export function next(before: Followed, seen: SubflowSample, now: number, restedAt: number): Followed {
  const handshake = before.state === 'closed' ? 'closed' : stateOf(seen.state)
  const isAccepted = !before.joined || seen.segsIn >= ACCEPTED_SEGMENTS
  const state = handshake === 'established' && !isAccepted ? 'joining' : handshake
  const outstanding = state === 'established' && seen.unacked > 0
  const unacked = outstanding ? seen.unacked : 0
  const received = seen.bytesReceived > before.bytesReceived
  const lately = now - (received ? Math.min(seen.lastAckRecv, seen.lastDataRecv) : seen.lastAckRecv)
  const heardAt = handshake === 'joining' ? before.heardAt : Math.max(before.heardAt, lately)
  const since = Math.max(before.progressAt, restedAt)
  const progressAt = () => {
    if (!outstanding) return now
    // Sent since the look before, which may be a while ago.
    if (!before.outstanding) return Math.max(since, now - seen.lastDataSent)
    const progressed = seen.bytesAcked > before.bytesAcked
    // What comes in with data acknowledges too, but says nothing when nothing more is acknowledged.
    return received && !progressed ? since : Math.max(since, now - seen.lastAckRecv)
  }
  return {
    ...before,
    state,
    lingers: state === 'closed' && seen.state !== TCP_STATES.close,
    outstanding,
    unacked,
    window: seen.sndCwnd,
    heardAt,
    progressAt: progressAt(),
    rttMs: seen.rtt / 1000,
    bytesAcked: seen.bytesAcked,
    bytesSent: seen.bytesSent,
    bytesRetrans: seen.bytesRetrans,
    bytesReceived: seen.bytesReceived,
    notsentBytes: seen.notsentBytes,
    minRttMs: seen.minRtt / 1000,
  }
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

export function carriage(access: AccessType, before: Followed, after: Followed): Carriage {
  return {
    access,
    rttMs: after.rttMs,
    acked: after.bytesAcked - before.bytesAcked,
    sent: after.bytesSent - before.bytesSent,
    sentAgain: after.bytesRetrans - before.bytesRetrans,
    received: after.bytesReceived - before.bytesReceived,
    given: givenTo(after) - givenTo(before),
    waiting: after.notsentBytes,
    leastRttMs: after.minRttMs,
  }
}
