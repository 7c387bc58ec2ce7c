/** Names to addresses: the converters' (literals, host names, SRV records). Node looks up the destination's. */
import { promises as dns, type LookupAddress, type SrvRecord } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import type { ConverterSpec, Settings } from '../../input/options.js'
import {
  type Endpoint,
  interleave,
  otherFamily,
  type Prospect,
  type ViaConverter,
  type WayIn,
} from '../../policy/connect/candidates.js'
import { ConvertError } from '../../policy/connect/convert-error.js'
import type { ConverterMemory, ConverterPath } from '../../policy/connect/converter-memory.js'
import { backedOff } from '../../policy/connect/reaction.js'
import { byPriority } from '../../policy/connect/srv.js'
import type { AttemptPlan } from './attempt.js'
import { pathOf } from './dial.js'

/** The ways in to one converter, or why there are none. */
export interface ResolvedConverter {
  waysIn: WayIn[]
  errors: Error[]
}

/** What is known before a way is tried to this converter, or to this destination without one. */
export type ProspectOf = (to: Endpoint, device: string | undefined) => Prospect

/**
 * Calls `found` once for each converter, with each of its addresses over each interface, the interfaces varying fastest.
 * A resolved converter waits for the ones before it, but no longer than the next attempt would: a slow name must not hold
 * up the others (RFC 8305 §3). A literal is resolved at once.
 *
 * @param found is never called in a promise, since it leads to calls of the application
 */
export function resolveConverters(
  settings: Settings,
  plan: AttemptPlan,
  memory: ConverterMemory,
  interfaces: readonly (string | undefined)[],
  prospectOf: ProspectOf,
  found: (resolved: ResolvedConverter) => void,
): void {
  type Resolving = { result?: ResolvedConverter; isFound?: true }
  const all: Resolving[] = settings.converters.map(() => ({}))
  const take = (one: Resolving) => {
    if (one.isFound || !one.result) return
    one.isFound = true
    found(one.result)
  }
  const resolved = (index: number, result: ResolvedConverter) => {
    const one = all[index]!
    one.result = result
    const unresolved = all.findIndex(({ result }) => !result)
    for (const each of unresolved < 0 ? all : all.slice(0, unresolved)) take(each)
    if (!one.isFound) setTimeout(take, settings.attemptDelay, one).unref()
  }
  for (const [index, spec] of settings.converters.entries()) {
    const waysIn = (hosts: readonly Endpoint[][]) => {
      try {
        return waysInTo(spec, hosts, settings, plan, memory, interfaces, prospectOf)
      } catch (error) {
        return { waysIn: [], errors: [error as Error] } // the store of cookies is not one
      }
    }
    const failed = (error: Error) => ({ waysIn: [], errors: [notFound(spec, error)] })
    const literal = literalOf(spec)
    if (literal) resolved(index, waysIn([literal]))
    else
      hostsOf(spec, plan.lookup).then(
        hosts => process.nextTick(() => resolved(index, waysIn(hosts))),
        error => process.nextTick(() => resolved(index, failed(error as Error))),
      )
  }
}

function waysInTo(
  spec: ConverterSpec,
  hosts: readonly Endpoint[][],
  settings: Settings,
  plan: AttemptPlan,
  memory: ConverterMemory,
  interfaces: readonly (string | undefined)[],
  prospectOf: ProspectOf,
): ResolvedConverter {
  const now = performance.now()
  const errors: Error[] = []
  const waysIn: WayIn[] = []
  for (const addresses of hosts)
    for (const endpoint of addresses) {
      const others = otherFamily(endpoint, addresses)
      for (const name of interfaces) {
        const path = pathOf(endpoint, name, plan)
        const via = viaTo(spec, endpoint, others, settings, memory, path)
        const backOff = memory.backOff(path, now)
        if (backOff) errors.push(backedOff(via, backOff.code, backOff.until - now))
        else waysIn.push({ via, interface: name, prospect: prospectOf(endpoint, name) })
      }
    }
  return { waysIn, errors }
}

function viaTo(
  spec: ConverterSpec,
  endpoint: Endpoint,
  others: readonly Endpoint[],
  settings: Settings,
  memory: ConverterMemory,
  path: ConverterPath,
): ViaConverter {
  const adaptive = spec.convert === 'auto'
  return {
    name: spec.name,
    endpoint,
    ...(others.length > 0 && { others }),
    form: spec.convert === '1rtt' || (adaptive && memory.oneRtt(path, performance.now())) ? '1rtt' : '0rtt',
    adaptive,
    pipelining: spec.pipelining && memory.takesPipelining(path, performance.now()),
    cookie: memory.cookie(path, spec.cookie),
    info: settings.info && memory.understandsInfo(path),
    tcpOptions: settings.tcpOptions.filter(({ kind }) => memory.takesOption(path, kind)),
  }
}

/** The addresses of all converters that can be found. Rejects with `ERR_CONVERT_NOT_FOUND` when none can. */
export async function findConverters(specs: readonly ConverterSpec[]): Promise<Endpoint[]> {
  const found = await Promise.all(specs.map(spec => hostsOf(spec).catch((error: Error) => notFound(spec, error))))
  const endpoints = found.flatMap(result => (result instanceof Error ? [] : result.flat()))
  const error = found.find(result => result instanceof Error)
  if (endpoints.length === 0 && error) throw error
  return endpoints
}

/** The addresses of each host that the converter is. */
async function hostsOf({ where }: ConverterSpec, lookup?: LookupFunction): Promise<Endpoint[][]> {
  if ('host' in where) return [await addressesOf(where.host, where.port, lookup)]
  if ('addresses' in where) return [literalsOf(where.addresses, where.port)]
  if ('network' in where)
    throw new Error('the network has not named one: give the message that names it to session.update()')
  const records = byPriority(await resolveSrv(`_convert._tcp.${where.domain}`), Math.random)
  // "A Target of "." means that the service is decidedly not available at this domain" (RFC 2782).
  const targets = records.filter(record => record.name !== '' && record.name !== '.')
  if (targets.length === 0) throw new Error(`${where.domain} has no SRV record for a converter`)
  const found = await Promise.allSettled(targets.map(target => addressesOf(target.name, target.port, lookup)))
  const hosts = found.flatMap(result => (result.status === 'fulfilled' ? [result.value] : []))
  if (hosts.length === 0) throw (found.find(result => result.status === 'rejected') as PromiseRejectedResult).reason
  return hosts
}

/**
 * Node's own resolver keeps the name servers that the system had when the process began. A device changes networks: so those that
 * the system has now are asked, and Node's as well where they differ; the first answer counts. Servers that the application has
 * set are asked alone.
 */
async function resolveSrv(name: string): Promise<SrvRecord[]> {
  const latest = new dns.Resolver()
  const isSame = String(latest.getServers()) === String(dns.getServers())
  if (isSame || String(dns.getServers()) !== serversAtFirst) return dns.resolveSrv(name)
  try {
    return await Promise.any([latest.resolveSrv(name), dns.resolveSrv(name)])
  } catch (error) {
    throw (error as AggregateError).errors[0]
  } finally {
    latest.cancel()
  }
}

const serversAtFirst = String(dns.getServers())

async function addressesOf(host: string, port: number, lookup?: LookupFunction): Promise<Endpoint[]> {
  const literal = endpoint(host, port)
  if (literal) return [literal]
  const found = lookup ? await lookedUp(host, lookup) : await dns.lookup(host, { all: true })
  return interleave(found.map(({ address, family: of }) => ({ address, family: of as 4 | 6, port })))
}

function lookedUp(host: string, lookup: LookupFunction): Promise<LookupAddress[]> {
  return new Promise((resolve, reject) =>
    lookup(host, { all: true }, (error, found) => (error ? reject(error) : resolve(found as LookupAddress[]))),
  )
}

/** Of a converter that is not named: its addresses. */
function literalOf({ where }: ConverterSpec): Endpoint[] | undefined {
  if ('addresses' in where) return literalsOf(where.addresses, where.port)
  const found = 'host' in where ? endpoint(where.host, where.port) : undefined
  return found && [found]
}

function literalsOf(addresses: readonly string[], port: number): Endpoint[] {
  return interleave(addresses.map(address => endpoint(address, port)!))
}

/** Undefined for a name. */
function endpoint(host: string, port: number): Endpoint | undefined {
  const family = isIP(host)
  return family === 0 ? undefined : { address: host, family: family as 4 | 6, port }
}

function notFound(spec: ConverterSpec, cause: Error): ConvertError {
  return new ConvertError('ERR_CONVERT_NOT_FOUND', `Converter ${spec.name} cannot be found: ${cause.message}`, {
    converter: spec.name,
    cause,
  })
}
