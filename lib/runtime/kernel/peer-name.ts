/** Whom a socket shows as its peer: the server or remote host, and not the converter between them. RFC 8803 §4.2. */
import { isIPv4, type Socket } from 'node:net'

/** Also to what is built on the socket: TLS asks the handle. */
export function showPeer(socket: Socket, { address, port }: { address: string; port: number }): void {
  const peer = { address, port, family: isIPv4(address) ? 'IPv4' : 'IPv6' }
  const inside = socket as unknown as { _peername: object; _handle: { getpeername?(out: object): number } | null }
  inside._peername = peer
  if (inside._handle)
    inside._handle.getpeername = out => {
      Object.assign(out, peer)
      return 0
    }
}
