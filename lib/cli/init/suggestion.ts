/** What `atsss init` proposes and writes. Pure. */
import { posix } from 'node:path'
import type { AccessType } from '../../policy/rules/rule.js'
import { BOTH } from '../../policy/steering/accesses.js'
import { AUTO, choicesOf, KIND_IN_WORDS } from '../../runtime/network/access-choice.js'
import { heldBackBy } from '../../runtime/network/access-links.js'
import type { InterfaceKind } from '../../runtime/network/interface-kind.js'
import type { Link, NetworkState } from '../../runtime/network/link-monitor.js'

/** By access, the names of its interfaces, the best first. */
export type Names = Readonly<Record<AccessType, readonly string[]>>

type KindOf = (name: string) => InterfaceKind

/** The interfaces that `accesses: 'auto'` would use, by their names. What works at this moment does not change their order. */
export function suggested(state: NetworkState, kindOf: KindOf): Names {
  const choices = choicesOf(AUTO, state, kindOf)
  const of = (access: AccessType) => {
    const kinds = AUTO[access].choices!.map(choice => (choice as { kind: InterfaceKind }).kind)
    const rank = ({ name }: Link) => kinds.indexOf(kindOf(name))
    return [...choices[access]].sort((a, b) => rank(a) - rank(b)).map(({ name }) => name)
  }
  return { '3gpp': of('3gpp'), 'non-3gpp': of('non-3gpp') }
}

/** A line for each interface: its name, what it is, and its state. */
export function interfaceLines(state: NetworkState, kindOf: KindOf): string[] {
  const links = [...state.links.values()].filter(({ name }) => name !== 'lo')
  const cells = links.map(link => [link.name, KIND_IN_WORDS[kindOf(link.name)], stateOf(link, state)] as const)
  const width = (column: 0 | 1) => Math.max(...cells.map(cell => cell[column].length))
  return cells.map(([name, kind, how]) => `  ${name.padEnd(width(0))}  ${kind.padEnd(width(1))}  ${how}`)
}

function stateOf(link: Link, { defaultRoutes }: NetworkState): string {
  if (!link.up) return 'down'
  if (!link.carrier) return 'no carrier'
  const reason = heldBackBy(link)
  if (reason !== undefined) return `not ready: ${reason}`
  const usable = link.addresses.filter(({ scope, tentative }) => scope === 'global' && !tentative)
  if (usable.length === 0) return 'no address'
  const route = defaultRoutes.some(({ interfaceIndex }) => interfaceIndex === link.index) ? '' : ', no default route'
  return `${usable.map(({ address }) => address).join(' ')}${route}`
}

export interface Answers {
  accesses: 'auto' | Names
  converters: readonly string[]
  rules: string
}

/** The configuration, as it is written. @param schema where its JSON Schema is, as seen from the file */
export function configOf({ accesses, converters, rules }: Answers, schema?: string): Record<string, unknown> {
  const oneOrMore = (names: readonly string[]) => (names.length === 1 ? names[0] : names)
  return {
    ...(schema !== undefined && { $schema: schema }),
    accesses:
      accesses === 'auto' ? accesses : Object.fromEntries(BOTH.map(access => [access, oneOrMore(accesses[access])])),
    ...(converters.length > 0 && { converters }),
    rules,
    watch: true,
  }
}

/** The file's text: each property in a line. */
export function textOf(config: Readonly<Record<string, unknown>>): string {
  const spaced = (value: unknown) =>
    JSON.stringify(value, undefined, 1)
      .replace(/\n */g, ' ')
      .replace(/\[ (.*?) \]/g, '[$1]')
  const lines = Object.entries(config).map(([name, value]) => `  ${JSON.stringify(name)}: ${spaced(value)}`)
  return `{\n${lines.join(',\n')}\n}\n`
}

/** The schema as seen from a folder, if the package is in or below that folder: elsewhere the path would not last. */
export function schemaFrom(folder: string, packageFolder: string): string | undefined {
  const path = posix.relative(folder, posix.join(packageFolder, 'schema/atsss.json'))
  return path.startsWith('../') ? undefined : `./${path}`
}
