/** The cards at the top: the last handover, and both accesses. */
import { $, COLOURS, make, time } from './dom.js'

const cards = new Map()

/** @param controls of a lab's links, by access: elements */
export function showAccesses(accesses, controls) {
  for (const access of accesses) {
    const card = cards.get(access.access) ?? newCard(access.access, controls[access.access] ?? [])
    fill(card, access)
  }
}

/** Before there is a session: the controls of the lab's links. */
export function showControls(controls) {
  const unknown = { down: '–', up: '–' }
  const names = { 'non-3gpp': 'Wi-Fi', '3gpp': 'Cellular' }
  const accesses = Object.keys(names).filter(access => controls[access])
  showAccesses(
    accesses.map(access => ({
      access,
      title: names[access],
      state: 'waiting',
      rates: unknown,
      shares: unknown,
      rtt: '–',
      rttFrom: '',
    })),
    controls,
  )
}

export function clearAccesses() {
  cards.clear()
  $('accesses').replaceChildren()
}

function newCard(access, controls) {
  const part = (tag, name) => make(tag, name)
  const parts = {
    title: part('h2', COLOURS[access]),
    device: part('small'),
    state: part('p', 'pill'),
    why: part('p', 'why'),
    down: part('b'),
    up: part('b'),
    downMore: part('small'),
    upMore: part('small'),
    rtt: part('dd'),
    rttLabel: make('dt', '', 'round trip'),
    lossLabel: make('dt', '', 'loss'),
    loss: part('dd'),
  }
  const head = make('div', 'head', parts.title, parts.device, parts.state)
  const rates = make(
    'div',
    'rates',
    make('p', '', make('span', 'way', '↓'), parts.down, parts.downMore),
    make('p', '', make('span', 'way', '↑'), parts.up, parts.upMore),
  )
  const facts = make('dl', '', parts.rttLabel, parts.rtt, parts.lossLabel, parts.loss)
  const card = make('section', `access ${COLOURS[access]}-card`, head, parts.why, rates, facts, ...controls)
  card.dataset.access = access
  $('accesses').append(card)
  cards.set(access, parts)
  return parts
}

const STATES = { available: 'good', waiting: '' }

function fill(parts, now) {
  const { access, title, interface: device, state, why, isMeasured, rates, shares, bytes, rtt, rttFrom, loss } = now
  parts.title.textContent = title
  parts.device.textContent = device === undefined ? access : `${access} · ${device}`
  parts.state.textContent = state
  parts.state.className = `pill ${STATES[state] ?? 'bad'}`
  parts.why.textContent = state === 'available' ? '' : (why ?? '')
  parts.down.textContent = rates.down
  parts.up.textContent = rates.up
  // A new session has no rate for its first moments.
  const more = (share, sum) =>
    !isMeasured ? 'measuring …' : share === '–' ? `${sum} so far` : `${share} · ${sum} so far`
  parts.downMore.textContent = bytes ? more(shares.down, bytes.down) : ''
  parts.upMore.textContent = bytes ? more(shares.up, bytes.up) : ''
  parts.rtt.textContent = rtt
  parts.rtt.title = rttFrom
  parts.rttLabel.title = rttFrom
  parts.loss.textContent = loss ?? ''
  parts.lossLabel.hidden = parts.loss.hidden = loss === undefined
}

/** Handovers before the last one that are listed. */
const BEFORE = 4

/**
 * @param happenings all events, the oldest first
 * @param earlier the last handover before them, if there was one
 */
export function showGap(happenings, earlier) {
  const noted = happenings.flatMap(({ handover }) => handover ?? [])
  const handovers = noted.length === 0 && earlier ? [earlier] : noted
  // What interrupted nothing, such as the way back to Wi-Fi, does not push aside what did.
  const last = handovers.findLast(({ gap }) => gap !== undefined) ?? handovers.at(-1)
  $('gap-figure').textContent = last?.gap ?? '–'
  $('gap-figure').className = last?.gap === undefined ? 'none' : ''
  if (!last) return
  const when = `${last.from} to ${last.to}, ${time(last.at).slice(0, 8)}`
  $('gap-way').textContent = when
  $('gap-story').textContent =
    last.gap === undefined
      ? 'Nothing was interrupted.'
      : 'The longest time in which nothing arrived on a connection that moved.'
  const before = handovers.filter(one => one !== last && one.gap !== undefined).slice(-BEFORE)
  $('gaps-before').replaceChildren(
    ...before
      .toReversed()
      .map(({ gap, from, to, at }) => make('li', '', make('b', '', gap), ` ${from} to ${to}, ${time(at).slice(0, 8)}`)),
  )
}
