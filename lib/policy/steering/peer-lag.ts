/**
 * How a peer follows the backup flags that this device sends it (MP_PRIO, RFC 8684 §3.3.8), for the load balance of what is
 * received. A flag takes half a round trip; what the peer has assigned to a subflow before still arrives there, up to a window
 * and the queue on the way. So the law has to know how much that is: it is learned each time that an access is left.
 */

import type { AccessType } from '../rules/rule.js'
import { BOTH } from './accesses.js'
import type { Use } from './snapshot.js'

type ByAccess = Readonly<Record<AccessType, number>>
type Uses = Readonly<Record<AccessType, Use>>

/** Of one connection. */
export interface PeerLag {
  /** When the peer was last asked to send elsewhere. */
  askedAt: number
  /** Bytes that arrive over an access after the peer was asked to leave it. */
  tail: ByAccess
  /** The access that is being left, how many bytes have arrived over it since, and for how long none have. */
  leaving: { access: AccessType; bytes: number; quietMs: number } | undefined
  /** How many bytes 3GPP access gets further ahead in each millisecond while the peer may use both. Undefined: not tried yet. */
  bothDrift: number | undefined
  /** Since when the peer may use both; undefined: it may not. */
  bothSince: number | undefined
  /** When that last was so. */
  bothAt: number
}

export const NO_LAG: PeerLag = {
  askedAt: Number.NEGATIVE_INFINITY,
  tail: { '3gpp': 0, 'non-3gpp': 0 },
  leaving: undefined,
  bothDrift: undefined,
  bothSince: undefined,
  bothAt: Number.NEGATIVE_INFINITY,
}

/** An access is left when nothing was received over it for so long, in milliseconds; and after so long in any case. */
const LEFT_MS = 120
const LEFT_MOST_MS = 3_000
/** The weight of a new tail in the smoothed one. */
const TAIL_GAIN = 0.5
/** The drift with both accesses is measured from then on, smoothed over that time, and tried again after that time; in milliseconds. */
const BOTH_MS = { after: 200, over: 1_000, again: 10_000 }

/**
 * @param placed how it was placed until now
 * @param drift by how many bytes in a millisecond the connection has got 3GPP access ahead
 */
export function followPeer(
  placed: { uses: Uses; peer: PeerLag },
  received: ByAccess,
  drift: number,
  elapsed: number,
  now: number,
): PeerLag {
  const { uses, peer } = placed
  const after = { ...peer, ...driftWithBoth(peer, drift, elapsed, now) }
  const { leaving, tail } = peer
  if (!leaving) return after
  if (uses[leaving.access] === 'active') return { ...after, leaving: undefined }
  const { access } = leaving
  const bytes = leaving.bytes + received[access]
  const quietMs = received[access] === 0 ? leaving.quietMs + elapsed : 0
  if (quietMs < LEFT_MS && now - peer.askedAt < LEFT_MOST_MS) return { ...after, leaving: { access, bytes, quietMs } }
  return {
    ...after,
    leaving: undefined,
    tail: { ...tail, [access]: tail[access] + (bytes - tail[access]) * TAIL_GAIN },
  }
}

/** How many bytes will still arrive over an access that the peer was asked to leave. */
export function stillComing({ tail, leaving }: PeerLag): ByAccess {
  const left = (access: AccessType) => (leaving?.access === access ? Math.max(0, tail[access] - leaving.bytes) : 0)
  return { '3gpp': left('3gpp'), 'non-3gpp': left('non-3gpp') }
}

/** The peer is asked to use the accesses as in `after` from now on, and not as in `before`. */
export function asked(peer: PeerLag, before: Uses, after: Uses, now: number): PeerLag {
  const isBoth = BOTH.every(access => after[access] === 'active')
  const bothSince = isBoth ? (peer.bothSince ?? now) : undefined
  const access = BOTH.find(one => before[one] === 'active' && after[one] !== 'active')
  if (!access) return { ...peer, bothSince }
  return { ...peer, bothSince, leaving: { access, bytes: 0, quietMs: 0 }, askedAt: now }
}

/**
 * Whether the peer may use both accesses while the one that it is placed on has to catch up: if that one does so with both, too.
 * What the scarce access limits keeps it busy all the time in this way.
 */
export function mayUseBoth({ bothDrift, bothSince, bothAt }: PeerLag, on: AccessType, now: number): boolean {
  if (bothDrift === undefined || (bothSince === undefined && now - bothAt > BOTH_MS.again)) return true
  return on === '3gpp' ? bothDrift > 0 : bothDrift < 0
}

function driftWithBoth(
  { bothDrift, bothSince, bothAt }: PeerLag,
  drift: number,
  elapsed: number,
  now: number,
): Pick<PeerLag, 'bothDrift' | 'bothAt'> {
  if (bothSince === undefined) return { bothDrift, bothAt }
  if (now - bothSince <= BOTH_MS.after) return { bothDrift, bothAt: now }
  const smoothed =
    bothDrift === undefined ? drift : bothDrift + (drift - bothDrift) * Math.min(1, elapsed / BOTH_MS.over)
  return { bothDrift: smoothed, bothAt: now }
}
