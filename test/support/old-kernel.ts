/** What other kernels and sandboxes answer, on this kernel: a library for LD_PRELOAD, compiled from old-kernel.c. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface OldKernel {
  /** The environment in which a program sees it. */
  env: NodeJS.ProcessEnv
  remove(): void
}

export function oldKernel(): OldKernel {
  const folder = mkdtempSync(join(tmpdir(), 'old-kernel-'))
  const library = join(folder, 'old-kernel.so')
  const source = fileURLToPath(new URL('./old-kernel.c', import.meta.url))
  execFileSync('cc', ['-shared', '-fPIC', '-o', library, source, '-ldl'])
  return {
    env: { ...process.env, LD_PRELOAD: library },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}
