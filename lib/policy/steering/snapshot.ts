/**
 * What policy sees: accesses and subflows at one moment. Plain values, which the steering loop updates for each scan; policy
 * keeps none of them. Times are milliseconds on one clock.
 */
import type { AccessType } from '../rules/rule.js'

/** One of the two accesses, as a whole. */
export interface AccessState {
  /** Whether it can be used: the link is up, has an address, and what is sent over it is acknowledged or answered. */
  available: boolean
  /** The link is up, but what is sent over it is not acknowledged or answered: it is only tried with a new subflow now and then. */
  suspected: boolean
  /** Why it is available, or not; for people to read. */
  why: string
  /** When it last became unavailable; `-Infinity`: never. */
  lostAt: number
  /** Smoothed round-trip time over the subflows of this access. Undefined: never measured. */
  rttMs: number | undefined
  /** When that was measured; `-Infinity`: never. */
  rttAt: number
  /**
   * Smoothed round-trip time of what is received, with the queue that it waits in: at least this. Undefined: too little was ever
   * received to measure it.
   */
  receiveRttMs: number | undefined
  /** When that was measured; `-Infinity`: never. */
  receiveRttAt: number
  /** Smoothed share of bytes that were retransmitted, in tenths of a percent. Undefined: not measured lately. */
  lossPermille: number | undefined
  /** Smoothed share of received segments that had been lost before: at least this, in tenths of a percent. Undefined: not measured lately. */
  receiveLossPermille: number | undefined
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
  /** Its access uses another interface by now. */
  superseded: boolean
  /** It is from before the machine was suspended: NATs on its way may have forgotten it. */
  outdated: boolean
  /** Smoothed; 0: not measured yet. */
  rttMs: number
  /** What data was received on it. */
  reception: Reception
  /** When this side last requested a change of its backup flag; `-Infinity`: never. */
  flaggedAt: number
  /** By when data should be received on it, since the peer's data is to come over it from now on; `Infinity`: none is expected. */
  dueAt: number
  /** It was made to find out whether its access carries anything, and is destroyed once it is established. */
  isProbe: boolean
}

/** What is known of the data received on a subflow, from sample to sample. */
export interface Reception {
  /** When data was last received; `-Infinity`: never. */
  at: number
  /** All segments with data received so far. */
  segments: number
  /** Segments with data received lately, as of `at`: older ones weigh less. */
  recent: number
  /** The longest time between two of them, in milliseconds, after which data was received again: older ones weigh less. */
  pauseMs: number
  /** The longest time without data that a sample has shown, in milliseconds: older ones weigh less. */
  gapMs: number
  /** A sample has shown a pause since `at`. */
  paused: boolean
  /** The kernel has estimated the round-trip time of this direction at least once. */
  hasEstimate: boolean
  /**
   * The round-trip time of the received direction, in milliseconds, with the queue that the data waits in: at least this.
   * Undefined: too little is received to measure it.
   */
  rttMs: number | undefined
}

/** How a connection uses an access. */
export type Use = 'active' | 'backup' | 'none'

export type Uses = Readonly<Record<AccessType, Use>>
