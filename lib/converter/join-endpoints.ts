/**
 * Where clients join the connections that the converter has made to them: it announces, on each, an address and port at which
 * the kernel listens for joins (RFC 8684 §3.4.1). The client could not join the port that the connection was made from.
 */
import { constants } from 'node:os'
import type { SystemError } from '../errors.js'
import { openPathManager } from '../runtime/path-manager.js'
import type { Degraded } from './listener.js'
import type { Place } from './mappings.js'

/** Endpoints of the kernel's path manager, for this whole network namespace; until `close`. */
export async function openJoinEndpoints(
  places: readonly Place[],
  degraded: (what: Degraded) => void,
): Promise<{ close(): Promise<void> }> {
  const added: Place[] = []
  for (const place of places)
    try {
      const manager = await openPathManager()
      try {
        await manager.kernel.addEndpoint({ ...place, flags: ['signal'] })
        added.push(place)
      } finally {
        manager.close()
      }
    } catch (error) {
      // One that an administrator has added, or an earlier converter has left.
      if ((error as SystemError).errno === -constants.errno.EEXIST) continue
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
        const is = (place: Place) => added.some(each => each.address === place.address && each.port === place.port)
        for (const { id, address = '', port = 0 } of await manager.kernel.endpoints())
          if (is({ address, port })) await manager.kernel.deleteEndpoint(id)
      } finally {
        manager.close()
      }
    },
  }
}
