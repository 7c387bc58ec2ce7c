/**
 * Looks names up over the accesses that are there: where the system's own resolver knows the name servers of one access only, which is
 * lost, or which does not know a name that the other access's do (split DNS).
 */
import { promises as dns } from 'node:dns'
import { readFileSync } from 'node:fs'
import { isIP, isIPv6 } from 'node:net'

export interface FoundAddress {
  address: string
  family: 4 | 6
}

/**
 * Asks all name servers that the system knows, from each of these addresses of accesses.
 *
 * @param locals of the accesses that are available
 * @returns the addresses that the first one to know the name has; none if no server knows it. Never rejects.
 */
export async function lookUpOver(
  host: string,
  locals: readonly string[],
  servers: readonly string[] = nameServers(),
): Promise<FoundAddress[]> {
  const ways = servers.flatMap(server =>
    locals.filter(local => isIPv6(local) === isIPv6(hostOf(server))).map(local => ask(host, server, local)),
  )
  return Promise.any(ways).catch(() => [])
}

/** Rejects if the server does not know the name. */
async function ask(host: string, server: string, local: string): Promise<FoundAddress[]> {
  const resolver = new dns.Resolver({ timeout: TIMEOUT_MS, tries: TRIES })
  resolver.setServers([server])
  if (isIPv6(local)) resolver.setLocalAddress('0.0.0.0', local)
  else resolver.setLocalAddress(local)
  const [v4, v6] = await Promise.allSettled([resolver.resolve4(host), resolver.resolve6(host)])
  const found = (result: PromiseSettledResult<string[]>, family: 4 | 6) =>
    result.status === 'fulfilled' ? result.value.map(address => ({ address, family })) : []
  const all = [...found(v4, 4), ...found(v6, 6)]
  if (all.length === 0) throw new Error(`${server} does not know ${host}`)
  return all
}

/** Those of all links, as systemd-resolved and NetworkManager list them, and those of the system; without the ones on this host. */
export function nameServers(files: readonly string[] = FILES): string[] {
  const all = files.flatMap(file => [...read(file).matchAll(/^nameserver\s+(\S+)/gm)].map(([, server]) => server!))
  return [...new Set(all)].filter(server => isIP(hostOf(server)) !== 0 && !/^(127\.|::1$)/.test(server))
}

const FILES = ['/run/systemd/resolve/resolv.conf', '/run/NetworkManager/no-stub-resolv.conf', '/etc/resolv.conf']

const TIMEOUT_MS = 1_500
const TRIES = 2

/** Without the zone, as of fe80::1%wlan0. */
function hostOf(server: string): string {
  return server.replace(/%.*$/, '')
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
