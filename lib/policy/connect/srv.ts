/** The order of SRV records, RFC 2782. */

export interface Weighted {
  /** Lower ones first, 0…65535. */
  priority: number
  /** Share of the draws within a priority, 0…65535. */
  weight: number
}

/**
 * Lowest priority first; within a priority in an order drawn by weight (RFC 2782).
 *
 * @param random a number in 0…1, as Math.random gives it
 */
export function byPriority<T extends Weighted>(records: readonly T[], random: () => number): T[] {
  const left = [...records].sort((a, b) => a.priority - b.priority || a.weight - b.weight)
  const ordered: T[] = []
  while (left.length > 0) {
    const group = left.filter(record => record.priority === left[0]?.priority)
    const total = group.reduce((sum, record) => sum + record.weight, 0)
    const mark = random() * total
    const running = group.map((_, index) => group.slice(0, index + 1).reduce((sum, record) => sum + record.weight, 0))
    const chosen = group[running.findIndex(sum => sum >= mark)] ?? (group[0] as T)
    ordered.push(chosen)
    left.splice(left.indexOf(chosen), 1)
  }
  return ordered
}
