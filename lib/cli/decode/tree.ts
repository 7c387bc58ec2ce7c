/** Prints the fields that a codec read as a tree, one line each. */
import type { Field } from '../../wire/bytes/trace.js'
import type { Colours } from '../terminal.js'

/** Every field that has a problem, in the order of the bytes. */
export function problems(fields: readonly Field[]): Field[] {
  return fields.flatMap(field => [...(field.problem === undefined ? [] : [field]), ...problems(field.fields ?? [])])
}

/** A line for each field: its offset, its first octets, its name and value. */
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

/** The most octets shown on the line of a field. */
const SHOWN = 6
const OCTETS_WIDTH = SHOWN * 3 + 1
