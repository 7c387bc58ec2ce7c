/** From a connection that a converter has opened to the application's socket. */
import type { Destination, Steerer } from '../runtime/connect/steerer.js'
import type { Received } from '../runtime/incoming/reception.js'
import { native } from '../runtime/kernel/native.js'
import { MptcpSocket } from '../socket/socket.js'
import type { SessionServerSettings } from './server-options.js'

/** For the rules, the remote host is the destination of a connection that it has opened. */
export function destinationOf({ remote: { address, port } }: Received): Destination {
  return { host: address, addresses: [address], port }
}

/**
 * @param name of the interface that the connection came in by
 * @throws what the socket's constructor throws; then the connection has been reset
 */
export function acceptSocket(
  { fd, remote, peer, protocol, zeroRtt }: Received,
  name: string,
  settings: SessionServerSettings,
  steerer: Steerer,
): MptcpSocket {
  const { address, port } = peer
  const { allowHalfOpen, highWaterMark } = settings
  let socket: MptcpSocket
  try {
    socket = MptcpSocket.accepted(
      { fd, allowHalfOpen, ...(highWaterMark === undefined ? {} : { highWaterMark }) },
      {
        protocol: protocol.name,
        fallback: protocol.why,
        converter: { name: address, address, port },
        convert: zeroRtt ? '0rtt' : '1rtt',
        interface: name,
      },
      remote,
      steerer,
    )
  } catch (error) {
    native().reset(fd)
    throw error
  }
  // From here on the descriptor is Node's.
  native().release(fd)
  if (settings.noDelay) socket.setNoDelay(true)
  if (settings.keepAlive) socket.setKeepAlive(true, settings.keepAliveInitialDelay)
  if (settings.pauseOnConnect) socket.pause()
  return socket
}
