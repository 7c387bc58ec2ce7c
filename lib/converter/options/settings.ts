/** The one place where a converter's options are checked. Inside, nothing is optional. */
import { randomBytes } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { PrefixSet } from '../../input/addresses.js'
import { callApplication } from '../../input/application.js'
import { flag, integer, invalid, isBytes, OptionNames, oneOf } from '../../input/check.js'
import { TIMER_MAX } from '../../input/options.js'
import { type ListenAddress, listenAddress } from './listen-address.js'
import type { ConverterOptions, CookieOptions } from './options.js'
import { PCP_NAMES, type PcpOptions, type PcpSettings, resolvePcp } from './pcp.js'

/** Every option decided. */
export interface Settings extends ClientLimits {
  listen: ListenAddress[]
  protocol: 'mptcp' | 'tcp'
  fastOpen: boolean
  serverProtocol: 'tcp' | 'mptcp'
  allow: PrefixSet
  allowedTargets: PrefixSet | undefined
  forbiddenTargets: PrefixSet
  hairpinning: boolean
  allowLoopback: boolean
  cookies: CookieKey | undefined
  messageTimeout: number
  connectTimeout: number
  idleTimeout: number
  lingerTimeout: number
  retryDelay: number
  backlog: number
  answerEarly: boolean
  /** `undefined`: clients are not reachable from outside. */
  pcp: PcpSettings | undefined
  /** Processes that serve connections; 1: this one. */
  workers: number
  now: () => number
}

export interface ClientLimits {
  /** Connections of all clients together. */
  maxConnections: number
  maxPerClient: number
  maxPendingPerClient: number
  /** Error replies per client and second. */
  errorsPerSecond: number
}

export interface CookieKey {
  /** Converters that share a secret accept each other's cookies. */
  secret: Uint8Array
  /** Milliseconds; a cookie is valid for at least one lifetime, and for less than two. */
  lifetime: number
}

/**
 * Loopback and link-local; private (RFC 1918, RFC 4193) and shared (RFC 6598); for documentation and labs (RFC 5737,
 * RFC 3849).
 */
const INTERNAL_REALM = [
  ...['127.0.0.0/8', '10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', '169.254.0.0/16'],
  ...['192.0.2.0/24', '198.51.100.0/24', '203.0.113.0/24'],
  ...['::1', 'fc00::/7', 'fe80::/10', '2001:db8::/32'],
]

const DEFAULTS = {
  messageTimeout: 5_000,
  connectTimeout: 10_000,
  idleTimeout: 7_440_000,
  lingerTimeout: 2_000,
  maxConnections: 10_000,
  maxPerClient: 4_096,
  maxPendingPerClient: 1_024,
  errorsPerSecond: 100,
  retryDelay: 1,
  backlog: 4_096,
  cookieLifetime: 86_400_000,
} as const

/** Throws `ERR_ATSSS_OPTION`. */
export function resolveOptions(options: ConverterOptions): Settings {
  new OptionNames(NAMES).refuseUnknown(options)
  const time = (name: keyof typeof DEFAULTS & keyof ConverterOptions, least: number) =>
    integer(name, options[name], least, TIMER_MAX, DEFAULTS[name])
  const count = (name: keyof typeof DEFAULTS & keyof ConverterOptions, least: number, most: number) =>
    integer(name, options[name], least, most, DEFAULTS[name])
  const listen = listenAddresses(options.listen ?? ['127.0.0.1:0'])
  const workers = workerCount(options.workers)
  return {
    listen,
    protocol: oneOf('protocol', options.protocol, ['mptcp', 'tcp'], 'mptcp'),
    fastOpen: flag('fastOpen', options.fastOpen, true),
    serverProtocol: oneOf('serverProtocol', options.serverProtocol, ['tcp', 'mptcp'], 'tcp'),
    allow: prefixes('allow', options.allow) ?? new PrefixSet(INTERNAL_REALM, 'allow'),
    allowedTargets: prefixes('allowedTargets', options.allowedTargets),
    forbiddenTargets: prefixes('forbiddenTargets', options.forbiddenTargets) ?? new PrefixSet([], 'forbiddenTargets'),
    hairpinning: flag('hairpinning', options.hairpinning, true),
    allowLoopback: flag('allowLoopback', options.allowLoopback, false),
    cookies: cookieKey(options.cookies),
    messageTimeout: time('messageTimeout', 1),
    connectTimeout: time('connectTimeout', 1),
    idleTimeout: time('idleTimeout', 0),
    lingerTimeout: time('lingerTimeout', 1),
    maxConnections: count('maxConnections', 1, 1_000_000),
    maxPerClient: count('maxPerClient', 1, 1_000_000),
    maxPendingPerClient: count('maxPendingPerClient', 1, 1_000_000),
    errorsPerSecond: count('errorsPerSecond', 0, 1_000_000),
    retryDelay: count('retryDelay', 0, 255),
    backlog: count('backlog', 1, 65_535),
    answerEarly: flag('answerEarly', options.answerEarly, false),
    pcp: pcpSettings(options.pcp, listen),
    workers,
    now: clock(options.now, workers),
  }
}

const NAMES = [
  ...['listen', 'protocol', 'fastOpen', 'serverProtocol', 'allow', 'allowedTargets', 'forbiddenTargets', 'hairpinning'],
  ...['allowLoopback', 'cookies', 'messageTimeout', 'connectTimeout', 'idleTimeout', 'lingerTimeout', 'maxConnections'],
  ...['maxPerClient', 'maxPendingPerClient', 'errorsPerSecond', 'retryDelay', 'backlog', 'answerEarly', 'pcp'],
  ...['workers', 'now'],
]

function listenAddresses(given: NonNullable<ConverterOptions['listen']>): ListenAddress[] {
  const list = (Array.isArray(given) ? given : [given]) as readonly (string | ListenAddress)[]
  if (list.length === 0) throw invalid('listen', 'at least one address', list)
  return list.map(each => listenAddress('listen', each))
}

function prefixes(name: string, given: unknown): PrefixSet | undefined {
  if (given === undefined) return undefined
  if (!Array.isArray(given)) throw invalid(name, 'an array of prefixes', given)
  return new PrefixSet(given, name)
}

function cookieKey(given: ConverterOptions['cookies']): CookieKey | undefined {
  if (given === undefined || given === false) return undefined
  if (given !== true && (typeof given !== 'object' || given === null))
    throw invalid('cookies', 'true, false or { secret, lifetime }', given)
  const { secret, lifetime, ...rest } = given === true ? ({} as CookieOptions) : given
  new OptionNames([]).refuseUnknown(rest)
  if (secret !== undefined && !(isBytes(secret) && secret.length >= 16))
    throw invalid('cookies.secret', 'a Uint8Array of 16 bytes or more', secret)
  return {
    secret: secret ?? randomBytes(32),
    lifetime: integer('cookies.lifetime', lifetime, 1, TIMER_MAX, DEFAULTS.cookieLifetime),
  }
}

function pcpSettings(given: ConverterOptions['pcp'], listen: readonly ListenAddress[]): PcpSettings | undefined {
  if (given === undefined || given === false) return undefined
  if (given !== true && (typeof given !== 'object' || given === null))
    throw invalid('pcp', 'true, false or an object of options', given)
  const options: PcpOptions = given === true ? {} : given
  new OptionNames(PCP_NAMES).refuseUnknown(options)
  return resolvePcp(options, listen)
}

function workerCount(given: unknown): number {
  if (given === undefined) return 1
  if (given === 'auto') return Math.min(availableParallelism(), MOST_WORKERS)
  if (!Number.isInteger(given) || (given as number) < 1 || (given as number) > MOST_WORKERS)
    throw invalid('workers', `'auto' or an integer in 1…${MOST_WORKERS}`, given)
  return given as number
}

const MOST_WORKERS = 256

function clock(given: unknown, workers: number): () => number {
  if (given === undefined) return Date.now
  if (workers > 1) throw invalid('now', 'left out if there are several workers: each has its own clock', given)
  if (typeof given !== 'function') throw invalid('now', 'a function', given)
  // The application's code: what it throws is not ours to handle, and a limit needs a time.
  return () => callApplication(given as () => number) ?? Date.now()
}
