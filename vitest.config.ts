import { defineConfig } from 'vitest/config'

/** `unit` runs for any user; `netns` makes network namespaces (root, or `unshare -Urnm`), one file at a time. */
export default defineConfig({
  test: {
    pool: 'forks',
    reporters: ['default', './test/support/count-reporter.ts'],
    projects: [
      {
        extends: true,
        test: { name: 'unit', include: ['test/**/*.test.ts'], exclude: ['test/netns/**'] },
      },
      {
        extends: true,
        test: {
          name: 'netns',
          include: ['test/netns/**/*.test.ts'],
          fileParallelism: false,
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
})
