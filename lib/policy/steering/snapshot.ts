/**
 * What policy sees: accesses, connections and their subflows at one moment. Plain values, brought up to date for each pass by
 * whoever observes, so that policy keeps none of them; times are milliseconds on one clock.
 */
import type { AccessType } from '../rules/rule.js'

/** One of the two accesses, as a whole. */
export interface AccessState {
  /** Whether packets can leave by it: the link is up, there is an address, and it is not suspected of silence. */
  available: boolean
  /** The link is there, but what is sent over it is not acknowledged: worth a new subflow now and then, nothing else. */
  suspected: boolean
  /** Why it is available, or not: for people to read. */
  why: string
  /** When it last ceased to be available; `-Infinity`: never. */
  lostAt: number
  /** Smoothed round-trip time over the subflows of this access. Undefined: never measured. */
  rttMs: number | undefined
  /** When that was measured; `-Infinity`: never. */
  rttAt: number
  /** Smoothed share of bytes sent again, in tenths of a percent. Undefined: not measured lately. */
  lossPermille: number | undefined
  /** What the session's connections send and receive over it, bytes sent again included; smoothed. */
  bytesPerSecond: number
}

export type Accesses = Readonly<Record<AccessType, AccessState>>

export interface SubflowState {
  /** Unique in its connection, and never used again. */
  id: number
  /** Undefined: of no access of ours (a foreign endpoint's). Never touched. */
  access: AccessType | undefined
  /** `joining`: asked for, or its handshake is under way, up to the peer's answer to the third ACK. */
  state: 'joining' | 'established' | 'closed'
  /** As last asked for by us. What the peer has asked for is the kernel's business. */
  backup: boolean
  /** When it was asked for. */
  madeAt: number
  /** When anything last came in on it; `-Infinity`: never. */
  heardAt: number
  /** When it last showed that what is sent on it arrives (an acknowledgement of more, or a bare one), or had nothing to show. */
  progressAt: number
  /** Whether anything sent on it awaits an acknowledgement. */
  outstanding: boolean
  /** How many segments that is. */
  unacked: number
  /** Its congestion window, in segments. */
  window: number
  /** When the peer was last asked over it what has arrived; `-Infinity`: never. */
  askedAt: number
  /** The local address that it was made from is the access's no more: nothing comes in on it. */
  addressGone: boolean
  rttMs: number
}

/** How a connection is to use an access. */
export type Use = 'active' | 'backup' | 'none'

export type Uses = Readonly<Record<AccessType, Use>>
