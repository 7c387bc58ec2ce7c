/**
 * Fixed-percentage load balancing by feedback. The percentages are the rule's, so that what counts is bytes over all its
 * connections. Each connection is put on one access at a time: its subflow on the other one gets the backup flag, and the
 * kernel gives it nothing new. Connections are moved so that the bytes by which 3GPP access is ahead of its share stay few.
 *
 * A byte counts when the kernel gives it to a subflow, not when it is acknowledged: what waits in a subflow's own queue
 * goes out there whatever the flags say by then, and feedback on acknowledgements would come a queue too late.
 */

import type { AccessType } from '../rules/rule.js'
import { BOTH, otherAccess, usesOf } from './accesses.js'
import type { Uses } from './snapshot.js'

type ByAccess = Readonly<Record<AccessType, number>>

/** What one connection of the rule has told since the last pass. */
export interface Carrying {
  token: number
  /** Bytes given to its subflows since then: sent for the first time, or waiting there to be. */
  given: ByAccess
  /** Bytes that wait in its subflows, never sent. */
  waiting: ByAccess
  /** The least round-trip time of its subflows, in milliseconds; 0 without one. */
  leastRttMs: ByAccess
  /** It has an established subflow on either access. */
  movable: boolean
}

/** What is remembered of a rule between two passes, and what is wanted of its connections. */
export interface Division {
  percent3gpp: number
  /** By how many bytes 3GPP access is ahead of its share; old ones are forgotten. */
  ahead: number
  /** The percentage of new connections that shall begin over 3GPP access: more than its own while it is behind. */
  newOver3gpp: number
  /** Bytes per millisecond that an access took while more were waiting for it; 0: that was never so. */
  capacity: ByAccess
  span: Readonly<Record<AccessType, Span | undefined>>
  /** By token. */
  connections: ReadonlyMap<number, Place>
  at: number
}

/** Of one connection. */
export interface Place {
  on: AccessType
  uses: Uses
  /** How large its send buffer should be, as the kernel counts: twice what SO_SNDBUF is set to. Undefined: as it is. */
  sendBuffer: number | undefined
  /** Bytes per millisecond, smoothed. */
  rate: number
  /** For how many milliseconds it has been known. */
  age: number
  waiting: ByAccess
}

/** What an access is ahead by is forgotten by half in this time: twice the window in which the share has to be right. */
const FORGET_MS = 10_000
/** A connection's rate is smoothed over this time: longer than from one burst to the next. */
const RATE_MS = 4_000
/** The next pass is expected after the time since the last one, within these limits. */
const PERIOD_MS = { least: 20, most: 100 }
/** How far ahead the smallest connections are judged; one that carries everything is judged by one period. */
const TREND_MS = 500
/** A connection is moved when that makes the error smaller by this share of what moving it changes. */
const WORTH = 0.2
/** Which carries less than this share of the average stays where it is. */
const NEGLIGIBLE = 0.1
/** New connections make up for what is wrong within this time. */
const BEGIN_MS = 1_000
/** So many bytes wait for an access that is as fast as it can be: fewer may wait for the next millisecond. */
const BACKLOG = 32_768
/** What cannot be sent for longer does not count yet: it would be made up for too early. */
const SOON_MS = 50
/** What an access takes is measured over such a time. */
const SPAN_MS = 40
/** What an access could take is forgotten by half in this time. */
const CAPACITY_MS = 20_000
/**
 * Send buffers, in bytes: of all bulk connections together, and the least of one. An access that is let go gets a bulk
 * connection's whole buffer at once, so that it shall be small; but a subflow's part of it, a quarter as payload, has to hold
 * what is on its way: hence the factor.
 */
const SEND_BUFFER = { all: 1_048_576, least: 262_144, factor: 4.5 }

/**
 * @param connections all of the rule
 * @param percent3gpp 0…100; with another one than before the account begins anew
 */
export function divide(
  before: Division | undefined,
  connections: readonly Carrying[],
  percent3gpp: number,
  now: number,
): Division {
  const share = percent3gpp / 100
  const elapsed = before ? Math.max(1, now - before.at) : PERIOD_MS.most
  const places = connections.map(one => follow(before?.connections.get(one.token), one, share, elapsed))
  const rate = sum(places, place => place.rate)
  const span = byAccess(access => lengthened(access, before, connections))
  const capacity = byAccess(access => capacityOf(before?.capacity[access] ?? 0, span[access], elapsed, now))
  const same = before?.percent3gpp === percent3gpp
  const ahead = same ? before.ahead * 0.5 ** (elapsed / FORGET_MS) + gained(connections, share) : 0
  /** Bytes per millisecond that are meant for each access; and what it can take, where more is waiting for it already. */
  const meant = { '3gpp': meantFor('3gpp', places), 'non-3gpp': meantFor('non-3gpp', places) }
  const most = { '3gpp': mostOf('3gpp', capacity, connections), 'non-3gpp': mostOf('non-3gpp', capacity, connections) }
  /** How many bytes 3GPP access is further ahead after each millisecond in which all stay where they are. */
  const drift = () =>
    (1 - share) * Math.min(meant['3gpp'], most['3gpp']) - share * Math.min(meant['non-3gpp'], most['non-3gpp'])

  /** Of what 3GPP access is ahead by, what will not have gone out soon. */
  const later = (1 - share) * beyond('3gpp', capacity, connections) - share * beyond('non-3gpp', capacity, connections)

  const period = Math.min(Math.max(elapsed, PERIOD_MS.least), PERIOD_MS.most)
  const carrying = places.filter((_, i) => canMove(connections[i]!))
  const movable = carrying.filter(place => place.rate > (NEGLIGIBLE * rate) / carrying.length)
  for (const place of movable.sort(byWeight)) {
    const horizon = Math.min((period * rate) / place.rate, TREND_MS)
    const error = ahead - later + drift() * horizon
    const isAhead = place.on === '3gpp' ? error > 0 : error < 0
    if (!isAhead || Math.abs(error) <= (0.5 + WORTH) * place.rate * horizon) continue
    meant[place.on] -= place.rate
    place.on = otherAccess(place.on)
    meant[place.on] += place.rate
  }

  const scarce = scarceAccess(capacity, share)
  for (const [i, place] of places.entries()) {
    place.uses = usesOf(place.on, 'active', isSpared(place, scarce) ? 'active' : 'backup')
    place.sendBuffer = sendBuffer(place, connections[i]!, capacity, rate)
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
 * Over which access a new connection begins, so that `newOver3gpp` percent of them do over 3GPP access.
 *
 * @param credit what the last one has left over; 0 at first
 */
export function beginning(credit: number, newOver3gpp: number): { access: AccessType; credit: number } {
  const due = credit + newOver3gpp / 100
  return due >= 0.5 ? { access: '3gpp', credit: due - 1 } : { access: 'non-3gpp', credit: due }
}

function follow(before: Place | undefined, one: Carrying, share: number, elapsed: number): Place {
  const { given, waiting, movable } = one
  const over = given['3gpp'] > given['non-3gpp'] ? '3gpp' : given['3gpp'] < given['non-3gpp'] ? 'non-3gpp' : undefined
  // One that has no choice is where it carries.
  const kept = movable ? (before?.on ?? over) : (over ?? before?.on)
  const on = share === 0 ? 'non-3gpp' : share === 1 ? '3gpp' : (kept ?? (share < 0.5 ? 'non-3gpp' : '3gpp'))
  const age = (before?.age ?? 0) + elapsed
  const known = before?.rate ?? 0
  const rate = known + (given['3gpp'] + given['non-3gpp'] - known * elapsed) / Math.min(age, RATE_MS)
  return { on, uses: usesOf(on, 'active', 'backup'), sendBuffer: before?.sendBuffer, rate, age, waiting }
}

function gained(connections: readonly Carrying[], share: number): number {
  return sum(connections, ({ given }) => (1 - share) * given['3gpp'] - share * given['non-3gpp'])
}

function meantFor(access: AccessType, places: readonly Place[]): number {
  return sum(places, place => (place.on === access ? place.rate : 0))
}

function waitingFor(access: AccessType, connections: readonly Carrying[]): number {
  return sum(connections, ({ waiting }) => waiting[access])
}

function mostOf(access: AccessType, capacity: ByAccess, connections: readonly Carrying[]): number {
  const full = capacity[access] > 0 && waitingFor(access, connections) > BACKLOG
  return full ? capacity[access] : Number.POSITIVE_INFINITY
}

/** The bytes that wait for an access and that it cannot send soon. */
function beyond(access: AccessType, capacity: ByAccess, connections: readonly Carrying[]): number {
  if (capacity[access] === 0) return 0
  return Math.max(0, waitingFor(access, connections) - capacity[access] * SOON_MS)
}

/** What carries nothing now would change nothing. */
function canMove({ movable, given }: Carrying): boolean {
  return movable && given['3gpp'] + given['non-3gpp'] > 0
}

/**
 * The largest first, for what is wrong now; then ever smaller ones, for what is going to be. Last those that would bring a
 * backlog with them.
 */
function byWeight(a: Place, b: Place): number {
  const backlog = (place: Place) => Number(place.waiting[place.on] > BACKLOG)
  return backlog(a) - backlog(b) || b.rate - a.rate
}

/** What an access has taken since `began`, with enough waiting for it all the time. */
interface Span {
  began: number
  took: number
}

/** @returns undefined: not enough was waiting for it */
function lengthened(
  access: AccessType,
  before: Division | undefined,
  connections: readonly Carrying[],
): Span | undefined {
  const waited = sum(connections, ({ token }) => before?.connections.get(token)?.waiting[access] ?? 0)
  const waits = waitingFor(access, connections)
  if (!before || Math.min(waited, waits) <= BACKLOG) return undefined
  const { began, took } = before.span[access] ?? { began: before.at, took: 0 }
  const span = { began, took: took + sum(connections, ({ given }) => given[access]) + waited - waits }
  // In a shorter time it takes what it takes in bursts: much more than it can.
  return before.at - began < SPAN_MS ? span : { began: before.at, took: span.took - took }
}

function capacityOf(before: number, span: Span | undefined, elapsed: number, now: number): number {
  const known = before * 0.5 ** (elapsed / CAPACITY_MS)
  return span && now - span.began >= SPAN_MS ? Math.max(span.took / (now - span.began), known) : known
}

/** The one that limits how much can be carried in these shares: never one of which no limit is known, beside one of which it is. */
function scarceAccess(capacity: ByAccess, share: number): AccessType | undefined {
  if (share === 0 || share === 1) return undefined
  const known = BOTH.filter(access => capacity[access] > 0)
  if (known.length < 2) return known[0]
  return capacity['3gpp'] * (1 - share) < capacity['non-3gpp'] * share ? '3gpp' : 'non-3gpp'
}

/** The scarce access is not held back while enough waits for it: that would only cost throughput. */
function isSpared({ on, waiting }: Place, scarce: AccessType | undefined): boolean {
  return scarce !== undefined && scarce !== on && waiting[scarce] > BACKLOG
}

/** Of a bulk connection, its part of what is on the way. */
function sendBuffer(place: Place, { leastRttMs }: Carrying, capacity: ByAccess, rate: number): number | undefined {
  const { sendBuffer: before, waiting } = place
  if (Math.max(waiting['3gpp'], waiting['non-3gpp']) <= BACKLOG || rate === 0) return before
  const flying = BOTH.map(access => capacity[access] * leastRttMs[access] * SEND_BUFFER.factor)
  return Math.max((place.rate / rate) * Math.max(...flying, SEND_BUFFER.all), SEND_BUFFER.least)
}

function byAccess<T>(of: (access: AccessType) => T): Record<AccessType, T> {
  return { '3gpp': of('3gpp'), 'non-3gpp': of('non-3gpp') }
}

function sum<T>(all: readonly T[], of: (one: T) => number): number {
  let total = 0
  for (const one of all) total += of(one)
  return total
}
