/** How output looks on a terminal, and how it does not look elsewhere: colours, and progress. */
import type { WriteStream } from 'node:tty'

export interface Colours {
  good(text: string): string
  bad(text: string): string
  warning(text: string): string
  faint(text: string): string
  strong(text: string): string
}

/** Colours only on a terminal that has them, and never with NO_COLOR set (no-color.org). */
export function coloursFor(stream: { isTTY?: boolean }): Colours {
  const { NO_COLOR, TERM } = process.env
  const on = stream.isTTY === true && !NO_COLOR && TERM !== 'dumb'
  const sgr = (start: number, end: number) => (text: string) => (on ? `\x1b[${start}m${text}\x1b[${end}m` : text)
  return { good: sgr(32, 39), bad: sgr(31, 39), warning: sgr(33, 39), faint: sgr(2, 22), strong: sgr(1, 22) }
}

/** Says on stderr what is under way, once that has taken longer than `PATIENCE` altogether. */
interface Progress extends Disposable {
  /** What is being done now. */
  say(what: string): void
  /** Nothing is under way any more; a line on a terminal is wiped. */
  end(): void
}

/** Milliseconds of silence before progress is shown. */
const PATIENCE = 2000

/** On a terminal one line that changes; elsewhere a line for each thing. */
export function progress(stream: WriteStream | NodeJS.WriteStream = process.stderr): Progress {
  let said = ''
  let visible = false
  let timer: NodeJS.Timeout | undefined
  const show = () => {
    visible = true
    stream.write(stream.isTTY ? `\r\x1b[K${said} …` : `${said} …\n`)
  }
  const end = () => {
    clearTimeout(timer)
    timer = undefined
    if (visible && stream.isTTY) stream.write('\r\x1b[K')
    visible = false
  }
  return {
    say(what) {
      said = what
      if (visible) show()
      else timer ??= setTimeout(show, PATIENCE).unref()
    },
    end,
    [Symbol.dispose]: end,
  }
}
