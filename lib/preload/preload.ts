/**
 * `atsss/preload`: moves all TCP connections of the thread to MPTCP, by replacing one method, `net.Socket.prototype.connect`. All of
 * them call it: net.connect, tls.connect (a TLSSocket is a net.Socket), http, https, http2, Node's own fetch, and the libraries on
 * top. Servers and pipes do not. It does not matter which module was imported first.
 */
import { Socket } from 'node:net'
import { IdleConnections } from '../agents/idle.js'
import { type ConnectionSource, isSession } from '../agents/source.js'
import { resolveOptions, type Settings } from '../input/options.js'
import type { Steerer } from '../runtime/connect/steerer.js'
import { isAboveAnother, isIdleInHttp, isIdleInUndici, isOpen } from '../runtime/kernel/node-socket.js'
import type { MaPduSession } from '../session/session.js'
import { callForm, isPipe } from '../socket/call-form.js'
import type { ConnectionHooks } from '../socket/connection.js'
import type { MptcpSocket } from '../socket/socket.js'
import { Exclusion } from './exclusion.js'
import { hooksFor, isBeingTaken, takeConnection } from './taken-connection.js'

export interface PreloadOptions {
  /**
   * Destinations that Node connects to itself: addresses, prefixes such as `10.0.0.0/8`, names, and `*.example.com` for all names
   * below a name. A name is also left to Node if one of its addresses is excluded.
   *
   * @defaultValue none
   */
  exclude?: readonly string[]
  /**
   * Whether connections to loopback and link-local destinations are taken too.
   *
   * @defaultValue false
   */
  includeLocal?: boolean
}

/** A session, or the options of `connect()`; a function that makes the session is called for the first connection. */
export type PreloadSource = ConnectionSource | (() => MaPduSession)

/**
 * Takes all TCP connections that this thread makes from now on. Sockets of atsss itself are left alone: they have their own
 * options or session. A socket that was taken has `mptcp`, as a `MptcpSocket` has. Of several preloads the latest one that is in
 * force takes a connection.
 *
 * @param source the session or the options that connections are made with
 * @returns a function that undoes it; existing connections stay as they are
 * @throws ERR_ATSSS_OPTION, ERR_ATSSS_RULE
 *
 * @example
 * const release = preload(new MaPduSession({ … }), { exclude: ['10.0.0.0/8'] })
 */
export function preload(
  source: PreloadSource,
  { exclude = [], includeLocal = false }: PreloadOptions = {},
): () => void {
  const exclusion = new Exclusion(exclude, includeLocal)
  const leaves = (addresses: readonly { address: string }[]) => exclusion.hasOneOf(addresses)
  const handlingOf = handlingBy(source, leaves)
  const nodes = Socket.prototype.connect as (...args: unknown[]) => Socket
  let isReleased = false

  function connect(this: Socket, ...args: unknown[]): Socket {
    if (isReleased || isBeingTaken(this)) return Reflect.apply(nodes, this, args)
    const [options, listener] = callForm(args)
    if (!options || isPipe(options) || options.port === undefined || isOthers(this))
      return Reflect.apply(nodes, this, args)
    const { host } = options
    if (typeof host === 'string' && exclusion.hasHost(host)) return Reflect.apply(nodes, this, args)
    const { settings, steerer, hooks } = handlingOf(this)
    return takeConnection(this, options, settings, steerer, hooks, nodeOptions =>
      Reflect.apply(nodes, this, [nodeOptions, listener]),
    )
  }

  Socket.prototype.connect = connect as typeof Socket.prototype.connect
  return () => {
    isReleased = true
    // If other code has replaced the method after us, it still calls ours.
    if (Socket.prototype.connect === (connect as unknown)) Socket.prototype.connect = nodes as typeof connect as never
  }
}

/** Whether Node, or another copy of this package, has to connect this socket: see `MptcpSocket`'s own `connect`. */
function isOthers(socket: Socket): boolean {
  return isOpen(socket) || isAboveAnother(socket) || 'mptcp' in Object.getPrototypeOf(socket)
}

/** How one socket is connected, and what steers it. */
interface Handling {
  settings: Settings
  steerer: Steerer
  hooks: ConnectionHooks
}

function handlingBy(source: PreloadSource, leaves: Required<Steerer>['leaves']): (socket: Socket) => Handling {
  if (typeof source !== 'function' && !isSession(source)) {
    // Without rules nothing can forbid the reuse of an idle connection.
    const handling = { settings: resolveOptions(source), steerer: { leaves }, hooks: hooksFor(undefined) }
    return () => handling
  }
  let session = typeof source === 'function' ? undefined : source
  let hooks: ConnectionHooks | undefined
  return (socket: Socket) => {
    session ??= (source as () => MaPduSession)()
    hooks ??= hooksFor(new IdleConnections(session, isPooled))
    const steerer = { ...session.steererOf(() => socket as MptcpSocket), leaves }
    return { settings: session.socketSettings, steerer, hooks }
  }
}

/**
 * `unref()` alone does not show that a connection is idle, because applications call it too. http.Agent and undici also mark the
 * connections in their pools.
 */
function isPooled(socket: Socket): boolean {
  return isIdleInHttp(socket) ?? isIdleInUndici(socket)
}
