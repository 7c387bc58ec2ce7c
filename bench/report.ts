/** Figures to text: a table for each measure, and the one of the targets. */
import { type ContenderName, type Measure, TITLES } from './measures.js'
import { type Summary, summary } from './statistics.js'
import type { Limits, Target } from './targets.js'
import type { Figures } from './trials/trial.js'

/** The figures of each contender, round by round. */
export type Rounds = Partial<Record<ContenderName, Figures[]>>
export type Results = Record<string, Rounds>

export interface Judgement extends Limits {
  /** What `measured` is: which figure, divided by which. */
  ratio: string
  /** Of the ratios of each round, whose two figures were taken right after one another. */
  measured: Summary
  /** Undefined where the target is not ours to reach. */
  met: boolean | undefined
}

const NAME_WIDTH = Math.max(...Object.values(TITLES).map(title => title.length))
const COLUMN_WIDTH = 26
const BLANK = ' '.repeat(2)

export function measureTable(measure: Measure, rounds: Rounds, absent: Partial<Record<ContenderName, string>>): string {
  const head = measure.columns.map(({ title, unit }) => `${title}, ${unit}`.padStart(COLUMN_WIDTH)).join('')
  const rows = measure.contenders.map(contender => {
    const figures = rounds[contender] ?? []
    const cells = measure.columns.map(({ key, digits }) => spread(summary(figures.map(figure => figure[key]!)), digits))
    const text = figures.length > 0 ? cells.map(cell => cell.padStart(COLUMN_WIDTH)).join('') : absent[contender]
    return `${BLANK}${TITLES[contender].padEnd(NAME_WIDTH)}${figures.length > 0 ? '' : BLANK}${text}`
  })
  return [measure.title, `${BLANK}${' '.repeat(NAME_WIDTH)}${head}`, ...rows, ''].join('\n')
}

/** Undefined for what has not been measured. */
export function judge(target: Target, results: Results): Judgement | undefined {
  const { measure, column, of, against, what, reason, ...limits } = target
  const { atMost = Infinity, atLeast = -Infinity, about } = limits
  const figures = results[measure]?.[of]
  const others = against && results[measure]?.[against]
  if (!figures || (against && !others)) return undefined
  const ratios = figures.map((figure, round) => figure[column]! / (others ? others[round]![column]! : 1))
  const measured = summary(ratios)
  const met = about === undefined ? measured.median <= atMost && measured.median >= atLeast : undefined
  return { what, ratio: against ? `${of} / ${against}` : of, measured, met, ...limits, reason }
}

export function targetTable(judgements: readonly Judgement[], verdict: boolean): string {
  const width = Math.max(...judgements.map(({ what }) => what.length))
  const rows = judgements.map(({ what, ratio, measured, met, ...limits }) => {
    const word = !verdict || met === undefined ? '' : met ? 'met' : 'NOT MET'
    const cells = [what.padEnd(width), ratio.padEnd(18), spread(measured, 2).padEnd(20), limit(limits).padEnd(9), word]
    return BLANK + cells.join(BLANK)
  })
  const why = verdict ? '' : ' Too little was measured for a verdict.'
  return [`Targets: ratios within a round.${why}`, ...rows.map(row => row.trimEnd()), ''].join('\n')
}

function limit({ atMost, atLeast, about }: Pick<Limits, 'atMost' | 'atLeast' | 'about'>): string {
  return atMost !== undefined ? `≤ ${atMost}` : atLeast !== undefined ? `≥ ${atLeast}` : `about ${about}`
}

export function spread({ median, min, max }: Summary, digits: number): string {
  const [middle, least, most] = [median, min, max].map(value => value.toFixed(digits))
  return least === most ? middle! : `${middle} (${least}…${most})`
}
