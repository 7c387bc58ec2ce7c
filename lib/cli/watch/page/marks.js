/** Which events charts mark, and with which words. Pure. */

/** The kinds of events that are marked, those that say most first. Those of single subflows are left out. */
const MARKED = ['access', 'handover', 'rules', 'download', 'problem', 'degraded', 'link']

/** Events within this time, in milliseconds, are one: a link was cut, and so an access was lost. */
const TOGETHER_MS = 700

/** A handover belongs to the loss of an access that came so long before it, in milliseconds: in a tunnel nothing moves. */
const LONGEST_MS = 60_000

/**
 * The marks between two times, the oldest first: of events close together the one that says most. The loss of an access also says how
 * long the gap of the handover was.
 */
export function marksOf(happenings, from, to) {
  const marks = []
  for (const { at, kind, label, isGood, handover } of happenings) {
    if (!MARKED.includes(kind)) continue
    const loss = handover && marks.findLast(one => one.lost === handover.from && at - one.at < LONGEST_MS)
    if (loss) {
      if (handover.gap !== undefined) loss.label += `, gap ${handover.gap}`
      loss.lost = undefined
      continue
    }
    const lost = kind === 'access' && isGood === false ? label.replace(/ lost$/, '') : undefined
    const mark = { at, kind, label, isGood, lost }
    const before = marks.at(-1)
    if (!before || at - before.at > TOGETHER_MS) marks.push(mark)
    else if (MARKED.indexOf(kind) < MARKED.indexOf(before.kind)) marks[marks.length - 1] = { ...mark, at: before.at }
  }
  return marks.filter(({ at }) => at >= from && at <= to)
}
