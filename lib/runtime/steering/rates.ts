/** How fast subflows, connections, rules and accesses carry bytes in each direction, and in which shares. Pure. */
import type { AccessType } from '../../policy/rules/rule.js'
import { BOTH } from '../../policy/steering/accesses.js'
import type { Carried, CarriedByAccess } from './subflow-report.js'

/**
 * What is carried at present, in each direction: the mean over the last one to two seconds, or since it began. After a longer time
 * without a reading it is the mean since that reading.
 */
export interface Rates {
  /** What this host sends, in bits per second, retransmissions included. Undefined: known with the next reading. */
  sendRate: number | undefined
  /** What this host receives, in bits per second. Undefined: known with the next reading. */
  receiveRate: number | undefined
  /**
   * Percent of what is sent: for an access, of both accesses; for a subflow, of all subflows of its connection. Range 0…100.
   * Undefined: nothing is sent at present.
   */
  sendShare: number | undefined
  /** The same of what is received. Range 0…100. Undefined: nothing is received at present. */
  receiveShare: number | undefined
}

/** What was carried so far, and what is carried at present. */
export interface Traffic extends Carried, Rates {}

export type TrafficByAccess = Record<AccessType, Traffic>

/** The rates of one counter for each direction, from reading to reading. */
export class RateMeter {
  /** Both are readings. The rates are since the older one. */
  #older: Reading
  #newer: Reading

  /** @param counters what was carried at `now` already */
  constructor(now: number, counters: Counters = NOTHING) {
    this.#older = this.#newer = readingOf(counters, now)
  }

  read(counters: Counters, now: number): Pick<Rates, 'sendRate' | 'receiveRate'> {
    if (now - this.#newer.at >= WINDOW_MS) {
      this.#older = this.#newer
      this.#newer = readingOf(counters, now)
    }
    const { at, bytesSent, bytesReceived } = this.#older
    const seconds = (now - at) / 1000
    if (now - at < LEAST_MS) return { sendRate: undefined, receiveRate: undefined }
    const rate = (before: number, after: number) => Math.max(0, (8 * (after - before)) / seconds)
    return {
      sendRate: rate(bytesSent, counters.bytesSent),
      receiveRate: rate(bytesReceived, counters.bytesReceived),
    }
  }
}

/** The meters of both accesses. */
export class AccessMeters {
  readonly #meters: Record<AccessType, RateMeter>

  constructor(now: number, carried?: CarriedByAccess) {
    this.#meters = {
      '3gpp': new RateMeter(now, carried?.['3gpp']),
      'non-3gpp': new RateMeter(now, carried?.['non-3gpp']),
    }
  }

  read(carried: CarriedByAccess, now: number): TrafficByAccess {
    const [cell, wifi] = withShares(
      BOTH.map(access => ({ ...carried[access], ...this.#meters[access].read(carried[access], now) })),
    )
    return { '3gpp': cell!, 'non-3gpp': wifi! }
  }
}

/** Adds the share that each has of what all of them carry. */
export function withShares<One extends Pick<Rates, 'sendRate' | 'receiveRate'>>(all: readonly One[]): (One & Rates)[] {
  const sent = all.reduce((sum, { sendRate = 0 }) => sum + sendRate, 0)
  const received = all.reduce((sum, { receiveRate = 0 }) => sum + receiveRate, 0)
  return all.map(one => ({
    ...one,
    sendShare: percentOf(one.sendRate, sent),
    receiveShare: percentOf(one.receiveRate, received),
  }))
}

/** Rates are means over at least this time, in milliseconds, and at most twice as long. */
const WINDOW_MS = 1_000
/** Over a shorter time, in milliseconds, one packet more or less would count too much. */
const LEAST_MS = 100

type Counters = Pick<Carried, 'bytesSent' | 'bytesReceived'>

const NOTHING: Counters = { bytesSent: 0, bytesReceived: 0 }

interface Reading extends Counters {
  at: number
}

function readingOf({ bytesSent, bytesReceived }: Counters, at: number): Reading {
  return { bytesSent, bytesReceived, at }
}

function percentOf(rate: number | undefined, all: number): number | undefined {
  return rate === undefined || all === 0 ? undefined : (100 * rate) / all
}
