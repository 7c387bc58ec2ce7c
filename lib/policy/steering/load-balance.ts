/**
 * Load balancing by fixed percentages, with feedback. The percentages apply to the bytes of all connections of a rule. Each
 * connection is placed on one access at a time: its subflow on the other one gets the backup flag, and the kernel assigns nothing
 * new to that. Connections are moved so that 3GPP access stays close to its share.
 *
 * A byte counts when the kernel assigns it to a subflow, not when it is acknowledged: what is in a subflow's own queue is sent
 * there whatever the flags are by then, and feedback on acknowledgements would come a queue too late.
 */

import type { AccessType } from '../rules/rule.js'
import { BOTH, otherAccess, usesOf } from './accesses.js'
import { asked, followPeer, mayUseBoth, NO_LAG, type PeerLag, stillComing } from './peer-lag.js'
import type { Uses } from './snapshot.js'

type ByAccess = Readonly<Record<AccessType, number>>

/** What one connection of the rule carries. Received bytes count when they arrive. */
export interface ConnectionLoad {
  token: number
  /** Bytes assigned to its subflows since the last scan: sent for the first time, or queued. */
  assigned: ByAccess
  /** Bytes received on its subflows since the last scan. */
  received: ByAccess
  /** Bytes in the queues of its subflows that were never sent. */
  queued: ByAccess
  /** The smallest round-trip time measured on its subflows, in milliseconds; 0: none. */
  minRttMs: ByAccess
  /** Whether it has an established subflow on each access. */
  movable: boolean
}

/** What is remembered of a rule from scan to scan, and what is wanted for its connections. */
export interface Division {
  percent3gpp: number
  /** How many bytes 3GPP access is ahead of its share; old bytes weigh less. */
  ahead: number
  /** The percentage of new connections that begin over 3GPP access: more than its share while it is behind. */
  newOver3gpp: number
  /** Bytes per millisecond that an access took while more were queued for it; 0: not measured. */
  capacity: ByAccess
  span: Readonly<Record<AccessType, Span | undefined>>
  /** By token. */
  connections: ReadonlyMap<number, Placement>
  at: number
}

/** The place of one connection. */
export interface Placement {
  on: AccessType
  uses: Uses
  /** The wanted size of its send buffer, as the kernel counts: twice the value of SO_SNDBUF. Undefined: leave it as it is. */
  sendBuffer: number | undefined
  /** Bytes per millisecond, smoothed. */
  rate: number
  /** How many milliseconds it has been known. */
  age: number
  queued: ByAccess
  /** Of `rate`, what is received. */
  receivedRate: number
  peer: PeerLag
}

/** The weight of the bytes that an access is ahead halves in this time: twice the window in which the share has to be right. */
const FORGET_MS = 10_000
/** A connection's rate is smoothed over this time, which is longer than the pauses between bursts. */
const RATE_MS = 4_000
/** The time to the next scan is taken to be that since the last one, within these limits. */
const PERIOD_MS = { least: 20, most: 100 }
/** How far ahead to judge the smallest connections. One that carries everything is judged by one scan period. */
const TREND_MS = 500
/** A connection is moved if that reduces the error by this share of what moving it changes. */
const WORTH = 0.2
/** A connection below this share of the average rate is not moved. */
const NEGLIGIBLE = 0.1
/** New connections correct the share within this time. */
const BEGIN_MS = 1_000
/** With more bytes than this queued, an access is as fast as it can be: fewer may be sent in the next millisecond. */
const BACKLOG = 32_768
/** Bytes that cannot be sent within this time do not count yet: they would be corrected too early. */
const SOON_MS = 50
/** A connection that receives is moved for an error of at least this many milliseconds of what it carries: a flag is a packet. */
const PEER_WORTH_MS = 30
/** A connection of which at least this share is received is placed by what its peer does. */
const RECEIVING = 0.1
/** How long the capacity of an access is measured. */
const SPAN_MS = 40
/** The known capacity of an access halves in this time. */
const CAPACITY_MS = 20_000
/**
 * Send buffers, in bytes: the least and the most for all bulk connections together, and the least for one. They are small, because
 * everything in a connection's buffer leaves over the access whose turn it is. But a subflow's part of it, a quarter as payload,
 * has to hold what is on its way: hence the factor. The most is enough for 1 Gbit/s with a round trip of 60 ms.
 */
const SEND_BUFFER = { all: { least: 1_048_576, most: 33_554_432 }, least: 262_144, factor: 4.5 }

/**
 * @param connections all connections of the rule
 * @param percent3gpp 0…100; a new value starts the accounting again
 */
export function divide(
  before: Division | undefined,
  connections: readonly ConnectionLoad[],
  percent3gpp: number,
  now: number,
): Division {
  const share = percent3gpp / 100
  const elapsed = before ? Math.max(1, now - before.at) : PERIOD_MS.most
  const places = connections.map(one => follow(before?.connections.get(one.token), one, share, elapsed, now))
  const rate = sum(places, place => place.rate)
  const span = byAccess(access => lengthened(access, before, connections))
  const capacity = byAccess(access => capacityOf(before?.capacity[access] ?? 0, span[access], elapsed, now))
  const same = before?.percent3gpp === percent3gpp
  const ahead = same ? before.ahead * 0.5 ** (elapsed / FORGET_MS) + gained(connections, share) : 0
  /** Bytes per millisecond that are meant for each access; and its capacity, if more is queued for it already. */
  const meant = { '3gpp': meantFor('3gpp', places), 'non-3gpp': meantFor('non-3gpp', places) }
  const most = { '3gpp': mostOf('3gpp', capacity, connections), 'non-3gpp': mostOf('non-3gpp', capacity, connections) }
  /** How many more bytes 3GPP access is ahead after each millisecond, if no connection is moved. */
  const drift = () =>
    (1 - share) * Math.min(meant['3gpp'], most['3gpp']) - share * Math.min(meant['non-3gpp'], most['non-3gpp'])

  /** How many of the bytes that 3GPP access is ahead will not be sent soon. */
  const later = (1 - share) * beyond('3gpp', capacity, connections) - share * beyond('non-3gpp', capacity, connections)

  /** How many bytes 3GPP access will be ahead by what still arrives where peers were asked to stop. */
  let coming = sum(places, ({ peer }) => ahead3gpp(stillComing(peer), share))

  const period = Math.min(Math.max(elapsed, PERIOD_MS.least), PERIOD_MS.most)
  const carrying = places.filter((_, i) => canMove(connections[i]!))
  const movable = carrying.filter(place => place.rate > (NEGLIGIBLE * rate) / carrying.length)
  for (const place of movable.sort(byWeight)) {
    const other = otherAccess(place.on)
    const sentRate = place.rate - place.receivedRate
    const horizon = Math.min((period * rate) / place.rate, TREND_MS)
    const change = isReceiving(place) ? changeTo(place, other, now) : NO_CHANGE
    const error = ahead - later + drift() * horizon + coming + ahead3gpp(change.left, share)
    const isAhead = place.on === '3gpp' ? error > 0 : error < 0
    const least = isReceiving(place) ? PEER_WORTH_MS * place.receivedRate : 0
    const worth = Math.max((0.5 + WORTH) * sentRate * horizon, least, Math.abs(ahead3gpp(change.begun, share)) / 2)
    if (!isAhead || Math.abs(error) <= worth) continue
    coming += ahead3gpp(change.left, share) + ahead3gpp(change.begun, share)
    meant[place.on] -= sentRate
    place.on = other
    meant[place.on] += sentRate
  }

  const scarce = scarceAccess(capacity, share)
  for (const [i, place] of places.entries()) {
    const both = isReceiving(place) ? mayUseBoth(place.peer, place.on, now) : isSpared(place, scarce)
    const uses = usesOf(place.on, 'active', both ? 'active' : 'backup')
    if (connections[i]!.movable) place.peer = asked(place.peer, place.uses, uses, now)
    place.uses = uses
    // With a small buffer, what is sent would use both accesses less than what is received does, under the same flags.
    place.sendBuffer = isReceiving(place) ? undefined : sendBuffer(place, connections[i]!, capacity, rate)
  }
  const missing = rate === 0 ? 0 : (ahead - later + drift() * TREND_MS) / (rate * BEGIN_MS)
  return {
    percent3gpp,
    ahead,
    newOver3gpp: 100 * Math.min(Math.max(share - missing, 0), 1),
    capacity,
    span,
    connections: new Map(connections.map(({ token }, i) => [token, places[i]!])),
    at: now,
  }
}

/**
 * The access over which a new connection begins, so that `newOver3gpp` percent of them begin over 3GPP access.
 *
 * @param credit the remainder of the connection before; 0 at first
 */
export function beginning(credit: number, newOver3gpp: number): { access: AccessType; credit: number } {
  const due = credit + newOver3gpp / 100
  return due >= 0.5 ? { access: '3gpp', credit: due - 1 } : { access: 'non-3gpp', credit: due }
}

function follow(
  before: Placement | undefined,
  one: ConnectionLoad,
  share: number,
  elapsed: number,
  now: number,
): Placement {
  const { received, queued, movable } = one
  const moved = byAccess(access => one.assigned[access] + received[access])
  const over = moved['3gpp'] > moved['non-3gpp'] ? '3gpp' : moved['3gpp'] < moved['non-3gpp'] ? 'non-3gpp' : undefined
  // A connection that cannot be moved is where its bytes go.
  const kept = movable ? (before?.on ?? over) : (over ?? before?.on)
  const on = share === 0 ? 'non-3gpp' : share === 1 ? '3gpp' : (kept ?? (share < 0.5 ? 'non-3gpp' : '3gpp'))
  const age = (before?.age ?? 0) + elapsed
  const known = before?.rate ?? 0
  // After a longer pause, of a process that was stopped, only what came in it counts.
  const window = Math.max(Math.min(age, RATE_MS), elapsed)
  const smoothed = (rateBefore: number, bytes: ByAccess) =>
    rateBefore + (bytes['3gpp'] + bytes['non-3gpp'] - rateBefore * elapsed) / window
  const rate = smoothed(known, moved)
  const receivedRate = smoothed(before?.receivedRate ?? 0, received)
  const peer = before ? followPeer(before, received, ahead3gpp(moved, share) / elapsed, elapsed, now) : NO_LAG
  // What it has used until now.
  const uses = before?.uses ?? usesOf(on, 'active', 'backup')
  return { on, uses, sendBuffer: before?.sendBuffer, rate, age, queued, receivedRate, peer }
}

/** Whether enough is received on it for its peer's lag to matter. */
function isReceiving({ rate, receivedRate }: Placement): boolean {
  return receivedRate > RECEIVING * rate
}

/** What placing a connection on the other access does to what its peer uses: bytes that still arrive, or arrive at least. */
function changeTo({ uses, peer }: Placement, other: AccessType, now: number): { left: ByAccess; begun: ByAccess } {
  const after = usesOf(other, 'active', mayUseBoth(peer, other, now) ? 'active' : 'backup')
  const where = (from: Uses, to: Uses) =>
    byAccess(access => (from[access] === 'active' && to[access] !== 'active' ? peer.tail[access] : 0))
  return { left: where(uses, after), begun: where(after, uses) }
}

const NO_CHANGE = { left: { '3gpp': 0, 'non-3gpp': 0 }, begun: { '3gpp': 0, 'non-3gpp': 0 } }

/** By how many bytes these get 3GPP access ahead of its share. */
function ahead3gpp(bytes: ByAccess, share: number): number {
  return (1 - share) * bytes['3gpp'] - share * bytes['non-3gpp']
}

function gained(connections: readonly ConnectionLoad[], share: number): number {
  const moved = (access: AccessType) => sum(connections, one => one.assigned[access] + one.received[access])
  return ahead3gpp(byAccess(moved), share)
}

function meantFor(access: AccessType, places: readonly Placement[]): number {
  return sum(places, place => (place.on === access ? place.rate - place.receivedRate : 0))
}

function queuedFor(access: AccessType, connections: readonly ConnectionLoad[]): number {
  return sum(connections, ({ queued }) => queued[access])
}

function mostOf(access: AccessType, capacity: ByAccess, connections: readonly ConnectionLoad[]): number {
  const full = capacity[access] > 0 && queuedFor(access, connections) > BACKLOG
  return full ? capacity[access] : Number.POSITIVE_INFINITY
}

/** The bytes queued for an access that it cannot send soon. */
function beyond(access: AccessType, capacity: ByAccess, connections: readonly ConnectionLoad[]): number {
  if (capacity[access] === 0) return 0
  return Math.max(0, queuedFor(access, connections) - capacity[access] * SOON_MS)
}

/** Moving a connection that carries nothing would change nothing. */
function canMove({ movable, assigned, received }: ConnectionLoad): boolean {
  return movable && BOTH.some(access => assigned[access] + received[access] > 0)
}

/**
 * The largest connections first, to correct the present error; then smaller ones, for the error to come. Last those that would
 * bring a backlog with them.
 */
function byWeight(a: Placement, b: Placement): number {
  const backlog = (place: Placement) => Number(place.queued[place.on] > BACKLOG)
  return backlog(a) - backlog(b) || b.rate - a.rate
}

/** What an access has taken since `began`, while enough was queued for it all the time. */
interface Span {
  began: number
  took: number
}

/** @returns undefined if not enough was queued */
function lengthened(
  access: AccessType,
  before: Division | undefined,
  connections: readonly ConnectionLoad[],
): Span | undefined {
  const queuedBefore = sum(connections, ({ token }) => before?.connections.get(token)?.queued[access] ?? 0)
  const queuedNow = queuedFor(access, connections)
  if (!before || Math.min(queuedBefore, queuedNow) <= BACKLOG) return undefined
  const { began, took } = before.span[access] ?? { began: before.at, took: 0 }
  const span = { began, took: took + sum(connections, ({ assigned }) => assigned[access]) + queuedBefore - queuedNow }
  // In a shorter time it may take a burst, which is much more than its capacity.
  return before.at - began < SPAN_MS ? span : { began: before.at, took: span.took - took }
}

function capacityOf(before: number, span: Span | undefined, elapsed: number, now: number): number {
  const known = before * 0.5 ** (elapsed / CAPACITY_MS)
  return span && now - span.began >= SPAN_MS ? Math.max(span.took / (now - span.began), known) : known
}

/** The access that limits how much can be carried in these shares. One with an unknown capacity is never taken for it. */
function scarceAccess(capacity: ByAccess, share: number): AccessType | undefined {
  if (share === 0 || share === 1) return undefined
  const known = BOTH.filter(access => capacity[access] > 0)
  if (known.length < 2) return known[0]
  return capacity['3gpp'] * (1 - share) < capacity['non-3gpp'] * share ? '3gpp' : 'non-3gpp'
}

/** The scarce access is not held back while enough is queued for it: that would only cost throughput. */
function isSpared({ on, queued }: Placement, scarce: AccessType | undefined): boolean {
  return scarce !== undefined && scarce !== on && queued[scarce] > BACKLOG
}

/** A bulk connection gets its part of the buffer for what is on its way. */
function sendBuffer(
  place: Placement,
  { minRttMs }: ConnectionLoad,
  capacity: ByAccess,
  rate: number,
): number | undefined {
  const { sendBuffer: before, queued } = place
  if (Math.max(queued['3gpp'], queued['non-3gpp']) <= BACKLOG || rate === 0) return before
  const flying = BOTH.map(access => capacity[access] * minRttMs[access] * SEND_BUFFER.factor)
  const { all, least } = SEND_BUFFER
  const total = Math.min(Math.max(...flying, all.least), all.most)
  return Math.min(Math.max((place.rate / rate) * total, least), all.most)
}

function byAccess<T>(of: (access: AccessType) => T): Record<AccessType, T> {
  return { '3gpp': of('3gpp'), 'non-3gpp': of('non-3gpp') }
}

function sum<T>(all: readonly T[], of: (one: T) => number): number {
  let total = 0
  for (const one of all) total += of(one)
  return total
}
