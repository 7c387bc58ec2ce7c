/** What a session's server and its `listen()` take, and the checks of it. */
import { isIP } from 'node:net'
import { parseHostAndPort, plainAddress } from '../input/addresses.js'
import { flag, integer, invalid, OptionNames } from '../input/check.js'
import { TIMER_MAX } from '../input/options.js'
import type { PcpServer } from '../policy/pcp/servers.js'
import type { PeerFilter } from '../runtime/incoming/pcp-mapping.js'
import type { MptcpSocket } from '../socket/socket.js'
import { PCP_SERVER_PORT } from '../wire/pcp/index.js'
import { isGiven, withoutEffect } from './options.js'

export interface SessionServerOptions {
  /** As net.createServer's. @defaultValue false */
  allowHalfOpen?: boolean
  /** As net.createServer's. @defaultValue false */
  pauseOnConnect?: boolean
  /**
   * As net.createServer's, but on by default: the answer to the converter is a small segment, and the application's first small
   * segment would wait for its acknowledgement.
   *
   * @defaultValue true
   */
  noDelay?: boolean
  /** As net.createServer's. @defaultValue false */
  keepAlive?: boolean
  /** As net.createServer's. @defaultValue 0 */
  keepAliveInitialDelay?: number
  /** As net.createServer's, of each connection's socket. @defaultValue Node's default */
  highWaterMark?: number
  /**
   * The external address and port to ask for. The PCP server chooses what is left out. With `required` the server has no mapping rather
   * than another one (PREFER_FAILURE, RFC 6887 §13.2). If only a port is given, any address will do; if only an address is
   * given, the port must be the one that the server listens on.
   *
   * @defaultValue the port that it listens on, if that is free
   */
  external?: { address?: string; port?: number; required?: boolean }
  /**
   * Lifetime of the mapping, in seconds. It is renewed in time. If the process crashes, the converter keeps sending connections
   * here until it ends.
   *
   * @defaultValue 7_200 (RFC 6887 §11.2.1 leaves it open)
   * @remarks Range 120…86_400.
   */
  lifetime?: number
  /**
   * The remote hosts that may connect. The converter ignores all others (FILTER, RFC 6887 §13.3).
   *
   * @defaultValue all
   */
  filters?: readonly PeerFilter[]
  /**
   * The PCP servers to ask: the session's converters (RFC 8803 §5.2), the default routers of the accesses (RFC 6887 §8.1),
   * or a list of addresses, each with or without a port.
   *
   * @defaultValue 'converters'
   */
  pcpServers?: 'converters' | 'routers' | readonly string[]
  /**
   * Milliseconds from accepting a connection to the end of its Convert message. A connection that takes longer is reset.
   *
   * @defaultValue 5_000
   * @remarks Range 1…2_147_483_647.
   */
  messageTimeout?: number
  /**
   * Whether to accept the Convert message in the SYN (0-RTT). Without it, the first connection from each converter in ten minutes
   * is TCP, and the others take one round trip more. A choice on kernels on which Fast Open on MPTCP listeners has known faults
   * (docs/linux.md#known-holes).
   *
   * @defaultValue true
   */
  fastOpen?: boolean
}

/** Every option, with its default applied. */
export interface SessionServerSettings {
  allowHalfOpen: boolean
  pauseOnConnect: boolean
  noDelay: boolean
  keepAlive: boolean
  keepAliveInitialDelay: number
  highWaterMark: number | undefined
  external: { address: string | undefined; port: number | undefined; required: boolean }
  lifetime: number
  filters: readonly PeerFilter[]
  pcpServers: 'converters' | 'routers' | readonly PcpServer[]
  messageTimeout: number
  fastOpen: boolean
}

const NAMES = new OptionNames([
  'allowHalfOpen',
  'pauseOnConnect',
  'noDelay',
  'keepAlive',
  'keepAliveInitialDelay',
  'highWaterMark',
  'external',
  'lifetime',
  'filters',
  'pcpServers',
  'messageTimeout',
  'fastOpen',
] satisfies (keyof SessionServerOptions)[])
const OF_EXTERNAL = new OptionNames(['address', 'port', 'required'])

/** Options of the session and of net.createServer that have no effect on a session's server, and what to use. */
const WITHOUT_EFFECT: Readonly<Record<string, string>> = {
  interface: 'on a session\'s server: it listens on the interfaces of the session\'s "accesses"',
  converters: "on a session's server: give it to new MaPduSession()",
  mptcp: "on a session's server: it takes what its converters open, MPTCP or TCP",
  blockList: 'on a session\'s server, whose connections come from converters: use "filters"',
}

/** @throws ERR_ATSSS_OPTION */
export function resolveServer(options: SessionServerOptions): SessionServerSettings {
  if (typeof options !== 'object' || options === null) throw invalid('options', 'an object', options)
  refuseWithoutEffect(options, WITHOUT_EFFECT)
  NAMES.refuseUnknown(options)
  return {
    allowHalfOpen: flag('allowHalfOpen', options.allowHalfOpen, false),
    pauseOnConnect: flag('pauseOnConnect', options.pauseOnConnect, false),
    noDelay: flag('noDelay', options.noDelay, true),
    keepAlive: flag('keepAlive', options.keepAlive, false),
    keepAliveInitialDelay: integer('keepAliveInitialDelay', options.keepAliveInitialDelay, 0, TIMER_MAX, 0),
    highWaterMark:
      options.highWaterMark === undefined
        ? undefined
        : integer('highWaterMark', options.highWaterMark, 0, Number.MAX_SAFE_INTEGER),
    external: external(options.external ?? {}),
    lifetime: integer('lifetime', options.lifetime, 120, 86_400, 7_200),
    filters: Array.from(options.filters ?? [], filter),
    pcpServers: servers(options.pcpServers ?? 'converters'),
    messageTimeout: integer('messageTimeout', options.messageTimeout, 1, TIMER_MAX, 5_000),
    fastOpen: flag('fastOpen', options.fastOpen, true),
  }
}

function external(given: NonNullable<SessionServerOptions['external']>): SessionServerSettings['external'] {
  const { address, port, required } = given
  OF_EXTERNAL.refuseUnknown(given, 'external.')
  if (address !== undefined && isIP(address) === 0) throw invalid('external.address', 'an IP address', address)
  return {
    address: address === undefined ? undefined : plainAddress(address),
    port: port === undefined ? undefined : integer('external.port', port, 1, 65_535),
    required: flag('external.required', required, false),
  }
}

function filter(given: PeerFilter): PeerFilter {
  const family = isIP(given?.address ?? '')
  if (family === 0) throw invalid('filters', 'objects with an IP address', given)
  const width = family === 4 ? 32 : 128
  return {
    address: given.address,
    prefixLength: integer('filters.prefixLength', given.prefixLength, family === 4 ? 0 : 1, width, width),
    port: integer('filters.port', given.port, 0, 65_535, 0),
  }
}

function servers(given: NonNullable<SessionServerOptions['pcpServers']>): SessionServerSettings['pcpServers'] {
  if (given === 'converters' || given === 'routers') return given
  if (!Array.isArray(given)) throw invalid('pcpServers', "'converters', 'routers' or an array of addresses", given)
  return Array.from(given, text => {
    const { host: address = '', port = PCP_SERVER_PORT } = parseHostAndPort(text) ?? {}
    if (isIP(address) === 0 || port < 1) throw invalid('pcpServers', 'addresses, with or without a port', text)
    // As it will be in answers; a link-local address is taken on each access's own interface.
    return { address: plainAddress(address), port }
  })
}

/** What `listen()` was called with, as net.Server's: `(port, host, backlog)`, `(port, backlog)` or options. */
export interface ListenSettings {
  port: number
  backlog: number
  signal: AbortSignal | undefined
  listener: (() => void) | undefined
}

/** @throws ERR_ATSSS_OPTION; and what net.Server throws for a port that is none */
export function resolveListen(args: readonly unknown[]): ListenSettings {
  const listener = args.find(arg => typeof arg === 'function') as (() => void) | undefined
  const [first, second, third] = args.filter(arg => typeof arg !== 'function')
  const isOptions = typeof first === 'object' && first !== null
  const host = typeof second === 'string' ? second : undefined
  const options = (
    isOptions ? first : { port: first, host, backlog: host === undefined ? second : third }
  ) as ListenInput
  refuseWithoutEffect(options, LISTEN_WITHOUT_EFFECT)
  const { port = 0, backlog, signal } = options
  // It listens on every address of the accesses, which is what these ask for.
  if (options.host && options.host !== '::' && options.host !== '0.0.0.0')
    throw withoutEffect('host', 'on a session\'s server: it listens on every address of the session\'s "accesses"')
  const number = typeof port === 'string' && port.trim() === '' ? Number.NaN : Number(port)
  if (!Number.isInteger(number) || number < 0 || number > 65_535)
    throw Object.assign(new RangeError(`options.port should be >= 0 and < 65536. Received ${String(port)}.`), {
      code: 'ERR_SOCKET_BAD_PORT',
    })
  return { port: number, backlog: Number(backlog) || BACKLOG, signal, listener }
}

/** As it comes from JavaScript. */
interface ListenInput {
  port?: unknown
  host?: unknown
  backlog?: unknown
  signal?: AbortSignal
}

/** Node's default. */
const BACKLOG = 511

const LISTEN_WITHOUT_EFFECT: Readonly<Record<string, string>> = {
  path: "on a session's server: it listens on a port",
  fd: "on a session's server: it opens its own sockets, one for each access",
  reusePort: "on a session's server: one process listens on its port",
  ipv6Only: "on a session's server: it listens for both IP versions",
}

/** @param reasons by the name of an option that would be ignored; `false` asks for nothing */
function refuseWithoutEffect(options: object, reasons: Readonly<Record<string, string>>): void {
  for (const [name, reason] of Object.entries(reasons))
    if (isGiven(options, name) && (options as Record<string, unknown>)[name] !== false)
      throw withoutEffect(name, reason)
}

export type ConnectionListener = (socket: MptcpSocket) => void

/** `([options][, listener])`. */
export type ServerForm = [optionsOrListener?: SessionServerOptions | ConnectionListener, listener?: ConnectionListener]

export function serverForm([first, second]: ServerForm): [SessionServerOptions, ConnectionListener?] {
  return typeof first === 'function' ? [{}, first] : second ? [first ?? {}, second] : [first ?? {}]
}
