/** The tables of rules and connections. On a narrow screen each figure has its heading beside it. */
import { $, COLOURS, make } from './dom.js'

export function showRules(rules) {
  fill(
    'rules',
    rules.map(({ title, isReplaced, traffic, steering, open, handovers, rates, overCellular, bytes }) =>
      row(isReplaced ? 'replaced' : '', [
        [isReplaced ? `${title} (replaced)` : title, 'name'],
        [traffic, 'words'],
        [steering, 'words'],
        open,
        handovers,
        rates.down,
        rates.up,
        overCellular.down,
        overCellular.up,
        bytes.down,
        bytes.up,
      ]),
    ),
  )
}

export function showConnections(connections) {
  fill(
    'connections',
    connections.flatMap(({ title, tcp, details, subflows, ...flow }) => [
      row('connection', [
        [tcp === undefined ? title : `${title} (TCP)`, tcp === undefined ? 'name' : 'name bad', tcp],
        ...figures(flow),
        [details, 'words'],
      ]),
      ...subflows.map(({ access, title, kind, details, ...one }) =>
        row('subflow', [
          [
            make(
              'span',
              '',
              make('span', COLOURS[access], title),
              ' ',
              make('span', kind === 'in use' ? 'good' : 'faint', kind),
            ),
            'name',
          ],
          ...figures(one),
          [details, 'words faint'],
        ]),
      ),
    ]),
  )
}

function figures({ rates, rtt, bytes }) {
  return [rates.down, rates.up, rtt, bytes.down, bytes.up]
}

function fill(id, rows) {
  const headings = [...$(id).tHead.rows[0].cells].map(({ textContent }) => textContent.replaceAll('\u00ad', ''))
  const none = row('', [['none', 'name faint']])
  for (const one of rows) for (const [index, cell] of [...one.cells].entries()) cell.dataset.heading = headings[index]
  $(id).tBodies[0].replaceChildren(...(rows.length > 0 ? rows : [none]))
}

/** Each cell is a text, or [text or element, class, title]. */
function row(name, cells) {
  const element = make('tr', name)
  for (const cell of cells) {
    const [content, className = 'figure', title = ''] = Array.isArray(cell) ? cell : [cell]
    const td = make('td', className, content)
    if (content === '' || content === '–') td.classList.add('unknown')
    td.title = title
    element.append(td)
  }
  return element
}
