/** When a worker that has ended is started again. Pure; milliseconds. */

/**
 * At once, if it has worked for a while: its connections are gone, and new ones wait. Then later and later, so that a worker that cannot
 * start does not occupy the machine.
 *
 * @param lived how long it has run
 * @param waited what it had waited before it was started
 */
export function restartDelay(lived: number, waited: number | undefined): number {
  if (lived >= STEADY || waited === undefined) return 0
  return waited === 0 ? FIRST : Math.min(2 * waited, LONGEST)
}

const STEADY = 10_000
const FIRST = 1_000
const LONGEST = 30_000
