/** What the keys of the live table change: pure functions. */
import type { WatchedConnection } from '../../runtime/watch/messages.js'
import { together } from './words.js'

export type Sort = 'rate' | 'bytes' | 'handovers' | 'number'

export interface TableState {
  sort: Sort
  /** How many connections are scrolled past. */
  first: number
  /** The picture stays as it is. */
  isPaused: boolean
  /** Events in place of rules and connections. */
  isEvents: boolean
}

export const FIRST_STATE: TableState = { sort: 'rate', first: 0, isPaused: false, isEvents: false }

type Compare = (a: WatchedConnection, b: WatchedConnection) => number

const rateOf = ({ carried }: WatchedConnection) => {
  const { sendRate = 0, receiveRate = 0 } = together(carried)
  return sendRate + receiveRate
}
const bytesOf = ({ carried }: WatchedConnection) => {
  const { bytesSent, bytesReceived } = together(carried)
  return bytesSent + bytesReceived
}

/** In the order of the key. */
export const SORTS: Readonly<Record<Sort, { label: string; compare: Compare }>> = {
  rate: { label: 'rate', compare: (a, b) => rateOf(b) - rateOf(a) || a.id - b.id },
  bytes: { label: 'bytes', compare: (a, b) => bytesOf(b) - bytesOf(a) || a.id - b.id },
  handovers: { label: 'handovers', compare: (a, b) => b.handovers - a.handovers || a.id - b.id },
  number: { label: 'number', compare: (a, b) => a.id - b.id },
}

/** Connections that a page key scrolls by. */
const PAGE = 5

/** @returns the state after this key; the same one if the key means nothing */
export function afterKey(state: TableState, key: string, connections: number): TableState {
  const scrolled = (by: number) => ({
    ...state,
    first: Math.max(0, Math.min(state.first + by, Math.max(0, connections - 1))),
  })
  switch (key) {
    case ' ':
      return { ...state, isPaused: !state.isPaused }
    case 'e':
      return { ...state, isEvents: !state.isEvents }
    case 's': {
      const sorts = Object.keys(SORTS) as Sort[]
      return { ...state, sort: sorts[(sorts.indexOf(state.sort) + 1) % sorts.length]!, first: 0 }
    }
    case 'up':
    case 'k':
      return scrolled(-1)
    case 'down':
    case 'j':
      return scrolled(1)
    case 'page up':
      return scrolled(-PAGE)
    case 'page down':
      return scrolled(PAGE)
  }
  return state
}

/** What the keys do. @param sessions how many there are to choose from */
export function keysInWords({ isPaused, isEvents, sort }: TableState, sessions: number): string {
  return [
    'q ends',
    `space ${isPaused ? 'goes on' : 'pauses'}`,
    `e ${isEvents ? 'all' : 'events'}`,
    `s sort: ${SORTS[sort].label}`,
    '↑↓ scroll',
    ...(sessions > 1 ? [`1–${Math.min(9, sessions)} session`] : []),
  ].join('  ')
}

/** Terminals send these for keys without a letter. */
const ESCAPES: Readonly<Record<string, string>> = {
  '\x1b[A': 'up',
  '\x1bOA': 'up',
  '\x1b[B': 'down',
  '\x1bOB': 'down',
  '\x1b[5~': 'page up',
  '\x1b[6~': 'page down',
}

/** The keys in what a terminal in raw mode has sent: letters, and the names of `ESCAPES`. Other keys are left out. */
export function keysIn(input: string): string[] {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that is how such keys begin
  const found = input.matchAll(/\x1b[[O][\d;]*[A-Za-z~]|./gsu)
  return [...found].flatMap(([key]) => (key.length === 1 || !key.startsWith('\x1b') ? [key] : (ESCAPES[key] ?? [])))
}
