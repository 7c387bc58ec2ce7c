/** What the programs of the steering benchmark tell each other: plain values. */
import type { RulesInput } from '../../lib/index.js'

/** Which way a connection goes: steered by a session under rules, or by itself, begun over one interface. */
export type Way = { rules: Exclude<RulesInput, Uint8Array>; idleProbe?: number } | { interface: string }

/** Up: from the UE to the server. */
export type Direction = 'up' | 'down'
export const DIRECTIONS: readonly Direction[] = ['up', 'down']
/** `both`: at the same time, on the same streams. */
export type Directions = Direction | 'both'

export function directionsOf(directions: Directions): readonly Direction[] {
  return directions === 'both' ? DIRECTIONS : [directions]
}

/** What one end of a stream sends. */
export type Sending =
  /** As fast as it goes. */
  | { kind: 'bulk' }
  | { kind: 'paced'; bytes: number; everyMs: number }
  /** That many bytes, and the end. */
  | { kind: 'amount'; bytes: number }
  /** For every `request` bytes that arrive, after `thinkMs`. */
  | { kind: 'answers'; request: number; bytes: number; thinkMs: number }

/** The first line of a stream: what the UE will send, and what the server is to send. */
export interface Opening {
  up?: Sending | undefined
  down?: Sending | undefined
}

/** What an application does. `directions`: up, unless it says otherwise. */
export type Flow =
  | { kind: 'bulk'; directions?: Directions }
  | { kind: 'paced'; bytes: number; everyMs: number; directions?: Directions }
  /** One connection after the other, each with this many bytes. */
  | { kind: 'short'; bytes: number; pauseMs: number; directions?: Directions }
  /** A request, its answer, which the server needs `thinkMs` for, a pause, and so on. */
  | { kind: 'requests'; bytes: number; answer: number; thinkMs: number; pauseMs: number }

export interface Place {
  address: string
  port: number
  /** HOST:PORT. Undefined: the server is reached directly, by MPTCP. */
  converter: string | undefined
  /** By access. */
  accesses: { '3gpp': string; 'non-3gpp': string }
}

/** What a program of the UE does. */
export type Order = { way: Way } & (
  | { do: 'transfer'; directions: Directions; bytes: number }
  /** Until a line comes on standard input. `blockMs`: the application blocks its event loop for so long, again and again. */
  | { do: 'flows'; flows: Flow[]; blockMs?: number }
  | { do: 'cost'; connections: number; seconds: number }
  /** As `cost`; then each goes on sending a little every second until `{"lostAt":…}` comes on standard input: when `wifi` was lost. */
  | { do: 'many'; connections: number; seconds: number }
  /** Streams, one after the other: `bytes`, the end at once, and then the server's end. */
  | { do: 'ends'; bytes: number; streams: number }
)

export type Task = Order & { place: Place; helper?: string | undefined }

/** Each order's figures. */
export interface Outcome {
  /** At the receivers. */
  transfer: { mbps: Partial<Record<Direction, number>> }
  /** `first`: the first stream of the first flow. */
  flows: { connections: number; bytes: Record<Direction, number>; first: StreamFigures }
  /** Percent of one core, while nothing moves, and while each connection sends a little every second. */
  cost: { idle: number; trickling: number }
  /** Milliseconds from `end()` to the events, of each stream. */
  ends: Ends[]
  many: ManyFigures
}

export interface ManyFigures {
  openMs: number
  /** Resident memory of the process that each connection has added, in bytes. */
  memoryEach: number
  /** Of the steering threads, in percent of one core: as for `cost`. Undefined: they are not steered. */
  idle: number | undefined
  trickling: number | undefined
  /**
   * Of each connection that was sending when `wifi` was lost: the longest way of a message that was on its way then or was written
   * within two seconds after it, in milliseconds.
   */
  delays: number[]
  /** Processor time of the steering threads from the loss on, beyond what they take anyway, in milliseconds. */
  handoverMs: number | undefined
  /** Datagrams that netlink has dropped, since the steering threads took them too late. */
  overruns: number
}

export type Ends = Record<'end' | 'close', number>

export type StreamFigures = Partial<Record<Direction, Taken>>

/** Nothing arrived between these two times: milliseconds on the machine's clock, `clock()`. */
export type Gap = readonly [from: number, to: number]

/** Written at this time, on `clock()`; it had arrived entirely this many milliseconds later. */
export type Delay = readonly [at: number, ms: number]

/** What one end has received of the other. The bytes are those that were sent: their SHA-256 was compared. */
export interface Taken {
  bytes: number
  firstAt: number
  lastAt: number
  /** The longest ones. */
  gaps: Gap[]
  /** Of each message, if they are paced and not too many; of each request until its answer. */
  delays: Delay[]
}

/** The same in all processes: CLOCK_MONOTONIC. */
export function clock(): number {
  return Number(process.hrtime.bigint()) / 1e6
}
