/**
 * `atsss/preload`: TCP connections of the whole thread go over MPTCP, whoever makes them. All of them come through
 * `net.Socket.prototype.connect`: net.connect, tls.connect (a TLSSocket is a net.Socket), http, https, http2, Node's own
 * fetch, and the libraries on top. So that one method is replaced; servers and pipes do not come by, and it does not
 * matter who has imported what before.
 */
import { Socket } from 'node:net'
import { type MptcpOptions, resolveOptions, type Settings } from '../input/options.js'
import type { Steerer } from '../runtime/connect/steerer.js'
import type { MaPduSession } from '../session/session.js'
import { callForm, isPipe, type MptcpSocket, memoryOf, opened } from '../socket/socket.js'
import { Exclusion } from './exclusion.js'
import { Resting } from './resting.js'
import { TakenConnection } from './taken-connection.js'

export interface PreloadOptions {
  /**
   * Destinations that are left to Node: addresses, prefixes such as `10.0.0.0/8`, names, and `*.example.com` for what is
   * below a name. A name is also left to Node when one of its addresses is among them.
   *
   * @defaultValue none
   */
  exclude?: readonly string[]
  /**
   * Whether loopback and link-local destinations are taken too.
   *
   * @defaultValue false
   */
  includeLocal?: boolean
}

/** A session, or the options that `connect()` takes; a function is called when it is first needed. */
export type Via = MaPduSession | MptcpOptions | (() => MaPduSession)

/**
 * Takes all TCP connections that this thread makes from now on. Sockets of atsss' own are left alone: they have options
 * or a session of their own. A socket that was taken has `mptcp`, as a `MptcpSocket` has.
 *
 * @returns what ends it; connections that are there stay as they are
 * @throws ERR_ATSSS_OPTION, ERR_ATSSS_RULE
 *
 * @example
 * const release = preload(new MaPduSession({ … }), { exclude: ['10.0.0.0/8'] })
 */
export function preload(via: Via, { exclude = [], includeLocal = false }: PreloadOptions = {}): () => void {
  const exclusion = new Exclusion(exclude, includeLocal)
  const wayOf = waysOver(via)
  const nodes = Socket.prototype.connect as (...args: unknown[]) => Socket

  function connect(this: Socket, ...args: unknown[]): Socket {
    const [options, listener] = callForm(args)
    if (!options || isPipe(options) || options.port === undefined || isOthers(this))
      return Reflect.apply(nodes, this, args)
    const { host } = options
    if (typeof host === 'string' && exclusion.hasHost(host)) return Reflect.apply(nodes, this, args)
    const { settings, steerer, resting } = wayOf(this)
    const leaves = (addresses: readonly { address: string }[]) => exclusion.hasOneOf(addresses)
    const memory = memoryOf(settings.cookies)
    const taken = new TakenConnection(this, options, settings, memory, { ...steerer, leaves }, resting)
    return Reflect.apply(nodes, this, [taken.nodeOptions, listener])
  }

  Socket.prototype.connect = connect as typeof Socket.prototype.connect
  return () => {
    // Who has replaced it after us goes on calling ours.
    if (Socket.prototype.connect === (connect as unknown)) Socket.prototype.connect = nodes as typeof connect as never
  }
}

/** What Node, or another copy of this package, connects better: see `MptcpSocket`'s own `connect`. */
function isOthers(socket: Socket): boolean {
  const { _parent: parent } = socket as unknown as { _parent?: Socket }
  return opened(socket) || parent != null || 'mptcp' in Object.getPrototypeOf(socket)
}

interface Way {
  settings: Settings
  steerer: Steerer
  /** Of a session only: without one there is nothing that a connection might not fit. */
  resting?: Resting
}

/** How one socket is connected, and who steers it. */
function waysOver(via: Via): (socket: Socket) => Way {
  if (!isSession(via) && typeof via !== 'function') {
    const settings = resolveOptions(via)
    return () => ({ settings, steerer: {} })
  }
  let session = typeof via === 'function' ? undefined : via
  let resting: Resting | undefined
  return (socket: Socket) => {
    session ??= (via as () => MaPduSession)()
    resting ??= new Resting(session)
    return { settings: session.socketSettings, steerer: session.steererOf(() => socket as MptcpSocket), resting }
  }
}

function isSession(via: Via): via is MaPduSession {
  return typeof (via as Partial<MaPduSession>).steererOf === 'function'
}
