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

/** By the viewer's preference: light, or dark. */
const STYLE = `<style>
text, .ink { fill: #1f2a37 } .faint { fill: #64707d } .paper { fill: #fdfdfc } .wifi { fill: #3f7fbf } .cell { fill: #eda24a }
.grid { stroke: #e3e7eb } .axis { stroke: #64707d } .mark { stroke: #1f2a37; stroke-opacity: 0.55; stroke-dasharray: 3 3 }
@media (prefers-color-scheme: dark) {
text, .ink { fill: #e6edf3 } .faint { fill: #9aa7b4 } .paper { fill: #0d1117 } .wifi { fill: #4c93dd } .cell { fill: #d9893a }
.grid { stroke: #262d36 } .axis { stroke: #9aa7b4 } .mark { stroke: #e6edf3 }
}
</style>`

const WIDTH = 1200
const LEFT = 72
const RIGHT = WIDTH - 32
const HEAD = 96
const PLOT_HEIGHT = 210
const ROW_HEIGHT = 38
/** Average widths of a character, in bold and in the smaller second line. */
const LABEL_WIDTH = 8.2
const NOTE_WIDTH = 6.6

export function picture(panels: Panel[], heading = 'Steering by ATSSS rules'): string {
  const drawn: string[] = []
  let y = HEAD
  for (const panel of panels) {
    const { svg, height } = drawPanel(panel, y)
    drawn.push(svg)
    y += height
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" width="${WIDTH}" height="${y}" font-family="'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', sans-serif" font-size="13">
<title>${escaped(heading)}</title>
${STYLE}
<rect class="paper" width="100%" height="100%"/>
<text x="${LEFT}" y="46" font-size="22" font-weight="600">${escaped(heading)}</text>
<text x="${LEFT}" y="68" class="faint">What goes over each access in the direction of the transfer, in Mbit/s, as the links count it</text>
${legend()}
${drawn.join('\n')}
</svg>
`
}

function legend(): string {
  const entry = (x: number, access: 'wifi' | 'cell', name: string) =>
    `<rect x="${x}" y="35" width="14" height="14" rx="2" class="${access}"/><text x="${x + 21}" y="46.5">${name}</text>`
  return entry(RIGHT - 362, 'wifi', 'Wi-Fi (50 Mbit/s)') + entry(RIGHT - 190, 'cell', 'Cellular (20 Mbit/s), on top')
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

  const area = (low: (rate: Rate) => number, high: (rate: Rate) => number, access: 'wifi' | 'cell') => {
    const edge = (of: (rate: Rate) => number) =>
      samples.flatMap(rate => [rate.from, rate.to].map(at => `${n(across(at))},${n(up(of(rate)))}`))
    return `<polygon points="${[...edge(high), ...edge(low).reverse()].join(' ')}" class="${access}"/>`
  }
  const parts = [
    `<text x="${LEFT}" y="${y + 14}" font-size="16" font-weight="600">${escaped(title)}</text>`,
    ...yAxis(top, up),
    area(
      () => 0,
      ({ wifi }) => wifi,
      'wifi',
    ),
    area(
      ({ wifi }) => wifi,
      ({ wifi, cell }) => wifi + cell,
      'cell',
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
      `<line x1="${LEFT}" x2="${RIGHT}" y1="${n(up(mbps))}" y2="${n(up(mbps))}" class="grid"/>` +
        `<text x="${LEFT - 10}" y="${n(up(mbps) + 4.5)}" text-anchor="end" class="faint">${mbps}</text>`,
    )
  return lines
}

function xAxis(from: number, to: number, across: (at: number) => number, bottom: number): string[] {
  const lines = [`<line x1="${LEFT}" x2="${RIGHT}" y1="${bottom}" y2="${bottom}" class="axis"/>`]
  for (let second = 0; from + second * 1000 <= to; second += 2) {
    const x = n(across(from + second * 1000))
    lines.push(
      `<line x1="${x}" x2="${x}" y1="${bottom}" y2="${bottom + 5}" class="axis"/>` +
        `<text x="${x}" y="${bottom + 20}" text-anchor="middle" class="faint">${second}${second === 0 ? ' s' : ''}</text>`,
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
      const width = Math.max(mark.label.length * LABEL_WIDTH, (mark.note?.length ?? 0) * NOTE_WIDTH) + 10
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
  const second = note ? `<text ${anchor} y="${y + 15}" class="faint" font-size="12">${escaped(note)}</text>` : ''
  return `<line x1="${n(x)}" x2="${n(x)}" y1="${y - 11}" y2="${bottom}" class="mark"/>${text}${second}`
}

function n(value: number): string {
  return value.toFixed(1)
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
