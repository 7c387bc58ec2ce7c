/** Controls that show and change the links of a lab. */
import { make } from './dom.js'
import { attempt, post } from './wishes.js'

/** By name, the function that shows the present settings of a link. */
export const shown = new Map()

const CUT = 'The cable is pulled: the interface has no carrier, and Linux knows at once.'
const SILENCE = 'All packets are lost, and nothing says so: only that no answer comes shows it.'

export function changeLink(name, change) {
  return attempt('unchanged', () => post('link', { name, change }))
}

export function controlsOf(link) {
  const { name } = link
  const change = what => changeLink(name, what)
  const fastest = Math.max(100, link.rateMbps ?? 0)
  const buttons = [
    toggle(
      ['Cut', 'Restore'],
      CUT,
      ({ carrier = true }) => !carrier,
      pressed => change({ carrier: !pressed }),
    ),
    toggle(
      ['Silence', 'Let it speak'],
      SILENCE,
      ({ down = false }) => down,
      pressed => change({ down: pressed }),
    ),
  ]
  const sliders = [
    slider(
      'one-way delay',
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
  const row = make('div', 'buttons', ...buttons.flatMap(({ elements }) => elements))
  const field = make('fieldset', 'link', make('legend', '', `link ${name}`), row)
  field.append(...sliders.flatMap(({ elements }) => elements))
  field.dataset.link = name
  const all = present => {
    for (const { show } of [...buttons, ...sliders]) show(present)
  }
  shown.set(name, all)
  all(link)
  return field
}

function toggle([off, on], title, isPressed, change) {
  const button = Object.assign(make('button', '', off), { type: 'button', title })
  button.onclick = () => change(button.getAttribute('aria-pressed') !== 'true')
  const show = present => {
    const pressed = isPressed(present)
    button.setAttribute('aria-pressed', String(pressed))
    button.textContent = pressed ? on : off
  }
  return { elements: [button], show }
}

/** Milliseconds without a movement after which a slider's value is set: a key that is held down moves it many times. */
const REST_MS = 200

function slider(text, unit, [min, max, step], read, change) {
  const label = make('label', '', text)
  const input = Object.assign(make('input'), { type: 'range', min, max, step, ariaLabel: text })
  const output = make('output')
  const say = value => {
    // 0 Mbit/s means no limit.
    output.textContent = value < min ? 'no limit' : `${value} ${unit}`
  }
  let held = false
  let rest
  input.oninput = () => {
    held = true
    say(Number(input.value))
  }
  input.onchange = () => {
    clearTimeout(rest)
    rest = setTimeout(() => {
      held = false
      change(Number(input.value))
    }, REST_MS)
  }
  // A control that is back at its old value sends no change.
  input.onblur = input.onpointerup = () => {
    held = false
  }
  const show = present => {
    if (held) return
    const value = read(present)
    input.value = value < min ? max : value
    say(value)
  }
  return { elements: [label, input, output], show }
}
