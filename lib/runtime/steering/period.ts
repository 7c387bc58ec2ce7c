/** How often the steering loop looks at everything. */

/** While bytes move, and while none do, in milliseconds. */
const PERIOD_MS = 50
const IDLE_PERIOD_MS = 250
/** So long after the last bytes none move, in milliseconds: between two of a sparse flow it is not quiet. */
export const QUIET_MS = 1_000
/** While bytes move that are divided by percentages: the shorter, the nearer to them, and the less is lost by it. */
const DIVIDING_PERIOD_MS = 25
/** But so many percent of a core at most. */
const DIVIDING_PERCENT = 4

/**
 * In how many milliseconds to look again.
 *
 * @param took how many milliseconds this look has taken
 */
export function periodMs(idle: boolean, divides: boolean, took: number): number {
  if (idle) return IDLE_PERIOD_MS
  if (!divides) return PERIOD_MS
  return Math.min(Math.max(DIVIDING_PERIOD_MS, (took * 100) / DIVIDING_PERCENT), PERIOD_MS)
}
