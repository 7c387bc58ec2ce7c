/** `atsss/tls`: tls.connect over MPTCP. */
import dns from 'node:dns'
import { isIP, type LookupFunction, type Socket } from 'node:net'
import { type ConnectionOptions, type TLSSocket, connect as tlsConnect } from 'node:tls'
import { plainHost } from '../input/addresses.js'
import { type MptcpConnectOptions, MptcpSocket } from '../socket/socket.js'
import { type ConnectionSource, connectFrom, isSession } from './source.js'

export type { ConnectionSource } from './source.js'

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
 * `tls.connect` over a connection of a session, or one made by options; for http2.connect's and others' `createConnection`.
 *
 * `servername` is the host if that is a name: unlike tls.connect, this sends SNI without being asked to.
 *
 * @param source a session, or the options of `connect()`
 * @param options tls.connect's; `ALPNProtocols` as there
 * @throws ERR_ATSSS_OPTION, ERR_ATSSS_CLOSED, and what tls.connect throws; then nothing has been opened or looked up
 *
 * @example
 * const socket = connectTls(session, { host: 'example.com', port: 443, ALPNProtocols: ['h2'] })
 */
export function connectTls(
  source: ConnectionSource,
  options: SecureOptions,
  secureConnectListener?: () => void,
): TLSSocket {
  const { sessions, ...rest } = options
  const secure = overCarrier(source, rest as MptcpConnectOptions, carrier => secureOver(carrier, rest, sessions))
  if (secureConnectListener) secure.once('secureConnect', secureConnectListener)
  return secure
}

/**
 * TLS over a new connection. Node checks most options of TLS only when it has a socket; so the connection is begun first,
 * and its lookup waits until TLS has accepted the options. When they are refused, nothing has been opened or looked up.
 */
export function overCarrier<S extends Socket>(
  source: ConnectionSource,
  options: MptcpConnectOptions,
  secureOver: (carrier: MptcpSocket) => S,
): S {
  // An abort ends the TLSSocket, with which the connection ends: one error, and 'close' behind it.
  const { signal: _, ...carried } = options as MptcpConnectOptions & { signal?: AbortSignal }
  const gate = new LookupGate(options.lookup ?? lookupOf(source))
  const carrier = connectFrom(source, { ...carried, lookup: gate.lookup } as MptcpConnectOptions)
  try {
    const secure = secureOver(carrier)
    MptcpSocket.secure(carrier, secure as Socket as TLSSocket)
    gate.open()
    return secure
  } catch (error) {
    carrier.destroy()
    throw error
  }
}

/** TLS to the end of a connection that is there, or being made. */
export function secureOver(
  socket: NonNullable<ConnectionOptions['socket']>,
  options: ConnectionOptions,
  sessions?: TlsSessions,
): TLSSocket {
  const { host = 'localhost', port } = options
  const servername = options.servername ?? nameOf(host)
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

/** For SNI: RFC 6066 §3: "a byte string using ASCII encoding without a trailing dot"; "Literal IPv4 and IPv6 addresses are not permitted". */
function nameOf(host: string): string | undefined {
  const plain = plainHost(host)
  return isIP(plain) === 0 ? plain : undefined
}

/** A lookup that does not begin before the gate is open. */
class LookupGate {
  readonly lookup: LookupFunction
  #waiting: (() => void) | undefined
  #isOpen = false

  /** @param lookup what is not a function is for Node to refuse */
  constructor(lookup: LookupFunction | undefined) {
    const actual = lookup ?? (dns.lookup as LookupFunction)
    const gated: LookupFunction = (...args) => {
      if (this.#isOpen) actual(...args)
      else this.#waiting = () => actual(...args)
    }
    this.lookup = typeof actual === 'function' ? gated : actual
  }

  open(): void {
    this.#isOpen = true
    this.#waiting?.()
  }
}

function lookupOf(source: ConnectionSource): LookupFunction | undefined {
  return ((isSession(source) ? source.socketOptions : source) as { lookup?: LookupFunction } | undefined)?.lookup
}
