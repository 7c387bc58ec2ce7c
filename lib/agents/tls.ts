/** `atsss/tls`: tls.connect over MPTCP. */
import { isIP } from 'node:net'
import { type ConnectionOptions, type TLSSocket, connect as tlsConnect } from 'node:tls'
import type { MptcpConnectOptions } from '../socket/socket.js'
import { carry, connectVia, type Via } from './source.js'

export type { Via } from './source.js'

/** Where TLS sessions are kept for resumption. The keys are opaque. A `Map` will do. */
export interface TlsSessions {
  get(key: string): Buffer | undefined
  set(key: string, session: Buffer): unknown
}

export type SecureOptions = Omit<ConnectionOptions, 'socket' | 'path'> & {
  /**
   * TLS sessions of earlier connections to the same server, which save its certificate and, in TLS 1.2, a round trip.
   *
   * @defaultValue none: every handshake is a full one
   */
  sessions?: TlsSessions
}

/**
 * `tls.connect` over a connection that goes by a session or options; for http2.connect's and others' `createConnection`.
 *
 * `servername` is the host if that is a name: unlike with tls.connect, SNI is sent without being asked for.
 *
 * @param options tls.connect's; `ALPNProtocols` as there
 * @throws ERR_ATSSS_OPTION, ERR_ATSSS_CLOSED, and what tls.connect throws
 *
 * @example
 * const socket = connectTls(session, { host: 'example.com', port: 443, ALPNProtocols: ['h2'] })
 */
export function connectTls(via: Via, options: SecureOptions, secureConnectListener?: () => void): TLSSocket {
  const { sessions, ...rest } = options
  const socket = connectVia(via, rest as MptcpConnectOptions)
  const secure = secureOver(socket, rest, sessions)
  carry(secure, socket)
  if (secureConnectListener) secure.once('secureConnect', secureConnectListener)
  return secure
}

/** TLS to the end of a connection that is there, or being made. */
export function secureOver(
  socket: NonNullable<ConnectionOptions['socket']>,
  options: ConnectionOptions,
  sessions?: TlsSessions,
): TLSSocket {
  const { host = 'localhost', port } = options
  const servername = options.servername ?? (isIP(host) === 0 ? host : undefined)
  const key = `${servername ?? host}:${port}`
  const session = options.session ?? sessions?.get(key)
  const secure = tlsConnect({
    ...options,
    socket,
    ...(servername === undefined ? {} : { servername }),
    ...(session === undefined ? {} : { session }),
  })
  if (sessions) secure.on('session', made => sessions.set(key, made))
  return secure
}
