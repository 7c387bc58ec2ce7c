/** The UDP sockets of a PCP client: one for each server and interface, and one for announcements. */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { isIPv4 } from 'node:net'
import type { PcpServer } from '../../policy/pcp/servers.js'
import { PCP_CLIENT_PORT, PCP_MULTICAST } from '../../wire/pcp/index.js'
import { SO_BINDTODEVICE, SOL_SOCKET } from '../kernel/constants.js'
import { native } from '../kernel/native.js'

/** Receives a datagram. `from` has no zone. */
export type Receiver = (bytes: Uint8Array, from: PcpServer) => void

/** A socket for one server. */
export interface PcpTransport {
  /** If sending fails, the datagram is lost, as any datagram may be. */
  send(bytes: Uint8Array): void
  close(): void
}

/**
 * Opens a socket on a random port (RFC 6887 §8.1, RFC 6056). It is bound to the device, because the routes of a host with two accesses
 * could send requests over either of them.
 *
 * @throws system errors
 */
export function openTransport(
  server: PcpServer,
  local: { address: string; interface?: string | undefined },
  receive: Receiver,
): PcpTransport {
  const family = isIPv4(local.address) ? 4 : 6
  const addon = native()
  const fd = addon.datagramSocket(family)
  const socket = createSocket(family === 4 ? 'udp4' : 'udp6')
  try {
    if (local.interface !== undefined)
      addon.setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, Buffer.from(`${local.interface}\0`))
    addon.bind(fd, local.address, 0)
    // Our own socket, also in a cluster's worker: otherwise the primary would open one, on another port and not bound to the device.
    socket.bind({ fd, exclusive: true })
  } catch (error) {
    addon.close(fd)
    socket.close()
    throw error
  }
  addon.release(fd)
  listen(socket, receive)
  // A link-local address needs its interface.
  const zone = local.interface !== undefined && /^fe[89ab]/i.test(server.address) ? `%${local.interface}` : ''
  return {
    send: bytes => socket.send(bytes, server.port, server.address + zone, () => {}),
    close: () => socket.close(),
  }
}

/**
 * Receives the announcements that servers send by multicast on these interfaces, over both IP versions. RFC 6887 §14.1.3: "MUST listen to receive
 * these PCP Restart Announcements […] on the appropriate multicast-capable interfaces".
 *
 * @param interfaces names, and an IPv4 address where there is one
 * @param failed called when announcements over one IP version cannot be received: another program may use the port
 */
export function listenForAnnouncements(
  interfaces: readonly { name: string; address: string | undefined }[],
  receive: Receiver,
  failed: (error: Error) => void,
): { close(): void } {
  const four = interfaces.flatMap(({ address }) => address ?? [])
  const six = interfaces.map(({ name }) => `::%${name}`)
  const sockets = [
    ...(four.length > 0 ? [openMulticast('udp4', PCP_MULTICAST[4], four, receive, failed)] : []),
    openMulticast('udp6', PCP_MULTICAST[6], six, receive, failed),
  ]
  return {
    close: () => {
      for (const socket of sockets) socket.close()
    },
  }
}

function openMulticast(
  type: 'udp4' | 'udp6',
  group: string,
  interfaces: readonly string[],
  receive: Receiver,
  failed: (error: Error) => void,
): { close(): void } {
  // "The SO_REUSEPORT socket option or equivalent should be used for the multicast UDP port".
  const socket = createSocket({ type, reuseAddr: true, ipv6Only: type === 'udp6' })
  let closed = false
  const close = () => {
    if (!closed) socket.close()
    closed = true
  }
  socket.once('error', error => {
    close()
    failed(error)
  })
  // If a cluster's workers shared a socket, only one of them would get each announcement.
  socket.bind({ port: PCP_CLIENT_PORT, exclusive: true }, () => {
    for (const each of interfaces)
      try {
        socket.addMembership(group, each)
      } catch {
        // The interface has disappeared, or cannot do multicast. The server's next answer shows whether it has restarted.
      }
  })
  listen(socket, receive)
  return { close }
}

function listen(socket: Socket, receive: Receiver): void {
  socket.unref()
  socket.on('message', (bytes: Buffer, { address, port }: RemoteInfo) =>
    receive(bytes, { address: address.split('%')[0]!, port }),
  )
  // An error of one datagram that could not be delivered: it counts as lost.
  if (socket.listenerCount('error') === 0) socket.on('error', () => {})
}
