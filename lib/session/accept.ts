/** From a connection that a converter has brought to the application's socket. */
import type { Settings } from '../input/options.js'
import type { AccessType } from '../policy/rules/rule.js'
import type { Destination } from '../runtime/connect/steerer.js'
import type { Received } from '../runtime/incoming/reception.js'
import { native } from '../runtime/kernel/native.js'
import type { AccessConfig } from '../runtime/network/access-links.js'
import type { Steered } from '../runtime/steering/connection.js'
import { MptcpSocket } from '../socket/socket.js'
import type { ServerHost } from './server.js'
import type { SessionServerSettings } from './server-options.js'

/** What a session does about the connections that its servers take. */
export interface Taking extends Pick<ServerHost, 'preferred' | 'degraded'> {
  /** @throws ERR_ATSSS_NO_RULE, ERR_ATSSS_STEERING: the rules refuse connections with this remote host */
  permit(remote: Destination): void
  steer(socket: MptcpSocket, destination: Destination, access: AccessType, about: Omit<Steered, 'token' | 'rule'>): void
  /** Its descriptor is about to be closed. */
  closing(socket: MptcpSocket): void
}

export function serverHost(
  accesses: Record<AccessType, AccessConfig>,
  { converters, allowLoopback }: Settings,
  { permit, steer, closing, ...rest }: Taking,
): ServerHost {
  return {
    ...{ accesses, converters, allowLoopback, ...rest },
    take: (received, access, settings) => {
      const { fd, remote, peer } = received
      const destination = { host: remote.address, addresses: [remote.address], port: remote.port }
      permit(destination)
      const socket: MptcpSocket = acceptSocket(received, accesses[access], settings, () => closing(socket))
      // The peer listens elsewhere than where it has connected from.
      steer(socket, destination, access, { fd, remote: undefined, family: peer.family })
      return socket
    },
  }
}

function acceptSocket(
  { fd, remote, peer, protocol, zeroRtt }: Received,
  access: AccessConfig,
  settings: SessionServerSettings,
  closing: () => void,
): MptcpSocket {
  // From here on the descriptor is Node's.
  native().release(fd)
  const { address, port } = peer
  const socket = MptcpSocket.accepted(
    { fd, allowHalfOpen: settings.allowHalfOpen },
    {
      protocol: protocol.name,
      fallback: protocol.why,
      converter: { name: address, address, port },
      convert: zeroRtt ? '0rtt' : '1rtt',
      interface: access.interface,
    },
    remote,
    { route: () => Promise.reject(new Error('it is connected already')), opened: () => {}, closing },
  )
  if (settings.noDelay) socket.setNoDelay(true)
  if (settings.keepAlive) socket.setKeepAlive(true, settings.keepAliveInitialDelay)
  if (settings.pauseOnConnect) socket.pause()
  return socket
}
