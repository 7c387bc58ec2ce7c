/**
 * Checks of single option values, used wherever options come in. Each returns the value decided, or throws
 * `ERR_ATSSS_OPTION` with the option's name, what it must be and what it is.
 */
import { inspect } from 'node:util'
import { AtsssError } from '../errors.js'

export function oneOf<T extends string>(name: string, value: unknown, allowed: readonly T[], fallback: T): T {
  if (value === undefined) return fallback
  if (!allowed.includes(value as T)) throw invalid(name, allowed.map(word => `'${word}'`).join(', '), value)
  return value as T
}

export function flag(name: string, value: unknown, fallback: boolean): boolean {
  if (value === undefined) return fallback
  if (typeof value !== 'boolean') throw invalid(name, 'true or false', value)
  return value
}

export function integer(name: string, value: unknown, least: number, most: number, fallback?: number): number {
  if (value === undefined && fallback !== undefined) return fallback
  if (!Number.isInteger(value) || (value as number) < least || (value as number) > most)
    throw invalid(name, `an integer in ${least}…${most}`, value)
  return value as number
}

export function text(name: string, value: unknown): string {
  if (typeof value !== 'string' || value === '') throw invalid(name, 'a non-empty string', value)
  return value
}

export function bytes(name: string, value: unknown): Uint8Array | undefined {
  if (value !== undefined && !(value instanceof Uint8Array)) throw invalid(name, 'a Uint8Array', value)
  return value
}

/**
 * Options of other makers are passed over, as net.connect does; but a name that is ours, or its singular, up to its
 * capitals or one letter is a slip that would be silently without effect.
 *
 * @param path of `options`, with its dot, when they are part of others
 */
export function refuseMisspelled(
  options: object,
  ours: readonly string[],
  notOurs: ReadonlySet<string> = new Set(),
  path = '',
): void {
  for (const name of Object.keys(options)) {
    if (ours.includes(name) || notOurs.has(name)) continue
    const meant = ours.find(own => nearly(name, own) || (own.endsWith('s') && nearly(name, own.slice(0, -1))))
    if (meant) throw new AtsssError('ERR_ATSSS_OPTION', `Misspelled option "${path}${name}" should be "${meant}"`)
  }
}

export function invalid(name: string, expected: string, value: unknown): AtsssError {
  const shown = typeof value === 'string' ? `'${value.slice(0, 80)}'` : inspect(value, { depth: 0 }).slice(0, 80)
  return new AtsssError('ERR_ATSSS_OPTION', `Option "${name}" must be ${expected}; it is ${shown}`)
}

/** Same letters but for case, or one letter added, left out, changed or swapped with its neighbour. */
function nearly(name: string, own: string): boolean {
  if (Math.abs(name.length - own.length) > 1) return false
  const a = name.toLowerCase()
  const b = own.toLowerCase()
  if (a === b) return true
  if (b.length < 5) return false
  let start = 0
  while (start < a.length && a[start] === b[start]) start++
  const rest = (text: string, skip: number) => text.slice(start + skip)
  const swapped = a[start] === b[start + 1] && a[start + 1] === b[start] && rest(a, 2) === rest(b, 2)
  return rest(a, 1) === rest(b, 1) || rest(a, 1) === rest(b, 0) || rest(a, 0) === rest(b, 1) || swapped
}
