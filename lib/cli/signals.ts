/** Signals for a command that this process has started. */
import { constants } from 'node:os'

/** Faults of this process itself, what cannot be caught, and what stops and continues a whole job of the terminal. */
const NOT_PASSED: ReadonlySet<string> = new Set(
  [
    'KILL',
    'STOP',
    'ABRT',
    'BUS',
    'FPE',
    'ILL',
    'IOT',
    'SEGV',
    'SYS',
    'TRAP',
    'CHLD',
    'PIPE',
    'TSTP',
    'TTIN',
    'TTOU',
  ].map(name => `SIG${name}`),
)

/** The terminal sends these to all processes in its foreground. */
const OF_THE_TERMINAL: ReadonlySet<string> = new Set(['SIGINT', 'SIGQUIT', 'SIGWINCH', 'SIGCONT'])

/** Calls `pass` with every signal that this process gets and that the command does not get from the terminal, until `end()`. */
export function passSignals(pass: (signal: NodeJS.Signals) => void): { end(): void } {
  const names = (Object.keys(constants.signals) as NodeJS.Signals[]).filter(name => !NOT_PASSED.has(name))
  const told = (signal: NodeJS.Signals) => {
    if (!process.stdin.isTTY || !OF_THE_TERMINAL.has(signal)) pass(signal)
  }
  const passed = names.filter(name => {
    try {
      process.on(name, told)
      return true
    } catch {
      return false // a profiler of V8 has it, or this system does not
    }
  })
  return {
    end() {
      for (const name of passed) process.off(name, told)
    },
  }
}
