/** Posts requests, and shows why one was refused. The forms for rules and for the download. */
import { $ } from './dom.js'

/** Rejects with the reason that atsss gives. */
export async function post(path, wish) {
  const answer = await fetch(path + location.search, { method: 'POST', body: JSON.stringify(wish) })
  if (!answer.ok) throw new Error(await answer.text())
}

/** Shows the error of a request in the element `id`, until a request succeeds. @returns whether it succeeded */
export async function attempt(id, change) {
  try {
    await change()
    $(id).textContent = ''
    return true
  } catch (error) {
    $(id).textContent = error.message
    return false
  }
}

/** What is in force. */
let present = { choice: 'handover', percent: undefined }
/** A choice that is not in force yet: it was sent, or waits for JSON. */
let pending

/** Milliseconds after which the form shows what is in force, whatever was sent. */
const PATIENCE_MS = 1500

const radios = [...document.querySelectorAll('input[name=choice]')]

/** Shows the rules that are in force, unless the form is being filled in. */
export function showPresent(rules) {
  $('present').textContent = rules.text
  present = rules
  if (pending !== 'json' && pending === rules.choice) pending = undefined
  if (pending === undefined) choose(rules.choice)
  if (rules.percent !== undefined && document.activeElement !== $('percent')) showPercent(rules.percent)
}

/** @param rules in force, as JSON */
export function showJson(rules) {
  if (pending !== 'json') $('json').value = JSON.stringify(rules, null, 2)
}

export function setRules(rules) {
  return attempt('refused', () => post('rules', { rules }))
}

export function setDownload(isFast) {
  return attempt('unchanged', () => post('download', { isFast }))
}

function choose(choice) {
  for (const radio of radios) {
    radio.checked = radio.value === choice
    if (radio.checked) $('meaning').textContent = radio.parentElement.title
  }
  $('share').hidden = choice !== 'share'
  $('own').hidden = choice !== 'json'
}

function showPercent(percent) {
  $('percent').value = percent
  $('shown').textContent = `${percent} %`
}

for (const radio of radios)
  radio.onchange = () => {
    const { value } = radio
    choose(value)
    pending = value
    if (value === 'json') return
    setRules(value === 'share' ? shareRules() : value).then(isDone => {
      setTimeout(settle, isDone ? PATIENCE_MS : 0)
    })
  }

function settle() {
  if (pending === 'json') return
  pending = undefined
  choose(present.choice)
}

$('percent').oninput = () => {
  $('shown').textContent = `${$('percent').value} %`
}
$('percent').onchange = () => setRules(shareRules())

$('change').onsubmit = event => {
  event.preventDefault()
  attempt('refused', () => post('rules', { rules: JSON.parse($('json').value) })).then(isDone => {
    if (isDone) pending = undefined
  })
}

$('fast').onchange = () => setDownload($('fast').checked)

function shareRules() {
  const steeringMode = { steerModeValue: 'LOAD_BALANCING', '3gLoad': Number($('percent').value) }
  return [{ precedence: 255, trafficDescriptor: { matchAll: true }, steeringMode }]
}
