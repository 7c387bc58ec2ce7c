import { defineConfig } from 'vitest/config'

/** What compilers make: the same on every Node, and under every sanitizer. */
const builds = ['test/native/builds.test.ts', 'test/package/node-gyp.test.ts']

/**
 * `unit` and `builds` run for any user; `netns`, after them, makes network namespaces (root, or `unshare -Urnm`). Two files
 * at a time, on two cores as well: those of `netns` mostly wait for the emulated links.
 */
export default defineConfig({
  test: {
    pool: 'forks',
    maxWorkers: 2,
    globalSetup: ['./test/support/compile.ts'],
    reporters: ['default', './test/support/count-reporter.ts'],
    projects: [
      {
        extends: true,
        // A busy machine takes its time.
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: ['test/netns/**', ...builds],
          testTimeout: 20_000,
          hookTimeout: 20_000,
        },
      },
      { extends: true, test: { name: 'builds', include: builds } },
      {
        extends: true,
        test: {
          name: 'netns',
          include: ['test/netns/**/*.test.ts'],
          sequence: { groupOrder: 1 },
          // What crosses links depends on when a busy machine runs what. The reporter names those that needed it.
          retry: process.env.CI ? 1 : 0,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
})
