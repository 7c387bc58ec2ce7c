/** What to try on the page of a lab. Each hint does it, and is marked once it was done. */
import { $, make } from './dom.js'
import { changeLink } from './links.js'
import { setDownload, setRules } from './wishes.js'

/** @param links of the lab */
export function showHints({ links, download, control }) {
  const wifi = links.find(({ access }) => access === 'non-3gpp')
  $('hints').hidden = wifi === undefined
  if (!wifi) return
  const { name } = wifi
  const hints = [
    [
      'Cut Wi-Fi',
      'Its connections go on over cellular. The gap is in large type.',
      () => changeLink(name, { carrier: false }),
    ],
    [
      'Bring it back',
      'They return once Wi-Fi has been there for a moment, without a gap.',
      () => changeLink(name, { carrier: true, down: false }),
    ],
    [
      'Silence Wi-Fi',
      'Nothing says that it is dead; missing answers do, after some round trips.',
      () => changeLink(name, { down: true }),
    ],
    ...(control
      ? [
          [
            'Use both at once',
            download
              ? 'The download goes as fast as it can, over both: aggregate.'
              : 'The rules become aggregate: both accesses carry data.',
            async () => {
              await changeLink(name, { carrier: true, down: false })
              if (download) await setDownload(true)
              await setRules('aggregate')
            },
          ],
          [
            'Back to handover',
            'Wi-Fi alone again; cellular costs nothing until it is needed.',
            () => setRules('handover'),
          ],
        ]
      : []),
  ]
  $('tries').replaceChildren(...hints.map(item))
}

function item([text, what, act]) {
  const button = Object.assign(make('button', '', text), { type: 'button' })
  button.onclick = async () => {
    await act()
    button.classList.add('done')
  }
  return make('li', '', button, make('span', '', what))
}
