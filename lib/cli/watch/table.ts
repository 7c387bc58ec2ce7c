/** The live table: what is known of a session, as lines of text. Pure. */
import { BOTH } from '../../policy/accesses.js'
import type { AccessType } from '../../policy/rules.js'
import type { Happening, Hello, Snapshot, WatchedConnection } from '../../runtime/watch-messages.js'
import { steeringInWords } from '../rules/words.js'
import type { Colours } from '../terminal.js'
import { type History, type Rates, shareOf } from './history.js'
import { bytesInWords, happeningInWords, openOnes, rateInWords, timeInWords, totalOf } from './words.js'

export interface View {
  hello: Hello
  history: History
  /** The oldest first. */
  happenings: readonly Happening[]
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
  const events = eventLines(view)
  const room = height - head.length - Math.min(events.length, 6) - 2
  const connections = connectionLines(view, last, Math.max(3, room))
  const rest = Math.max(0, height - head.length - connections.length - 2)
  return [...head, ...connections, '', ...events.slice(-rest)].slice(0, height).map(line => cut(line, width))
}

function accessLines({ history, colours, width }: View, last: Snapshot): string[] {
  const columns = Math.max(8, Math.min(40, width - 86))
  const moment = history.moments.at(-1)
  const heading = row(['ACCESS', 'INTERFACE', 'RTT', 'LOSS', 'UP', 'DOWN', 'SHARE UP', 'OVER TIME'])
  const lines = BOTH.map(access => {
    const { interface: name, rttMs, lossPermille } = last.accesses[access]
    const now = moment?.rates[access]
    const share = moment && shareOf(access, moment, 'up')
    const cells = row([
      access,
      name,
      rttMs === undefined ? '–' : `${rttMs.toFixed(1)} ms`,
      lossPermille === undefined ? '–' : `${(lossPermille / 10).toFixed(1)} %`,
      now ? rateInWords(now.up) : '–',
      now ? rateInWords(now.down) : '–',
      share === undefined ? '–' : `${share.toFixed(0)} %`,
      sparkline(history, access, columns),
    ])
    const { available, suspected, why } = last.accesses[access]
    const state = available ? colours.good('available') : colours.bad(suspected ? 'silent' : 'lost')
    return [cells, `  ${state}${colours.faint(`: ${why}`)}`]
  })
  return [colours.faint(heading), ...lines.flat()]
}

const WIDTHS = [9, 10, 10, 7, 13, 13, 9]

function row(cells: readonly string[]): string {
  return cells.map((cell, index) => cell.padEnd(WIDTHS[index] ?? 0)).join(' ')
}

const BARS = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█']

/** What both directions carried, against the most that either access carried in that time. */
export function sparkline({ moments }: History, access: AccessType, columns: number): string {
  const shown = moments.slice(-columns)
  const sum = ({ up, down }: Rates) => up + down
  const most = Math.max(1, ...shown.flatMap(({ rates }) => BOTH.map(each => sum(rates[each]))))
  const bar = (value: number) => BARS[Math.min(7, Math.floor((8 * value) / most))]!
  return shown.map(({ rates }) => (sum(rates[access]) < 1 ? ' ' : bar(sum(rates[access])))).join('')
}

function ruleLines({ colours }: View, last: Snapshot): string[] {
  const lines = last.rules.map(rule => {
    const [one, other] = [rule.carried['3gpp'], rule.carried['non-3gpp']]
    const all = one.bytesSent + other.bytesSent
    const share =
      all === 0 ? '' : `, ${((100 * one.bytesSent) / all).toFixed(0)} % of ${bytesInWords(all)} up over 3gpp`
    const what = rule.steering ? steeringInWords(rule.steering) : 'no rule matches: not steered'
    const count = `${rule.connections} open, ${rule.handovers} handovers${share}`
    return `${String(rule.precedence ?? '–').padStart(4)}  ${what} ${colours.faint(`(${count})`)}`
  })
  return [colours.faint('RULES, BY PRECEDENCE'), ...lines]
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

function connectionBlock({ colours, history }: View, connection: WatchedConnection): string[] {
  const { id, host, port, rule, protocol, converter, convert, handovers, fallback } = connection
  const { sent, received } = totalOf(connection)
  const facts = [
    `rule ${rule ?? '–'}`,
    protocol === 'tcp' ? colours.warning(`TCP${fallback ? `: ${fallback}` : ''}`) : 'MPTCP',
    ...(converter ? [`via ${converter}${convert === '0rtt' ? ', 0-RTT' : ''}`] : []),
    `${bytesInWords(sent)} up, ${bytesInWords(received)} down`,
    ...(handovers > 0 ? [`${handovers} handovers`] : []),
  ]
  const rates = history.connections.get(id)
  const subflows = openOnes(connection).map(({ access, state, backup, rttMs, local }) => {
    const now = access && rates?.[access]
    const speed = now ? `${rateInWords(now.up)} up, ${rateInWords(now.down)} down` : ''
    const kind = state === 'joining' ? colours.warning(state) : backup ? 'backup' : colours.good('in use')
    return `     ${(access ?? '?').padEnd(9)} ${kind}, ${rttMs.toFixed(1)} ms, ${speed} ${colours.faint(local)}`
  })
  return [`  ${colours.strong(`#${id} ${host}:${port}`)} ${facts.join(' · ')}`, ...subflows]
}

function eventLines({ happenings, colours }: View): string[] {
  const lines = happenings.map(happening => {
    const text = happeningInWords(happening)
    const bad = happening.event === 'degraded' || happening.event === 'problem'
    const lost = happening.event === 'access' && !happening.available
    return `  ${colours.faint(timeInWords(happening.at))} ${bad ? colours.warning(text) : lost ? colours.bad(text) : text}`
  })
  return lines.length === 0 ? [] : [colours.faint('EVENTS'), ...lines.slice(-20)]
}

/** To so many columns, colours left whole. */
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
