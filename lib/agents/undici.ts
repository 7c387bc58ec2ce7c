/** `atsss/undici`: a connector for undici 6, 7 and 8, which this package does not depend on. */
import type { Socket } from 'node:net'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import { integer } from '../input/check.js'
import type { MptcpConnectOptions } from '../socket/socket.js'
import { secureOver, type TlsSessions } from './tls.js'
import { carry, checkVia, connectVia, reuseBlockedBy, onChange, type Via } from './source.js'

export type { Via } from './source.js'

/** What undici asks of a connector. */
export interface Target {
  hostname: string
  protocol: string
  port: string
  servername?: string | undefined
  localAddress?: string | null | undefined
  /** The tunnel through an HTTP proxy, for TLS within. */
  httpSocket?: Socket | undefined
}

type Connected = (...result: [error: null, socket: Socket | TLSSocket] | [error: Error, socket: null]) => void

export interface ConnectorOptions {
  /** tls.connect's, for https: `ca`, `rejectUnauthorized`, … */
  tls?: ConnectionOptions
  /**
   * Whether HTTP/2 may be agreed upon, where undici's Agent allows it too.
   *
   * @defaultValue false
   */
  allowH2?: boolean
  /**
   * Milliseconds for the connection and its TLS handshake; 0: no limit but `connectTimeout`.
   *
   * @defaultValue 10_000, as undici has it
   */
  timeout?: number
  /**
   * TLS sessions kept for resumption, the latest ones; 0: none.
   *
   * @defaultValue 100
   */
  maxCachedSessions?: number
}

/**
 * For `new Agent({ connect: connector(session) })`, and undici's Client and Pool. Connections at rest that no longer fit
 * the rules or accesses are closed, as in `atsss/http`; those of HTTP/2, which undici shares, are left to the steering.
 *
 * @param via a session, or the options of `connect()`
 * @throws ERR_ATSSS_OPTION
 */
export function connector(via: Via, options: ConnectorOptions = {}): (target: Target, connected: Connected) => void {
  checkVia(via)
  const timeout = integer('timeout', options.timeout, 0, 2_147_483_647, 10_000)
  const sessions = new LatestSessions(integer('maxCachedSessions', options.maxCachedSessions, 0, 1e6, 100))
  const ALPNProtocols = options.allowH2 ? ['http/1.1', 'h2'] : ['http/1.1']

  return ({ hostname, protocol, port, servername, localAddress, httpSocket }, connected) => {
    const secured = protocol === 'https:'
    const to = { host: hostname, port: Number(port) || (secured ? 443 : 80), noDelay: true, keepAlive: true }
    const from = localAddress ? { localAddress } : {}
    let socket: Socket
    try {
      const carrier =
        httpSocket ?? connectVia(via, { ...to, ...from, keepAliveInitialDelay: 60_000 } as MptcpConnectOptions)
      socket = secured
        ? secureOver(carrier, { ALPNProtocols, ...options.tls, ...to, ...(servername ? { servername } : {}) }, sessions)
        : carrier
      if (secured && !httpSocket) carry(socket, carrier as ReturnType<typeof connectVia>)
    } catch (error) {
      queueMicrotask(() => connected(error as Error, null))
      return
    }
    report(socket, secured ? 'secureConnect' : 'connect', timeout, connected)
    closeWhenUnfit(via, socket)
  }
}

/** Tells once what has become of it. */
function report(socket: Socket, event: 'connect' | 'secureConnect', timeout: number, connected: Connected): void {
  const timer = timeout === 0 ? undefined : setTimeout(() => socket.destroy(timedOut(timeout)), timeout)
  const done = () => {
    clearTimeout(timer)
    socket.off(event, there).off('error', failed)
  }
  const there = () => {
    done()
    connected(null, socket)
  }
  const failed = (error: Error) => {
    done()
    connected(error, null)
  }
  socket.once(event, there).once('error', failed)
}

function timedOut(timeout: number): Error {
  const error = new Error(`Not connected within ${timeout} ms`)
  // The code that undici's own connector has for it.
  return Object.assign(error, { name: 'ConnectTimeoutError', code: 'UND_ERR_CONNECT_TIMEOUT' })
}

/** undici lets the event loop go (`unref`) while a connection has nothing to do: that is how we know. */
function closeWhenUnfit(via: Via, socket: Socket): void {
  let atRest = false
  const look = () => {
    if (atRest && (socket as TLSSocket).alpnProtocol !== 'h2' && reuseBlockedBy(via, socket) !== undefined) socket.destroy()
  }
  const { ref, unref } = socket
  socket.ref = function (this: Socket) {
    atRest = false
    return ref.call(this)
  }
  socket.unref = function (this: Socket) {
    atRest = true
    setImmediate(look)
    return unref.call(this)
  }
  socket.once('close', onChange(via, look))
}

/** The latest TLS sessions, one for each server. */
class LatestSessions implements TlsSessions {
  readonly #most: number
  readonly #sessions = new Map<string, Buffer>()

  constructor(most: number) {
    this.#most = most
  }

  get(key: string): Buffer | undefined {
    return this.#sessions.get(key)
  }

  set(key: string, session: Buffer): void {
    this.#sessions.delete(key)
    this.#sessions.set(key, session)
    if (this.#sessions.size > this.#most) this.#sessions.delete(this.#sessions.keys().next().value!)
  }
}
