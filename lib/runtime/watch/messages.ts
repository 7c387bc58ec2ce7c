/**
 * The messages from a session to its watchers, and their requests: lines of JSON over a Unix socket. What is undefined in a value
 * is absent in its JSON: a figure that is not known is never 0.
 */
import type { AtsssRule } from '../../policy/rules/json.js'
import type { Preset } from '../../policy/rules/presets.js'
import type { AccessType, Rule, Steering } from '../../policy/rules/rule.js'
import type { Action } from '../../policy/steering/plan.js'
import type { AccessState } from '../../policy/steering/snapshot.js'
import type { MptcpReport } from '../connect/report.js'
import type { SubflowStats } from '../steering/accounts.js'
import type { Handover } from '../steering/handover-gap.js'
import type { Traffic, TrafficByAccess } from '../steering/rates.js'

/** The version of these messages. A watcher refuses others. */
export const WATCH_VERSION = 2
/** Longest message in characters; a longer line is an error. */
export const LONGEST_LINE = 4_194_304
/** The most connections in a snapshot: those that have carried the most. */
export const CONNECTIONS_SHOWN = 200

export interface Hello {
  type: 'hello'
  version: number
  pid: number
  /** The program. */
  title: string
  accesses: Record<AccessType, { interface: string }>
  /** Whether watchers may replace the rules. */
  control: boolean
  rules: AtsssRule[]
}

export interface Snapshot {
  type: 'snapshot'
  /** Milliseconds since 1970. */
  at: number
  level: 'userspace' | 'kernel' | 'shared' | 'none' | undefined
  accesses: Record<AccessType, WatchedAccess>
  rules: WatchedRule[]
  /** The preset that the rules are; absent: they are none. */
  preset?: Preset | undefined
  /** At most `CONNECTIONS_SHOWN`. */
  connections: WatchedConnection[]
  connectionsOpen: number
  handovers: number
  /** The latest one: when, and for how long nothing arrived meanwhile. Absent: there was none. */
  lastHandover?: ({ at: number } & Handover) | undefined
  fallbacks: number
}

export interface WatchedAccess
  extends Pick<
      AccessState,
      'available' | 'suspected' | 'why' | 'rttMs' | 'receiveRttMs' | 'lossPermille' | 'receiveLossPermille'
    >,
    Traffic {
  interface: string
}

export interface WatchedRule {
  /** Its id, or its preset's name, or its precedence; undefined for the connections that no rule matches. */
  name: string | undefined
  precedence: number | undefined
  /** Whether it is one of the session's rules: one that was replaced stays for what it has carried. Absent: it is. */
  replaced?: true
  steering: Steering | undefined
  traffic: Rule['traffic']
  /** Why its new connections are left to the system; undefined: they are not. */
  unsteered?: string | undefined
  connections: number
  handovers: number
  carried: TrafficByAccess
}

export interface WatchedConnection extends Pick<MptcpReport, 'fallback' | 'convert' | 'interface'> {
  /** Unique in the session's thread. */
  id: number
  host: string
  port: number
  /** The precedence of its rule; undefined if no rule matches. */
  rule: number | undefined
  protocol: 'mptcp' | 'tcp'
  /** `name` of the converter that it goes through. */
  converter: string | undefined
  handovers: number
  carried: TrafficByAccess
  /** Bytes of the stream that the peer has acknowledged; each counts once. Absent: not known. */
  bytesAcknowledged?: number | undefined
  subflows: SubflowStats[]
}

/** Sent when it happens. */
export type WatchEvent = { type: 'event'; at: number } & (
  | { event: 'access'; access: AccessType; available: boolean; why: string }
  | { event: 'action'; connection: number | undefined; action: Action; error?: string }
  | ({ event: 'handover'; connection: number | undefined; why: string } & Handover)
  | { event: 'degraded' | 'problem'; message: string }
  | { event: 'rules'; names: string[]; preset?: Preset | undefined; rules: AtsssRule[] }
)

/** The answer to a request, by its id. */
export interface Answer {
  type: 'answer'
  id: number
  error?: string
}

export type WatchMessage = Hello | Snapshot | WatchEvent | Answer

/** A watcher's request. */
export type WatchRequest =
  /** Milliseconds between two snapshots: 50…60,000; 250 by default. */
  | { do: 'every'; id: number; milliseconds: number }
  /** `rules`: a preset's name, or rules as JSON. Refused unless the session's option `watch` has `control: true`. */
  | { do: 'update'; id: number; rules: unknown }

/** Splits incoming text into lines, and returns the complete ones. Throws a RangeError for a line longer than `longest`. */
export class Lines {
  readonly #longest: number
  #rest = ''

  constructor(longest = LONGEST_LINE) {
    this.#longest = longest
  }

  push(text: string): string[] {
    const lines = (this.#rest + text).split('\n')
    this.#rest = lines.pop()!
    if (this.#rest.length > this.#longest || lines.some(line => line.length > this.#longest))
      throw new RangeError(`a line of more than ${this.#longest} characters`)
    return lines.filter(line => line !== '')
  }
}
