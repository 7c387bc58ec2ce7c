/**
 * A connection of a net.Socket that the preload has taken: what `MptcpSocket` has on its prototype, this one socket has as
 * properties.
 */
import { Socket, type TcpNetConnectOpts } from 'node:net'
import type { IdleConnections } from '../agents/idle.js'
import type { Settings } from '../input/options.js'
import type { Steerer } from '../runtime/connect/steerer.js'
import { hasHandle } from '../runtime/kernel/node-socket.js'
import { Connection } from '../socket/connection.js'
import { overrides, overridesOfWriting } from '../socket/overrides.js'

/**
 * Module state, since the properties below are the same for all sockets, and find a socket's connection here. Weak: it
 * keeps no socket.
 */
const taken = new WeakMap<Socket, Connection>()

/**
 * Connects a socket our way.
 *
 * @param connectAsNode Node's own `connect`, for the socket. What it throws about the options is thrown.
 */
export function takeConnection<T>(
  socket: Socket,
  options: TcpNetConnectOpts,
  settings: Settings,
  steerer: Steerer,
  idle: IdleConnections | undefined,
  connectAsNode: (options: TcpNetConnectOpts) => T,
): T {
  const before = taken.get(socket)
  const connection = Connection.to(socket, options, settings, steerer, {
    left: () => release(socket),
    // A pool does so before it takes a connection back.
    unreferenced: () => idle?.add(socket),
    closing: () => idle?.delete(socket),
  })
  if (before) release(socket)
  Object.defineProperties(socket, mayWriteEarly(socket) ? { ...TAKEN, ...WRITING_EARLY } : TAKEN)
  taken.set(socket, connection)
  try {
    const result = connection.begin(connectAsNode)
    before?.cancel()
    return result
  } catch (error) {
    // Node refuses the arguments: what is being connected goes on.
    connection.cancel()
    if (before) taken.set(socket, before)
    else release(socket)
    throw error
  }
}

/** The socket is Node's again. */
function release(socket: Socket): void {
  for (const name of Object.keys({ ...TAKEN, ...WRITING_EARLY })) Reflect.deleteProperty(socket, name)
  taken.delete(socket)
}

/**
 * Only what would be written to the connection as it is. A socket that has a handle before it connects is a TLSSocket
 * (or the like), whose bytes are to be encrypted; a subclass with its own `_write` may do anything with them.
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
