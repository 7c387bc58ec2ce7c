/** The live page: shows what arrives over /events. */
import { COLOURS, chart, line, time } from './charts.js'
import { controlsOf, shown } from './links.js'
import { $ } from './wishes.js'

const GONE = 'the session has ended'

/** Events. */
const KEPT = 200

let most = 480
const happenings = []
/** The columns that uPlot expects: the seconds, then each series. */
const throughput = [[], [], [], [], []]
const rtt = [[], [], [], [], []]

/** Of both charts. */
const lines = [
  line('3gpp up', '--cell'),
  line('3gpp down', '--cell', [5, 4]),
  line('non-3gpp up', '--wifi'),
  line('non-3gpp down', '--wifi', [5, 4]),
]
const charts = {
  throughput: chart($('throughput'), throughput, lines, happenings),
  rtt: chart($('rtt'), rtt, lines, happenings),
}

const events = new EventSource(`events${location.search}`)
on('past', past => {
  const { hello, moments, links } = past
  most = past.most
  $('who').textContent = hello ? `${hello.title} · process ${hello.pid}` : ''
  for (const column of [...throughput, ...rtt]) column.length = 0
  happenings.length = 0
  $('happenings').replaceChildren()
  for (const moment of moments) add(moment)
  for (const happening of past.happenings) list(happening)
  $('change').hidden = !hello?.control
  $('controls').hidden = links.length === 0
  $('links').replaceChildren(...links.map(controlsOf))
  if (hello) state('connected')
  else showNone('waiting for a session', false)
  draw()
})
on('moment', data => {
  add(data.moment)
  draw()
  show(data)
})
on('happening', happening => {
  list(happening)
  draw()
})
on('links', links => {
  for (const link of links) shown.get(link.name)?.(link)
})
on('gone', () => showNone(GONE))
events.onerror = () => showNone($('state').textContent === GONE ? GONE : 'no connection to atsss: is it still running?')

function on(name, take) {
  events.addEventListener(name, ({ data }) => take(JSON.parse(data)))
}

function state(text, gone = false) {
  $('state').textContent = text
  $('state').className = gone ? 'gone' : ''
}

/** Empties the tables of the present state; charts and events stay. */
function showNone(text, bad = true) {
  state(text, bad)
  $('counts').textContent = ''
  $('change').hidden = true
  for (const id of ['accesses', 'rules', 'connections']) fill(id, [])
}

function add({ at, rates: now, rttMs }) {
  const push = (columns, values) => {
    for (const [index, column] of columns.entries()) {
      column.push(values[index])
      if (column.length > most) column.shift()
    }
  }
  const [cell, wifi] = [now['3gpp'], now['non-3gpp']]
  const mega = value => value / 1e6
  push(throughput, [at / 1000, mega(cell.up), mega(cell.down), mega(wifi.up), mega(wifi.down)])
  const known = ({ up, down }) => [up ?? null, down ?? null]
  push(rtt, [at / 1000, ...known(rttMs['3gpp']), ...known(rttMs['non-3gpp'])])
}

function draw() {
  charts.throughput.setData(throughput)
  charts.rtt.setData(rtt)
}

function list(happening) {
  happenings.push(happening)
  if (happenings.length > KEPT) happenings.shift()
  const item = document.createElement('li')
  const when = document.createElement('time')
  when.textContent = time(happening.at)
  item.append(when, happening.text)
  if (happening.kind === 'access') item.className = happening.available ? 'good' : 'bad'
  if (happening.kind === 'action') item.className = 'faint'
  $('happenings').prepend(item)
  while ($('happenings').children.length > KEPT) $('happenings').lastChild.remove()
}

function show({ level, counts, accesses, rules, connections }) {
  state(`steering level: ${level}`)
  $('counts').textContent = counts
  fill(
    'accesses',
    accesses.flatMap(({ name, interface: device, state: now, why, cells }) =>
      twoRows([[name, COLOURS[name]], device, [now, now === 'available' ? 'good' : 'bad', why]], cells),
    ),
  )
  fill(
    'rules',
    rules.flatMap(({ precedence, name, traffic, steering, open, handovers, cells }) =>
      twoRows([[precedence, '', name], traffic, steering, open, handovers], cells),
    ),
  )
  fill(
    'connections',
    connections.flatMap(({ id, title, rule, way, handovers, cells, isTcp, fallback, subflows }) => [
      ...twoRows([`#${id}`, isTcp ? [`${title} (TCP)`, 'bad', fallback] : title, rule, way, handovers], cells),
      ...subflows.flatMap(({ access, kind, ends, cells }) =>
        twoRows(['', [access, COLOURS[access]], [kind, kind === 'in use' ? 'good' : ''], ends, ''], cells, 'subflow'),
      ),
    ]),
  )
}

/** One row for each direction. `cells` are of both. */
function twoRows(cells, { up, down }, name = '') {
  const rows = [row([...cells, ['up', 'faint'], ...up]), row([['down', 'faint'], ...down])]
  for (const cell of [...rows[0].cells].slice(0, cells.length)) cell.rowSpan = 2
  rows[0].className = name
  rows[1].className = `${name} down`
  return rows
}

function fill(id, rows) {
  const nothing = row([['none', 'faint', '', 99]])
  $(id).tBodies[0].replaceChildren(...(rows.length > 0 ? rows : [nothing]))
}

/** Each cell is a text, or [text, class, title, columns]. */
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
