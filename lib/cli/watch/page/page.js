/** The live page: what comes over /events, drawn; what is asked for, posted. */
/* global uPlot */

const $ = id => document.getElementById(id)

/** A colour of the style sheet, as it is now: a canvas does not know `light-dark()`. */
const probe = document.body.appendChild(document.createElement('i'))
probe.hidden = true
const style = name => {
  probe.style.color = `var(${name})`
  return getComputedStyle(probe).color
}

const COLOURS = { '3gpp': 'gpp', 'non-3gpp': 'wifi' }
/** Happenings that charts mark: not each subflow's. */
const MARKED = new Set(['access', 'rules', 'link', 'problem', 'degraded'])

let most = 480
const happenings = []
/** Columns: seconds, then each series; as uPlot wants them. */
const throughput = [[], [], [], [], []]
const rtt = [[], [], []]

const charts = {
  throughput: chart($('throughput'), throughput, [
    line('3gpp up', '--cell'),
    line('3gpp down', '--cell', [5, 4]),
    line('non-3gpp up', '--wifi'),
    line('non-3gpp down', '--wifi', [5, 4]),
  ]),
  rtt: chart($('rtt'), rtt, [line('3gpp', '--cell'), line('non-3gpp', '--wifi')]),
}

const events = new EventSource('events')
on('past', past => {
  const { hello, moments, links } = past
  most = past.most
  $('who').textContent = `${hello.title} · process ${hello.pid}`
  for (const column of [...throughput, ...rtt]) column.length = 0
  happenings.length = 0
  $('happenings').replaceChildren()
  for (const moment of moments) add(moment)
  for (const happening of past.happenings) tell(happening)
  $('change').hidden = !hello.control
  $('controls').hidden = links.length === 0
  $('links').replaceChildren(...links.map(controlsOf))
  draw()
})
on('moment', data => {
  add(data.moment)
  draw()
  show(data)
})
on('happening', happening => {
  tell(happening)
  draw()
})
on('gone', () => {
  state('the session has gone', true)
  events.close()
})
events.onerror = () => state('no connection to atsss', true)

function on(name, hear) {
  events.addEventListener(name, ({ data }) => hear(JSON.parse(data)))
}

function state(text, gone = false) {
  $('state').textContent = text
  $('state').className = gone ? 'gone' : ''
}

function line(label, colour, dash = []) {
  return { label, stroke: () => style(colour), width: 2, dash, points: { show: false } }
}

function chart(element, data, series) {
  const axis = { stroke: () => style('--faint'), grid: { stroke: () => style('--line') }, ticks: { show: false } }
  const size = () => ({ width: Math.max(280, element.clientWidth), height: 230 })
  const plot = new uPlot(
    {
      ...size(),
      series: [{ label: 'time', value: (_, at) => (at == null ? '–' : time(at * 1000)) }, ...series.map(rounded)],
      axes: [
        { ...axis, values: (_, ats) => ats.map(at => time(at * 1000).slice(0, 8)), space: 80 },
        { ...axis, size: 56 },
      ],
      scales: { y: { range: (_, __, top) => [0, Math.max(1, (top ?? 0) * 1.1)] } },
      cursor: { y: false },
      hooks: { draw: [mark] },
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

/** A line across the chart for each thing that happened. */
function mark(plot) {
  const { ctx, bbox } = plot
  ctx.save()
  ctx.textAlign = 'left'
  ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`
  const [from, to] = [plot.scales.x.min * 1000, plot.scales.x.max * 1000]
  const shown = happenings.filter(({ at, kind }) => MARKED.has(kind) && at >= from && at <= to)
  for (const [index, { at, text, kind }] of shown.entries()) {
    const x = Math.round(plot.valToPos(at / 1000, 'x', true))
    ctx.strokeStyle = ctx.fillStyle = style(kind !== 'access' ? '--faint' : / is lost/.test(text) ? '--bad' : '--good')
    ctx.setLineDash([3, 3])
    ctx.beginPath()
    ctx.moveTo(x, bbox.top)
    ctx.lineTo(x, bbox.top + bbox.height)
    ctx.stroke()
    const label = text
      .split(':')
      .slice(0, kind === 'access' ? 1 : 2)
      .join(':')
      .slice(0, 34)
    ctx.fillText(label, x + 4, bbox.top + (12 + 13 * (index % 4)) * devicePixelRatio)
  }
  ctx.restore()
}

function add({ at, rates, rttMs }) {
  const push = (columns, values) => {
    for (const [index, column] of columns.entries()) {
      column.push(values[index])
      if (column.length > most) column.shift()
    }
  }
  const [cell, wifi] = [rates['3gpp'], rates['non-3gpp']]
  const mega = value => value / 1e6
  push(throughput, [at / 1000, mega(cell.up), mega(cell.down), mega(wifi.up), mega(wifi.down)])
  push(rtt, [at / 1000, rttMs['3gpp'] ?? null, rttMs['non-3gpp'] ?? null])
}

function draw() {
  charts.throughput.setData(throughput)
  charts.rtt.setData(rtt)
}

function time(at) {
  const date = new Date(at)
  const part = (value, width = 2) => String(value).padStart(width, '0')
  return `${part(date.getHours())}:${part(date.getMinutes())}:${part(date.getSeconds())}.${Math.floor(date.getMilliseconds() / 100)}`
}

function tell(happening) {
  happenings.push(happening)
  const item = document.createElement('li')
  const when = document.createElement('time')
  when.textContent = time(happening.at)
  item.append(when, happening.text)
  if (happening.kind === 'access') item.className = /is lost/.test(happening.text) ? 'bad' : 'good'
  $('happenings').prepend(item)
  while ($('happenings').children.length > 200) $('happenings').lastChild.remove()
}

function show({ level, counts, accesses, rules, connections }) {
  state(`steering level: ${level}`)
  $('counts').textContent = counts
  fill(
    'accesses',
    accesses.map(({ name, interface: device, state: now, why, cells }) =>
      row([[name, COLOURS[name]], device, [now, now === 'available' ? 'good' : 'bad', why], ...cells]),
    ),
  )
  fill(
    'rules',
    rules.map(({ precedence, steering, cells }) => row([precedence, steering, ...cells])),
  )
  fill(
    'connections',
    connections.flatMap(({ id, title, cells, isTcp, subflows }) => [
      row([`#${id}`, isTcp ? [`${title} (TCP)`, 'bad'] : title, ...cells]),
      ...subflows.map(({ access, kind, cells: [delay, speed, ends] }) => {
        const line = row([
          '',
          [access, COLOURS[access]],
          [kind, kind === 'in use' ? 'good' : ''],
          delay,
          [speed, '', '', 2],
          ends,
        ])
        line.className = 'subflow'
        return line
      }),
    ]),
  )
}

function fill(id, rows) {
  $(id).tBodies[0].replaceChildren(...rows)
}

/** Each cell a text, or [text, class, title, columns]. */
function row(cells) {
  const element = document.createElement('tr')
  for (const cell of cells) {
    const [text, name = '', title = '', columns = 1] = Array.isArray(cell) ? cell : [cell]
    const td = document.createElement('td')
    td.textContent = text
    td.className = name
    td.title = title
    td.colSpan = columns
    element.append(td)
  }
  return element
}

async function post(path, wish) {
  const answer = await fetch(path, { method: 'POST', body: JSON.stringify(wish) })
  if (!answer.ok) throw new Error(await answer.text())
}

// Rules.
$('preset').onchange = () => {
  $('share').hidden = $('preset').value !== 'share'
  $('json').hidden = $('preset').value !== 'json'
}
$('percent').oninput = () => {
  $('shown').textContent = `${$('percent').value} %`
}
$('json').value = JSON.stringify(
  [
    {
      precedence: 255,
      trafficDescriptor: { matchAll: true },
      steeringMode: { steerModeValue: 'PRIORITY_BASED', prioAcc: 'NON_3GPP_ACCESS', thresValue: { rttThres: 100 } },
    },
  ],
  null,
  2,
)
$('change').onsubmit = async event => {
  event.preventDefault()
  $('refused').textContent = ''
  try {
    await post('rules', { rules: wantedRules() })
  } catch (error) {
    $('refused').textContent = error.message
  }
}

function wantedRules() {
  const { value } = $('preset')
  if (value === 'json') return JSON.parse($('json').value)
  if (value !== 'share') return value
  const steeringMode = { steerModeValue: 'LOAD_BALANCING', '3gLoad': Number($('percent').value) }
  return [{ precedence: 255, trafficDescriptor: { matchAll: true }, steeringMode }]
}

// Links of a lab.
function controlsOf(name) {
  const field = document.createElement('fieldset')
  field.className = 'link'
  const legend = document.createElement('legend')
  legend.textContent = name
  const buttons = document.createElement('div')
  buttons.className = 'buttons'
  buttons.append(
    toggle('cut', pressed => post('link', { name, change: { carrier: !pressed } })),
    toggle('black hole', pressed => post('link', { name, change: { down: pressed } })),
  )
  field.append(
    legend,
    buttons,
    ...slider('delay', 'ms', 0, 300, 10, delayMs => post('link', { name, change: { delayMs } })),
    ...slider('rate', 'Mbit/s', 1, 100, 20, rateMbps => post('link', { name, change: { rateMbps } })),
    ...slider('loss', '%', 0, 20, 0, lossPercent => post('link', { name, change: { lossPercent } })),
  )
  return field
}

function toggle(text, change) {
  const button = document.createElement('button')
  button.type = 'button'
  button.textContent = text
  button.setAttribute('aria-pressed', 'false')
  button.onclick = async () => {
    const pressed = button.getAttribute('aria-pressed') !== 'true'
    await change(pressed)
    button.setAttribute('aria-pressed', String(pressed))
  }
  return button
}

function slider(text, unit, min, max, value, change) {
  const label = document.createElement('label')
  label.textContent = text
  const input = Object.assign(document.createElement('input'), { type: 'range', min, max, value, ariaLabel: text })
  const output = document.createElement('output')
  output.textContent = '–'
  input.oninput = () => {
    output.textContent = `${input.value} ${unit}`
  }
  input.onchange = () => change(Number(input.value))
  return [label, input, output]
}
