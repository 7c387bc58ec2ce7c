/**
 * Where clients join the converter's connections to them: on each connection the converter announces an address and port at
 * which the kernel listens for joins (RFC 8684 §3.4.1). Clients cannot join at the port that the connection was made from.
 */
import { isIPv4 } from 'node:net'
import { type MptcpEndpoint, openPathManager } from '../../runtime/network/path-manager.js'
import type { Degraded } from '../outgoing/listener.js'
import type { Place } from '../pcp/mapping.js'

/** Endpoints of the kernel's path manager, for this whole network namespace; until `close`. */
export async function openJoinEndpoints(
  places: readonly Place[],
  degraded: (what: Degraded) => void,
): Promise<{ close(): Promise<void> }> {
  const added: Place[] = []
  for (const place of ipv4Last(places))
    try {
      const manager = await openPathManager()
      try {
        // An administrator has added it, or an earlier converter has left it. (With a port, the kernel does not report EEXIST
        // but EADDRINUSE, as it does for another program's port.)
        const there = await manager.kernel.endpoints()
        if (there.some(endpoint => endpoint.flags.includes('signal') && isAt(endpoint, place))) continue
        await manager.kernel.addEndpoint({ ...place, flags: ['signal'] })
        added.push(place)
      } finally {
        manager.close()
      }
    } catch (error) {
      degraded({
        what: 'pcp-join',
        message: `Clients cannot join connections from outside with their second access: ${(error as Error).message}`,
        remedy: `ip mptcp endpoint add ${place.address} port ${place.port} signal`,
      })
    }
  return {
    close: async () => {
      if (added.length === 0) return
      const manager = await openPathManager()
      try {
        for (const endpoint of await manager.kernel.endpoints())
          if (added.some(place => isAt(endpoint, place))) await manager.kernel.deleteEndpoint(endpoint.id)
      } finally {
        manager.close()
      }
    },
  }
}

/**
 * The kernel announces the endpoint with a port that was added last first, and the next one when the client has confirmed it. An IPv6
 * address with a port often does not fit into a packet; kernels without a fix never get beyond it (docs/linux.md).
 */
function ipv4Last(places: readonly Place[]): readonly Place[] {
  const isIPv4Place = ({ address }: Place) => isIPv4(address)
  return [...places.filter(place => !isIPv4Place(place)), ...places.filter(isIPv4Place)]
}

function isAt({ address, port }: MptcpEndpoint, place: Place): boolean {
  return address === place.address && port === place.port
}
