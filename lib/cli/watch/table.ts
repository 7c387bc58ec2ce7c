/** The live table: a session as lines of text. Pure. */

import { hostAndPort } from '../../input/addresses.js'
import type { AccessType } from '../../policy/rules/rule.js'
import type { Traffic } from '../../runtime/steering/rates.js'
import type { Hello, Snapshot, WatchEvent, WatchedConnection } from '../../runtime/watch/messages.js'
import { handlingInWords, trafficInWords } from '../rules/words.js'
import type { Colours } from '../terminal.js'
import { type History, MOMENTS, rttNow } from './history.js'
import { programOf } from './sessions.js'
import { FIRST_STATE, SORTS, type TableState } from './table-state.js'
import {
  bytesInWords,
  counted,
  durationInWords,
  eventsInWords,
  levelInWords,
  lossInWords,
  openOnes,
  percentInWords,
  rateInWords,
  rulesInWords,
  SHOWN,
  type Titles,
  timeInWords,
  titlesOf,
  together,
  UNKNOWN,
} from './words.js'

interface View {
  hello: Hello
  history: History
  /** The oldest first. */
  happenings: readonly WatchEvent[]
  width: number
  height: number
  colours: Colours
  state?: TableState
}

/** At most `height` lines of at most `width` columns. */
export function table(view: View): string[] {
  const { hello, history, colours, width, height, state = FIRST_STATE } = view
  const { last } = history
  const name = `${colours.strong(programOf(hello))} ${colours.faint(`process ${hello.pid}`)}`
  if (!last) return [name, '', 'measuring …'].slice(0, height).map(line => cut(line, width))
  const titles = titlesOf(last.accesses)
  const { text, isFull } = levelInWords(last.level)
  const title = [
    name,
    isFull ? text : colours.warning(text),
    `rules: ${rulesInWords(last)}`,
    ...(state.isPaused ? [colours.warning('paused')] : []),
  ].join(' · ')
  const head = [title, '', ...accessLines(view, last, titles), ...handoverLine(last, titles), '']
  const body = state.isEvents
    ? eventLines(view, titles, height - head.length)
    : everything(view, last, titles, height - head.length)
  return [...head, ...body].slice(0, height).map(line => cut(line, width))
}

/** Events get a fifth of the picture at least. */
function everything(view: View, last: Snapshot, titles: Titles, room: number): string[] {
  const rules = ruleLines(view, last, titles)
  const events = eventsInWords(view.happenings, titles).length
  const wanted = Math.min(events, Math.max(MOST_EVENTS, Math.floor(view.height / 5)))
  const forConnections = room - rules.length - 1 - (wanted === 0 ? 0 : wanted + 2)
  const connections = connectionLines(view, last, titles, Math.max(4, forConnections))
  const rest = room - rules.length - 1 - connections.length - 1
  return [...rules, '', ...connections, '', ...eventLines(view, titles, rest)]
}

/** Events that are shown even where connections then have less room. */
const MOST_EVENTS = 3

interface Column {
  heading: string
  isNumber: boolean
  /** What does not fit into the width is left out in this order, the highest first. 0: never. */
  rank: number
  cell(access: AccessType, last: Snapshot): string
}

const COLUMNS: readonly Column[] = [
  { heading: 'INTERFACE', isNumber: false, rank: 2, cell: (access, { accesses }) => accesses[access].interface },
  { heading: 'STATE', isNumber: false, rank: 0, cell: (access, { accesses }) => stateOf(accesses[access]) },
  { heading: 'DOWN', isNumber: true, rank: 0, cell: (access, { accesses }) => rate(accesses[access].receiveRate) },
  {
    heading: '',
    isNumber: true,
    rank: 3,
    cell: (access, { accesses }) => percentInWords(accesses[access].receiveShare),
  },
  { heading: 'UP', isNumber: true, rank: 0, cell: (access, { accesses }) => rate(accesses[access].sendRate) },
  { heading: '', isNumber: true, rank: 3, cell: (access, { accesses }) => percentInWords(accesses[access].sendShare) },
  { heading: 'RTT', isNumber: true, rank: 1, cell: (access, { accesses }) => rttOf(accesses[access]) },
  {
    heading: 'LOSS DOWN',
    isNumber: true,
    rank: 5,
    cell: (access, { accesses }) => lossInWords(accesses[access].receiveLossPermille),
  },
  {
    heading: 'UP',
    isNumber: true,
    rank: 5,
    cell: (access, { accesses }) => lossInWords(accesses[access].lossPermille),
  },
  {
    heading: 'SO FAR DOWN',
    isNumber: true,
    rank: 4,
    cell: (access, { accesses }) => bytesInWords(accesses[access].bytesReceived),
  },
  {
    heading: 'UP',
    isNumber: true,
    rank: 4,
    cell: (access, { accesses }) => bytesInWords(accesses[access].bytesSent),
  },
]

/** For each access its figures, and under them a graph of each direction; at the end the axis of time. */
function accessLines(view: View, last: Snapshot, titles: Titles): string[] {
  const { colours, width } = view
  const first = Math.max('ACCESS'.length, ...SHOWN.map(access => titles[access].length))
  const widthOf = ({ heading, cell }: Column) =>
    Math.max(heading.length, ...SHOWN.map(access => cell(access, last).length))
  const columns = fitting(COLUMNS, widthOf, width - first)
  const widths = columns.map(widthOf)
  const cells = SHOWN.map(access => columns.map(column => column.cell(access, last)))
  const line = (name: string, row: readonly string[], state = (text: string) => text) =>
    [
      name,
      ...row.map((cell, index) => {
        const { heading, isNumber } = columns[index]!
        const padded = isNumber ? cell.padStart(widths[index]!) : cell.padEnd(widths[index]!)
        return heading === 'STATE' ? state(padded) : padded
      }),
    ].join('  ')
  const graph = Math.max(4, Math.min(60, Math.floor((width - first - 10) / 2)))
  const most = highest(view.history)
  const lines = SHOWN.flatMap((access, index) => {
    const { available, suspected, why } = last.accesses[access]
    const colour = available ? colours.good : suspected ? colours.warning : colours.bad
    const [down, up] = (['down', 'up'] as const).map(way => sparkline(view.history, access, way, graph, most))
    return [
      line(colours.strong(titles[access].padEnd(first)), cells[index]!, colour),
      ...(available ? [] : [`${' '.repeat(first + 2)}${colours.faint(why)}`]),
      `${' '.repeat(first + 2)}↓ ${down}  ↑ ${up}`,
    ]
  })
  const axis = `${'2 min ago'.padEnd(graph - 3, '·')}now`
  return [
    colours.faint(
      line(
        'ACCESS'.padEnd(first),
        columns.map(({ heading }) => heading),
      ).trimEnd(),
    ),
    ...lines,
    ...(graph < 16 ? [] : [colours.faint(`${' '.repeat(first + 4)}${axis}  █ is ${rateInWords(most)}`)]),
  ]
}

/** The columns that fit into this width, with two spaces before each. */
function fitting(columns: readonly Column[], widthOf: (column: Column) => number, width: number): readonly Column[] {
  const needed = columns.reduce((sum, column) => sum + 2 + widthOf(column), 0)
  const rank = Math.max(...columns.map(column => column.rank))
  if (needed <= width || rank === 0) return columns
  return fitting(
    columns.filter(column => column.rank < rank),
    widthOf,
    width,
  )
}

function stateOf({ available, suspected }: Snapshot['accesses'][AccessType]): string {
  return available ? 'available' : suspected ? 'silent' : 'lost'
}

/** The width of almost every rate, so that columns do not jump. */
const RATE = '12.3 Mbit/s'.length

function rate(bits: number | undefined): string {
  return rateInWords(bits).padStart(RATE)
}

function rttOf(access: Parameters<typeof rttNow>[0]): string {
  const { up, down } = rttNow(access)
  const ms = up === undefined || down === undefined ? (up ?? down) : Math.max(up, down)
  return ms === undefined ? UNKNOWN : durationInWords(ms)
}

const BARS = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█']

/** Rates of the last two minutes, the latest at the right. @param most the rate of the highest bar */
export function sparkline(
  { moments }: History,
  access: AccessType,
  way: 'up' | 'down',
  columns: number,
  most: number,
): string {
  const each = MOMENTS / columns
  const bars = Array.from({ length: columns }, (_, column) => {
    // Counted from the end, so that a bar keeps its moments while others arrive.
    const [from, to] = [moments.length - (columns - column) * each, moments.length - (columns - column - 1) * each]
    const part = moments.slice(Math.max(0, Math.round(from)), Math.max(0, Math.round(to)))
    const value = part.reduce((sum, { rates }) => sum + rates[access][way], 0) / part.length
    if (!(value >= 1)) return ' '
    return BARS[Math.min(7, Math.floor((8 * value) / most))]!
  })
  return bars.join('')
}

/** The highest rate of either access and direction. */
function highest({ moments }: History): number {
  const all = moments.flatMap(({ rates }) => SHOWN.flatMap(access => [rates[access].up, rates[access].down]))
  return all.reduce((most, one) => Math.max(most, one), 1)
}

function handoverLine({ lastHandover }: Snapshot, titles: Titles): string[] {
  if (!lastHandover) return []
  const { at, from, to, gapMs } = lastHandover
  const gap = gapMs === undefined ? 'nothing was interrupted' : `gap ${durationInWords(gapMs)}`
  return [`Last handover: ${gap}, from ${titles[from]} to ${titles[to]} at ${timeInWords(at).slice(0, 8)}`]
}

function ruleLines({ colours }: View, last: Snapshot, titles: Titles): string[] {
  const lines = last.rules.flatMap(rule => {
    const { name = 'no rule', replaced, connections, handovers, carried } = rule
    const what = rule.steering ? trafficInWords(rule) : 'what no rule matches'
    const title = `${colours.strong(name)}${replaced ? colours.faint(' (replaced)') : ''}`
    const all = together(carried)
    const shares = `over ${titles['3gpp']} ${bothWays(percentInWords(all.receiveShare), percentInWords(all.sendShare))}`
    return [
      `  ${title} ${what}: ${handlingInWords(rule, titles)}`,
      `    ${connections} open, ${counted(handovers, 'handover')} · ${trafficNow(all)} · ${shares}`,
    ]
  })
  return [colours.faint('RULES'), ...lines]
}

/** `↓ 4.0 Mbit/s ↑ 10.0 Mbit/s · so far ↓ 500.0 kB ↑ 1.3 MB`. */
function trafficNow({ sendRate, bytesSent, receiveRate, bytesReceived }: Traffic): string {
  const now = bothWays(rateInWords(receiveRate), rateInWords(sendRate))
  return `${now} · so far ${bothWays(bytesInWords(bytesReceived), bytesInWords(bytesSent))}`
}

function bothWays(down: string, up: string): string {
  return `↓ ${down} ↑ ${up}`
}

function connectionLines(view: View, last: Snapshot, titles: Titles, room: number): string[] {
  const { colours, state = FIRST_STATE } = view
  const { label, compare } = SORTS[state.sort]
  const sorted = [...last.connections].sort(compare)
  const first = Math.min(state.first, Math.max(0, sorted.length - 1))
  const lines: string[] = []
  let shown = 0
  for (const connection of sorted.slice(first)) {
    const block = connectionBlock(view, last, connection, titles)
    if (shown > 0 && lines.length + block.length > room - 2) break
    lines.push(...block)
    shown++
  }
  const counts = [
    `${last.connectionsOpen} open`,
    counted(last.handovers, 'handover'),
    ...(last.fallbacks > 0 ? [`${last.fallbacks} became TCP`] : []),
    ...(sorted.length > 1 ? [`by ${label}`] : []),
  ]
  const hidden = last.connectionsOpen - first - shown
  const rest = [...(first > 0 ? [`${first} above`] : []), ...(hidden > 0 ? [`${hidden} more below`] : [])]
  return [
    `${colours.faint('CONNECTIONS')} ${counts.join(', ')}`,
    ...lines,
    ...(rest.length > 0 ? [colours.faint(`  ${rest.join(', ')}`)] : []),
  ]
}

function connectionBlock({ colours }: View, { rules }: Snapshot, one: WatchedConnection, titles: Titles): string[] {
  const { id, host, port, rule, protocol, converter, convert, handovers, fallback, carried } = one
  const all = together(carried)
  const name = rules.find(({ precedence }) => precedence === rule)?.name
  const facts = [
    bothWays(rateInWords(all.receiveRate), rateInWords(all.sendRate)),
    ...(protocol === 'tcp' ? [colours.warning(`TCP${fallback ? `: ${fallback}` : ''}`)] : []),
    ...(handovers > 0 ? [counted(handovers, 'handover')] : []),
    `rule ${name ?? UNKNOWN}`,
    ...(converter ? [`via ${converter}${convert === '0rtt' ? ', 0-RTT' : ''}`] : []),
    `so far ${bothWays(bytesInWords(all.bytesReceived), bytesInWords(all.bytesSent))}`,
  ]
  const subflows = openOnes(one).sort((a, b) => SHOWN.indexOf(a.access ?? '3gpp') - SHOWN.indexOf(b.access ?? '3gpp'))
  return [
    `  ${colours.strong(`#${id} ${hostAndPort(host, port)}`)} ${facts.join(' · ')}`,
    ...subflows.map(subflow => {
      const { access, state, backup, local, remote, receiveRate, sendRate } = subflow
      const kind = state === 'joining' ? colours.warning('joining') : backup ? 'backup ' : colours.good('in use ')
      const title = (access ? titles[access] : '?').padEnd(8)
      const rates = bothWays(rateInWords(receiveRate), rateInWords(sendRate))
      const rtt = rttOf({ ...subflow, available: true })
      return `     ${title} ${kind} ${rates} · ${rtt} · so far ${bothWays(bytesInWords(subflow.bytesReceived), bytesInWords(subflow.bytesSent))} ${colours.faint(`${local} → ${remote}`)}`
    }),
  ]
}

/** The last events, in at most this many lines. */
function eventLines({ happenings, colours }: View, titles: Titles, room: number): string[] {
  const lines = eventsInWords(happenings, titles).map(({ first, text }) => {
    const bad = first.event === 'degraded' || first.event === 'problem'
    const lost = first.event === 'access' && !first.available
    return `  ${colours.faint(timeInWords(first.at))} ${bad ? colours.warning(text) : lost ? colours.bad(text) : text}`
  })
  if (room < 2) return []
  return [colours.faint('EVENTS'), ...(lines.length === 0 ? ['  none yet'] : lines.slice(1 - room))]
}

/** Cuts the line to this many columns, with "…" where something is missing, and keeps colours intact. */
export function cut(line: string, width: number): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that is how colours begin
  const parts = [...line.matchAll(/\x1b\[[\d;]*m|./gu)].map(([part]) => part)
  const isColour = (part: string) => part.startsWith('\x1b')
  let rest = parts.filter(part => !isColour(part)).length
  if (rest <= width) return line
  let columns = 0
  let text = ''
  for (const part of parts) {
    if (isColour(part)) text += part
    else if (columns < width) {
      text += columns === width - 1 && rest > 1 ? '…' : part
      columns++
    }
    if (!isColour(part)) rest--
  }
  return text
}
