/** `atsss status`: all sessions of this machine that this user may see, a line for each. */
import { BOTH } from '../policy/steering/accesses.js'
import type { Hello, Snapshot } from '../runtime/watch/messages.js'
import { type OptionTable, optionLines, parseArguments } from './arguments.js'
import { type Colours, coloursFor } from './terminal.js'
import type { WatchClient } from './watch/client.js'
import { printable, programOf, surveySessions } from './watch/sessions.js'
import { cut } from './watch/table.js'
import { rateInWords, UNKNOWN } from './watch/words.js'

const OPTIONS = {
  json: {
    type: 'boolean',
    help: 'print one object: sessions, removed (sockets of processes that have ended), failed (sockets without an answer)',
  },
} as const satisfies OptionTable

export const help = `Usage: atsss status [options] [SOCKET…]

Lists the sessions of this machine: process, program, steering level, accesses, open connections, rates over the last
second, and the last handover with the time in which nothing arrived. A session must have been made with "watch: true".
Root sees those of all users; sockets at other paths have to be named. Sockets that processes have left are removed.

${optionLines(OPTIONS)}

Exit status: 0 every session answers, and has an access; 1 there is no session, one does not answer, or one has no
access; 2 wrong command line.

Examples:
  atsss status
  atsss status --json | jq '.sessions[] | select(.level != "userspace")'
  atsss status /srv/device/watch.sock
`

/** What is shown of a session. */
export interface SessionStatus {
  pid: number
  title: string
  socket: string
  level: Snapshot['level'] | null
  accesses: Record<'3gpp' | 'non-3gpp', { interface: string; available: boolean; suspected: boolean; why: string }>
  connections: number
  /** Bits per second over both accesses; null: not known. */
  sendRate: number | null
  receiveRate: number | null
  handovers: number
  lastHandover: Snapshot['lastHandover'] | null
}

export async function run(args: string[]): Promise<number> {
  const { values, positionals } = parseArguments(args, OPTIONS, true)
  const { clients, removed, failed, others } = await surveySessions(positionals.length > 0 ? positionals : undefined)
  const sessions: SessionStatus[] = []
  await Promise.all(
    clients.map(async client => {
      const snapshot = await snapshotOf(client)
      client.close()
      if (snapshot) sessions.push(statusOf(client.hello, client.path, snapshot))
      else failed.push({ path: client.path, why: `${client.path}: the session has ended, or does not answer` })
    }),
  )
  sessions.sort((a, b) => a.pid - b.pid || (a.socket < b.socket ? -1 : 1))
  if (values.json) process.stdout.write(`${JSON.stringify({ sessions, removed, failed }, undefined, 2)}\n`)
  else {
    const { isTTY, columns } = process.stdout
    const lines = statusLines(sessions, Date.now(), coloursFor(process.stdout))
    for (const line of lines) process.stdout.write(`${isTTY ? cut(line, columns) : line}\n`)
    for (const path of removed) process.stderr.write(`removed ${printable(path)}: its process has ended\n`)
    for (const { why } of failed) process.stderr.write(`${printable(why)}\n`)
    if (others > 0)
      process.stderr.write(
        `${others === 1 ? '1 socket belongs' : `${others} sockets belong`} to other users: root sees them\n`,
      )
    if (sessions.length + failed.length === 0)
      process.stderr.write('There is no session to show: give it the option "watch: true"\n')
  }
  const hasAccess = sessions.every(({ accesses }) => BOTH.some(access => accesses[access].available))
  return sessions.length > 0 && failed.length === 0 && hasAccess ? 0 : 1
}

/** The rates of the first snapshots are not known, or of too short a time. */
const SNAPSHOTS = 5
const PATIENCE_MS = 5_000

/** Undefined: the session has ended, or is silent. */
function snapshotOf(client: WatchClient): Promise<Snapshot | undefined> {
  return new Promise(resolve => {
    let last: Snapshot | undefined
    let count = 0
    const end = () => {
      clearTimeout(timer)
      client.off('snapshot', take)
      resolve(last)
    }
    const take = (snapshot: Snapshot) => {
      last = snapshot
      if (++count === SNAPSHOTS) end()
    }
    const timer = setTimeout(end, PATIENCE_MS)
    client.on('snapshot', take)
    void client.ended.then(end)
  })
}

function statusOf({ pid, title }: Hello, socket: string, snapshot: Snapshot): SessionStatus {
  const { level, accesses, connectionsOpen, handovers, lastHandover } = snapshot
  const of = (access: '3gpp' | 'non-3gpp') => {
    const { interface: name, available, suspected, why } = accesses[access]
    return { interface: name, available, suspected, why }
  }
  const sum = (rate: 'sendRate' | 'receiveRate') => {
    const [one, other] = [accesses['3gpp'][rate], accesses['non-3gpp'][rate]]
    return one === undefined || other === undefined ? null : one + other
  }
  return {
    ...{ pid, title, socket, level: level ?? null },
    accesses: { '3gpp': of('3gpp'), 'non-3gpp': of('non-3gpp') },
    connections: connectionsOpen,
    sendRate: sum('sendRate'),
    receiveRate: sum('receiveRate'),
    handovers,
    lastHandover: lastHandover ?? null,
  }
}

const HEADINGS = ['PID', 'PROGRAM', 'LEVEL', 'NON-3GPP', '3GPP', 'OPEN', 'UP', 'DOWN', 'LAST HANDOVER']
/** These are numbers. */
const TO_THE_RIGHT: ReadonlySet<string> = new Set(['PID', 'OPEN', 'UP', 'DOWN'])

/** A heading and a line for each session; none without sessions. Pure. @param now milliseconds since 1970 */
export function statusLines(sessions: readonly SessionStatus[], now: number, colours: Colours): string[] {
  if (sessions.length === 0) return []
  const rows = sessions.map(session => [
    String(session.pid),
    programOf(session),
    session.level ?? UNKNOWN,
    accessInWords(session.accesses['non-3gpp']),
    accessInWords(session.accesses['3gpp']),
    String(session.connections),
    rateInWords(session.sendRate ?? undefined),
    rateInWords(session.receiveRate ?? undefined),
    handoverInWords(session.lastHandover ?? undefined, now),
  ])
  const widths = HEADINGS.map((_, column) => Math.max(...[HEADINGS, ...rows].map(cells => cells[column]!.length)))
  const padded = (cells: readonly string[]) =>
    cells.map((cell, column) =>
      TO_THE_RIGHT.has(HEADINGS[column]!) ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!),
    )
  const line = (cells: readonly string[], { accesses }: SessionStatus) => {
    const all = padded(cells)
    for (const [column, access] of [[3, 'non-3gpp'] as const, [4, '3gpp'] as const]) {
      const { available, suspected } = accesses[access]
      const colour = available ? colours.good : suspected ? colours.warning : colours.bad
      all[column] = colour(all[column]!)
    }
    return all.join('  ').trimEnd()
  }
  return [
    colours.faint(padded(HEADINGS).join('  ').trimEnd()),
    ...rows.map((cells, index) => line(cells, sessions[index]!)),
  ]
}

function accessInWords({ interface: name, available, suspected }: SessionStatus['accesses']['3gpp']): string {
  return `${printable(name)} ${available ? 'up' : suspected ? 'silent' : 'down'}`
}

/** `to 3gpp, 45 ms, 12 s ago`; without a gap if it interrupted nothing. */
function handoverInWords(last: Snapshot['lastHandover'], now: number): string {
  if (!last) return UNKNOWN
  const gap = last.gapMs === undefined ? '' : `, ${Math.round(last.gapMs)} ms`
  return `to ${last.to}${gap}, ${agoInWords(now - last.at)}`
}

function agoInWords(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000))
  if (seconds < 120) return `${seconds} s ago`
  const minutes = Math.round(seconds / 60)
  if (minutes < 120) return `${minutes} min ago`
  const hours = Math.round(minutes / 60)
  return hours < 48 ? `${hours} h ago` : `${Math.round(hours / 24)} days ago`
}
