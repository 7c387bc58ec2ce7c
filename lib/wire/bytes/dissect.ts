/** Runs a codec with a trace: what it decodes, which fields are where, and what is wrong where. */
import { type WireCode, WireError } from '../../errors.js'
import { Reader } from './cursor.js'
import { type Field, Trace } from './trace.js'

interface Dissection<T> {
  /** Every byte is in exactly one field that has no fields. */
  fields: Field[]
  /** What the codec returned, if it returned. */
  value?: T
  /** The first thing that makes the codec refuse the bytes. */
  error?: WireError
}

/** @param code of the errors that the reader itself throws */
export function dissect<T>(bytes: Uint8Array, code: WireCode, read: (from: Reader) => T): Dissection<T> {
  const trace = new Trace(bytes)
  const dissection: Dissection<T> = { fields: trace.fields }
  const errors: WireError[] = []
  try {
    const value = read(new Reader(bytes, 0, bytes.length, code, trace))
    if (trace.errors.length === 0) dissection.value = value
  } catch (error) {
    if (!(error instanceof WireError)) throw error
    errors.push(error)
  }
  const [error] = [...trace.errors, ...errors]
  if (error !== undefined) dissection.error = error
  fill(trace.fields, 0, bytes.length)
  for (const each of [...trace.errors, ...errors]) mark(trace.fields, each)
  return dissection
}

/** Gives every byte from `start` to `end` a field. */
function fill(fields: Field[], start: number, end: number): void {
  let at = start
  for (const field of fields.splice(0)) {
    // Fields of a window that ends beyond the bytes.
    if (field.offset > end) break
    field.length = Math.max(0, Math.min(field.length, end - field.offset))
    if (field.offset > at) fields.push(notRead(at, field.offset))
    if (field.fields !== undefined) fill(field.fields, field.offset, field.offset + field.length)
    fields.push(field)
    at = field.offset + field.length
  }
  if (end > at) fields.push(notRead(at, end))
}

function notRead(offset: number, end: number): Field {
  return { offset, length: end - offset, name: 'Not read' }
}

/** Notes the problem at the innermost field there, unless it has one already. */
function mark(fields: readonly Field[], error: WireError): void {
  const field = fields.findLast(({ offset }) => offset <= error.offset) ?? fields[0]
  if (field === undefined) return
  if (field.fields?.length && field.problem === undefined) mark(field.fields, error)
  else field.problem ??= error.message
}
