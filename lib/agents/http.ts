/** `atsss/http`: agents for http and https, and for the libraries that take them. */
import http from 'node:http'
import https from 'node:https'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { whenDestroyed } from '../runtime/stream/when-destroyed.js'
import { withoutEffect, withoutSessionOptions } from '../session/options.js'
import type { MptcpConnectOptions } from '../socket/socket.js'
import { IdleConnections } from './idle.js'
import { type ConnectionSource, checkSource, connectFrom, reuseBlockedBy } from './source.js'
import { overCarrier } from './tls.js'

export type { ConnectionSource } from './source.js'

type Made = (error: Error | null, stream: Duplex) => void

/**
 * An `http.Agent` whose connections go over MPTCP. Idle connections in its pool are closed as soon as rules or accesses
 * change so that they must not be reused (`MaPduSession.reuseBlockedBy`): no request goes to an access that is lost. Busy
 * ones are steered.
 *
 * @example
 * http.get('http://example.com/', { agent: new HttpAgent(session) })
 */
export class HttpAgent extends http.Agent {
  readonly #pool: Pool

  /**
   * @param source a session, or the options of `connect()`
   * @param options http.Agent's; `keepAlive` is true unless set to false
   * @throws ERR_ATSSS_OPTION
   */
  constructor(source: ConnectionSource, options: http.AgentOptions = {}) {
    checkSource(source)
    super({ keepAlive: true, ...withoutProxies(options) })
    this.#pool = new Pool(source)
  }

  override createConnection(options: object): Duplex {
    return this.#pool.made(connectFrom(this.#pool.source, ofRequest(options)))
  }

  /** http.Agent calls this for a socket whose response has ended: whether to keep it. */
  override keepSocketAlive(socket: Duplex): boolean {
    return this.#pool.keeps(socket as Socket, () => super.keepSocketAlive(socket) as unknown as boolean)
  }

  override reuseSocket(socket: Duplex, request: http.ClientRequest): void {
    this.#pool.reused(socket as Socket)
    super.reuseSocket(socket, request)
  }
}

/**
 * As {@link HttpAgent}, for https: TLS goes end to end over the MPTCP connection; sessions are resumed as https.Agent does.
 *
 * @example
 * https.get('https://example.com/', { agent: new HttpsAgent(session) })
 */
export class HttpsAgent extends https.Agent {
  readonly #pool: Pool

  /**
   * @param source a session, or the options of `connect()`
   * @param options https.Agent's; `keepAlive` is true unless set to false
   * @throws ERR_ATSSS_OPTION
   */
  constructor(source: ConnectionSource, options: https.AgentOptions = {}) {
    checkSource(source)
    super({ keepAlive: true, ...withoutProxies(options) })
    this.#pool = new Pool(source)
  }

  override createConnection(options: object, made?: Made): Duplex {
    const secureOver = (socket: Socket) => super.createConnection({ ...options, socket } as never, made) as Socket
    return this.#pool.made(overCarrier(this.#pool.source, ofRequest(options), secureOver))
  }

  override keepSocketAlive(socket: Duplex): boolean {
    return this.#pool.keeps(socket as Socket, () => super.keepSocketAlive(socket) as unknown as boolean)
  }

  override reuseSocket(socket: Duplex, request: http.ClientRequest): void {
    this.#pool.reused(socket as Socket)
    super.reuseSocket(socket, request)
  }
}

/**
 * A request brings all its options, also those for the library above it. What counts is what the agent was given: options of a request
 * that are named as ours are somebody else's, and Node's agents do not know them either.
 */
function ofRequest(options: object): MptcpConnectOptions {
  return withoutSessionOptions(options) as MptcpConnectOptions
}

/**
 * Node's agents make the connections to a proxy themselves, and have written the request for the proxy before that.
 *
 * @throws ERR_ATSSS_OPTION if `proxyEnv` (Node 22.21, 24.5) names a proxy
 */
function withoutProxies<T extends http.AgentOptions>(options: T): T {
  const { proxyEnv, ...rest } = options as T & { proxyEnv?: NodeJS.ProcessEnv }
  if (['http_proxy', 'https_proxy', 'HTTP_PROXY', 'HTTPS_PROXY'].some(name => proxyEnv?.[name]))
    throw withoutEffect(
      'proxyEnv',
      'in an agent of atsss, which connects to no HTTP proxy: leave it out, or use the preload, under which connections to the proxy use MPTCP',
    )
  return rest as T
}

/** What both agents do with the connections in their pools. */
class Pool {
  readonly source: ConnectionSource
  readonly #idle: IdleConnections

  constructor(source: ConnectionSource) {
    this.source = source
    this.#idle = new IdleConnections(source, () => true)
  }

  made<S extends Socket>(socket: S): S {
    whenDestroyed(socket, () => this.#idle.delete(socket))
    return socket
  }

  /** Whether a socket whose response has ended is to be kept: where its reuse is not blocked, Node's agent decides. */
  keeps(socket: Socket, asNode: () => boolean): boolean {
    if (reuseBlockedBy(this.source, socket) !== undefined || !asNode()) return false
    this.#idle.add(socket)
    return true
  }

  reused(socket: Socket): void {
    this.#idle.delete(socket)
  }
}
