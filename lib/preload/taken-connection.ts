/**
 * The connection of a net.Socket that the preload has taken. The methods that `MptcpSocket` has on its prototype are properties of
 * this one socket.
 */
import { Socket, type TcpNetConnectOpts } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { IdleConnections } from '../agents/idle.js'
import type { Settings } from '../input/options.js'
import type { Steerer } from '../runtime/connect/steerer.js'
import { hasHandle } from '../runtime/kernel/node-socket.js'
import { Connection, type ConnectionHooks } from '../socket/connection.js'
import { overrides, overridesOfWriting } from '../socket/overrides.js'

/**
 * Module state, because the properties below are shared by all sockets and find the connection of theirs here. Weak, so that it
 * keeps no socket alive.
 */
const taken = new WeakMap<Socket, Connection>()

/** On a socket while Node's `connect` runs for it. Registered, so that another copy of this package sees it, too. */
const BEING_TAKEN = Symbol.for('atsss.being-taken')

/** Whether another preload, in whose `connect` we are called, has taken the socket. */
export function isBeingTaken(socket: Socket): boolean {
  return BEING_TAKEN in socket
}

/**
 * Connects a socket our way.
 *
 * @param connectAsNode Node's own `connect` for this socket. What it throws about the options is passed on.
 */
export function takeConnection<T>(
  socket: Socket,
  options: TcpNetConnectOpts,
  settings: Settings,
  steerer: Steerer,
  hooks: ConnectionHooks,
  connectAsNode: (options: TcpNetConnectOpts) => T,
): T {
  const before = taken.get(socket)
  const connection = Connection.to(socket, options, settings, steerer, hooks)
  if (before) release(socket)
  Object.defineProperties(socket, mayWriteEarly(socket) ? { ...TAKEN, ...WRITING_EARLY } : TAKEN)
  taken.set(socket, connection)
  Object.defineProperty(socket, BEING_TAKEN, { configurable: true, value: true })
  try {
    const result = connection.begin(connectAsNode)
    if ((socket as Partial<TLSSocket>).encrypted) connection.secure(socket as TLSSocket)
    before?.cancel()
    return result
  } catch (error) {
    // Node refused the arguments: an earlier `connect` goes on.
    connection.cancel()
    if (before) taken.set(socket, before)
    else release(socket)
    throw error
  } finally {
    Reflect.deleteProperty(socket, BEING_TAKEN)
  }
}

/** @param idle the idle connections of pools, of which some may have to be closed */
export function hooksFor(idle: IdleConnections | undefined): ConnectionHooks {
  return {
    left: release,
    // Pools call `unref()` before they take a connection back.
    unreferenced: socket => idle?.add(socket),
    closing: socket => idle?.delete(socket),
  }
}

/** Gives the socket back to Node. */
function release(socket: Socket): void {
  for (const name of Object.keys({ ...TAKEN, ...WRITING_EARLY })) Reflect.deleteProperty(socket, name)
  taken.delete(socket)
}

/**
 * Only sockets whose bytes go to the connection unchanged. A socket that has a handle before it connects is a TLSSocket or the like,
 * which encrypts them; a subclass with its own `_write` may do anything with them.
 */
function mayWriteEarly(socket: Socket): boolean {
  const { _write, _writev } = socket
  const plain = _write === Socket.prototype._write && _writev === Socket.prototype._writev
  return plain && (!hasHandle(socket) || socket.destroyed)
}

const connectionOf = (socket: Socket) => taken.get(socket)

const TAKEN: PropertyDescriptorMap = {
  ...overrides(connectionOf, socket => Object.getPrototypeOf(socket)),
  mptcp: {
    configurable: true,
    get(this: Socket) {
      return connectionOf(this)?.report
    },
  },
}

const WRITING_EARLY = overridesOfWriting(connectionOf)
