/** Posts requests, and shows why one was refused. The form for rules. */

export const $ = id => document.getElementById(id)

/** Rejects with the reason that atsss gives. */
export async function post(path, wish) {
  const answer = await fetch(path + location.search, { method: 'POST', body: JSON.stringify(wish) })
  if (!answer.ok) throw new Error(await answer.text())
}

/** Shows the error of a request in the element `id`, until a request succeeds. */
export async function attempt(id, change) {
  try {
    await change()
    $(id).textContent = ''
  } catch (error) {
    $(id).textContent = error.message
  }
}

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

function wantedRules() {
  const { value } = $('preset')
  if (value === 'json') return JSON.parse($('json').value)
  if (value !== 'share') return value
  const steeringMode = { steerModeValue: 'LOAD_BALANCING', '3gLoad': Number($('percent').value) }
  return [{ precedence: 255, trafficDescriptor: { matchAll: true }, steeringMode }]
}
