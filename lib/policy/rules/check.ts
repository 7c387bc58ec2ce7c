/** Checks of rules in JSON. Each returns the value, or throws `ERR_ATSSS_RULE` with its place and what it is. */
import { AtsssError } from '../../errors.js'

export function wrong(path: string, message: string): AtsssError {
  return new AtsssError('ERR_ATSSS_RULE', `${path}: ${message}`)
}

/** An object with no other properties than these: one that nobody reads would widen a rule, or change how it steers. */
export function record<K extends string>(
  path: string,
  value: unknown,
  keys: readonly K[],
): Partial<Record<K, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw wrong(path, `must be an object; it is ${shown(value)}`)
  for (const key of Object.keys(value))
    if (!keys.includes(key as K)) throw wrong(`${path}.${key}`, meant('unknown property', key, keys))
  return value
}

export function list(path: string, value: unknown): unknown[] {
  if (!Array.isArray(value)) throw wrong(path, `must be an array; it is ${shown(value)}`)
  return value
}

/** One of these words, and what it stands for. */
export function word<T>(path: string, value: unknown, words: Readonly<Record<string, T>>): T {
  if (typeof value === 'string' && Object.hasOwn(words, value)) return words[value] as T
  if (typeof value !== 'string' || value === '')
    throw wrong(path, `must be one of ${quoted(Object.keys(words))}; it is ${shown(value)}`)
  throw wrong(path, meant('', value, Object.keys(words)))
}

export function integer(path: string, value: unknown, least: number, most: number): number {
  if (!Number.isInteger(value) || (value as number) < least || (value as number) > most)
    throw wrong(path, `must be an integer in ${least}…${most}; it is ${shown(value)}`)
  return value as number
}

export function text(path: string, value: unknown, what = 'a non-empty string'): string {
  if (typeof value !== 'string' || value === '') throw wrong(path, `must be ${what}; it is ${shown(value)}`)
  return value
}

/** Octets, as hexadecimal digits. */
export function hexadecimal(path: string, value: unknown): Uint8Array {
  if (typeof value !== 'string' || !/^([0-9a-f]{2})*$/i.test(value))
    throw wrong(path, `must be octets in hexadecimal; it is ${shown(value)}`)
  return Uint8Array.from(Buffer.from(value, 'hex'))
}

/**
 * The word that was probably meant: the nearest one, when it takes fewer changes of single letters than a quarter of them.
 * Capitals, hyphens and underscores do not count. A known word with something behind an underscore is another word.
 */
export function nearest(given: string, words: readonly string[]): string | undefined {
  let best: string | undefined
  let least = Number.POSITIVE_INFINITY
  for (const own of words) {
    if (given.startsWith(`${own}_`)) continue
    const changes = distance(bare(given), bare(own))
    if (changes < least && changes <= Math.max(1, Math.floor(own.length / 4))) {
      least = changes
      best = own
    }
  }
  return best
}

export function shown(value: unknown): string {
  if (typeof value === 'string') return `'${value.slice(0, 80)}'`
  if (value === undefined) return 'missing'
  return (JSON.stringify(value) ?? String(value)).slice(0, 80)
}

function meant(what: string, given: string, words: readonly string[]): string {
  const own = nearest(given, words)
  const ending = own === undefined ? `must be one of ${quoted(words)}` : `did you mean '${own}'?`
  return what === '' ? `${shown(given)} — ${ending}` : `${what} — ${ending}`
}

function quoted(words: readonly string[]): string {
  return words.map(own => `'${own}'`).join(', ')
}

function bare(name: string): string {
  return name
    .slice(0, 80)
    .toLowerCase()
    .replace(/[-_\s]/g, '')
}

/** Letters added, left out, changed, or swapped with their neighbour. */
function distance(a: string, b: string): number {
  let before: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const changed = last[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      row[j] = Math.min(last[j]! + 1, row[j - 1]! + 1, changed)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        row[j] = Math.min(row[j]!, before[j - 2]! + 1)
    }
    before = last
    last = row
  }
  return last[b.length]!
}
