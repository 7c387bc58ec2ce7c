/** Controls that show and change the links of a lab. */
import { COLOURS } from './charts.js'
import { attempt, post } from './wishes.js'

/** By name, the function that shows the present settings of a link. */
export const shown = new Map()

export function controlsOf(link) {
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
    // 0 Mbit/s means no limit.
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
