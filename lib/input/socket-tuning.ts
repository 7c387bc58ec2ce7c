/** Options of TCP that Node's sockets do not have: for connections, and for those of a rule. */
import type { Checks } from './check.js'

/** As the options of the same names. */
export interface SocketTuning {
  congestion?: string
  notsentLowWater?: number
}

/** The kernel's TCP_CA_NAME_MAX is 16 with the zero. */
const LONGEST_NAME = 15
const LEAST_LOW_WATER = 4_096
const MOST_LOW_WATER = 1_073_741_824

export const TUNING_SCHEMAS = {
  congestion: { type: 'string', minLength: 1, maxLength: LONGEST_NAME, pattern: '^[a-z0-9_-]+$' },
  notsentLowWater: { type: 'integer', minimum: LEAST_LOW_WATER, maximum: MOST_LOW_WATER },
}

export function congestionName(checks: Pick<Checks, 'text' | 'invalid'>, path: string, value: unknown): string {
  const name = checks.text(path, value)
  if (name.length > LONGEST_NAME || !/^[a-z0-9_-]+$/.test(name))
    throw checks.invalid(path, "the kernel's name of a congestion control, such as bbr or cubic", value)
  return name
}

export function lowWater(checks: Pick<Checks, 'integer'>, path: string, value: unknown): number {
  return checks.integer(path, value, LEAST_LOW_WATER, MOST_LOW_WATER)
}

/** @returns undefined: nothing is said */
export function tuningOf({ congestion, notsentLowWater }: SocketTuning): SocketTuning | undefined {
  if (congestion === undefined && notsentLowWater === undefined) return undefined
  return {
    ...(congestion !== undefined && { congestion }),
    ...(notsentLowWater !== undefined && { notsentLowWater }),
  }
}
