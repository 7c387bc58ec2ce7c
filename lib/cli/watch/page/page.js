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
const MARKED = new Set(['access', 'handover', 'rules', 'link', 'problem', 'degraded'])

const GONE = 'the session has gone'

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
  $('who').textContent = hello ? `${hello.title} · process ${hello.pid}` : ''
  for (const column of [...throughput, ...rtt]) column.length = 0
  happenings.length = 0
  $('happenings').replaceChildren()
  for (const moment of moments) add(moment)
  for (const happening of past.happenings) tell(happening)
  $('change').hidden = !hello?.control
  $('controls').hidden = links.length === 0
  $('links').replaceChildren(...links.map(controlsOf))
  if (hello) state('connected')
  else nobody('no session yet: it is shown once there is one', false)
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
on('links', links => {
  for (const link of links) shown.get(link.name)?.(link)
})
on('gone', () => nobody(GONE))
events.onerror = () => nobody($('state').textContent === GONE ? GONE : 'no connection to atsss')

function on(name, hear) {
  events.addEventListener(name, ({ data }) => hear(JSON.parse(data)))
}

function state(text, gone = false) {
  $('state').textContent = text
  $('state').className = gone ? 'gone' : ''
}

/** What is no more is not shown as if it were; what has been stays. */
function nobody(text, bad = true) {
  state(text, bad)
  $('counts').textContent = ''
  $('change').hidden = true
  for (const id of ['accesses', 'rules', 'connections']) fill(id, [])
}

function line(label, colour, dash = []) {
  return { label, stroke: () => style(colour), width: 2, dash, points: { show: false } }
}

function chart(element, data, series) {
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
      // Above the curves there is room for what happened.
      scales: { y: { range: (_, __, top) => [0, Math.max(1, (top ?? 0) * 1.4)] } },
      cursor: { y: false },
      legend: { markers: { width: 2, dash: (_, index) => (series[index - 1]?.dash.length ? 'dashed' : 'solid') } },
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

/** Rows of labels above the curves. */
const ROWS = 3

/** A line across the chart for each thing that happened; what it was, as far as there is room: the list has it all. */
function mark(plot) {
  const { ctx, bbox } = plot
  const [from, to] = [plot.scales.x.min * 1000, plot.scales.x.max * 1000]
  const seen = happenings.filter(({ at, kind }) => MARKED.has(kind) && at >= from && at <= to)
  // The newest first, and what the links did only where the rest has left room.
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

/** Right of the line, or else left of it, in the first row where nothing is; undefined: there is no room. */
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

function colourOf({ kind, text }) {
  if (kind === 'access') return style(/ is lost/.test(text) ? '--bad' : '--good')
  return style(kind === 'handover' || kind === 'rules' ? '--text' : '--faint')
}

/** Without the reason, which the list has. */
function briefly({ kind, text }) {
  const [first, second] = text.replace(/^link /, '').split(': ')
  return (kind === 'link' && second !== undefined ? `${first}: ${second}` : first).slice(0, 40)
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
  if (happening.kind === 'action') item.className = 'faint'
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
    rules.map(({ precedence, name, traffic, steering, cells }) =>
      row([[precedence, '', name], traffic, steering, ...cells]),
    ),
  )
  fill(
    'connections',
    connections.flatMap(({ id, title, cells, isTcp, fallback, subflows }) => [
      row([`#${id}`, isTcp ? [`${title} (TCP)`, 'bad', fallback] : title, ...cells]),
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
  const nothing = row([['none', 'faint', '', 99]])
  $(id).tBodies[0].replaceChildren(...(rows.length > 0 ? rows : [nothing]))
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
$('change').onsubmit = event => {
  event.preventDefault()
  attempt('refused', () => post('rules', { rules: wantedRules() }))
}

/** What is wrong is said in the element `id`, until it goes well. */
async function attempt(id, change) {
  try {
    await change()
    $(id).textContent = ''
  } catch (error) {
    $(id).textContent = error.message
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
/** By name: shows what a link is like. */
const shown = new Map()

function controlsOf(link) {
  const { name, access } = link
  const change = what => attempt('unchanged', () => post('link', { name, change: what }))
  const fastest = Math.max(100, link.rateMbps ?? 0)
  const buttons = [
    toggle(
      'cut',
      ({ carrier = true }) => !carrier,
      pressed => change({ carrier: !pressed }),
    ),
    toggle(
      'black hole',
      ({ down = false }) => down,
      pressed => change({ down: pressed }),
    ),
  ]
  const sliders = [
    slider(
      'delay one way',
      'ms',
      [0, 300, 1],
      ({ delayMs = 0 }) => delayMs,
      delayMs => change({ delayMs }),
    ),
    slider(
      'rate',
      'Mbit/s',
      [1, fastest, 1],
      ({ rateMbps = 0 }) => rateMbps,
      rateMbps => change({ rateMbps }),
    ),
    slider(
      'loss',
      '%',
      [0, 20, 0.1],
      ({ lossPercent = 0 }) => lossPercent,
      lossPercent => change({ lossPercent }),
    ),
  ]
  const field = document.createElement('fieldset')
  field.className = `link ${COLOURS[access]}`
  const legend = document.createElement('legend')
  legend.textContent = name === access ? name : `${name} · ${access}`
  const row = document.createElement('div')
  row.className = 'buttons'
  row.append(...buttons.flatMap(({ elements }) => elements))
  field.append(legend, row, ...sliders.flatMap(({ elements }) => elements))
  const all = present => {
    for (const { show } of [...buttons, ...sliders]) show(present)
  }
  shown.set(name, all)
  all(link)
  return field
}

function toggle(text, isPressed, change) {
  const button = document.createElement('button')
  button.type = 'button'
  button.textContent = text
  button.onclick = () => change(button.getAttribute('aria-pressed') !== 'true')
  return { elements: [button], show: present => button.setAttribute('aria-pressed', String(isPressed(present))) }
}

function slider(text, unit, [min, max, step], read, change) {
  const label = document.createElement('label')
  label.textContent = text
  const input = Object.assign(document.createElement('input'), { type: 'range', min, max, step, ariaLabel: text })
  const output = document.createElement('output')
  const say = value => {
    // 0 Mbit/s is none to obey.
    output.textContent = value < min ? 'no limit' : `${value} ${unit}`
  }
  let held = false
  input.oninput = () => {
    held = true
    say(Number(input.value))
  }
  input.onchange = () => {
    held = false
    change(Number(input.value))
  }
  const show = present => {
    if (held) return
    const value = read(present)
    input.value = value < min ? max : value
    say(value)
  }
  return { elements: [label, input, output], show }
}
