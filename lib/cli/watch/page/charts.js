/** Draws the charts: curves over time, with marks for events. */
/* global uPlot */

/** The class of each access. */
export const COLOURS = { '3gpp': 'gpp', 'non-3gpp': 'wifi' }

/** The kinds of events that charts mark. Those of single subflows are left out. */
const MARKED = new Set(['access', 'handover', 'rules', 'link', 'problem', 'degraded'])

/** The present value of a colour in the style sheet. A canvas does not support `light-dark()`. */
const probe = document.body.appendChild(document.createElement('i'))
probe.hidden = true
const style = name => {
  probe.style.color = `var(${name})`
  return getComputedStyle(probe).color
}

/** One curve. */
export function line(label, colour, dash = []) {
  return { label, stroke: () => style(colour), width: 2, dash, points: { show: false } }
}

/** @param happenings all events; the list grows */
export function chart(element, data, series, happenings) {
  const axis = {
    stroke: () => style('--faint'),
    grid: { stroke: () => style('--line'), width: 1 },
    ticks: { show: false },
  }
  const size = () => ({ width: Math.max(240, element.clientWidth), height: 240 })
  const plot = new uPlot(
    {
      ...size(),
      series: [{ label: 'time', value: (_, at) => (at == null ? '–' : time(at * 1000)) }, ...series.map(rounded)],
      axes: [
        { ...axis, values: (_, ats) => ats.map(at => time(at * 1000).slice(0, 8)), space: 80, size: 28 },
        { ...axis, size: 48 },
      ],
      // Leave room above the curves for the labels of events.
      scales: { y: { range: (_, __, top) => [0, Math.max(1, (top ?? 0) * 1.4)] } },
      cursor: { y: false },
      legend: { markers: { width: 2, dash: (_, index) => (series[index - 1]?.dash.length ? 'dashed' : 'solid') } },
      hooks: { draw: [self => mark(self, happenings)] },
    },
    data,
    element,
  )
  new ResizeObserver(() => plot.setSize(size())).observe(element)
  return plot
}

function rounded(series) {
  return { ...series, value: (_, value) => (value == null ? '–' : value.toFixed(1)) }
}

/** Rows of labels above the curves. */
const ROWS = 3

/** Draws a line across the chart for each event, with a label if there is room. The list shows all of them. */
function mark(plot, happenings) {
  const { ctx, bbox } = plot
  const [from, to] = [plot.scales.x.min * 1000, plot.scales.x.max * 1000]
  const seen = happenings.filter(({ at, kind }) => MARKED.has(kind) && at >= from && at <= to)
  // Label the newest events first. Changes of links get the room that is left.
  const ordered = [
    ...seen.filter(({ kind }) => kind === 'link'),
    ...seen.filter(({ kind }) => kind !== 'link'),
  ].reverse()
  const taken = Array.from({ length: ROWS }, () => [])
  const unit = devicePixelRatio
  ctx.save()
  ctx.font = `${11 * unit}px system-ui, sans-serif`
  ctx.textAlign = 'left'
  ctx.textBaseline = 'middle'
  const labels = ordered.map(happening => {
    const x = Math.round(plot.valToPos(happening.at / 1000, 'x', true))
    ctx.strokeStyle = colourOf(happening)
    ctx.globalAlpha = happening.kind === 'link' ? 0.45 : 1
    ctx.lineWidth = unit
    ctx.setLineDash([3 * unit, 3 * unit])
    ctx.beginPath()
    ctx.moveTo(x, bbox.top)
    ctx.lineTo(x, bbox.top + bbox.height)
    ctx.stroke()
    return { happening, x, text: briefly(happening) }
  })
  ctx.globalAlpha = 1
  for (const { happening, x, text } of labels) {
    const width = ctx.measureText(text).width + 6 * unit
    const place = placeFor(taken, x, width, bbox)
    if (!place) continue
    const y = bbox.top + (8 + 14 * place.row) * unit
    ctx.fillStyle = style('--card')
    ctx.fillRect(place.left, y - 7 * unit, width, 14 * unit)
    ctx.fillStyle = colourOf(happening)
    ctx.fillText(text, place.left + 3 * unit, y)
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

function colourOf({ kind, available }) {
  if (kind === 'access') return style(available ? '--good' : '--bad')
  return style(kind === 'handover' || kind === 'rules' ? '--text' : '--faint')
}

/** The label: the text without the reason, which the list shows. */
function briefly({ kind, text }) {
  const [first, second] = text.replace(/^link /, '').split(': ')
  return (kind === 'link' && second !== undefined ? `${first}: ${second}` : first).slice(0, 40)
}

/** The local time, in tenths of a second. */
export function time(at) {
  const date = new Date(at)
  const part = (value, width = 2) => String(value).padStart(width, '0')
  return `${part(date.getHours())}:${part(date.getMinutes())}:${part(date.getSeconds())}.${Math.floor(date.getMilliseconds() / 100)}`
}
