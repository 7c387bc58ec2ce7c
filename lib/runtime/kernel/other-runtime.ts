/** Bun and Deno imitate Node's API and load the addon, but their sockets have no descriptor to put under them. */
import { AtsssError } from '../../errors.js'

/** The error with which everything has to fail in a runtime that is not Node. */
export function otherRuntime(): AtsssError | undefined {
  for (const [key, name] of RUNTIMES) {
    const version = process.versions[key]
    if (version !== undefined)
      return new AtsssError(
        'ERR_ATSSS_NODE',
        `This is ${name} ${version}, whose sockets are not Node's: atsss cannot make connections with them. Run the program with Node.js 20.19 or later`,
      )
  }
  return undefined
}

const RUNTIMES = [
  ['bun', 'Bun'],
  ['deno', 'Deno'],
] as const
