/** Numbers about numbers. */

export function median(values: readonly number[]): number {
  return percentile(values, 50)
}

/** Between the two nearest ranks. NaN when there are no values. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  const rank = ((sorted.length - 1) * percent) / 100
  const below = sorted[Math.floor(rank)] ?? Number.NaN
  const above = sorted[Math.ceil(rank)] ?? Number.NaN
  return below + (above - below) * (rank - Math.floor(rank))
}

/** The middle, and how far the values reach to either side. */
export interface Summary {
  median: number
  min: number
  max: number
}

export function summary(values: readonly number[]): Summary {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) }
}
