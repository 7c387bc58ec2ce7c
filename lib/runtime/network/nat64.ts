/** Finds the translator (NAT64) of an IPv6-only access: RFC 7050. */
import { promises as dns } from 'node:dns'
import { isIPv6 } from 'node:net'
import { type Nat64Prefix, prefixIn, WELL_KNOWN_NAME } from '../../policy/connect/nat64.js'

/**
 * Asks the name servers of the system for the addresses of `ipv4only.arpa`: those with an IPv6 address first, from `local`, since an
 * IPv6-only access has such; then the others, and the system's own way.
 *
 * @param local an IPv6 address of the access
 * @returns undefined: no name server knows of a translator. Never rejects.
 */
export async function findTranslator(local: string): Promise<Nat64Prefix | undefined> {
  // Those that the system has now: Node's own resolver keeps those of its first use.
  const servers = new dns.Resolver().getServers()
  const ofFamily = servers.filter(server => isIPv6(server.replace(/^\[|\](:\d+)?$/g, '')) && !/^\[?::1/.test(server))
  const others = servers.filter(server => !ofFamily.includes(server))
  const bound = await firstPrefix(ofFamily.map(server => ask(server, local)))
  return bound ?? (await firstPrefix([...others.map(server => ask(server)), lookUp()]))
}

async function ask(server: string, local?: string): Promise<Nat64Prefix | undefined> {
  const resolver = new dns.Resolver({ timeout: TIMEOUT_MS, tries: TRIES })
  resolver.setServers([server])
  if (local !== undefined) resolver.setLocalAddress('0.0.0.0', local)
  return prefixIn(await resolver.resolve6(WELL_KNOWN_NAME))
}

async function lookUp(): Promise<Nat64Prefix | undefined> {
  const found = await dns.lookup(WELL_KNOWN_NAME, { all: true, family: 6 })
  return prefixIn(found.map(({ address }) => address))
}

async function firstPrefix(answers: Promise<Nat64Prefix | undefined>[]): Promise<Nat64Prefix | undefined> {
  const found = answers.map(async answer => (await answer) ?? Promise.reject(new Error('no translator')))
  return Promise.any(found).catch(() => undefined)
}

const TIMEOUT_MS = 1_000
const TRIES = 2
