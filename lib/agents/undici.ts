/** `atsss/undici`: a connector for undici 6, 7 and 8, which this package does not depend on. */
import type { Socket } from 'node:net'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import { integer } from '../input/check.js'
import { TIMER_MAX } from '../input/options.js'
import { isIdleInUndici } from '../runtime/kernel/node-socket.js'
import { whenDestroyed } from '../runtime/stream/when-destroyed.js'
import type { MptcpConnectOptions } from '../socket/socket.js'
import { IdleConnections } from './idle.js'
import { type ConnectionSource, checkSource, connectFrom } from './source.js'
import { overCarrier, secureOver, type TlsSessions } from './tls.js'

export type { ConnectionSource } from './source.js'

/** What undici gives to a connector. */
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
 * For `new Agent({ connect: connector(session) })`, and undici's Client and Pool. Idle connections that rules or accesses no
 * longer allow are closed, as in `atsss/http`; those of HTTP/2, which undici shares between requests, are left to the steering.
 *
 * @param source a session, or the options of `connect()`
 * @throws ERR_ATSSS_OPTION. What goes wrong with one connection, wrong options of TLS too, is an error of its request.
 */
export function connector(
  source: ConnectionSource,
  options: ConnectorOptions = {},
): (target: Target, connected: Connected) => void {
  checkSource(source)
  const timeout = integer('timeout', options.timeout, 0, TIMER_MAX, 10_000)
  const sessions = new LatestSessions(integer('maxCachedSessions', options.maxCachedSessions, 0, 1e6, 100))
  const ALPNProtocols = options.allowH2 ? ['http/1.1', 'h2'] : ['http/1.1']
  const idle = new IdleConnections(source, isIdleInUndici)

  const open = ({ hostname, protocol, port, servername, localAddress, httpSocket }: Target): Socket => {
    const secured = protocol === 'https:'
    const to = { host: hostname, port: Number(port) || (secured ? 443 : 80), noDelay: true, keepAlive: true }
    const carried = { ...to, ...(localAddress && { localAddress }), keepAliveInitialDelay: 60_000 }
    const secure = (carrier: Socket) =>
      secureOver(carrier, { ALPNProtocols, ...options.tls, ...to, ...(servername && { servername }) }, sessions)
    if (httpSocket) return secured ? secure(httpSocket) : httpSocket
    if (secured) return overCarrier(source, carried as MptcpConnectOptions, secure)
    return connectFrom(source, carried as MptcpConnectOptions)
  }

  return (target, connected) => {
    let socket: Socket
    try {
      socket = open(target)
    } catch (error) {
      queueMicrotask(() => connected(error as Error, null))
      return
    }
    report(socket, target.protocol === 'https:' ? 'secureConnect' : 'connect', timeout, connected)
    closeWhenBlocked(idle, socket)
  }
}

/** Calls `connected` once: with the socket, or with the error that it ended with before. */
function report(socket: Socket, event: 'connect' | 'secureConnect', timeout: number, connected: Connected): void {
  const timer = timeout === 0 ? undefined : setTimeout(() => socket.destroy(timedOut(timeout)), timeout)
  let settled = false
  const settle = (...result: Parameters<Connected>) => {
    if (settled) return
    settled = true
    clearTimeout(timer)
    connected(...result)
  }
  // The listener for errors stays, as undici's own connector has it: undici adds its own only later.
  socket.once(event, () => settle(null, socket)).on('error', error => settle(error, null))
}

function timedOut(timeout: number): Error {
  const error = new Error(`Not connected within ${timeout} ms`)
  // The code that undici's own connector has for it.
  return Object.assign(error, { name: 'ConnectTimeoutError', code: 'UND_ERR_CONNECT_TIMEOUT' })
}

/**
 * undici calls `unref()` when a connection becomes idle. But the application may call it, too, for a connection that is busy;
 * so it only says when to look, and undici's own mark says whether the connection is idle.
 */
function closeWhenBlocked(idle: IdleConnections, socket: Socket): void {
  const { unref } = socket
  socket.unref = function (this: Socket) {
    if (!socket.destroyed) idle.add(socket)
    return unref.call(this)
  }
  whenDestroyed(socket, () => idle.delete(socket))
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
