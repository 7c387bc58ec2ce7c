import { basename } from 'node:path'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** The files of test/netns/ that take more than half a minute, longest first. */
const LONGEST = [
  'session-modes',
  'examples',
  'convert-syn-loss',
  'session-active-standby',
  'incoming',
  'cli-lab',
  'session-faults',
  'link-monitor',
  'examples-lab',
  'session-levels',
  'guide',
].map(name => `${name}.test.ts`)

/**
 * Vitest begins with the files that took longest the last time, or, in a fresh checkout, with the largest ones; the last
 * worker would then be alone with a short file that takes long.
 */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    const others = sorted.filter(file => rank(file) < 0)
    const longest = sorted.filter(file => rank(file) >= 0).sort((a, b) => rank(a) - rank(b))
    return [
      ...others.filter(({ project }) => project.name !== 'netns'),
      ...longest,
      ...others.filter(({ project }) => project.name === 'netns'),
    ]
  }
}

function rank({ project, moduleId }: TestSpecification): number {
  return project.name === 'netns' ? LONGEST.indexOf(basename(moduleId)) : -1
}
