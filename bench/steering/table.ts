/** Rows of text under a heading. */
export { spread } from '../report.js'

export interface Row {
  name: string
  cells: readonly string[]
}

const COLUMN_WIDTH = 26
const MARGIN = '  '

export function table(title: string, head: readonly string[], rows: readonly Row[]): string {
  const width = Math.max(...rows.map(({ name }) => name.length))
  const line = (name: string, cells: readonly string[]) =>
    `${MARGIN}${name.padEnd(width)}${cells.map(cell => cell.padStart(COLUMN_WIDTH)).join('')}`
  return [title, line('', head), ...rows.map(({ name, cells }) => line(name, cells)), ''].join('\n')
}
