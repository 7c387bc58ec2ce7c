/**
 * What policy sees: accesses and subflows at one moment. Plain values, which the steering loop updates for each scan; policy
 * keeps none of them. Times are milliseconds on one clock.
 */
import type { AccessType } from '../rules/rule.js'

/** One of the two accesses, as a whole. */
export interface AccessState {
  /** Whether it can be used: the link is up, has an address, and what is sent over it is acknowledged. */
  available: boolean
  /** The link is up, but what is sent over it is not acknowledged: it is only tried with a new subflow now and then. */
  suspected: boolean
  /** Why it is available, or not; for people to read. */
  why: string
  /** When it last became unavailable; `-Infinity`: never. */
  lostAt: number
  /** Smoothed round-trip time over the subflows of this access. Undefined: never measured. */
  rttMs: number | undefined
  /** When that was measured; `-Infinity`: never. */
  rttAt: number
  /** Smoothed share of bytes that were retransmitted, in tenths of a percent. Undefined: not measured lately. */
  lossPermille: number | undefined
  /** What the session's connections send and receive over it, including retransmissions; smoothed. */
  bytesPerSecond: number
}

export type Accesses = Readonly<Record<AccessType, AccessState>>

export interface SubflowState {
  /** Unique in its connection, and never reused. */
  id: number
  /** Undefined: its address belongs to neither access (an endpoint made by others). It is never changed. */
  access: AccessType | undefined
  /** `joining`: requested, or in its handshake, which ends with the peer's answer to the third ACK. */
  state: 'joining' | 'established' | 'closed'
  /** As last requested by this side. The kernel handles the requests of the peer. */
  backup: boolean
  /** When it was requested. */
  createdAt: number
  /** When anything was last received on it; `-Infinity`: never. */
  receivedAt: number
  /** When it last showed that what is sent on it arrives (by an acknowledgement of more, or a bare one), or had nothing to show. */
  progressAt: number
  /** Whether anything sent on it awaits an acknowledgement. */
  outstanding: boolean
  /** How many segments that are. */
  unacked: number
  /** Its congestion window, in segments. */
  window: number
  /** When this side last asked over it what has arrived; `-Infinity`: never. */
  askedAt: number
  /** The access has lost the local address of this subflow, so nothing is received on it. */
  addressGone: boolean
  /** Smoothed; 0: not measured yet. */
  rttMs: number
}

/** How a connection uses an access. */
export type Use = 'active' | 'backup' | 'none'

export type Uses = Readonly<Record<AccessType, Use>>
