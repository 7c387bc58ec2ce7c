/** What is known of one subflow, from sample to sample. */

import type { AccessType } from '../../policy/rules/rule.js'
import type { Transfer } from '../../policy/steering/accesses.js'
import { NOTHING_RECEIVED, received } from '../../policy/steering/reception.js'
import type { SubflowState } from '../../policy/steering/snapshot.js'
import { TCP_STATES } from '../../wire/kernel/tcp-info.js'
import type { SubflowSample } from '../kernel/sampler.js'
import type { SubflowName } from '../network/path-manager.js'
import { assignedTo, type SubflowLoad } from './load.js'

/** What a subflow has transferred since the sample before. */
export interface SubflowTransfer extends Transfer, SubflowLoad {
  access: AccessType
}

export interface SteeredSubflow extends SubflowState {
  name: SubflowName
  /** The id by which the peer knows its local address; 0 for the subflow that the connection began with. */
  localId: number
  /** Of the interface that it is bound to, as it was requested or as the kernel reports; 0: none, or not known. */
  interfaceIndex: number
  /** It was made by a join of this side: the peer completes its handshake. */
  joined: boolean
  /** Closed here, but not by the peer yet. */
  lingers: boolean
  bytesAcked: number
  bytesSent: number
  bytesRetrans: number
  bytesReceived: number
  notsentBytes: number
  outOfOrder: number
}

/** A subflow that no sample has shown anything of. */
export const NEW: Omit<SubflowState, 'id' | 'access' | 'backup' | 'createdAt' | 'progressAt'> = {
  state: 'joining',
  receivedAt: Number.NEGATIVE_INFINITY,
  outstanding: false,
  unacked: 0,
  window: 0,
  askedAt: Number.NEGATIVE_INFINITY,
  addressGone: false,
  superseded: false,
  outdated: false,
  rttMs: 0,
  reception: NOTHING_RECEIVED,
  flaggedAt: Number.NEGATIVE_INFINITY,
  dueAt: Number.POSITIVE_INFINITY,
  isProbe: false,
}

/**
 * Applies a sample to a subflow. In place: with a thousand connections, making new values would cost more than all the rest.
 *
 * @param idleAt when the connection was last seen with nothing outstanding, or was not looked at for long before
 */
export function applySample(subflow: SteeredSubflow, sample: SubflowSample, now: number, idleAt: number): void {
  const handshake = subflow.state === 'closed' ? 'closed' : stateOf(sample.state)
  const isAccepted = !subflow.joined || sample.segsIn >= ACCEPTED_SEGMENTS
  const state = handshake === 'established' && !isAccepted ? 'joining' : handshake
  const outstanding = state === 'established' && sample.unacked > 0
  const isNew = sample.bytesReceived > subflow.bytesReceived
  const receivedAt = now - (isNew ? Math.min(sample.lastAckRecv, sample.lastDataRecv) : sample.lastAckRecv)
  subflow.progressAt = outstanding ? progressAt(subflow, sample, now, idleAt) : now
  if (handshake !== 'joining') subflow.receivedAt = Math.max(subflow.receivedAt, receivedAt)
  if (subflow.receivedAt > subflow.flaggedAt) subflow.dueAt = Number.POSITIVE_INFINITY
  subflow.state = state
  subflow.lingers = state === 'closed' && sample.state !== TCP_STATES.close
  subflow.outstanding = outstanding
  subflow.unacked = outstanding ? sample.unacked : 0
  subflow.window = sample.sndCwnd
  subflow.rttMs = sample.rtt / 1000
  subflow.bytesAcked = sample.bytesAcked
  subflow.bytesSent = sample.bytesSent
  subflow.bytesRetrans = sample.bytesRetrans
  subflow.bytesReceived = sample.bytesReceived
  subflow.notsentBytes = sample.notsentBytes
  subflow.outOfOrder = sample.outOfOrder ?? 0
  const { dataSegsIn, lastDataRecv, receiveRtt = 0 } = sample
  if (dataSegsIn === undefined) return
  subflow.reception = received(
    subflow.reception,
    { segments: dataSegsIn, sinceMs: lastDataRecv, rttMs: receiveRtt / 1000 },
    now,
  )
}

/** What a subflow has transferred since `before`, the last sample applied. */
export function transferSince(access: AccessType, before: SteeredSubflow, sample: SubflowSample): SubflowTransfer {
  return {
    access,
    rttMs: sample.rtt / 1000,
    acked: sample.bytesAcked - before.bytesAcked,
    sent: sample.bytesSent - before.bytesSent,
    retransmitted: sample.bytesRetrans - before.bytesRetrans,
    received: sample.bytesReceived - before.bytesReceived,
    receiveRttMs: before.reception.rttMs,
    segments: sample.dataSegsIn === undefined ? undefined : sample.dataSegsIn - before.reception.segments,
    outOfOrder: sample.outOfOrder === undefined ? undefined : sample.outOfOrder - before.outOfOrder,
    assigned: assignedTo(sample) - assignedTo(before),
    queued: sample.notsentBytes,
    minRttMs: sample.minRtt === NO_MIN_RTT ? 0 : sample.minRtt / 1000,
  }
}

/** What the kernel reports before it has measured one (`tcp_init_sock`: `minmax_reset(&tp->rtt_min, tcp_jiffies32, ~0U)`). */
const NO_MIN_RTT = 0xffff_ffff

/** For a subflow with something outstanding. */
function progressAt(before: SteeredSubflow, sample: SubflowSample, now: number, idleAt: number): number {
  const since = Math.max(before.progressAt, idleAt)
  // Sent since the sample before, which may be a while ago.
  if (!before.outstanding) return Math.max(since, now - sample.lastDataSent)
  const received = sample.bytesReceived > before.bytesReceived
  const progressed = sample.bytesAcked > before.bytesAcked
  // Incoming data carries an acknowledgement too, but shows nothing unless that acknowledges more than before.
  return received && !progressed ? since : Math.max(since, now - sample.lastAckRecv)
}

/**
 * The SYN+ACK, and the answer to the third ACK. RFC 8684 §3.2: "sending the ACK/MP_JOIN packet places the subflow in the
 * PRE_ESTABLISHED state, and it moves to the ESTABLISHED state only on receipt of an ACK from the receiver. It is not permitted
 * to send data while in the PRE_ESTABLISHED state". TCP is established before that, when the peer may still refuse the subflow:
 * Linux does so by a reset, once its side has ended its stream, or has received the end of the other's.
 */
const ACCEPTED_SEGMENTS = 2

function stateOf(state: number): SubflowState['state'] {
  if (state === TCP_STATES.established) return 'established'
  return state === TCP_STATES.synSent || state === TCP_STATES.synRecv ? 'joining' : 'closed'
}
