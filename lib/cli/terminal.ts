/** Colours and progress, which are shown on terminals only. */
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

/** Shows progress on stderr, once everything together has taken longer than `PATIENCE`. */
interface Progress extends Disposable {
  /** Sets the text: what is being done now. */
  say(what: string): void
  /** Ends the progress. On a terminal its line is erased. */
  end(): void
}

/** Milliseconds of silence before progress is shown. */
const PATIENCE = 2000

/** On a terminal one line that changes; elsewhere a line for each step. */
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
