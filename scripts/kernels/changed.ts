/** Whether code that meets the kernel has changed: for CI, which tries other kernels only then. */
import { spawnSync } from 'node:child_process'

/** What may behave differently on another kernel, and what tries it. */
const KERNEL_FACING = [
  'lib/runtime',
  'lib/wire/netlink',
  'lib/wire/kernel',
  'lib/converter',
  'native',
  'scripts/kernels',
]

/**
 * Since the branch left origin/main; on origin/main itself, since the last tag.
 *
 * @returns the files; `undefined` where that cannot be known: without git, without a tag, in a shallow clone
 */
export function kernelFacingChanges(root: string): readonly string[] | undefined {
  const git = (...args: string[]) => {
    const { status, stdout } = spawnSync('git', args, { cwd: root, encoding: 'utf8' })
    return status === 0 ? stdout.trim() : undefined
  }
  const head = git('rev-parse', 'HEAD')
  const left = git('merge-base', 'HEAD', 'origin/main')
  const base = left !== undefined && left !== head ? left : git('describe', '--tags', '--abbrev=0')
  if (base === undefined) return undefined
  return git('diff', '--name-only', base, '--', ...KERNEL_FACING, 'scripts/kernels.ts')
    ?.split('\n')
    .filter(Boolean)
}
