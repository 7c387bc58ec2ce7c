/** What this process learns of exceptions that are nobody's to catch, in place of the test runner. */

export interface Uncaught {
  origin: 'uncaughtException' | 'unhandledRejection'
  message: string
}

/** Runs `scenario`, and returns what was not caught meanwhile, in order. `scenario` waits for what it has begun. */
export async function uncaughtIn(scenario: () => Promise<unknown>): Promise<Uncaught[]> {
  const seen: Uncaught[] = []
  const show = (error: unknown) => (error instanceof Error ? error.message : String(error))
  const giveBack = (['uncaughtException', 'unhandledRejection'] as const).map(origin => {
    const others = process.rawListeners(origin)
    process.removeAllListeners(origin)
    const listener = (error: unknown) => void seen.push({ origin, message: show(error) })
    process.on(origin as 'uncaughtException', listener)
    return () => {
      process.off(origin, listener)
      for (const other of others) process.on(origin as 'uncaughtException', other as never)
    }
  })
  try {
    await scenario()
    // A rejection is reported after the ticks of the turn in which it came.
    await new Promise(resolve => setImmediate(() => setImmediate(resolve)))
  } finally {
    for (const back of giveBack) back()
  }
  return seen
}
