/**
 * Which code was tried on which kernels, in scripts/kernels-tried.json: CI tries other kernels only when code that meets the kernel
 * has changed since.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** What may behave differently on another kernel, and what tries it. */
const KERNEL_FACING = [
  'lib/runtime',
  'lib/wire/netlink',
  'lib/wire/kernel',
  'lib/converter',
  'native',
  'scripts/kernels/device.ts',
  'scripts/kernels/guest.ts',
  'scripts/kernels/rows.ts',
  'scripts/kernels/server.ts',
  'scripts/kernels/trial.ts',
]

export interface Tried {
  /** By path: git's hash of what was tried. */
  code: Readonly<Record<string, string>>
  /** By version: Debian's name of the kernel. */
  kernels: Readonly<Record<string, string>>
}

/** The code as it is committed; undefined without git, or with changes that are not committed. */
export function codeNow(root: string): Tried['code'] | undefined {
  const git = (...args: string[]) => {
    const { status, stdout } = spawnSync('git', args, { cwd: root, encoding: 'utf8' })
    return status === 0 ? stdout.trim() : undefined
  }
  if (git('status', '--porcelain', '--', ...KERNEL_FACING) !== '') return undefined
  const hashes = KERNEL_FACING.map(path => [path, git('rev-parse', `HEAD:${path}`) ?? ''] as const)
  return hashes.some(([, hash]) => hash === '') ? undefined : Object.fromEntries(hashes)
}

/** Those of the versions on which this code was not tried. Pure. */
export function untried(versions: readonly string[], now: Tried['code'] | undefined, last: Tried): readonly string[] {
  return isSame(now, last) ? versions.filter(version => !(version in last.kernels)) : versions
}

/** What to note after a trial in which all was right. Pure. */
export function noted(now: Tried['code'], releases: Tried['kernels'], last: Tried): Tried {
  return { code: now, kernels: isSame(now, last) ? { ...last.kernels, ...releases } : releases }
}

export function lastTried(root: string): Tried {
  return JSON.parse(readFileSync(pathIn(root), 'utf8')) as Tried
}

export function note(root: string, tried: Tried): void {
  writeFileSync(pathIn(root), `${JSON.stringify(tried, null, 2)}\n`)
}

function pathIn(root: string): string {
  return join(root, 'scripts/kernels-tried.json')
}

function isSame(now: Tried['code'] | undefined, last: Tried): boolean {
  return now !== undefined && KERNEL_FACING.every(path => now[path] === last.code[path])
}
