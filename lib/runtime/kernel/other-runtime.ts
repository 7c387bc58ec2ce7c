/**
 * Bun and Deno imitate Node's API and load the addon, but their sockets have no descriptor to put under them. Old Nodes are refused by
 * a function that they lack.
 */
import { AtsssError } from '../../errors.js'

/** The error with which everything has to fail in a runtime that is not Node, or too old a Node. */
export function otherRuntime(): AtsssError | undefined {
  for (const [key, name] of RUNTIMES) {
    const version = process.versions[key]
    if (version !== undefined)
      return new AtsssError(
        'ERR_ATSSS_NODE',
        `This is ${name} ${version}, whose sockets are not Node's: atsss cannot make connections with them. Run the program with Node.js 20.19 or later`,
      )
  }
  // Since 20.16 and 22.3. It is the first thing that is used.
  if (typeof process.getBuiltinModule === 'function') return undefined
  return new AtsssError(
    'ERR_ATSSS_NODE',
    `This is Node.js ${process.versions.node}, which is too old: atsss needs Node.js 20.19 or later`,
  )
}

const RUNTIMES = [
  ['bun', 'Bun'],
  ['deno', 'Deno'],
] as const
