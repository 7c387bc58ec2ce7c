/**
 * Vitest's global setup: compiles what tests start as programs, so that starting one takes the processor a tenth of a second
 * and not one. The output stands beside the sources' folders, as `dist/` does: paths relative to the project's root hold there.
 */
import { existsSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'
import type { TestProject } from 'vitest/node'
import { COMPILED, project } from './compiled.js'

/** What programs find by paths from the root. */
const LINKED = ['package.json', 'build', 'dist', 'native', 'lib/cli/watch/page']

export async function setup(tests: TestProject): Promise<void> {
  // Vitest asks for it once for each project besides.
  if (!tests.isRootProject()) return
  if (!existsSync(join(project, 'dist/index.js')))
    throw new Error('dist/ is not built, and the programs that tests start import it: npm run build')
  // `npm run kernels` has compiled before: in its guests it would take minutes.
  if (process.env.ATSSS_TESTS_COMPILED === '1') return
  await compile()
  tests.onTestsRerun(compile)
}

export async function compile(): Promise<void> {
  const all = {
    absWorkingDir: project,
    outdir: COMPILED,
    outbase: '.',
    platform: 'node',
    target: 'node20',
    logLevel: 'error',
  } as const
  const entryPoints = ['lib', 'test', 'examples'].map(folder => `${folder}/**/*.ts`)
  await build({ ...all, entryPoints, format: 'esm' })
  await build({ ...all, entryPoints: ['lib/**/*.cts'], format: 'cjs', outExtension: { '.js': '.cjs' } })
  for (const name of LINKED) link(name)
}

function link(name: string): void {
  try {
    symlinkSync(join(project, name), join(COMPILED, name))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}
