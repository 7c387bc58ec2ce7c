/**
 * What policy sees: accesses, connections and their subflows at one moment. Plain values, made anew for each pass by
 * whoever observes; times are milliseconds on one clock.
 */
import type { AccessType } from './rules.js'

/** One of the two accesses, as a whole. */
export interface AccessState {
  type: AccessType
  /** Whether packets can leave by it: the link is up, there is an address, and it is not suspected of silence. */
  available: boolean
  /** Why it is, or is not: for people to read. */
  why: string
  /** When `available` last changed. */
  since: number
  /** Smoothed round-trip time over the subflows of this access, and how old it is. Undefined: never measured. */
  rttMs: number | undefined
  rttAt: number
  /** Smoothed share of bytes sent again, in tenths of a percent. Undefined: never measured. */
  lossPermille: number | undefined
}

export type Accesses = Readonly<Record<AccessType, AccessState>>

export interface SubflowState {
  /** Unique in its connection, and never used again. */
  id: number
  /** Undefined: of no access of ours (a foreign endpoint's). Never touched. */
  access: AccessType | undefined
  /** `joining`: asked for, or its handshake is under way. */
  state: 'joining' | 'established' | 'closed'
  /** As last set by us, or by the peer. */
  backup: boolean
  rttMs: number
  /** Since the subflow was made. */
  bytesAcked: number
  bytesSent: number
  bytesRetransmitted: number
  /** Whether anything sent on it awaits an acknowledgement. */
  outstanding: boolean
  /** When an acknowledgement last came, or nothing was outstanding. */
  progressAt: number
}

export interface ConnectionState {
  token: number
  subflows: readonly SubflowState[]
  /** Bytes that the application has written and the peer has not acknowledged. */
  outstanding: number
}

/** How a connection is to use an access. */
export type Use = 'active' | 'backup' | 'none'

export type Uses = Readonly<Record<AccessType, Use>>
