/**
 * What a codec read, as a tree of fields: the offset, length, name and value of each.
 * A `Reader` fills it when it has one, so that a codec's only description of a layout is also its dissection.
 */
import type { WireError } from '../../errors.js'

export interface Field {
  /** In bytes, from the start of all bytes. */
  offset: number
  length: number
  name: string
  value?: string | number
  /** What is wrong with it. */
  problem?: string
  fields?: Field[]
}

/** A number in words, where it needs any. */
export type ShowNumber = (value: number) => string | number
/** Bytes in words; hexadecimal otherwise. */
export type ShowBytes = (bytes: Uint8Array) => string | number

/** The fields of one window. */
export class Trace {
  readonly fields: Field[] = []
  readonly #bytes: Uint8Array
  readonly #group: Field | undefined
  /** What was wrong although the reading went on, in order; of all windows. */
  readonly errors: WireError[]
  /** Whether a length has set the end of this window, or of one around it. */
  bounded: boolean

  constructor(bytes: Uint8Array, group?: Field, errors: WireError[] = [], bounded = false) {
    this.#bytes = bytes
    this.#group = group
    this.errors = errors
    this.bounded = bounded
  }

  number(offset: number, length: number, value: number, name: string, show: ShowNumber | undefined): void {
    const field = this.#add(offset, length, name)
    field.value = show === undefined ? value : show(value)
  }

  octets(offset: number, length: number, name: string, show: ShowBytes | undefined): void {
    if (length === 0) return
    const field = this.#add(offset, length, name)
    field.value = (show ?? hex)(this.#bytes.subarray(offset, offset + length))
  }

  /** A field made of fields. */
  open(offset: number, length: number, name: string): Trace {
    const fields: Field[] = []
    const field: Field = { offset, length, name, fields }
    this.fields.push(field)
    const inside = new Trace(this.#bytes, field, this.errors, this.bounded)
    field.fields = inside.fields
    return inside
  }

  /** Sets the end of the group, once it is known. */
  bound(end: number): void {
    this.bounded = true
    if (this.#group !== undefined) this.#group.length = end - this.#group.offset
  }

  /** Sets the name of the group, and its value in words. */
  title(name: string, value?: string | number): void {
    if (this.#group === undefined) return
    this.#group.name = name
    if (value !== undefined) this.#group.value = value
  }

  /** Notes a problem of the field that was read last. */
  problem(text: string): void {
    const field = this.fields.at(-1) ?? this.#group
    if (field !== undefined) field.problem ??= text
  }

  /** A field of which only `left` bytes are there. */
  short(offset: number, left: number, name: string, problem: string): void {
    this.#add(offset, left, name).problem = problem
    if (left > 0) this.fields.at(-1)!.value = hex(this.#bytes.subarray(offset, offset + left))
  }

  #add(offset: number, length: number, name: string): Field {
    const field: Field = { offset, length, name }
    this.fields.push(field)
    return field
  }
}

export function hex(bytes: Uint8Array): string {
  return bytes.length === 0 ? '(empty)' : Buffer.from(bytes).toString('hex')
}
