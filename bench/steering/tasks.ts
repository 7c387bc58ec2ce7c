/** What the programs of the steering benchmark tell each other: plain values. */
import type { RulesInput } from '../../lib/index.js'

/** Which way a connection goes: steered by a session under rules, or by itself, begun over one interface. */
export type Way = { rules: Exclude<RulesInput, Uint8Array> } | { interface: string }

/** What an application writes to the server. */
export type Flow =
  /** As fast as it goes. */
  | { kind: 'bulk' }
  | { kind: 'paced'; bytes: number; everyMs: number }
  /** One connection after the other. */
  | { kind: 'short'; bytes: number; pauseMs: number }

export interface Place {
  address: string
  port: number
  /** HOST:PORT. */
  converter: string
  /** By access. */
  accesses: { '3gpp': string; 'non-3gpp': string }
}

/** What a program of the UE does. */
export type Order = { way: Way } & (
  | { do: 'transfer'; direction: 'up' | 'down'; bytes: number }
  /** Until a line comes on standard input. `blockMs`: the application blocks its event loop for so long, again and again. */
  | { do: 'flows'; flows: Flow[]; blockMs?: number }
  | { do: 'cost'; connections: number; seconds: number }
)

export type Task = Order & { place: Place }

/** Each order's figures. */
export interface Outcome {
  transfer: { mbps: number }
  /** `gaps`: of the first flow. */
  flows: { connections: number; bytes: number; gaps: Gap[] }
  /** Percent of one core, while nothing moves, and while each connection sends a little every second. */
  cost: { idle: number; trickling: number }
}

/** Nothing arrived between these two times: milliseconds on the machine's clock, `clock()`. */
export type Gap = readonly [from: number, to: number]

/** What the server says of the bytes it has got, when they have ended. */
export interface Receipt {
  bytes: number
  sha256: string
  firstAt: number
  lastAt: number
  /** The longest ones. */
  gaps: Gap[]
}

/** The same in all processes: CLOCK_MONOTONIC. */
export function clock(): number {
  return Number(process.hrtime.bigint()) / 1e6
}
