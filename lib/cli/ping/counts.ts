/** What a path's probes have shown. Pure. */

export interface PathCounts {
  sent: number
  answered: number
  least: number
  sum: number
  most: number
}

export const UNTRIED: PathCounts = { sent: 0, answered: 0, least: Number.POSITIVE_INFINITY, sum: 0, most: 0 }

export function notedAnswer({ sent, answered, least, sum, most }: PathCounts, ms: number): PathCounts {
  return {
    sent: sent + 1,
    answered: answered + 1,
    least: Math.min(least, ms),
    sum: sum + ms,
    most: Math.max(most, ms),
  }
}

export function notedLoss(before: PathCounts): PathCounts {
  return { ...before, sent: before.sent + 1 }
}

/** What `--json` prints at the end; null: not known. */
export function summaryOf({ sent, answered, least, sum, most }: PathCounts) {
  const known = answered > 0
  return {
    sent,
    answered,
    lossPercent: sent === 0 ? null : (100 * (sent - answered)) / sent,
    minMs: known ? least : null,
    avgMs: known ? sum / answered : null,
    maxMs: known ? most : null,
  }
}

/** As ping's: two lines, with an empty one before. */
export function summaryLines(name: string, counts: PathCounts): string {
  const { sent, answered, lossPercent, minMs, avgMs, maxMs } = summaryOf(counts)
  const times =
    minMs === null ? '' : `, round trip min/avg/max ${[minMs, avgMs!, maxMs!].map(ms => ms.toFixed(1)).join('/')} ms`
  const loss = lossPercent === null ? '' : `, ${Math.round(lossPercent)} % lost`
  return `\n${name}\n${sent} sent, ${answered} answered${loss}${times}\n`
}
