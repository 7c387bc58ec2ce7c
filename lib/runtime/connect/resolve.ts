/** Names to addresses: the converters' (literals, host names, SRV), beside what Node does for the destination's. */
import { promises as dns } from 'node:dns'
import { isIP } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ConverterSpec, Settings } from '../../input/options.js'
import { type Endpoint, interleave, type Via, type WayIn } from '../../policy/connect/candidates.js'
import { ConvertError } from '../../policy/connect/convert-error.js'
import type { ConverterMemory, Path } from '../../policy/connect/converter-memory.js'
import { backedOff } from '../../policy/connect/reaction.js'
import { byPriority } from '../../policy/connect/srv.js'
import type { SocketPlan } from '../kernel/open-socket.js'
import { pathOf } from './dial.js'

/** The ways in to one converter, or why there are none. */
export interface ResolvedConverter {
  waysIn: WayIn[]
  errors: Error[]
}

/**
 * Each address of each converter over each interface, the interfaces varying fastest: a promise for each converter, none of
 * which rejects. A converter that is found waits for the ones before it, but no longer than the next attempt would: a slow
 * name must not hold up the others (RFC 8305 §3).
 */
export function resolveConverters(
  settings: Settings,
  plan: SocketPlan,
  memory: ConverterMemory,
  interfaces: readonly (string | undefined)[],
): Promise<ResolvedConverter>[] {
  const found = settings.converters.map(spec => resolveConverter(spec, settings, plan, memory, interfaces))
  return found.map(async (resolved, index) => {
    const before = Promise.all(found.slice(0, index))
    const result = await resolved
    if (index > 0) await Promise.race([before, sleep(settings.attemptDelay, undefined, { ref: false })])
    return result
  })
}

async function resolveConverter(
  spec: ConverterSpec,
  settings: Settings,
  plan: SocketPlan,
  memory: ConverterMemory,
  interfaces: readonly (string | undefined)[],
): Promise<ResolvedConverter> {
  try {
    const endpoints = await endpointsOf(spec)
    const now = performance.now()
    const errors: Error[] = []
    const waysIn = endpoints.flatMap(endpoint =>
      interfaces.flatMap(name => {
        const path = pathOf(endpoint, name, plan)
        const via = viaTo(spec, endpoint, settings, memory, path)
        const backOff = memory.backOff(path, now)
        if (backOff) errors.push(backedOff(via, backOff.code, backOff.until - now))
        return backOff ? [] : [{ via, interface: name }]
      }),
    )
    return { waysIn, errors }
  } catch (error) {
    return { waysIn: [], errors: [notFound(spec, error as Error)] }
  }
}

function viaTo(spec: ConverterSpec, endpoint: Endpoint, settings: Settings, memory: ConverterMemory, path: Path): Via {
  const adaptive = spec.convert === 'auto'
  return {
    name: spec.name,
    endpoint,
    form: spec.convert === '1rtt' || (adaptive && memory.oneRtt(path, performance.now())) ? '1rtt' : '0rtt',
    adaptive,
    pipelining: spec.pipelining,
    cookie: memory.cookie(path, spec.cookie),
    info: settings.info && memory.understandsInfo(path),
    tcpOptions: settings.tcpOptions.filter(({ kind }) => memory.takesOption(path, kind)),
  }
}

/** The addresses of all converters, as far as they can be found. Rejects with `ERR_CONVERT_NOT_FOUND` when none can. */
export async function findConverters(specs: readonly ConverterSpec[]): Promise<Endpoint[]> {
  const found = await Promise.all(specs.map(spec => endpointsOf(spec).catch((error: Error) => notFound(spec, error))))
  const endpoints = found.flatMap(result => (result instanceof Error ? [] : result))
  const error = found.find(result => result instanceof Error)
  if (endpoints.length === 0 && error) throw error
  return endpoints
}

async function endpointsOf({ where }: ConverterSpec): Promise<Endpoint[]> {
  if ('host' in where) return addressesOf(where.host, where.port)
  const records = byPriority(await dns.resolveSrv(`_convert._tcp.${where.domain}`), Math.random)
  // "A Target of "." means that the service is decidedly not available at this domain" (RFC 2782).
  const targets = records.filter(record => record.name !== '' && record.name !== '.')
  if (targets.length === 0) throw new Error(`${where.domain} offers no converter`)
  const found = await Promise.allSettled(targets.map(target => addressesOf(target.name, target.port)))
  const endpoints = found.flatMap(result => (result.status === 'fulfilled' ? result.value : []))
  if (endpoints.length === 0) throw (found.find(result => result.status === 'rejected') as PromiseRejectedResult).reason
  return endpoints
}

async function addressesOf(host: string, port: number): Promise<Endpoint[]> {
  const family = isIP(host)
  if (family !== 0) return [{ address: host, family: family as 4 | 6, port }]
  const found = await dns.lookup(host, { all: true })
  return interleave(found.map(({ address, family: of }) => ({ address, family: of as 4 | 6, port })))
}

function notFound(spec: ConverterSpec, cause: Error): ConvertError {
  return new ConvertError('ERR_CONVERT_NOT_FOUND', `Converter ${spec.name} cannot be found: ${cause.message}`, {
    converter: spec.name,
    cause,
  })
}
