/**
 * The options of `connect()` beyond net.connect's own: meaning, unit, default and range of each, and the one place where
 * they are checked. After that, nothing is optional.
 */

import { isIP } from 'node:net'
import { AtsssError } from '../errors.js'
import type { TcpOption } from '../wire/convert/index.js'
import { hostAndPort, parseHostAndPort } from './addresses.js'
import { bytes, flag, integer, interfaceName, invalid, OptionNames, oneOf, text } from './check.js'
import { congestionName, lowWater, type SocketTuning, tuningOf } from './socket-tuning.js'

/**
 * How the Convert message travels (RFC 8803 §6: in the SYN, or in the first bytes after the handshake).
 *
 * - `0rtt`: always in the SYN.
 * - `1rtt`: as the first bytes of the established connection; takes one more round trip, but needs no Fast Open.
 * - `auto`: in the SYN, until a converter is seen not to accept it over an access; then `1rtt` there.
 */
export type ConvertForm = 'auto' | '0rtt' | '1rtt'

/** One Transport Converter, by its address or host name. (`ConverterOptions` are those of `createConverter`, in `atsss/converter`.) */
export interface ConverterAddress {
  /**
   * An address literal or a host name, whose addresses are all tried (RFC 8305); or a list of address literals of one converter. A
   * session's further subflows use the converter's address of the family that their access has.
   */
  host: string | readonly string[]
  /** TCP port, 1…65535. There is no default (RFC 8803 §10.1). */
  port: number
  /** As {@link MptcpOptions.convert}, for this converter. */
  convert?: ConvertForm
  /** As {@link MptcpOptions.pipelining}, for this converter. */
  pipelining?: boolean
  /** A cookie handed out by the operator (RFC 8803 §6.2.7). 4…988 bytes, a multiple of 4: that is how it travels. */
  cookie?: Uint8Array
}

/** Transport Converters by DNS SRV: `_convert._tcp.<domain>` (RFC 2782 with the service name of RFC 8803 §10.1). */
export interface ConverterDomain extends Omit<ConverterAddress, 'host' | 'port'> {
  domain: string
}

/** `'192.0.2.1:5124'`, `'[2001:db8::1]:5124'`, `'converter.example:5124'`, `'_convert._tcp.example'`, or an object. */
export type ConverterInput = string | ConverterAddress | ConverterDomain

/**
 * Where cookies are kept (RFC 8803 §6.2.7): a `Map`, or an object like it. The keys are opaque. Its methods are synchronous. What
 * they throw is an `uncaughtException`; the connection goes on without the cookie.
 */
export interface CookieStore {
  get(key: string): Uint8Array | undefined
  set(key: string, cookie: Uint8Array): unknown
  delete(key: string): unknown
}

export interface MptcpOptions {
  /**
   * The Transport Converters to go through, best first. They are tried in this order, the next one starting
   * `attemptDelay` after the one before.
   *
   * @defaultValue none: the connection goes to its destination directly
   */
  converters?: ConverterInput | readonly ConverterInput[]
  /**
   * Network interface that the first subflow leaves through (SO_BINDTODEVICE). Needs no policy routing.
   *
   * @defaultValue the routing table's choice
   */
  interface?: string
  /**
   * MPTCP for this connection: `prefer` falls back to TCP where the kernel or the peer lacks it (`socket.mptcp` says
   * so), `require` fails with `ERR_MPTCP_UNSUPPORTED` or `ERR_MPTCP_FALLBACK` instead, `off` opens a TCP socket.
   *
   * @defaultValue 'prefer'
   */
  mptcp?: 'prefer' | 'require' | 'off'
  /**
   * How the Convert message travels.
   *
   * @defaultValue 'auto'
   */
  convert?: ConvertForm
  /**
   * Whether what has been written before `'connect'` leaves as soon as the converter's SYN+ACK has acknowledged the
   * Convert message, without waiting for its answer (RFC 8803 §6: user data comes right after the TLVs). At most
   * 64 KiB leave so. Bytes that left and were refused are an error, as with a refused connection.
   *
   * @defaultValue true
   */
  pipelining?: boolean
  /**
   * Whether what is written in the same turn as `connect()` goes into the SYN itself, after the Convert message: one `write()`, or
   * several between `cork()` and `uncork()`. These bytes can arrive twice when a SYN is lost or replayed (RFC 8803 §4.2): only for
   * requests that may be repeated.
   *
   * @defaultValue false
   */
  earlyData?: boolean
  /**
   * What happens when no converter can be used: `fail`, or `direct` to the destination without one. A refusal or "unreachable"
   * reported by a converter is final; no fallback is tried.
   *
   * @defaultValue 'fail'
   */
  fallback?: 'fail' | 'direct'
  /**
   * Whether servers that speak MPTCP themselves are reached without a converter (RFC 8803 §3, a MAY). `learned`: converters are asked
   * to use MPTCP towards servers (the MPTCP option in an extended Connect), and to say what the server has answered. A server that
   * speaks MPTCP is reached directly over this access for ten minutes. If that fails, is TCP only, or takes longer than
   * `attemptDelay` and then loses against the converter, the converter is used again. `socket.mptcp.bypass` says so.
   *
   * @defaultValue 'never'
   */
  bypass?: 'never' | 'learned'
  /**
   * Milliseconds from `connect()` to `'connect'`: everything counts, also the DNS lookups of the destination and of converters, and a
   * session's choice of an access. Then the error is `ETIMEDOUT`. `0` sets no limit.
   *
   * @defaultValue 130_000, about what the kernel allows a plain connect
   * @remarks Range 0…2_147_483_647.
   */
  connectTimeout?: number
  /**
   * Milliseconds that a converter may take to answer, from the SYN to the end of its message. It answers once the
   * server has. `0` sets no limit.
   *
   * @defaultValue 15_000
   * @remarks Range 0…2_147_483_647.
   */
  converterTimeout?: number
  /**
   * Milliseconds until a fresh SYN follows one that is not answered. The kernel repeats a SYN without its data, and after three
   * repetitions it switches MPTCP off for the whole namespace; so a new socket sends a fresh one.
   *
   * @defaultValue 900
   * @remarks Range 100…1_900.
   */
  synTimeout?: number
  /**
   * How many fresh SYNs may follow the first one, the pauses between them doubling.
   *
   * @defaultValue 3 to a converter, 6 to a destination
   * @remarks Range 0…10.
   */
  synRetries?: number
  /**
   * Milliseconds until the next address is tried at the same time as one that has not connected (RFC 8305 §5).
   *
   * @defaultValue net.connect's `autoSelectFamilyAttemptTimeout` where that is given to the same `connect()`, else 250
   * @remarks Range 10…60_000.
   */
  attemptDelay?: number
  /**
   * Whether to send the Info TLV, to learn what the converter supports (RFC 8803 §6.2.3). Its answer is in
   * `socket.mptcp.answer`.
   *
   * @defaultValue false
   */
  info?: boolean
  /**
   * TCP options that the converter uses towards the server (extended Connect TLV, RFC 8803 §6.2.5). Its answer then
   * has the Extended TCP Header TLV.
   *
   * @defaultValue none: the base Connect TLV
   */
  tcpOptions?: readonly TcpOption[]
  /**
   * Where cookies are kept (RFC 8803 §6.2.7). The library learns, sends and drops them.
   *
   * @defaultValue a store of this thread
   */
  cookies?: CookieStore
  /**
   * Allows a loopback destination in the Connect TLV, which RFC 8803 §6.2.5 forbids: for tests on one machine.
   *
   * @defaultValue false
   */
  allowLoopback?: boolean
  /**
   * The congestion control of all subflows, by the kernel's name (TCP_CONGESTION): `bbr` gets more out of lossy cellular than the usual
   * `cubic`. If it is not available, connections fail with `ERR_ATSSS_CONGESTION`.
   *
   * @defaultValue the system's: net.ipv4.tcp_congestion_control
   */
  congestion?: string
  /**
   * Bytes that may wait unsent in the kernel before the socket stops taking more (TCP_NOTSENT_LOWAT): what is written later leaves
   * sooner, and moves with the connection when an access is lost.
   *
   * @defaultValue the system's: net.ipv4.tcp_notsent_lowat, no limit
   * @remarks Range 4_096…1_073_741_824.
   */
  notsentLowWater?: number
}

/** A converter, or the domain to look one up in, with every option decided. */
export interface ConverterSpec {
  name: string
  /** `network`: those that the network has named to the session; here it has not named any. */
  where:
    | { host: string; port: number }
    | { addresses: readonly string[]; port: number }
    | { domain: string }
    | { network: true }
  convert: ConvertForm
  pipelining: boolean
  cookie: Uint8Array | undefined
}

/** Every option decided. */
export interface Settings {
  converters: ConverterSpec[]
  interface: string | undefined
  mptcp: 'prefer' | 'require' | 'off'
  earlyData: boolean
  fallback: 'fail' | 'direct'
  bypass: 'never' | 'learned'
  connectTimeout: number
  converterTimeout: number
  synTimeout: number
  synRetriesConverter: number
  synRetriesDirect: number
  attemptDelay: number
  info: boolean
  tcpOptions: readonly TcpOption[]
  cookies: CookieStore | undefined
  allowLoopback: boolean
  /** Undefined: as the system has it. */
  tuning: SocketTuning | undefined
}

/** Milliseconds: setTimeout accepts no more. */
export const TIMER_MAX = 2_147_483_647

const DEFAULTS = {
  mptcp: 'prefer',
  convert: 'auto',
  fallback: 'fail',
  bypass: 'never',
  connectTimeout: 130_000,
  converterTimeout: 15_000,
  synTimeout: 900,
  synRetriesConverter: 3,
  synRetriesDirect: 6,
  attemptDelay: 250,
} as const

const FORMS = ['auto', '0rtt', '1rtt'] as const
const MPTCP_WISHES = ['prefer', 'require', 'off'] as const
const BYPASSES = ['never', 'learned'] as const
const FALLBACKS = ['fail', 'direct'] as const

/** The converters that the network names to a session, in place of addresses. */
export const NETWORK_CONVERTERS = 'network'

/**
 * Checks the options that are ours and leaves net.connect's to Node. Throws `ERR_ATSSS_OPTION`.
 *
 * @param isOfSession whether `converters` may be 'network'
 */
export function resolveOptions(options: MptcpOptions & object, isOfSession = false): Settings {
  OURS.refuseMisspelled(options)
  const convert = oneOf('convert', options.convert, FORMS, DEFAULTS.convert)
  const pipelining = flag('pipelining', options.pipelining, true)
  const mptcp = oneOf('mptcp', options.mptcp, MPTCP_WISHES, DEFAULTS.mptcp)
  const bypass = oneOf('bypass', options.bypass, BYPASSES, DEFAULTS.bypass)
  const isBypassed = bypass === 'learned' && mptcp !== 'off'
  const tcpOptions = tcpOptionList(options.tcpOptions)
  return {
    converters: converterSpecs(options.converters, convert, pipelining, isOfSession),
    interface: options.interface === undefined ? undefined : interfaceName('interface', options.interface),
    mptcp,
    earlyData: flag('earlyData', options.earlyData, false),
    fallback: oneOf('fallback', options.fallback, FALLBACKS, DEFAULTS.fallback),
    bypass: isBypassed ? bypass : 'never',
    connectTimeout: integer('connectTimeout', options.connectTimeout, 0, TIMER_MAX, DEFAULTS.connectTimeout),
    converterTimeout: integer('converterTimeout', options.converterTimeout, 0, TIMER_MAX, DEFAULTS.converterTimeout),
    synTimeout: integer('synTimeout', options.synTimeout, 100, 1_900, DEFAULTS.synTimeout),
    synRetriesConverter: integer('synRetries', options.synRetries, 0, 10, DEFAULTS.synRetriesConverter),
    synRetriesDirect: integer('synRetries', options.synRetries, 0, 10, DEFAULTS.synRetriesDirect),
    attemptDelay: integer('attemptDelay', options.attemptDelay, 10, 60_000, DEFAULTS.attemptDelay),
    info: flag('info', options.info, false),
    tcpOptions: isBypassed ? withMptcp(tcpOptions) : tcpOptions,
    cookies: cookieStore(options.cookies),
    allowLoopback: flag('allowLoopback', options.allowLoopback, false),
    tuning: tuning(options),
  }
}

/** Whether any of these options is ours. */
export function hasOurOptions(options: object): boolean {
  return OURS.areIn(options)
}

/** A request's options without those that are named as ours. */
export function withoutOurOptions<T extends object>(options: T): T {
  return OURS.others(options)
}

function converterSpecs(
  inputs: MptcpOptions['converters'],
  convert: ConvertForm,
  pipelining: boolean,
  isOfSession: boolean,
): ConverterSpec[] {
  if (inputs === undefined || inputs === null) return []
  // A hole in an array is an undefined item, which `map` would pass over.
  return Array.from(isList(inputs) ? inputs : [inputs]).map((input, index) =>
    converterSpec(input, `converters[${index}]`, convert, pipelining, isOfSession),
  )
}

function converterSpec(
  input: unknown,
  path: string,
  convert: ConvertForm,
  pipelining: boolean,
  isOfSession: boolean,
): ConverterSpec {
  if (input === NETWORK_CONVERTERS && isOfSession)
    return { name: NETWORK_CONVERTERS, where: { network: true }, convert, pipelining, cookie: undefined }
  if (typeof input === 'string') return { ...parseConverter(input, path), convert, pipelining, cookie: undefined }
  if (typeof input !== 'object' || input === null) throw invalid(path, 'a string or an object', input)
  const given = input as Partial<ConverterAddress & ConverterDomain>
  OF_A_CONVERTER.refuseUnknown(given, `${path}.`)
  const rest = {
    convert: oneOf(`${path}.convert`, given.convert, FORMS, convert),
    pipelining: flag(`${path}.pipelining`, given.pipelining, pipelining),
    cookie: cookieBytes(`${path}.cookie`, given.cookie),
  }
  if (given.domain !== undefined) {
    if (given.host !== undefined || given.port !== undefined)
      throw new AtsssError('ERR_ATSSS_OPTION', `${path} has both a domain and a host or port: give one or the other`)
    const domain = text(`${path}.domain`, given.domain)
    return { name: `_convert._tcp.${domain}`, where: { domain }, ...rest }
  }
  const host = isList(given.host) ? addressList(`${path}.host`, given.host) : text(`${path}.host`, given.host)
  const port = integer(`${path}.port`, given.port, 1, 65_535)
  if (isList(host)) return { name: hostAndPort(host[0]!, port), where: { addresses: host, port }, ...rest }
  return { name: hostAndPort(host, port), where: { host, port }, ...rest }
}

function tuning({ congestion, notsentLowWater }: SocketTuning): SocketTuning | undefined {
  return tuningOf({
    ...(congestion !== undefined && { congestion: congestionName({ text, invalid }, 'congestion', congestion) }),
    ...(notsentLowWater !== undefined && {
      notsentLowWater: lowWater({ integer }, 'notsentLowWater', notsentLowWater),
    }),
  })
}

function addressList(path: string, given: readonly unknown[]): string[] {
  const addresses = Array.from(given, address => text(path, address))
  const stray = addresses.find(address => isIP(address) === 0)
  if (addresses.length > 0 && stray === undefined) return addresses
  throw invalid(path, 'one or more address literals, all of one converter', stray ?? given)
}

function parseConverter(input: string, path: string): Pick<ConverterSpec, 'name' | 'where'> {
  const known = parsed.get(input)
  if (known) return known
  const spec = parseNewConverter(input, path)
  if (parsed.size < MOST_PARSED) parsed.set(input, spec)
  return spec
}

/** Each connection names its converters, and mostly the same ones. */
const parsed = new Map<string, Pick<ConverterSpec, 'name' | 'where'>>()
const MOST_PARSED = 100

function parseNewConverter(input: string, path: string): Pick<ConverterSpec, 'name' | 'where'> {
  const domain = /^_convert\._tcp\.(.+)$/i.exec(input)?.[1]
  if (domain !== undefined) return { name: input, where: { domain } }
  const { host, port } = parseHostAndPort(input) ?? {}
  if (host === undefined || port === undefined || port < 1)
    throw invalid(path, "'host:port', '[IPv6]:port' or '_convert._tcp.domain'", input)
  return { name: input, where: { host, port } }
}

/** The names of the options that are ours. */
export const OPTIONS_OF_SOCKETS = [
  'converters',
  'interface',
  'mptcp',
  'convert',
  'pipelining',
  'earlyData',
  'fallback',
  'bypass',
  'connectTimeout',
  'converterTimeout',
  'synTimeout',
  'synRetries',
  'attemptDelay',
  'info',
  'tcpOptions',
  'cookies',
  'allowLoopback',
  'congestion',
  'notsentLowWater',
] as const satisfies (keyof MptcpOptions)[]

// Of other libraries, in connect's options.
const OURS = new OptionNames(OPTIONS_OF_SOCKETS, ['cookie', 'connect', 'timeout'])

const OF_A_CONVERTER = new OptionNames(['host', 'port', 'domain', 'convert', 'pipelining', 'cookie'] satisfies (
  | keyof ConverterAddress
  | keyof ConverterDomain
)[])

function isList<T>(value: T | readonly T[]): value is readonly T[] {
  return Array.isArray(value)
}

/** In bytes. It shares the 1020 bytes of a Convert message (RFC 8803 §6.1) with Info and a base Connect. */
export const LONGEST_COOKIE = 988
/** In words, for errors. TLVs consist of 32-bit words. */
export const COOKIE_LENGTH = `4…${LONGEST_COOKIE} bytes, a multiple of 4`

/** Whether a Convert message can carry these bytes as a cookie. */
export function isCookie({ length }: Uint8Array): boolean {
  return length > 0 && length % 4 === 0 && length <= LONGEST_COOKIE
}

function cookieBytes(name: string, value: unknown): Uint8Array | undefined {
  const cookie = bytes(name, value)
  if (cookie && !isCookie(cookie)) throw invalid(name, COOKIE_LENGTH, `${cookie.length} bytes`)
  return cookie
}

function tcpOptionList(value: unknown): readonly TcpOption[] {
  if (value === undefined) return []
  if (!Array.isArray(value)) throw invalid('tcpOptions', 'an array of { kind, value }', value)
  return Array.from(value, (option, index) => ({
    kind: integer(`tcpOptions[${index}].kind`, option?.kind, 2, 255),
    value: bytes(`tcpOptions[${index}].value`, option?.value) ?? new Uint8Array(0),
  }))
}

/** The answer then says whether the server speaks MPTCP, and the converter uses it towards the server. */
function withMptcp(options: readonly TcpOption[]): readonly TcpOption[] {
  if (options.some(({ kind }) => kind === MPTCP_OPTION)) return options
  return [...options, { kind: MPTCP_OPTION, value: new Uint8Array(0) }]
}

/** RFC 8684 §3. */
export const MPTCP_OPTION = 30

function cookieStore(value: unknown): CookieStore | undefined {
  if (value === undefined) return undefined
  const store = value as Partial<CookieStore> | null
  for (const method of ['get', 'set', 'delete'] as const)
    if (typeof store?.[method] !== 'function') throw invalid('cookies', 'a store with get, set and delete', value)
  return value as CookieStore
}
