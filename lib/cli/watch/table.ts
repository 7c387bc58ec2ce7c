/** The live table: a session as lines of text. Pure. */

import { hostAndPort } from '../../input/addresses.js'
import type { AccessType } from '../../policy/rules/rule.js'
import { BOTH } from '../../policy/steering/accesses.js'
import type { Traffic } from '../../runtime/steering/rates.js'
import type { Hello, Snapshot, WatchEvent, WatchedConnection } from '../../runtime/watch/messages.js'
import { handlingInWords, trafficInWords } from '../rules/words.js'
import type { Colours } from '../terminal.js'
import { type EachWay, type History, rttNow } from './history.js'
import {
  bytesInWords,
  happeningInWords,
  lossInWords,
  millisecondsInWords,
  openOnes,
  percentInWords,
  rateInWords,
  timeInWords,
  together,
} from './words.js'

interface View {
  hello: Hello
  history: History
  /** The oldest first. */
  happenings: readonly WatchEvent[]
  width: number
  height: number
  colours: Colours
}

/** At most `height` lines of at most `width` columns. */
export function table(view: View): string[] {
  const { hello, history, colours, width, height } = view
  const { last } = history
  const title = `${colours.strong(hello.title)} ${colours.faint(`process ${hello.pid}`)}`
  if (!last) return [title, '', 'nothing is known yet']
  const head = [title, '', ...accessLines(view, last), '', ...ruleLines(view, last), '']
  const least = Math.min(view.happenings.length, Math.max(3, Math.floor(height / 5)))
  const connections = connectionLines(view, last, Math.max(3, height - head.length - least - 2))
  const rest = Math.max(0, height - head.length - connections.length - 1)
  return [...head, ...connections, '', ...eventLines(view, rest)].slice(0, height).map(line => cut(line, width))
}

/** For each access a row of numbers for each direction, and under them a graph of its rate. */
function accessLines(view: View, last: Snapshot): string[] {
  const { history, colours, width } = view
  const rows = BOTH.map(access => accessCells(last, access))
  const all = [HEADINGS, ...rows.flatMap(({ up, down }) => [up, down])]
  const widths = HEADINGS.map((_, column) => Math.max(...all.map(cells => cells[column]!.length)))
  const padded = (cells: readonly string[]) =>
    cells.map((cell, column) => (column < FIRST_NUMBER ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
  const indent = widths[0]! + 2
  const columns = Math.max(8, Math.min(60, width - indent - 40))
  const lines = BOTH.map((access, index) => {
    const { available, suspected, why } = last.accesses[access]
    const [first, name, state, ...rest] = padded(rows[index]!.up)
    const coloured = available ? colours.good(state!) : suspected ? colours.warning(state!) : colours.bad(state!)
    const story = sparkline(history, access, columns).padStart(columns)
    return [
      [colours.strong(first!), name, coloured, ...rest].join('  '),
      padded(rows[index]!.down).join('  '),
      `${' '.repeat(indent)}${story}  ${colours.faint(why)}`,
    ]
  })
  const peak = Math.max(
    0,
    ...history.moments.slice(-columns).flatMap(({ rates }) => BOTH.map(each => sumOf(rates[each]))),
  )
  const scale = `█ is ${rateInWords(peak)}, up and down together`
  return [
    colours.faint(padded(HEADINGS).join('  ').trimEnd()),
    ...lines.flat(),
    ...(peak < 1 || view.height < TALL ? [] : [`${' '.repeat(indent)}${colours.faint(scale.padStart(columns))}`]),
  ]
}

/** From this many rows on, the table has room for more than the necessary. */
const TALL = 30

const HEADINGS = ['ACCESS', 'INTERFACE', 'STATE', '', 'RATE', 'SHARE', 'RTT', 'LOSS', 'BYTES']
/** The columns from here on are aligned to the right. */
const FIRST_NUMBER = 4

function accessCells(last: Snapshot, access: AccessType): EachWay<string[]> {
  const { interface: name, available, suspected, lossPermille, receiveLossPermille, ...now } = last.accesses[access]
  const rttMs = rttNow({ available, ...now })
  const rest = (
    rate: number | undefined,
    share: number | undefined,
    rtt: number | undefined,
    loss: number | undefined,
  ) => [rateInWords(rate).padStart(RATE), percentInWords(share), millisecondsInWords(rtt), lossInWords(loss)]
  const state = available ? 'available' : suspected ? 'silent' : 'lost'
  return {
    up: [
      ...[access, name, state, 'up'],
      ...rest(now.sendRate, now.sendShare, rttMs.up, lossPermille),
      bytesInWords(now.bytesSent),
    ],
    down: [
      ...['', '', '', 'down'],
      ...rest(now.receiveRate, now.receiveShare, rttMs.down, receiveLossPermille),
      bytesInWords(now.bytesReceived),
    ],
  }
}

/** The width of almost every rate, so that columns do not jump. */
const RATE = '12.3 Mbit/s'.length

function sumOf({ up, down }: EachWay<number>): number {
  return up + down
}

const BARS = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█']

/** The rate of both directions together, relative to the highest of either access in that time. */
export function sparkline({ moments }: History, access: AccessType, columns: number): string {
  const shown = moments.slice(-columns)
  const most = Math.max(1, ...shown.flatMap(({ rates }) => BOTH.map(each => sumOf(rates[each]))))
  const bar = (value: number) => BARS[Math.min(7, Math.floor((8 * value) / most))]!
  return shown.map(({ rates }) => (sumOf(rates[access]) < 1 ? ' ' : bar(sumOf(rates[access])))).join('')
}

function ruleLines({ colours }: View, last: Snapshot): string[] {
  const heading = ['RULE', 'OPEN', 'HANDOVERS']
  const rows = last.rules.map(({ precedence, connections, handovers }) => [
    String(precedence ?? '–'),
    String(connections),
    String(handovers),
  ])
  const widths = heading.map((_, column) => Math.max(...[heading, ...rows].map(cells => cells[column]!.length)))
  const padded = (cells: readonly string[]) => cells.map((cell, column) => cell.padStart(widths[column]!)).join('  ')
  return [
    colours.faint(`${padded(heading)}  FOR: HOW`),
    ...last.rules.flatMap((rule, index) => {
      const how = handlingInWords(rule)
      const what = rule.steering ? trafficInWords(rule) : 'what no rule matches'
      return [
        `${padded(rows[index]!)}  ${colours.strong(what)}: ${how}`,
        `${' '.repeat(widths[0]! + 2)}${trafficNow(together(rule.carried), ' over 3gpp')}`,
      ]
    }),
  ]
}

/** `up 2.0 Mbit/s, 20 %, 1.3 MB; down 0 bit/s, 500.0 kB`. */
function trafficNow(
  { sendRate, sendShare, bytesSent, receiveRate, receiveShare, bytesReceived }: Traffic,
  of = '',
): string {
  const way = (rate: number | undefined, share: number | undefined, bytes: number) =>
    [rateInWords(rate), ...(share === undefined ? [] : [`${percentInWords(share)}${of}`]), bytesInWords(bytes)].join(
      ', ',
    )
  return `up ${way(sendRate, sendShare, bytesSent)}; down ${way(receiveRate, receiveShare, bytesReceived)}`
}

function connectionLines(view: View, last: Snapshot, room: number): string[] {
  const { colours } = view
  const counts = `${last.connectionsOpen} open, ${last.handovers} handovers, ${last.fallbacks} became TCP`
  const blocks = last.connections.map(connection => connectionBlock(view, connection))
  const lines: string[] = []
  let shown = 0
  for (const block of blocks) {
    if (lines.length + block.length > room - 2) break
    lines.push(...block)
    shown++
  }
  const hidden = last.connectionsOpen - shown
  return [
    `${colours.faint('CONNECTIONS')} ${counts}`,
    ...lines,
    ...(hidden > 0 ? [colours.faint(`  and ${hidden} more`)] : []),
  ]
}

function connectionBlock({ colours }: View, connection: WatchedConnection): string[] {
  const { id, host, port, rule, protocol, converter, convert, handovers, fallback, carried } = connection
  const facts = [
    `rule ${rule ?? '–'}`,
    protocol === 'tcp' ? colours.warning(`TCP${fallback ? `: ${fallback}` : ''}`) : 'MPTCP',
    ...(converter ? [`via ${converter}${convert === '0rtt' ? ', 0-RTT' : ''}`] : []),
    trafficNow({ ...together(carried), sendShare: undefined, receiveShare: undefined }),
    ...(handovers > 0 ? [handovers === 1 ? '1 handover' : `${handovers} handovers`] : []),
  ]
  const subflows = openOnes(connection).map(subflow => {
    const { access, state, backup, rttMs, receiveRttMs, receiveRate = 0, local } = subflow
    const kind = state === 'joining' ? colours.warning(state) : backup ? 'backup' : colours.good('in use')
    const received =
      receiveRttMs === undefined || receiveRate === 0 ? '' : ` (${millisecondsInWords(receiveRttMs)} down)`
    return `     ${(access ?? '?').padEnd(9)} ${kind}, ${millisecondsInWords(rttMs)}${received}, ${trafficNow(subflow)} ${colours.faint(local)}`
  })
  return [`  ${colours.strong(`#${id} ${hostAndPort(host, port)}`)} ${facts.join(' · ')}`, ...subflows]
}

/** The last events, in at most this many lines. */
function eventLines({ happenings, colours }: View, room: number): string[] {
  const lines = happenings.map(happening => {
    const text = happeningInWords(happening)
    const bad = happening.event === 'degraded' || happening.event === 'problem'
    const lost = happening.event === 'access' && !happening.available
    return `  ${colours.faint(timeInWords(happening.at))} ${bad ? colours.warning(text) : lost ? colours.bad(text) : text}`
  })
  return room < 2 || lines.length === 0 ? [] : [colours.faint('EVENTS'), ...lines.slice(1 - room)]
}

/** Cuts the line to this many columns, and keeps colours intact. */
export function cut(line: string, width: number): string {
  let columns = 0
  let text = ''
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that is how colours begin
  for (const [part] of line.matchAll(/\x1b\[[\d;]*m|./gu)) {
    if (part.startsWith('\x1b')) text += part
    else if (columns < width) {
      text += part
      columns++
    }
  }
  return text
}
