/** Which address families an interface has. */
import { interfacesNow } from '../kernel/interfaces.js'

/**
 * Whether connections of this family can begin on the interface. Only an interface that has addresses of the other family, and
 * none of this one, is ruled out: of one without any, or of one that is not listed by this name, the kernel decides.
 */
export function mayHaveAddress(name: string, family: 4 | 6): boolean {
  const families = listed().get(name)
  return families === undefined || families.has(family)
}

/** The interface's addresses that packets may leave the link from. */
export function globalAddresses(name: string): string[] {
  return (interfacesNow()[name] ?? []).filter(isGlobal).map(({ address }) => address)
}

/** The list takes about 100 µs, and many connections may begin at once. Milliseconds. */
const LISTED_FOR_MS = 50
let latest: { at: number; families: ReadonlyMap<string, ReadonlySet<4 | 6>> } | undefined

function listed(): ReadonlyMap<string, ReadonlySet<4 | 6>> {
  const now = performance.now()
  if (latest && now - latest.at < LISTED_FOR_MS) return latest.families
  const families = new Map<string, Set<4 | 6>>()
  for (const [name, addresses = []] of Object.entries(interfacesNow())) {
    const found = new Set(addresses.filter(isGlobal).map(({ family }): 4 | 6 => (family === 'IPv6' ? 6 : 4)))
    if (found.size > 0) families.set(name, found)
  }
  latest = { at: now, families }
  return families
}

/** Packets from link-local addresses do not leave the link (RFC 4291 §2.5.6, RFC 3927 §7). */
function isGlobal({ address }: { address: string }): boolean {
  return !/^fe[89ab][0-9a-f]:/i.test(address) && !address.startsWith('169.254.')
}
