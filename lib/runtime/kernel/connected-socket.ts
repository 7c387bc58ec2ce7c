/** From a descriptor of the addon to a socket of Node. */
import { Socket, type SocketConstructorOpts } from 'node:net'
import { native } from './native.js'

/**
 * A net.Socket over a connected descriptor, which is closed if that fails: it belongs to the socket, or to nothing.
 * Without Nagle's delay, and open for writing after the peer has ended.
 */
export function connectedSocket(fd: number, options: SocketConstructorOpts = {}): Socket {
  const addon = native()
  let socket: Socket
  try {
    socket = new Socket({ allowHalfOpen: true, readable: true, writable: true, ...options, fd })
  } catch (error) {
    addon.close(fd)
    throw error
  }
  addon.release(fd)
  socket.setNoDelay(true)
  return socket
}
