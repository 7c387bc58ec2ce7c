/** What stands where in some bytes: a tree of fields, how it is walked, and how it is printed. */
import type { Colours } from '../terminal.js'

export interface Field {
  /** From the start of the bytes given. */
  offset: number
  length: number
  name: string
  value?: string | number
  /** What is wrong with it. */
  problem?: string
  fields?: Field[]
}

/** Nothing behind this place can be told apart. */
class Stop extends Error {}

/**
 * A cursor that notes what it passes. It never throws out of `walk` or `group`: what does not fit is noted as a field with
 * its problem, and ends the window.
 */
export class Walker {
  readonly fields: Field[] = []
  readonly bytes: Uint8Array
  readonly end: number
  offset: number

  constructor(bytes: Uint8Array, offset = 0, end = bytes.length) {
    this.bytes = bytes
    this.offset = offset
    this.end = end
  }

  get left(): number {
    return this.end - this.offset
  }

  /** Runs `body`, which may end early. */
  walk(body: (walker: this) => void): Field[] {
    try {
      body(this)
    } catch (error) {
      if (!(error instanceof Stop)) throw error
    }
    return this.fields
  }

  /** A number of one or two octets, as it is or as `show` says it. */
  number(name: string, octets: 1 | 2, show: (value: number) => string | number = value => value): number {
    const bytes = this.#pass(name, octets)
    const value = bytes.reduce((sum, octet) => sum * 256 + octet, 0)
    this.fields.at(-1)!.value = show(value)
    return value
  }

  /** Octets, in hexadecimal or as `show` says them. */
  octets(name: string, length: number, show: (bytes: Uint8Array) => string | number = hex): Uint8Array {
    const bytes = this.#pass(name, length)
    this.fields.at(-1)!.value = show(bytes)
    return bytes
  }

  /** A field that is made of fields: the next `length` octets. @returns what it is made of */
  group(name: string, length: number, body: (walker: Walker) => void, value?: string | number): Field {
    if (length > this.left) this.#cutShort(name, length)
    const field: Field = { offset: this.offset, length, name, fields: [] }
    if (value !== undefined) field.value = value
    this.fields.push(field)
    const inside = new Walker(this.bytes, this.offset, this.offset + length)
    field.fields = inside.walk(body)
    this.offset += length
    return field
  }

  /** All that is left, if anything is. */
  rest(name: string, show?: (bytes: Uint8Array) => string | number): void {
    if (this.left > 0) this.octets(name, this.left, show)
  }

  /** The last field is wrong: the window ends with it. */
  wrong(problem: string): never {
    this.fields.at(-1)!.problem = problem
    throw new Stop()
  }

  #pass(name: string, length: number): Uint8Array {
    if (length > this.left) this.#cutShort(name, length)
    const bytes = this.bytes.subarray(this.offset, this.offset + length)
    this.fields.push({ offset: this.offset, length, name })
    this.offset += length
    return bytes
  }

  #cutShort(name: string, length: number): never {
    const value = hex(this.bytes.subarray(this.offset, this.end))
    this.fields.push({ offset: this.offset, length: this.left, name, value })
    this.wrong(`cut short: ${length} octets wanted, ${this.left} left`)
  }
}

/** Every field that has a problem, in the order of the bytes. */
export function problems(fields: readonly Field[]): Field[] {
  return fields.flatMap(field => [...(field.problem === undefined ? [] : [field]), ...problems(field.fields ?? [])])
}

/** A line for each field: where it begins, its first octets, what it is. */
export function treeLines(fields: readonly Field[], bytes: Uint8Array, colours: Colours, depth = 0): string[] {
  return fields.flatMap(({ offset, length, name, value, problem, fields: inside }) => {
    const some = bytes.subarray(offset, offset + Math.min(length, SHOWN))
    const octets = [...some].map(octet => octet.toString(16).padStart(2, '0')).join(' ') + (length > SHOWN ? ' …' : '')
    const what = value === undefined ? name : `${name}: ${value}`
    const wrong = problem === undefined ? '' : colours.bad(`  ← ${problem}`)
    const line = `${colours.faint(`${String(offset).padStart(5)}  ${octets.padEnd(OCTETS_WIDTH)}`)}  ${'  '.repeat(depth)}${what}${wrong}`
    return [line, ...treeLines(inside ?? [], bytes, colours, depth + 1)]
  })
}

/** Octets shown of a field on its line. */
const SHOWN = 6
const OCTETS_WIDTH = SHOWN * 3 + 1

export function hex(bytes: Uint8Array): string {
  return bytes.length === 0 ? '(empty)' : Buffer.from(bytes).toString('hex')
}
