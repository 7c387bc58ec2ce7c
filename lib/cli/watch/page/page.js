/** The live page: shows what arrives over /events. */
import { clearAccesses, showAccesses, showControls, showGap } from './cards.js'
import { openCharts } from './charts.js'
import { $, make, time } from './dom.js'
import { showHints } from './hints.js'
import { controlsOf, shown } from './links.js'
import { showConnections, showRules } from './tables.js'
import { showJson, showPresent } from './wishes.js'

/** Events. */
const KEPT = 200

let most = 480
/** When the session that is shown has ended. */
let endedAt
/** The last handover, if it was before all events that are listed. */
let lastHandover
/** By access, the controls of a lab's links. */
let controls = {}
const happenings = []
const charts = openCharts(happenings)

const events = new EventSource(`events${location.search}`)
on('past', past => {
  const { hello, links, now, download } = past
  most = past.most
  endedAt = past.endedAt
  lastHandover = now?.lastHandover
  showTitle(past.title, hello)
  charts.clear()
  for (const moment of past.moments) charts.add(moment, most)
  happenings.length = 0
  $('happenings').replaceChildren()
  for (const happened of past.happenings) list(happened)
  clearAccesses()
  shown.clear()
  controls = Object.groupBy(
    links.map(link => ({ access: link.access, field: controlsOf(link) })),
    ({ access }) => access,
  )
  for (const access of Object.keys(controls)) controls[access] = controls[access].map(({ field }) => field)
  showDownload(download)
  showHints({ links, download, control: hello?.control })
  showJson(past.rules)
  $('change').hidden = !hello?.control
  if (now) show(now)
  else {
    showControls(controls)
    showRules([])
    showConnections([])
  }
  showGap(happenings, lastHandover)
  charts.draw(undefined, hello ? 'measuring …' : 'waiting for a session')
  showState(hello === undefined)
})
on('moment', ({ moment, ...now }) => {
  charts.add(moment, most)
  show(now)
  charts.draw(titlesOf(now))
})
on('happening', happened => {
  list(happened)
  showGap(happenings, lastHandover)
  charts.draw()
})
on('rules', ({ rules }) => showJson(rules))
on('download', showDownload)
on('links', links => {
  for (const link of links) shown.get(link.name)?.(link)
})
on('gone', ({ at }) => {
  endedAt = at
  showState(false)
})
events.onerror = () => {
  if (endedAt === undefined) state('no connection to atsss: is it still running?', 'bad')
}

function on(name, take) {
  events.addEventListener(name, ({ data }) => take(JSON.parse(data)))
}

function showTitle(title, hello) {
  const name = title ?? hello?.name ?? 'atsss'
  document.title = `${name} · atsss`
  $('title').textContent = name
  $('who').textContent = hello ? `${''}process ${hello.pid}` : ''
  $('who').title = hello?.title ?? ''
}

function showState(isWaiting) {
  document.body.classList.toggle('ended', endedAt !== undefined)
  if (endedAt !== undefined) {
    $('change').hidden = true
    state(`ended at ${time(endedAt).slice(0, 8)}: this is its last state`, 'bad')
  } else if (isWaiting) state('waiting for a session', '')
  else state('live', 'good')
}

function state(text, name) {
  $('state').textContent = text
  $('state').className = `pill ${name}`
}

function show({ level, counts, accesses, rules, present, connections }) {
  $('level').textContent = level.text
  $('level').title = level.why
  $('level').className = level.isFull ? 'pill' : 'pill warning'
  $('counts').textContent = counts
  showAccesses(accesses, controls)
  showRules(rules)
  showPresent(present)
  showConnections(connections)
}

function showDownload(download) {
  $('download').hidden = !download
  $('fast').checked = download?.isFast ?? false
}

function titlesOf({ accesses }) {
  return Object.fromEntries(accesses.map(({ access, title }) => [access, title]))
}

/** A note of the same id as one before replaces it. */
function list(happened) {
  const { id, at, kind, text, isGood } = happened
  const name = isGood === undefined ? (kind === 'action' ? 'faint' : kind) : isGood ? 'good' : 'bad'
  const item = make('li', name, make('time', '', time(at)), text)
  item.dataset.id = id
  const before = happenings.findIndex(other => other.id === id)
  if (before >= 0) {
    happenings[before] = happened
    return $('happenings').querySelector(`[data-id="${id}"]`)?.replaceWith(item)
  }
  happenings.push(happened)
  if (happenings.length > KEPT) happenings.shift()
  $('happenings').prepend(item)
  while ($('happenings').children.length > KEPT) $('happenings').lastChild.remove()
}
