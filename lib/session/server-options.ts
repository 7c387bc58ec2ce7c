/** What a session's server takes, and its checks. */
import { isIP } from 'node:net'
import { parseHostAndPort, plainAddress } from '../input/addresses.js'
import { flag, integer, invalid, refuseMisspelled } from '../input/check.js'
import { TIMER_MAX } from '../input/options.js'
import type { PcpServer } from '../policy/pcp/servers.js'
import type { PeerFilter } from '../runtime/incoming/pcp-mapping.js'
import type { MptcpSocket } from '../socket/socket.js'
import { PCP_SERVER_PORT } from '../wire/pcp/index.js'

export interface SessionServerOptions {
  /** As net.createServer's. @defaultValue false */
  allowHalfOpen?: boolean
  /** As net.createServer's. @defaultValue false */
  pauseOnConnect?: boolean
  /**
   * As net.createServer's, but on if not said otherwise: the answer to the converter is a small segment, behind which the
   * application's first one would wait for a round trip.
   *
   * @defaultValue true
   */
  noDelay?: boolean
  /** As net.createServer's. @defaultValue false */
  keepAlive?: boolean
  /** As net.createServer's. @defaultValue 0 */
  keepAliveInitialDelay?: number
  /**
   * Under which address and port remote hosts shall find it; what is left out is the PCP server's to choose. `required`:
   * rather not at all than under another (PREFER_FAILURE, RFC 6887 §13.2): of any address, where only a port is named; under the port
   * that it listens on, where only an address is.
   *
   * @defaultValue the port that it listens on, if that is free
   */
  external?: { address?: string; port?: number; required?: boolean }
  /**
   * Seconds for which the mapping is asked for; it is renewed in time. Until then remote hosts are still sent here after a
   * crash.
   *
   * @defaultValue 7_200 (RFC 6887 §11.2.1 leaves it open)
   * @remarks Range 120…86_400.
   */
  lifetime?: number
  /**
   * The remote hosts that are let in, and nobody else: kept away by the converter (FILTER, RFC 6887 §13.3).
   *
   * @defaultValue all
   */
  filters?: readonly PeerFilter[]
  /**
   * Which PCP servers to ask: the session's converters (RFC 8803 §5.2), the default routers of the accesses (RFC 6887 §8.1),
   * or these, as addresses with or without a port.
   *
   * @defaultValue 'converters'
   */
  pcpServers?: 'converters' | 'routers' | readonly string[]
  /**
   * Milliseconds from accepting a connection to the end of the Convert message; then it is reset.
   *
   * @defaultValue 5_000
   * @remarks Range 1…2_147_483_647.
   */
  messageTimeout?: number
}

/** Every option decided. */
export interface SessionServerSettings {
  allowHalfOpen: boolean
  pauseOnConnect: boolean
  noDelay: boolean
  keepAlive: boolean
  keepAliveInitialDelay: number
  external: { address: string | undefined; port: number | undefined; required: boolean }
  lifetime: number
  filters: readonly PeerFilter[]
  pcpServers: 'converters' | 'routers' | readonly PcpServer[]
  messageTimeout: number
}

const NAMES = [
  ...['allowHalfOpen', 'pauseOnConnect', 'noDelay', 'keepAlive', 'keepAliveInitialDelay', 'external', 'lifetime'],
  ...['filters', 'pcpServers', 'messageTimeout'],
]

/** Throws `ERR_ATSSS_OPTION`. */
export function resolveServer(options: SessionServerOptions): SessionServerSettings {
  if (typeof options !== 'object' || options === null) throw invalid('options', 'an object', options)
  refuseMisspelled(options, NAMES)
  return {
    allowHalfOpen: flag('allowHalfOpen', options.allowHalfOpen, false),
    pauseOnConnect: flag('pauseOnConnect', options.pauseOnConnect, false),
    noDelay: flag('noDelay', options.noDelay, true),
    keepAlive: flag('keepAlive', options.keepAlive, false),
    keepAliveInitialDelay: integer('keepAliveInitialDelay', options.keepAliveInitialDelay, 0, TIMER_MAX, 0),
    external: external(options.external ?? {}),
    lifetime: integer('lifetime', options.lifetime, 120, 86_400, 7_200),
    filters: (options.filters ?? []).map(filter),
    pcpServers: servers(options.pcpServers ?? 'converters'),
    messageTimeout: integer('messageTimeout', options.messageTimeout, 1, TIMER_MAX, 5_000),
  }
}

function external(given: NonNullable<SessionServerOptions['external']>): SessionServerSettings['external'] {
  const { address, port, required } = given
  refuseMisspelled(given, ['address', 'port', 'required'], undefined, 'external.')
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
  return given.map(text => {
    const { host: address = '', port = PCP_SERVER_PORT } = parseHostAndPort(text) ?? {}
    if (isIP(address) === 0 || port < 1) throw invalid('pcpServers', 'addresses, with a port or without', text)
    // As answers will have it; a link-local address is one of each access's own interface.
    return { address: plainAddress(address), port }
  })
}

export type ConnectionListener = (socket: MptcpSocket) => void

/** `([options][, listener])`. */
export type ServerForm = [optionsOrListener?: SessionServerOptions | ConnectionListener, listener?: ConnectionListener]

export function serverForm([first, second]: ServerForm): [SessionServerOptions, ConnectionListener?] {
  return typeof first === 'function' ? [{}, first] : second ? [first ?? {}, second] : [first ?? {}]
}
