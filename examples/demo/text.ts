/** Prints the results of the demo. */

export function say(line = ''): void {
  console.log(line)
}

/** Yes or no; a no makes the demo fail. */
export function verdict(fact: boolean): string {
  if (!fact) process.exitCode = 1
  return fact ? 'yes' : 'NO'
}

export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`
}

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}

/** Rows under a heading; all columns except the first are aligned to the right. */
export function table(rows: string[][]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map(row => row[column]!.length)))
  const line = (row: string[]) =>
    row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!))).join('   ')
  const [heading, ...others] = rows
  return [line(heading!), widths.map(width => '─'.repeat(width)).join('───'), ...others.map(line)]
    .map(text => `  ${text}`)
    .join('\n')
}
