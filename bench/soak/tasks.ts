/** What the programs of the soak say to each other: plain values. */
import type { SessionOptions } from '../../lib/index.js'

export interface Task {
  session: SessionOptions
  host: string
  libraries: string[]
  /** Exchanges at the same time, for each library that can have several. */
  parallel: number
  /** Bytes of an exchange: one of these. */
  sizes: number[]
  seed: number
  /** An exchange in which nothing moves for this many milliseconds is lost. */
  patience: number
}

/** What the device holds while no connection is open. */
export interface Held {
  /** Open descriptors of the process, and how many of them are sockets. */
  files: number
  sockets: number
  /** Descriptors that the addon owns, and those for which it waits. */
  descriptors: number
  waits: number
  /** Timers of the main thread that keep it running. */
  timers: number
  /** That the session still has. */
  connections: number
  heapBytes: number
  rssBytes: number
}

export interface Done {
  library: string
  what: string
  bytes: number
  /** Milliseconds since 1970: its end. */
  at: number
  ms: number
  /** The longest time without a byte at the end that received, and when it ended. */
  gapMs: number
  gapEndedAt: number
  /** How long of it the device's process itself did not run. */
  pausedMs: number
}

export interface Lost {
  library: string
  what: string
  bytes?: number
  at: number
  ms: number
  pieces?: number
  code: string
  message: string
  stack: string
}

export type Line =
  | { event: 'ready'; level: unknown; held: Held }
  | ({ event: 'done' } & Done)
  | ({ event: 'lost' } & Lost)
  | ({ event: 'held' } & Held)
  | { event: 'degraded'; message: string }
