/**
 * Checks of values that come from outside: options, and rules and configurations in JSON. Each check returns the value,
 * or throws an error that says where the value is, what it must be, what it is, and what was probably meant.
 */
import { inspect, types } from 'node:util'
import { AtsssError, type ErrorCode } from '../errors.js'

/**
 * A Uint8Array or Buffer of any realm: in vm contexts, as Jest has them, those of Node are instances of another Uint8Array than the
 * application's.
 */
export const isBytes: (value: unknown) => value is Uint8Array = types.isUint8Array

/** The checks of one kind of input: all its errors have one code, and name the place in one way. */
export class Checks {
  readonly #code: ErrorCode
  readonly #place: (path: string) => string

  /** @param place how a message names the value at a path */
  constructor(code: ErrorCode, place: (path: string) => string) {
    this.#code = code
    this.#place = place
  }

  // All are properties, so that a room can take those that it needs by name.

  /** The error for a value at `path`. */
  readonly wrong = (path: string, message: string): AtsssError =>
    new AtsssError(this.#code, `${this.#place(path)} ${message}`)

  /** The error for a value that is not what it must be. */
  readonly invalid = (path: string, expected: string, value: unknown): AtsssError =>
    this.wrong(path, `must be ${expected}; it is ${shown(value)}`)

  /** One of these words. */
  readonly oneOf = <T extends string>(path: string, value: unknown, allowed: readonly T[], fallback?: T): T => {
    if (value === undefined && fallback !== undefined) return fallback
    if (allowed.includes(value as T)) return value as T
    const meant = typeof value === 'string' ? nearest(value, allowed) : undefined
    const hint = meant === undefined ? '' : `; did you mean '${meant}'?`
    throw this.wrong(path, `must be ${quoted(allowed)}; it is ${shown(value)}${hint}`)
  }

  /** What one of these words stands for. */
  readonly word = <T>(path: string, value: unknown, words: Readonly<Record<string, T>>): T => {
    if (typeof value === 'string' && Object.hasOwn(words, value)) return words[value] as T
    const names = Object.keys(words)
    if (typeof value !== 'string' || value === '') throw this.invalid(path, `one of ${quoted(names)}`, value)
    throw this.wrong(path, `${shown(value)} — ${meant(value, names)}`)
  }

  readonly flag = (path: string, value: unknown, fallback?: boolean): boolean => {
    if (value === undefined && fallback !== undefined) return fallback
    if (typeof value !== 'boolean') throw this.invalid(path, 'true or false', value)
    return value
  }

  readonly integer = (path: string, value: unknown, least: number, most: number, fallback?: number): number => {
    if (value === undefined && fallback !== undefined) return fallback
    if (!Number.isInteger(value) || (value as number) < least || (value as number) > most)
      throw this.invalid(path, `an integer in ${least}…${most}`, value)
    return value as number
  }

  /** @param what the text must be, in the message */
  readonly text = (path: string, value: unknown, what = 'a non-empty string'): string => {
    if (typeof value !== 'string' || value === '') throw this.invalid(path, what, value)
    return value
  }

  /** The name of a network interface. IFNAMSIZ is 16, with the terminating zero. */
  readonly interfaceName = (path: string, value: unknown): string => {
    const name = this.text(path, value, 'the name of an interface')
    if (Buffer.byteLength(name) > 15 || /[\s/]/.test(name)) throw this.invalid(path, 'the name of an interface', value)
    return name
  }

  readonly bytes = (path: string, value: unknown): Uint8Array | undefined => {
    if (value === undefined || isBytes(value)) return value
    throw this.invalid(path, 'a Uint8Array', value)
  }

  /** Octets, as hexadecimal digits. */
  readonly hexadecimal = (path: string, value: unknown): Uint8Array => {
    if (typeof value !== 'string' || !/^([0-9a-f]{2})*$/i.test(value))
      throw this.invalid(path, 'octets in hexadecimal', value)
    return Uint8Array.from(Buffer.from(value, 'hex'))
  }

  /** An array. A hole in it is an undefined item, which `map` would pass over. */
  readonly list = (path: string, value: unknown): unknown[] => {
    if (!Array.isArray(value)) throw this.invalid(path, 'an array', value)
    return Array.from(value)
  }

  /** An object with these properties only: one that nothing reads could change the meaning of the others. */
  readonly record = <K extends string>(
    path: string,
    value: unknown,
    keys: readonly K[],
  ): Partial<Record<K, unknown>> => {
    const given = this.object(path, value)
    for (const key of Object.keys(given))
      if (!keys.includes(key as K)) throw this.wrong(`${path}.${key}`, `unknown property — ${meant(key, keys)}`)
    return given as Partial<Record<K, unknown>>
  }

  readonly object = (path: string, value: unknown): object => {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw this.invalid(path, 'an object', value)
    return value
  }
}

/** The checks of options. */
const options = new Checks('ERR_ATSSS_OPTION', path => `Option "${path}"`)
export const invalid: Checks['invalid'] = options.invalid
export const oneOf: Checks['oneOf'] = options.oneOf
export const flag: Checks['flag'] = options.flag
export const integer: Checks['integer'] = options.integer
export const text: Checks['text'] = options.text
export const interfaceName: Checks['interfaceName'] = options.interfaceName
export const bytes: Checks['bytes'] = options.bytes

/**
 * The names of one kind of options. Those of other libraries are passed over, as net.connect does. But a name that is almost
 * one of ours, or the singular of one, is a mistake that would silently have no effect.
 */
export class OptionNames {
  readonly #ours: readonly string[]
  readonly #own: ReadonlySet<string>
  /** The option that a singular stands for. */
  readonly #singulars: ReadonlyMap<string, string>
  /** Ours, and the others that were passed over: each connection brings the same ones. */
  readonly #passed: Set<string>

  /** @param notOurs names that only look like ours */
  constructor(ours: readonly string[], notOurs: readonly string[] = []) {
    this.#ours = ours
    this.#own = new Set(ours)
    this.#singulars = new Map(ours.filter(own => own.endsWith('s')).map(own => [own.slice(0, -1), own]))
    this.#passed = new Set([...ours, ...notOurs])
  }

  /**
   * @param path of `options`, with a dot behind it, if they are part of others
   * @throws ERR_ATSSS_OPTION
   */
  refuseMisspelled(options: object, path = ''): void {
    for (const name of Object.keys(options)) {
      const near = this.#near(name)
      if (near === undefined) continue
      throw new AtsssError(
        'ERR_ATSSS_OPTION',
        `Misspelled option "${path}${name}" should be "${this.#singulars.get(near) ?? near}"`,
      )
    }
  }

  /**
   * For objects that only we read: any other name would silently have no effect.
   *
   * @param path as for `refuseMisspelled`
   * @throws ERR_ATSSS_OPTION
   */
  refuseUnknown(options: object, path = ''): void {
    for (const name of Object.keys(options)) {
      if (this.#ours.includes(name)) continue
      this.refuseMisspelled({ [name]: undefined }, path)
      const near = nearest(name, this.#ours)
      const hint = near === undefined ? `there are ${this.#ours.join(', ')}` : `did you mean "${near}"?`
      throw new AtsssError('ERR_ATSSS_OPTION', `Unknown option "${path}${name}": ${hint}`)
    }
  }

  /** Whether any of these options is ours. */
  areIn(options: object): boolean {
    for (const name in options) if (this.#own.has(name)) return true
    return false
  }

  /** What of another library's options is neither ours nor almost ours: there, such names have another meaning. */
  others<T extends object>(options: T): T {
    const others = { ...options }
    for (const name of Object.keys(options))
      if (this.#ours.includes(name) || this.#near(name) !== undefined) Reflect.deleteProperty(others, name)
    return others
  }

  /** @returns what a name that is neither ours nor known to be another's was probably meant to be */
  #near(name: string): string | undefined {
    if (this.#passed.has(name)) return undefined
    const near = nearest(name, [...this.#ours, ...this.#singulars.keys()], ONE_LETTER)
    if (near === undefined && this.#passed.size < MOST_PASSED) this.#passed.add(name)
    return near
  }
}

/**
 * The word that was probably meant: the one that differs in the fewest letters, if these are few enough. Upper and lower
 * case, hyphens and underscores make no difference. A known word that an underscore and more follow is another word.
 *
 * @param most how many letters may differ, for a word of this length
 */
export function nearest(given: string, words: readonly string[], most = A_QUARTER): string | undefined {
  let best: string | undefined
  let least = Number.POSITIVE_INFINITY
  for (const own of words) {
    if (given.startsWith(`${own}_`)) continue
    const changes = distance(bare(given), bare(own))
    if (changes < least && changes <= most(own.length)) [best, least] = [own, changes]
  }
  return best
}

/** A value as messages show it. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return `'${value.slice(0, 80)}'`
  if (value === undefined) return 'missing'
  return inspect(value, { depth: 0, breakLength: Number.POSITIVE_INFINITY }).slice(0, 80)
}

/** How many names are remembered: an application may make them up. */
const MOST_PASSED = 1000
/** Where every word is one of ours. */
const A_QUARTER = (length: number) => Math.max(1, Math.floor(length / 4))
/** Where other words are somebody else's: a short one that differs in a letter is probably another word. */
const ONE_LETTER = (length: number) => (length < 5 ? 0 : 1)

function meant(given: string, words: readonly string[]): string {
  const own = nearest(given, words)
  return own === undefined ? `must be one of ${quoted(words)}` : `did you mean '${own}'?`
}

function quoted(words: readonly string[]): string {
  return words.map((own, index) => `${index === 0 ? '' : index < words.length - 1 ? ', ' : ' or '}'${own}'`).join('')
}

function bare(name: string): string {
  return name
    .slice(0, 80)
    .toLowerCase()
    .replace(/[-_\s]/g, '')
}

/** How many letters to add, leave out, change, or swap with their neighbour (optimal string alignment). */
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
