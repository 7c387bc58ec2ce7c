import { defineConfig } from 'vitest/config'
import { LongestFirst } from './test/support/longest-first.js'

/** What compilers make: the same on every Node, and under every sanitizer. */
const builds = ['test/native/builds.test.ts', 'test/native/32-bit.test.ts', 'test/package/node-gyp.test.ts']

/** What tests functions of values: no file leaves anything behind for the next one in the same process. */
const pure = ['test/wire/**/*.test.ts', 'test/policy/**/*.test.ts']

/**
 * A busy machine takes its time: these limits are for what hangs. What crosses sockets depends on when such a machine runs what:
 * in CI it has a second attempt, and the reporter names those that needed it.
 */
const patient = { testTimeout: 60_000, hookTimeout: 60_000, retry: process.env.CI ? 1 : 0 }

/**
 * `unit`, `pure` and `builds` run for any user; `netns`, after them, makes network namespaces (root, or `unshare -Urnm`).
 * Two files at a time keep two cores busy; of `netns` it takes three, which wait for the emulated links half of the time.
 */
export default defineConfig({
  test: {
    pool: 'forks',
    maxWorkers: 2,
    globalSetup: ['./test/support/compile.ts'],
    reporters: ['default', './test/support/count-reporter.ts'],
    sequence: { sequencer: LongestFirst },
    expect: { poll: { timeout: 15_000 } },
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/netns/**', ...builds, ...pure],
          ...patient,
        },
      },
      { extends: true, test: { name: 'pure', include: pure, isolate: false, ...patient, retry: 0 } },
      { extends: true, test: { name: 'builds', include: builds } },
      {
        extends: true,
        test: {
          name: 'netns',
          include: ['test/netns/**/*.test.ts'],
          sequence: { groupOrder: 1 },
          maxWorkers: 3,
          ...patient,
        },
      },
    ],
  },
})
