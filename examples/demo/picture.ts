/** The demo's picture: throughput of each access over time, stacked, with events marked. */
import type { Reading } from './meter.js'

export interface Panel {
  title: string
  readings: Reading[]
  marks: Mark[]
}

/** An event and its time (`Date.now()`); `note` is the second line. */
export interface Mark {
  at: number
  label: string
  note?: string
}

const COLORS = { wifi: '#3f7fbf', cell: '#eda24a' }
const INK = '#1f2a37'
const FAINT = '#64707d'
const GRID = '#e3e7eb'

const WIDTH = 1200
const LEFT = 72
const RIGHT = WIDTH - 32
const HEAD = 96
const PLOT_HEIGHT = 210
const ROW_HEIGHT = 38
/** Average width of a character in a label. */
const LABEL_WIDTH = 7.2

export function picture(panels: Panel[]): string {
  const drawn: string[] = []
  let y = HEAD
  for (const panel of panels) {
    const { svg, height } = drawPanel(panel, y)
    drawn.push(svg)
    y += height
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" width="${WIDTH}" height="${y}" font-family="'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', sans-serif" font-size="13" fill="${INK}">
<rect width="100%" height="100%" fill="#fdfdfc"/>
<text x="${LEFT}" y="46" font-size="22" font-weight="600">Steering by ATSSS rules</text>
<text x="${LEFT}" y="68" fill="${FAINT}">What goes over each access in the direction of the transfer, in Mbit/s, as the links count it</text>
${legend()}
${drawn.join('\n')}
</svg>
`
}

function legend(): string {
  const entry = (x: number, color: string, name: string) =>
    `<rect x="${x}" y="35" width="14" height="14" rx="2" fill="${color}"/><text x="${x + 21}" y="46.5">${name}</text>`
  return (
    entry(RIGHT - 362, COLORS.wifi, 'Wi-Fi (50 Mbit/s)') +
    entry(RIGHT - 190, COLORS.cell, 'Cellular (20 Mbit/s), on top')
  )
}

function drawPanel({ title, readings, marks }: Panel, y: number): { svg: string; height: number } {
  const samples = rates(readings)
  const top = Math.ceil(Math.max(...samples.map(({ wifi, cell }) => wifi + cell)) / 10) * 10
  const from = Math.min(readings[0]!.at, ...marks.map(({ at }) => at))
  const to = readings.at(-1)!.at
  const placed = placeLabels(marks, at => LEFT + ((at - from) / (to - from)) * (RIGHT - LEFT))
  const rows = Math.max(...placed.map(({ row }) => row)) + 1
  const plotTop = y + 34 + rows * ROW_HEIGHT
  const bottom = plotTop + PLOT_HEIGHT
  const across = (at: number) => LEFT + ((at - from) / (to - from)) * (RIGHT - LEFT)
  const up = (mbps: number) => bottom - (mbps / top) * PLOT_HEIGHT

  const area = (low: (rate: Rate) => number, high: (rate: Rate) => number, color: string) => {
    const edge = (of: (rate: Rate) => number) =>
      samples.flatMap(rate => [rate.from, rate.to].map(at => `${n(across(at))},${n(up(of(rate)))}`))
    return `<polygon points="${[...edge(high), ...edge(low).reverse()].join(' ')}" fill="${color}"/>`
  }
  const parts = [
    `<text x="${LEFT}" y="${y + 14}" font-size="16" font-weight="600">${escaped(title)}</text>`,
    ...yAxis(top, up),
    area(
      () => 0,
      ({ wifi }) => wifi,
      COLORS.wifi,
    ),
    area(
      ({ wifi }) => wifi,
      ({ wifi, cell }) => wifi + cell,
      COLORS.cell,
    ),
    ...xAxis(from, to, across, bottom),
    ...placed.map(mark => drawMark(mark, plotTop, bottom)),
  ]
  return { svg: parts.join('\n'), height: bottom - y + 62 }
}

interface Rate {
  from: number
  to: number
  wifi: number
  cell: number
}

/** Megabits per second, between each reading and the next. */
function rates(readings: Reading[]): Rate[] {
  return readings.slice(1).map((reading, index) => {
    const before = readings[index]!
    const mbps = (bytes: number) => (bytes * 8) / 1000 / (reading.at - before.at)
    return {
      from: before.at,
      to: reading.at,
      wifi: mbps(reading.wifi - before.wifi),
      cell: mbps(reading.cell - before.cell),
    }
  })
}

function yAxis(top: number, up: (mbps: number) => number): string[] {
  const step = top > 50 ? 20 : 10
  const lines: string[] = []
  for (let mbps = 0; mbps <= top; mbps += step)
    lines.push(
      `<line x1="${LEFT}" x2="${RIGHT}" y1="${n(up(mbps))}" y2="${n(up(mbps))}" stroke="${GRID}"/>` +
        `<text x="${LEFT - 10}" y="${n(up(mbps) + 4.5)}" text-anchor="end" fill="${FAINT}">${mbps}</text>`,
    )
  return lines
}

function xAxis(from: number, to: number, across: (at: number) => number, bottom: number): string[] {
  const lines = [`<line x1="${LEFT}" x2="${RIGHT}" y1="${bottom}" y2="${bottom}" stroke="${FAINT}"/>`]
  for (let second = 0; from + second * 1000 <= to; second += 2) {
    const x = n(across(from + second * 1000))
    lines.push(
      `<line x1="${x}" x2="${x}" y1="${bottom}" y2="${bottom + 5}" stroke="${FAINT}"/>` +
        `<text x="${x}" y="${bottom + 20}" text-anchor="middle" fill="${FAINT}">${second}${second === 0 ? ' s' : ''}</text>`,
    )
  }
  return lines
}

interface PlacedMark extends Mark {
  x: number
  /** 0 is next to the plot. */
  row: number
  /** The label is to the left of its line. */
  leftward: boolean
}

/** From right to left, each in the lowest row where it covers no other label, nor the line up to one. */
function placeLabels(marks: Mark[], across: (at: number) => number): PlacedMark[] {
  const free: number[] = []
  return marks
    .toSorted((a, b) => b.at - a.at)
    .map(mark => {
      const x = across(mark.at)
      const width = Math.max(mark.label.length, mark.note?.length ?? 0) * LABEL_WIDTH + 10
      const leftward = x + width > WIDTH
      const [begin, end] = leftward ? [x - width, x] : [x, x + width]
      let row = 0
      while (end > (free[row] ?? WIDTH)) row++
      for (let below = 0; below <= row; below++) free[below] = begin
      return { ...mark, x, row, leftward }
    })
}

function drawMark({ x, row, leftward, label, note }: PlacedMark, plotTop: number, bottom: number): string {
  const y = plotTop - row * ROW_HEIGHT - 20
  const anchor = leftward ? `x="${n(x - 6)}" text-anchor="end"` : `x="${n(x + 6)}"`
  const text = `<text ${anchor} y="${y}" font-weight="600">${escaped(label)}</text>`
  const second = note ? `<text ${anchor} y="${y + 15}" fill="${FAINT}" font-size="12">${escaped(note)}</text>` : ''
  return `<line x1="${n(x)}" x2="${n(x)}" y1="${y - 11}" y2="${bottom}" stroke="${INK}" stroke-opacity="0.55" stroke-dasharray="3 3"/>${text}${second}`
}

function n(value: number): string {
  return value.toFixed(1)
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
