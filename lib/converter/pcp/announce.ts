/** Announces to PCP clients that the server has lost its mappings. RFC 6887 §14.1.3. */
import type { Socket } from 'node:dgram'
import { isIPv4 } from 'node:net'
import { interfacesNow } from '../../runtime/kernel/interfaces.js'
import { encodePcpResponse, PCP_CLIENT_PORT, PCP_MULTICAST, RESULTS } from '../../wire/pcp/index.js'
import type { Place } from './mapping.js'

/**
 * Milliseconds. "up to ten times […] provided that the interval between the first two notifications is at least 250 ms, and
 * the interval between subsequent notification at least doubles."
 */
const INTERVALS = [0, 250, 500, 1_000, 2_000]

/** @param clients that are still known: each gets a message of its own. @returns stops the announcements */
export function announceRestart(
  sockets: readonly Socket[],
  epoch: () => number,
  clients: readonly { client: Place; server: string }[],
): () => void {
  let round = 0
  let timer: NodeJS.Timeout
  const tell = async () => {
    // "with an appropriate Epoch Time value in each to reflect the passage of time".
    const operation = { type: 'announce' as const }
    const bytes = encodePcpResponse({ result: RESULTS.success, lifetime: 0, epoch: epoch(), operation, options: [] })
    schedule()
    for (const socket of sockets) {
      await multicast(socket, bytes)
      const { address } = socket.address()
      for (const { client, server } of clients)
        if (server === address) await send(socket, bytes, client.port, client.address)
    }
  }
  const schedule = () => {
    const interval = INTERVALS[round++]
    // A socket that was closed in the meantime does not send.
    if (interval !== undefined) timer = setTimeout(() => void tell().catch(() => {}), interval).unref()
  }
  schedule()
  return () => clearTimeout(timer)
}

/** "via paths over which it accepts PCP requests": every interface but loopback. */
async function multicast(socket: Socket, bytes: Uint8Array): Promise<void> {
  const family = isIPv4(socket.address().address) ? 4 : 6
  for (const [name, addresses] of Object.entries(interfacesNow())) {
    const own = addresses?.find(each => !each.internal && each.family === `IPv${family}`)
    if (!own) continue
    try {
      socket.setMulticastInterface(family === 4 ? own.address : `::%${name}`)
      await send(socket, bytes, PCP_CLIENT_PORT, PCP_MULTICAST[family])
    } catch {
      // The interface has gone, or cannot do multicast.
    }
  }
}

/** Errors in sending are ignored: the messages are repeated anyway. */
function send(socket: Socket, bytes: Uint8Array, port: number, address: string): Promise<void> {
  return new Promise(resolve => socket.send(bytes, port, address, () => resolve()))
}
