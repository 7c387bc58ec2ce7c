import { writeSync } from 'node:fs'
import type { Reporter, SerializedError, TestCase, TestModule, TestSuite } from 'vitest/node'

declare module 'vitest' {
  interface TaskMeta {
    /** Why a test is skipped. */
    reason?: string
  }
}

/**
 * Ends a run with the line "N passed, N failed, N skipped". Files that did not load, hooks that failed and errors that
 * nobody caught count as failed. With EXPECT_ALL=1 a skipped test makes the run fail. A test that passed only when it was run
 * again is named, with what it said the first time.
 */
export default class CountReporter implements Reporter {
  private lastLine = ''

  onInit(): void {
    // Other reporters, and Vitest itself, may still print after the run: the last line is written at the very end.
    process.once('exit', () => {
      if (this.lastLine) writeSync(process.stdout.fd, this.lastLine)
    })
  }

  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly SerializedError[]): void {
    let passed = 0
    let failed = unhandledErrors.length
    const skipped: TestCase[] = []
    for (const module of modules) {
      for (const suite of [module, ...module.children.allSuites()]) failed += suite.errors().length
      for (const test of module.children.allTests()) {
        const { state } = test.result()
        if (test.diagnostic()?.flaky) tellUnsteady(test)
        if (state === 'passed') passed++
        else if (state === 'skipped') skipped.push(test)
        else failed++ // also what was still pending
      }
    }
    this.lastLine = `${passed} passed, ${failed} failed, ${skipped.length} skipped\n`

    for (const [reason, count] of countBy(skipped, reasonOf)) process.stdout.write(`skipped ${count}: ${reason}\n`)
    if (failed > 0) process.exitCode = 1
    if (process.env.EXPECT_ALL === '1' && skipped.length > 0) {
      for (const test of skipped)
        process.stdout.write(
          `EXPECT_ALL=1, but skipped: ${test.module.moduleId} > ${test.fullName}: ${reasonOf(test)}\n`,
        )
      process.exitCode = 1
    }
  }
}

function tellUnsteady(test: TestCase): void {
  process.stdout.write(`unsteady, passed when run again: ${test.module.relativeModuleId} > ${test.fullName}\n`)
  for (const { message } of test.result().errors ?? []) process.stdout.write(`  ${message.replaceAll('\n', '\n  ')}\n`)
}

function reasonOf(test: TestCase): string {
  const result = test.result()
  if (result.state === 'skipped' && result.note) return result.note
  for (let task: TestCase | TestSuite | TestModule = test; task.type !== 'module'; task = task.parent)
    if (task.meta().reason) return task.meta().reason!
  return 'no reason given'
}

function countBy<T>(items: readonly T[], key: (item: T) => string): Map<string, number> {
  const counts = new Map<string, number>()
  for (const item of items) counts.set(key(item), (counts.get(key(item)) ?? 0) + 1)
  return counts
}
