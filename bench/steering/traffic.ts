/** The kinds of traffic that are measured, in each direction. */
import type { Directions, Flow } from './tasks.js'

export const TRAFFIC = {
  bulk: directions => [{ kind: 'bulk', directions }],
  /** 10 Mbit/s. */
  paced: directions => [{ kind: 'paced', bytes: 12_500, everyMs: 10, directions }],
  /** 320 kbit/s. */
  slow: directions => [{ kind: 'paced', bytes: 2_000, everyMs: 50, directions }],
  sparse: directions => [{ kind: 'paced', bytes: 200, everyMs: 50, directions }],
  /** The next message is due when the loss is 1.5 s old. */
  idle: directions => [{ kind: 'paced', bytes: 200, everyMs: 3_000, directions }],
  short: directions => many(10, index => ({ kind: 'short', bytes: 20_000 * (index + 1), pauseMs: 20, directions })),
  /** Many are small, few carry most, and half of them come and go. */
  mixed: directions => [
    ...many(3, () => ({ kind: 'bulk', directions })),
    ...many(22, index => ({ kind: 'paced', bytes: 500 + 100 * index, everyMs: 50, directions })),
    ...many(25, index => ({ kind: 'short', bytes: 8_000 * (index + 1), pauseMs: 20 * index, directions })),
  ],
  /** Requests of 300 bytes and answers of 100 kB: both directions, whatever is asked for. */
  requests: () => many(4, () => ({ kind: 'requests', bytes: 300, answer: 100_000, thinkMs: 20, pauseMs: 50 })),
} as const satisfies Record<string, (directions: Directions) => Flow[]>

export type TrafficName = keyof typeof TRAFFIC

function many(count: number, flow: (index: number) => Flow): Flow[] {
  return Array.from({ length: count }, (_, index) => flow(index))
}
