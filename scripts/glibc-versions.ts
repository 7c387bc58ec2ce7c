/** The versions of glibc that a binary needs, according to readelf. */

/** The distinct versions in the output of `readelf --version-info`, the oldest first; none for a musl binary. */
export function versionsNeeded(versionInfo: string): string[] {
  const versions = new Set([...versionInfo.matchAll(/\bGLIBC_(\d+(?:\.\d+)+)/g)].map(([, version]) => version!))
  return [...versions].sort((a, b) => (newerThan(a, b) ? 1 : -1))
}

/** Compares number by number: 2.28 is newer than 2.3.4. */
export function newerThan(a: string, b: string): boolean {
  const [left, right] = [a, b].map(version => version.split('.').map(Number)) as [number[], number[]]
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0)
    if (difference !== 0) return difference > 0
  }
  return false
}
