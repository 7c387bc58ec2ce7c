/**
 * Checks that carry their own JSON Schema (draft 7), so that schema/atsss.json is made from what is really checked:
 * scripts/schema.ts writes it.
 */
import type { Checks } from './check.js'

export type JsonSchema = Readonly<Record<string, unknown>>

export interface Described<T = unknown> {
  /** The value, or an error that names the path. */
  (path: string, value: unknown): T
  readonly schema: JsonSchema
}

/** A check, and the schema that says the same. */
export function described<T>(schema: JsonSchema, check: (path: string, value: unknown) => T): Described<T> {
  return Object.assign((path: string, value: unknown) => check(path, value), { schema })
}

/** The same check, with a description for those who read or complete the file in an editor. */
export function explained<T>(description: string, check: Described<T>): Described<T> {
  return described({ description, ...check.schema }, check)
}

interface DescribedChecks {
  flag: Described<boolean>
  text: Described<string>
  interfaceName: Described<string>
  /** Written out: inferred, it would have a type argument, which TypeScript before 5.7 does not know. */
  hexadecimal: Described<Uint8Array>
  oneOf<T extends string>(...words: readonly T[]): Described<T>
  within(minimum: number, maximum: number): Described<number>
  listOf<T>(item: Described<T>): Described<T[]>
  /** An object with these properties only; a property that is not required may be absent. */
  record<P extends Readonly<Record<string, Described>>>(
    properties: P,
    required?: readonly (keyof P & string)[],
  ): Described<{ [K in keyof P]?: ReturnType<P[K]> }>
}

/** The checks of one kind of input, with their schemas. */
export function describedBy(checks: Checks): DescribedChecks {
  return {
    flag: described<boolean>({ type: 'boolean' }, checks.flag),
    text: described<string>({ type: 'string', minLength: 1 }, checks.text),
    interfaceName: described<string>(
      { type: 'string', minLength: 1, maxLength: 15, pattern: '^[^\\s/]+$' },
      checks.interfaceName,
    ),
    hexadecimal: described<Uint8Array>({ type: 'string', pattern: '^([0-9A-Fa-f]{2})*$' }, checks.hexadecimal),
    oneOf: <T extends string>(...words: readonly T[]): Described<T> =>
      described<T>({ enum: words }, (path, value) => checks.word<T>(path, value, table(words))),
    within: (minimum: number, maximum: number): Described<number> =>
      described<number>({ type: 'integer', minimum, maximum }, (path, value) =>
        checks.integer(path, value, minimum, maximum),
      ),
    listOf: <T>(item: Described<T>): Described<T[]> =>
      described({ type: 'array', items: item.schema }, (path, value) =>
        checks.list(path, value).map((each, index) => item(`${path}[${index}]`, each)),
      ),
    record: <P extends Readonly<Record<string, Described>>>(
      properties: P,
      required: readonly (keyof P & string)[] = [],
    ): Described<{ [K in keyof P]?: ReturnType<P[K]> }> =>
      described(recordSchema(properties, required), (path, value) => {
        const given = checks.record(path, value, Object.keys(properties))
        const read: Record<string, unknown> = {}
        for (const [name, check] of Object.entries(properties))
          if (given[name] !== undefined || required.includes(name)) read[name] = check(`${path}.${name}`, given[name])
        return read as { [K in keyof P]?: ReturnType<P[K]> }
      }),
  }
}

export function recordSchema(
  properties: Readonly<Record<string, Described>>,
  required: readonly string[] = [],
): JsonSchema {
  return {
    type: 'object',
    additionalProperties: false,
    ...(required.length === 0 ? {} : { required }),
    properties: Object.fromEntries(Object.entries(properties).map(([name, { schema }]) => [name, schema])),
  }
}

function table<T extends string>(words: readonly T[]): Readonly<Record<string, T>> {
  return Object.fromEntries(words.map(word => [word, word]))
}
