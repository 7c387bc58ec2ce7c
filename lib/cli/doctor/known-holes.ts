/**
 * Faults of Linux in what this package uses that other machines can exploit, and the releases that fix them, as far as known. The
 * same table is in docs/linux.md#known-holes. Pure.
 */
import type { Finding } from './finding.js'

interface Hole {
  name: string
  /** What is exposed to it. */
  concerns: string
  /** Whether a kernel of this version has what the hole is in. */
  in(version: Version): boolean
  /** By stable branch: the first patch level with the fix. */
  fixed: Readonly<Record<string, number>>
  /** By stable branch: the last patch level that was seen without the fix. */
  open: Readonly<Record<string, number>>
}

const HOLES: readonly Hole[] = [
  {
    name: 'Fast Open on MP_JOIN subflows',
    concerns: 'hosts that listen with MPTCP and Fast Open: a converter, a server of a session',
    in: version => isAtLeast(version, 6, 2),
    fixed: {},
    open: { '6.12': 117, '7.3': 4 },
  },
  {
    name: 'CVE-2026-68169 (use after free in the userspace path manager)',
    concerns: 'sessions at the level userspace',
    in: version => isAtLeast(version, 5, 19),
    fixed: { '6.12': 105 },
    open: {},
  },
  { name: 'CVE-2026-97567', concerns: 'any MPTCP socket', in: () => true, fixed: { '6.12': 113 }, open: {} },
]

export interface Version {
  major: number
  minor: number
  /** `undefined` where a distribution's name of the kernel does not have it. */
  patch: number | undefined
}

/**
 * The version of the sources that a kernel was built from.
 *
 * @param release `uname -r`: Debian's is 6.1.0-57-amd64 for 6.1.192
 * @param build `uname -v`: #1 SMP PREEMPT_DYNAMIC Debian 6.1.192-1 (2026-11-12)
 */
export function versionOf(release: string, build: string): Version | undefined {
  const [, major, minor, patch] =
    /\bDebian (\d+)\.(\d+)\.(\d+)/.exec(build) ?? /^(\d+)\.(\d+)(?:\.(\d+))?/.exec(release) ?? []
  if (major === undefined) return undefined
  // Ubuntu's, Red Hat's and others' count builds behind a dash and have fixes of their own: 6.8.0-45-generic.
  const isOwn = patch === '0' && /^\d+\.\d+\.0-\d/.test(release) && !build.includes('Debian')
  return { major: Number(major), minor: Number(minor), patch: patch === undefined || isOwn ? undefined : Number(patch) }
}

export function aboutHoles(version: Version | undefined): Finding {
  const present = version === undefined ? HOLES : HOLES.filter(hole => hole.in(version))
  const of = (wanted: State) => present.filter(hole => stateOf(hole, version) === wanted)
  const [open, unknown] = [of('open'), of('unknown')]
  const names = (holes: readonly Hole[]) => holes.map(({ name }) => name).join(', ')
  const parts = [
    ...(open.length > 0 ? [`not fixed in this kernel: ${names(open)}`] : []),
    ...(unknown.length > 0 ? [`not known whether fixed in this kernel: ${names(unknown)}`] : []),
  ]
  return {
    id: 'known-holes',
    title: 'Known holes',
    state: open.length > 0 ? 'warning' : 'good',
    found: parts.join('; ') || 'none: this kernel has the fixes',
    why:
      open.length > 0
        ? `concerned are ${open.map(({ concerns }) => concerns).join('; ')}`
        : 'of these faults in what is used here, the kernel releases that fix them are known for few branches: docs/linux.md#known-holes',
    fixes:
      open.length === 0
        ? []
        : [
            {
              command: '',
              note: `install the latest kernel of your distribution${
                open.some(({ name }) => name.startsWith('Fast Open'))
                  ? '; until one has the fix, listen without Fast Open: `atsss converter --no-fast-open`, fastOpen: false'
                  : ''
              }`,
            },
          ],
  }
}

type State = 'fixed' | 'open' | 'unknown'

function stateOf({ fixed, open }: Hole, version: Version | undefined): State {
  if (version?.patch === undefined) return 'unknown'
  const branch = `${version.major}.${version.minor}`
  const [first, last] = [fixed[branch], open[branch]]
  if (first !== undefined) return version.patch >= first ? 'fixed' : 'open'
  return last !== undefined && version.patch <= last ? 'open' : 'unknown'
}

function isAtLeast({ major, minor }: Version, wantedMajor: number, wantedMinor: number): boolean {
  return major > wantedMajor || (major === wantedMajor && minor >= wantedMinor)
}
