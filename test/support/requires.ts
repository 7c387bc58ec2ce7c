import { describe, type TestFunction, test } from 'vitest'

export interface RequiringTest {
  (title: string, run: TestFunction, timeout?: number): void
  /** A suite of such tests; its hooks do not run when it is skipped. */
  describe(title: string, body: () => void): void
}

/**
 * `test`, for tests that need something of the machine. Where the probe finds that it is missing, and says why, they are
 * skipped for that reason; with EXPECT_ALL=1 they fail with it.
 *
 *   const mptcpTest = requires('MPTCP', mptcp)
 *   mptcpTest('a connection has a token', async () => { … })
 *   mptcpTest.describe('subflows', () => { … })
 */
export function requires(name: string, probe: () => string | undefined): RequiringTest {
  const missing = probe()
  if (missing === undefined)
    return requiring(
      (title, run, timeout) => test(title, run, timeout),
      (title, body) => describe(title, body),
    )

  const reason = `needs ${name}: ${missing}`
  if (process.env.EXPECT_ALL === '1') {
    const fail = (title: string) =>
      test(title, () => {
        throw new Error(`EXPECT_ALL=1, but this ${reason}`)
      })
    return requiring(fail, title => describe(title, () => fail('would be skipped')))
  }
  const options = { skip: true, meta: { reason } }
  return requiring(
    (title, run) => test(title, options, run),
    (title, body) => describe(title, options, body),
  )
}

type Test = (title: string, run: TestFunction, timeout?: number) => void

function requiring(test: Test, describe: RequiringTest['describe']): RequiringTest {
  return Object.assign(test.bind(undefined), { describe })
}
