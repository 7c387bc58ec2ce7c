/** What happens when a command's output cannot be written: its reader is gone, the disk is full. */
import { constants } from 'node:os'

/** As shells show the end of a program whose reader is gone. */
const READER_GONE = 128 + constants.signals.SIGPIPE
const FAILED = 1

export interface OutputGuard {
  /** Whether the process goes on: its work does not consist of its output. */
  isService: boolean
}

/**
 * Ends the process when standard output cannot be written: quietly if its reader is gone, otherwise with the reason on standard
 * error. What standard error does not take is lost.
 */
export function guardOutput(): OutputGuard {
  const guard = { isService: false }
  process.stderr.on('error', () => {})
  process.stdout.on('error', ({ code, message }: NodeJS.ErrnoException) => {
    if (guard.isService) return
    if (code === 'EPIPE') process.exit(READER_GONE)
    process.stderr.write(`atsss: standard output cannot be written: ${message}\n`)
    process.exit(FAILED)
  })
  return guard
}
