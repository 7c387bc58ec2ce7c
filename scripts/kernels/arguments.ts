/** What `npm run kernels` was asked for. */
import { parseArgs } from 'node:util'

/** What can run in a guest: a lab in which each capability is tried; Vitest. */
export const PARTS = ['trial', 'tests'] as const
export type Part = (typeof PARTS)[number]

export interface Arguments {
  /** Each once, in the order asked for; all known ones if none was. */
  versions: readonly string[]
  parts: readonly Part[]
  /** Test files instead of the usual ones; none: the usual ones. */
  tests: readonly string[]
  /** Only the rows that are not about bulk data. */
  brief: boolean
  /** Only the kernels on which this code has not been tried. */
  ifChanged: boolean
  /** Note what was tried, if all of it is right. */
  record: boolean
}

/** The message is for the user. */
export class UsageError extends Error {}

/**
 * @param known the versions of versions.json, oldest first
 * @throws UsageError
 */
export function readArguments(args: readonly string[], known: readonly string[]): Arguments {
  const { values, positionals } = parsed(args)
  const parts = values.only ?? (values.test.length > 0 ? ['tests'] : ['trial'])
  for (const part of parts)
    if (!isPart(part)) throw new UsageError(`--only is '${part}': use one of ${PARTS.join(', ')}`)
  if (values.brief && !parts.includes('trial'))
    throw new UsageError('--brief shortens the trial, which --only and --test leave out: remove --brief')
  if (values.record && !parts.includes('trial'))
    throw new UsageError('--record notes that the trial was right, which --only and --test leave out: remove --record')
  const versions = positionals.length > 0 ? positionals : known
  return {
    versions: [...new Set(versions.map(version => (version === 'newest' ? known.at(-1)! : version)))],
    parts: [...new Set(parts.filter(isPart))],
    tests: values.test,
    brief: values.brief,
    ifChanged: values['if-changed'],
    record: values.record,
  }
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        only: { type: 'string', multiple: true },
        test: { type: 'string', multiple: true, default: [] },
        brief: { type: 'boolean', default: false },
        'if-changed': { type: 'boolean', default: false },
        record: { type: 'boolean', default: false },
      },
    })
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

function isPart(name: string): name is Part {
  return (PARTS as readonly string[]).includes(name)
}
