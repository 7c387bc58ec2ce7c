/** Draws the charts: areas and curves over time, with marks for events. */
/* global uPlot */
import { $, COLOURS, make, time } from './dom.js'
import { marksOf } from './marks.js'
import { rateText, rttRange, shortNumber, stacked, throughputRange, unitFor, unstacked } from './scale.js'

/** Seconds that are shown. */
const SPAN = 120

/** The present value of a colour in the style sheet. A canvas does not support `light-dark()`. */
const probe = document.body.appendChild(make('i'))
probe.hidden = true
const style = name => {
  probe.style.color = `var(${name})`
  return getComputedStyle(probe).color
}

const ORDER = ['non-3gpp', '3gpp']

/** @param happenings all events; the list grows */
export function openCharts(happenings) {
  /** The columns that uPlot expects: the seconds, then each series. */
  const columns = { throughput: [[], [], [], [], []], rtt: [[], [], []] }
  let hint = ''
  let titles = { 'non-3gpp': 'Wi-Fi', '3gpp': 'Cellular' }
  const throughput = plot($('throughput'), columns.throughput, {
    // Wi-Fi is drawn last: where cellular carries nothing, the curves are the same.
    series: [area('--cell'), area('--wifi', '--wifi-area'), area('--cell'), area('--wifi', '--wifi-area')],
    bands: [
      { series: [1, 2], fill: () => style('--cell-area') },
      { series: [4, 3], fill: () => style('--cell-area') },
    ],
    range: throughputRange,
    values: (self, values) => {
      const [unit, factor] = unitFor(Math.max(self.scales.y.max ?? 0, -(self.scales.y.min ?? 0)) / 1.4)
      return values.map((value, index) => {
        const text = trimmed(Math.abs(value) / factor)
        return index === values.length - 1 ? `${unit}  ${text}` : text
      })
    },
    draw: self => {
      directions(self)
      mark(self, happenings, true)
    },
    legend: index => legendOfRates(columns.throughput, index, titles),
  })
  const rtt = plot($('rtt'), columns.rtt, {
    series: [curve('--wifi'), curve('--cell')],
    range: (_, most) => rttRange(most),
    values: (_, values) => values.map((value, index) => (index === values.length - 1 ? `ms  ${value}` : String(value))),
    draw: self => mark(self, happenings, false),
    legend: index => legendOfRtt(columns.rtt, index, titles),
  })
  return {
    clear() {
      for (const column of [...columns.throughput, ...columns.rtt]) column.length = 0
    },
    add({ at, rates, rttMs }, most) {
      push(columns.throughput, [at / 1000, ...stacked(rates)], most)
      push(columns.rtt, [at / 1000, ...ORDER.map(access => rttMs[access] ?? null)], most)
    },
    /** @param said what the charts say while there is nothing to draw */
    draw(present, said) {
      titles = present ?? titles
      hint = said ?? hint
      for (const [name, [ats]] of Object.entries(columns)) $(name).dataset.hint = ats.length < 2 ? hint : ''
      throughput()
      rtt()
    },
  }
}

function push(columns, values, most) {
  for (const [index, column] of columns.entries()) {
    column.push(values[index])
    if (column.length > most) column.shift()
  }
}

function area(colour, fill) {
  return {
    stroke: () => style(colour),
    width: 1.5,
    fillTo: 0,
    points: { show: false },
    ...(fill && { fill: () => style(fill) }),
  }
}

/** A single measurement between two times without one is a point. */
function curve(colour) {
  return { stroke: () => style(colour), width: 2, spanGaps: false, points: { show: true, size: 4, filter: alone } }
}

function alone(self, series) {
  const values = self.data[series]
  const [from, to] = self.series[0].idxs
  const found = []
  for (let i = from; i <= to; i++)
    if (values[i] != null && values[i - 1] == null && values[i + 1] == null) found.push(i)
  return found
}

/** @returns a function that draws it again */
function plot(element, data, { series, bands = [], range, values, draw, legend }) {
  const axis = {
    stroke: () => style('--faint'),
    grid: { stroke: () => style('--line'), width: 1 },
    ticks: { show: false },
  }
  const size = () => ({ width: Math.max(240, element.clientWidth), height: innerWidth < 600 ? 200 : 250 })
  const chart = new uPlot(
    {
      ...size(),
      series: [{}, ...series],
      bands,
      axes: [
        { ...axis, values: (_, ats) => ats.map(at => time(at * 1000).slice(0, 8)), space: 90, size: 28 },
        { ...axis, values, size: 70, space: 34 },
      ],
      scales: {
        x: { range: (_, __, to) => [(to ?? Date.now() / 1000) - SPAN, to ?? Date.now() / 1000] },
        y: { range: (_, least, most) => range(least ?? 0, most ?? 0) },
      },
      cursor: { y: false, points: { show: false } },
      legend: { show: false },
      hooks: { draw: [draw], setCursor: [self => legend(self.cursor.idx)] },
    },
    data,
    element,
  )
  new ResizeObserver(() => chart.setSize(size())).observe(element)
  return () => {
    chart.setData(data)
    legend(chart.cursor.idx)
  }
}

/** Shows the moment under the mouse, or else the latest one. */
function legendOfRates(columns, index, titles) {
  const at = index ?? columns[0].length - 1
  if (at < 0 || columns[0].length === 0) return $('throughput-legend').replaceChildren()
  const rates = unstacked(columns.slice(1).map(column => column[at]))
  const each = ORDER.map(access =>
    entry(access, `${titles[access]} ↓ ${rateText(rates[access].down)} ↑ ${rateText(rates[access].up)}`),
  )
  const [down, up] = [columns[1][at], -columns[3][at]]
  $('throughput-legend').replaceChildren(...each, make('span', 'all', `both ↓ ${rateText(down)} ↑ ${rateText(up)}`))
}

function legendOfRtt(columns, index, titles) {
  const at = index ?? columns[0].length - 1
  const text = value => (value == null ? 'not measured' : `${shortNumber(value)} ms`)
  const each = ORDER.map((access, place) => entry(access, `${titles[access]} ${text(columns[place + 1][at])}`))
  $('rtt-legend').replaceChildren(...(columns[0].length === 0 ? [] : each))
}

function entry(access, text) {
  return make('span', COLOURS[access], make('i', 'swatch'), text)
}

function trimmed(value) {
  return String(Math.round(value * 100) / 100)
}

/** Says which half is what. */
function directions(self) {
  const { ctx, bbox } = self
  const unit = devicePixelRatio
  const zero = self.valToPos(0, 'y', true)
  if (self.data[0].length === 0) return
  ctx.save()
  ctx.font = `${11 * unit}px system-ui, sans-serif`
  ctx.fillStyle = style('--faint')
  ctx.strokeStyle = style('--faint')
  ctx.lineWidth = unit
  ctx.beginPath()
  ctx.moveTo(bbox.left, Math.round(zero))
  ctx.lineTo(bbox.left + bbox.width, Math.round(zero))
  ctx.stroke()
  ctx.textAlign = 'left'
  ctx.textBaseline = 'bottom'
  ctx.fillText('↓ received', bbox.left + 4 * unit, zero - 3 * unit)
  if (bbox.top + bbox.height - zero > 24 * unit) {
    ctx.textBaseline = 'top'
    ctx.fillText('↑ sent', bbox.left + 4 * unit, zero + 4 * unit)
  }
  ctx.restore()
}

/** Rows of labels above the curves. */
const ROWS = 3

/** Draws a line across the chart for each event, with a label if there is room. The list shows all of them. */
function mark(self, happenings, hasLabels) {
  const { ctx, bbox } = self
  const marks = marksOf(happenings, self.scales.x.min * 1000, self.scales.x.max * 1000)
  const unit = devicePixelRatio
  ctx.save()
  ctx.font = `${11 * unit}px system-ui, sans-serif`
  ctx.textAlign = 'left'
  ctx.textBaseline = 'middle'
  const placed = marks.map(one => ({ ...one, x: Math.round(self.valToPos(one.at / 1000, 'x', true)) }))
  for (const { x, ...one } of placed) {
    ctx.strokeStyle = colourOf(one)
    ctx.globalAlpha = one.kind === 'access' ? 1 : 0.5
    ctx.lineWidth = unit
    ctx.setLineDash([3 * unit, 3 * unit])
    ctx.beginPath()
    ctx.moveTo(x, bbox.top)
    ctx.lineTo(x, bbox.top + bbox.height)
    ctx.stroke()
  }
  ctx.globalAlpha = 1
  const taken = Array.from({ length: ROWS }, () => [])
  // Losses of accesses get their room first; of the others, the newest.
  const important = placed.toReversed().sort((a, b) => Number(b.kind === 'access') - Number(a.kind === 'access'))
  for (const one of hasLabels ? important : []) {
    const width = ctx.measureText(one.label).width + 6 * unit
    const place = placeFor(taken, one.x, width, bbox)
    if (!place) continue
    const y = bbox.top + (8 + 15 * place.row) * unit
    ctx.fillStyle = style('--card')
    ctx.fillRect(place.left, y - 7 * unit, width, 14 * unit)
    ctx.fillStyle = colourOf(one)
    ctx.fillText(one.label, place.left + 3 * unit, y)
  }
  ctx.restore()
}

/** A free place for a label, right of the line or else left of it, in the first possible row; undefined if there is no room. */
function placeFor(taken, x, width, { left: least, width: most }) {
  for (const [row, there] of taken.entries())
    for (const left of [x + 2, x - 2 - width]) {
      const right = left + width
      if (left < least || right > least + most || there.some(other => left < other.right && other.left < right))
        continue
      there.push({ left, right })
      return { row, left }
    }
  return undefined
}

function colourOf({ isGood, kind }) {
  if (isGood !== undefined) return style(isGood ? '--good' : '--bad')
  return style(kind === 'link' ? '--faint' : '--text')
}
